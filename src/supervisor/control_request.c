/*
 * control_request.c: judges each request, does it, and makes the records of its answer.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_client.h"
#include "control_rights.h"
#include "control_wait.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static const char *const command_name[] = {
	[CONTROL_STATUS] = "status", [CONTROL_LIST] = "list",     [CONTROL_VERSION_ASKED] = "version",
	[CONTROL_STOP] = "stop",     [CONTROL_RELOAD] = "reload", [CONTROL_UP] = "up",
	[CONTROL_DOWN] = "down",     [CONTROL_ROLL] = "roll",     [CONTROL_SHOW] = "show --running",
};

/* The supplementary groups that the peer had when it connected: how many, or -errno. *groups is the caller's. */
static ssize_t peer_groups(int fd, gid_t **groups)
{
	socklen_t size = 64 * sizeof(gid_t);

	for (;;) {
		gid_t *bigger = realloc(*groups, size);

		if (!bigger)
			return -ENOMEM;
		*groups = bigger;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, *groups, &size) == 0)
			return (ssize_t)(size / sizeof(gid_t));
		/* ERANGE has set the size that is needed. */
		if (errno != ERANGE)
			return -errno;
	}
}

static bool permitted(const struct control_client *client)
{
	const struct table *table = client->supervisor->table;
	const struct control_rules rules = {geteuid(),
					    &table->admin_users,
					    &table->admin_groups,
					    &table->status_users,
					    &table->status_groups,
					    table->status_restricted};
	struct ucred credentials;
	struct control_peer peer;
	socklen_t size = sizeof(credentials);
	gid_t *groups = NULL;
	ssize_t count;
	bool yes;

	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	count = peer_groups(client->fd, &groups);
	peer = (struct control_peer){credentials.uid, credentials.gid, groups, count > 0 ? (size_t)count : 0};
	yes = control_permitted(&peer, &rules, client->request.command);
	free(groups);
	return yes;
}

/* The service that the request names, or NULL after it was answered. */
static struct service *named_service(struct control_client *client)
{
	struct service *service = service_find(client->supervisor, client->request.service);

	if (service && service->want)
		return service;
	client_answer(client, 64, "unknown service \"%s\"", client->request.service);
	return NULL;
}

static void do_status(struct control_client *client)
{
	const bool one = client->request.flags & CONTROL_ONE;

	if (one && !named_service(client))
		return;
	status_begin(&client->status, one ? client->request.service : NULL);
	client_answer(client, 0, "%s", "");
}

static void do_version(struct control_client *client)
{
	status_daemon(client->supervisor, &client->out);
	client->out_waits = true;
	client_answer(client, 0, "%s", "");
}

static void do_show(struct control_client *client)
{
	const bool reveal = control_is_owner(client->uid, geteuid());
	const struct service *service = named_service(client);
	size_t size;
	FILE *stream;

	if (!service)
		return;
	stream = open_memstream(&client->text, &size);
	if (!stream) {
		client_answer(client, 1, "show: %s", strerror(errno));
		return;
	}
	table_show(stream, client->supervisor->table, service->want, reveal);
	if (fclose(stream) != 0) {
		client_answer(client, 1, "show: %s", strerror(ENOMEM));
		return;
	}
	client->text_at = client->text;
	client_answer(client, 0, "%s", "");
}

/* Nothing is changed before the first table is in force, and nothing after the end has begun. */
static bool is_settled(struct control_client *client)
{
	if (client->supervisor->running && !client->supervisor->stopping)
		return true;
	client_answer(client, 1, "the daemon is %s",
		      client->supervisor->stopping ? "stopping" : "still starting; try again");
	return false;
}

static void do_reload(struct control_client *client)
{
	static const char *const text[] = {
		"the new table is in force, but not every address could be bound yet",
		"the table has mistakes; the old one stays in force"};
	int code;

	if (!is_settled(client))
		return;
	code = reload_table(client->supervisor, &client->lines);
	client_answer(client, code, "%s%s", code ? "reload: " : "", code == 0 ? "" : text[code == 78]);
}

static void do_stop(struct control_client *client)
{
	if (client->request.flags & CONTROL_ASK) {
		client_answer(client, 0, "%s", "");
		return;
	}
	/* Answered by control_close(), when everything else is gone. */
	client_wait(client, 0);
	stop_begin(client->supervisor, client->request.flags & CONTROL_NOW);
}

static bool is_meant(const struct control_client *client, const struct service *service)
{
	if (!service->want)
		return false;
	return !(client->request.flags & CONTROL_ONE) ||
	       fnmatch(client->request.service, service->name, 0) == 0;
}

