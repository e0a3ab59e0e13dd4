/*
 * receive.c: what the daemon says, and the connections that it brings.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "server.h"

/* A new dispatcher: it learns from REGISTER what the dead one knew.  The application notices nothing. */
static void on_hello(struct lust_server *server, const struct lust_wire_hello *hello)
{
	if (hello->generation != server->generation) {
		server->generation = hello->generation;
		lust_held_new_generation(&server->held);
		server->due = 0; /* REGISTER says it all */
		server->unaccounted = true;
	}
	/* What was on its way when it was asked has come or was withdrawn. */
	if (server->drain_asked && server->phase == LUST_PHASE_REGISTERED)
		server->phase = LUST_PHASE_DRAINED;
	server->due |= LUST_DUE_REGISTER;
	lust_flush(server);
}

static void on_denied(struct lust_server *server, const struct lust_wire_denied *denied)
{
	server->phase = LUST_PHASE_DENIED;
	memcpy(server->reason, denied->reason, sizeof(server->reason));
}

static void add_waiting(struct lust_server *server, const struct lust_wire_connection *entry, int fd)
{
	unsigned at = (server->waiting_first + server->waiting_count) % LUST_WAITING_MAX;

	server->waiting[at].fd = fd;
	server->waiting[at].entry = *entry;
	server->waiting_count++;
}

static void on_connections(struct lust_server *server, const struct lust_wire_connections *connections,
			   struct lust_message *came)
{
	bool refuse = lust_handle_ended(server);

	server->last_batch = connections->batch;
	for (unsigned i = 0; i < connections->header.count; i++) {
		/* Descriptors come in order; the kernel installs the first ones that fit below
		   RLIMIT_NOFILE. */
		int fd = i < came->count ? came->fd[i] : -1;
		struct lust_held *held =
			lust_held_add(&server->held, connections->entry[i].id, fd, LUST_HELD_WAITING);

		if (fd < 0 || refuse)
			lust_held_queue(&server->held, held, LUST_HELD_REFUSE_DUE);
		else
			add_waiting(server, &connections->entry[i], fd);
	}
	lust_message_close_from(came, connections->header.count);
	lust_flush(server);
}

static void dispatch(struct lust_server *server, const union lust_wire_message *message,
		     struct lust_message *came)
{
	unsigned expected = message->header.type == LUST_WIRE_CONNECTIONS ? message->header.count : 0;

	lust_message_close_from(came, expected);
	switch (message->header.type) {
	case LUST_WIRE_HELLO:
		on_hello(server, &message->hello);
		break;
	case LUST_WIRE_REGISTERED:
		if (server->phase == LUST_PHASE_KNOCKING)
			server->phase = LUST_PHASE_REGISTERED;
		break;
	case LUST_WIRE_CONNECTIONS:
		on_connections(server, &message->connections, came);
		break;
	case LUST_WIRE_DRAIN:
		if (server->phase != LUST_PHASE_DENIED)
			server->phase = LUST_PHASE_DRAINED;
		break;
	case LUST_WIRE_DENIED:
		on_denied(server, &message->denied);
		break;
	default: /* of a newer daemon */
		break;
	}
}

int lust_pump(struct lust_server *server)
{
	union lust_wire_message message;
	struct lust_message came;
	int result;

	if (server->phase == LUST_PHASE_GONE)
		return 0;
	if (lust_held_reserve(&server->held, LUST_WIRE_BATCH) < 0)
		return -ENOMEM;
	result = lust_message_receive(server->pair, &message, sizeof(message), &came, LUST_WIRE_BATCH,
				      MSG_DONTWAIT);
	if (result == -EAGAIN)
		return 0;
	if (result == -ECONNRESET)
		return 1; /* said once, when the daemon did not read all: what it sent can still be read */
	if (result == 0) {
		server->phase = LUST_PHASE_GONE;
		return 0;
	}
	if (result < 0)
		return result;
	if (lust_wire_check_from_daemon(&message, came.length)) {
		lust_message_close_from(&came, 0);
		return -EPROTO;
	}
	dispatch(server, &message, &came);
	return 1;
}

/* How connections are given to the application. */
struct manner {
	bool take, nonblocking;
};

