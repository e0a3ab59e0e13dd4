/*
 * dispatcher.c: starts, watches and replaces the dispatcher.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "servers.h"
#include "upgrade.h"

#define READY_S 10.
#define COMMIT_S 10.
#define END_S 3.
#define HAND_OVER_S 10.
#define CLOSED_S 0.5
#define KILLED_S 5. /* KILL ends everything but what hangs in the kernel */
#define YOUNG_MS 10000u
#define MESSAGES_A_TURN 256      /* a chatty dispatcher must not starve the rest of the loop */

bool dispatcher_usable(const struct supervisor *s)
{
	return s->dispatcher.phase == DISPATCHER_RUNNING;
}

bool dispatcher_pushed(const struct supervisor *s)
{
	return s->dispatcher.phase == DISPATCHER_LOADING || s->dispatcher.phase == DISPATCHER_RUNNING;
}

static void arm(struct supervisor *s, double seconds)
{
	ev_timer_stop(s->loop, &s->dispatcher.deadline);
	ev_timer_set(&s->dispatcher.deadline, seconds, 0.);
	ev_timer_start(s->loop, &s->dispatcher.deadline);
}

void dispatcher_kill(struct supervisor *s, const char *why)
{
	if (s->dispatcher.pid <= 0 || s->dispatcher.ending[0] != '\0')
		return;
	log_line(s, LEVEL_ERROR, NULL, "dispatcher (pid %d): %s: killed", (int)s->dispatcher.pid, why);
	snprintf(s->dispatcher.ending, sizeof(s->dispatcher.ending), "%s", why);
	s->dispatcher.phase = DISPATCHER_ENDING;
	ev_io_stop(s->loop, &s->dispatcher.read);
	ev_io_stop(s->loop, &s->dispatcher.write);
	ev_timer_stop(s->loop, &s->dispatcher.later);
	ping_stop(s);
	kill(s->dispatcher.pid, SIGKILL);
	arm(s, KILLED_S);
}

/* A dying process closes its end a moment before SIGCHLD says how it died: that is the better reason. */
static void link_closed(struct supervisor *s)
{
	/* A closed link is always ready: watched on, it would keep the loop busy until the end. */
	ev_io_stop(s->loop, &s->dispatcher.read);
	ev_io_stop(s->loop, &s->dispatcher.write);
	ev_timer_stop(s->loop, &s->dispatcher.later);
	if (s->dispatcher.closed || s->dispatcher.phase == DISPATCHER_ENDING ||
	    s->dispatcher.phase == DISPATCHER_LEAVING)
		return;
	s->dispatcher.closed = true;
	arm(s, CLOSED_S);
}

static void sent(struct supervisor *s, int result)
{
	if (result == -EPIPE || result == -ECONNRESET)
		link_closed(s);
	else if (result < 0)
		dispatcher_kill(s, strerror(-result));
	else
		helper_watch(s->loop, &s->dispatcher.link, &s->dispatcher.write, &s->dispatcher.later);
}

void dispatcher_send(struct supervisor *s, const struct link_message *message, const int *fds, unsigned count)
{
	/* Before its table everything is told by the table. */
	if (dispatcher_pushed(s) && !s->dispatcher.closed)
		sent(s, channel_send(&s->dispatcher.link, message, fds, count));
}

void dispatcher_close_fd(struct supervisor *s, int fd)
{
	if (fd < 0)
		return;
	if (s->dispatcher.link.fd >= 0)
		channel_close_after(&s->dispatcher.link, fd);
	else
		close(fd);
}

static void on_write(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)watcher;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	sent(s, channel_flush(&s->dispatcher.link));
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	sent(s, channel_flush(&s->dispatcher.link));
}

static void close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		lust_close_unlingered(fds[i]);
}

/* Judges by itself and by the permit table; what is wrong, or NULL. */
static const char *judge(struct supervisor *s, const struct link_message *message, unsigned count)
{
	const char *wrong = link_check_from_dispatcher(message, sizeof(*message), count);

	if (wrong != NULL)
		return wrong;
	enum permit permit = permit_request((enum link_type)message->type, s->dispatcher.phase);
	if (permit == PERMIT_NEVER)
		return "a request that is not permitted now";
	if (message->type == LINK_COMMITTED && s->dispatcher.commits == s->dispatcher.pushes)
		return "COMMITTED without a COMMIT";
	return NULL;
}

/* false: nothing more now. */
static bool read_one(struct supervisor *s)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;
	int result = channel_receive(&s->dispatcher.link, &message, fds, &count);

	if (result == 0)
		return false;
	if (result == -ECONNRESET) {
		link_closed(s);
		return false;
	}
	const char *wrong = result < 0 ? strerror(-result) : judge(s, &message, count);
	if (wrong != NULL) {
		if (result > 0)
			close_all(fds, count);
		dispatcher_kill(s, wrong);
		return false;
	}
	answer_message(s, &message, fds, count);
	return true;
}

