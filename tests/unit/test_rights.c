/*
 * test_rights.c: who may ask the daemon what, how long it may take, and numbers that nobody should trust.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "control_rights.h"
#include "control_wait.h"
#include "status.h"

static uint32_t admins[] = {1001}, admin_groups[] = {27}, watchers[] = {1002}, watcher_groups[] = {28};
static const struct table_id_list none, admin_users_list = {admins, 1}, admin_groups_list = {admin_groups, 1};
static const struct table_id_list status_users_list = {watchers, 1}, status_groups_list = {watcher_groups, 1};

static bool permitted(uid_t uid, gid_t gid, const gid_t *groups, size_t count, bool restricted,
		      enum control_command command)
{
	const struct control_peer peer = {uid, gid, groups, count};
	const struct control_rules rules = {
		500,       &admin_users_list, &admin_groups_list, &status_users_list, &status_groups_list,
		restricted};

	return control_permitted(&peer, &rules, command);
}

START_TEST(test_owners_may_all)
{
	for (int command = CONTROL_STATUS; command <= CONTROL_UPGRADE; command++) {
		ck_assert(permitted(0, 0, NULL, 0, true, command));
		ck_assert(permitted(500, 500, NULL, 0, true, command));
		ck_assert(permitted(1001, 9, NULL, 0, true, command));
		ck_assert(permitted(1003, 27, NULL, 0, true, command));
	}
	ck_assert(!control_is_owner(1001, 500));
}
END_TEST

START_TEST(test_supplementary_groups_count)
{
	const gid_t groups[] = {5, 6, 27}, others[] = {5, 6};

	ck_assert(permitted(1003, 100, groups, 3, true, CONTROL_STOP));
	ck_assert(!permitted(1003, 100, groups, 2, true, CONTROL_STOP));
	ck_assert(!permitted(1003, 100, others, 2, true, CONTROL_STATUS));
}
END_TEST

START_TEST(test_others_only_look)
{
	for (int command = CONTROL_STATUS; command <= CONTROL_UPGRADE; command++) {
		bool looks = command <= CONTROL_VERSION_ASKED;

		ck_assert(permitted(1003, 100, NULL, 0, false, command) == looks);
		ck_assert(!permitted(1003, 100, NULL, 0, true, command));
		/* those in status-users and status-groups look, and do nothing else */
		ck_assert(permitted(1002, 100, NULL, 0, true, command) == looks);
		ck_assert(permitted(1003, 28, NULL, 0, true, command) == looks);
	}
}
END_TEST

/* A uid is no gid: 27 as a user is not in group 27. */
START_TEST(test_users_are_no_groups)
{
	ck_assert(!permitted(27, 100, NULL, 0, true, CONTROL_STOP));
	ck_assert(!permitted(1003, 1001, NULL, 0, true, CONTROL_STOP));
}
END_TEST

START_TEST(test_empty_lists_allow_nobody)
{
	const struct control_peer peer = {1003, 100, NULL, 0};
	const struct control_rules rules = {500, &none, &none, &none, &none, true};

	ck_assert(!control_permitted(&peer, &rules, CONTROL_STATUS));
	ck_assert(!control_permitted(&peer, &rules, CONTROL_RELOAD));
}
END_TEST

static struct control_request good_request(void)
{
	return (struct control_request){.version = CONTROL_VERSION, .command = CONTROL_STATUS};
}

START_TEST(test_requests)
{
	struct control_request request = good_request();

	ck_assert_ptr_null(control_check_request(&request, sizeof(request)));
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request) - 1));
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request) + 1));
	ck_assert_ptr_nonnull(control_check_request(&request, 0));
	request.version++;
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
	request = good_request();
	request.command = 0;
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
	request.command = CONTROL_UPGRADE + 1;
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
	request = good_request();
	request.flags = 8;
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
	request = good_request();
	memset(request.service, 'a', sizeof(request.service));
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
	request = good_request();
	request.flags = CONTROL_ONE;
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
	request = good_request();
	request.command = CONTROL_SHOW;
	ck_assert_ptr_nonnull(control_check_request(&request, sizeof(request)));
}
END_TEST

START_TEST(test_room)
{
	ck_assert(control_has_room(false, 0, 0));
	ck_assert(!control_has_room(false, 20, CONTROL_CLIENTS_OF_USER));
	ck_assert(!control_has_room(false, CONTROL_CLIENTS, 0));
	/* root finds a place when others have taken all of theirs */
	ck_assert(control_has_room(true, CONTROL_CLIENTS, CONTROL_CLIENTS));
	ck_assert(!control_has_room(true, CONTROL_CLIENTS + CONTROL_CLIENTS_SPARE, 0));
}
END_TEST

START_TEST(test_sums_hold_whatever_is_written)
{
	struct board_reading reading;
	uint64_t total;

	memset(&reading, 0xff, sizeof(reading));
	status_clamp(&reading);
	ck_assert(reading.taken == reading.active + reading.done + reading.died);
	total = reading.pending + reading.taken + reading.lost;
	for (int i = 0; i < DENIED_COUNT; i++)
		total += reading.denied[i];
	for (int i = 0; i < CLOSED_COUNT; i++)
		total += reading.closed[i];
	ck_assert(reading.accepted == total);
	/* what every reader of JSON counts exactly */
	ck_assert(reading.accepted < UINT64_C(1) << 53);

	reading = (struct board_reading){
		.accepted = 10, .pending = 1, .taken = 8, .active = 3, .done = 5, .lost = 1};
	status_clamp(&reading);
	ck_assert_uint_eq(reading.accepted, 10);
	ck_assert_uint_eq(reading.taken, 8);
}
END_TEST

