/*
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "service_names.h"

static struct names names;

static void setup(void)
{
	ck_assert_int_eq(names_init(&names), 0);
}

static void teardown(void)
{
	names_free(&names);
}

START_TEST(nobody_has_a_name_at_first)
{
	ck_assert_str_eq(names_of(&names, 0), "");
	ck_assert_str_eq(names_of(&names, BOARD_SERVICES - 1), "");
	ck_assert_uint_eq(names_target(&names, 7), 0);
}
END_TEST

START_TEST(each_has_its_own)
{
	char name[64];

	for (uint32_t i = 0; i < BOARD_SERVICES; i++) {
		snprintf(name, sizeof(name), "service-%u", i);
		ck_assert_int_eq(names_tell(&names, i, name, i % 3), 0);
	}
	for (uint32_t i = 0; i < BOARD_SERVICES; i++) {
		snprintf(name, sizeof(name), "service-%u", i);
		ck_assert_str_eq(names_of(&names, i), name);
		ck_assert_uint_eq(names_target(&names, i), i % 3);
	}
}
END_TEST

START_TEST(another_target)
{
	ck_assert_int_eq(names_tell(&names, 5, "web", 1), 0);
	size_t length = names.length;
	ck_assert_int_eq(names_tell(&names, 5, "web", 2), 0);
	ck_assert_str_eq(names_of(&names, 5), "web");
	ck_assert_uint_eq(names_target(&names, 5), 2);
	ck_assert_uint_eq(names.length, length);
}
END_TEST

/* A number is used again under other names as long as the daemon runs. */
START_TEST(old_names_make_room)
{
	char name[64];

	ck_assert_int_eq(names_tell(&names, 4, "stays", 0), 0);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "a-rather-long-name-of-a-service-%u", i);
		ck_assert_int_eq(names_tell(&names, i % 2, name, 0), 0);
	}
	ck_assert_str_eq(names_of(&names, 1), "a-rather-long-name-of-a-service-99999");
	ck_assert_str_eq(names_of(&names, 0), "a-rather-long-name-of-a-service-99998");
	ck_assert_str_eq(names_of(&names, 4), "stays");
	ck_assert_uint_lt(names.room, 10000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service_names");
	TCase *tests = tcase_create("service_names");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, nobody_has_a_name_at_first);
	tcase_add_test(tests, each_has_its_own);
	tcase_add_test(tests, another_target);
	tcase_add_test(tests, old_names_make_room);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