/* TAKEN goes out before the application sees a descriptor: without room for it nothing is given. */
static bool take_waiting(struct lust_server *server, unsigned count)
{
	struct lust_wire_ids ids;

	ids.header.count = count;
	for (unsigned i = 0; i < count; i++)
		ids.id[i] = server->waiting[(server->waiting_first + i) % LUST_WAITING_MAX].entry.id;
	return lust_say_taken(server, &ids) == 0;
}

static int give(struct lust_server *server, struct lust_connection *out, unsigned n, struct manner manner)
{
	unsigned count = server->waiting_count < n ? server->waiting_count : n;

	if (count == 0 || (manner.take && !take_waiting(server, count)))
		return 0;
	for (unsigned i = 0; i < count; i++) {
		const struct lust_waiting *waiting = &server->waiting[server->waiting_first];
		struct lust_held *held = lust_held_by_id(&server->held, waiting->entry.id);

		held->state = manner.take ? LUST_HELD_TAKEN : LUST_HELD_UNTAKEN;
		lust_connection_fill(&out[i], waiting, manner.nonblocking);
		server->waiting_first = (server->waiting_first + 1) % LUST_WAITING_MAX;
		server->waiting_count--;
	}
	return (int)count;
}

static int end_of(const struct lust_server *server)
{
	if (server->waiting_count || !lust_handle_ended(server))
		return 0;
	return server->phase == LUST_PHASE_DENIED ? -EACCES : -ESHUTDOWN;
}

/* What can be had without waiting: a number, an error, or 0. */
static int receive_now(struct lust_server *server, struct lust_connection *out, unsigned n,
		       struct manner manner)
{
	int result = 1;

	pthread_mutex_lock(&server->lock);
	lust_flush(server);
	while (server->waiting_count < n && result > 0)
		result = lust_pump(server);
	if (result >= 0 || server->waiting_count)
		result = give(server, out, n, manner);
	if (result == 0)
		result = end_of(server);
	lust_handle_refresh(server);
	pthread_mutex_unlock(&server->lock);
	return result;
}

static int receive_within(struct lust_server *server, struct lust_connection *out, unsigned n,
			  struct manner manner, int timeout_ms)
{
	int64_t deadline = 0;

	for (;;) {
		int result = receive_now(server, out, n, manner);

		if (result != 0 || timeout_ms == 0)
			return result;
		if (deadline == 0)
			deadline = lust_deadline(timeout_ms);
		/* Not at the pair itself: it is another thread that may have to wait for room in it. */
		result = lust_wait_ready(server->watch, deadline, POLLIN);
		if (result < 0)
			return result == -ETIMEDOUT ? 0 : result;
	}
}

int lust_server_receive_many(struct lust_server *server, struct lust_connection *connections, unsigned n,
			     int timeout_ms)
{
	struct manner manner = {.take = !server->explicit_take, .nonblocking = server->nonblocking};

	if (n == 0)
		return -EINVAL;
	return receive_within(server, connections, n < LUST_BATCH_MAX ? n : LUST_BATCH_MAX, manner,
			      timeout_ms);
}

int lust_server_receive(struct lust_server *server, struct lust_connection *connection, int timeout_ms)
{
	return lust_server_receive_many(server, connection, 1, timeout_ms);
}

static socklen_t address_length(const struct sockaddr_storage *address)
{
	switch (address->ss_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default: /* a client's Unix socket has no name worth telling */
		return sizeof(address->ss_family);
	}
}

int lust_server_accept(struct lust_server *server, struct sockaddr *addr, socklen_t *addrlen, int flags)
{
	struct manner manner = {.take = true, .nonblocking = server->nonblocking || flags & SOCK_NONBLOCK};
	struct lust_connection connection;
	socklen_t length;
	int result;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) || (addr && !addrlen))
		return -EINVAL;
	result = receive_within(server, &connection, 1, manner, -1);
	if (result < 0)
		return result;
	if (addr) {
		length = address_length(&connection.peer);
		memcpy(addr, &connection.peer, *addrlen < length ? *addrlen : length);
		*addrlen = length;
	}
	return connection.fd;
}
