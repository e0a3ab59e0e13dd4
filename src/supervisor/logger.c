/*
 * logger.c: starts, watches and replaces the logger.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "servers.h"

#define YOUNG_MS 10000u
#define END_S 3.
#define KILLED_S 5. /* KILL ends everything but what hangs in the kernel */
#define MESSAGES_A_TURN 256
#define PING_S 1.
/* READY and each PONG are due within so many ticks: it may have to wait for a disk. */
#define PINGS_MISSED 10
/* The whole state is told at most twice before it is read: more than that is not being read. */
#define ORDERS_MOST (4u * BOARD_SERVICES)

static void on_killed(struct ev_loop *loop, ev_timer *timer, int events);

/* Its SIGCHLD comes, and a new one is told everything again. */
static void logger_kill(struct supervisor *s, const char *why)
{
	if (s->logger.pid <= 0 || s->logger.killed)
		return;
	s->logger.killed = true;
	s->logger.ready = false;
	ev_io_stop(s->loop, &s->logger.read);
	ev_io_stop(s->loop, &s->logger.write);
	ev_timer_stop(s->loop, &s->logger.later);
	ev_timer_stop(s->loop, &s->logger.ping);
	log_line(s, LEVEL_ERROR, NULL, "logger (pid %d): %s: killed", (int)s->logger.pid, why);
	kill(s->logger.pid, SIGKILL);
	ev_timer_init(&s->logger.again, on_killed, KILLED_S, 0.);
	ev_timer_start(s->loop, &s->logger.again);
}

static void sent(struct supervisor *s, int result)
{
	if (result < 0)
		logger_kill(s, strerror(-result));
	else if (s->logger.link.pending > ORDERS_MOST)
		logger_kill(s, "does not read what it is told");
	else
		helper_watch(s->loop, &s->logger.link, &s->logger.write, &s->logger.later);
}

void logger_send(struct supervisor *s, const struct logger_message *message, int fd)
{
	if (s->logger.ready)
		sent(s, channel_send(&s->logger.link, message, &fd, fd >= 0 ? 1 : 0));
}

void logger_close_fd(struct supervisor *s, int fd)
{
	if (fd < 0)
		return;
	if (s->logger.link.fd >= 0)
		channel_close_after(&s->logger.link, fd);
	else
		close(fd);
}

static void push_level(struct supervisor *s)
{
	struct logger_message message = {.version = LOGGER_VERSION,
					 .type = LOGGER_LEVEL,
					 .level = s->verbose ? LEVEL_DEBUG : s->table->log_level};

	logger_send(s, &message, -1);
}

void logger_push_services(struct supervisor *s)
{
	push_level(s);
	targets_push(s);
	for (struct service *service = s->services; service != NULL; service = service->next) {
		if (service->log_told)
			continue;
		service->log_told = true;
		struct logger_message message = {
			.version = LOGGER_VERSION,
			.type = LOGGER_SERVICE,
			.service = {.service = service->index, .target = service->log_target}};
		snprintf(message.service.name, sizeof(message.service.name), "%s", service->name);
		logger_send(s, &message, -1);
	}
	s->logger.table_waits = channel_pending(&s->logger.link);
}

void logger_push(struct supervisor *s)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		service->log_told = false;
	logger_push_services(s);
	sources_push(s);
	log_flush_backlog(s);
}

static void answer(struct supervisor *s, const struct logger_message *message)
{
	if (message->version != LOGGER_VERSION)
		return;
	switch (message->type) {
	case LOGGER_READY:
		if (s->logger.ready)
			return;
		s->logger.ready = true;
		logger_push(s);
		if (s->stop_step >= STOP_LOGGER)
			logger_finish(s);
		break;
	case LOGGER_PONG:
		if (message->ping == s->logger.ping_sent)
			s->logger.ping_answered = message->ping;
		break;
	case LOGGER_SOURCE_END:
	case LOGGER_LAST:
		sources_answer(s, message);
		break;
	}
}

