/*
 * test_done.c: `acknowledge = done`: the dispatcher keeps its copy from TAKEN to DONE, and a server's death costs no
 * connection that nobody has touched.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

enum { MOST = 16 };

static struct rig rig;
static struct rig_server one, two;
static int clients[MOST], fds[MOST]; /* the server's, in the order of arrival */
static uint64_t ids[MOST];
static uint32_t batch; /* of the last message with connections */

static void setup(void)
{
	rig_open(&rig);
	rig.service.acknowledge = LINK_ACK_DONE;
	rig_table(&rig, NULL, 0, 0);
	memset(clients, -1, sizeof(clients));
	memset(fds, -1, sizeof(fds));
}

static void teardown(void)
{
	for (unsigned i = 0; i < MOST; i++) {
		if (clients[i] >= 0)
			close(clients[i]);
		if (fds[i] >= 0)
			close(fds[i]);
	}
	rig_close(&rig);
}

static void hear(struct rig_server *server, unsigned first, unsigned count)
{
	for (unsigned got = 0; got < count;) {
		rig_hear(&rig, server, LUST_WIRE_CONNECTIONS);
		batch = server->message.connections.batch;
		for (unsigned i = 0; i < server->message.header.count; i++, got++) {
			ids[first + got] = server->message.connections.entry[i].id;
			fds[first + got] = server->from.fd[i];
		}
	}
}

/* So many clients, from the first number on, TAKEN by that server. */
static void take(struct rig_server *server, unsigned first, unsigned count)
{
	uint64_t before = rig_read(&rig).taken;
	for (unsigned i = 0; i < count; i++)
		clients[first + i] = rig_connect(&rig);
	hear(server, first, count);
	rig_ids(server, LUST_WIRE_TAKEN, ids + first, count);
	rig_until_taken(&rig, before + count);
}

static void done(struct rig_server *server, unsigned first, unsigned count)
{
	rig_ids(server, LUST_WIRE_DONE, ids + first, count);
	for (unsigned i = 0; i < 5; i++)
		rig_turn(&rig);
}

static void close_fd(unsigned number)
{
	close(fds[number]);
	fds[number] = -1;
}

static void die(struct rig_server *server)
{
	for (unsigned i = 0; i < MOST; i++)
		if (fds[i] >= 0)
			close_fd(i);
	rig_die(&rig, server);
}

static bool quiet(int client)
{
	struct pollfd look = {.fd = client, .events = POLLIN | POLLRDHUP};
	return poll(&look, 1, 0) == 0;
}

