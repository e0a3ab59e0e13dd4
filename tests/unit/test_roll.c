/*
 * test_roll.c: what a roll does next, when it is given up, and what is said of it.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "control_wait.h"
#include "roll.h"
#include "services.h"
#include "suite.h"

#define SERVERS 8

static struct table_server want_server;
static struct table_service want;
static struct service service;
static struct service_more more;
static struct server server[SERVERS];
static struct roll_view view;
static struct roll_place place;

/* So many places, ready, of generation 1; the others of the array are not in the list. */
static void list(unsigned count)
{
	for (unsigned i = 0; i < SERVERS; i++)
		server[i] = (struct server){.service = &service,
					    .slot = i,
					    .instance = i + 1,
					    .phase = PHASE_READY,
					    .built = 1,
					    .next = i + 1 < count ? &server[i + 1] : NULL};
	service.servers = count > 0 ? server : NULL;
	want_server.instances = count;
}

/* The last of the array becomes a newcomer beside the first. */
static struct server *add_newcomer(unsigned built)
{
	struct server *newcomer = &server[SERVERS - 1];

	*newcomer = (struct server){.service = &service,
				    .instance = 1,
				    .phase = PHASE_STARTING,
				    .built = built,
				    .newcomer = true,
				    .next = server[0].next};
	server[0].next = newcomer;
	return newcomer;
}

static void setup(void)
{
	want = (struct table_service){.start = START_ALWAYS, .has_server = true, .server = &want_server};
	more = (struct service_more){0};
	service = (struct service){.name = "web", .want = &want, .generation = 2, .more = &more};
	list(4);
}

static enum roll_deed deed_of(struct server *first)
{
	roll_view(&service, &view);
	view.room = 100;
	ck_assert(roll_place(first, &place));
	return roll_decide(&view, &place);
}

START_TEST(a_place_is_what_has_one_instance_number)
{
	struct server *newcomer = add_newcomer(2);

	ck_assert(roll_place(server, &place));
	ck_assert_ptr_eq(place.current, &server[0]);
	ck_assert_ptr_eq(place.newcomer, newcomer);
	ck_assert(!place.clearing);
	ck_assert_ptr_eq(place.next, &server[1]);
	newcomer->retiring = true;
	ck_assert(roll_place(server, &place));
	ck_assert_ptr_null(place.newcomer);
	ck_assert(place.clearing);
	/* A replaced one has no place any more. */
	server[0].retiring = server[0].replaced = true;
	newcomer->newcomer = newcomer->retiring = false;
	ck_assert(roll_place(server, &place));
	ck_assert_ptr_eq(place.current, newcomer);
	ck_assert(!place.clearing);
	/* The last one; those from outside have none. */
	ck_assert(roll_place(&server[3], &place));
	ck_assert_ptr_null(place.next);
	server[3].external = true;
	ck_assert(!roll_place(&server[3], &place));
	ck_assert(!roll_place(NULL, &place));
}
END_TEST

START_TEST(the_first_one_alone)
{
	ck_assert_int_eq(deed_of(&server[0]), ROLL_START);
	ck_assert_uint_eq(view.outdated, 4);
	ck_assert_uint_eq(view.coming, 0);
	add_newcomer(2);
	ck_assert_int_eq(deed_of(&server[0]), ROLL_KEEP);
	ck_assert_int_eq(deed_of(&server[1]), ROLL_KEEP);
	ck_assert_uint_eq(view.coming, 1);
}
END_TEST

START_TEST(then_a_quarter_at_a_time)
{
	struct roll_view many = {.generation = 2, .places = 40, .outdated = 39, .renewed = 1, .room = 100};

	ck_assert(roll_place(&server[1], &place));
	many.coming = 9;
	ck_assert_int_eq(roll_decide(&many, &place), ROLL_START);
	many.coming = 10;
	ck_assert_int_eq(roll_decide(&many, &place), ROLL_KEEP);
	many.places = 4000;
	ck_assert_int_eq(roll_decide(&many, &place), ROLL_START);
	many.coming = ROLL_WIDTH;
	ck_assert_int_eq(roll_decide(&many, &place), ROLL_KEEP);
	/* One that did not become ready yet proves nothing. */
	many.renewed = 0;
	many.coming = 1;
	ck_assert_int_eq(roll_decide(&many, &place), ROLL_KEEP);
}
END_TEST

START_TEST(who_is_new_stays)
{
	server[0].built = 2;
	ck_assert_int_eq(deed_of(&server[0]), ROLL_KEEP);
	ck_assert_uint_eq(view.outdated, 3);
	ck_assert_uint_eq(view.renewed, 1);
	ck_assert_int_eq(deed_of(&server[1]), ROLL_START);
}
END_TEST

