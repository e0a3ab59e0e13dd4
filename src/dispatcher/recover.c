/*
 * recover.c: a new dispatcher finds on the board what a dead one had accepted.  Its descriptors died with it; what it
 * had sent is in a pair, where it can be taken back, or with a server.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatcher.h"
#include "fd_message.h"

static void inherit_entry(struct dispatcher *d, uint32_t index)
{
	const struct board_entry *shared = &d->board->ledger[index];
	struct ledger_entry *entry = &d->ledger.entry[index];
	*entry = (struct ledger_entry){
		.fd = -1,
		.next = LEDGER_NONE,
		.prev = LEDGER_NONE,
		.avoid = BOARD_NONE,
		.nonblocking = -1,
		.had = true,
		.since_us = d->now_us,
	};
	entry->wire.id = shared->id;
	bool held = ledger_state(&d->ledger, index) == LEDGER_HELD;
	d->ledger.held += held;
	if (shared->service >= BOARD_SERVICES || (held && shared->slot >= BOARD_SLOTS))
		(void)ledger_release(&d->ledger, index); /* never written whole */
	else if (held)
		ledger_append(&d->ledger, &d->inherited[shared->slot].held, index);
	else if (ledger_state(&d->ledger, index) == LEDGER_ACCEPTED || shared->slot >= BOARD_SLOTS)
		ledger_append(&d->ledger, &d->stray, index);
	else
		ledger_append(&d->ledger, &d->inherited[shared->slot].sent, index);
}

/* accept4() had a connection, or was about to find none: in doubt it is told. */
static void settle_accepting(struct dispatcher *d)
{
	uint32_t mark = atomic_exchange(&d->board->accepting, 0);
	if (mark == 0 || mark > BOARD_SERVICES)
		return;
	struct board_service *board = &d->board->services[mark - 1];
	board_count_accepted(d->board, mark - 1, 1);
	atomic_fetch_add(&board->lost, 1);
	report(d, &(struct event){.code = EVENT_LOST, .service = mark - 1, .slot = BOARD_NONE});
}

void recover_begin(struct dispatcher *d)
{
	settle_accepting(d);
	d->inherited = calloc(BOARD_SLOTS, sizeof(*d->inherited));
	if (!d->inherited)
		abort(); /* the supervisor starts another one */
	for (uint32_t slot = 0; slot < BOARD_SLOTS; slot++)
		d->inherited[slot] = (struct inherited){LEDGER_LIST_EMPTY, LEDGER_LIST_EMPTY};
	d->stray = (struct ledger_list)LEDGER_LIST_EMPTY;
	uint32_t left = atomic_load(&d->board->ledger_used);
	for (uint32_t index = 0; index < BOARD_LEDGER && left; index++) {
		if (ledger_state(&d->ledger, index) == LEDGER_FREE)
			continue;
		left--;
		inherit_entry(d, index);
	}
	/* The dead one may have freed an entry and not counted it. */
	atomic_fetch_sub(&d->board->ledger_used, left);
}

static void drop_kept(struct dispatcher *d, struct ledger_list *list)
{
	uint32_t index = list->first;
	ledger_unlink(&d->ledger, list, index);
	int fd = ledger_release(&d->ledger, index);
	if (fd >= 0)
		lust_close_unlingered(fd);
}

static void lose_inherited(struct dispatcher *d, uint32_t slot)
{
	struct ledger_list *list = &d->inherited[slot].sent;
	while (list->count) {
		uint32_t index = list->first;
		ledger_unlink(&d->ledger, list, index);
		settle_lost(d, index);
	}
	for (list = &d->inherited[slot].held; list->count;)
		drop_kept(d, list);
}

/*
 * The copies that a dispatcher kept until DONE died with it: the connections go on at their server, who tells how many
 * it holds.  Those that it handed up are here again.
 */
static void inherit_held(struct dispatcher *d, struct server *server)
{
	struct ledger_list *list = &d->inherited[server->slot].held;
	while (list->count) {
		uint32_t index = list->first;
		bool kept = d->ledger.entry[index].fd >= 0 && server->inherited &&
			    server->service->set->acknowledge == LINK_ACK_DONE;
		if (!kept) {
			drop_kept(d, list);
			continue;
		}
		ledger_unlink(&d->ledger, list, index);
		ledger_append(&d->ledger, &server->held, index);
		server->inherited--;
	}
}

static void start_afresh(struct board_server *board, const struct server *server)
{
	atomic_store(&board->capacity, 0);
	atomic_store(&board->pending, 0);
	atomic_store(&board->active, 0);
	atomic_store(&board->last_batch, 0);
	atomic_store(&board->taken, 0);
	atomic_store(&board->refused, 0);
	atomic_store(&board->stalls, 0);
	atomic_store(&board->pid, server->pid);
	atomic_store(&board->service, server->service->index);
	atomic_store(&board->generation, server->generation);
}

void recover_server(struct dispatcher *d, struct server *server)
{
	struct board_server *board = &d->board->servers[server->slot];
	if (atomic_load(&d->board->slots_high) <= server->slot)
		atomic_store(&d->board->slots_high, server->slot + 1);
	server->kept = atomic_load(&board->state) != BOARD_SERVER_NONE &&
		       atomic_load(&board->generation) == server->generation;
	if (!server->kept) {
		if (d->inherited) /* of who had the slot before */
			lose_inherited(d, server->slot);
		start_afresh(board, server);
		server_publish(server);
		return;
	}
	server->active = server->inherited = atomic_load(&board->active);
	server->last_batch = atomic_load(&board->last_batch);
	server->accounted = false;
	if (d->inherited) {
		server->sent = d->inherited[server->slot].sent;
		d->inherited[server->slot].sent = (struct ledger_list)LEDGER_LIST_EMPTY;
		inherit_held(d, server);
	}
	server_publish(server);
}

