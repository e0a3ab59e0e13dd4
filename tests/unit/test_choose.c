/*
 * test_choose.c: what servers may get is counted again when it has changed, and only then; the rig looks after every turn
 * whether something has changed unseen.
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

#define SERVERS 12u

static struct rig rig;
static struct rig_server server[SERVERS];
static int client[64];
static unsigned clients;
static uint64_t given[SERVERS][64];
static unsigned gives[SERVERS];

static void setup(void)
{
	rig_open(&rig);
	clients = 0;
	memset(gives, 0, sizeof(gives));
}

static void teardown(void)
{
	for (unsigned i = 0; i < clients; i++)
		close(client[i]);
	rig_close(&rig);
}

static void start(unsigned count, uint32_t capacity)
{
	for (unsigned i = 0; i < count; i++)
		rig_server(&rig, &server[i], i, capacity, 64);
}

static void end(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		rig_server_close(&server[i]);
}

static void arrive(void)
{
	uint64_t accepted = rig_read(&rig).accepted + 1;
	client[clients++] = rig_connect(&rig);
	rig_until_accepted(&rig, accepted);
}

static bool all_sent(void)
{
	for (unsigned i = 0; i < SERVERS; i++)
		if (rig.d->server[i] && rig.d->server[i]->staged.count)
			return false;
	return true;
}

/* Received, and not TAKEN: it is not late, however slow this machine is. */
static void receive(unsigned slot)
{
	union lust_wire_message message;
	struct lust_message from;
	while (lust_message_receive(server[slot].fd, &message, sizeof(message), &from, LUST_MESSAGE_FDS,
				    MSG_DONTWAIT) == 1) {
		for (unsigned i = 0; message.header.type == LUST_WIRE_CONNECTIONS && i < from.count; i++)
			given[slot][gives[slot]++] = message.connections.entry[i].id;
		lust_message_close_from(&from, 0);
	}
}

static void come(unsigned count)
{
	while (count--) {
		arrive();
		RIG_UNTIL(&rig, all_sent());
		for (unsigned i = 0; i < SERVERS; i++)
			if (rig.d->server[i])
				receive(i);
	}
}

static uint32_t has(unsigned slot)
{
	return rig.d->server[slot] ? server_pending(rig.d->server[slot]) + rig.d->server[slot]->active : 0;
}

static void expect(const uint32_t wanted[SERVERS])
{
	for (unsigned i = 0; i < SERVERS; i++)
		ck_assert_uint_eq(has(i), wanted[i]);
}

static void die(unsigned slot)
{
	struct link_message message = {.type = LINK_SERVER_DIED};
	message.slot = (struct link_slot){.slot = slot, .generation = server[slot].generation};
	rig_say(&rig, &message, NULL, 0);
	rig_expect(&rig, LINK_SLOT_FREE);
}

/* So many of those that this server was given end. */
static void finish(unsigned slot, unsigned count)
{
	uint64_t done = rig_read(&rig).done + count;
	receive(slot);
	ck_assert_uint_ge(gives[slot], count);
	gives[slot] -= count;
	rig_ids(&server[slot], LUST_WIRE_TAKEN, given[slot] + gives[slot], count);
	rig_ids(&server[slot], LUST_WIRE_DONE, given[slot] + gives[slot], count);
	RIG_UNTIL(&rig, rig_read(&rig).done == done);
}

START_TEST(test_each_in_turn)
{
	rig_table(&rig, NULL, 0, 0);
	start(4, 2);
	come(4);
	expect((uint32_t[SERVERS]){1, 1, 1, 1, 0});
	/* Its credits come back, and nobody has another load by turns. */
	finish(2, 1);
	come(4);
	expect((uint32_t[SERVERS]){2, 2, 1, 2, 0});
	/* Only this one has a credit. */
	come(1);
	expect((uint32_t[SERVERS]){2, 2, 2, 2, 0});
	end(4);
}
END_TEST