/* What the client reads up to the end, which must come. */
static void ck_answer(int client, const char *wanted)
{
	char text[64] = "";
	size_t length = 0;
	ssize_t got;
	while ((got = read(client, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	ck_assert_int_eq(got, 0);
	ck_assert_str_eq(text, wanted);
}

START_TEST(test_kept_until_done)
{
	rig_server(&rig, &one, 0, 0, 64);
	uint32_t before = atomic_load(&rig.d->board->fds);
	take(&one, 0, 3);
	ck_assert_uint_eq(rig.d->server[0]->held.count, 3);
	ck_assert_uint_eq(atomic_load(&rig.d->board->fds), before + 3);
	done(&one, 1, 1);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.taken, 3);
	ck_assert_uint_eq(reading.active, 2);
	ck_assert_uint_eq(reading.done, 1);
	done(&one, 0, 1);
	done(&one, 2, 1);
	ck_assert_uint_eq(rig_read(&rig).done, 3);
	ck_assert_uint_eq(atomic_load(&rig.d->board->fds), before);
	rig_server_close(&one);
}
END_TEST

/* shutdown() before close(): the client does not wait for the dispatcher. */
START_TEST(test_end_does_not_wait)
{
	rig_server(&rig, &one, 0, 0, 1);
	take(&one, 0, 1);
	ck_assert_int_eq(write(fds[0], "bye", 3), 3);
	ck_assert_int_eq(shutdown(fds[0], SHUT_WR), 0);
	close_fd(0);
	ck_answer(clients[0], "bye");
	done(&one, 0, 1);
	ck_assert_uint_eq(rig_read(&rig).done, 1);
	rig_server_close(&one);
}
END_TEST

/* A server that only closes: the end comes with DONE; what was corked, too. */
START_TEST(test_only_closed)
{
	int on = 1;
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 2);
	ck_assert_int_eq(setsockopt(fds[0], IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
	ck_assert_int_eq(write(fds[0], "corked", 6), 6);
	close_fd(0);
	close_fd(1);
	for (unsigned i = 0; i < 5; i++)
		rig_turn(&rig);
	ck_assert(quiet(clients[1]));
	done(&one, 0, 2);
	ck_answer(clients[0], "corked");
	ck_answer(clients[1], "");
	rig_server_close(&one);
}
END_TEST

/* Kept by id: what was said before is known, and changes nothing. */
START_TEST(test_said_twice)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 3);
	done(&one, 0, 1);
	done(&one, 0, 1);
	rig_event(&rig, EVENT_UNKNOWN_ID);
	rig_ids(&one, LUST_WIRE_TAKEN, ids + 1, 1);
	rig_event(&rig, EVENT_UNKNOWN_ID);
	rig_refuse(&one, ids[1], fds[1]); /* too late */
	rig_event(&rig, EVENT_UNKNOWN_ID);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.taken, 3);
	ck_assert_uint_eq(reading.done, 1);
	ck_assert_uint_eq(reading.active, 2);
	ck_assert_uint_eq(reading.redispatched, 0);
	done(&one, 1, 2);
	ck_assert_uint_eq(rig_read(&rig).active, 0);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_done_without_taken)
{
	rig_server(&rig, &one, 0, 0, 1);
	take(&one, 0, 1);
	clients[1] = rig_connect(&rig);
	hear(&one, 1, 1);
	done(&one, 1, 1);
	ck_assert_uint_eq(rig_read(&rig).taken, 2);
	ck_assert_uint_eq(rig_read(&rig).done, 1);
	ck_assert_uint_eq(rig.d->server[0]->held.count, 1);
	done(&one, 0, 1);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	rig_server_close(&one);
}
END_TEST

static void reset(unsigned client)
{
	struct linger now = {.l_onoff = 1};
	ck_assert_int_eq(setsockopt(clients[client], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(clients[client]);
	clients[client] = -1;
	struct pollfd gone = {.fd = fds[client]};
	ck_assert_int_eq(poll(&gone, 1, 10000), 1);
}

/* TAKEN and untouched, with and without a request and a FIN: to another one.  The others are told by id. */
START_TEST(test_death)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 5);
	ck_assert_int_eq(write(clients[1], "request", 7), 7);
	ck_assert_int_eq(shutdown(clients[1], SHUT_WR), 0);
	struct pollfd arrived = {.fd = fds[1], .events = POLLRDHUP};
	ck_assert_int_eq(poll(&arrived, 1, 10000), 1);
	ck_assert_int_eq(write(fds[2], "half", 4), 4);
	reset(3);
	done(&one, 4, 1);
	uint64_t before[MOST];
	memcpy(before, ids, sizeof(before));
	die(&one);

	struct event event = rig_event(&rig, EVENT_CLOSED_TOUCHED);
	ck_assert_uint_eq(event.id, before[2]);
	ck_assert_uint_eq(event.slot, 0);
	ck_assert_uint_eq(rig_event(&rig, EVENT_CLOSED_CLIENT_LEFT).id, before[3]);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, 5);
	ck_assert_uint_eq(reading.taken, 5);
	ck_assert_uint_eq(reading.died, 2);
	ck_assert_uint_eq(reading.done, 1);
	ck_assert_uint_eq(reading.active, 2); /* until another server has them */
	ck_assert_uint_eq(reading.pending, 0);
	ck_assert_uint_eq(reading.redispatched, 0);
	ck_assert_uint_eq(reading.closed[CLOSED_TOUCHED] + reading.closed[CLOSED_CLIENT_LEFT], 0);
	ck_answer(clients[2], "half");

	rig_server(&rig, &two, 1, 0, 64);
	ck_assert_uint_eq(rig_event(&rig, EVENT_SERVER_GONE).number, 2);
	hear(&two, 0, 2);
	reading = rig_read(&rig);
	ck_assert_uint_eq(reading.taken, 3);
	ck_assert_uint_eq(reading.active, 0);
	ck_assert_uint_eq(reading.pending, 2);
	ck_assert_uint_eq(reading.redispatched, 2);
	ck_assert_uint_ne(ids[0], before[0]);
	ck_assert_uint_ne(ids[1], before[1]);
	char bytes[8];
	ck_assert_int_eq(read(fds[1], bytes, sizeof(bytes)), 7);
	rig_ids(&two, LUST_WIRE_TAKEN, ids, 2);
	rig_until_taken(&rig, 5);
	ck_assert_int_eq(write(fds[0], "hello", 5), 5);
	shutdown(fds[0], SHUT_WR);
	ck_answer(clients[0], "hello");
	done(&two, 0, 2);
	ck_assert_uint_eq(rig_read(&rig).done, 3);
	rig_server_close(&two);
}
END_TEST

