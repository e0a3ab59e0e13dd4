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

#include "supervisor.h"

#define READY_S 10.
#define COMMIT_S 10.
#define END_S 3.
#define CLOSED_S 0.5
#define PING_S 1.
#define PINGS_MISSED                                                                                         \
	2 /* a PONG is due within two of them: counted by ticks, so that a suspended machine kills nobody */
#define YOUNG_MS 10000u
#define MESSAGES_A_TURN 256 /* a chatty dispatcher must not starve the rest of the loop */

bool dispatcher_usable(const struct supervisor *s)
{
	return s->dispatcher.phase == DISPATCHER_RUNNING;
}

bool dispatcher_pushed(const struct supervisor *s)
{
	return s->dispatcher.phase == DISPATCHER_LOADING || s->dispatcher.phase == DISPATCHER_RUNNING;
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
	ev_timer_stop(s->loop, &s->dispatcher.deadline);
	ev_timer_stop(s->loop, &s->dispatcher.ping);
	kill(s->dispatcher.pid, SIGKILL);
}

static void arm(struct supervisor *s, double seconds)
{
	ev_timer_stop(s->loop, &s->dispatcher.deadline);
	ev_timer_set(&s->dispatcher.deadline, seconds, 0.);
	ev_timer_start(s->loop, &s->dispatcher.deadline);
}

/* A dying process closes its end a moment before SIGCHLD says how it died: that is the better reason. */
static void link_closed(struct supervisor *s)
{
	/* A closed link is always ready: watched on, it would keep the loop busy until the end. */
	ev_io_stop(s->loop, &s->dispatcher.read);
	ev_io_stop(s->loop, &s->dispatcher.write);
	ev_timer_stop(s->loop, &s->dispatcher.later);
	if (s->dispatcher.closed || s->dispatcher.phase == DISPATCHER_ENDING)
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
		close(fds[i]);
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

static void on_read(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)watcher;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	for (unsigned i = 0;
	     i < MESSAGES_A_TURN && !s->dispatcher.closed && s->dispatcher.phase != DISPATCHER_ENDING; i++) {
		struct link_message message;
		int fds[CHANNEL_FDS];
		unsigned count;
		int result = channel_receive(&s->dispatcher.link, &message, fds, &count);
		if (result == 0)
			return;
		if (result == -ECONNRESET) {
			link_closed(s);
			return;
		}
		const char *wrong = result < 0 ? strerror(-result) : judge(s, &message, count);
		if (wrong != NULL) {
			if (result > 0)
				close_all(fds, count);
			dispatcher_kill(s, wrong);
			return;
		}
		answer_message(s, &message, fds, count);
	}
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (s->dispatcher.closed) {
		dispatcher_kill(s, "it closed its link");
		return;
	}
	switch (s->dispatcher.phase) {
	case DISPATCHER_STARTING:
		dispatcher_kill(s, "not ready in time");
		break;
	case DISPATCHER_LOADING:
	case DISPATCHER_RUNNING:
		dispatcher_kill(s, "did not take its table in time");
		break;
	case DISPATCHER_ENDING:
		dispatcher_kill(s, "did not exit in time");
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
	if (dispatcher_usable(s) && !ev_is_active(&s->dispatcher.ping)) {
		s->dispatcher.pings_missed = 0;
		s->dispatcher.ping_answered = s->dispatcher.ping_sent;
		ev_timer_start(s->loop, &s->dispatcher.ping);
	}
}

static void on_ping(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (s->dispatcher.ping_answered < s->dispatcher.ping_sent) {
		if (++s->dispatcher.pings_missed >= PINGS_MISSED)
			dispatcher_kill(s, "a turn of its loop takes longer than 2 s");
		return;
	}
	s->dispatcher.pings_missed = 0;
	struct link_message message = {
		.version = LINK_VERSION, .type = LINK_PING, .ping = {.number = ++s->dispatcher.ping_sent}};
	dispatcher_send(s, &message, NULL, 0);
}

static void watch(struct supervisor *s, int fd)
{
	channel_init(&s->dispatcher.link, fd, sizeof(struct link_message));
	ev_io_init(&s->dispatcher.read, on_read, fd, EV_READ);
	ev_io_init(&s->dispatcher.write, on_write, fd, EV_WRITE);
	ev_timer_init(&s->dispatcher.later, on_later, 0., 0.);
	ev_timer_init(&s->dispatcher.deadline, on_deadline, 0., 0.);
	ev_timer_init(&s->dispatcher.ping, on_ping, PING_S, PING_S);
	ev_io_start(s->loop, &s->dispatcher.read);
}

static void say_hello(struct supervisor *s)
{
	struct rlimit limit = {.rlim_cur = 1024};
	struct link_message message = {.version = LINK_VERSION, .type = LINK_HELLO};
	int fds[3] = {s->board_fd, s->dispatcher.events[1], s->door_fd};

	getrlimit(RLIMIT_NOFILE, &limit);
	message.hello = (struct link_hello){.generation = s->dispatcher.generation,
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
	s->dispatcher.phase = DISPATCHER_STARTING;
	s->dispatcher.started_ms = clock_ms();
	s->dispatcher.pushes = s->dispatcher.commits = 0;
	s->dispatcher.pings_missed = 0;
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

static void start_again(struct supervisor *s)
{
	bool young = clock_ms() - s->dispatcher.started_ms < YOUNG_MS;
	uint32_t pause = young ? helper_pause_ms(s->dispatcher.failures++) : 0;

	if (!young)
		s->dispatcher.failures = 0;
	s->dispatcher.restarts++;
	ev_timer_init(&s->dispatcher.again, on_again, pause / 1000., 0.);
	ev_timer_start(s->loop, &s->dispatcher.again);
}

void dispatcher_ended(struct supervisor *s, int status)
{
	bool asked = s->dispatcher.phase == DISPATCHER_ENDING && s->dispatcher.ending[0] == '\0';
	char why[sizeof(s->dispatcher.last_exit)];

	if (!helper_exec_failure(&s->dispatcher.exec_error, "lust-dispatcher", why, sizeof(why)))
		exit_text(status, why);
	if (s->dispatcher.ending[0] != '\0')
		snprintf(s->dispatcher.last_exit, sizeof(s->dispatcher.last_exit), "%s",
			 s->dispatcher.ending);
	else
		snprintf(s->dispatcher.last_exit, sizeof(s->dispatcher.last_exit), "%s", why);
	if (!asked)
		log_line(s, LEVEL_ERROR, NULL, "dispatcher (pid %d) ended: %s", (int)s->dispatcher.pid, why);
	s->dispatcher.pid = 0;
	s->dispatcher.phase = DISPATCHER_NONE;
	ev_io_stop(s->loop, &s->dispatcher.read);
	ev_io_stop(s->loop, &s->dispatcher.write);
	ev_timer_stop(s->loop, &s->dispatcher.later);
	ev_timer_stop(s->loop, &s->dispatcher.deadline);
	ev_timer_stop(s->loop, &s->dispatcher.ping);
	channel_close(&s->dispatcher.link);

	if (s->stopping) {
		stop_check(s);
	} else if (!s->running) {
		/* It never worked: the start has failed. */
		s->exit_code = 1;
		ev_break(s->loop, EVBREAK_ALL);
	} else {
		start_again(s);
	}
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
	ev_timer_stop(s->loop, &s->dispatcher.ping);
	ev_io_stop(s->loop, &s->dispatcher.read);
	arm(s, END_S);
}
