/*
 * test_state.c: what `status` calls a service and why; how far a change of it got.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "services.h"
#include "suite.h"

#define SERVERS 4

static struct supervisor *s;
static struct table_server want_server;
static struct table_service want;
static struct table_listen listen_word;
static struct service service;
static struct service_more more;
static struct server server[SERVERS];
static struct listener listener[2];
static struct board_reading reading;
static char reason[160];
static uint64_t until_s;

static void setup(void)
{
	s = calloc(1, sizeof(*s));
	ck_assert_ptr_nonnull(s);
	static const struct table_dispatch dispatch;
	want = (struct table_service){
		.start = START_ALWAYS, .has_server = true, .server = &want_server, .dispatch = &dispatch};
	want.server->instances = SERVERS;
	listen_word = (struct table_listen){.said = "127.0.0.1:80"};
	ck_assert_int_eq(address_parse_ip("127.0.0.1", &listen_word.address), 0);
	listen_word.address.kind = ADDRESS_TCP;
	listen_word.address.port = 80;
	more = (struct service_more){0};
	service = (struct service){.name = "web",
				   .want = &want,
				   .generation = 1,
				   .servers = server,
				   .listeners = listener,
				   .more = &more};
	for (unsigned i = 0; i < SERVERS; i++) {
		server[i] = (struct server){.service = &service,
					    .instance = i + 1,
					    .phase = PHASE_READY,
					    .built = 1,
					    .next = i + 1 < SERVERS ? &server[i + 1] : NULL};
		snprintf(server[i].last_exit, sizeof(server[i].last_exit), "SIGSEGV");
	}
	for (unsigned i = 0; i < 2; i++)
		listener[i] = (struct listener){
			.fd = 9, .want = &listen_word, .next = i == 0 ? &listener[1] : NULL};
	reading = (struct board_reading){0};
}

static void teardown(void)
{
	free(s);
}

static enum control_service_state state(void)
{
	return service_state(s, &service, &reading, reason, &until_s);
}

#define ck_reason(word) ck_assert_msg(strstr(reason, (word)) != NULL, "\"%s\" lacks \"%s\"", reason, (word))

START_TEST(all_is_well)
{
	ck_assert_int_eq(state(), SERVICE_READY);
	ck_assert_str_eq(reason, "");
	ck_assert_uint_eq(until_s, 0);
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
}
END_TEST

START_TEST(some_address_cannot_be_bound)
{
	listener[1].fd = -1;
	struct listener_more late[2] = {{.error = EADDRINUSE},
					{.error = EADDRINUSE, .retry_ms = clock_ms() + 5000}};
	listener[1].more = &late[1];
	ck_assert_int_eq(state(), SERVICE_DEGRADED);
	ck_reason("tcp:127.0.0.1:80: Address already in use");
	ck_reason("ss -ltnp");
	ck_assert_uint_ge(until_s, (uint64_t)time(NULL) + 3);
	listener[0].fd = -1;
	listener[0].more = &late[0];
	ck_assert_int_eq(state(), SERVICE_FAILED);
}
END_TEST

START_TEST(one_gives_no_sign_of_life)
{
	int fd = board_create();
	struct board *board = board_map(fd, true);
	ck_assert_ptr_nonnull(board);
	for (unsigned i = 0; i < SERVERS; i++) {
		server[i].slot = i;
		board->servers[i].state = BOARD_SERVER_READY;
	}
	s->board = board;
	ck_assert_int_eq(state(), SERVICE_READY);
	ck_assert_uint_eq(service_ready_count(s, &service), SERVERS);
	board->servers[1].state = BOARD_SERVER_STALLED;
	ck_assert_int_eq(state(), SERVICE_DEGRADED);
	ck_reason("server 2");
	ck_reason("take-timeout");
	ck_assert_uint_eq(service_ready_count(s, &service), SERVERS - 1);
	board->servers[1].generation = 7; /* it speaks of another use of the slot */
	ck_assert_int_eq(state(), SERVICE_READY);
	board_unmap(board);
	close(fd);
}
END_TEST

START_TEST(paused)
{
	service.paused = true;
	more.paused_by = 1000;
	more.paused_since_s = (uint64_t)time(NULL);
	ck_assert_int_eq(state(), SERVICE_PAUSED);
	ck_reason("paused by uid 1000 since ");
	ck_reason("`lust-inetd resume web` goes on");
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
	more.paused_by = 0;
	more.paused_since_s = 86400; /* another day is named */
	ck_assert_int_eq(state(), SERVICE_PAUSED);
	ck_reason("paused by root since 1970-01-0");
	/* The longest name still leaves room for what helps. */
	memset(more.name, 'n', sizeof(more.name) - 1);
	service.name = more.name;
	more.paused_by = 4294967294;
	ck_assert_int_eq(state(), SERVICE_PAUSED);
	ck_reason("n` goes on");
	/* What is worse comes first. */
	server[0].phase = PHASE_BACKOFF;
	server[0].failures = 1;
	ck_assert_int_eq(state(), SERVICE_PAUSED);
	service.down = true;
	ck_assert_int_eq(state(), SERVICE_STOPPED);
	listener[0].fd = listener[1].fd = -1;
	ck_assert_int_eq(state(), SERVICE_FAILED);
}
END_TEST