/* Goes through the services from the first undone one on, as far as they are done. */
static void advance(struct control_client *client)
{
	struct service *service = client->supervisor->services;
	char why[CONTROL_WHY];

	if (client->undone[0]) {
		struct service *undone = service_find(client->supervisor, client->undone);

		if (undone)
			service = undone;
	}
	for (; service; service = service->next) {
		if (!is_meant(client, service))
			continue;
		switch (service_progress(service)) {
		case PROGRESS_DONE:
			continue;
		case PROGRESS_FAILED:
			control_wait_why(service, client->request.command, why);
			client_answer(client, 1, "%s", why);
			return;
		case PROGRESS_UNDER_WAY:
			status_copy_text(client->undone, sizeof(client->undone), service->name);
			return;
		}
	}
	client_answer(client, 0, "%s", "");
}

static int change_service(struct supervisor *supervisor, struct service *service,
			  enum control_command command)
{
	switch (command) {
	case CONTROL_UP:
		return service_up(supervisor, service);
	case CONTROL_DOWN:
		return service_down(supervisor, service);
	default:
		return service_roll(supervisor, service);
	}
}

/* All services that are meant: their longest limit in *limit_ms.  false after it was answered. */
static bool change_services(struct control_client *client, uint64_t *limit_ms)
{
	struct supervisor *supervisor = client->supervisor;
	const enum control_command command = client->request.command;
	unsigned count = 0;

	for (struct service *service = supervisor->services, *next; service; service = next) {
		uint64_t limit = control_wait_limit_ms(service, command);
		int error;

		next = service->next;
		if (!is_meant(client, service))
			continue;
		count++;
		if (limit > *limit_ms)
			*limit_ms = limit;
		error = change_service(supervisor, service, command);
		/* A pattern passes over services without servers of their own; a name does not. */
		if (error == 0 ||
		    (error == -EOPNOTSUPP && strcmp(client->request.service, service->name) != 0))
			continue;
		client_answer(client, 1, "%s: %s: %s", command_name[command], service->name,
			      error == -EOPNOTSUPP ? "its servers are started by others (start = external)"
						   : strerror(-error));
		return false;
	}
	if (count || !(client->request.flags & CONTROL_ONE))
		return true;
	client_answer(client, 64, "unknown service \"%s\"", client->request.service);
	return false;
}

static void do_servers(struct control_client *client)
{
	uint64_t limit_ms = 0;

	if (!is_settled(client) || !change_services(client, &limit_ms))
		return;
	client_wait(client, limit_ms);
	advance(client);
}

void request_handle(struct control_client *client)
{
	if (!permitted(client)) {
		client_answer(client, 4, "not permitted: %s is for root, the daemon's own user and %s",
			      command_name[client->request.command],
			      client->request.command <= CONTROL_VERSION_ASKED
				      ? "those in admin-users, admin-groups, status-users or status-groups"
				      : "those in admin-users or admin-groups");
		return;
	}
	switch ((enum control_command)client->request.command) {
	case CONTROL_STATUS:
		do_status(client);
		return;
	case CONTROL_LIST:
		status_begin_list(&client->status);
		client_answer(client, 0, "%s", "");
		return;
	case CONTROL_VERSION_ASKED:
		do_version(client);
		return;
	case CONTROL_STOP:
		do_stop(client);
		return;
	case CONTROL_RELOAD:
		do_reload(client);
		return;
	case CONTROL_SHOW:
		do_show(client);
		return;
	case CONTROL_UP:
	case CONTROL_DOWN:
	case CONTROL_ROLL:
		do_servers(client);
		return;
	}
}

void request_wait_ended(struct control_client *client)
{
	const struct service *service = service_find(client->supervisor, client->undone);
	char why[CONTROL_WHY];

	if (service && service->want) {
		control_wait_why(service, client->request.command, why);
		client_answer(client, 1, "%s", why);
	} else {
		advance(client);
	}
}

void request_service_changed(struct control_client *client, struct service *service)
{
	char why[CONTROL_WHY];

	if (client->phase != CLIENT_WAITING || client->request.command == CONTROL_STOP ||
	    !is_meant(client, service))
		return;
	if (service_progress(service) == PROGRESS_FAILED) {
		control_wait_why(service, client->request.command, why);
		client_answer(client, 1, "%s", why);
	} else if (strcmp(service->name, client->undone) == 0) {
		advance(client);
	}
}

/* The next line of `text`; it is cut up in place. */
static int next_text(struct control_client *client, struct control_record *record)
{
	char *line = client->text_at, *end;

	if (!line || !*line)
		return 0;
	end = strchrnul(line, '\n');
	client->text_at = *end ? end + 1 : end;
	*end = '\0';
	status_line(record, CONTROL_OUTPUT, line);
	return 1;
}

int request_next_record(struct control_client *client, struct control_record *record)
{
	int got = status_next(client->supervisor, &client->status, record);

	if (got)
		return got;
	if (client->line < client->lines.count) {
		status_line(record, CONTROL_LINE, client->lines.item[client->line++].text);
		return 1;
	}
	if (next_text(client, record))
		return 1;
	if (client->answered)
		return 0;
	client->answered = true;
	memset(record, 0, sizeof(*record));
	record->version = CONTROL_VERSION;
	record->type = CONTROL_RESULT;
	record->result = client->result;
	return 1;
}
