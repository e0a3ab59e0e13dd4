/*
 * service.c: brings what runs in line with what the table wants.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control_socket.h"
#include "listeners.h"
#include "logging.h"
#include "roll.h"
#include "servers.h"
#include "services.h"
#include "slots.h"

struct service *service_new(struct supervisor *s, const char *name)
{
	struct service *service = calloc(1, sizeof(*service));

	if (service == NULL)
		return NULL;
	service->index = index_take(s->service_used, BOARD_SERVICES, &s->service_turn);
	if (service->index == BOARD_NONE) {
		free(service);
		errno = ENOSPC;
		return NULL;
	}
	service->name = name;
	service->fresh = true;
	service->state_since_s = (uint32_t)time(NULL);
	return service;
}

void service_learn(struct service *service)
{
	if (service->more == NULL || service->want == NULL)
		return;
	service->more->stop_signal = service->want->server->stop_signal;
	service->more->stop_timeout_ms = service->want->server->stop_timeout_ms;
	service->more->drain_timeout_ms = service->want->dispatch->drain_timeout_ms;
}

struct service_more *service_more(struct service *service)
{
	if (service->more == NULL) {
		service->more = calloc(1, sizeof(*service->more));
		service_learn(service);
	}
	return service->more;
}

void service_free(struct supervisor *s, struct service *service)
{
	while (service->servers != NULL)
		server_remove(s, service->servers);
	while (service->listeners != NULL) {
		struct listener *listener = service->listeners;
		service->listeners = listener->next;
		listener_free(s, listener);
	}
	s->service_used[service->index] = 0;
	free(service->more);
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
	return want->server->instances;
}

unsigned service_ready_count(const struct supervisor *s, const struct service *service)
{
	unsigned count = 0;

	for (const struct server *server = service->servers; server != NULL; server = server->next)
		count += server->phase == PHASE_READY && !server_stalled(s, server);
	return count;
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
		/* A replaced one is not in its place any more. */
		if (!server->external && server->instance <= wanted && !server->replaced)
			there[server->instance] = true;
	for (unsigned instance = 1; instance <= wanted; instance++) {
		if (there[instance])
			continue;
		struct server *server = server_new(s, service, instance);
		if (server == NULL) {
			log_line(s, LEVEL_ERROR, service->name, "no memory to start server %u", instance);
			break;
		}
		server_start_soon(s, server);
	}
	free(there);
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
	roll_on(s, service);
}

bool service_has_own(const struct service *service)
{
	return service->want != NULL && service->want->start != START_EXTERNAL && service->want->has_server;
}

int service_up(struct supervisor *s, struct service *service)
{
	if (!service_has_own(service))
		return -EOPNOTSUPP;
	service->down = false;
	for (struct server *server = service->servers; server != NULL; server = server->next)
		if (!server->external && !server->retiring && server_is_at_rest(server))
			server_start_soon(s, server);
	service_reconcile(s, service);
	control_service_changed(s, service);
	return 0;
}

int service_down(struct supervisor *s, struct service *service)
{
	if (!service_has_own(service))
		return -EOPNOTSUPP;
	service->down = true;
	service_reconcile(s, service);
	control_service_changed(s, service);
	return 0;
}
