/*
 * say.c: short messages to a server.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatcher.h"
#include "fd_message.h"

static void fill(const struct dispatcher *d, const struct server *server, enum server_owed which,
		 union lust_wire_message *message)
{
	memset(&message->hello, 0, sizeof(message->hello));
	message->header.version = LUST_WIRE_VERSION;
	if (which != OWED_HELLO) {
		message->header.type = which == OWED_DRAIN ? LUST_WIRE_DRAIN : LUST_WIRE_REGISTERED;
		return;
	}
	const struct service *service = server->service;
	message->header.type = LUST_WIRE_HELLO;
	message->hello.generation = d->generation;
	message->hello.slot = server->slot;
	message->hello.acknowledge =
		service->set->acknowledge == LINK_ACK_DONE ? LUST_WIRE_ACK_DONE : LUST_WIRE_ACK_TAKEN;
	message->hello.window = service->set->window;
	memcpy(message->hello.service, service->name, strlen(service->name));
}

/* In this order, and none before an earlier one that the pair did not take. */
void say_owed(struct dispatcher *d, struct server *server, unsigned which)
{
	for (unsigned one = OWED_HELLO; one <= OWED_DRAIN; one <<= 1) {
		if (!(server->owed & one))
			continue;
		if (!(which & one))
			return;
		union lust_wire_message message;
		fill(d, server, (enum server_owed)one, &message);
		int error = lust_message_send(server->ours, &message, lust_wire_length(&message), NULL, 0,
					      MSG_DONTWAIT);
		if (error == -EPIPE || error == -ECONNRESET) {
			leave_closed(d, server);
			return;
		}
		if (error) {
			server->blocked = true;
			choose_changed(server);
			turn_retry(d);
			return;
		}
		server->owed &= ~one;
	}
}

void say_pair(const struct server *server)
{
	struct lust_wire_header pair = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_PAIR};
	/* One that has left in the meantime is found by its lifeline. */
	(void)lust_message_send(server->lifeline, &pair, sizeof(pair), &server->theirs, 1, MSG_DONTWAIT);
}

/* What passes by itself, without anybody's doing. */
static bool passes(enum event_refusal why)
{
	return why == REFUSAL_BUSY || why == REFUSAL_STOPPING || why == REFUSAL_TIMEOUT;
}

void say_denied(int fd, enum event_refusal why)
{
	const char *reason = event_refusal_text(why);
	union lust_wire_message message;
	memset(&message.denied, 0, sizeof(message.denied));
	message.header.version = LUST_WIRE_VERSION;
	message.header.type = LUST_WIRE_DENIED;
	message.denied.flags = passes(why) ? LUST_WIRE_PASSING : 0;
	memcpy(message.denied.reason, reason, strnlen(reason, sizeof(message.denied.reason) - 1));
	/* Who does not listen does not get to know. */
	(void)lust_message_send(fd, &message, lust_wire_length(&message), NULL, 0, MSG_DONTWAIT);
}
