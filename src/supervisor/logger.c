/*
 * logger.c: starts, watches and replaces the logger.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor.h"

#define YOUNG_MS 10000u
#define END_S 3.
#define MESSAGES_A_TURN 256

/* A broken link means a dying logger: its SIGCHLD comes, and a new one is told everything again. */
static void sent(struct supervisor *s, int result)
{
	if (result >= 0) {
		helper_watch(s->loop, &s->logger.link, &s->logger.write, &s->logger.later);
		return;
	}
	s->logger.ready = false;
	ev_io_stop(s->loop, &s->logger.write);
	ev_timer_stop(s->loop, &s->logger.later);
	if (s->logger.pid > 0)
		kill(s->logger.pid, SIGKILL);
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
	for (const struct service *service = s->services; service != NULL; service = service->next) {
		struct logger_message message = {
			.version = LOGGER_VERSION,
			.type = LOGGER_SERVICE,
			.service = {.service = service->index, .target = service->log_target}};
		snprintf(message.service.name, sizeof(message.service.name), "%s", service->name);
		logger_send(s, &message, -1);
	}
}

void logger_push(struct supervisor *s)
{
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

	for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
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
			sent(s, result);
			return;
		}
		answer(s, &message);
	}
}

static void on_write(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)watcher;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	sent(s, channel_flush(&s->logger.link));
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	sent(s, channel_flush(&s->logger.link));
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

int logger_start(struct supervisor *s)
{
	int ends[2];
	int result = channel_pair(ends);

	if (result < 0)
		return result;
	pid_t pid = helper_spawn(s, "lust-logger", ends[1], &s->logger.exec_error);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return pid;
	}
	s->logger.pid = pid;
	s->logger.ready = false;
	s->logger.started_ms = clock_ms();
	channel_init(&s->logger.link, ends[0], sizeof(struct logger_message));
	ev_io_init(&s->logger.read, on_read, ends[0], EV_READ);
	ev_io_init(&s->logger.write, on_write, ends[0], EV_WRITE);
	ev_timer_init(&s->logger.later, on_later, 0., 0.);
	ev_io_start(s->loop, &s->logger.read);
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
	ev_timer_set(timer, helper_pause_ms(++s->logger.failures) / 1000., 0.);
	ev_timer_start(loop, timer);
}

static void start_again(struct supervisor *s)
{
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
	channel_close(&s->logger.link);
	s->logger.ready = false;
}

void logger_ended(struct supervisor *s, int status)
{
	char why[96];
	pid_t pid = s->logger.pid;

	if (!helper_exec_failure(&s->logger.exec_error, "lust-logger", why, sizeof(why)))
		exit_text(status, why);
	s->logger.pid = 0;
	unwatch(s);
	if (s->logger.ending || s->stop_step >= STOP_LOGGER) {
		stop_check(s);
		return;
	}
	log_line(s, LEVEL_ERROR, NULL, "logger (pid %d) ended: %s", (int)pid, why);
	if (!s->running && !s->stopping) {
		s->exit_code = 1;
		ev_break(s->loop, EVBREAK_ALL);
		return;
	}
	start_again(s);
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (s->logger.pid > 0)
		kill(s->logger.pid, SIGKILL);
}

void logger_finish(struct supervisor *s)
{
	if (s->logger.ending)
		return;
	s->logger.ending = true;
	ev_timer_stop(s->loop, &s->logger.again);
	if (s->logger.pid <= 0)
		return;
	/* What is queued goes first as far as the kernel takes it; the end of the link makes it read the rest and exit. */
	if (s->logger.ready)
		sent(s, channel_flush(&s->logger.link));
	unwatch(s);
	ev_timer_init(&s->logger.again, on_end, END_S, 0.);
	ev_timer_start(s->loop, &s->logger.again);
}