/* Its DONE was on the way: the connection is over and goes nowhere. */
START_TEST(test_death_with_done_unread)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 2);
	rig_ids(&one, LUST_WIRE_DONE, ids, 1);
	die(&one);
	ck_assert_uint_eq(rig_read(&rig).done, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	rig_server(&rig, &two, 1, 0, 64);
	hear(&two, 0, 1);
	ck_assert_uint_eq(rig_read(&rig).redispatched, 1);
	rig_hear_nothing(&rig, &two);
	rig_server_close(&two);
}
END_TEST

/* Whoever has waited longest goes first. */
START_TEST(test_death_keeps_the_order)
{
	rig_server(&rig, &one, 0, 0, 1);
	take(&one, 0, 1);
	clients[1] = rig_connect(&rig);
	hear(&one, 1, 1);
	clients[2] = rig_connect(&rig);
	rig_until_accepted(&rig, 3);
	die(&one);
	rig_server(&rig, &two, 1, 0, 64);
	hear(&two, 0, 3);
	ck_assert_int_eq(write(fds[0], "0", 1), 1);
	shutdown(fds[0], SHUT_WR);
	ck_answer(clients[0], "0");
	rig_server_close(&two);
}
END_TEST

/* It says TAKEN for what it has not even received. */
START_TEST(test_taken_unseen)
{
	rig_server(&rig, &one, 0, 0, 1);
	clients[0] = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	ids[0] = rig.d->ledger.entry[rig.d->server[0]->sent.first].wire.id;
	rig_ids(&one, LUST_WIRE_TAKEN, ids, 1);
	rig_until_taken(&rig, 1);
	ck_assert_uint_eq(withdraw(rig.d, rig.d->server[0]), 0);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	die(&one);
	rig_server(&rig, &two, 1, 0, 1);
	hear(&two, 0, 1);
	ck_assert_int_eq(write(fds[0], "x", 1), 1);
	shutdown(fds[0], SHUT_WR);
	ck_answer(clients[0], "x");
	rig_server_close(&two);
}
END_TEST

