/*
 * test_supervisor_log.c: the supervisor's lines while the logger is slow, dead or missing; and a helper that hangs in the kernel,
 * which here is a child that nobody reaps.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "logging.h"
#include "suite.h"

static struct supervisor *s;
static struct table table = {.log_level = LEVEL_NOTICE};
static struct channel logger; /* its side */

static void nothing(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)watcher;
	(void)events;
}

static void no_time(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
}

static void setup(void)
{
	int ends[2];

	s = calloc(1, sizeof(*s));
	ck_assert_ptr_nonnull(s);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	ev_set_userdata(s->loop, s);
	s->running = true;
	s->table = &table;
	s->board_fd = s->door_fd = s->dispatcher.exec_error = -1;
	s->dispatcher.link.fd = s->dispatcher.events[0] = s->dispatcher.events[1] = -1;
	ck_assert_int_eq(channel_pair(ends), 0);
	channel_init(&s->logger.link, ends[0], sizeof(struct logger_message));
	channel_init(&logger, ends[1], sizeof(struct logger_message));
	ev_io_init(&s->logger.write, nothing, ends[0], EV_WRITE);
	ev_timer_init(&s->logger.later, no_time, 0., 0.);
	s->logger.ready = true;
}

static void teardown(void)
{
	log_free(s);
	channel_close(&s->logger.link);
	channel_close(&s->dispatcher.link);
	channel_close(&logger);
	ev_loop_destroy(s->loop);
	free(s);
}

static void say_numbers(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		log_line(s, LEVEL_NOTICE, NULL, "line %u", i);
}

/* The next line that the logger receives; "": none now. */
static const char *hear(void)
{
	static struct logger_message message;
	int fds[CHANNEL_FDS];
	unsigned count;

	return channel_receive(&logger, &message, fds, &count) == 1 ? message.line.text : "";
}

static const char *last;

/* The same, when what waits was flushed. */
static const char *next_line(void)
{
	last = hear();
	if (last[0] == '\0') {
		ck_assert_int_eq(channel_flush(&s->logger.link), 0);
		log_flush_backlog(s);
		last = hear();
	}
	return last;
}

static void ck_hear_numbers(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char wanted[32];
		snprintf(wanted, sizeof(wanted), "line %u", i);
		ck_assert_str_eq(next_line(), wanted);
	}
}

/* More than a socket holds, and the order stays. */
START_TEST(a_slow_logger_gets_all_in_their_order)
{
	say_numbers(0, 600);
	ck_assert(log_waits(s));
	ck_assert_uint_le(s->logger.link.pending, 1);
	ck_hear_numbers(0, 600);
	ck_assert(!log_waits(s));
	say_numbers(600, 601);
	ck_hear_numbers(600, 601);
}
END_TEST

START_TEST(what_does_not_fit_is_counted)
{
	unsigned got = 0, dropped = 0;

	say_numbers(0, 5000);
	for (;;) {
		const char *text = next_line();
		if (text[0] == '\0')
			break;
		if (strncmp(text, "line ", 5) == 0)
			got++;
		else
			ck_assert_int_eq(sscanf(text, "%u lines of the supervisor were dropped", &dropped),
					 1);
	}
	ck_assert_uint_ge(got, 1024);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_eq(got + dropped, 5000);
}
END_TEST

/* Its half of the socket, what waits for the socket, and what waits for that. */
START_TEST(what_a_dead_logger_did_not_receive_is_said_again)
{
	say_numbers(0, 600);
	ck_hear_numbers(0, 10); /* these are lost with it */
	s->logger.ready = false;
	say_numbers(600, 610);
	log_take_back(s, &logger);
	ck_assert_uint_eq(s->logger.link.pending, 0);
	s->logger.ready = true;
	log_flush_backlog(s);
	ck_hear_numbers(10, 610);
	ck_assert_str_eq(hear(), "");
}
END_TEST