START_TEST(given_up_servers)
{
	server[1].phase = PHASE_FAILED;
	ck_assert_int_eq(state(), SERVICE_DEGRADED);
	ck_reason("server 2: SIGSEGV");
	ck_assert_int_eq(service_progress(&service), PROGRESS_FAILED);
	for (unsigned i = 0; i < SERVERS; i++)
		server[i].phase = PHASE_FAILED;
	ck_assert_int_eq(state(), SERVICE_FAILED);
	ck_reason("restart-limit");
	ck_reason("lust-inetd up web");
}
END_TEST

START_TEST(one_waits_to_be_started_again)
{
	server[2].phase = PHASE_BACKOFF;
	server[2].failures = 2;
	server[2].until_ms = clock_ms() + 8000;
	ck_assert_int_eq(state(), SERVICE_DEGRADED);
	ck_reason("server 3: SIGSEGV");
	ck_reason("restart-delay");
	ck_assert_uint_ge(until_s, (uint64_t)time(NULL) + 6);
	ck_assert_int_eq(service_progress(&service), PROGRESS_FAILED);
}
END_TEST

START_TEST(the_first_start_is_no_trouble)
{
	server[0].phase = PHASE_STARTING;
	server[1].phase = PHASE_BACKOFF;
	ck_assert_int_eq(state(), SERVICE_STARTING);
	ck_reason("2 of 4");
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
}
END_TEST

START_TEST(taken_down)
{
	service.down = true;
	for (unsigned i = 0; i < SERVERS; i++)
		server[i].phase = PHASE_DRAINING, server[i].retiring = true;
	ck_assert_int_eq(state(), SERVICE_STOPPED);
	ck_reason("lust-inetd up web");
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
	service.servers = NULL;
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
}
END_TEST

START_TEST(ended_for_good)
{
	for (unsigned i = 0; i < SERVERS; i++)
		server[i].phase = PHASE_STOPPED;
	ck_assert_int_eq(state(), SERVICE_STOPPED);
	server[0].phase = PHASE_READY;
	ck_assert_int_eq(state(), SERVICE_DEGRADED);
	ck_reason("(restart)");
}
END_TEST

START_TEST(no_room_anywhere)
{
	reading.full_since_ms = clock_ms() - 1500;
	ck_assert_int_eq(state(), SERVICE_FULL);
	ck_reason("1.5 s");
	ck_reason("instances");
	/* A number from the board that cannot be true. */
	reading.full_since_ms = clock_ms() + 100000;
	ck_assert_int_eq(state(), SERVICE_READY);
}
END_TEST

START_TEST(servers_from_outside)
{
	want.start = START_EXTERNAL;
	want.has_server = false;
	service.servers = NULL;
	ck_assert_int_eq(state(), SERVICE_WAITING);
	ck_reason("start = external");
	service.servers = server;
	for (unsigned i = 0; i < SERVERS; i++)
		server[i].external = true;
	ck_assert_int_eq(state(), SERVICE_READY);
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
}
END_TEST

START_TEST(a_roll_is_done_when_the_last_one_is_new)
{
	service.generation = 2;
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
	for (unsigned i = 0; i < SERVERS; i++)
		server[i].built = 2;
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
	server[2].next = NULL; /* one is between its end and its start */
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
}
END_TEST

START_TEST(a_long_reason_is_cut)
{
	memset(server[0].last_exit, 'x', sizeof(server[0].last_exit) - 1);
	memset(more.name, 'n', sizeof(more.name) - 1);
	service.name = more.name;
	server[0].phase = PHASE_FAILED;
	service.servers = server;
	server[0].next = NULL;
	ck_assert_int_eq(state(), SERVICE_FAILED);
	ck_reason("tries again");
	ck_assert_uint_lt(strlen(reason), sizeof(reason));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *tests = tcase_create("state");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, all_is_well);
	tcase_add_test(tests, some_address_cannot_be_bound);
	tcase_add_test(tests, one_gives_no_sign_of_life);
	tcase_add_test(tests, paused);
	tcase_add_test(tests, given_up_servers);
	tcase_add_test(tests, one_waits_to_be_started_again);
	tcase_add_test(tests, the_first_start_is_no_trouble);
	tcase_add_test(tests, taken_down);
	tcase_add_test(tests, ended_for_good);
	tcase_add_test(tests, no_room_anywhere);
	tcase_add_test(tests, servers_from_outside);
	tcase_add_test(tests, a_roll_is_done_when_the_last_one_is_new);
	tcase_add_test(tests, a_long_reason_is_cut);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
