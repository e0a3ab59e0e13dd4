/*
 * snapshot.c: collects the records of `status`.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One more element behind `count`, zeroed; grows in powers of two. NULL: no memory. */
static void *more(void *array, size_t *count, size_t size)
{
	char **place = array;
	char *bigger = *place;

	if ((*count & (*count - 1)) == 0) {
		bigger = reallocarray(*place, *count ? 2 * *count : 1, size);
		if (!bigger)
			return NULL;
		*place = bigger;
	}
	return memset(bigger + size * (*count)++, 0, size);
}

static int add_line(char ***lines, size_t *count, const char *text)
{
	char **line = more(lines, count, sizeof(**lines));

	if (!line)
		return -ENOMEM;
	*line = strdup(text);
	if (*line)
		return 0;
	(*count)--;
	return -ENOMEM;
}

static int add_service(struct snapshot *snapshot, const struct control_service *from)
{
	struct snapshot_service *service = more(&snapshot->service, &snapshot->services, sizeof(*service));

	if (!service)
		return -ENOMEM;
	service->service = *from;
	return 0;
}

static int add_listener(struct snapshot *snapshot, const struct control_listener *from)
{
	struct snapshot_service *service;
	struct control_listener *listener;

	if (!snapshot->services)
		return -EPROTO;
	service = &snapshot->service[snapshot->services - 1];
	listener = more(&service->listener, &service->listeners, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	*listener = *from;
	return 0;
}

static int add_server(struct snapshot *snapshot, const struct control_server *from)
{
	struct snapshot_service *service;
	struct control_server *server;

	if (!snapshot->services)
		return -EPROTO;
	service = &snapshot->service[snapshot->services - 1];
	server = more(&service->server, &service->servers, sizeof(*server));
	if (!server)
		return -ENOMEM;
	*server = *from;
	return 0;
}

int snapshot_add(struct snapshot *snapshot, const struct control_record *record)
{
	switch (record->type) {
	case CONTROL_DAEMON:
		snapshot->daemon = record->daemon;
		return 0;
	case CONTROL_PROBLEM:
		return add_line(&snapshot->problem, &snapshot->problems, record->line.text);
	case CONTROL_WARNING:
		return add_line(&snapshot->warning, &snapshot->warnings, record->line.text);
	case CONTROL_SERVICE:
		return add_service(snapshot, &record->service);
	case CONTROL_LISTENER:
		return add_listener(snapshot, &record->listener);
	case CONTROL_SERVER:
		return add_server(snapshot, &record->server);
	default:
		return 0;
	}
}

static void free_lines(char **line, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(line[i]);
	free(line);
}

void snapshot_free(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->services; i++) {
		free(snapshot->service[i].listener);
		free(snapshot->service[i].server);
	}
	free(snapshot->service);
	free_lines(snapshot->problem, snapshot->problems);
	free_lines(snapshot->warning, snapshot->warnings);
	memset(snapshot, 0, sizeof(*snapshot));
}

bool snapshot_server_in_trouble(const struct control_server *server)
{
	return server->state == SERVER_FAILED || server->state == SERVER_BACKOFF ||
	       server->state == SERVER_STALLED;
}

bool snapshot_in_trouble(const struct snapshot_service *service)
{
	if (service->service.state < SERVICE_STARTING)
		return true;
	for (size_t i = 0; i < service->listeners; i++)
		if (!service->listener[i].bound)
			return true;
	return false;
}

bool snapshot_any_trouble(const struct snapshot *snapshot)
{
	if (snapshot->daemon.reload_s && !snapshot->daemon.reload_ok)
		return true;
	if (!snapshot->daemon.dispatcher_pid)
		return true;
	for (size_t i = 0; i < snapshot->services; i++)
		if (snapshot_in_trouble(&snapshot->service[i]))
			return true;
	return false;
}

static unsigned rank(const struct snapshot_service *service)
{
	/* A ready service with an address that is not bound comes with the troubled ones. */
	if (service->service.state >= SERVICE_STARTING && snapshot_in_trouble(service))
		return SERVICE_DEGRADED;
	return service->service.state;
}

static int compare(const void *first, const void *second)
{
	const struct snapshot_service *const *a = first, *const *b = second;
	unsigned rank_a = rank(*a), rank_b = rank(*b);

	if (rank_a != rank_b)
		return rank_a < rank_b ? -1 : 1;
	return *a < *b ? -1 : *a > *b;
}

void snapshot_sort(struct snapshot *snapshot)
{
	const struct snapshot_service **order = calloc(snapshot->services + 1, sizeof(const void *));
	struct snapshot_service *sorted = calloc(snapshot->services + 1, sizeof(*sorted));

	/* Without memory the order of the table does as well. */
	if (!order || !sorted) {
		free(order);
		free(sorted);
		return;
	}
	for (size_t i = 0; i < snapshot->services; i++)
		order[i] = &snapshot->service[i];
	qsort(order, snapshot->services, sizeof(*order), compare);
	for (size_t i = 0; i < snapshot->services; i++)
		sorted[i] = *order[i];
	free(order);
	free(snapshot->service);
	snapshot->service = sorted;
}
