/*
 * invariant.c: do the counters, the lists and the ledger tell the same?  For tests, between two turns.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

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

/* Nobody may speak of what waits, and a new dispatcher finds whose it is by its mark. */
static const char *check_queue(const struct dispatcher *d, const struct service *service)
{
	const struct ledger_list *list = &service->queue;
	for (uint32_t index = list->first; index != LEDGER_NONE; index = d->ledger.entry[index].next)
		if (ledger_state(&d->ledger, index) != LEDGER_ACCEPTED)
			return "what waits for a server is marked as another one's";
	return check_list(d, list, service->index);
}

static const char *check_held(const struct dispatcher *d, const struct server *server)
{
	for (uint32_t index = server->held.first; index != LEDGER_NONE; index = d->ledger.entry[index].next) {
		if (ledger_state(&d->ledger, index) != LEDGER_HELD || d->ledger.entry[index].fd < 0)
			return "what is kept until DONE has no copy";
		if (d->board->ledger[index].slot != server->slot)
			return "a server holds what another one was given";
	}
	if ((uint64_t)server->held.count + server->inherited > server->active)
		return "more is kept until DONE than is active";
	return check_list(d, &server->held, server->service->index);
}

static const char *check_server(const struct dispatcher *d, const struct server *server)
{
	const struct board_server *board = &d->board->servers[server->slot];
	uint32_t service = server->service->index;
	const char *wrong = check_list(d, &server->staged, service);
	if (!wrong)
		wrong = check_list(d, &server->sent, service);
	if (!wrong)
		wrong = check_held(d, server);
	if (wrong)
		return wrong;
	if (atomic_load(&board->pending) != server_pending(server) ||
	    atomic_load(&board->active) != server->active)
		return "the board shows other numbers than the server has";
	return NULL;
}

struct entries {
	uint64_t pending, held, queued, settling;
};

static const char *check_counted(const struct service *service)
{
	uint32_t registered = 0, expected = 0;
	for (uint32_t i = 0; i < service->server_count; i++) {
		registered += service->server[i]->registered && !service->server[i]->cut;
		expected += !service->server[i]->registered && !service->server[i]->cut;
	}
	return service->registered == registered && service->expected == expected
		       ? NULL
		       : "a service has other numbers of servers than are in its list";
}

static const char *check_service(const struct dispatcher *d, const struct service *service,
				 struct entries *entries)
{
	const char *wrong = check_queue(d, service);
	uint64_t pending = service->queue.count, active = 0, settling = 0;
	for (uint32_t i = 0; i < service->server_count && !wrong; i++) {
		wrong = check_server(d, service->server[i]);
		pending += server_pending(service->server[i]);
		active += service->server[i]->active;
		entries->held += service->server[i]->held.count;
		settling += service->server[i]->settling;
	}
	entries->queued += service->queue.count;
	entries->settling += settling;
	if (!wrong && settling != service->settling)
		wrong = "a service counts other servers as settling than are in its list";
	if (!wrong)
		wrong = check_counted(service);
	if (!wrong)
		wrong = choose_broken(service);
	if (wrong)
		return wrong;
	struct board_reading reading;
	board_read_service(d->board, service->index, &reading);
	if (reading.pending != pending)
		return "accepted is not the sum of what became of it";
	if (reading.active != active)
		return "taken is not the sum of what became of it";
	entries->pending += pending;
	return NULL;
}

/* Before the first table. */
static void count_inherited(struct entries *entries, const struct inherited *inherited)
{
	entries->pending += inherited->sent.count;
	entries->held += inherited->held.count;
}

const char *invariant_broken(const struct dispatcher *d)
{
	struct entries entries = {0};
	for (uint32_t slot = 0; d->inherited && slot < BOARD_SLOTS; slot++)
		count_inherited(&entries, &d->inherited[slot]);
	entries.pending += d->inherited ? d->stray.count : 0;
	for (const struct service *service = service_next(d, NULL); service; service = service_next(d, service)) {
		const char *wrong = check_service(d, service, &entries);
		if (wrong)
			return wrong;
	}
	if (entries.queued != d->queued || entries.settling != d->settling)
		return "what is queued or settling is not the sum of the services'";
	if (entries.held != d->ledger.held)
		return "the ledger counts other entries as held than the servers";
	if (entries.pending + entries.held != atomic_load(&d->board->ledger_used))
		return "an entry of the ledger is in no list";
	return NULL;
}

void invariant_assert(const struct dispatcher *d)
{
	const char *wrong = invariant_broken(d);
	if (!wrong)
		return;
	fprintf(stderr, "lust-dispatcher: invariant broken: %s\n", wrong);
	abort();
}
