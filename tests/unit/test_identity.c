/*
 * test_identity.c: who may register, and how often a stranger is spoken of.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher.h"
#include "identity.h"
#include "suite.h"

static struct link_rule rule[2] = {{.kind = LINK_RULE_UID, .id = 1000}, {.kind = LINK_RULE_GID, .id = 50}};
static struct identity who;
static struct identity_rules rules;

static void setup(void)
{
	rules = (struct identity_rules){.rule = rule, .count = 2};
	who = (struct identity){.pid = 7,
				.uid = 1000,
				.gid = 1000,
				.told = true,
				.told_pid = 7,
				.told_uid = 1000,
				.told_gid = 1000};
}

START_TEST(test_rules)
{
	gid_t groups[2] = {7, 50};
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NONE);
	who.uid = who.told_uid = 1001;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NOT_LISTED);
	who.gid = 50;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NONE);
	who.gid = 1000; /* the number of the user rule is no group */
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NOT_LISTED);
	who.groups = groups;
	who.group_count = 2;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NONE);
	rules.count = 0;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NO_SERVICE);
}
END_TEST

/* The effective user decides; the real one only whether it is root. */
START_TEST(test_root)
{
	who.told_uid = 0;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_ROOT);
	rules.allow_root = true;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NONE);
	who.uid = 0; /* allowed is not listed */
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NOT_LISTED);
}
END_TEST

START_TEST(test_who_speaks)
{
	who.told_pid = 8;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_WRONG_PID);
	who.told = false;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NO_CREDENTIALS);
}
END_TEST

START_TEST(test_foreign)
{
	who.pid = who.told_pid = 0;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NAMESPACE);
	rules.allow_foreign = true;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NONE);
	setup();
	who.told_uid = IDENTITY_OVERFLOW_ID;
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NAMESPACE);
	who.uid = IDENTITY_OVERFLOW_ID; /* `nobody`, who is not listed */
	ck_assert_int_eq(identity_judge(&who, &rules), REFUSAL_NOT_LISTED);
}
END_TEST

START_TEST(test_read)
{
	int ends[2];
	struct identity real;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	ck_assert_int_eq(identity_read(ends[0], &real), 0);
	ck_assert_int_eq(real.pid, getpid());
	ck_assert_uint_eq(real.uid, geteuid());
	ck_assert_int_eq((int)real.group_count, getgroups(0, NULL));
	identity_free(&real);
	int pidfd = identity_pidfd(ends[0]);
	if (pidfd >= 0) {
		struct pollfd look = {.fd = pidfd, .events = POLLIN};
		ck_assert_int_eq(poll(&look, 1, 0), 0);
		close(pidfd);
	}
	close(ends[0]);
	close(ends[1]);
	int file[2];
	ck_assert_int_eq(pipe(file), 0);
	ck_assert_int_lt(identity_read(file[0], &real), 0);
	close(file[0]);
	close(file[1]);
}
END_TEST

START_TEST(test_report_permit)
{
	struct report_limit limit = {0};
	uint64_t now = 1000000;
	for (unsigned i = 0; i < REPORT_BURST; i++)
		ck_assert(report_permit(&limit, now));
	ck_assert(!report_permit(&limit, now));
	/* The count must be said before a new window begins. */
	ck_assert(!report_permit(&limit, now + REPORT_WINDOW_MS));
	ck_assert_uint_eq(limit.suppressed, 2);
	limit = (struct report_limit){0};
	ck_assert(report_permit(&limit, now + REPORT_WINDOW_MS));
	/* Few enough never need that. */
	for (unsigned i = 1; i < 100; i++)
		ck_assert(report_permit(&limit, now + i * REPORT_WINDOW_MS));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_rules,   test_root, test_who_speaks,
				      test_foreign, test_read, test_report_permit};
	Suite *suite = suite_create("identity");
	TCase *tcase = tcase_create("identity");
	tcase_add_checked_fixture(tcase, setup, NULL);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
