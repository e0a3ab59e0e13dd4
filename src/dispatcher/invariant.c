/*
 * invariant.c: do the counters, the lists and the ledger tell the same?  For tests, between two turns.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"

static const char *check_list(const struct dispatcher *d, const struct ledger_list *list, uint32_t service)
{
	uint32_t count = 0;
	for (uint32_t index = list->first; index != LEDGER_NONE; index = d->ledger.entry[index].next) {
		if (ledger_state(&d->ledger, index) == LEDGER_FREE)
			return "a free entry is in a list";
		if (d->board->ledger[index].service != service)
			return "an entry is in a list of another service";
		if (++count > list->count)
			return "a list is longer than its count";
	}
	return count == list->count ? NULL : "a list is shorter than its count";
}

static const char *check_server(const struct dispatcher *d, const struct server *server)
{
	const struct board_server *board = &d->board->servers[server->slot];
	uint32_t service = server->service->set.service;
	const char *wrong = check_list(d, &server->staged, service);
	if (!wrong)
		wrong = check_list(d, &server->sent, service);
	if (wrong)
		return wrong;
	if (atomic_load(&board->pending) != server_pending(server) ||
	    atomic_load(&board->active) != server->active)
		return "the board shows other numbers than the server has";
	return NULL;
}

static const char *check_service(const struct dispatcher *d, const struct service *service, uint64_t *entries)
{
	const char *wrong = check_list(d, &service->queue, service->set.service);
	uint64_t pending = service->queue.count, active = 0;
	for (uint32_t i = 0; i < service->server_count && !wrong; i++) {
		wrong = check_server(d, service->server[i]);
		pending += server_pending(service->server[i]);
		active += service->server[i]->active;
	}
	if (wrong)
		return wrong;
	struct board_reading reading;
	board_read_service(d->board, service->set.service, &reading);
	if (reading.pending != pending)
		return "accepted is not the sum of what became of it";
	if (reading.active != active)
		return "taken is not the sum of what became of it";
	*entries += pending;
	return NULL;
}

const char *invariant_broken(const struct dispatcher *d)
{
	uint64_t entries = 0;
	for (uint32_t slot = 0; d->inherited && slot < BOARD_SLOTS; slot++)
		entries += d->inherited[slot].count; /* before the first table */
	for (const struct service *service = d->services; service; service = service->next) {
		const char *wrong = check_service(d, service, &entries);
		if (wrong)
			return wrong;
	}
	if (entries != atomic_load(&d->board->ledger_used))
		return "an entry of the ledger is in no list";
	return NULL;
}