static void fill(unsigned number)
{
	static const char bytes[65536];
	struct linger long_one = {.l_onoff = 1, .l_linger = 3600};
	ck_assert_int_eq(setsockopt(fds[number], SOL_SOCKET, SO_LINGER, &long_one, sizeof(long_one)), 0);
	while (send(fds[number], bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
}

/* An hour, were it not cleared: at DONE, at a death, when the setting changes, at the dispatcher's end. */
START_TEST(test_closing_never_waits)
{
	rig_server(&rig, &one, 0, 0, 64);
	rig_server(&rig, &two, 1, 0, 64);
	take(&one, 0, 1);
	fill(0);
	close_fd(0);
	done(&one, 0, 1);
	ck_assert_uint_eq(rig_read(&rig).done, 1);
	server_drain(rig.d, rig.d->server[0]); /* the next ones go to the other */
	rig_hear(&rig, &one, LUST_WIRE_DRAIN);
	take(&two, 1, 1);
	fill(1);
	die(&two);
	ck_assert_uint_eq(rig_read(&rig).died, 1);
	rig_server_close(&one);

	rig_server(&rig, &two, 1, 0, 64);
	take(&two, 2, 1);
	fill(2);
	close_fd(2);
	rig_kill(&rig);
	rig_server_close(&two);
}
END_TEST

/* The copies die with a dispatcher, the connections do not. */
START_TEST(test_new_dispatcher)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 3);
	rig_next(&rig, &one, 1, 0);
	ck_assert_uint_eq(rig.d->ledger.held, 0);
	ck_assert_uint_eq(atomic_load(&rig.d->board->ledger_used), 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	ck_assert_uint_eq(one.message.hello.acknowledge, LUST_WIRE_ACK_DONE);
	rig_register(&rig, &one, 0, 64, 2, batch, 0); /* one is over */
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.done, 1);
	ck_assert_uint_eq(reading.active, 2);
	ck_assert_uint_eq(reading.lost, 0);

	take(&one, 3, 1);
	done(&one, 3, 1);
	done(&one, 3, 1); /* again: it is none of the older ones */
	rig_event(&rig, EVENT_UNKNOWN_ID);
	ck_assert_uint_eq(rig_read(&rig).active, 2);
	done(&one, 0, 2);
	done(&one, 1, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 0);
	ck_assert_uint_eq(rig_read(&rig).done, 4);
	rig_server_close(&one);
}
END_TEST

/* No copy, no proof: with the server, too, the old ones have died. */
START_TEST(test_both_die)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 2);
	rig_next(&rig, &one, 1, LINK_SERVER_DEAD);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.died, 2);
	ck_assert_uint_eq(reading.redispatched, 0);
	ck_assert_uint_eq(reading.lost, 0);
	rig_server_close(&one);
}
END_TEST

/* One from outside that came back to another daemon: of what it brings there is no copy, of what it gets there is. */
START_TEST(test_from_a_former_daemon)
{
	uint64_t old = (uint64_t)77 << 48 | 5;
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_register_again(&rig, &one, 0, 64, 3, 0);
	take(&one, 0, 3);
	ck_assert_uint_eq(rig.d->server[0]->held.count, 3);
	rig_ids(&one, LUST_WIRE_DONE, &old, 1);
	done(&one, 0, 1);
	ck_assert_uint_eq(rig.d->server[0]->held.count, 2);
	ck_assert_uint_eq(rig_read(&rig).active, 4);
	ck_assert_uint_eq(rig_read(&rig).done, 2);

	rig_server(&rig, &two, 1, 0, 64);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	die(&one);
	hear(&two, 3, 1);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, 6);
	ck_assert_uint_eq(reading.taken, 5);
	ck_assert_uint_eq(reading.died, 3); /* two that it brought, one that it had touched */
	ck_assert_uint_eq(reading.redispatched, 1);
	ck_assert_uint_eq(reading.active, 0);
	rig_server_close(&two);
}
END_TEST

