/*
 * test_balance.c: which server gets a connection, how many it may get, and who may come in at all.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "balance.h"
#include "credit.h"
#include "rendezvous.h"
#include "suite.h"

#define MOST 300 /* servers of one service */
#define CLIENTS 4000

/* ---- by turns and by load ---- */

/* What balance_choose() is to find: all are looked at, from the turn on. */
static uint32_t choose_slowly(const uint32_t *rank, uint32_t count, uint32_t turn)
{
	uint32_t best = BALANCE_NOBODY;
	for (uint32_t step = 0; step < count; step++) {
		uint32_t at = (turn + step) % count;
		if (rank[at] != BALANCE_NEVER && (best == BALANCE_NOBODY || rank[at] < rank[best]))
			best = at;
	}
	return best;
}

START_TEST(test_nobody)
{
	struct balance balance = {0};
	ck_assert_uint_eq(balance_choose(&balance, 0), BALANCE_NOBODY);
	ck_assert(balance_reserve(&balance, 3));
	for (uint32_t turn = 0; turn < 5; turn++)
		ck_assert_uint_eq(balance_choose(&balance, turn), BALANCE_NOBODY);
	balance_free(&balance);
}
END_TEST

START_TEST(test_round_robin)
{
	struct balance balance = {0};
	ck_assert(balance_reserve(&balance, 3));
	balance_set(&balance, 0, 0);
	balance_set(&balance, 2, 0);
	ck_assert_uint_eq(balance_choose(&balance, 0), 0);
	ck_assert_uint_eq(balance_choose(&balance, 1), 2);
	ck_assert_uint_eq(balance_choose(&balance, 3), 0);
	/* Beyond the last one. */
	ck_assert_uint_eq(balance_choose(&balance, 7), 0);
	balance_set(&balance, 0, BALANCE_NEVER);
	ck_assert_uint_eq(balance_choose(&balance, 0), 2);
	balance_free(&balance);
}
END_TEST

START_TEST(test_least_connections)
{
	struct balance balance = {0};
	ck_assert(balance_reserve(&balance, 3));
	balance_set(&balance, 0, 2);
	balance_set(&balance, 1, 1);
	ck_assert_uint_eq(balance_choose(&balance, 2), 1);
	/* Equals share. */
	balance_set(&balance, 0, 1);
	balance_set(&balance, 2, 1);
	for (uint32_t turn = 0; turn < 3; turn++)
		ck_assert_uint_eq(balance_choose(&balance, turn), turn);
	balance_free(&balance);
}
END_TEST

/* Grows, ranks change at random, few or many of them equal: always what looking at all would find. */
START_TEST(test_as_if_looking_at_all)
{
	struct balance balance = {0};
	uint32_t rank[MOST], count = 0;
	srandom(4);
	for (unsigned step = 0; step < 60000; step++) {
		if (count < MOST && random() % 100 == 0) {
			rank[count++] = BALANCE_NEVER;
			ck_assert(balance_reserve(&balance, count));
		}
		if (!count)
			continue;
		uint32_t at = (uint32_t)random() % count;
		uint32_t various = step / 1000 % 2 ? 3 : 1000;
		rank[at] = random() % 3 ? (uint32_t)random() % various : BALANCE_NEVER;
		balance_set(&balance, at, rank[at]);
		ck_assert_uint_eq(balance_rank(&balance, at), rank[at]);
		uint32_t turn = (uint32_t)random() % count;
		ck_assert_uint_eq(balance_choose(&balance, turn), choose_slowly(rank, count, turn));
	}
	balance_free(&balance);
}
END_TEST

/* ---- by source ---- */

struct named {
	uint64_t name;
	uint32_t number, rank;
};

static uint64_t client(uint32_t number)
{
	uint8_t ip[16] = {10, 0, (uint8_t)(number >> 8), (uint8_t)number};
	return rendezvous_client(ip, sizeof(ip));
}

static void add(struct rendezvous *rendezvous, struct named *named, uint64_t name, uint32_t servers)
{
	ck_assert(rendezvous_reserve(rendezvous, servers));
	*named = (struct named){name, rendezvous_add(rendezvous, name), 0};
	rendezvous_set(rendezvous, named->number, 0);
}

START_TEST(test_source_alone)
{
	struct rendezvous rendezvous = RENDEZVOUS_EMPTY;
	struct named one;
	ck_assert_uint_eq(rendezvous_choose(&rendezvous, 1), RENDEZVOUS_NONE);
	add(&rendezvous, &one, 7, 1);
	ck_assert_uint_eq(rendezvous_choose(&rendezvous, 1), one.number);
	rendezvous_set(&rendezvous, one.number, RENDEZVOUS_NEVER);
	ck_assert_uint_eq(rendezvous_choose(&rendezvous, 1), RENDEZVOUS_NONE);
	rendezvous_remove(&rendezvous, one.number);
	ck_assert_uint_eq(rendezvous_choose(&rendezvous, 1), RENDEZVOUS_NONE);
	rendezvous_free(&rendezvous);
}
END_TEST

