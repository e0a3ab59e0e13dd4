/*
 * death.c: what becomes of the connections of a server that is gone.  Those of a dead one are taken back as others have
 * room for them.  Until then they stay where they are, what it had not received in its pair, whose slot stays taken so
 * long: a dispatcher that dies meanwhile takes nothing of that along.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"
#include "untouched.h"

#define LAST_MESSAGES 4096 /* more than a pair can hold */
#define ALL UINT32_MAX

/* Received, and kept: only with the proof that no byte moved may another server have it. */
static enum untouched_verdict judge(const struct dispatcher *d, uint32_t index)
{
	const struct ledger_entry *entry = &d->ledger.entry[index];
	struct untouched_facts facts;
	if (entry->fd < 0 || entry->wire.kind != LUST_WIRE_TCP || untouched_read(entry->fd, &facts) < 0)
		return TOUCHED;
	return untouched_judge(&facts);
}

static bool is_held(const struct dispatcher *d, uint32_t index)
{
	return ledger_state(&d->ledger, index) == LEDGER_HELD;
}

static void give_back(struct dispatcher *d, struct server *server, uint32_t index)
{
	bool held = is_held(d, index);
	d->ledger.entry[index].had = true;
	d->ledger.entry[index].nonblocking = -1;
	ledger_unlink(&d->ledger, held ? &server->held : &server->sent, index);
	requeue(d, server->service, index);
	if (held)
		settle_returned(d, server);
}

static void end(struct dispatcher *d, struct server *server, uint32_t index, enum board_closed why)
{
	if (is_held(d, index)) {
		settle_died_held(d, server, index, why);
		return;
	}
	ledger_unlink(&d->ledger, &server->sent, index);
	settle_closed(d, index, why, server->slot);
}

static enum board_closed reason(enum untouched_verdict verdict)
{
	return verdict == CLIENT_LEFT ? CLOSED_CLIENT_LEFT : CLOSED_TOUCHED;
}

static uint32_t settle_list(struct dispatcher *d, struct server *server, const struct ledger_list *list,
			    uint32_t most)
{
	uint32_t given = 0;
	while (list->count && given < most) {
		enum untouched_verdict verdict = judge(d, list->first);
		if (verdict == UNTOUCHED) {
			give_back(d, server, list->first);
			given++;
		} else {
			end(d, server, list->first, reason(verdict));
		}
	}
	return given;
}

/* Of what was sent before that batch. */
static void end_list(struct dispatcher *d, struct server *server, const struct ledger_list *list,
		     uint32_t batch)
{
	uint32_t next;
	for (uint32_t index = list->first; index != LEDGER_NONE; index = next) {
		next = d->ledger.entry[index].next;
		enum untouched_verdict verdict = judge(d, index);
		if (verdict == CLIENT_LEFT || (verdict == TOUCHED && d->board->ledger[index].batch < batch))
			end(d, server, index, reason(verdict));
	}
}

/* It lives: what it has is its own.  What becomes of that, nobody will tell. */
static void leave_to_it(struct dispatcher *d, struct server *server)
{
	while (server->sent.count)
		settle_taken(d, server, server->sent.first);
	settle_release(d, server);
}

static void finish(struct dispatcher *d, struct server *server)
{
	uint32_t slot = server->slot, generation = server->generation;
	enum link_type answer = server->answer;
	if (server->denied)
		say_denied(server->ours, server->denied);
	else if (server->draining) /* withdrawn too; without it, one that lives would come back */
		say_owed(d, server, ~0U);
	settle_died(d, server);
	server_publish(server);
	report_server(d, EVENT_SERVER_GONE, server, server->given, 0);
	server_free(server);
	atomic_store(&d->board->servers[slot].state, BOARD_SERVER_NONE);
	if (answer)
		tell_slot(d, answer, slot, generation);
}

