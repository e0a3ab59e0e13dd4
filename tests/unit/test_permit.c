/*
 * test_permit.c: the whole permit table: every type of the link in every phase of a dispatcher's life.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <stdlib.h>

#include "helpers.h"
#include "suite.h"

static const enum link_type asked[] = {LINK_READY,     LINK_COMMITTED,    LINK_REGISTERED, LINK_IDLE,
				       LINK_SLOT_FREE, LINK_KEEP,         LINK_GONE,       LINK_QUIET,
				       LINK_PONG,      LINK_DEREGISTERED, LINK_HELD,
				       LINK_SETTLING};
#define ASKED (sizeof(asked) / sizeof(asked[0]))

START_TEST(nothing_outside_its_life)
{
	for (size_t i = 0; i < ASKED; i++) {
		ck_assert_int_eq(permit_request(asked[i], DISPATCHER_NONE), PERMIT_NEVER);
		ck_assert_int_eq(permit_request(asked[i], DISPATCHER_ENDING), PERMIT_NEVER);
	}
}
END_TEST

START_TEST(only_ready_before_its_table)
{
	for (size_t i = 0; i < ASKED; i++)
		ck_assert_int_eq(permit_request(asked[i], DISPATCHER_STARTING),
				 asked[i] == LINK_READY ? PERMIT_ONCE : PERMIT_NEVER);
}
END_TEST

START_TEST(ready_is_not_said_twice)
{
	ck_assert_int_eq(permit_request(LINK_READY, DISPATCHER_LOADING), PERMIT_NEVER);
	ck_assert_int_eq(permit_request(LINK_READY, DISPATCHER_RUNNING), PERMIT_NEVER);
}
END_TEST

START_TEST(nobody_new_before_the_commit)
{
	ck_assert_int_eq(permit_request(LINK_KEEP, DISPATCHER_LOADING), PERMIT_NEVER);
	ck_assert_int_eq(permit_request(LINK_KEEP, DISPATCHER_RUNNING), PERMIT_ALWAYS);
}
END_TEST

START_TEST(committed_once_a_commit)
{
	ck_assert_int_eq(permit_request(LINK_COMMITTED, DISPATCHER_LOADING), PERMIT_ONCE);
	ck_assert_int_eq(permit_request(LINK_COMMITTED, DISPATCHER_RUNNING), PERMIT_ONCE);
}
END_TEST

START_TEST(connections_are_handed_up_only_when_asked_for)
{
	ck_assert_int_eq(permit_request(LINK_HELD, DISPATCHER_LOADING), PERMIT_NEVER);
	ck_assert_int_eq(permit_request(LINK_HELD, DISPATCHER_RUNNING), PERMIT_NEVER);
	ck_assert_int_eq(permit_request(LINK_HELD, DISPATCHER_LEAVING), PERMIT_ALWAYS);
	ck_assert_int_eq(permit_request(LINK_READY, DISPATCHER_LEAVING), PERMIT_NEVER);
	ck_assert_int_eq(permit_request(LINK_SLOT_FREE, DISPATCHER_LEAVING), PERMIT_ALWAYS);
}
END_TEST

START_TEST(never_what_only_we_say)
{
	for (int type = LINK_HELLO; type <= LINK_HAND_OVER; type++)
		for (int phase = DISPATCHER_NONE; phase <= DISPATCHER_ENDING; phase++)
			ck_assert_int_eq(permit_request((enum link_type)type, (enum dispatcher_phase)phase),
					 PERMIT_NEVER);
	ck_assert_int_eq(permit_request((enum link_type)0, DISPATCHER_RUNNING), PERMIT_NEVER);
	ck_assert_int_eq(permit_request((enum link_type)9999, DISPATCHER_RUNNING), PERMIT_NEVER);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("permit");
	TCase *tests = tcase_create("permit");

	tcase_add_test(tests, nothing_outside_its_life);
	tcase_add_test(tests, only_ready_before_its_table);
	tcase_add_test(tests, ready_is_not_said_twice);
	tcase_add_test(tests, nobody_new_before_the_commit);
	tcase_add_test(tests, committed_once_a_commit);
	tcase_add_test(tests, connections_are_handed_up_only_when_asked_for);
	tcase_add_test(tests, never_what_only_we_say);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
