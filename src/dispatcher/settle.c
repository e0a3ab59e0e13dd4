/*
 * settle.c: how a connection is taken and how it leaves the ledger, and the counters that tell of it.  Each event
 * changes exactly one counter of the service.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher.h"
#include "fd_message.h"

static void count(board_count *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_release);
}

/* At once: the next dispatcher may have to go on from here. */
static void set_active(struct server *server, uint32_t active)
{
	server->active = active;
	atomic_store_explicit(&server->dispatcher->board->servers[server->slot].active, active,
			      memory_order_relaxed);
}

static struct board_service *board_of(struct dispatcher *d, uint32_t service)
{
	return &d->board->services[service];
}

/* A server that has had it may have set SO_LINGER; only TCP sockets would wait. */
static void close_copy(int fd, uint16_t kind)
{
	if (fd < 0)
		return;
	if (kind == LUST_WIRE_UNIX)
		close(fd);
	else
		lust_close_unlingered(fd);
}

/* Without the proof that only TCP gives, a copy would be of no use. */
static bool keeps(const struct dispatcher *d, const struct server *server, uint32_t index)
{
	const struct ledger_entry *entry = &d->ledger.entry[index];
	return server->service->set->acknowledge == LINK_ACK_DONE && entry->wire.kind == LUST_WIRE_TCP &&
	       entry->fd >= 0;
}

/* Without an entry it is one of a number, which DONE finds by the generation of its id. */
static void forget_id(const struct dispatcher *d, struct server *server, uint32_t index)
{
	server->inherited += LUST_ID_GENERATION(d->board->ledger[index].id) != d->ledger.generation;
}

static void release(struct dispatcher *d, uint32_t index)
{
	uint16_t kind = d->ledger.entry[index].wire.kind;
	close_copy(ledger_release(&d->ledger, index), kind);
}

/* The server answers for it from now on, and still has it, most of the time. */
static void release_taken(struct dispatcher *d, struct service *service, uint32_t index)
{
	uint16_t kind = d->ledger.entry[index].wire.kind;
	int fd = ledger_release(&d->ledger, index);
	if (fd >= 0 && kind == LUST_WIRE_TCP)
		linger_close(&d->linger, &service->caution, d->now_us, fd);
	else
		close_copy(fd, kind);
}

void settle_taken(struct dispatcher *d, struct server *server, uint32_t index)
{
	const struct board_entry *shared = &d->board->ledger[index];
	uint32_t service = shared->service;
	uint64_t accepted_us = shared->accepted_us;
	uint64_t taken_us = d->now_us > accepted_us ? d->now_us - accepted_us : 0;

	ledger_unlink(&d->ledger, &server->sent, index);
	count(&board_of(d, service)->taken, 1);
	count(&d->board->servers[server->slot].taken, 1);
	set_active(server, server->active + 1);
	board_measure(d->board->latency[service].taken, d->now_us / 1000, taken_us);
	if (keeps(d, server, index)) {
		ledger_hold(&d->ledger, index);
		ledger_append(&d->ledger, &server->held, index);
		return;
	}
	forget_id(d, server, index);
	release_taken(d, server->service, index);
}

void settle_done(struct dispatcher *d, struct server *server)
{
	set_active(server, server->active - 1);
	count(&service_board(d, server->service)->done, 1);
}

void settle_done_inherited(struct dispatcher *d, struct server *server, uint32_t by)
{
	server->inherited -= by;
	set_active(server, server->active - by);
	count(&service_board(d, server->service)->done, by);
}

void settle_done_held(struct dispatcher *d, struct server *server, uint32_t index)
{
	ledger_unlink(&d->ledger, &server->held, index);
	settle_done(d, server);
	release(d, index);
}

void settle_died(struct dispatcher *d, struct server *server)
{
	uint32_t died = server->active - server->held.count;
	server->inherited = 0;
	set_active(server, server->held.count);
	count(&service_board(d, server->service)->died, died);
}

void settle_returned(struct dispatcher *d, struct server *server)
{
	set_active(server, server->active - 1);
	atomic_fetch_sub_explicit(&service_board(d, server->service)->taken, 1, memory_order_release);
}

void settle_release(struct dispatcher *d, struct server *server)
{
	while (server->held.count) {
		uint32_t index = server->held.first;
		ledger_unlink(&d->ledger, &server->held, index);
		forget_id(d, server, index);
		release(d, index);
	}
}

/* As if accepted here: both sums hold, and it ends as DONE or with its server like all others. */
void settle_brought(struct dispatcher *d, struct server *server, uint32_t by)
{
	struct board_service *board = service_board(d, server->service);
	board_count_accepted(d->board, server->service->index, by);
	count(&board->taken, by);
	server->inherited += by;
	set_active(server, server->active + by);
}

static enum event_code closed_event(enum board_closed why)
{
	switch (why) {
	case CLOSED_CLIENT_LEFT:
		return EVENT_CLOSED_CLIENT_LEFT;
	case CLOSED_TOUCHED:
		return EVENT_CLOSED_TOUCHED;
	case CLOSED_SHUTDOWN:
		return EVENT_CLOSED_SHUTDOWN;
	case CLOSED_NO_SERVER:
	case CLOSED_COUNT:
		break;
	}
	return EVENT_CLOSED_NO_SERVER;
}

void settle_died_held(struct dispatcher *d, struct server *server, uint32_t index, enum board_closed why)
{
	report_entry(d, closed_event(why), index, server->slot);
	ledger_unlink(&d->ledger, &server->held, index);
	set_active(server, server->active - 1);
	count(&service_board(d, server->service)->died, 1);
	release(d, index);
}

void settle_closed(struct dispatcher *d, uint32_t index, enum board_closed why, uint32_t slot)
{
	report_entry(d, closed_event(why), index, slot);
	count(&board_of(d, d->board->ledger[index].service)->closed[why], 1);
	release(d, index);
}

void settle_lost(struct dispatcher *d, uint32_t index)
{
	report_entry(d, EVENT_LOST, index, d->board->ledger[index].slot);
	count(&board_of(d, d->board->ledger[index].service)->lost, 1);
	release(d, index);
}
