/*
 * acknowledge.c: messages from servers.  Each one's sender is looked at: a pair is inherited over fork, an identity
 * is not.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher.h"
#include "fd_message.h"

#define MESSAGES_A_WAKEUP 32

static void report_sender(struct dispatcher *d, const struct server *server, const struct lust_message *from,
			  enum event_refusal why)
{
	report(d, &(struct event){
			  .code = EVENT_REFUSED_REGISTRATION,
			  .number = why,
			  .service = server->service->index,
			  .slot = server->slot,
			  .pid = from->credentials.pid,
			  .uid = from->credentials.uid,
			  .gid = from->credentials.gid,
			  .instance = server->instance,
		  });
}

/* An id that this server was never given, or gave back already. */
static void report_unknown(struct dispatcher *d, const struct server *server)
{
	report_server(d, EVENT_UNKNOWN_ID, server, 0, 0);
}

static bool of_this_generation(const struct dispatcher *d, uint64_t id)
{
	return LUST_ID_GENERATION(id) == (uint16_t)d->generation;
}

static bool is_held(const struct dispatcher *d, uint32_t index)
{
	return ledger_state(&d->ledger, index) == LEDGER_HELD;
}

static void hear_taken(struct dispatcher *d, struct server *server, const struct lust_wire_ids *ids)
{
	for (uint32_t i = 0; i < ids->header.count; i++) {
		uint32_t index = server_entry(d, server, ids->id[i]);
		if (index != LEDGER_NONE && !is_held(d, index))
			settle_taken(d, server, index);
		else if (of_this_generation(d, ids->id[i]))
			report_unknown(d, server);
	}
}

/*
 * What is kept is found by its id.  Of what is not, only the number is known: DONE said twice, while there are others
 * of its kind, is not told from theirs.
 */
static void hear_one_done(struct dispatcher *d, struct server *server, uint64_t id)
{
	uint32_t index = server_entry(d, server, id);
	if (index != LEDGER_NONE && !is_held(d, index)) { /* DONE without TAKEN: both at once */
		settle_taken(d, server, index);
		index = server_entry(d, server, id);
	}
	if (index != LEDGER_NONE)
		settle_done_held(d, server, index);
	else if (!of_this_generation(d, id) && server->inherited)
		settle_done_inherited(d, server, 1);
	else if (of_this_generation(d, id) && server->active > server->inherited + server->held.count)
		settle_done(d, server);
	else if (of_this_generation(d, id))
		report_unknown(d, server);
}

static void hear_done(struct dispatcher *d, struct server *server, const struct lust_wire_ids *ids)
{
	for (uint32_t i = 0; i < ids->header.count; i++)
		hear_one_done(d, server, ids->id[i]);
	server->resting = false;
}

static void take_back(struct dispatcher *d, struct server *server, uint64_t id, int fd)
{
	uint32_t index = server_entry(d, server, id);
	if (index == LEDGER_NONE || is_held(d, index)) {
		if (fd >= 0)
			lust_close_unlingered(fd);
		report_unknown(d, server);
		return;
	}
	struct ledger_entry *entry = &d->ledger.entry[index];
	ledger_unlink(&d->ledger, &server->sent, index);
	atomic_fetch_add_explicit(&d->board->servers[server->slot].refused, 1, memory_order_relaxed);
	if (entry->fd < 0 && fd >= 0 && recover_descriptor(d, index, fd))
		fd = -1;
	if (fd >= 0)
		lust_close_unlingered(fd); /* a duplicate, and ours is open; or no connection at all */
	if (entry->fd < 0) {
		settle_lost(d, index);
		return;
	}
	entry->avoid = server->slot;
	entry->nonblocking = -1;
	entry->had = true;
	requeue(d, server->service, index);
}

/*
 * The descriptors come along, in the order of the ids: a dispatcher that died before it read this leaves them to the
 * next one.  Without any, the server never got them.
 */
static void hear_refused(struct dispatcher *d, struct server *server, const struct lust_wire_ids *ids,
			 struct lust_message *from)
{
	if (!from->count && !from->truncated)
		report_server(d, EVENT_TRUNCATED, server, ids->header.count, 0);
	for (uint32_t i = 0; i < ids->header.count; i++)
		take_back(d, server, ids->id[i], i < from->count ? from->fd[i] : -1);
	lust_message_close_from(from, ids->header.count);
	server->resting = true;
	turn_retry(d);
}

