/*
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "event_text.h"

static struct event sample(enum event_code code)
{
	struct event event = {
		.code = (uint16_t)code,
		.id = UINT64_C(1) << 48 | 42,
		.pid = 812,
		.service = 0,
		.family = AF_INET,
		.port = 4431,
		.ip = {10, 0, 0, 7},
		.code2 = EVENT_DENIED,
	};

	return event;
}

static void says(const struct event *event, const char *expected)
{
	char text[512];

	ck_assert(event_known(event));
	ck_assert_str_eq(event_text(event, text, sizeof(text)), expected);
}

START_TEST(test_sentences)
{
	struct event event = sample(EVENT_CLOSED_TOUCHED);

	says(&event, "connection 1:42 from 10.0.0.7:4431 closed: its server (pid 812) died after it had "
		     "begun to serve it");
	event.pid = 0;
	says(&event,
	     "connection 1:42 from 10.0.0.7:4431 closed: its server died after it had begun to serve it");
	event.family = AF_UNIX;
	says(&event,
	     "connection 1:42 from a local client closed: its server died after it had begun to serve it");
	event = sample(EVENT_CLOSED_CLIENT_LEFT);
	says(&event, "connection 1:42 from 10.0.0.7:4431 closed: the client had left when its server died");
	event.slot = BOARD_NONE;
	says(&event, "connection 1:42 from 10.0.0.7:4431 closed: the client left before a server took it");
	event = sample(EVENT_LOST);
	event.family = AF_INET6;
	memset(event.ip, 0, sizeof(event.ip));
	event.ip[15] = 1;
	says(&event, "connection 1:42 from [::1]:4431 lost: the dispatcher was killed while it held it");
	event = sample(EVENT_REFUSED_REGISTRATION);
	event.uid = 1000;
	event.gid = 100;
	event.number = REFUSAL_NO_CREDENTIALS;
	says(&event, "registration of pid 812, uid 1000, gid 100 refused: the message carried no credentials "
		     "of its sender");
	event = sample(EVENT_REGISTERED);
	event.id = 0;
	event.instance = 2;
	event.number = 100;
	says(&event, "server 2 (pid 812) registered, uid 0, gid 0, capacity 100");
	event.instance = 0;
	event.number = 0;
	event.id = 0;
	says(&event, "a server from outside (pid 812) registered, uid 0, gid 0, no limit of its own");
	event.id = 7;
	says(&event, "a server from outside (pid 812) registered, uid 0, gid 0, no limit of its own, holds 7 "
		     "connections of an earlier daemon");
	event = sample(EVENT_ACCEPT_FAILED);
	event.error = EMFILE;
	says(&event, "cannot accept connections: Too many open files; clients wait until it works again");
	event = sample(EVENT_SUPPRESSED);
	event.number = 12;
	says(&event, "12 more denied connections, not logged one by one");
}
END_TEST

/* Whatever number a broken dispatcher puts in: words, no crash. */
START_TEST(test_every_code)
{
	static const uint64_t numbers[] = {0, 1, 5, DENIED_COUNT, REFUSAL_COUNT, UINT32_MAX, UINT64_MAX};
	char text[512];

	for (unsigned code = EVENT_STARTED; code < EVENT_CODES; code++)
		for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
			struct event event = sample((enum event_code)code);

			event.number = numbers[i];
			event.error = i % 2 == 0 ? -1 : (int32_t)numbers[i];
			event.family = (uint16_t)numbers[i];
			ck_assert_msg(event_known(&event), "code %u", code);
			ck_assert_uint_gt(strlen(event_text(&event, text, sizeof(text))), 10);
			ck_assert_uint_lt(strlen(text), 400);
			ck_assert_int_le(event_level(&event), LEVEL_DEBUG);
		}
}
END_TEST

START_TEST(test_unknown)
{
	struct event event = sample(EVENT_CODES);

	ck_assert(!event_known(&event));
	event.code = 0;
	ck_assert(!event_known(&event));
	event.code = UINT16_MAX;
	ck_assert(!event_known(&event));
	event = sample(EVENT_SUPPRESSED);
	event.code2 = 0;
	ck_assert(!event_known(&event));
	event.code2 = EVENT_CODES;
	ck_assert(!event_known(&event));
}
END_TEST

/* A dispatcher in a stranger's hands writes what it likes into the pipe, and no line of its own into the log. */
START_TEST(test_forged_name)
{
	static const char *const bad[] = {"x\nerror lust-inetd: all is lost", "\033[2J", "a b", "\"", "\x80"};
	struct event event = sample(EVENT_REFUSED_REGISTRATION);

	snprintf(event.asked, sizeof(event.asked), "%s", "web-2.x_Y");
	ck_assert(event_known(&event));
	memset(event.asked, 'a', sizeof(event.asked));
	ck_assert(event_known(&event));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(event.asked, sizeof(event.asked), "%s", bad[i]);
		ck_assert(!event_known(&event));
	}
}
END_TEST

START_TEST(test_levels)
{
	struct event event = sample(EVENT_LOST);

	ck_assert_int_eq(event_level(&event), LEVEL_ERROR);
	event.code = EVENT_REGISTERED;
	ck_assert_int_eq(event_level(&event), LEVEL_INFO);
	event.code = EVENT_SUPPRESSED; /* as what it counts */
	event.code2 = EVENT_LOST;
	ck_assert_int_eq(event_level(&event), LEVEL_ERROR);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event_text");
	TCase *tc = tcase_create("event_text");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_sentences);
	tcase_add_test(tc, test_every_code);
	tcase_add_test(tc, test_unknown);
	tcase_add_test(tc, test_forged_name);
	tcase_add_test(tc, test_levels);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