START_TEST(test_server_states)
{
	ck_assert_int_eq(status_server_state(PHASE_READY, BOARD_SERVER_READY), SERVER_READY);
	ck_assert_int_eq(status_server_state(PHASE_READY, BOARD_SERVER_STALLED), SERVER_STALLED);
	ck_assert_int_eq(status_server_state(PHASE_READY, BOARD_SERVER_DRAINING), SERVER_DRAINING);
	ck_assert_int_eq(status_server_state(PHASE_READY, 4711), SERVER_READY);
	/* what the supervisor knows of a process weighs more than the board */
	ck_assert_int_eq(status_server_state(PHASE_BACKOFF, BOARD_SERVER_READY), SERVER_BACKOFF);
	ck_assert_int_eq(status_server_state(PHASE_STARTING, BOARD_SERVER_NONE), SERVER_STARTING);
	ck_assert_int_eq(status_server_state(PHASE_DRAINING, BOARD_SERVER_STALLED), SERVER_DRAINING);
	ck_assert_int_eq(status_server_state(PHASE_KILLING, BOARD_SERVER_READY), SERVER_DRAINING);
	ck_assert_int_eq(status_server_state(PHASE_STOPPED, BOARD_SERVER_NONE), SERVER_STOPPED);
	ck_assert_int_eq(status_server_state(PHASE_FAILED, BOARD_SERVER_NONE), SERVER_FAILED);
}
END_TEST

START_TEST(test_wait_limits)
{
	struct table_server want_server = {0};
	struct table_dispatch dispatch = {.drain_timeout_ms = 30000};
	struct table_service want = {.has_server = true, .server = &want_server, .dispatch = &dispatch};
	struct server running = {.pid = 7};
	struct service service = {.name = "web", .want = &want};
	uint64_t idle;

	want.server->instances = 3;
	want.server->stop_timeout_ms = 10000;
	want.server->ready_timeout_ms = 20000;
	idle = control_wait_limit_ms(&service, CONTROL_UP);
	ck_assert_uint_gt(idle, 20000);
	ck_assert_uint_gt(control_wait_limit_ms(&service, CONTROL_DOWN), 40000);
	ck_assert_uint_gt(control_wait_limit_ms(&service, CONTROL_ROLL), 3 * 60000);
	/* up after down: the old ones have to end first */
	service.servers = &running;
	ck_assert_uint_gt(control_wait_limit_ms(&service, CONTROL_UP), idle + 40000);
	service.want = NULL;
	ck_assert_uint_eq(control_wait_limit_ms(&service, CONTROL_DOWN), 0);
}
END_TEST

START_TEST(test_wait_words)
{
	struct table_server want_server = {0};
	struct table_service want = {.has_server = true, .server = &want_server};
	struct server old = {
		.instance = 1, .phase = PHASE_BACKOFF, .phase_since_ms = 5, .last_exit = "exit 1"};
	struct server new = {.instance = 2,
			     .phase = PHASE_BACKOFF,
			     .phase_since_ms = 9,
			     .last_exit = "SIGSEGV",
			     .last_line = "out of luck",
			     .next = &old};
	struct service service = {.name = "web", .want = &want, .servers = &new};
	char why[CONTROL_WHY];

	control_wait_why(&service, CONTROL_UP, why);
	ck_assert_str_eq(why, "web: server 2: SIGSEGV; it said: out of luck");
	new.phase = PHASE_READY;
	control_wait_why(&service, CONTROL_ROLL, why);
	ck_assert_str_eq(why, "web: server 1: exit 1");
	/* one that is on its way out tells nothing about those that come */
	old.retiring = true;
	control_wait_why(&service, CONTROL_UP, why);
	ck_assert_ptr_nonnull(strstr(why, "not all of its servers are ready"));
	new.pid = 8;
	/* the opposite command came in between */
	control_wait_why(&service, CONTROL_DOWN, why);
	ck_assert_str_eq(why, "web: it was started again meanwhile");
	service.down = true;
	control_wait_why(&service, CONTROL_ROLL, why);
	ck_assert_str_eq(why, "web: it was taken down meanwhile");
	control_wait_why(&service, CONTROL_DOWN, why);
	ck_assert_str_eq(why, "web: 1 of its servers still run");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rights");
	TCase *tests = tcase_create("rights");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_owners_may_all);
	tcase_add_test(tests, test_supplementary_groups_count);
	tcase_add_test(tests, test_others_only_look);
	tcase_add_test(tests, test_users_are_no_groups);
	tcase_add_test(tests, test_empty_lists_allow_nobody);
	tcase_add_test(tests, test_requests);
	tcase_add_test(tests, test_room);
	tcase_add_test(tests, test_sums_hold_whatever_is_written);
	tcase_add_test(tests, test_server_states);
	tcase_add_test(tests, test_wait_limits);
	tcase_add_test(tests, test_wait_words);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