static void on_read(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	for (unsigned i = 0; i < MESSAGES_A_TURN && s->logger.link.fd >= 0; i++) {
		struct logger_message message;
		int fds[CHANNEL_FDS];
		unsigned count;
		int result = channel_receive(&s->logger.link, &message, fds, &count);
		if (result == 0)
			return;
		for (unsigned n = 0; result > 0 && n < count; n++)
			close(fds[n]);
		if (result < 0) {
			ev_io_stop(loop, watcher);
			/* Ours is not the last copy of its end: only nonsense, or no descriptor left, gets here. */
			logger_kill(s, strerror(-result));
			return;
		}
		answer(s, &message);
	}
}

static void unwatch(struct supervisor *s);

/* The link's end makes it read the rest and exit: not before it was told all. */
static void close_when_told(struct supervisor *s)
{
	log_flush_backlog(s);
	if (!s->logger.ready || !channel_pending(&s->logger.link))
		unwatch(s);
}

static void flush(struct supervisor *s)
{
	sent(s, channel_flush(&s->logger.link));
	if (s->logger.table_waits && !channel_pending(&s->logger.link)) {
		s->logger.table_waits = false;
		malloc_trim(0); /* more than a kilobyte for each service; the dispatcher may have been first */
	}
	if (s->logger.ending)
		close_when_told(s);
	else
		log_flush_backlog(s);
}

static void on_write(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)watcher;
	(void)events;
	flush(ev_userdata(loop));
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	flush(ev_userdata(loop));
}

static void on_ping(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (!s->logger.ready || s->logger.ping_answered < s->logger.ping_sent) {
		if (++s->logger.pings_missed >= PINGS_MISSED)
			logger_kill(s, s->logger.ready ? "does not answer (PING, PONG)"
						       : "not ready in time (HELLO, READY)");
		return;
	}
	s->logger.pings_missed = 0;
	struct logger_message message = {
		.version = LOGGER_VERSION, .type = LOGGER_PING, .ping = ++s->logger.ping_sent};
	logger_send(s, &message, -1);
}

static void say_hello(struct supervisor *s)
{
	struct logger_message message = {.version = LOGGER_VERSION, .type = LOGGER_HELLO};

	message.hello.unprivileged = !s->privileged;
	message.hello.uid = s->helper_uid;
	message.hello.gid = s->helper_gid;
	snprintf(message.hello.jail, sizeof(message.hello.jail), "%s", s->jail);
	sent(s, channel_send(&s->logger.link, &message, &s->dispatcher.events[0], 1));
}

static void watch(struct supervisor *s, int fd)
{
	channel_init(&s->logger.link, fd, sizeof(struct logger_message));
	ev_io_init(&s->logger.read, on_read, fd, EV_READ);
	ev_io_init(&s->logger.write, on_write, fd, EV_WRITE);
	ev_timer_init(&s->logger.later, on_later, 0., 0.);
	ev_timer_init(&s->logger.ping, on_ping, PING_S, PING_S);
	ev_timer_start(s->loop, &s->logger.ping);
	ev_io_start(s->loop, &s->logger.read);
}

void logger_adopt(struct supervisor *s)
{
	watch(s, s->logger.link.fd);
	s->logger.ready = true;
}

int logger_start(struct supervisor *s)
{
	int ends[2];
	int result = channel_pair(ends);

	if (result < 0)
		return result;
	pid_t pid = helper_spawn(s, "lust-logger", ends[1], &s->logger.exec_error);
	if (pid < 0) {
		close(ends[0]);
		close(ends[1]);
		return pid;
	}
	s->logger.pid = pid;
	s->logger.theirs = ends[1];
	s->logger.ready = s->logger.killed = false;
	s->logger.pings_missed = 0;
	s->logger.ping_answered = s->logger.ping_sent;
	s->logger.started_ms = clock_ms();
	watch(s, ends[0]);
	say_hello(s);
	return 0;
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	struct supervisor *s = ev_userdata(loop);
	int result = logger_start(s);

	if (result == 0)
		return;
	log_line(s, LEVEL_ERROR, NULL, "cannot start a logger: %s", strerror(-result));
	if (s->stop_step >= STOP_LOGGER) {
		stop_check(s);
		return;
	}
	ev_timer_init(timer, on_again, helper_pause_ms(++s->logger.failures) / 1000., 0.);
	ev_timer_start(loop, timer);
}