/* Takes back up to so many of a dead server's.  True: that was the last of it, and it is freed. */
static bool take_back(struct dispatcher *d, struct server *server, uint32_t most)
{
	uint32_t given = settle_list(d, server, &server->held, most); /* these have waited longest */
	if (given < most)
		given += withdraw_most(d, server, most - given);
	if (given < most) /* nothing lies in the pair any more: what is left was received */
		given += settle_list(d, server, &server->sent, most - given);
	server->given += given;
	if (server->held.count || server->sent.count) {
		server_publish(server);
		return false;
	}
	server->given += withdraw(d, server); /* what still lies there has ended, as far as is known here */
	finish(d, server);
	return true;
}

/* How many may be taken back now: those that can go out at once. */
static uint32_t room(struct dispatcher *d, struct service *service)
{
	uint64_t credits = choose_gather(service);
	if (credits && d->in_hand && d->in_hand + d->queued >= IN_HAND_MOST) {
		turn_hand_over(d);
		credits = choose_gather(service);
	}
	uint32_t here = d->in_hand + d->queued;
	/* Those of other services may fill the bound for long: one goes out all the same. */
	uint32_t most = here < IN_HAND_MOST ? IN_HAND_MOST - here : !service->queue.count;
	return credits < most ? (uint32_t)credits : most;
}

static void begin_waiting(struct dispatcher *d, struct server *server)
{
	/* What it received and nobody else may have needs no room: those clients are not kept waiting. */
	end_list(d, server, &server->held, ALL);
	end_list(d, server, &server->sent, withdraw_first(server));
	if (take_back(d, server, 0))
		return;
	settle_died(d, server);
	server_publish(server);
	server->answer = LINK_SLOT_FREE;
	tell_slot(d, LINK_SETTLING, server->slot, server->generation);
	requeue_watch(d, server->service);
}

static void settle_dead(struct dispatcher *d, struct server *server)
{
	server_unwatch(server);
	if (!server->cut)
		service_count_server(server->service, server, -1);
	server->cut = true;
	turn_server(d, server);
	server->going = DEATH_NONE;
	/* What goes back into its pair comes out one by one, if that has room for so many messages. */
	server->batch = server->sent.count <= LUST_WIRE_BATCH ? 1 : LUST_WIRE_BATCH;
	requeue_pump(d, server->service); /* what waits there already has its room first */
	bool at_once = !server->answer || server->service->removed;
	if (!take_back(d, server, at_once ? ALL : room(d, server->service)))
		begin_waiting(d, server);
}

static void settle_living(struct dispatcher *d, struct server *server)
{
	server->given += withdraw(d, server);
	leave_to_it(d, server);
	finish(d, server);
}

void death_settle(struct dispatcher *d, struct server *server, enum death_kind kind, enum link_type answer)
{
	server->answer = answer;
	if (server->settling) { /* told again, or it has to be at once after all */
		if (answer)
			tell_slot(d, LINK_SETTLING, server->slot, server->generation);
		else
			take_back(d, server, ALL);
		return;
	}
	server->settling = true;
	server->service->settling++;
	d->settling++;
	acknowledge_read(d, server, LAST_MESSAGES);
	server->given = server->staged.count;
	requeue_unsent(d, server);
	if (kind == DEATH_DEAD)
		settle_dead(d, server);
	else
		settle_living(d, server);
}

static struct server *first_settling(const struct service *service)
{
	for (uint32_t i = 0; i < service->server_count; i++)
		if (service->server[i]->settling)
			return service->server[i];
	return NULL;
}

void death_pump(struct dispatcher *d, struct service *service)
{
	uint32_t most;
	/* Those of a removed service are closed when they are taken back. */
	while (service->settling && (most = service->removed ? ALL : room(d, service)) > 0) {
		take_back(d, first_settling(service), most);
		requeue_pump(d, service);
	}
}

void death_sweep(struct dispatcher *d, struct service *service, bool lonely)
{
	struct server *server;
	while (lonely && (server = first_settling(service)))
		take_back(d, server, ALL);
	for (uint32_t i = service->server_count; service->settling && i-- > 0;) {
		server = service->server[i];
		if (!server->settling)
			continue;
		end_list(d, server, &server->held, 0);
		end_list(d, server, &server->sent, 0);
		take_back(d, server, 0);
	}
}
