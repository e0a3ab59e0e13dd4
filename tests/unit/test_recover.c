/*
 * test_recover.c: a dispatcher dies; the next one goes on with the board, the kept pairs and what the servers say.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

static struct rig rig;
static struct rig_server one, two;
static int clients[8];

static void setup(void)
{
	rig_open(&rig);
	rig_table(&rig, NULL, 0, 0);
}

static void teardown(void)
{
	for (unsigned i = 0; i < 8; i++)
		close(clients[i]);
	rig_close(&rig);
}

static void connect_clients(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		clients[i] = rig_connect(&rig);
	rig_until_accepted(&rig, count);
}

static void new_dispatcher(unsigned servers, unsigned flags)
{
	struct rig_server both[2] = {one, two};
	rig_next(&rig, both, servers, flags);
}

/* What the server had not received goes out again under a new id; nothing is lost, no client is refused. */
START_TEST(test_unreceived_is_served_again)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(2);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);

	new_dispatcher(1, 0);
	clients[2] = rig_connect(&rig);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	ck_assert_uint_eq(one.message.hello.generation, 2);
	rig_hear_nothing(&rig, &one);
	rig_register(&rig, &one, 0, 64, 1, 1, 0);
	rig_expect(&rig, LINK_REGISTERED);
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(LUST_ID_GENERATION(rig_first_id(&one)), 2);
	ck_assert_uint_eq(one.message.connections.batch, 3);
	ck_assert(rig_answered(clients[1], one.from.fd[0]));
	rig_drop_fds(&one);
	rig_until_accepted(&rig, 3);
	/* DONE of the older generation. */
	rig_ids(&one, LUST_WIRE_DONE, &id, 1);
	RIG_UNTIL(&rig, rig_read(&rig).done == 1);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	rig_server_close(&one);
}
END_TEST

/* Killed in accept4(): told and counted, though nobody can know whether there was a connection. */
START_TEST(test_killed_in_accept)
{
	rig_server(&rig, &one, 0, 0, 64);
	atomic_store(&rig.d->board->accepting, 1);
	rig_next(&rig, &one, 1, 0);
	struct event event = rig_event(&rig, EVENT_LOST);
	ck_assert_uint_eq(event.id, 0);
	ck_assert_uint_eq(event.service, 0);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, 1);
	ck_assert_uint_eq(reading.lost, 1);
	ck_assert_uint_eq(atomic_load(&rig.d->board->accepting), 0);
	rig_server_close(&one);
}
END_TEST

/* Messages that the dead dispatcher had not read count as if it had. */
START_TEST(test_unread_acknowledgements)
{
	rig_server(&rig, &one, 0, 0, 64);
	connect_clients(3);
	uint64_t ids[3];
	rig_hear_ids(&rig, &one, ids, 3);
	uint32_t batch = one.message.connections.batch;
	rig_kill(&rig);
	rig_ids(&one, LUST_WIRE_TAKEN, ids, 2);
	rig_ids(&one, LUST_WIRE_DONE, ids, 1);
	rig_revive(&rig);
	rig_table(&rig, &one, 1, 0);
	rig_register_again(&rig, &one, 0, 64, 2, batch);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.taken, 2);
	ck_assert_uint_eq(reading.done, 1);
	ck_assert_uint_eq(reading.pending, 1); /* explicit_take: still the server's to say */
	rig_ids(&one, LUST_WIRE_TAKEN, ids + 2, 1);
	rig_until_taken(&rig, 3);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	rig_server_close(&one);
}
END_TEST

/* `held` tells what ended while nobody listened. */
START_TEST(test_held_is_the_truth)
{
	rig_server(&rig, &one, 0, 0, 64);
	connect_clients(2);
	uint64_t ids[2];
	rig_hear_ids(&rig, &one, ids, 2);
	uint32_t batch = one.message.connections.batch;
	rig_ids(&one, LUST_WIRE_TAKEN, ids, 2);
	rig_until_taken(&rig, 2);
	new_dispatcher(1, 0);
	rig_register_again(&rig, &one, 0, 64, 0, batch);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	ck_assert_uint_eq(rig_read(&rig).active, 0);
	rig_server_close(&one);
}
END_TEST

