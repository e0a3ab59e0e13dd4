/*
 * test_settling.c: several servers die at once and nobody has room for what they had: it stays where it is, and goes to
 * others as they have room.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

#define CLIENTS 180
#define SERVERS 3

static struct rig rig;
static struct rig_server dead[SERVERS], next;
static int clients[CLIENTS + 1];
static unsigned count;

static void setup(void)
{
	count = 0;
	rig_open(&rig);
}

static void teardown(void)
{
	for (unsigned i = 0; i < count; i++)
		close(clients[i]);
	rig_close(&rig);
}

/* So many clients fill them all. */
static void start(unsigned servers, unsigned most)
{
	rig.service.window = (uint16_t)(most / servers);
	rig_table(&rig, NULL, 0, 0);
	for (unsigned i = 0; i < servers; i++)
		rig_server(&rig, &dead[i], i, 0, 64);
}

static void connect_clients(unsigned more)
{
	while (more--)
		clients[count++] = rig_connect(&rig);
	rig_until_accepted(&rig, count);
}

/* True: nothing of it is left. */
static bool die(struct rig_server *server)
{
	close(server->fd);
	return rig_died(&rig, server);
}

static void die_all(unsigned servers)
{
	for (unsigned i = 0; i < servers; i++)
		ck_assert(!die(&dead[i]));
}

static void close_pairs(unsigned servers)
{
	for (unsigned i = 0; i < servers; i++) {
		close(dead[i].ours);
		close(dead[i].theirs);
	}
}

/* All that are there go through this one, which takes so many at once. */
static void answer_all(unsigned capacity, unsigned wanted)
{
	rig_server(&rig, &next, SERVERS, capacity, 64);
	while (wanted) {
		rig_hear(&rig, &next, LUST_WIRE_CONNECTIONS);
		unsigned got = next.message.header.count;
		uint64_t ids[LUST_WIRE_BATCH];
		ck_assert_uint_le(got, wanted);
		ck_assert_uint_eq(rig.d->queued, 0);
		for (unsigned i = 0; i < got; i++) {
			ids[i] = next.message.connections.entry[i].id;
			ck_assert_int_eq(write(next.from.fd[i], "x", 1), 1);
		}
		lust_message_close_from(&next.from, 0);
		rig_ids(&next, LUST_WIRE_DONE, ids, got);
		wanted -= got;
	}
	rig_hear_nothing(&rig, &next);
}

static void ck_answered(unsigned from, unsigned to)
{
	char byte;
	for (unsigned i = from; i < to; i++)
		ck_assert_int_eq(read(clients[i], &byte, 1), 1);
}

START_TEST(test_they_wait_where_they_are)
{
	start(SERVERS, CLIENTS);
	connect_clients(CLIENTS);
	die_all(SERVERS);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.pending, CLIENTS);
	ck_assert_uint_eq(reading.redispatched, 0);
	ck_assert_uint_eq(rig.d->queued, 0);
	ck_assert_uint_eq(rig.slots_freed, 0);
	/* Who comes now waits in the backlog. */
	clients[count++] = rig_connect(&rig);
	for (unsigned i = 0; i < 5; i++)
		rig_turn(&rig);
	ck_assert_uint_eq(rig_read(&rig).accepted, CLIENTS);

	answer_all(7, CLIENTS + 1);
	ck_answered(0, CLIENTS + 1);
	reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, CLIENTS + 1);
	ck_assert_uint_eq(reading.done, CLIENTS + 1);
	ck_assert_uint_eq(reading.redispatched, CLIENTS);
	ck_assert_uint_eq(rig.d->settling, 0);
	for (unsigned i = 0; i < SERVERS; i++) {
		rig_expect(&rig, LINK_SLOT_FREE);
		ck_assert_uint_eq(atomic_load(&rig.d->board->servers[i].state), BOARD_SERVER_NONE);
	}
	close_pairs(SERVERS);
	rig_server_close(&next);
}
END_TEST

/* The dispatcher dies, too, and the next one: what lies in the pairs is there. */
START_TEST(test_all_die)
{
	start(SERVERS, CLIENTS);
	connect_clients(CLIENTS);
	die_all(SERVERS);
	for (unsigned i = 0; i < 2; i++) {
		rig_kill(&rig);
		rig_revive(&rig);
		rig_table(&rig, dead, SERVERS, LINK_SERVER_DEAD);
		ck_assert_uint_eq(rig_read(&rig).pending, CLIENTS);
		ck_assert_uint_eq(rig.d->queued, 0);
	}
	ck_assert_uint_eq(rig.slots_freed, 0);
	answer_all(7, CLIENTS);
	ck_answered(0, CLIENTS);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	ck_assert_uint_eq(rig.d->settling, 0);
	close_pairs(SERVERS);
	rig_server_close(&next);
}
END_TEST