static void on_read(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)watcher;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	for (unsigned i = 0;
	     i < MESSAGES_A_TURN && !s->dispatcher.closed && s->dispatcher.phase != DISPATCHER_ENDING; i++)
		if (!read_one(s))
			return;
}

/* Of one that was asked to hand over: was it? */
static bool read_rest(struct supervisor *s)
{
	if (s->dispatcher.phase != DISPATCHER_LEAVING)
		return false;
	while (s->dispatcher.link.fd >= 0 && s->dispatcher.phase == DISPATCHER_LEAVING && read_one(s))
		continue;
	return s->dispatcher.ending[0] == '\0';
}

/* The answer may have come while we ourselves were stopped: then it is in time. */
static bool came_after_all(struct supervisor *s)
{
	enum dispatcher_phase phase = s->dispatcher.phase;
	uint32_t commits = s->dispatcher.commits;

	if (phase == DISPATCHER_ENDING || s->dispatcher.closed)
		return false;
	on_read(s->loop, &s->dispatcher.read, EV_READ);
	return s->dispatcher.phase != phase || s->dispatcher.commits != commits ||
	       ev_is_active(&s->dispatcher.deadline);
}

static void over(struct supervisor *s, bool asked);

/* It has its KILL, so it does nothing any more, but it does not end: a new one need not wait for that. */
static void abandon(struct supervisor *s)
{
	log_line(s, LEVEL_ERROR, NULL,
		 "dispatcher (pid %d) hangs in the kernel and does not end: it is left to itself",
		 (int)s->dispatcher.pid);
	snprintf(s->dispatcher.last_exit, sizeof(s->dispatcher.last_exit), "%s", s->dispatcher.ending);
	if (s->dispatcher.exec_error >= 0)
		close(s->dispatcher.exec_error);
	s->dispatcher.exec_error = -1;
	over(s, false);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (came_after_all(s))
		return;
	if (s->dispatcher.ending[0] != '\0') {
		abandon(s);
		return;
	}
	if (s->dispatcher.closed) {
		dispatcher_kill(s, "it closed its link");
		return;
	}
	switch (s->dispatcher.phase) {
	case DISPATCHER_STARTING:
		dispatcher_kill(s, "not ready in time (HELLO, READY)");
		break;
	case DISPATCHER_LOADING:
	case DISPATCHER_RUNNING:
		dispatcher_kill(s, "did not take its table in time (COMMIT, COMMITTED)");
		break;
	case DISPATCHER_LEAVING:
		dispatcher_kill(s, "did not hand over in time");
		break;
	case DISPATCHER_ENDING:
		dispatcher_kill(s, "did not exit in time (SHUTDOWN)");
		break;
	case DISPATCHER_NONE:
		break;
	}
}

void dispatcher_deadline(struct supervisor *s)
{
	if (s->dispatcher.commits == s->dispatcher.pushes)
		ev_timer_stop(s->loop, &s->dispatcher.deadline);
	else
		arm(s, COMMIT_S);
	if (dispatcher_usable(s))
		ping_start(s);
}

static void watch(struct supervisor *s, int fd)
{
	channel_init(&s->dispatcher.link, fd, sizeof(struct link_message));
	ev_io_init(&s->dispatcher.read, on_read, fd, EV_READ);
	ev_io_init(&s->dispatcher.write, on_write, fd, EV_WRITE);
	ev_timer_init(&s->dispatcher.later, on_later, 0., 0.);
	ev_timer_init(&s->dispatcher.deadline, on_deadline, 0., 0.);
	ping_init(s);
	ev_io_start(s->loop, &s->dispatcher.read);
}

void dispatcher_adopt(struct supervisor *s)
{
	watch(s, s->dispatcher.link.fd);
	s->dispatcher.phase = DISPATCHER_RUNNING;
	dispatcher_deadline(s);
}

static void say_hello(struct supervisor *s)
{
	struct rlimit limit = {.rlim_cur = 1024};
	struct link_message message = {.version = LINK_VERSION, .type = LINK_HELLO};
	int fds[3] = {s->board_fd, s->dispatcher.events[1], s->door_fd};

	getrlimit(RLIMIT_NOFILE, &limit);
	message.hello = (struct link_hello){.generation = s->dispatcher.epoch + s->dispatcher.generation,
					    .unprivileged = !s->privileged,
					    .recovering = s->dispatcher.generation > 1,
					    .uid = s->helper_uid,
					    .gid = s->helper_gid,
					    .nofile = limit.rlim_cur};
	snprintf(message.hello.jail, sizeof(message.hello.jail), "%s", s->jail);
	sent(s, channel_send(&s->dispatcher.link, &message, fds, 3));
}