static void hear_capacity(struct server *server, const struct lust_wire_capacity *capacity)
{
	server->capacity = capacity->capacity;
	server->resting = false;
}

static void hear_draining(struct dispatcher *d, struct server *server)
{
	server_drain(d, server);
}

/* Who is this?  REFUSAL_NONE: the server itself, or a child that asks for a pair of its own. */
static enum event_refusal judge_sender(const struct server *server, const struct lust_message *from,
				       bool clone)
{
	if (!from->has_credentials)
		return REFUSAL_NO_CREDENTIALS;
	if (from->credentials.uid != server->uid)
		return REFUSAL_WRONG_UID;
	if (from->credentials.pid != server->pid && !clone)
		return REFUSAL_WRONG_PID;
	return REFUSAL_NONE;
}

static enum event_refusal judge_message(const union lust_wire_message *message,
					const struct lust_message *from)
{
	if (lust_wire_check_from_server(message, from->length))
		return REFUSAL_GARBAGE;
	if (message->header.type == LUST_WIRE_REFUSED)
		return from->surplus ? REFUSAL_DESCRIPTORS : REFUSAL_NONE;
	unsigned wanted = message->header.type == LUST_WIRE_CLONE;
	if (from->surplus || from->truncated || from->count != wanted)
		return REFUSAL_DESCRIPTORS;
	return REFUSAL_NONE;
}

static void hear_message(struct dispatcher *d, struct server *server, const union lust_wire_message *message,
			 struct lust_message *from)
{
	switch ((enum lust_wire_type)message->header.type) {
	case LUST_WIRE_REGISTER:
		register_server(d, server, &message->reg);
		break;
	case LUST_WIRE_TAKEN:
		hear_taken(d, server, &message->ids);
		break;
	case LUST_WIRE_DONE:
		hear_done(d, server, &message->ids);
		break;
	case LUST_WIRE_REFUSED:
		hear_refused(d, server, &message->ids, from);
		break;
	case LUST_WIRE_CAPACITY:
		hear_capacity(server, &message->capacity);
		break;
	case LUST_WIRE_DRAINING:
		hear_draining(d, server);
		break;
	default: /* ALIVE: a sign of life, as every message is */
		break;
	}
}

static void hear(struct dispatcher *d, struct server *server, const union lust_wire_message *message,
		 struct lust_message *from)
{
	bool clone = from->length >= sizeof(message->header) && message->header.type == LUST_WIRE_CLONE;
	enum event_refusal why = judge_sender(server, from, clone);
	if (why) { /* somebody else holds the pair: that is not the server's fault */
		report_sender(d, server, from, why);
		lust_message_close_from(from, 0);
		return;
	}
	why = judge_message(message, from);
	if (why) {
		lust_message_close_from(from, 0);
		if (from->credentials.pid == server->pid)
			leave_cut(d, server, why);
		else
			report_sender(d, server, from, why);
		return;
	}
	if (clone) {
		knock_clone(d, server, &message->reg, from->fd[0], &from->credentials);
		return;
	}
	stall_life(d, server);
	hear_message(d, server, message, from);
}

unsigned acknowledge_read(struct dispatcher *d, struct server *server, unsigned most)
{
	unsigned n;
	for (n = 0; n < most && (!server->cut || server->settling); n++) {
		union lust_wire_message message;
		struct lust_message from;
		int result = lust_message_receive(server->ours, &message, sizeof(message), &from,
						  LUST_MESSAGE_FDS, MSG_DONTWAIT);
		if (result == -EAGAIN || result == -EINTR)
			break;
		if (result <= 0) { /* we hold the other end ourselves, so it was shut down */
			if (!server->settling)
				leave_closed(d, server);
			break;
		}
		hear(d, server, &message, &from);
	}
	return n;
}

void acknowledge_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	struct server *server = watcher->data;
	struct dispatcher *d = server->dispatcher;
	bool all = eager_begin(&server->eager);
	eager_end(&server->eager, all, acknowledge_read(d, server, all ? MESSAGES_A_WAKEUP : 1));
	turn_server(d, server);
	if (server->service->starved)
		turn_service(d, server->service);
}