START_TEST(who_does_not_run_starts_anew)
{
	static const enum server_phase resting[] = {PHASE_BACKOFF, PHASE_STOPPED, PHASE_FAILED};

	for (size_t i = 0; i < sizeof(resting) / sizeof(resting[0]); i++) {
		server[0].phase = resting[i];
		ck_assert_int_eq(deed_of(&server[0]), ROLL_REFRESH);
	}
	/* Also when the new settings are no good: there are no others. */
	more.roll_failed = 2;
	ck_assert_int_eq(deed_of(&server[0]), ROLL_REFRESH);
}
END_TEST

START_TEST(who_serves_nobody_yet_is_ended)
{
	server[0].phase = PHASE_STARTING;
	ck_assert_int_eq(deed_of(&server[0]), ROLL_RESTART);
	/* And who is ending anyway comes back with the new settings. */
	server[0].phase = PHASE_STOPPING;
	ck_assert_int_eq(deed_of(&server[0]), ROLL_KEEP);
	server[0].phase = PHASE_KILLING;
	ck_assert_int_eq(deed_of(&server[0]), ROLL_KEEP);
	/* One that left by itself still has what it holds. */
	server[0].phase = PHASE_DRAINING;
	ck_assert_int_eq(deed_of(&server[0]), ROLL_START);
}
END_TEST

START_TEST(the_newest_wins)
{
	struct server *newcomer = add_newcomer(2);

	ck_assert_int_eq(deed_of(server), ROLL_KEEP);
	service.generation = 3;
	ck_assert_int_eq(deed_of(server), ROLL_CALL_OFF);
	/* The next one waits until that has ended. */
	newcomer->retiring = true;
	ck_assert_int_eq(deed_of(server), ROLL_KEEP);
	ck_assert_uint_eq(view.coming, 0);
	ck_assert_uint_eq(view.leaving, 1);
	/* One that waits for its turn to start is of no generation yet. */
	newcomer->retiring = false;
	newcomer->phase = PHASE_BACKOFF;
	ck_assert_int_eq(deed_of(server), ROLL_KEEP);
}
END_TEST

START_TEST(one_that_does_not_come_up_ends_the_roll)
{
	ck_assert(!roll_is_held(&service));
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
	more.roll_failed = 2;
	ck_assert(roll_is_held(&service));
	ck_assert_int_eq(deed_of(&server[0]), ROLL_KEEP);
	ck_assert_int_eq(service_progress(&service), PROGRESS_FAILED);
	/* Others that were coming up at the same time are called off. */
	struct server *newcomer = add_newcomer(2);
	ck_assert_int_eq(deed_of(server), ROLL_CALL_OFF);
	newcomer->phase = PHASE_BACKOFF;
	ck_assert_int_eq(deed_of(server), ROLL_CALL_OFF);
	/* The next roll, or change of the table, is another try. */
	service.generation = 3;
	list(4);
	ck_assert(!roll_is_held(&service));
	ck_assert_int_eq(deed_of(&server[0]), ROLL_START);
	/* Nothing is held when those that failed to be replaced have gone. */
	service.generation = 2;
	for (unsigned i = 0; i < 4; i++)
		server[i].built = 2;
	ck_assert(!roll_is_held(&service));
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
}
END_TEST

START_TEST(without_room_it_waits_or_is_given_up)
{
	ck_assert(roll_place(server, &place));
	roll_view(&service, &view);
	ck_assert_uint_eq(view.room, 0);
	ck_assert_int_eq(roll_decide(&view, &place), ROLL_KEEP);
	ck_assert(roll_is_stuck(&view));
	view.leaving = 1;
	ck_assert(!roll_is_stuck(&view));
	view.leaving = 0;
	view.coming = 1;
	ck_assert(!roll_is_stuck(&view));
	view.coming = 0;
	view.given_up = true;
	ck_assert(!roll_is_stuck(&view));
	view.given_up = false;
	view.outdated = 0;
	ck_assert(!roll_is_stuck(&view));
	view.outdated = 1;
	view.room = 1;
	ck_assert(!roll_is_stuck(&view));
}
END_TEST

