/*
 * test_limits.c: how many open files a table needs, and what is said when there are too few.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lifecycle.h"
#include "suite.h"

START_TEST(a_table_s_need)
{
	uint32_t users[] = {1};
	struct table_dispatch dispatch[2] = {
		{.window = 64}, {.window = 64, .max_registered = 256, .register_users = {users, 1}}};
	struct table_service service[2] = {{.listen_count = 3,
					    .has_server = true,
					    .dispatch = &dispatch[0],
					    .server = &(struct table_server){.instances = 10}},
					   {.listen_count = 1, .dispatch = &dispatch[1]}};
	struct table table = {.service = service, .service_count = 2};
	struct limits_needed needed, less;

	limits_needed(&table, &needed);
	/* While they roll, each has a newer one beside it. */
	ck_assert_uint_ge(needed.supervisor, 4 + 2 * 10 * 5);
	ck_assert_uint_ge(needed.dispatcher, 4 + 2 * 10 * 3);
	ck_assert_uint_lt(needed.supervisor, 1000);
	ck_assert_uint_ge(needed.wanted, (10 + 256) * 64);
	/* Who may register is a bound, not a need. */
	dispatch[1].max_registered = 1000000;
	limits_needed(&table, &less);
	ck_assert_uint_eq(less.supervisor, needed.supervisor);
	ck_assert_uint_le(less.wanted, 1u << 20);
	/* max-registered without a rule lets nobody in. */
	dispatch[1].register_users.count = 0;
	limits_needed(&table, &less);
	ck_assert_uint_lt(less.wanted, needed.wanted);
}
END_TEST

START_TEST(room_for_more_servers)
{
	struct table_service of_table = {.listen_count = 3, .has_server = true};
	struct table table = {.service = &of_table, .service_count = 1};
	struct server waiting = {.phase = PHASE_BACKOFF};
	struct service service = {.want = &of_table};
	struct slot *slots = calloc(BOARD_SLOTS, sizeof(*slots));
	struct supervisor *s = calloc(1, sizeof(*s));
	struct rlimit before, low;

	ck_assert_ptr_nonnull(slots);
	ck_assert_ptr_nonnull(s);
	s->slots = slots;
	s->table = &table;
	s->services = &service;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){.rlim_cur = 167, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_uint_eq(limits_room(s), (167 - 64 - 3) / 5);
	slots[7].used = true;
	ck_assert_uint_eq(limits_room(s), 19);
	/* Who waits to be started has a claim to one. */
	service.servers = &waiting;
	ck_assert_uint_eq(limits_room(s), 18);
	low.rlim_cur = 60;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_uint_eq(limits_room(s), 0);
	/* However many files there may be: slots are bounded too. */
	for (unsigned i = 0; i < BOARD_SLOTS - 1; i++)
		slots[i].used = true;
	service.servers = NULL;
	low.rlim_cur = before.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_uint_le(limits_room(s), 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	free(slots);
	free(s);
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
	tcase_add_test(limits, room_for_more_servers);
	tcase_add_test(limits, raised_as_far_as_it_goes);
	suite_add_tcase(suite, limits);

	return suite_run(suite);
}