START_TEST(test_who_has_least)
{
	rig.service.balance = LINK_LEAST_CONNECTIONS;
	rig_table(&rig, NULL, 0, 0);
	start(3, 0);
	come(6);
	expect((uint32_t[SERVERS]){2, 2, 2, 0, 0});
	finish(1, 2);
	come(2);
	expect((uint32_t[SERVERS]){2, 2, 2, 0, 0});
	rig_server(&rig, &server[3], 3, 0, 64);
	come(3);
	ck_assert_uint_ge(has(3), 2);
	end(4);
}
END_TEST

START_TEST(test_always_the_same)
{
	rig.service.balance = LINK_SOURCE_HASH;
	rig_table(&rig, NULL, 0, 0);
	start(3, 4);
	come(4);
	unsigned home = has(0) ? 0 : has(1) ? 1 : 2;
	ck_assert_uint_eq(has(home), 4);
	/* It is full: to another one, and that for all. */
	come(3);
	ck_assert_uint_eq(has(home), 4);
	ck_assert(has((home + 1) % 3) == 3 || has((home + 2) % 3) == 3);
	finish(home, 4);
	come(1);
	ck_assert_uint_eq(has(home), 1);
	end(3);
}
END_TEST

/* A reload changes the rule while servers come and go, and each still gets what it may. */
START_TEST(test_another_rule)
{
	rig.service.balance = (uint8_t)_i;
	rig_table(&rig, NULL, 0, 0);
	start(5, 3);
	for (unsigned step = 1; step <= 3; step++) {
		come(2);
		rig.service.balance = (uint8_t)((_i + (int)step) % 3);
		rig_table(&rig, NULL, 0, 0);
		die(step - 1); /* the first ones: the last one gets their place each time */
	}
	RIG_UNTIL(&rig, has(3) + has(4) == 6);
	expect((uint32_t[SERVERS]){0, 0, 0, 3, 3});
	finish(3, 3);
	finish(4, 3);
	rig.service.window = 1;
	rig_table(&rig, NULL, 0, 0);
	come(2);
	expect((uint32_t[SERVERS]){0, 0, 0, 1, 1});
	end(5);
}
END_TEST

/* Whom a service loses last leaves nothing behind, and whoever comes then is chosen. */
START_TEST(test_all_go)
{
	rig.service.balance = (uint8_t)_i;
	rig_table(&rig, NULL, 0, 0);
	start(2, 0);
	die(0);
	die(1);
	end(2);
	ck_assert(!choose_any(rig.d->service[0]));
	start(1, 0);
	come(2);
	expect((uint32_t[SERVERS]){2});
	end(1);
}
END_TEST

/* More are late than are looked at in one turn: those that have received what was sent are found all the same. */
START_TEST(test_many_late)
{
	rig.service.window = 4;
	rig.service.take_timeout_ms = 0;
	rig_table(&rig, NULL, 0, 0);
	start(SERVERS, 0);
	for (unsigned i = 0; i < SERVERS; i++)
		arrive();
	uint64_t sent_ms = rig_now_ms();
	RIG_UNTIL(&rig, rig_now_ms() > sent_ms + 50);
	/* Everybody is: the next goes to one of them all the same. */
	arrive();
	unsigned one = has(7) == 1 ? 7 : 8;
	RIG_UNTIL(&rig, all_sent());
	receive(one);
	/* Without a word of its own: it is found by asking. */
	for (unsigned i = 0; i < 4 && has(one) == 1; i++)
		arrive();
	ck_assert_uint_eq(has(one), 2);
	end(SERVERS);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_each_in_turn, test_who_has_least, test_always_the_same,
				      test_many_late};
	Suite *suite = suite_create("choose");
	TCase *all = tcase_create("choose");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_set_timeout(all, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(all, tests[i]);
	tcase_add_loop_test(all, test_another_rule, 0, 3);
	tcase_add_loop_test(all, test_all_go, 0, 3);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
