/*
 * acknowledge.c: what a server says.  Everything goes out at once when the pair has room; else it is kept
 * in the handle, lust_server_fd() becomes readable when there is room, and the next call sends it.  Nothing
 * blocks, nothing is lost.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

/* 0; -EAGAIN: no room; another errno: try again with the next call.  A daemon that is gone needs telling
   nothing. */
static int say(struct lust_server *server, const void *message, const int *fds, unsigned count)
{
	int result;

	if (server->phase == LUST_PHASE_GONE || server->pair < 0)
		return 0;
	result =
		lust_message_send(server->pair, message, lust_wire_length(message), fds, count, MSG_DONTWAIT);
	if (result == -EPIPE || result == -ECONNRESET || result == -ENOTCONN)
		return 0; /* what lies in the pair can still be read, then comes its end */
	server->blocked = result == -EAGAIN;
	return result;
}

void lust_fill_register(const struct lust_server *server, enum lust_wire_type type,
			struct lust_wire_register *reg)
{
	memset(reg, 0, sizeof(*reg));
	reg->header.version = LUST_WIRE_VERSION;
	reg->header.type = (uint16_t)type;
	reg->generation = server->generation;
	reg->capacity = server->capacity;
	reg->batch = server->batch;
	reg->held = server->held.used;
	reg->last_batch = server->last_batch;
	if (server->nonblocking)
		reg->flags |= LUST_WIRE_NONBLOCKING;
	if (server->drain_asked || server->phase == LUST_PHASE_DRAINED)
		reg->flags |= LUST_WIRE_DRAINED;
	memcpy(reg->service, server->service, sizeof(reg->service));
	memcpy(reg->label, server->label, sizeof(reg->label));
}

static int say_word(struct lust_server *server, enum lust_due word)
{
	union lust_wire_message message;

	memset(&message.capacity, 0, sizeof(message.capacity));
	message.header.version = LUST_WIRE_VERSION;
	switch (word) {
	case LUST_DUE_REGISTER:
		lust_fill_register(server, LUST_WIRE_REGISTER, &message.reg);
		break;
	case LUST_DUE_CAPACITY:
		message.header.type = LUST_WIRE_CAPACITY;
		message.capacity.capacity = server->capacity;
		break;
	case LUST_DUE_ALIVE:
		message.header.type = LUST_WIRE_ALIVE;
		break;
	case LUST_DUE_DRAINING:
		message.header.type = LUST_WIRE_DRAINING;
		break;
	}
	return say(server, &message, NULL, 0);
}

static int flush_words(struct lust_server *server)
{
	/* REGISTER first: the daemon discards what comes before it. */
	for (unsigned word = LUST_DUE_REGISTER; word <= LUST_DUE_DRAINING; word <<= 1) {
		if (server->due & word) {
			int result = say_word(server, (enum lust_due)word);

			if (result < 0)
				return result;
			server->due &= ~word;
			if (word == LUST_DUE_REGISTER)
				server->unaccounted = false;
		}
	}
	return 0;
}

static void begin_ids(struct lust_wire_ids *ids, enum lust_wire_type type)
{
	ids->header = (struct lust_wire_header){.version = LUST_WIRE_VERSION, .type = (uint16_t)type};
}

static bool of_this_generation(const struct lust_server *server, const struct lust_held *held)
{
	return LUST_ID_GENERATION(held->wire) == (uint16_t)server->generation;
}

/* DONE for the head of the queue and what follows of its kind, TAKEN before it for those that never said it. */
static int flush_done(struct lust_server *server, struct lust_held *head)
{
	struct lust_wire_ids done, taken;
	struct lust_held *last = head;
	int result = 0;

	begin_ids(&done, LUST_WIRE_DONE);
	begin_ids(&taken, LUST_WIRE_TAKEN);
	for (struct lust_held *held = head;
	     held && held->state == LUST_HELD_DONE_DUE && done.header.count < LUST_WIRE_BATCH;
	     held = lust_held_due_after(&server->held, held)) {
		done.id[done.header.count++] = held->wire;
		if (held->untaken)
			taken.id[taken.header.count++] = held->wire;
		last = held;
	}
	if (taken.header.count) {
		result = say(server, &taken, NULL, 0);
		if (result < 0)
			return result;
		for (struct lust_held *held = head; held != last;
		     held = lust_held_due_after(&server->held, held))
			held->untaken = false;
		last->untaken = false;
	}
	result = say(server, &done, NULL, 0);
	for (uint32_t i = 0; result == 0 && i < done.header.count; i++)
		lust_held_drop_due(&server->held);
	return result;
}

/* With the descriptors: the dispatcher that has copies may die before it reads this.  Without: they never came. */
static int flush_refused(struct lust_server *server, struct lust_held *head)
{
	struct lust_wire_ids refused;
	int fd[LUST_WIRE_BATCH], result;
	bool with = head->fd >= 0, current = of_this_generation(server, head);

	begin_ids(&refused, LUST_WIRE_REFUSED);
	for (struct lust_held *held = head;
	     held && held->state == LUST_HELD_REFUSE_DUE && (held->fd >= 0) == with &&
	     of_this_generation(server, held) == current && refused.header.count < LUST_WIRE_BATCH;
	     held = lust_held_due_after(&server->held, held)) {
		fd[refused.header.count] = held->fd;
		refused.id[refused.header.count++] = held->wire;
	}
	result = say(server, &refused, fd, with ? refused.header.count : 0);
	/* The application closed one in spite of lust.h, or too many are in flight while the copies are still there. */
	if (with && (result == -EBADF || (result == -ETOOMANYREFS && current)))
		result = say(server, &refused, NULL, 0);
	for (uint32_t i = 0; result == 0 && i < refused.header.count; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		lust_held_drop_due(&server->held);
	}
	return result;
}

int lust_flush(struct lust_server *server)
{
	int result = server->due ? flush_words(server) : 0;

	server->gather.waiting = false;
	while (result == 0) {
		struct lust_held *head = lust_held_due(&server->held);

		if (!head)
			return 0;
		result = head->state == LUST_HELD_DONE_DUE ? flush_done(server, head)
							   : flush_refused(server, head);
	}
	return result == -EAGAIN ? -EAGAIN : 0;
}

int lust_say_taken(struct lust_server *server, struct lust_wire_ids *ids)
{
	int result = server->gather.waiting ? 0 : lust_flush(server);

	if (result < 0)
		return result;
	ids->header.version = LUST_WIRE_VERSION;
	ids->header.type = LUST_WIRE_TAKEN;
	result = say(server, ids, NULL, 0);
	return result < 0 ? -EAGAIN : 0;
}
