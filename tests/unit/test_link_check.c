/*
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "event.h"
#include "link.h"

static struct link_message message(uint16_t type)
{
	struct link_message m = {.version = LINK_VERSION, .type = type};

	return m;
}

static const char *down(const struct link_message *m, unsigned fds)
{
	return link_check_from_supervisor(m, sizeof(*m), fds);
}

static const char *up(const struct link_message *m, unsigned fds)
{
	return link_check_from_dispatcher(m, sizeof(*m), fds);
}

#define GOOD(check) ck_assert_ptr_null(check)
#define BAD(check) ck_assert_ptr_nonnull(check)

START_TEST(test_frame)
{
	struct link_message m = message(LINK_COMMIT);

	GOOD(down(&m, 0));
	BAD(down(&m, 1));
	BAD(up(&m, 0)); /* from the wrong side */
	BAD(link_check_from_supervisor(&m, sizeof(m) - 1, 0));
	m.version++;
	BAD(down(&m, 0));
	for (unsigned type = 0; type < 300; type++) {
		m = message((uint16_t)type);
		if (type < LINK_HELLO || type > LINK_HAND_OVER)
			BAD(down(&m, 0));
		if (type < LINK_READY || type > LINK_SETTLING)
			BAD(up(&m, 0));
	}
}
END_TEST

START_TEST(test_hello)
{
	struct link_message m = message(LINK_HELLO);

	m.hello = (struct link_hello){.generation = 1, .nofile = 100, .jail = "/jail"};
	GOOD(down(&m, 3));
	GOOD(down(&m, 2)); /* no door */
	BAD(down(&m, 1));
	m.hello.jail[0] = '\0';
	BAD(down(&m, 3));
	m.hello.unprivileged = 1;
	GOOD(down(&m, 3));
	memset(m.hello.jail, 'x', sizeof(m.hello.jail));
	BAD(down(&m, 3));
	m.hello.jail[0] = '\0';
	m.hello.generation = 0;
	BAD(down(&m, 3));
	m.hello.generation = 1;
	m.hello.recovering = 2;
	BAD(down(&m, 3));
}
END_TEST

START_TEST(test_table_records)
{
	struct link_message m = message(LINK_BEGIN);

	m.begin = (struct link_begin){
		.services = BOARD_SERVICES, .listeners = BOARD_LISTENERS, .servers = BOARD_SLOTS};
	GOOD(down(&m, 0));
	m.begin.servers++;
	BAD(down(&m, 0));
	m = message(LINK_SERVICE);
	m.service = (struct link_service){.service = BOARD_SERVICES - 1, .name = "web", .window = 64};
	GOOD(down(&m, 0));
	m.service.service++;
	BAD(down(&m, 0));
	m.service.service = 0;
	m.service.balance = 3;
	BAD(down(&m, 0));
	m.service.balance = 0;
	m.service.window = 0;
	BAD(down(&m, 0));
	m.service.window = 1;
	m.service.rules_as = BOARD_SERVICES;
	GOOD(down(&m, 0));
	m.service.rules_as++;
	BAD(down(&m, 0));
	m.service.rules_as = 0;
	m.service.allow_root = 2;
	BAD(down(&m, 0));
	m.service.allow_root = 0;
	m.service.name[0] = '\0';
	BAD(down(&m, 0));
	memset(m.service.name, 'n', sizeof(m.service.name));
	BAD(down(&m, 0));
	m = message(LINK_RULE);
	BAD(down(&m, 0));
	m.rule.kind = LINK_RULE_GID;
	GOOD(down(&m, 0));
	m.rule.service = BOARD_NONE;
	BAD(down(&m, 0));
}
END_TEST

START_TEST(test_listener)
{
	struct link_message m = message(LINK_LISTENER);

	GOOD(down(&m, 0));
	GOOD(down(&m, 1));
	BAD(down(&m, 2));
	m.listener.position = BOARD_LISTENERS;
	BAD(down(&m, 1));
	m.listener.position = 0;
	m.listener.listener = BOARD_LISTENERS;
	BAD(down(&m, 1));
}
END_TEST

