/*
 * output.c: which target a line goes to, and what happens when the target does not take it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"
#include "logger.h"

#define RETRY_SLOW 0.02  /* seconds: a reader that is behind */
#define RETRY_FAILED 1.0 /* a full disk */
#define FINISH_MS 2000   /* what slow targets get at the end */

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool has_queue(const struct target *target)
{
	return target && target->first != NULL;
}

/* A datagram socket whose other end is gone never works again, and the jail has no path to a new one. */
static void check_connection(struct logger *logger, const struct target *target)
{
	if (target->kind != LOGGER_SYSLOG && target->kind != LOGGER_JOURNAL)
		return;
	if (target->error != ECONNREFUSED && target->error != ECONNRESET && target->error != ENOTCONN &&
	    target->error != EPIPE)
		return;
	if (!ev_is_active(&logger->reconnect))
		ev_timer_start(logger->loop, &logger->reconnect);
}

static void schedule(struct logger *logger, const struct target *target)
{
	double wanted = has_queue(target) ? RETRY_SLOW : RETRY_FAILED;

	check_connection(logger, target);
	if (ev_is_active(&logger->retry) && logger->retry.repeat <= wanted)
		return;
	logger->retry.repeat = wanted;
	ev_timer_again(logger->loop, &logger->retry);
}

static struct target *find(struct logger *logger, uint32_t index)
{
	if (index < logger->target_count && logger->targets[index])
		return logger->targets[index];
	if (logger->target_count > 0 && logger->targets[LOGGER_DAEMON])
		return logger->targets[LOGGER_DAEMON];
	return &logger->fallback;
}

void output_put(struct logger *logger, uint32_t target, const struct entry *entry)
{
	struct target *to = find(logger, target);

	target_put(to, entry);
	if (target_waiting(to))
		schedule(logger, to);
}

void output_say(struct logger *logger, enum logger_level level, const char *format, ...)
{
	char raw[256], text[512];
	struct entry entry = {.time_us = now_us(), .level = level, .name = "", .text = text};
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	lust_escape(text, sizeof(text), raw, strlen(raw), NULL);
	output_put(logger, LOGGER_DAEMON, &entry);
}

void output_retry(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
	struct logger *logger = timer->data;
	struct target *waits = NULL;

	(void)revents;
	for (size_t i = 0; i <= logger->target_count; i++) {
		struct target *target = i < logger->target_count ? logger->targets[i] : &logger->fallback;

		if (!target || !target_waiting(target))
			continue;
		target_retry(target, now_us());
		check_connection(logger, target);
		if (target_waiting(target) && (!waits || has_queue(target)))
			waits = target;
	}
	timer->repeat = waits ? has_queue(waits) ? RETRY_SLOW : RETRY_FAILED : 0.;
	ev_timer_again(loop, timer);
}

static struct target *make_room(struct logger *logger, uint32_t index)
{
	if (index >= logger->target_count) {
		size_t count = (size_t)index + 1;
		struct target **targets = realloc(logger->targets, count * sizeof(struct target *));

		if (!targets)
			return NULL;
		memset(targets + logger->target_count, 0,
		       (count - logger->target_count) * sizeof(struct target *));
		logger->targets = targets;
		logger->target_count = count;
	}
	if (!logger->targets[index]) {
		struct target *target = malloc(sizeof(*target));

		if (!target)
			return NULL;
		target_init(target, LOGGER_STDERR, -1, false, logger->supervisor);
		logger->targets[index] = target;
	}
	return logger->targets[index];
}

/* The connection made before the jail, or standard error: in `run` somebody sees it there, else it is /dev/null. */
static int connection(struct logger *logger, enum logger_kind *kind)
{
	bool is_syslog = *kind == LOGGER_SYSLOG;
	int fd = is_syslog ? logger->syslog_fd : logger->journal_fd;

	if (fd >= 0)
		return fd;
	*kind = LOGGER_STDERR;
	target_put(&logger->fallback,
		   &(struct entry){
			   .time_us = now_us(),
			   .level = LEVEL_ERROR,
			   .name = "",
			   .text = is_syslog ? "no syslog daemon at /dev/log; its lines come here"
					     : "no systemd journal; its lines come here",
		   });
	return STDERR_FILENO;
}

void output_target(struct logger *logger, uint32_t index, enum logger_kind kind, int fd)
{
	struct target *target = make_room(logger, index);
	bool owned = fd >= 0;

	if (!target) {
		if (owned)
			close(fd);
		output_say(logger, LEVEL_ERROR, "no memory for another log; its lines come here");
		return;
	}
	if (!owned)
		fd = connection(logger, &kind);
	target_replace(target, kind, fd, owned);
	target_retry(target, now_us());
	if (target_waiting(target))
		schedule(logger, target);
}

/* A slow reader has had its chances; a queue that it never takes must not stay for good. */
void output_forget(struct logger *logger, uint32_t index)
{
	struct target *target = index < logger->target_count ? logger->targets[index] : NULL;

	if (!target)
		return;
	target_retry(target, now_us());
	if (target_waiting(target))
		output_say(logger, LEVEL_WARNING,
			   "a log that the table does not name any more did not take its last lines");
	target_close(target);
	free(target);
	logger->targets[index] = NULL;
}

void output_finish(struct logger *logger)
{
	uint64_t end = now_us() + FINISH_MS * 1000;
	bool waits = true;

	while (waits && now_us() < end) {
		waits = false;
		for (size_t i = 0; i <= logger->target_count; i++) {
			struct target *target =
				i < logger->target_count ? logger->targets[i] : &logger->fallback;

			if (!target || !target_waiting(target))
				continue;
			target_retry(target, now_us());
			waits = waits || has_queue(target);
		}
		if (waits)
			poll(NULL, 0, 20);
	}
}

void output_free(struct logger *logger)
{
	for (size_t i = 0; i < logger->target_count; i++)
		if (logger->targets[i]) {
			target_close(logger->targets[i]);
			free(logger->targets[i]);
		}
	free(logger->targets);
	target_close(&logger->fallback);
	if (logger->syslog_fd >= 0)
		close(logger->syslog_fd);
	if (logger->journal_fd >= 0)
		close(logger->journal_fd);
}