/* How many of the clients each server gets; which one each client gets. */
static void spread(const struct rendezvous *rendezvous, const struct named *named, uint32_t servers,
		   uint32_t *got, uint32_t *home)
{
	memset(got, 0, servers * sizeof(*got));
	for (uint32_t i = 0; i < CLIENTS; i++) {
		uint32_t number = rendezvous_choose(rendezvous, client(i));
		home[i] = 0;
		while (named[home[i]].number != number)
			home[i]++;
		got[home[i]]++;
	}
}

/* A client stays; when a server is full, only its clients move, to all the others; and back. */
START_TEST(test_source_hash)
{
	static const uint32_t sizes[] = {2, 3, 4, 5, 8, 9, 13, 16};
	static uint32_t got[16], then[16], home[CLIENTS], new_home[CLIENTS];
	uint32_t servers = sizes[_i], fair = CLIENTS / servers, left = (uint32_t)_i % servers;
	struct rendezvous rendezvous = RENDEZVOUS_EMPTY;
	static struct named named[16];
	for (uint32_t i = 0; i < servers; i++)
		add(&rendezvous, &named[i], i + 1, servers);
	spread(&rendezvous, named, servers, got, home);
	for (uint32_t i = 0; i < servers; i++) {
		ck_assert_uint_gt(got[i], fair * 7 / 10);
		ck_assert_uint_lt(got[i], fair * 13 / 10);
	}
	rendezvous_set(&rendezvous, named[left].number, RENDEZVOUS_NEVER);
	spread(&rendezvous, named, servers, then, new_home);
	ck_assert_uint_eq(then[left], 0);
	for (uint32_t i = 0; i < CLIENTS; i++)
		ck_assert(home[i] == left || new_home[i] == home[i]);
	for (uint32_t i = 0; i < servers && servers < 13; i++)
		ck_assert(i == left || then[i] > got[i]);
	rendezvous_set(&rendezvous, named[left].number, 0);
	spread(&rendezvous, named, servers, then, new_home);
	ck_assert_mem_eq(home, new_home, sizeof(home));
	rendezvous_free(&rendezvous);
}
END_TEST

/* The same whatever came and went before, and in whatever order: a restart moves nobody. */
START_TEST(test_source_hash_forgets_history)
{
	static uint32_t got[MOST], home[CLIENTS], again[CLIENTS];
	static struct named named[MOST], other[MOST];
	struct rendezvous one = RENDEZVOUS_EMPTY, two = RENDEZVOUS_EMPTY;
	for (uint32_t i = 0; i < MOST; i++)
		add(&one, &named[i], i + 1, MOST);
	for (uint32_t i = MOST; i-- > 0;)
		add(&two, &other[i], i & 1 ? i + 1 : i + 1001, MOST);
	for (uint32_t i = 0; i < MOST; i += 2) {
		rendezvous_remove(&two, other[i].number);
		add(&two, &other[i], i + 1, MOST);
	}
	spread(&one, named, MOST, got, home);
	spread(&two, other, MOST, got, again);
	ck_assert_mem_eq(home, again, sizeof(home));
	rendezvous_free(&one);
	rendezvous_free(&two);
}
END_TEST

/* Names far apart, or alike but for their highest bits; servers come, go, are full and late: always one of the least
   rank, and the same one when another goes. */
START_TEST(test_source_hash_at_random)
{
	struct rendezvous rendezvous = RENDEZVOUS_EMPTY;
	static struct named named[MOST];
	uint32_t count = 0;
	srandom(9);
	for (unsigned step = 0; step < 40000; step++) {
		uint32_t at = count ? (uint32_t)random() % count : 0;
		if (count < MOST && random() % 20 == 0) {
			uint64_t slot = step, low = random() % 3 ? 5 : (uint64_t)random();
			add(&rendezvous, &named[count++], slot << 32 | low, MOST);
		} else if (count && random() % 25 == 0) {
			rendezvous_remove(&rendezvous, named[at].number);
			named[at] = named[--count];
		} else if (count) {
			static const uint32_t ranks[] = {0, 0, 1, RENDEZVOUS_NEVER};
			named[at].rank = ranks[random() % 4];
			rendezvous_set(&rendezvous, named[at].number, named[at].rank);
		}
		uint32_t least = RENDEZVOUS_NEVER, found = 0;
		for (uint32_t i = 0; i < count; i++)
			least = named[i].rank < least ? named[i].rank : least;
		uint64_t key = (uint64_t)random();
		uint32_t chosen = rendezvous_choose(&rendezvous, key);
		ck_assert((chosen == RENDEZVOUS_NONE) == (least == RENDEZVOUS_NEVER));
		if (chosen == RENDEZVOUS_NONE)
			continue;
		while (found < count && named[found].number != chosen)
			found++;
		ck_assert(found < count && named[found].rank == least);
		/* Another one goes: who was chosen still is. */
		uint32_t without = (uint32_t)random() % count;
		rendezvous_set(&rendezvous, named[without].number, RENDEZVOUS_NEVER);
		if (without != found)
			ck_assert_uint_eq(rendezvous_choose(&rendezvous, key), chosen);
		rendezvous_set(&rendezvous, named[without].number, named[without].rank);
	}
	rendezvous_free(&rendezvous);
}
END_TEST

