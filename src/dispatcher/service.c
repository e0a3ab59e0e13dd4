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
	return &d->board->services[service->set.service];
}

struct service *service_new(struct dispatcher *d, uint32_t index)
{
	struct service *service = calloc(1, sizeof(*service));
	if (!service)
		return NULL;
	service->set.service = index;
	service->removed = true; /* until a table names it */
	service->queue = (struct ledger_list)LEDGER_LIST_EMPTY;
	service->next = d->services;
	if (d->services)
		d->services->previous = service;
	d->services = service;
	d->service[index] = service;
	return service;
}

void service_free_if_gone(struct dispatcher *d, struct service *service)
{
	if (!service->removed || service->server_count || service->queue.count || service->listeners)
		return;
	if (service->previous)
		service->previous->next = service->next;
	else
		d->services = service->next;
	if (service->next)
		service->next->previous = service->previous;
	d->service[service->set.service] = NULL;
	free(service->rule);
	free(service->server);
	free(service->candidate);
	free(service);
}

struct service *service_by_name(const struct dispatcher *d, const char *name)
{
	for (struct service *service = d->services; service; service = service->next)
		if (!service->removed && strcmp(service->set.name, name) == 0)
			return service;
	return NULL;
}

bool service_add_server(struct service *service, struct server *server)
{
	if (service->server_count == service->server_room) {
		uint32_t room = service->server_room ? service->server_room * 2 : 4;
		struct server **servers = reallocarray(service->server, room, sizeof(*servers));
		if (!servers)
			return false;
		service->server = servers;
		struct candidate *candidates = reallocarray(service->candidate, room, sizeof(*candidates));
		if (!candidates)
			return false;
		service->candidate = candidates;
		service->server_room = room;
	}
	service->server[service->server_count++] = server;
	return true;
}

void service_drop_server(struct service *service, struct server *server)
{
	uint32_t at = 0;
	while (service->server[at] != server)
		at++;
	service->server_count--;
	memmove(service->server + at, service->server + at + 1,
		(service->server_count - at) * sizeof(struct server *));
	service->nonblocking_servers -= server->nonblocking;
}

uint32_t service_registered(const struct service *service)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < service->server_count; i++)
		count += service->server[i]->registered && !service->server[i]->cut;
	return count;
}

uint32_t service_expected(const struct service *service)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < service->server_count; i++)
		count += !service->server[i]->registered && !service->server[i]->cut;
	return count;
}

static void reset(board_count *count, uint64_t value)
{
	atomic_store_explicit(count, value, memory_order_release);
}

/* What it has at this moment is all that ever happened. */
void service_reset_counters(struct dispatcher *d, uint32_t index)
{
	const struct service *service = d->service[index];
	struct board_service *board = &d->board->services[index];
	uint64_t pending = service->queue.count, active = 0;
	for (uint32_t i = 0; i < service->server_count; i++) {
		pending += server_pending(service->server[i]);
		active += service->server[i]->active;
	}
	reset(&board->done, 0);
	reset(&board->died, 0);
	reset(&board->lost, 0);
	reset(&board->redispatched, 0);
	reset(&board->full_since_ms, 0);
	for (unsigned i = 0; i < DENIED_COUNT; i++)
		reset(&board->denied[i], 0);
	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		reset(&board->closed[i], 0);
	reset(&board->taken, active);
	reset(&board->accepted, pending + active);
	reset(&board->since_s, (uint64_t)time(NULL));
	for (unsigned i = 0; i < BOARD_WINDOWS; i++) { /* epoch 0: stale */
		reset(&d->board->latency[index].taken[i].epoch, 0);
		reset(&d->board->latency[index].waited[i].epoch, 0);
	}
}