/* Of what was sent, the oldest: TAKEN and DONE, and its dispatcher died with both. */
static void end_sent(struct dispatcher *d, struct server *server)
{
	uint32_t index = server->sent.first;
	settle_taken(d, server, index);
	if (ledger_state(&d->ledger, index) == LEDGER_HELD)
		settle_done_held(d, server, index);
	else
		settle_done_inherited(d, server, 1);
}

/*
 * The server counts what it holds; whatever else was here has ended, or never arrived.  What it holds beyond what is
 * known here comes from a former daemon: one from outside has survived that.
 */
void recover_account(struct dispatcher *d, struct server *server, uint32_t held, uint32_t last_batch)
{
	uint32_t next;
	for (uint32_t index = server->sent.first; index != LEDGER_NONE; index = next) {
		next = d->ledger.entry[index].next;
		if (d->board->ledger[index].batch <= last_batch)
			continue;
		ledger_unlink(&d->ledger, &server->sent, index);
		settle_lost(d, index);
	}
	uint64_t known = (uint64_t)server->active + server->sent.count;
	uint32_t ended = known > held ? (uint32_t)(known - held) : 0;
	/* Which of them have ended, nobody knows; a copy of one that has would keep its client waiting for the end. */
	if (ended)
		settle_release(d, server);
	uint32_t of_active = ended < server->inherited ? ended : server->inherited;
	settle_done_inherited(d, server, of_active);
	for (ended -= of_active; ended && server->sent.count; ended--)
		end_sent(d, server);
	if (held > known)
		settle_brought(d, server, (uint32_t)(held - known));
	server->accounted = true;
}

/* Servers are not trusted: whatever came goes to another one. */
static bool is_connection(int fd, uint16_t family)
{
	int domain = 0, type = 0, listening = 0;
	socklen_t length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0)
		return false;
	/* IPv4 clients of an IPv6 listener. */
	bool same = (domain == AF_UNIX) == (family == AF_UNIX);
	return same && type == SOCK_STREAM && !listening;
}

bool recover_descriptor(struct dispatcher *d, uint32_t index, int fd)
{
	if (!is_connection(fd, d->board->ledger[index].family))
		return false;
	struct ledger_entry *entry = &d->ledger.entry[index];
	entry->fd = fd;
	d->ledger.fds++;
	arrival_rebuild(fd, &d->board->ledger[index], &entry->wire);
	return true;
}

void recover_held(struct dispatcher *d, const struct link_held *held, int fd)
{
	bool waits = d->inherited && ledger_state(&d->ledger, held->index) != LEDGER_FREE &&
		     d->board->ledger[held->index].id == held->id && d->ledger.entry[held->index].fd < 0;
	if (!waits || !recover_descriptor(d, held->index, fd)) {
		lust_close_unlingered(fd);
		return;
	}
	d->ledger.entry[held->index].nonblocking = -1;
}

/* What a dead dispatcher had accepted and not sent died with it; one that left in peace handed it up. */
static void settle_strays(struct dispatcher *d)
{
	while (d->stray.count) {
		uint32_t index = d->stray.first, number = d->board->ledger[index].service;
		ledger_unlink(&d->ledger, &d->stray, index);
		if (d->ledger.entry[index].fd < 0)
			settle_lost(d, index);
		else if (d->service[number])
			requeue(d, d->service[number], index);
		else
			settle_closed(d, index, CLOSED_NO_SERVER, BOARD_NONE);
	}
}

/* A server that the supervisor does not know any more. */
static void settle_strangers(struct dispatcher *d)
{
	uint32_t high = atomic_load(&d->board->slots_high);
	for (uint32_t slot = 0; slot < BOARD_SLOTS; slot++) {
		lose_inherited(d, slot);
		if (slot < high && !d->server[slot])
			atomic_store(&d->board->servers[slot].state, BOARD_SERVER_NONE);
	}
}

/* A crash between two counters of one event leaves a sum wrong by one: the servers and the ledger are right. */
static void reconcile(struct dispatcher *d, const struct service *service)
{
	struct board_service *board = service_board(d, service);
	uint64_t pending = service->queue.count, active = 0, left = 0;
	for (uint32_t i = 0; i < service->server_count; i++) {
		pending += server_pending(service->server[i]);
		active += service->server[i]->active;
	}
	if (pending + active == 0 && !board_counted(d->board, service->index))
		return;
	board_count_accepted(d->board, service->index, 0);
	uint64_t ended = atomic_load(&board->done) + atomic_load(&board->died),
		 taken = atomic_load(&board->taken);
	if (taken > ended + active)
		atomic_fetch_add(&board->died, taken - ended - active);
	else
		atomic_fetch_add(&board->taken, ended + active - taken);

	for (unsigned i = 0; i < DENIED_COUNT; i++)
		left += atomic_load(&board->denied[i]);
	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		left += atomic_load(&board->closed[i]);
	left += atomic_load(&board->taken) + atomic_load(&board->lost) + pending;
	uint64_t accepted = atomic_load(&board->accepted);
	if (accepted > left)
		atomic_fetch_add(&board->lost, accepted - left);
	else
		atomic_fetch_add(&board->accepted, left - accepted);
}

void recover_end(struct dispatcher *d)
{
	settle_strangers(d);
	settle_strays(d);
	for (struct service *service = service_next(d, NULL); service; service = service_next(d, service))
		reconcile(d, service);
	free(d->inherited);
	d->inherited = NULL;
}