static void start_again(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->logger.again);
	bool young = clock_ms() - s->logger.started_ms < YOUNG_MS;
	uint32_t pause = young ? helper_pause_ms(s->logger.failures++) : 0;

	if (!young)
		s->logger.failures = 0;
	ev_timer_init(&s->logger.again, on_again, pause / 1000., 0.);
	ev_timer_start(s->loop, &s->logger.again);
}

static void unwatch(struct supervisor *s)
{
	ev_io_stop(s->loop, &s->logger.read);
	ev_io_stop(s->loop, &s->logger.write);
	ev_timer_stop(s->loop, &s->logger.later);
	ev_timer_stop(s->loop, &s->logger.ping);
	channel_close(&s->logger.link);
	s->logger.ready = false;
}

static void take_back(struct supervisor *s)
{
	struct channel unread;

	if (s->logger.theirs < 0)
		return;
	channel_init(&unread, s->logger.theirs, sizeof(struct logger_message));
	log_take_back(s, &unread);
	channel_close(&unread);
	s->logger.theirs = -1;
}

static void over(struct supervisor *s);

void logger_ended(struct supervisor *s, int status)
{
	char why[96];
	pid_t pid = s->logger.pid;

	if (!helper_exec_failure(&s->logger.exec_error, "lust-logger", why, sizeof(why)))
		exit_text(status, why);
	if (!s->logger.ending && !s->logger.replaced && s->stop_step < STOP_LOGGER) {
		s->logger.ready = false;
		log_line(s, LEVEL_ERROR, NULL, "logger (pid %d) ended: %s%s", (int)pid, why,
			 WIFSIGNALED(status) ? "; what it had read and not written yet is lost" : "");
	}
	over(s);
}

static void over(struct supervisor *s)
{
	s->logger.pid = 0;
	take_back(s);
	unwatch(s);
	/* Also when the daemon stops: somebody has to write what was said since. */
	if (s->logger.replaced) {
		s->logger.replaced = false;
		s->logger.failures = 0;
		ev_timer_stop(s->loop, &s->logger.again);
		on_again(s->loop, &s->logger.again, 0);
		return;
	}
	if (s->logger.ending || s->stop_step >= STOP_LOGGER) {
		stop_check(s);
		return;
	}
	if (!s->running && !s->stopping) {
		s->exit_code = 1;
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	start_again(s);
}

/* As for the dispatcher: what hangs in the kernel does nothing any more. */
static void on_killed(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	log_line(s, LEVEL_ERROR, NULL,
		 "logger (pid %d) hangs in the kernel and does not end: it is left to itself",
		 (int)s->logger.pid);
	if (s->logger.exec_error >= 0)
		close(s->logger.exec_error);
	s->logger.exec_error = -1;
	over(s);
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (s->logger.killed)
		on_killed(loop, timer, events);
	else
		logger_kill(s, "did not end in time");
}

void logger_finish(struct supervisor *s)
{
	/* One that is being replaced: the next one is finished as soon as it is ready. */
	if (s->logger.ending || s->logger.replaced)
		return;
	s->logger.ending = true;
	ev_timer_stop(s->loop, &s->logger.again);
	if (s->logger.pid <= 0)
		return;
	ev_timer_init(&s->logger.again, on_end, END_S, 0.);
	ev_timer_start(s->loop, &s->logger.again);
	ev_timer_stop(s->loop, &s->logger.ping);
	flush(s);
}

void logger_replace(struct supervisor *s)
{
	if (s->logger.pid <= 0)
		return;
	/* As at the end; only one of the two may read the pipes, so the new one waits for this one's end. */
	s->logger.replaced = true;
	unwatch(s);
	ev_timer_init(&s->logger.again, on_end, END_S, 0.);
	ev_timer_start(s->loop, &s->logger.again);
}
