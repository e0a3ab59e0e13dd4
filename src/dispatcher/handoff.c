/*
 * handoff.c: connections join the batch of their server and go out at the end of the loop turn.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "dispatcher.h"
#include "fd_message.h"

/* O_NONBLOCK belongs to the open file, so a server that had it may have changed it. */
static void set_blocking(struct ledger_entry *entry, bool nonblocking)
{
	if (entry->nonblocking == nonblocking)
		return;
	(void)fcntl(entry->fd, F_SETFL, nonblocking ? O_NONBLOCK : 0);
	entry->nonblocking = nonblocking;
}

void handoff_join(struct dispatcher *d, struct server *server, uint32_t index)
{
	set_blocking(&d->ledger.entry[index], server->nonblocking);
	d->ledger.entry[index].since_us = d->now_us;
	ledger_append(&d->ledger, &server->staged, index);
	turn_server(d, server);
}

/* One message's worth, in order.  Marked before it is sent: after a crash the mark says that it may have been. */
static uint32_t fill(struct dispatcher *d, struct server *server, struct lust_wire_connections *message,
		     int *fds)
{
	uint32_t batch = server->last_batch + 1, count = 0;
	for (uint32_t index = server->staged.first; index != LEDGER_NONE && count < server->batch;
	     index = d->ledger.entry[index].next) {
		const struct ledger_entry *entry = &d->ledger.entry[index];
		message->entry[count] = entry->wire;
		/* Another server that has had it may change it at any time. */
		message->entry[count].flags = entry->had ? 0 : LUST_WIRE_MODE_SET;
		fds[count++] = entry->fd;
		ledger_sending(&d->ledger, index, server->slot, batch);
	}
	message->header = (struct lust_wire_header){LUST_WIRE_VERSION, LUST_WIRE_CONNECTIONS, count};
	message->batch = batch;
	message->reserved = 0;
	atomic_store_explicit(&d->board->servers[server->slot].last_batch, batch, memory_order_release);
	return count;
}

static void sent(struct dispatcher *d, struct server *server, uint32_t count)
{
	server->last_batch++;
	while (count--) {
		uint32_t index = server->staged.first;
		ledger_unlink(&d->ledger, &server->staged, index);
		ledger_sent(&d->ledger, index);
		ledger_append(&d->ledger, &server->sent, index);
	}
	stall_watch(server);
}

/* Full, for one reason or another: its connections go to others, it gets more when there is room again. */
static void not_sent(struct dispatcher *d, struct server *server, uint32_t count, int error)
{
	atomic_store_explicit(&d->board->servers[server->slot].last_batch, server->last_batch,
			      memory_order_release);
	for (uint32_t index = server->staged.first; count--; index = d->ledger.entry[index].next)
		ledger_unsent(&d->ledger, index);
	requeue_unsent(d, server);
	if (error == EPIPE || error == ECONNRESET) {
		leave_closed(d, server);
		return;
	}
	if (error != EAGAIN && error != ETOOMANYREFS && error != ENOBUFS && error != ENOMEM && error != EINTR)
		report_server(d, EVENT_SEND_FAILED, server, 0, error);
	server->blocked = true;
	choose_changed(server);
	turn_retry(d);
}

void handoff_flush(struct dispatcher *d, struct server *server)
{
	say_owed(d, server, OWED_HELLO | OWED_REGISTERED);
	if (server->staged.count && server->owed & (OWED_HELLO | OWED_REGISTERED))
		requeue_unsent(d, server);
	while (server->staged.count) {
		union lust_wire_message message;
		int fds[LUST_WIRE_BATCH];
		uint32_t count = fill(d, server, &message.connections, fds);
		int error = lust_message_send(server->ours, &message, lust_wire_length(&message), fds, count,
					      MSG_DONTWAIT);
		if (error) {
			not_sent(d, server, count, -error);
			return;
		}
		sent(d, server, count);
	}
	say_owed(d, server, OWED_DRAIN);
}
