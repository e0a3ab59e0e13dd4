/*
 * settle.c: how a connection leaves the ledger, and the counters that tell of it.  Each event changes exactly one
 * counter of the service.
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

/* A server may have set SO_LINGER before its TAKEN was read here; only TCP sockets would wait. */
static void close_copy(int fd, uint16_t kind)
{
	if (fd < 0)
		return;
	if (kind == LUST_WIRE_UNIX)
		close(fd);
	else
		lust_close_unlingered(fd);
}

void settle_taken(struct dispatcher *d, struct server *server, uint32_t index)
{
	const struct board_entry *shared = &d->board->ledger[index];
	uint32_t service = shared->service;
	uint16_t kind = d->ledger.entry[index].wire.kind;
	uint64_t accepted_us = shared->accepted_us;
	uint64_t taken_us = d->now_us > accepted_us ? d->now_us - accepted_us : 0;

	ledger_unlink(&d->ledger, &server->sent, index);
	count(&board_of(d, service)->taken, 1);
	count(&d->board->servers[server->slot].taken, 1);
	set_active(server, server->active + 1);
	int fd = ledger_release(&d->ledger, index);
	board_measure(d->board->latency[service].taken, d->now_us / 1000, taken_us);
	close_copy(fd, kind);
}

static uint32_t lower_active(struct server *server, uint32_t by)
{
	if (by > server->active)
		by = server->active;
	set_active(server, server->active - by);
	return by;
}

void settle_done(struct dispatcher *d, struct server *server, uint32_t by)
{
	count(&service_board(d, server->service)->done, lower_active(server, by));
}

void settle_died(struct dispatcher *d, struct server *server, uint32_t by)
{
	count(&service_board(d, server->service)->died, lower_active(server, by));
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

void settle_closed(struct dispatcher *d, uint32_t index, enum board_closed why, uint32_t slot)
{
	uint16_t kind = d->ledger.entry[index].wire.kind;
	report_entry(d, closed_event(why), index, slot);
	count(&board_of(d, d->board->ledger[index].service)->closed[why], 1);
	close_copy(ledger_release(&d->ledger, index), kind);
}

void settle_lost(struct dispatcher *d, uint32_t index)
{
	uint16_t kind = d->ledger.entry[index].wire.kind;
	report_entry(d, EVENT_LOST, index, d->board->ledger[index].slot);
	count(&board_of(d, d->board->ledger[index].service)->lost, 1);
	close_copy(ledger_release(&d->ledger, index), kind);
}