int dispatcher_start(struct supervisor *s)
{
	int ends[2];
	int result = channel_pair(ends);

	if (result < 0)
		return result;
	pid_t pid = helper_spawn(s, "lust-dispatcher", ends[1], &s->dispatcher.exec_error);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return pid;
	}
	s->dispatcher.pid = pid;
	s->dispatcher.generation++;
	push_forget(s);
	s->dispatcher.phase = DISPATCHER_STARTING;
	s->dispatcher.started_ms = clock_ms();
	s->dispatcher.pushes = s->dispatcher.commits = 0;
	s->dispatcher.ending[0] = '\0';
	s->dispatcher.closed = false;
	watch(s, ends[0]);
	arm(s, READY_S);
	say_hello(s);
	return 0;
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);
	int result = dispatcher_start(s);

	if (result == 0)
		return;
	log_line(s, LEVEL_ERROR, NULL, "cannot start a dispatcher: %s", strerror(-result));
	ev_timer_set(&s->dispatcher.again, helper_pause_ms(++s->dispatcher.failures) / 1000., 0.);
	ev_timer_start(s->loop, &s->dispatcher.again);
}

static void start_again(struct supervisor *s, bool as_asked)
{
	bool young = !as_asked && clock_ms() - s->dispatcher.started_ms < YOUNG_MS;
	s->dispatcher.failures = helper_failures(s->dispatcher.failures, s->dispatcher.commits > 0);
	uint32_t pause = young ? helper_pause_ms(s->dispatcher.failures++) : 0;

	if (!young)
		s->dispatcher.failures = 0;
	s->dispatcher.restarts += !as_asked;
	ev_timer_init(&s->dispatcher.again, on_again, pause / 1000., 0.);
	ev_timer_start(s->loop, &s->dispatcher.again);
}

void dispatcher_ended(struct supervisor *s, int status)
{
	bool asked = s->dispatcher.phase == DISPATCHER_ENDING && s->dispatcher.ending[0] == '\0';
	char why[sizeof(s->dispatcher.last_exit)];

	/* It handed up what it held: the last of that may still be unread. */
	asked |= read_rest(s) && status == 0;
	if (!helper_exec_failure(&s->dispatcher.exec_error, "lust-dispatcher", why, sizeof(why)))
		exit_text(status, why);
	if (s->dispatcher.ending[0] != '\0')
		snprintf(s->dispatcher.last_exit, sizeof(s->dispatcher.last_exit), "%s",
			 s->dispatcher.ending);
	else if (!asked)
		snprintf(s->dispatcher.last_exit, sizeof(s->dispatcher.last_exit), "%s", why);
	if (!asked)
		log_line(s, LEVEL_ERROR, NULL, "dispatcher (pid %d) ended: %s", (int)s->dispatcher.pid, why);
	over(s, asked);
}

static void over(struct supervisor *s, bool asked)
{
	s->dispatcher.pid = 0;
	s->dispatcher.phase = DISPATCHER_NONE;
	ev_io_stop(s->loop, &s->dispatcher.read);
	ev_io_stop(s->loop, &s->dispatcher.write);
	ev_timer_stop(s->loop, &s->dispatcher.later);
	ev_timer_stop(s->loop, &s->dispatcher.deadline);
	ping_stop(s);
	channel_close(&s->dispatcher.link);
	/* What it had not done, the next one begins with. */
	ping_reach(s, s->dispatcher.mark_sent);

	if (s->stopping && !stop_needs_dispatcher(s)) {
		stop_check(s);
	} else if (!s->running) {
		/* It never worked: the start has failed. */
		s->exit_code = 1;
		ev_break(s->loop, EVBREAK_ALL);
	} else {
		start_again(s, asked);
	}
}

void dispatcher_hand_over(struct supervisor *s)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_HAND_OVER};

	dispatcher_send(s, &message, NULL, 0);
	if (!dispatcher_usable(s))
		return;
	s->dispatcher.phase = DISPATCHER_LEAVING;
	ping_stop(s);
	arm(s, HAND_OVER_S);
}

void dispatcher_shutdown(struct supervisor *s)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_SHUTDOWN};

	ev_timer_stop(s->loop, &s->dispatcher.again);
	if (s->dispatcher.pid <= 0 || s->dispatcher.phase == DISPATCHER_ENDING)
		return;
	if (!dispatcher_pushed(s)) {
		dispatcher_kill(s, "the daemon stops before it had a table");
		return;
	}
	dispatcher_send(s, &message, NULL, 0);
	if (s->dispatcher.phase == DISPATCHER_ENDING)
		return;
	s->dispatcher.phase = DISPATCHER_ENDING;
	ping_stop(s);
	ev_io_stop(s->loop, &s->dispatcher.read);
	arm(s, END_S);
}
