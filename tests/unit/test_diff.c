/*
 * test_diff.c: what a reload finds different.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "table_files.h"

#define BASE                                                                                                 \
	"listen = \"80\" balance = source-hash server { command = {\"/bin/x\", \"-a\"} env = {\"A=1\"} "     \
	"instances = 2 }"

static struct table *before, *after;
static struct table_diff diff;

static void compare(const char *old, const char *new)
{
	before = table_of(old);
	ck_assert_msg(before != NULL, "%s", table_said_all());
	after = table_of(new);
	ck_assert_msg(after != NULL, "%s", table_said_all());
	ck_assert_int_eq(table_diff(before, after, &diff), 0);
}

static void done(void)
{
	table_diff_free(&diff);
	table_free(before);
	table_free(after);
}

static const struct {
	const char *body;
	unsigned change;
} changes[] = {
	{BASE, CHANGE_NONE},
	{"# said otherwise, the same\n server { instances = 2 env = {\"A=1\"} command = {\"/bin/x\", '-a'} "
	 "nice = 0 }"
	 " listen = {\"80\"} balance = source-hash drain-timeout = 30000ms",
	 CHANGE_NONE},
	{"listen = \"80\" server { command = {\"/bin/x\", \"-a\"} env = {\"A=1\"} instances = 2 }",
	 CHANGE_DISPATCH},
	{"listen = \"81\" balance = source-hash server { command = {\"/bin/x\", \"-a\"} env = {\"A=1\"} "
	 "instances = 2 }",
	 CHANGE_LISTEN},
	{"listen = {\"80\", \"81\"} balance = source-hash server { command = {\"/bin/x\", \"-a\"} env = "
	 "{\"A=1\"} instances = 2 }",
	 CHANGE_LISTEN},
	{"listen = \"80\" balance = source-hash server { command = {\"/bin/x\", \"-b\"} env = {\"A=1\"} "
	 "instances = 2 }",
	 CHANGE_SERVER},
	{"listen = \"80\" balance = source-hash server { command = {\"/bin/x\"} env = {\"A=1\"} instances = "
	 "2 }",
	 CHANGE_SERVER},
	{"listen = \"80\" balance = source-hash server { command = {\"/bin/x\", \"-a\"} env = {\"A=2\"} "
	 "instances = 2 }",
	 CHANGE_SERVER},
	{"listen = \"80\" balance = source-hash server { command = {\"/bin/x\", \"-a\"} env = {\"A=1\"} "
	 "instances = 3 }",
	 CHANGE_COUNT},
	{"listen = \"80\" balance = source-hash server { command = {\"/bin/x\", \"-a\"} env = {\"A=1\"} "
	 "instances = 2 "
	 "rlimit-nofile = 9 }",
	 CHANGE_SERVER},
	{"listen = \"80\" balance = source-hash register-users = \"1\" server { command = {\"/bin/x\", "
	 "\"-a\"} env = {\"A=1\"} }",
	 CHANGE_DISPATCH | CHANGE_COUNT},
	{"listen = \"80\" balance = source-hash register-users = \"1\"", CHANGE_DISPATCH | CHANGE_SERVER},
};

START_TEST(changed)
{
	char text[512];

	snprintf(text, sizeof(text), "service \"a\" { %s }", changes[_i].body);
	compare("service \"a\" { " BASE " }", text);
	ck_assert_uint_eq(diff.count, 1);
	ck_assert_ptr_eq(diff.pair[0].before, &before->service[0]);
	ck_assert_ptr_eq(diff.pair[0].after, &after->service[0]);
	ck_assert_uint_eq(diff.pair[0].change, changes[_i].change);
	ck_assert(!diff.needs_restart);
	done();
}
END_TEST

START_TEST(added_and_removed)
{
	compare("service \"a\" { listen = 1 server { command = \"/x\" } } service \"b\" { listen = 2 server "
		"{ command = \"/x\" } }",
		"service \"c\" { listen = 1 server { command = \"/x\" } } service \"b\" { listen = 2 server "
		"{ command = \"/x\" } }");
	ck_assert_uint_eq(diff.count, 3);
	ck_assert_ptr_null(diff.pair[0].before);
	ck_assert_str_eq(diff.pair[0].after->name, "c");
	ck_assert_str_eq(diff.pair[1].before->name, "b");
	ck_assert_uint_eq(diff.pair[1].change, CHANGE_NONE);
	ck_assert_str_eq(diff.pair[2].before->name, "a");
	ck_assert_ptr_null(diff.pair[2].after);
	done();
}
END_TEST

START_TEST(nothing_to_something)
{
	compare("", "service \"a\" { listen = 1 server { command = \"/x\" } }");
	ck_assert_uint_eq(diff.count, 1);
	ck_assert_ptr_null(diff.pair[0].before);
	done();
}
END_TEST

START_TEST(what_needs_a_restart)
{
	compare("", "pidfile = \"/run/other.pid\"");
	ck_assert(diff.needs_restart);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diff");
	TCase *tests = tcase_create("diff");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, table_files_setup, table_files_teardown);
	tcase_add_loop_test(tests, changed, 0, sizeof(changes) / sizeof(changes[0]));
	tcase_add_test(tests, added_and_removed);
	tcase_add_test(tests, nothing_to_something);
	tcase_add_test(tests, what_needs_a_restart);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
