/*
 * test_ending.c: servers that break the protocol, stall, die or drain, and a dispatcher that is told to stop: what
 * becomes of real connections.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

static struct rig rig;
static struct rig_server one, two;
static int clients[256];

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

static void connect_clients(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		clients[i] = rig_connect(&rig);
}

static void close_clients(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(clients[i]);
}

START_TEST(test_garbage_cuts_off)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_turn(&rig);
	rig_until_accepted(&rig, 1);
	ck_assert_int_eq(send(one.fd, "garbage", 7, 0), 7);
	rig_expect(&rig, LINK_DEREGISTERED);
	ck_assert_uint_ne(rig.last.slot.reason[0], 0);
	/* What it had not received was taken back before the word came. */
	rig_hear(&rig, &one, LUST_WIRE_DENIED);
	rig_server(&rig, &two, 1, 0, 1);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	rig_drop_fds(&two);
	close_clients(1);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

START_TEST(test_closed_pair)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	ck_assert_int_eq(shutdown(one.fd, SHUT_RDWR), 0);
	rig_expect(&rig, LINK_DEREGISTERED);
	ck_assert_str_eq(rig.last.slot.reason, "closed its pair");
	rig_server_close(&one);
}
END_TEST

/* A forked child holds the pair, but is not the server. */
START_TEST(test_message_of_a_child)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t id = rig_first_id(&one);
	pid_t child = fork();
	if (child == 0) {
		rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
		_exit(send(one.fd, "garbage", 7, 0) != 7);
	}
	struct event event = rig_event(&rig, EVENT_REFUSED_REGISTRATION);
	ck_assert_uint_eq(event.number, REFUSAL_WRONG_PID);
	ck_assert_int_eq(event.pid, child);
	rig_event(&rig, EVENT_REFUSED_REGISTRATION);
	ck_assert_uint_eq(rig_read(&rig).taken, 0);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

/* A stalled server loses what it has not received, keeps what it has, and comes back with a word. */
START_TEST(test_stall)
{
	rig.service.take_timeout_ms = 200;
	rig.service.window = 4;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(3);
	rig_until_accepted(&rig, 3);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS); /* receives one, then sleeps */
	uint64_t id = rig_first_id(&one);
	int held = one.from.fd[0];
	struct event event = rig_event(&rig, EVENT_STALLED);
	ck_assert_uint_eq(event.number, 2);
	ck_assert_uint_eq(rig_read(&rig).redispatched, 2);
	ck_assert_uint_eq(atomic_load(&rig.d->board->servers[0].state), BOARD_SERVER_STALLED);

	rig_server(&rig, &two, 1, 0, 64);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(two.message.header.count, 2);
	rig_drop_fds(&two);

	rig_hear(&rig, &one, LUST_WIRE_HELLO); /* the question */
	rig_hear_nothing(&rig, &one);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	rig_event(&rig, EVENT_RECOVERED);
	ck_assert(rig_answered(clients[0], held));
	close(held);
	close_clients(3);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* Long before it counts as stalled, a server that does not receive is passed over. */
START_TEST(test_late)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 64);
	rig_server(&rig, &two, 1, 0, 64);
	connect_clients(2);
	rig_until_accepted(&rig, 2);
	uint64_t sent_ms = rig_now_ms();
	RIG_UNTIL(&rig, rig_now_ms() > sent_ms + 50);
	for (unsigned got = 0; got < 1; got += two.message.header.count) {
		rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
		rig_drop_fds(&two);
	}
	int more[6];
	for (unsigned i = 0; i < 6; i++)
		more[i] = rig_connect(&rig);
	rig_until_accepted(&rig, 8);
	ck_assert_uint_eq(rig.d->server[0]->sent.count, 1);
	ck_assert_uint_eq(rig.d->server[1]->sent.count, 7);
	for (unsigned i = 0; i < 6; i++)
		close(more[i]);
	close_clients(2);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* Waiting for a silent client is no stall: a server that answers the question lives. */
START_TEST(test_no_stall_for_an_answer)
{
	rig.service.take_timeout_ms = 200;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	for (unsigned i = 0; i < 4; i++) {
		rig_hear(&rig, &one, LUST_WIRE_HELLO);
		rig_register(&rig, &one, 0, 1, 1, 1, 0);
		rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	}
	ck_assert_uint_eq(atomic_load(&rig.d->board->servers[0].stalls), 0);
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

/* TAKEN dies with it, unreceived and untouched ones live on, touched ones are closed. */
START_TEST(test_death)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(5);
	rig_until_accepted(&rig, 5);
	int fds[4];
	uint64_t ids[4];
	for (unsigned i = 0; i < 4; i++) {
		rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
		fds[i] = one.from.fd[0];
		ids[i] = rig_first_id(&one);
	}
	/* 0: taken, its message unread. 1: client wrote, untouched. 2: read from. 3: written to. 4: unreceived. */
	rig_ids(&one, LUST_WIRE_TAKEN, ids, 1);
	ck_assert_int_eq(write(clients[1], "request", 7), 7);
	ck_assert_int_eq(shutdown(clients[1], SHUT_WR), 0);
	ck_assert_int_eq(write(clients[2], "request", 7), 7);
	char bytes[8];
	ck_assert_int_eq(read(fds[2], bytes, 3), 3);
	ck_assert_int_eq(write(fds[3], "y", 1), 1);
	struct pollfd arrived = {.fd = fds[1], .events = POLLRDHUP};
	ck_assert_int_eq(poll(&arrived, 1, 10000), 1);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
	rig_die(&rig, &one);

	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.taken, 1);
	ck_assert_uint_eq(reading.died, 1);
	ck_assert_uint_eq(reading.closed[CLOSED_TOUCHED], 2);
	ck_assert_uint_eq(reading.pending, 2);
	rig_event(&rig, EVENT_CLOSED_TOUCHED);

	rig_server(&rig, &two, 1, 0, 64);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(two.message.header.count, 2);
	/* The unreceived one was withdrawn first. */
	ck_assert(rig_answered(clients[4], two.from.fd[0]));
	ck_assert_int_eq(read(two.from.fd[1], bytes, 8), 7);
	ck_assert_int_eq(read(two.from.fd[1], bytes, 8), 0);
	rig_drop_fds(&two);
	close_clients(5);
	rig_server_close(&two);
}
END_TEST

