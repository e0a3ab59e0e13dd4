/*
 * tell.c: messages to the supervisor.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "dispatcher.h"

static void tell(struct dispatcher *d, enum link_type type, struct link_message *message, const int *fds,
		 unsigned count)
{
	message->version = LINK_VERSION;
	message->type = (uint16_t)type;
	/* A supervisor that does not listen any more is gone, and so are we. */
	if (channel_send(&d->link, message, fds, count) < 0)
		dispatcher_stop(d, 1);
}

void tell_ready(struct dispatcher *d)
{
	tell(d, LINK_READY, &(struct link_message){0}, NULL, 0);
}

void tell_committed(struct dispatcher *d, uint32_t table)
{
	tell(d, LINK_COMMITTED, &(struct link_message){.commit.table = table}, NULL, 0);
}

void tell_slot(struct dispatcher *d, enum link_type type, uint32_t slot, uint32_t generation)
{
	tell(d, type, &(struct link_message){.slot = {.slot = slot, .generation = generation}}, NULL, 0);
}

void tell_registered(struct dispatcher *d, const struct server *server, const char *label)
{
	struct link_slot slot = {
		.slot = server->slot,
		.generation = server->generation,
		.capacity = server->capacity,
	};
	memcpy(slot.reason, label, strnlen(label, LINK_NAME - 1));
	tell(d, LINK_REGISTERED, &(struct link_message){.slot = slot}, NULL, 0);
}

void tell_deregistered(struct dispatcher *d, const struct server *server, const char *reason)
{
	struct link_message message = {.slot = {.slot = server->slot, .generation = server->generation}};
	size_t length = strnlen(reason, sizeof(message.slot.reason) - 1);
	memcpy(message.slot.reason, reason, length);
	tell(d, LINK_DEREGISTERED, &message, NULL, 0);
}

void tell_keep(struct dispatcher *d, const struct link_keep *keep, const int fds[3])
{
	tell(d, LINK_KEEP, &(struct link_message){.keep = *keep}, fds, 3);
}

void tell_held(struct dispatcher *d, const struct link_held *held, int fd)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_HELD, .held = *held};
	(void)channel_send(&d->link, &message, &fd, 1);
}

void tell_quiet(struct dispatcher *d)
{
	tell(d, LINK_QUIET, &(struct link_message){0}, NULL, 0);
}

void tell_pong(struct dispatcher *d, uint64_t number)
{
	tell(d, LINK_PONG, &(struct link_message){.ping.number = number}, NULL, 0);
}
