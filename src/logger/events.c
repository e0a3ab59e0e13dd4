/*
 * events.c: the pipe over which the dispatcher reports.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "event_text.h"
#include "logger.h"

#define EVENTS_A_TURN 128
#define DRAIN_READS 256 /* more than any pipe holds: a dispatcher that goes on writing does not keep us */

static void log_event(struct logger *logger, const struct event *event)
{
	bool known = event->service < BOARD_SERVICES;
	char text[512];
	struct entry entry;

	if (event_level(event) > logger->level)
		return;
	entry = (struct entry){
		.time_us = event->time_us > 0 ? event->time_us : now_us(),
		.level = event_level(event),
		.name = known ? names_of(&logger->names, event->service) : "",
		.text = event_text(event, text, sizeof(text)),
	};
	output_put(logger, known ? names_target(&logger->names, event->service) : LOGGER_DAEMON, &entry);
}

void events_read(const struct event *events, size_t bytes, struct logger *logger)
{
	size_t count = bytes / sizeof(*events);

	if (logger->malformed > 0) {
		output_say(logger, LEVEL_WARNING,
			   "%" PRIu64 " reports of the dispatcher made no sense and were skipped",
			   logger->malformed);
		logger->malformed = 0;
	}
	/* Whole events are written, so a rest is garbage; dropping it finds the beginning of the next one again. */
	if (bytes % sizeof(*events) != 0)
		logger->malformed++;
	for (size_t i = 0; i < count; i++) {
		if (event_known(&events[i]))
			log_event(logger, &events[i]);
		else
			logger->malformed++;
	}
}

/* 0: there was something; else there is nothing now, or never again. */
static int read_some(struct logger *logger)
{
	struct event events[EVENTS_A_TURN];
	ssize_t n = read(logger->events_fd, events, sizeof(events));

	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	events_read(events, (size_t)n, logger);
	return 0;
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int revents)
{
	struct logger *logger = watcher->data;
	int result = read_some(logger);

	(void)revents;
	if (result == 0 || result == -EAGAIN || result == -EINTR)
		return;
	logger->events_over = true;
	ev_io_stop(loop, watcher);
}

void events_init(struct logger *logger, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	/* Of the reading end only: the supervisor, which shares it, does not read. */
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	logger->events_fd = fd;
	ev_io_init(&logger->events, on_readable, fd, EV_READ);
	logger->events.data = logger;
	ev_set_priority(&logger->events, 1);
}

void events_start(struct logger *logger)
{
	if (!logger->events_over)
		ev_io_start(logger->loop, &logger->events);
}

void events_drain(struct logger *logger)
{
	for (int i = 0; i < DRAIN_READS; i++) {
		int result = read_some(logger);

		if (result < 0 && result != -EINTR)
			break;
	}
	if (logger->malformed > 0)
		events_read(NULL, 0, logger);
}
