/*
 * service.c: the services that are known, and the servers of each.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatcher.h"

struct board_service *service_board(const struct dispatcher *d, const struct service *service)
{
	return &d->board->services[service->index];
}

/* A name is of one block with its service, and hardly ever changes. */
static struct service *rename_service(struct dispatcher *d, struct service *service, const char *name)
{
	struct service *renamed = malloc(sizeof(*renamed) + strlen(name) + 1);
	if (!renamed)
		return NULL;
	*renamed = *service;
	strcpy(renamed->name, name);
	for (struct listener *listener = renamed->listeners; listener; listener = listener->next)
		listener->service = renamed;
	for (uint32_t i = 0; i < renamed->server_count; i++)
		renamed->server[i]->service = renamed;
	d->service[renamed->index] = renamed;
	free(service);
	return renamed;
}

struct service *service_named(struct dispatcher *d, uint32_t index, const char *name)
{
	struct service *service = d->service[index];
	if (service)
		return strcmp(service->name, name) == 0 ? service : rename_service(d, service, name);
	service = calloc(1, sizeof(*service) + strlen(name) + 1);
	if (!service)
		return NULL;
	strcpy(service->name, name);
	service->index = index;
	service->set = &service_set_none;
	service->removed = true; /* until a table names it */
	service->queue = (struct ledger_list)LEDGER_LIST_EMPTY;
	d->service[index] = service;
	if (d->services_high <= index)
		d->services_high = index + 1;
	return service;
}

struct service *service_next(const struct dispatcher *d, const struct service *after)
{
	for (uint32_t index = after ? after->index + 1 : 0; index < d->services_high; index++)
		if (d->service[index])
			return d->service[index];
	return NULL;
}

void service_free_if_gone(struct dispatcher *d, struct service *service)
{
	if (!service->removed || service->server_count || service->queue.count || service->listeners)
		return;
	d->service[service->index] = NULL;
	service_set_release(d, service->set);
	free(service->server);
	choose_free(service->choosing);
	free(service);
}

struct service *service_by_name(const struct dispatcher *d, const char *name)
{
	for (struct service *service = service_next(d, NULL); service; service = service_next(d, service))
		if (!service->removed && strcmp(service->name, name) == 0)
			return service;
	return NULL;
}

bool service_add_server(struct service *service, struct server *server)
{
	if (service->server_count == service->server_room) {
		uint32_t room = service->server_room ? service->server_room * 2 : 1;
		struct server **servers = reallocarray(service->server, room, sizeof(*servers));
		if (!servers)
			return false;
		service->server = servers;
		service->server_room = room;
	}
	service->server[service->server_count++] = server;
	server->service = service;
	if (!choose_join(service, server)) {
		service->server_count--;
		return false;
	}
	service_count_server(service, server, 1);
	return true;
}

/* Its place is the last one's then: nobody else moves. */
void service_drop_server(struct service *service, struct server *server)
{
	uint32_t at = server->choice.at;
	choose_part(service, server);
	service->server_count--;
	service->server[at] = service->server[service->server_count];
	service->nonblocking_servers -= server->nonblocking;
	service_count_server(service, server, -1);
}

void service_count_server(struct service *service, const struct server *server, int by)
{
	if (!server->cut)
		*(server->registered ? &service->registered : &service->expected) += (uint32_t)by;
}

/* What it has at this moment is all that ever happened. */
void service_reset_counters(struct dispatcher *d, uint32_t index)
{
	const struct service *service = d->service[index];
	uint64_t pending = service->queue.count, active = 0;
	for (uint32_t i = 0; i < service->server_count; i++) {
		pending += server_pending(service->server[i]);
		active += service->server[i]->active;
	}
	board_reset_service(d->board, index, pending, active, (uint32_t)time(NULL));
}
