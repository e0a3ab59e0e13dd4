/*
 * withdraw.c: taking back what a server has not received.  The kernel gives each message of a pair to exactly one of
 * the two who read: so what comes out here, no server has had.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher.h"
#include "faults.h"
#include "fd_message.h"
#include "untouched.h"

/* Left by a dead dispatcher, and its half of the board does not know it: counted now. */
static uint32_t adopt(struct dispatcher *d, const struct server *server,
		      const struct lust_wire_connection *wire, int fd)
{
	uint32_t service = server->service->index;
	uint32_t index = ledger_add(&d->ledger, service, fd, wire, d->now_us);
	if (index != LEDGER_NONE)
		board_count_accepted(d->board, service, 1);
	return index;
}

/* Returns whether the descriptor found an owner; *index: what goes to another server. */
static bool take_back(struct dispatcher *d, struct server *server, const struct lust_wire_connection *wire,
		      int fd, uint32_t *index)
{
	*index = server_entry(d, server, wire->id);
	if (*index == LEDGER_NONE) {
		/* Who has left was settled where it lay, by whoever gave it that id. */
		if (fd < 0 || LUST_ID_GENERATION(wire->id) == (uint16_t)d->generation || untouched_left(fd))
			return false;
		*index = adopt(d, server, wire, fd);
		if (*index != LEDGER_NONE)
			d->ledger.entry[*index].nonblocking = -1;
		return *index != LEDGER_NONE;
	}
	if (ledger_state(&d->ledger, *index) == LEDGER_HELD) { /* TAKEN unseen: its word holds */
		*index = LEDGER_NONE;
		return false;
	}
	struct ledger_entry *entry = &d->ledger.entry[*index];
	ledger_unlink(&d->ledger, &server->sent, *index);
	if (entry->fd >= 0)
		return false; /* the copy that was kept is enough */
	if (fd < 0) {
		settle_lost(d, *index);
		*index = LEDGER_NONE;
		return false;
	}
	entry->wire = *wire;
	entry->had = false;
	entry->fd = fd;
	d->ledger.fds++;
	return true;
}

/* The rest of a message that holds more than `most` goes back to where it was, behind what lies there. */
static uint32_t take_back_most(struct dispatcher *d, struct server *server,
			       const struct lust_wire_connections *message, struct lust_message *from,
			       uint32_t most)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < message->header.count; i++) {
		uint32_t index;
		int fd = i < from->count ? from->fd[i] : -1;
		bool owned = take_back(d, server, &message->entry[i], fd, &index);
		if (fd >= 0 && !owned)
			lust_close_unlingered(fd);
		if (index == LEDGER_NONE)
			continue;
		if (count < most) {
			requeue(d, server->service, index);
			count++;
		} else {
			ledger_unsent(&d->ledger, index); /* it may have to wait with others */
			ledger_append(&d->ledger, &server->staged, index);
		}
	}
	lust_message_close_from(from, message->header.count);
	if (server->staged.count) {
		server->owed = 0; /* nobody is there to hear it */
		handoff_flush(d, server);
	}
	return count;
}

uint32_t withdraw_first(const struct server *server)
{
	for (;;) {
		union lust_wire_message message;
		/* Without its entries, and without their descriptors. */
		ssize_t length = recv(server->theirs, &message, offsetof(struct lust_wire_connections, entry),
				      MSG_PEEK | MSG_DONTWAIT);
		if (length <= 0)
			return UINT32_MAX;
		if (message.header.type == LUST_WIRE_CONNECTIONS)
			return message.connections.batch;
		(void)recv(server->theirs, &message, sizeof(message), MSG_DONTWAIT);
	}
}

uint32_t withdraw(struct dispatcher *d, struct server *server)
{
	return withdraw_most(d, server, UINT32_MAX);
}

uint32_t withdraw_most(struct dispatcher *d, struct server *server, uint32_t most)
{
	uint32_t count = 0;
	if (fault_no_redispatch())
		return 0;
	while (count < most) {
		union lust_wire_message message;
		struct lust_message from;
		if (lust_message_receive(server->theirs, &message, sizeof(message), &from, LUST_MESSAGE_FDS,
					 MSG_DONTWAIT) != 1)
			return count;
		if (lust_wire_check_from_daemon(&message, from.length)) {
			lust_message_close_from(&from, 0);
			continue;
		}
		if (message.header.type == LUST_WIRE_CONNECTIONS) {
			count += take_back_most(d, server, &message.connections, &from, most - count);
			continue;
		}
		lust_message_close_from(&from, 0);
		/* What it should still get to know is said again. */
		if (message.header.type == LUST_WIRE_HELLO)
			server->owed |= OWED_HELLO;
		else if (message.header.type == LUST_WIRE_REGISTERED && server->registered)
			server->owed |= OWED_REGISTERED;
		else if (message.header.type == LUST_WIRE_DRAIN && server->draining)
			server->owed |= OWED_DRAIN;
	}
	return count;
}
