/*
 * death.c: what becomes of the connections of a server that is gone.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"
#include "untouched.h"

#define LAST_MESSAGES 4096 /* more than a pair can hold */

/* Received, and kept: only with the proof that no byte moved may another server have it. */
static bool settle_received(struct dispatcher *d, struct server *server, uint32_t index)
{
	struct ledger_entry *entry = &d->ledger.entry[index];
	bool held = ledger_state(&d->ledger, index) == LEDGER_HELD;
	struct untouched_facts facts;
	enum untouched_verdict verdict = TOUCHED;
	if (entry->fd >= 0 && entry->wire.kind == LUST_WIRE_TCP && untouched_read(entry->fd, &facts) == 0)
		verdict = untouched_judge(&facts);
	if (verdict == UNTOUCHED) {
		entry->had = true;
		entry->nonblocking = -1;
		ledger_unlink(&d->ledger, held ? &server->held : &server->sent, index);
		requeue(d, server->service, index);
		if (held)
			settle_returned(d, server);
		return true;
	}
	enum board_closed why = verdict == CLIENT_LEFT ? CLOSED_CLIENT_LEFT : CLOSED_TOUCHED;
	if (held) {
		settle_died_held(d, server, index, why);
	} else {
		ledger_unlink(&d->ledger, &server->sent, index);
		settle_closed(d, index, why, server->slot);
	}
	return false;
}

static uint32_t settle_list(struct dispatcher *d, struct server *server, const struct ledger_list *list)
{
	uint32_t given = 0;
	while (list->count)
		given += settle_received(d, server, list->first);
	return given;
}

/* It lives: what it has is its own.  What becomes of that, nobody will tell. */
static void leave_to_it(struct dispatcher *d, struct server *server)
{
	while (server->sent.count)
		settle_taken(d, server, server->sent.first);
	settle_release(d, server);
}

void death_settle(struct dispatcher *d, struct server *server, enum death_kind kind, enum link_type answer)
{
	uint32_t slot = server->slot, generation = server->generation;
	server->settling = true;
	acknowledge_read(d, server, LAST_MESSAGES);
	uint32_t given = server->staged.count;
	requeue_unsent(d, server);
	if (kind == DEATH_DEAD) /* these have waited longest */
		given += settle_list(d, server, &server->held);
	given += withdraw(d, server);
	if (kind == DEATH_DEAD)
		given += settle_list(d, server, &server->sent);
	else
		leave_to_it(d, server);
	if (server->denied)
		say_denied(server->ours, server->denied);
	else if (server->draining) /* withdrawn too; without it, one that lives would come back */
		say_owed(d, server, ~0U);
	settle_died(d, server);
	server_publish(server);
	report_server(d, EVENT_SERVER_GONE, server, given, 0);
	server_free(server);
	atomic_store(&d->board->servers[slot].state, BOARD_SERVER_NONE);
	if (answer)
		tell_slot(d, answer, slot, generation);
}