/* The newest give way, and are counted: those that the dead one had not received stay, in front of what came later. */
START_TEST(what_is_taken_back_and_does_not_fit_is_counted)
{
	unsigned heard = 0, dropped = 0;

	say_numbers(0, 1200);
	s->logger.ready = false;
	log_take_back(s, &logger);
	s->logger.ready = true;
	while (strncmp(next_line(), "line ", 5) == 0) {
		char wanted[32];
		snprintf(wanted, sizeof(wanted), "line %u", heard++);
		ck_assert_str_eq(last, wanted);
	}
	ck_assert_int_eq(sscanf(last, "%u lines of the supervisor were dropped", &dropped), 1);
	ck_assert_uint_eq(heard, 1024);
	ck_assert_uint_eq(heard + dropped, 1200);
}
END_TEST

/* The program ends (for `upgrade`) while a logger does not read: the next one says how many lines that has cost. */
START_TEST(what_an_upgrade_leaves_behind_is_counted)
{
	unsigned received = 0, dropped = 0;

	say_numbers(0, 2000);
	uint64_t lost = log_lost(s);
	log_free(s);
	while (hear()[0] != '\0')
		received++;
	ck_assert_uint_eq(received + lost, 2000);

	teardown();
	setup();
	s->logger.lost_lines = lost;
	log_say_lost(s);
	log_flush_backlog(s);
	ck_assert_int_eq(sscanf(hear(), "%u lines of the supervisor were dropped", &dropped), 1);
	ck_assert_uint_eq(dropped, lost);
	ck_assert_str_eq(hear(), "");
	ck_assert_uint_eq(log_lost(s), 0);
}
END_TEST

/* The logger that was to write it dies first, and leaves nothing unread. */
START_TEST(what_was_lost_is_counted_by_the_logger_after_the_next)
{
	s->logger.ready = false;
	s->logger.lost_lines = 7;
	log_say_lost(s);
	log_take_back(s, &logger);
	s->logger.ready = true;
	log_flush_backlog(s);
	ck_assert_str_eq(hear(), "7 lines of the supervisor were dropped: no logger took them in time");
}
END_TEST

START_TEST(a_helper_that_kill_does_not_end_is_replaced)
{
	ck_assert_int_eq(channel_pair(s->dispatcher.events), 0);
	s->board_fd = s->door_fd = s->dispatcher.events[0];
	ck_assert_int_eq(dispatcher_start(s), 0);
	pid_t hung = s->dispatcher.pid;
	dispatcher_kill(s, "a test");
	while (s->dispatcher.pid == hung || s->dispatcher.pid == 0)
		ev_run(s->loop, EVRUN_ONCE);
	ck_assert_str_eq(s->dispatcher.last_exit, "a test");
	ck_assert_uint_eq(s->dispatcher.restarts, 1);
	ck_assert_int_eq(s->dispatcher.phase, DISPATCHER_STARTING);
	kill(s->dispatcher.pid, SIGKILL);
	ck_assert_int_eq(waitpid(s->dispatcher.pid, NULL, 0), s->dispatcher.pid);
	ck_assert_int_eq(waitpid(hung, NULL, 0), hung);
	close(s->dispatcher.exec_error);
	close(s->dispatcher.events[0]);
	close(s->dispatcher.events[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tests = tcase_create("log");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_slow_logger_gets_all_in_their_order);
	tcase_add_test(tests, what_does_not_fit_is_counted);
	tcase_add_test(tests, what_a_dead_logger_did_not_receive_is_said_again);
	tcase_add_test(tests, what_is_taken_back_and_does_not_fit_is_counted);
	tcase_add_test(tests, what_an_upgrade_leaves_behind_is_counted);
	tcase_add_test(tests, what_was_lost_is_counted_by_the_logger_after_the_next);
	tcase_add_test(tests, a_helper_that_kill_does_not_end_is_replaced);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