/* What nobody else may have is not kept waiting for room, and neither is a client that has left. */
START_TEST(test_touched_and_left_do_not_wait)
{
	start(1, 64);
	connect_clients(1);
	rig_hear(&rig, &dead[0], LUST_WIRE_CONNECTIONS);
	connect_clients(2);
	ck_assert_int_eq(write(dead[0].from.fd[0], "y", 1), 1);
	lust_message_close_from(&dead[0].from, 0);
	die_all(1);
	ck_assert_uint_eq(rig_read(&rig).closed[CLOSED_TOUCHED], 1);
	char bytes[2];
	ck_assert_int_eq(read(clients[0], bytes, 2), 1);
	ck_assert_int_eq(read(clients[0], bytes, 2), 0);

	struct linger now = {.l_onoff = 1};
	ck_assert_int_eq(setsockopt(clients[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(clients[1]);
	clients[1] = rig_connect(&rig);
	RIG_UNTIL(&rig, rig_read(&rig).closed[CLOSED_CLIENT_LEFT] == 1);
	ck_assert_uint_eq(rig.d->settling, 1);
	answer_all(0, 2);
	ck_answered(1, 3);
	ck_assert_uint_eq(rig.d->settling, 0);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

/* All of them have left: nothing is there to wait for. */
START_TEST(test_all_clients_leave)
{
	start(1, 64);
	connect_clients(3);
	die_all(1);
	struct linger now = {.l_onoff = 1};
	while (count) {
		int client = clients[--count];
		ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
		close(client);
	}
	rig_expect(&rig, LINK_SLOT_FREE);
	ck_assert_uint_eq(rig_read(&rig).closed[CLOSED_CLIENT_LEFT], 3);
	ck_assert_uint_eq(rig.d->settling, 0);
	close_pairs(1);
}
END_TEST

/* Nobody keeps a server for them: they wait some seconds for one from outside, like all that were taken back. */
START_TEST(test_no_server_is_promised)
{
	rig.service.supervised = 0;
	start(2, 10);
	connect_clients(10);
	die_all(2);
	rig_event(&rig, EVENT_CLOSED_NO_SERVER);
	RIG_UNTIL(&rig, rig_read(&rig).closed[CLOSED_NO_SERVER] == 10);
	ck_assert_uint_eq(rig.d->settling, 0);
	close_pairs(2);
}
END_TEST

/* One that drains is nobody to wait for. */
START_TEST(test_who_is_left_drains)
{
	rig.service.supervised = 0;
	start(1, 10);
	rig_server(&rig, &next, 1, 0, 64);
	struct link_message message = {.type = LINK_DRAIN};
	message.slot = (struct link_slot){.slot = 1, .generation = 1};
	rig_say(&rig, &message, NULL, 0);
	connect_clients(3);
	die_all(1);
	RIG_UNTIL(&rig, rig_read(&rig).closed[CLOSED_NO_SERVER] == 3);
	ck_assert_uint_eq(rig.d->settling, 0);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

/* One comes in time; how long they waited for it is not counted against who waits another time. */
START_TEST(test_a_server_comes_in_time)
{
	rig.service.supervised = 0;
	start(1, 64);
	connect_clients(1);
	die_all(1);
	RIG_UNTIL(&rig, rig.d->service[0]->lonely_since_us);
	answer_all(0, 1);
	RIG_UNTIL(&rig, !ev_is_active(&rig.d->sweep));
	ck_assert_uint_eq(rig.d->service[0]->lonely_since_us, 0);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

static void hear_and_answer(unsigned wanted)
{
	uint64_t ids[8];
	rig_hear_ids(&rig, &next, ids, wanted);
	rig_ids(&next, LUST_WIRE_DONE, ids, wanted);
}

/* A message is taken apart, and the kernel takes the rest of it back no more: that waits here, as nobody's. */
START_TEST(test_no_way_back_into_the_pair)
{
	struct rig_flight flight;
	uint64_t ids[2];
	start(1, 4);
	connect_clients(4);
	rig_server(&rig, &next, 1, 2, 64);
	connect_clients(1);
	if (!rig_flight_fill(&flight))
		return;
	ck_assert(die(&dead[0]));
	ck_assert_uint_eq(rig.d->queued, 4);
	rig_flight_free(&flight);
	rig_hear_ids(&rig, &next, ids, 2);
	ck_assert_uint_eq(rig.d->queued, 3);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

static void say_died(const struct rig_server *server)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_SERVER_DIED};
	message.slot = (struct link_slot){.slot = server->slot, .generation = server->generation};
	ck_assert_int_eq(channel_send(&rig.link, &message, NULL, 0), 0);
}

/* In one turn: what there is room for is not promised to each of them. */
START_TEST(test_two_die_at_once)
{
	start(2, 20);
	connect_clients(20);
	rig_server(&rig, &next, 2, 5, 64);
	say_died(&dead[0]);
	say_died(&dead[1]);
	for (unsigned i = 0; i < 3; i++) {
		rig_turn(&rig);
		ck_assert_uint_eq(rig.d->queued, 0);
	}
	ck_assert_uint_eq(rig.d->settling, 2);
	for (unsigned i = 0; i < 4; i++)
		hear_and_answer(5);
	rig_expect(&rig, LINK_SLOT_FREE);
	RIG_UNTIL(&rig, rig_read(&rig).done == 20);
	close_pairs(2);
	rig_server_close(&next);
}
END_TEST

/* They are settled: what still lies of them in the pair is nobody's, also to the next dispatcher. */
START_TEST(test_who_left_is_counted_once)
{
	start(1, 64);
	connect_clients(3);
	die_all(1);
	struct linger now = {.l_onoff = 1};
	ck_assert_int_eq(setsockopt(clients[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(clients[0]);
	clients[0] = rig_connect(&rig);
	RIG_UNTIL(&rig, rig_read(&rig).closed[CLOSED_CLIENT_LEFT] == 1);
	rig_next(&rig, dead, 1, LINK_SERVER_DEAD);
	answer_all(0, 3);
	ck_answered(0, 3);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, 4);
	ck_assert_uint_eq(reading.closed[CLOSED_CLIENT_LEFT], 1);
	ck_assert_uint_eq(reading.redispatched, 2);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

START_TEST(test_quiesce_and_shutdown)
{
	start(2, 10);
	connect_clients(10);
	die_all(2);
	rig_say(&rig, &(struct link_message){.type = LINK_QUIESCE}, NULL, 0);
	for (unsigned i = 0; i < 5; i++)
		rig_turn(&rig);
	ck_assert(!rig.d->quiet_told);
	rig_say(&rig, &(struct link_message){.type = LINK_SHUTDOWN}, NULL, 0);
	rig_expect(&rig, LINK_QUIET);
	ck_assert_uint_eq(rig_read(&rig).closed[CLOSED_SHUTDOWN], 10);
	close_pairs(2);
}
END_TEST

/* The supervisor cannot wait any longer: its number is free at once, its connections wait here. */
START_TEST(test_forgotten_while_it_waits)
{
	start(1, 64);
	connect_clients(3);
	die_all(1);
	struct link_message message = {.type = LINK_FORGET};
	message.slot = (struct link_slot){.slot = 0, .generation = 1};
	rig_say(&rig, &message, NULL, 0);
	ck_assert_uint_eq(rig.d->settling, 0);
	ck_assert_uint_eq(rig.d->queued, 3);
	answer_all(0, 3);
	ck_answered(0, 3);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

/* A server that died without a connection, with words that it never read. */
START_TEST(test_nothing_to_wait_for)
{
	start(1, 64);
	struct link_message message = {.type = LINK_DRAIN};
	message.slot = (struct link_slot){.slot = 0, .generation = 1};
	rig_say(&rig, &message, NULL, 0);
	ck_assert(die(&dead[0]));
	close_pairs(1);
}
END_TEST

/* With `done`: TAKEN, untouched and kept; the table forgets `done` meanwhile, which does not concern the dead. */
START_TEST(test_kept_ones_wait)
{
	rig.service.acknowledge = LINK_ACK_DONE;
	start(1, 64);
	connect_clients(2);
	uint64_t ids[2];
	rig_hear_ids(&rig, &dead[0], ids, 2);
	rig_ids(&dead[0], LUST_WIRE_TAKEN, ids, 2);
	rig_until_taken(&rig, 2);
	die_all(1);
	ck_assert_uint_eq(rig_read(&rig).active, 2);
	rig.service.acknowledge = LINK_ACK_TAKEN;
	rig.service.fresh = 0;
	rig_table(&rig, NULL, 0, 0);
	ck_assert_uint_eq(rig_read(&rig).active, 2);
	answer_all(1, 2);
	ck_answered(0, 2);
	ck_assert_uint_eq(rig_read(&rig).died, 0);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	close_pairs(1);
	rig_server_close(&next);
}
END_TEST

static Suite *suite(void)
{
	const TTest *const tests[] = {
		test_they_wait_where_they_are,
		test_all_die,
		test_touched_and_left_do_not_wait,
		test_all_clients_leave,
		test_no_server_is_promised,
		test_who_is_left_drains,
		test_a_server_comes_in_time,
		test_no_way_back_into_the_pair,
		test_two_die_at_once,
		test_who_left_is_counted_once,
		test_quiesce_and_shutdown,
		test_forgotten_while_it_waits,
		test_nothing_to_wait_for,
		test_kept_ones_wait,
	};
	Suite *all = suite_create("settling");
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
