/*
 * death.c: what becomes of the connections of a server that is gone.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"
#include "untouched.h"

#define LAST_MESSAGES 4096 /* more than a pair can hold */

/* Received and not TAKEN: only with the proof that no byte moved may another server have it. */
static bool settle_received(struct dispatcher *d, struct server *server, uint32_t index)
{
	struct ledger_entry *entry = &d->ledger.entry[index];
	struct untouched_facts facts;
	enum untouched_verdict verdict = TOUCHED;
	if (entry->fd >= 0 && entry->wire.kind == LUST_WIRE_TCP && untouched_read(entry->fd, &facts) == 0)
		verdict = untouched_judge(&facts);
	switch (verdict) {
	case UNTOUCHED:
		entry->had = true;
		entry->nonblocking = -1;
		requeue(d, server->service, index);
		return true;
	case CLIENT_LEFT:
		settle_closed(d, index, CLOSED_CLIENT_LEFT, server->slot);
		return false;
	case TOUCHED:
		break;
	}
	settle_closed(d, index, CLOSED_TOUCHED, server->slot);
	return false;
}

static uint32_t settle_sent(struct dispatcher *d, struct server *server, enum death_kind kind)
{
	uint32_t given = 0;
	while (server->sent.count) {
		uint32_t index = server->sent.first;
		if (kind == DEATH_ALIVE) { /* its own; what becomes of it, nobody will tell */
			settle_taken(d, server, index);
			continue;
		}
		ledger_unlink(&d->ledger, &server->sent, index);
		given += settle_received(d, server, index);
	}
	return given;
}

void death_settle(struct dispatcher *d, struct server *server, enum death_kind kind, enum link_type answer)
{
	uint32_t slot = server->slot, generation = server->generation;
	server->settling = true;
	acknowledge_read(d, server, LAST_MESSAGES);
	uint32_t given = server->staged.count;
	requeue_unsent(d, server);
	given += withdraw(d, server);
	given += settle_sent(d, server, kind);
	if (server->denied)
		say_denied(server->ours, event_refusal_text(server->denied));
	settle_died(d, server, server->active);
	server_publish(server);
	report_server(d, EVENT_SERVER_GONE, server, given, 0);
	server_free(server);
	atomic_store(&d->board->servers[slot].state, BOARD_SERVER_NONE);
	if (answer)
		tell_slot(d, answer, slot, generation);
}