START_TEST(test_credit)
{
	ck_assert_uint_eq(credit_free(64, 0, 0, 1000000), 64);
	ck_assert_uint_eq(credit_free(64, 0, 64, 0), 0);
	ck_assert_uint_eq(credit_free(64, 1, 0, 0), 1);
	ck_assert_uint_eq(credit_free(64, 1, 1, 0), 0);
	ck_assert_uint_eq(credit_free(64, 1, 0, 1), 0);
	ck_assert_uint_eq(credit_free(64, 100, 10, 80), 10);
	ck_assert_uint_eq(credit_free(4, 100, 1, 1), 3);
	/* Both shrank. */
	ck_assert_uint_eq(credit_free(2, 0, 5, 0), 0);
	ck_assert_uint_eq(credit_free(64, 3, 2, 5), 0);
	ck_assert_uint_eq(credit_free(UINT32_MAX, UINT32_MAX, UINT32_MAX - 1, UINT32_MAX), 0);

	ck_assert_uint_eq(credit_keep(1024, 24), 750);
	ck_assert_uint_eq(credit_keep(20, 24), 0);
	ck_assert_uint_eq(credit_keep(UINT32_MAX, 24), BOARD_LEDGER / 4 * 3);
}
END_TEST

static enum admission_gate gate(uint64_t credits, uint32_t registered, uint32_t expected,
				enum link_overload overload)
{
	struct admission_service service = {
		.credits = credits, .registered = registered, .expected = expected, .overload = overload};
	return admission_gate(&service);
}

START_TEST(test_gate)
{
	ck_assert_int_eq(gate(1, 1, 0, LINK_OVERLOAD_WAIT), GATE_OPEN);
	ck_assert_int_eq(gate(0, 1, 0, LINK_OVERLOAD_WAIT), GATE_WAIT);
	ck_assert_int_eq(gate(0, 0, 0, LINK_OVERLOAD_WAIT), GATE_WAIT);
	ck_assert_int_eq(gate(1, 1, 0, LINK_OVERLOAD_REFUSE), GATE_OPEN);
	ck_assert_int_eq(gate(0, 1, 0, LINK_OVERLOAD_REFUSE), GATE_REFUSE);
	ck_assert_int_eq(gate(0, 1, 1, LINK_OVERLOAD_REFUSE), GATE_REFUSE);
	ck_assert_int_eq(gate(0, 0, 0, LINK_OVERLOAD_REFUSE), GATE_REFUSE);
	ck_assert_int_eq(gate(0, 0, 1, LINK_OVERLOAD_REFUSE), GATE_WAIT);

	struct admission_service service = {.credits = 5, .registered = 1, .waiting = true};
	ck_assert_int_eq(admission_gate(&service), GATE_WAIT);
	service.overload = LINK_OVERLOAD_REFUSE; /* a credit is there: it is only not its turn */
	ck_assert_int_eq(admission_gate(&service), GATE_WAIT);
	service = (struct admission_service){.credits = 5, .registered = 1, .paused = true};
	ck_assert_int_eq(admission_gate(&service), GATE_WAIT);
	/* Who must not wait does not wait for the end of a pause, with or without a credit, nor for a server's start. */
	service.overload = LINK_OVERLOAD_REFUSE;
	ck_assert_int_eq(admission_gate(&service), GATE_REFUSE);
	service = (struct admission_service){.expected = 1, .paused = true, .overload = LINK_OVERLOAD_REFUSE};
	ck_assert_int_eq(admission_gate(&service), GATE_REFUSE);
	/* Nothing is accepted, not even to be refused. */
	service.closed = true;
	ck_assert_int_eq(admission_gate(&service), GATE_WAIT);
	service = (struct admission_service){.credits = 5, .registered = 1, .closed = true};
	ck_assert_int_eq(admission_gate(&service), GATE_WAIT);

	ck_assert_int_eq(admission_judge(&(struct admission_client){GATE_OPEN}), DENIED_COUNT);
	ck_assert_int_eq(admission_judge(&(struct admission_client){GATE_REFUSE}), DENIED_OVERLOAD);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_nobody,
				      test_round_robin,
				      test_least_connections,
				      test_as_if_looking_at_all,
				      test_source_alone,
				      test_source_hash_forgets_history,
				      test_source_hash_at_random,
				      test_credit,
				      test_gate};
	Suite *suite = suite_create("balance");
	TCase *tcase = tcase_create("balance");
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	tcase_add_loop_test(tcase, test_source_hash, 0, 8);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