/* REFUSED of an older generation brings its descriptor along. */
START_TEST(test_refused_of_an_older_generation)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	struct lust_wire_connection entry = one.message.connections.entry[0];
	int fd = one.from.fd[0];
	new_dispatcher(1, 0);
	rig_register_again(&rig, &one, 0, 1, 1, 1);
	rig_server(&rig, &two, 1, 0, 1);
	rig_refuse(&one, entry.id, fd);
	close(fd);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(two.message.connections.entry[0].peer_port, entry.peer_port);
	ck_assert_uint_eq(two.message.connections.entry[0].kind, LUST_WIRE_TCP);
	ck_assert(rig_answered(clients[0], two.from.fd[0]));
	rig_drop_fds(&two);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* Refused, and the dispatcher with the copy died before it read that. */
START_TEST(test_unread_refused)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	rig_refuse(&one, rig_first_id(&one), one.from.fd[0]);
	rig_drop_fds(&one);
	new_dispatcher(1, 0);
	rig_register_again(&rig, &one, 0, 1, 0, 1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert(rig_answered(clients[0], one.from.fd[0]));
	rig_drop_fds(&one);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	ck_assert_uint_eq(rig_read(&rig).pending, 1);
	rig_server_close(&one);
}
END_TEST

/* What a server gives back as a connection must be one. */
START_TEST(test_refused_with_something_else)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	uint64_t id = rig_hear_id(&rig, &one);
	new_dispatcher(1, 0);
	rig_register_again(&rig, &one, 0, 1, 1, 1);
	rig_refuse(&one, id, rig.listener);
	ck_assert_uint_eq(rig_event(&rig, EVENT_LOST).id, id);
	ck_assert_uint_eq(rig_read(&rig).lost, 1);
	rig_hear_nothing(&rig, &one);
	rig_server_close(&one);
}
END_TEST

/* Killed between freeing an entry and counting it. */
START_TEST(test_count_of_entries_heals)
{
	atomic_fetch_add(&rig.d->board->ledger_used, 1);
	rig_next(&rig, NULL, 0, 0);
	ck_assert_uint_eq(atomic_load(&rig.d->board->ledger_used), 0);
	rig_say(&rig, &(struct link_message){.type = LINK_QUIESCE}, NULL, 0);
	rig_expect(&rig, LINK_QUIET);
}
END_TEST

/* The slot's next use must not find the entries of the one before, whatever it says. */
START_TEST(test_slot_used_again)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	uint64_t id = rig_hear_id(&rig, &one);
	one.generation = 2;
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	new_dispatcher(1, LINK_SERVER_DEAD);
	ck_assert_uint_eq(rig_event(&rig, EVENT_LOST).id, id);
	ck_assert_uint_eq(rig_read(&rig).lost, 1);
	ck_assert_uint_eq(rig_read(&rig).taken, 0);
	rig_server_close(&one);
}
END_TEST

/* Between accept and sendmsg there is only the dispatcher: told by id, counted as lost. */
START_TEST(test_accepted_only_is_lost)
{
	rig_server(&rig, &one, 0, 0, 1);
	struct lust_wire_connection wire = {.kind = LUST_WIRE_TCP, .family = AF_INET, .peer_port = 4711};
	board_count_accepted(rig.d->board, 0, 3);
	struct ledger *ledger = &rig.d->ledger;
	uint32_t accepted = ledger_add(ledger, 0, -1, &wire, 1);
	uint32_t sending = ledger_add(ledger, 0, -1, &wire, 1);
	uint32_t received = ledger_add(ledger, 0, -1, &wire, 1);
	uint64_t id = ledger->entry[accepted].wire.id;
	ledger_sending(ledger, sending, 0, 2);
	ledger_sending(ledger, received, 0, 1);
	new_dispatcher(1, 0);
	struct event event = rig_event(&rig, EVENT_LOST);
	ck_assert_uint_eq(event.id, id);
	ck_assert_uint_eq(event.port, 4711);
	ck_assert_uint_eq(rig_read(&rig).lost, 1);
	/* The server counts its messages: the first came, the second was never sent. */
	rig_register_again(&rig, &one, 0, 1, 1, 1);
	ck_assert_uint_eq(rig_read(&rig).lost, 2);
	ck_assert_uint_eq(rig_read(&rig).pending, 1);
	rig_server_close(&one);
}
END_TEST

/* It died while no dispatcher was there. */
START_TEST(test_dead_server)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(3);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_hear_id(&rig, &one);
	new_dispatcher(1, LINK_SERVER_DEAD);
	ck_assert_uint_eq(rig.slots_freed, 0);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.died, 1);
	ck_assert_uint_eq(reading.closed[CLOSED_TOUCHED], 1); /* no copy, no proof */
	ck_assert_uint_eq(reading.pending, 1);
	rig_server(&rig, &two, 1, 0, 1);
	rig_hear_id(&rig, &two);
	rig_expect(&rig, LINK_SLOT_FREE);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* The supervisor does not know it any more; the sums hold all the same. */
