/*
 * status.c: answers to `status` and `list`, record by record.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"
#include "services.h"

#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void new_record(struct control_record *record, enum control_record_type type)
{
	memset(record, 0, sizeof(*record));
	record->version = CONTROL_VERSION;
	record->type = type;
}

void status_copy_text(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	memset(to + length, 0, size - length);
}

void status_line(struct control_record *record, enum control_record_type type, const char *text)
{
	new_record(record, type);
	status_copy_text(record->line.text, sizeof(record->line.text), text);
}

void status_begin(struct status_cursor *cursor, const char *only)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->only = only;
}

void status_begin_list(struct status_cursor *cursor)
{
	status_begin(cursor, NULL);
	cursor->part = STATUS_SERVICES;
	cursor->names = true;
}

static void drop_group(struct status_cursor *cursor)
{
	free(cursor->listeners);
	free(cursor->servers);
	cursor->listeners = NULL;
	cursor->servers = NULL;
	cursor->group = cursor->group_size = 0;
}

void status_end(struct status_cursor *cursor)
{
	drop_group(cursor);
	unix_queues_drop(&cursor->queues);
	cursor->part = STATUS_END;
}

static void daemon_dispatcher(const struct supervisor *supervisor, struct control_daemon *daemon)
{
	daemon->dispatcher_pid = supervisor->dispatcher.pid > 0 ? supervisor->dispatcher.pid : 0;
	daemon->dispatcher_restarts = supervisor->dispatcher.restarts;
	if (daemon->dispatcher_pid)
		daemon->dispatcher_uptime_ms = clock_ms() - supervisor->dispatcher.started_ms;
	if (supervisor->board) {
		daemon->dispatcher_fds = supervisor->board->fds;
		daemon->dispatcher_fds_limit = supervisor->board->fds_limit;
	}
	status_copy_text(daemon->dispatcher_last_exit, sizeof(daemon->dispatcher_last_exit),
			 supervisor->dispatcher.last_exit);
}

void status_daemon(struct supervisor *supervisor, struct control_record *record)
{
	struct control_daemon *daemon = &record->daemon;
	struct timespec changed = {0};

	new_record(record, CONTROL_DAEMON);
	status_copy_text(daemon->version, sizeof(daemon->version), PACKAGE_VERSION);
	status_copy_text(daemon->config, sizeof(daemon->config), supervisor->config_file);
	daemon->pid = getpid();
	daemon->time_s = (uint64_t)time(NULL);
	daemon->uptime_ms = clock_ms() - supervisor->started_ms;
	if (supervisor->table && table_changed_on_disk(supervisor->table, &changed)) {
		daemon->config_changed = 1;
		daemon->config_changed_s = changed.tv_sec > 0 ? (uint64_t)changed.tv_sec : 0;
	}
	daemon->generation = supervisor->table_generation;
	daemon->reload_ok = supervisor->reload_ok;
	daemon->reload_s = supervisor->reload_s;
	daemon_dispatcher(supervisor, daemon);
}

static int next_diagnostic(struct status_cursor *cursor, const struct diagnostics *list,
			   enum control_record_type type, struct control_record *record)
{
	if (cursor->item >= list->count) {
		cursor->item = 0;
		cursor->part++;
		return 0;
	}
	status_line(record, type, list->item[cursor->item++].text);
	return 1;
}

static struct service *skip_removed(struct service *service)
{
	while (service && !service->want)
		service = service->next;
	return service;
}

/* The service to go on with: by name; by position when that name was removed in between. */
static struct service *find_next(struct supervisor *supervisor, const struct status_cursor *cursor)
{
	struct service *service;
	size_t position = 0;

	if (cursor->only) {
		service = cursor->passed ? NULL : service_find(supervisor, cursor->only);
		return service && service->want ? service : NULL;
	}
	if (cursor->place && cursor->generation == supervisor->table_generation)
		return cursor->place;
	if (cursor->next[0]) {
		service = service_find(supervisor, cursor->next);
		if (service && service->want)
			return service;
	}
	service = skip_removed(supervisor->services);
	while (service && position < cursor->passed) {
		service = skip_removed(service->next);
		position++;
	}
	return service;
}

static void pass(struct supervisor *supervisor, struct status_cursor *cursor, const struct service *done)
{
	cursor->place = skip_removed(done->next);
	cursor->generation = supervisor->table_generation;
	cursor->passed++;
	/* Without a next one the position is behind the end, unless the table grows meanwhile. */
	status_copy_text(cursor->next, sizeof(cursor->next), cursor->place ? cursor->place->name : "");
}

static void group_record(struct status_cursor *cursor, struct control_record *record)
{
	size_t at = cursor->group++;

	if (at == 0) {
		new_record(record, CONTROL_SERVICE);
		record->service = cursor->service;
	} else if (at <= cursor->service.listeners) {
		new_record(record, CONTROL_LISTENER);
		record->listener = cursor->listeners[at - 1];
	} else {
		new_record(record, CONTROL_SERVER);
		record->server = cursor->servers[at - 1 - cursor->service.listeners];
	}
	if (cursor->group == cursor->group_size)
		drop_group(cursor);
}

static int next_service(struct supervisor *supervisor, struct status_cursor *cursor,
			struct control_record *record)
{
	struct service *service;
	int error;

	if (cursor->group < cursor->group_size) {
		group_record(cursor, record);
		return 1;
	}
	service = find_next(supervisor, cursor);
	if (!service) {
		cursor->part = STATUS_END;
		return 0;
	}
	if (cursor->names) {
		status_line(record, CONTROL_OUTPUT, service->name);
		pass(supervisor, cursor, service);
		return 1;
	}
	error = status_copy_service(supervisor, service, cursor);
	if (error < 0)
		return error;
	pass(supervisor, cursor, service);
	group_record(cursor, record);
	return 1;
}

int status_next(struct supervisor *supervisor, struct status_cursor *cursor, struct control_record *record)
{
	int got = 0;

	while (got == 0 && cursor->part != STATUS_END) {
		switch (cursor->part) {
		case STATUS_DAEMON:
			status_daemon(supervisor, record);
			cursor->part = STATUS_PROBLEMS;
			got = 1;
			break;
		case STATUS_PROBLEMS:
			got = next_diagnostic(cursor, &supervisor->reload_problems, CONTROL_PROBLEM, record);
			break;
		case STATUS_WARNINGS:
			got = next_diagnostic(cursor, &supervisor->warnings, CONTROL_WARNING, record);
			break;
		default:
			got = next_service(supervisor, cursor, record);
			break;
		}
	}
	return got;
}
