/*
 * clone.c: a registration of its own for a forked child.  The knock goes through the parent's pair, the
 * only way that leads out of a chroot; from the answer on it is a registration like one through the door.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

/* The child may only send here: reading would steal the parent's messages. */
static int send_clone(const struct lust_server *parent, const struct lust_server *child, int lifeline,
		      int64_t deadline)
{
	struct lust_wire_register reg;
	int result;

	lust_fill_register(child, LUST_WIRE_CLONE, &reg);
	for (;;) {
		result = lust_message_send(parent->pair, &reg, sizeof(reg), &lifeline, 1, MSG_DONTWAIT);
		if (result != -EAGAIN)
			return result == -EPIPE || result == -ECONNRESET ? -ECONNREFUSED : result;
		result = lust_wait_ready(parent->pair, deadline, POLLOUT);
		if (result < 0 && result != -EINTR)
			return result;
	}
}

static int knock_through(const struct lust_server *parent, struct lust_server *child, int64_t deadline)
{
	int ends[2], result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child->lifeline = ends[0];
	result = send_clone(parent, child, ends[1], deadline);
	close(ends[1]);
	if (result == 0)
		result = lust_await_pair(child, deadline);
	/* The end that was sent was closed without a word: the daemon is gone, or a new dispatcher
	   discarded it. */
	return result == -ECONNRESET ? -ECONNREFUSED : result;
}

int lust_server_clone(struct lust_server *server, struct lust_server **clone)
{
	struct lust_server *child;
	int64_t deadline = lust_deadline(server->wait_ms);
	int result;

	*clone = NULL;
	if (server->pair < 0)
		return -ECONNREFUSED; /* the daemon is gone, and the parent looks for the next one */
	child = lust_handle_new();
	if (!child)
		return -errno;
	/* Without its mutex, which a thread may have held that is not here: nothing of this changes but
	   capacity, one word. */
	memcpy(child->service, server->service, sizeof(child->service));
	memcpy(child->label, server->label, sizeof(child->label));
	child->capacity = server->capacity;
	child->batch = server->batch;
	child->explicit_take = server->explicit_take;
	child->nonblocking = server->nonblocking;
	child->no_local = server->no_local;
	child->wait_ms = server->wait_ms;
	result = lust_reconnect_inherit(child, server);
	if (result == 0)
		result = knock_through(server, child, deadline);
	if (result == 0)
		result = lust_await_registration(child, deadline);
	if (result < 0 && result != -EACCES) {
		lust_server_free(child);
		return result;
	}
	*clone = child;
	return result;
}