START_TEST(test_forgotten_server)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(2);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	new_dispatcher(0, 0);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.died, 1);
	ck_assert_uint_eq(reading.lost, 1);
	ck_assert_uint_eq(reading.pending, 0);
	ck_assert_uint_eq(atomic_load(&rig.d->board->servers[0].state), BOARD_SERVER_NONE);
	rig_server_close(&one);
}
END_TEST

/* Killed between two counters of one event. */
START_TEST(test_torn_counters)
{
	rig_server(&rig, &one, 0, 0, 1);
	board_count_accepted(rig.d->board, 0, 1);
	rig_next(&rig, &one, 1, 0);
	ck_assert_uint_eq(rig_read(&rig).pending, 0);
	ck_assert_uint_eq(rig_read(&rig).lost, 1);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_draining_is_said_again)
{
	rig_server(&rig, &one, 0, 0, 1);
	new_dispatcher(1, LINK_SERVER_DRAINING);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	rig_hear(&rig, &one, LUST_WIRE_DRAIN);
	rig_register(&rig, &one, 0, 1, 0, 0, LUST_WIRE_DRAINED);
	rig_expect(&rig, LINK_IDLE);
	rig_server_close(&one);
}
END_TEST

/* One from outside that a former daemon gave three: they count here from now on, also against its capacity. */
START_TEST(test_held_from_a_former_daemon)
{
	uint64_t old[] = {(uint64_t)77 << 48 | 5, (uint64_t)77 << 48 | 6};
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_register_again(&rig, &one, 4, 1, 3, 0);
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.accepted, 3);
	ck_assert_uint_eq(reading.taken, 3);
	ck_assert_uint_eq(reading.active, 3);

	for (unsigned i = 0; i < 3; i++)
		clients[i] = rig_connect(&rig);
	rig_hear_id(&rig, &one);
	rig_hear_nothing(&rig, &one);
	rig_ids(&one, LUST_WIRE_TAKEN, old, 1); /* counted already */
	rig_hear_nothing(&rig, &one);
	rig_ids(&one, LUST_WIRE_DONE, old, 2);
	for (unsigned i = 0; i < 2; i++)
		rig_hear_id(&rig, &one);
	rig_until_accepted(&rig, 6);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	/* Said again to the same dispatcher, it changes nothing. */
	rig_register(&rig, &one, 4, 1, 9, 3, 0);
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	rig_server_close(&one);
}
END_TEST

/* A server that a dead dispatcher thought less of than it holds. */
START_TEST(test_held_is_more_than_known)
{
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	new_dispatcher(1, 0);
	rig_register_again(&rig, &one, 0, 1, 4, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 4);
	ck_assert_uint_eq(rig_read(&rig).accepted, 4);
	rig_server_close(&one);
}
END_TEST

/* More connections than a process can have descriptors: a lie, which would make `active` absurd. */
START_TEST(test_held_is_absurd)
{
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	rig_register(&rig, &one, 4, 1, RIG_OPEN_MOST + 1, 0, 0);
	ck_assert_uint_eq(rig_event(&rig, EVENT_PROTOCOL).number, REFUSAL_GARBAGE);
	ck_assert_uint_eq(rig_read(&rig).active, 0);
	ck_assert_uint_eq(rig_read(&rig).accepted, 0);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_held_is_the_most)
{
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	rig_register(&rig, &one, 4, 1, RIG_OPEN_MOST, 0, 0);
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	ck_assert_uint_eq(rig_read(&rig).active, RIG_OPEN_MOST);
	rig_server_close(&one);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_unreceived_is_served_again,
		test_killed_in_accept,
		test_unread_acknowledgements,
		test_held_is_the_truth,
		test_held_is_more_than_known,
		test_held_from_a_former_daemon,
		test_held_is_absurd,
		test_held_is_the_most,
		test_refused_of_an_older_generation,
		test_unread_refused,
		test_refused_with_something_else,
		test_count_of_entries_heals,
		test_slot_used_again,
		test_accepted_only_is_lost,
		test_dead_server,
		test_forgotten_server,
		test_torn_counters,
		test_draining_is_said_again,
	};
	return suite_run_tests("recover", tests, sizeof(tests) / sizeof(*tests), setup, teardown);
}
