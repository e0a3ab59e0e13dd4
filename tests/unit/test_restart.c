/*
 * test_restart.c: what follows a server's end: restart.c, exit_text.c, helper_pause_ms().
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "helpers.h"
#include "servers.h"
#include "suite.h"

static const struct restart_input usual = {
	.policy = RESTART_ALWAYS, .delay_ms = 100, .delay_max_ms = 30000, .reset_after_ms = 10000};

START_TEST(pause_doubles_up_to_its_bound)
{
	static const uint32_t expected[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
	struct restart_input input = usual;

	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct restart_verdict verdict = restart_decide(&input);
		ck_assert_int_eq(verdict.what, RESTART_WAIT);
		ck_assert_uint_eq(verdict.delay_ms, expected[i]);
		ck_assert_uint_eq(verdict.failures, i + 1);
		input.failures = verdict.failures;
	}
	input.failures = 4000000000u;
	ck_assert_uint_eq(restart_decide(&input).delay_ms, 30000);
}
END_TEST

START_TEST(a_long_run_starts_a_new_row)
{
	struct restart_input input = usual;

	input.failures = 9;
	input.ran_ms = 9999;
	ck_assert_uint_eq(restart_decide(&input).failures, 10);
	input.ran_ms = 10000;
	ck_assert_uint_eq(restart_decide(&input).failures, 1);
	ck_assert_uint_eq(restart_decide(&input).delay_ms, 100);
}
END_TEST

START_TEST(the_policy_decides)
{
	struct restart_input input = usual;

	input.policy = RESTART_NEVER;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_STOPPED);
	input.policy = RESTART_ON_FAILURE;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_WAIT);
	input.clean = true;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_STOPPED);
	input.policy = RESTART_ALWAYS;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_WAIT);
}
END_TEST

START_TEST(the_limit_counts_restarts_in_a_row)
{
	struct restart_input input = usual;

	input.limit = 3;
	input.failures = 2;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_WAIT);
	input.failures = 3;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_FAILED);
	input.ran_ms = 10000;
	ck_assert_int_eq(restart_decide(&input).what, RESTART_WAIT);
}
END_TEST

START_TEST(no_delay_is_no_delay)
{
	struct restart_input input = usual;

	input.delay_ms = 0;
	input.failures = 40;
	ck_assert_uint_eq(restart_decide(&input).delay_ms, 0);
	input.delay_ms = 60000;
	ck_assert_uint_eq(restart_decide(&input).delay_ms, 30000);
}
END_TEST

START_TEST(status_in_words)
{
	char text[96];

	ck_assert_str_eq(exit_text(0, text), "exit 0");
	ck_assert_str_eq(exit_text(3 << 8, text), "exit 3");
	ck_assert_str_eq(exit_text(SIGSEGV, text), "SIGSEGV");
	ck_assert_str_eq(exit_text(SIGABRT | 0x80, text), "SIGABRT, core dumped");
	ck_assert_str_eq(exit_text(SIGRTMIN + 3, text), "signal 37");
}
END_TEST

START_TEST(what_is_a_clean_end)
{
	ck_assert(exit_clean(0, SIGTERM));
	ck_assert(!exit_clean(1 << 8, SIGTERM));
	ck_assert(exit_clean(SIGTERM, SIGTERM));
	ck_assert(!exit_clean(SIGKILL, SIGTERM));
	ck_assert(exit_clean(SIGQUIT, SIGQUIT));
	ck_assert(!exit_clean(SIGTERM, 0));
}
END_TEST

START_TEST(helpers_come_back_at_once_then_slower)
{
	static const uint32_t expected[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};

	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		ck_assert_uint_eq(helper_pause_ms(i), expected[i]);
	ck_assert_uint_eq(helper_pause_ms(4000000000u), 5000);
}
END_TEST

START_TEST(a_helper_that_worked_is_back_soon)
{
	ck_assert_uint_eq(helper_failures(0, true), 0);
	ck_assert_uint_eq(helper_failures(1, true), 1);
	ck_assert_uint_eq(helper_failures(7, true), 1);
	ck_assert_uint_eq(helper_failures(7, false), 7);
	/* Killed again and again, it is away for 100 ms each time. */
	unsigned failures = 0;
	for (int i = 0; i < 20; i++) {
		failures = helper_failures(failures, true);
		ck_assert_uint_le(helper_pause_ms(failures++), 100);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restart");
	TCase *tests = tcase_create("restart");

	tcase_add_test(tests, pause_doubles_up_to_its_bound);
	tcase_add_test(tests, a_long_run_starts_a_new_row);
	tcase_add_test(tests, the_policy_decides);
	tcase_add_test(tests, the_limit_counts_restarts_in_a_row);
	tcase_add_test(tests, no_delay_is_no_delay);
	tcase_add_test(tests, status_in_words);
	tcase_add_test(tests, what_is_a_clean_end);
	tcase_add_test(tests, helpers_come_back_at_once_then_slower);
	tcase_add_test(tests, a_helper_that_worked_is_back_soon);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