START_TEST(old_ones_do_not_hold_up_a_roll)
{
	server[0].built = server[1].built = 2;
	list(2);
	server[0].built = server[1].built = 2;
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
	struct server *old = add_newcomer(1);
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
	old->newcomer = false;
	old->retiring = old->replaced = true;
	old->phase = PHASE_DRAINING;
	ck_assert_int_eq(service_progress(&service), PROGRESS_DONE);
	/* `down` waits for them. */
	service.down = true;
	ck_assert_int_eq(service_progress(&service), PROGRESS_UNDER_WAY);
}
END_TEST

START_TEST(what_is_said_when_it_fails)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	struct board_reading reading = {0};
	char why[ROLL_WORDS], reason[160];
	uint64_t until_s;

	ck_assert_ptr_nonnull(s);
	server[0].built = 2;
	more.roll_failed = 2;
	more.roll_instance = 2;
	snprintf(more.roll_exit, sizeof(more.roll_exit), "exit 3");
	control_wait_why(&service, CONTROL_ROLL, why);
	ck_assert_str_eq(why,
			 "web: server 2: the new one did not come up: exit 3; 3 of 4 go on as they were");
	snprintf(more.roll_line, sizeof(more.roll_line), "no such colour");
	control_wait_why(&service, CONTROL_ROLL, why);
	ck_assert_ptr_nonnull(strstr(why, "exit 3; it said: no such colour; 3 of 4"));
	ck_assert_int_eq(service_state(s, &service, &reading, reason, &until_s), SERVICE_DEGRADED);
	ck_assert_str_eq(reason, "server 2: the new one did not come up: exit 3; the old one serves on until "
				 "the next roll or reload");
	memset(more.roll_exit, 'x', sizeof(more.roll_exit) - 1);
	memset(more.roll_line, 'y', sizeof(more.roll_line) - 1);
	service_state(s, &service, &reading, reason, &until_s);
	ck_assert_ptr_nonnull(strstr(reason, "next roll or reload"));
	control_wait_why(&service, CONTROL_ROLL, why);
	ck_assert_ptr_nonnull(strstr(why, "go on as they were"));
	free(s);
}
END_TEST

START_TEST(a_newcomer_is_no_trouble_and_no_help)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	struct board_reading reading = {0};
	char reason[160];
	uint64_t until_s;

	ck_assert_ptr_nonnull(s);
	struct server *newcomer = add_newcomer(2);
	ck_assert_int_eq(service_state(s, &service, &reading, reason, &until_s), SERVICE_READY);
	server[0].phase = PHASE_FAILED;
	server[0].next = newcomer;
	newcomer->next = NULL;
	newcomer->phase = PHASE_STARTING;
	ck_assert_int_eq(service_state(s, &service, &reading, reason, &until_s), SERVICE_FAILED);
	free(s);
}
END_TEST

START_TEST(what_old_ones_still_hold)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int fd = board_create();
	struct board *board = board_map(fd, true);
	char text[CONTROL_WHY];

	ck_assert_ptr_nonnull(s);
	ck_assert_ptr_nonnull(board);
	s->board = board;
	for (unsigned i = 0; i < 4; i++)
		board->servers[i].active = 3;
	ck_assert(!control_wait_leftover(s, &service, text));
	server[1].replaced = true;
	ck_assert(control_wait_leftover(s, &service, text));
	ck_assert_str_eq(text, "web: 1 old server still finishes 3 connections");
	server[2].replaced = server[3].replaced = true;
	board->servers[3].active = 0;
	ck_assert(control_wait_leftover(s, &service, text));
	ck_assert_str_eq(text, "web: 2 old servers still finish 6 connections");
	board->servers[1].active = 1;
	board->servers[2].active = 0;
	ck_assert(control_wait_leftover(s, &service, text));
	ck_assert_str_eq(text, "web: 1 old server still finishes 1 connection");
	board_unmap(board);
	free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("roll");
	TCase *tests = tcase_create("roll");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, a_place_is_what_has_one_instance_number);
	tcase_add_test(tests, the_first_one_alone);
	tcase_add_test(tests, then_a_quarter_at_a_time);
	tcase_add_test(tests, who_is_new_stays);
	tcase_add_test(tests, who_does_not_run_starts_anew);
	tcase_add_test(tests, who_serves_nobody_yet_is_ended);
	tcase_add_test(tests, the_newest_wins);
	tcase_add_test(tests, one_that_does_not_come_up_ends_the_roll);
	tcase_add_test(tests, without_room_it_waits_or_is_given_up);
	tcase_add_test(tests, old_ones_do_not_hold_up_a_roll);
	tcase_add_test(tests, what_is_said_when_it_fails);
	tcase_add_test(tests, a_newcomer_is_no_trouble_and_no_help);
	tcase_add_test(tests, what_old_ones_still_hold);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
