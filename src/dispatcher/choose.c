/*
 * choose.c: credits of a service's servers, and the choice among them.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"

#define OUTSIDE UINT32_C(0x80000000) /* servers without an instance are told apart by slot */

static struct candidate describe(const struct server *server)
{
	return (struct candidate){
		.slot = server->slot,
		.name = server->instance ? server->instance : OUTSIDE | server->slot,
		.credits = server_credits(server),
		.load = server_pending(server) + server->active,
	};
}

/* Late ones count only when nobody else has a credit: a stopped server must not swallow a window of clients. */
uint64_t choose_gather(struct service *service)
{
	uint64_t prompt = 0, late = 0;
	for (uint32_t i = 0; i < service->server_count; i++) {
		const struct server *server = service->server[i];
		service->candidate[i] = describe(server);
		if (!service->candidate[i].credits)
			continue;
		service->candidate[i].late = stall_late(server->dispatcher, server);
		*(service->candidate[i].late ? &late : &prompt) += service->candidate[i].credits;
	}
	if (!prompt)
		return late;
	for (uint32_t i = 0; late && i < service->server_count; i++)
		if (service->candidate[i].late)
			service->candidate[i].credits = 0;
	return prompt;
}

/* From where the next turn begins: among a thousand with credits the first one answers. */
bool choose_any(const struct service *service)
{
	for (uint32_t step = 0; step < service->server_count; step++)
		if (server_credits(service->server[(service->turn + step) % service->server_count]))
			return true;
	return false;
}

static struct candidate *candidate_of(struct service *service, uint32_t slot)
{
	for (uint32_t i = 0; i < service->server_count; i++)
		if (service->candidate[i].slot == slot)
			return &service->candidate[i];
	return NULL;
}

static uint32_t choose(struct service *service, const struct ledger_entry *entry)
{
	uint64_t key = balance_key(entry->wire.peer, sizeof(entry->wire.peer));
	return balance_choose((enum link_balance)service->set.balance, service->candidate,
			      service->server_count, &service->turn, key);
}

struct server *choose_server(struct service *service, const struct ledger_entry *entry)
{
	struct candidate *avoided = NULL;
	uint32_t kept = 0;
	/* To another server than the one that refused it, if there is another. */
	if (entry->avoid != BOARD_NONE && service->registered > 1)
		avoided = candidate_of(service, entry->avoid);
	if (avoided) {
		kept = avoided->credits;
		avoided->credits = 0;
	}
	uint32_t at = choose(service, entry);
	if (avoided)
		avoided->credits = kept;
	if (at == BALANCE_NOBODY)
		return NULL;
	service->candidate[at].credits--;
	service->candidate[at].load++;
	return service->server[at];
}