/* While connections are active: what is taken from then on is kept, or not. */
START_TEST(test_reload)
{
	rig.service.acknowledge = LINK_ACK_TAKEN;
	rig.service.fresh = 0;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 2);
	ck_assert_uint_eq(rig.d->ledger.fds, 0);

	rig.service.acknowledge = LINK_ACK_DONE;
	rig_table(&rig, NULL, 0, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	ck_assert_uint_eq(one.message.hello.acknowledge, LUST_WIRE_ACK_DONE);
	take(&one, 2, 2);
	ck_assert_uint_eq(rig.d->server[0]->held.count, 2);
	done(&one, 2, 1);
	done(&one, 0, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 2);
	ck_assert_uint_eq(rig.d->server[0]->held.count, 1);

	rig.service.acknowledge = LINK_ACK_TAKEN;
	rig_table(&rig, NULL, 0, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	ck_assert_uint_eq(one.message.hello.acknowledge, LUST_WIRE_ACK_TAKEN);
	ck_assert_uint_eq(rig.d->ledger.fds, 0);
	ck_assert_uint_eq(rig_read(&rig).active, 2);
	done(&one, 3, 1);
	/* At most once again: this one is nobody else's, though nobody touched it. */
	die(&one);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.taken, 4);
	ck_assert_uint_eq(reading.done, 3);
	ck_assert_uint_eq(reading.died, 1);
	ck_assert_uint_eq(reading.redispatched, 0);
}
END_TEST

/* No room to keep more: clients wait in the backlog, none is dropped. */
START_TEST(test_no_room_to_keep)
{
	rig.service.window = 2;
	rig.service.fresh = 0;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	atomic_store(&rig.d->board->fds_limit, turn_own_fds(rig.d) + 8);
	for (unsigned i = 0; i < 12; i++)
		clients[i] = rig_connect(&rig);
	unsigned got = 0;
	while (!atomic_load(&rig.d->board->held_full)) {
		hear(&one, got, 1);
		rig_ids(&one, LUST_WIRE_TAKEN, ids + got++, 1);
		rig_until_taken(&rig, got);
	}
	ck_assert_uint_ge(got, 6);
	while (rig_read(&rig).pending) {
		hear(&one, got, 1);
		rig_ids(&one, LUST_WIRE_TAKEN, ids + got++, 1);
		rig_until_taken(&rig, got);
	}
	ck_assert_uint_le(got, 6 + rig.service.window);
	rig_hear_nothing(&rig, &one);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, got);
	ck_assert_uint_ne(reading.full_since_ms, 0);
	done(&one, 0, got);
	for (; got < 12; got++) {
		hear(&one, got, 1);
		rig_ids(&one, LUST_WIRE_TAKEN, ids + got, 1);
		rig_ids(&one, LUST_WIRE_DONE, ids + got, 1);
	}
	RIG_UNTIL(&rig, rig_read(&rig).done == 12);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	rig_server_close(&one);
}
END_TEST

/* It went away and lives: what it has is its own. */
START_TEST(test_left_alive)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 2);
	clients[2] = rig_connect(&rig);
	hear(&one, 2, 1);
	death_settle(rig.d, rig.d->server[0], DEATH_ALIVE, 0);
	ck_assert_uint_eq(rig.d->ledger.fds, 0);
	ck_assert_uint_eq(rig_read(&rig).died, 3);
	ck_assert_uint_eq(rig_read(&rig).redispatched, 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(write(fds[i], "still", 5), 5);
		close_fd(i);
		ck_answer(clients[i], "still");
	}
	rig_server_close(&one);
}
END_TEST

/* What is kept until DONE is not on its way. */
START_TEST(test_quiet)
{
	rig_server(&rig, &one, 0, 0, 64);
	take(&one, 0, 2);
	rig_say(&rig, &(struct link_message){.type = LINK_QUIESCE}, NULL, 0);
	rig_expect(&rig, LINK_QUIET);
	ck_assert_uint_eq(rig.d->ledger.held, 2);
	done(&one, 0, 2);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	rig_server_close(&one);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_kept_until_done,
		test_end_does_not_wait,
		test_only_closed,
		test_said_twice,
		test_done_without_taken,
		test_death,
		test_death_with_done_unread,
		test_death_keeps_the_order,
		test_taken_unseen,
		test_closing_never_waits,
		test_new_dispatcher,
		test_both_die,
		test_from_a_former_daemon,
		test_reload,
		test_no_room_to_keep,
		test_left_alive,
		test_quiet,
	};
	return suite_run_tests("done", tests, sizeof(tests) / sizeof(*tests), setup, teardown);
}
