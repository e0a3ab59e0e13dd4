/*
 * service.c: brings what runs in line with what the table wants.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor.h"

struct service *service_new(struct supervisor *s, const char *name)
{
	struct service *service = calloc(1, sizeof(*service));

	if (service == NULL)
		return NULL;
	service->index = index_take(s->service_used, BOARD_SERVICES, &s->service_next);
	if (service->index == BOARD_NONE) {
		free(service);
		errno = ENOSPC;
		return NULL;
	}
	snprintf(service->name, sizeof(service->name), "%s", name);
	service->fresh = true;
	service->state_since_s = (uint64_t)time(NULL);
	return service;
}

void service_free(struct supervisor *s, struct service *service)
{
	while (service->servers != NULL)
		server_remove(s, service->servers);
	while (service->listeners != NULL) {
		struct listener *listener = service->listeners;
		service->listeners = listener->next;
		listen_close(s, listener);
		s->listener_used[listener->index] = 0;
		free(listener);
	}
	s->service_used[service->index] = 0;
	free(service);
}

void service_sweep(struct supervisor *s)
{
	for (struct service **at = &s->services; *at != NULL;) {
		struct service *service = *at;
		if (service->want != NULL || service->servers != NULL || slot_of_service(s, service->index)) {
			at = &service->next;
			continue;
		}
		*at = service->next;
		service_free(s, service);
	}
}

struct service *service_find(struct supervisor *s, const char *name)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		if (service->want != NULL && strcmp(service->name, name) == 0)
			return service;
	return NULL;
}

unsigned service_wanted(const struct service *service)
{
	const struct table_service *want = service->want;

	if (want == NULL || service->down || want->start == START_EXTERNAL || !want->has_server)
		return 0;
	return want->server.instances;
}

unsigned service_ready_count(const struct supervisor *s, const struct service *service)
{
	unsigned count = 0;

	for (const struct server *server = service->servers; server != NULL; server = server->next)
		count += server->phase == PHASE_READY && !server_stalled(s, server);
	return count;
}

static void start_now(struct supervisor *s, struct server *server)
{
	/* By its timer, so that a thousand starts do not keep the loop from everybody else. */
	server->failures = 0;
	server->last_exit[0] = '\0';
	server_phase(s, server, PHASE_BACKOFF, 1);
}

static bool is_at_rest(const struct server *server)
{
	return server->phase == PHASE_BACKOFF || server->phase == PHASE_STOPPED ||
	       server->phase == PHASE_FAILED;
}

/* Too many, or of a service that is gone: servers from outside go only with their service. */
static void retire(struct supervisor *s, struct service *service, unsigned wanted)
{
	for (struct server *server = service->servers, *next; server != NULL; server = next) {
		next = server->next;
		bool surplus = server->external ? service->want == NULL : server->instance > wanted;
		if (surplus && !server->retiring)
			server_stop(s, server, true);
	}
}

static void fill_up(struct supervisor *s, struct service *service, unsigned wanted)
{
	bool *there = calloc((size_t)wanted + 1, sizeof(*there));

	if (there == NULL) {
		log_line(s, LEVEL_ERROR, service->name, "no memory to start its servers");
		return;
	}
	for (struct server *server = service->servers; server != NULL; server = server->next)
		if (!server->external && server->instance <= wanted)
			there[server->instance] = true;
	for (unsigned instance = 1; instance <= wanted; instance++) {
		if (there[instance])
			continue;
		struct server *server = server_new(s, service, instance);
		if (server == NULL) {
			log_line(s, LEVEL_ERROR, service->name, "no memory to start server %u", instance);
			break;
		}
		start_now(s, server);
	}
	free(there);
}

/*
 * One after another: the next server of an older generation is stopped when all others are well.  The place that it
 * leaves is filled by service_reconcile() at its end.  One that does not come up again holds the rest back:
 * they go on serving as they are.
 */
static void roll_on(struct supervisor *s, struct service *service)
{
	struct server *next = NULL;

	for (struct server *server = service->servers; server != NULL; server = server->next) {
		if (server->external)
			continue;
		bool outdated = server->built != service->generation;
		if (server->retiring ||
		    (!outdated && server->phase != PHASE_READY && server->phase != PHASE_STOPPED))
			return;
		if (outdated && server->phase != PHASE_STOPPING && server->phase != PHASE_KILLING &&
		    next == NULL)
			next = server;
	}
	if (next != NULL)
		server_stop(s, next, true);
}

/* What does not run starts with the new settings at once. */
static void refresh_resting(struct supervisor *s, struct service *service)
{
	for (struct server *server = service->servers; server != NULL; server = server->next) {
		if (server->external || server->built == service->generation || !is_at_rest(server))
			continue;
		server->built = service->generation;
		start_now(s, server);
	}
}

void service_reconcile(struct supervisor *s, struct service *service)
{
	unsigned wanted = s->stopping ? 0 : service_wanted(service);

	if (!s->running)
		return;
	retire(s, service, wanted);
	if (s->stopping || service->want == NULL)
		return;
	fill_up(s, service, wanted);
	refresh_resting(s, service);
	roll_on(s, service);
}

static bool has_own_servers(const struct service *service)
{
	return service->want != NULL && service->want->start != START_EXTERNAL && service->want->has_server;
}

int service_up(struct supervisor *s, struct service *service)
{
	if (!has_own_servers(service))
		return -EOPNOTSUPP;
	service->down = false;
	for (struct server *server = service->servers; server != NULL; server = server->next)
		if (!server->external && !server->retiring && is_at_rest(server))
			start_now(s, server);
	service_reconcile(s, service);
	control_service_changed(s, service);
	return 0;
}

int service_down(struct supervisor *s, struct service *service)
{
	if (!has_own_servers(service))
		return -EOPNOTSUPP;
	service->down = true;
	service_reconcile(s, service);
	control_service_changed(s, service);
	return 0;
}

int service_roll(struct supervisor *s, struct service *service)
{
	if (!has_own_servers(service))
		return -EOPNOTSUPP;
	service->down = false;
	service->generation++;
	service_reconcile(s, service);
	control_service_changed(s, service);
	return 0;
}
