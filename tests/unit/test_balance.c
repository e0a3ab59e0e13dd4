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
#include "suite.h"

#define MANY 8

static struct candidate candidates[MANY];

static void fill(uint32_t count, uint32_t credits)
{
	for (uint32_t i = 0; i < count; i++)
		candidates[i] = (struct candidate){.slot = 10 + i, .name = i + 1, .credits = credits};
}

START_TEST(test_nobody)
{
	uint32_t turn = 0;
	for (int how = LINK_ROUND_ROBIN; how <= LINK_SOURCE_HASH; how++) {
		ck_assert_uint_eq(balance_choose((enum link_balance)how, candidates, 0, &turn, 1),
				  BALANCE_NOBODY);
		fill(MANY, 0);
		ck_assert_uint_eq(balance_choose((enum link_balance)how, candidates, MANY, &turn, 1),
				  BALANCE_NOBODY);
	}
}
END_TEST

START_TEST(test_round_robin)
{
	uint32_t turn = 0;
	fill(3, 1);
	candidates[1].credits = 0;
	ck_assert_uint_eq(balance_choose(LINK_ROUND_ROBIN, candidates, 3, &turn, 0), 0);
	ck_assert_uint_eq(balance_choose(LINK_ROUND_ROBIN, candidates, 3, &turn, 0), 2);
	candidates[1].credits = 1;
	ck_assert_uint_eq(balance_choose(LINK_ROUND_ROBIN, candidates, 3, &turn, 0), 0);
	ck_assert_uint_eq(balance_choose(LINK_ROUND_ROBIN, candidates, 3, &turn, 0), 1);
	/* Fewer servers than the turn remembers. */
	turn = 7;
	ck_assert_uint_lt(balance_choose(LINK_ROUND_ROBIN, candidates, 3, &turn, 0), 3);
}
END_TEST

START_TEST(test_least_connections)
{
	uint32_t turn = 0, got[3] = {0};
	fill(3, 100);
	candidates[0].load = 2;
	candidates[1].load = 1;
	candidates[2].load = 0;
	candidates[2].credits = 0;
	ck_assert_uint_eq(balance_choose(LINK_LEAST_CONNECTIONS, candidates, 3, &turn, 0), 1);
	/* Equals share. */
	fill(3, 100);
	for (unsigned i = 0; i < 30; i++)
		got[balance_choose(LINK_LEAST_CONNECTIONS, candidates, 3, &turn, 0)]++;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(got[i], 10);
}
END_TEST

/* A client stays; when a server goes, only its clients move; they are spread. */
START_TEST(test_source_hash)
{
	uint32_t turn = 0, got[MANY] = {0}, moved = 0;
	fill(MANY, 1);
	for (uint32_t client = 0; client < 4000; client++) {
		uint8_t ip[16] = {10, 0, (uint8_t)(client >> 8), (uint8_t)client};
		uint64_t key = balance_key(ip, sizeof(ip));
		uint32_t first = balance_choose(LINK_SOURCE_HASH, candidates, MANY, &turn, key);
		ck_assert_uint_eq(balance_choose(LINK_SOURCE_HASH, candidates, MANY, &turn, key), first);
		got[first]++;
		candidates[3].credits = 0;
		uint32_t then = balance_choose(LINK_SOURCE_HASH, candidates, MANY, &turn, key);
		candidates[3].credits = 1;
		if (first == 3)
			moved += then != 3;
		else
			ck_assert_uint_eq(then, first);
	}
	ck_assert_uint_eq(moved, got[3]);
	for (unsigned i = 0; i < MANY; i++) {
		ck_assert_uint_gt(got[i], 350);
		ck_assert_uint_lt(got[i], 650);
	}
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
	const TTest *const tests[] = {test_nobody,      test_round_robin, test_least_connections,
				      test_source_hash, test_credit,      test_gate};
	Suite *suite = suite_create("balance");
	TCase *tcase = tcase_create("balance");
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