START_TEST(test_drain)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t id = rig_first_id(&one);
	struct link_message message = {.type = LINK_DRAIN};
	message.slot = (struct link_slot){.slot = 0, .generation = 1};
	rig_say(&rig, &message, NULL, 0);
	rig_hear(&rig, &one, LUST_WIRE_DRAIN);
	int late = rig_connect(&rig);
	rig_hear_nothing(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).accepted, 1);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_ids(&one, LUST_WIRE_DONE, &id, 1);
	rig_expect(&rig, LINK_IDLE);
	ck_assert_uint_eq(rig_read(&rig).done, 1);
	/* Its own wish, too, is answered with DRAIN. */
	rig_server(&rig, &two, 1, 0, 1);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	rig_word(&two, LUST_WIRE_DRAINING);
	rig_drop_fds(&two);
	rig_hear(&rig, &two, LUST_WIRE_DRAIN);
	close(late);
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* Let go before it has read DRAIN, which is withdrawn like all else: it gets to know all the same. */
START_TEST(test_drain_is_the_last_word)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	struct link_message message = {.type = LINK_DRAIN};
	message.slot = (struct link_slot){.slot = 0, .generation = 1};
	rig_say(&rig, &message, NULL, 0);
	message.type = LINK_FORGET;
	rig_say(&rig, &message, NULL, 0);
	rig_hear(&rig, &one, LUST_WIRE_DRAIN);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_pause_quiesce_shutdown)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	rig_say(&rig, &(struct link_message){.type = LINK_PAUSE}, NULL, 0);
	connect_clients(2);
	rig_hear_nothing(&rig, &one);
	rig_say(&rig, &(struct link_message){.type = LINK_RESUME}, NULL, 0);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t id = rig_first_id(&one);
	rig_until_accepted(&rig, 2);

	rig_say(&rig, &(struct link_message){.type = LINK_QUIESCE}, NULL, 0);
	int late = rig_connect(&rig);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	ck_assert_uint_eq(rig_read(&rig).accepted, 2);
	ck_assert(!rig.d->quiet_told);
	/* The other one was never received. */
	rig_say(&rig, &(struct link_message){.type = LINK_SHUTDOWN}, NULL, 0);
	rig_event(&rig, EVENT_CLOSED_SHUTDOWN);
	ck_assert_uint_eq(rig_read(&rig).closed[CLOSED_SHUTDOWN], 1);
	rig_expect(&rig, LINK_QUIET);
	close(late);
	rig_drop_fds(&one);
	close_clients(2);
	rig_server_close(&one);
}
END_TEST

/* The service leaves the table: its listener closes, what no server has is closed and logged. */
START_TEST(test_removed_service)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_until_accepted(&rig, 1);
	struct link_message message = {.type = LINK_BEGIN};
	message.begin = (struct link_begin){.table = 99};
	rig_say(&rig, &message, NULL, 0);
	message = (struct link_message){.type = LINK_COMMIT};
	message.commit.table = 99;
	rig_say(&rig, &message, NULL, 0);
	rig_expect(&rig, LINK_COMMITTED);
	ck_assert_ptr_null(rig.d->listener[0]);
	rig_die(&rig, &one);
	rig_event(&rig, EVENT_CLOSED_NO_SERVER);
	ck_assert_uint_eq(rig_read(&rig).closed[CLOSED_NO_SERVER], 1);
	ck_assert_ptr_null(service_next(rig.d, NULL));
	close_clients(1);
}
END_TEST

/* Half a table is no table. */
START_TEST(test_commit_needs_all_records)
{
	rig_table(&rig, NULL, 0, 0);
	struct link_message message = {.type = LINK_BEGIN};
	message.begin = (struct link_begin){.table = 2, .services = 1};
	rig_say(&rig, &message, NULL, 0);
	message = (struct link_message){.type = LINK_COMMIT};
	message.commit.table = 2;
	rig_say(&rig, &message, NULL, 0);
	ck_assert_int_eq(rig.d->exit_code, 1);
	ck_assert_ptr_nonnull(rig.d->listener[0]);
}
END_TEST

static Suite *suite(void)
{
	const TTest *const tests[] = {
		test_garbage_cuts_off,
		test_closed_pair,
		test_message_of_a_child,
		test_stall,
		test_late,
		test_no_stall_for_an_answer,
		test_death,
		test_drain,
		test_drain_is_the_last_word,
		test_pause_quiesce_shutdown,
		test_removed_service,
		test_commit_needs_all_records,
	};
	Suite *all = suite_create("ending");
	TCase *tcase = tcase_create("loopback");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(all, tcase);
	return all;
}

int main(void)
{
	return suite_run(suite());
}
