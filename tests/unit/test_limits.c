/*
 * test_limits.c: how many open files a table needs, and what is said when there are too few.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor.h"

START_TEST(a_table_s_need)
{
	uint32_t users[] = {1};
	struct table_service service[2] = {
		{.listen_count = 3, .has_server = true, .window = 64, .server.instances = 10},
		{.listen_count = 1, .window = 64, .max_registered = 256, .register_users = {users, 1}}};
	struct table table = {.service = service, .service_count = 2};
	struct limits_needed needed, less;

	limits_needed(&table, &needed);
	ck_assert_uint_ge(needed.supervisor, 4 + 10 * 5);
	ck_assert_uint_ge(needed.dispatcher, 4 + 10 * 3);
	ck_assert_uint_lt(needed.supervisor, 1000);
	ck_assert_uint_ge(needed.wanted, (10 + 256) * 64);
	/* Who may register is a bound, not a need. */
	service[1].max_registered = 1000000;
	limits_needed(&table, &less);
	ck_assert_uint_eq(less.supervisor, needed.supervisor);
	ck_assert_uint_le(less.wanted, 1u << 20);
	/* max-registered without a rule lets nobody in. */
	service[1].register_users.count = 0;
	limits_needed(&table, &less);
	ck_assert_uint_lt(less.wanted, needed.wanted);
}
END_TEST

START_TEST(too_little_names_both_numbers)
{
	struct limits_needed needed = {.supervisor = (uint64_t)1 << 40, .dispatcher = 5, .wanted = 7};
	struct rlimit before, after;
	char problem[256] = "";

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(limits_raise(&needed, problem, sizeof(problem)), -1);
	ck_assert_ptr_nonnull(strstr(problem, "1099511627776"));
	char number[32];
	snprintf(number, sizeof(number), "%llu", (unsigned long long)before.rlim_max);
	ck_assert_ptr_nonnull(strstr(problem, number));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &after), 0);
	ck_assert_uint_eq(before.rlim_cur, after.rlim_cur);
}
END_TEST

START_TEST(raised_as_far_as_it_goes)
{
	struct limits_needed needed = {.supervisor = 100, .dispatcher = 120, .wanted = 300};
	struct rlimit low = {.rlim_cur = 64, .rlim_max = 300}, now;
	char problem[256] = "";

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_int_eq(limits_raise(&needed, problem, sizeof(problem)), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert_uint_eq(now.rlim_cur, 300);
	/* What is more than needed is left. */
	needed.wanted = 90;
	ck_assert_int_eq(limits_raise(&needed, problem, sizeof(problem)), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert_uint_eq(now.rlim_cur, 300);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *tests = tcase_create("limits");

	tcase_add_test(tests, a_table_s_need);
	tcase_add_test(tests, too_little_names_both_numbers);
	suite_add_tcase(suite, tests);
	TCase *limits = tcase_create("raised");
	tcase_set_tags(limits, "rlimit"); /* valgrind keeps RLIMIT_NOFILE to itself */
	tcase_add_test(limits, raised_as_far_as_it_goes);
	suite_add_tcase(suite, limits);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
