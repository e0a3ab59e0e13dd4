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
		lust_held_new_generation(&server->held, hello->generation);
		server->due = 0; /* REGISTER says it all */
		server->unaccounted = true;
	}
	server->acknowledge = hello->acknowledge;
	/* What was on its way when it was asked has come or was withdrawn. */
	if (server->drain_asked && server->phase == LUST_PHASE_REGISTERED)
		server->phase = LUST_PHASE_DRAINED;
	server->due |= LUST_DUE_REGISTER;
	lust_flush(server);
}

static void on_denied(struct lust_server *server, const struct lust_wire_denied *denied)
{
	lust_note_denied(server, denied);
	if (server->phase == LUST_PHASE_LOST)
		lust_reconnect_denied(server);
	else
		server->phase = LUST_PHASE_DENIED;
}

static void on_registered(struct lust_server *server)
{
	if (server->phase == LUST_PHASE_LOST)
		lust_reconnect_end(server);
	if (server->phase == LUST_PHASE_LOST || server->phase == LUST_PHASE_KNOCKING)
		server->phase = LUST_PHASE_REGISTERED;
}

static void on_drain(struct lust_server *server)
{
	if (server->phase == LUST_PHASE_LOST)
		lust_reconnect_end(server);
	if (server->phase != LUST_PHASE_DENIED)
		server->phase = LUST_PHASE_DRAINED;
}

static void add_waiting(struct lust_server *server, const struct lust_wire_connection *entry,
			const struct lust_held *held)
{
	unsigned at = (server->waiting_first + server->waiting_count) % LUST_WAITING_MAX;

	server->waiting[at].fd = held->fd;
	server->waiting[at].wire = held->wire;
	server->waiting[at].entry = *entry;
	server->waiting[at].entry.id = held->id;
	server->waiting_count++;
}

/*
 * Daemons draw where their generations begin: once in a while ids come again, and one of a former daemon's is still held.  The
 * application then calls the new one otherwise; no daemon gives ids of generation 0.  NULL: this daemon said it twice.
 */
static struct lust_held *hold(struct lust_server *server, uint64_t id, int fd)
{
	const struct lust_held *former = lust_held_by_id(&server->held, id);
	struct lust_held *held;

	if (!former)
		return lust_held_add(&server->held, id, fd, LUST_HELD_WAITING);
	if (former->wire == id)
		return NULL;
	held = lust_held_add(&server->held, LUST_ID_NUMBER(++server->clashes), fd, LUST_HELD_WAITING);
	held->wire = id;
	return held;
}

static void refuse_at_once(struct lust_server *server, struct lust_held *held)
{
	lust_held_queue(&server->held, held, LUST_HELD_REFUSE_DUE);
	server->gather.waiting = false;
}

/* -EPROTO: an id named a connection that is held already; the second one is closed. */
static int on_connections(struct lust_server *server, const struct lust_wire_connections *connections,
			  struct lust_message *came)
{
	bool refuse = lust_handle_ended(server);
	int result = 0;

	server->last_batch = connections->batch;
	for (unsigned i = 0; i < connections->header.count; i++) {
		/* Descriptors come in order; the kernel installs the first ones that fit below
		   RLIMIT_NOFILE. */
		int fd = i < came->count ? came->fd[i] : -1;
		struct lust_held *held = hold(server, connections->entry[i].id, fd);

		if (!held) {
			if (fd >= 0)
				lust_close_unlingered(fd);
			result = -EPROTO;
			continue;
		}
		if (fd < 0 || refuse)
			refuse_at_once(server, held);
		else
			add_waiting(server, &connections->entry[i], held);
	}
	lust_message_close_from(came, connections->header.count);
	if (!server->gather.waiting)
		lust_flush(server);
	return result;
}

/* 0 or -EPROTO. */
static int dispatch(struct lust_server *server, const union lust_wire_message *message,
		    struct lust_message *came)
{
	unsigned expected = message->header.type == LUST_WIRE_CONNECTIONS ? message->header.count : 0;

	lust_message_close_from(came, expected);
	switch (message->header.type) {
	case LUST_WIRE_HELLO:
		on_hello(server, &message->hello);
		break;
	case LUST_WIRE_REGISTERED:
		on_registered(server);
		break;
	case LUST_WIRE_CONNECTIONS:
		return on_connections(server, &message->connections, came);
	case LUST_WIRE_DRAIN:
		on_drain(server);
		break;
	case LUST_WIRE_DENIED:
		on_denied(server, &message->denied);
		break;
	default: /* of a newer daemon */
		break;
	}
	return 0;
}

int lust_pump(struct lust_server *server)
{
	union lust_wire_message message;
	struct lust_message came;
	int result;

	if (server->phase == LUST_PHASE_GONE || server->pair < 0)
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
		lust_reconnect_begin(server);
		return 0;
	}
	if (result < 0)
		return result;
	if (lust_wire_check_from_daemon(&message, came.length)) {
		lust_message_close_from(&came, 0);
		return -EPROTO;
	}
	result = dispatch(server, &message, &came);
	return result < 0 ? result : 1;
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
		ids.id[i] = server->waiting[(server->waiting_first + i) % LUST_WAITING_MAX].wire;
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
		lust_connection_fill(server, &out[i], waiting, manner.nonblocking);
		server->waiting_first = (server->waiting_first + 1) % LUST_WAITING_MAX;
		server->waiting_count--;
	}
	return (int)count;
}

static int end_of(struct lust_server *server)
{
	if (server->waiting_count)
		return 0;
	if (server->reconnect.refused) { /* said once for each refusal: the next may be another answer */
		server->reconnect.refused = false;
		return -EACCES;
	}
	if (!lust_handle_ended(server))
		return 0;
	return server->phase == LUST_PHASE_DENIED ? -EACCES : -ESHUTDOWN;
}

/* True: another message may bring more.  One that is not full was the last when it was sent, and to look for the next
   costs more than to be woken for it. */
static bool may_be_more(const struct lust_server *server, unsigned before)
{
	unsigned came = server->waiting_count - before;

	return came == 0 || came >= server->batch;
}

static int pump_for(struct lust_server *server, unsigned n)
{
	while (server->waiting_count < n) {
		unsigned before = server->waiting_count;
		int result = lust_pump(server);

		if (result <= 0)
			return result;
		if (!may_be_more(server, before))
			break;
	}
	return 1;
}

/* What can be had without waiting: a number, an error, or 0; then `waits` says that the caller is about to. */
static int receive_now(struct lust_server *server, struct lust_connection *out, unsigned n,
		       struct manner manner, bool waits)
{
	int result;

	pthread_mutex_lock(&server->lock);
	if (server->phase == LUST_PHASE_LOST)
		lust_reconnect_step(server);
	if (lust_gather_is_over(server))
		lust_flush(server);
	result = pump_for(server, n);
	if (result >= 0 || server->waiting_count)
		result = give(server, out, n, manner);
	if (result == 0)
		result = end_of(server);
	if (server->gather.waiting && (!lust_gather_may_wait(server) || (result == 0 && waits)))
		lust_flush(server);
	lust_handle_refresh(server);
	pthread_mutex_unlock(&server->lock);
	return result;
}

static int receive_within(struct lust_server *server, struct lust_connection *out, unsigned n,
			  struct manner manner, int timeout_ms)
{
	int64_t deadline = 0;

	for (;;) {
		int result = receive_now(server, out, n, manner, timeout_ms != 0);

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
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): without a time limit it is never 0 */
	return connection.fd;
}