START_TEST(test_server)
{
	struct link_message m = message(LINK_SERVER);

	GOOD(down(&m, 2));
	BAD(down(&m, 3));
	BAD(down(&m, 0));
	m.server.flags = LINK_SERVER_EXTERNAL | LINK_SERVER_DRAINING;
	GOOD(down(&m, 3));
	BAD(down(&m, 2));
	m.server.flags = 8;
	BAD(down(&m, 2));
	m.server.flags = 0;
	m.server.slot = BOARD_SLOTS;
	BAD(down(&m, 2));
	m.server.slot = 0;
	memset(m.server.label, 'l', sizeof(m.server.label));
	BAD(down(&m, 2));
}
END_TEST

START_TEST(test_single_changes)
{
	static const uint16_t slots[] = {LINK_SERVER_DIED, LINK_DRAIN, LINK_FORGET};
	struct link_message m;

	for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++) {
		m = message(slots[i]);
		GOOD(down(&m, 0));
		m.slot.slot = BOARD_SLOTS;
		BAD(down(&m, 0));
	}
	m = message(LINK_KEPT);
	GOOD(down(&m, 0));
	m.kept.slot = BOARD_NONE;
	BAD(down(&m, 0));
	m.kept.error = -28;
	GOOD(down(&m, 0));
	m.kept.error = 28;
	BAD(down(&m, 0));
	m = message(LINK_HELD);
	GOOD(down(&m, 1));
	BAD(down(&m, 0));
	BAD(down(&m, 2));
	m.held.index = BOARD_LEDGER;
	BAD(down(&m, 1));
	m = message(LINK_HAND_OVER);
	GOOD(down(&m, 0));
	BAD(up(&m, 0));
	m = message(LINK_PAUSE);
	GOOD(down(&m, 0));
	m.service.service = BOARD_SERVICES;
	BAD(down(&m, 0));
}
END_TEST

START_TEST(test_requests)
{
	static const uint16_t slots[] = {LINK_REGISTERED, LINK_IDLE,     LINK_SLOT_FREE,
					 LINK_GONE,       LINK_SETTLING, LINK_DEREGISTERED};
	struct link_message m;

	for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++) {
		m = message(slots[i]);
		GOOD(up(&m, 0));
		BAD(up(&m, 1));
		BAD(down(&m, 0));
		m.slot.slot = BOARD_SLOTS;
		BAD(up(&m, 0));
		m.slot.slot = 0;
		memset(m.slot.reason, 'r', sizeof(m.slot.reason));
		BAD(up(&m, 0));
	}
	m = message(LINK_HELD);
	GOOD(up(&m, 1));
	BAD(up(&m, 0));
	m.held.index = BOARD_LEDGER;
	BAD(up(&m, 1));
	m = message(LINK_KEEP);
	GOOD(up(&m, 3));
	BAD(up(&m, 2));
	m.keep.pid = -1;
	BAD(up(&m, 3));
	m.keep.pid = 0; /* of a foreign namespace */
	m.keep.service = BOARD_NONE;
	BAD(up(&m, 3));
}
END_TEST

START_TEST(test_refusals)
{
	ck_assert_str_eq(event_refusal_text(REFUSAL_NONE), "");
	ck_assert_str_eq(event_refusal_text(REFUSAL_COUNT), "");
	ck_assert_str_eq(event_refusal_text((enum event_refusal) - 1), "");
	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		const char *text = event_refusal_text((enum event_refusal)i);

		ck_assert_uint_gt(strlen(text), 10);
		ck_assert_uint_lt(strlen(text), 150); /* fits link_slot.reason and DENIED */
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link_check");
	TCase *tc = tcase_create("link_check");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_frame);
	tcase_add_test(tc, test_hello);
	tcase_add_test(tc, test_table_records);
	tcase_add_test(tc, test_listener);
	tcase_add_test(tc, test_server);
	tcase_add_test(tc, test_single_changes);
	tcase_add_test(tc, test_requests);
	tcase_add_test(tc, test_refusals);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
