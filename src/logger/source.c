/*
 * source.c: the pipes that servers print into.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "logger.h"

#define READ_BYTES 4096           /* a turn and source: a flood does not starve the others */
#define DRAIN_BYTES (1024 * 1024) /* a source at the end: more than a pipe holds */
#define PARTIAL_AFTER 1.0         /* seconds that an unfinished line waits for its end */
#define LAST_EVERY 1.0            /* seconds between two LAST of a source */
#define TICK 0.5

struct source {
	struct logger *logger;
	struct source *next, **link; /* link: what points to this one */
	struct ev_io watcher;
	int fd;
	struct logger_source what; /* .last: as of the last line */
	bool twin;                 /* a server of another generation prints as the same instance */
	bool last_changed;         /* since it was told */
	double told, printed;      /* ev_now() of the last LAST, and of the last read */
	struct line_splitter splitter;
};

static void tell(struct source *source, enum logger_type type)
{
	struct logger_message message = {
		.version = LOGGER_VERSION, .type = (uint16_t)type, .source = source->what};

	orders_tell(source->logger, &message);
	source->told = ev_now(source->logger->loop);
	source->last_changed = false;
}

/* Not to a supervisor that does not read: the queue would grow without bounds. */
static void tell_last(struct source *source)
{
	const struct logger *logger = source->logger;

	if (source->last_changed && ev_now(logger->loop) - source->told >= LAST_EVERY &&
	    !channel_pending(&logger->link))
		tell(source, LOGGER_LAST);
}

static void on_line(void *context, const char *text, size_t length, bool continued)
{
	struct source *source = context;
	char marked[LINE_MAX_BYTES + 8];
	struct entry entry = {
		.time_us = now_us(),
		.level = LEVEL_INFO,
		.name = source->what.name,
		.pid = source->what.pid,
		.generation = source->twin ? source->what.generation : 0,
		.text = text,
	};

	if (continued) {
		snprintf(marked, sizeof(marked), "... %s", text);
		entry.text = marked;
	}
	output_put(source->logger, source->what.target, &entry);
	/* Safe text stays as it is, cut between characters. */
	lust_escape(source->what.last, sizeof(source->what.last), text, length, NULL);
	source->last_changed = true;
}

static void need_tick(struct logger *logger)
{
	if (ev_is_active(&logger->tick))
		return;
	logger->tick.repeat = TICK;
	ev_timer_again(logger->loop, &logger->tick);
}

static bool is_twin(const struct logger_source *one, const struct logger_source *other)
{
	return one->instance > 0 && one->instance == other->instance &&
	       one->generation != other->generation && strcmp(one->name, other->name) == 0;
}

/* Looked at when a source comes or goes, not with every line. */
static void mark_twins(struct logger *logger, const struct logger_source *changed)
{
	for (struct source *source = logger->sources; source; source = source->next) {
		if (strcmp(source->what.name, changed->name) != 0 ||
		    source->what.instance != changed->instance)
			continue;
		source->twin = false;
		for (const struct source *other = logger->sources; other && !source->twin;
		     other = other->next)
			source->twin = is_twin(&source->what, &other->what);
	}
}

static void source_free(struct source *source)
{
	struct logger *logger = source->logger;
	struct logger_source gone = source->what;

	line_flush(&source->splitter, true, on_line, source);
	ev_io_stop(source->logger->loop, &source->watcher);
	close(source->fd);
	*source->link = source->next;
	if (source->next)
		source->next->link = source->link;
	free(source);
	mark_twins(logger, &gone);
}

static void source_end(struct source *source)
{
	line_flush(&source->splitter, true, on_line, source); /* before: END tells the last line */
	tell(source, LOGGER_SOURCE_END);
	source_free(source);
}

/* Bytes read; 0 at the end of file; -errno. */
static ssize_t read_some(struct source *source)
{
	char data[READ_BYTES];
	ssize_t n = read(source->fd, data, sizeof(data));

	if (n < 0)
		return -errno;
	source->printed = ev_now(source->logger->loop);
	line_feed(&source->splitter, data, (size_t)n, on_line, source);
	return n;
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int revents)
{
	struct source *source = watcher->data;
	ssize_t n = read_some(source);

	(void)loop;
	(void)revents;
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		source_end(source);
		return;
	}
	tell_last(source);
	if (source->last_changed || source->splitter.length > 0)
		need_tick(source->logger);
}

void source_tick(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
	struct logger *logger = timer->data;
	bool again = false;

	(void)revents;
	for (struct source *source = logger->sources; source; source = source->next) {
		if (source->splitter.length > 0 && ev_now(loop) - source->printed >= PARTIAL_AFTER)
			line_flush(&source->splitter, false, on_line, source);
		tell_last(source);
		again = again || source->last_changed || source->splitter.length > 0;
	}
	if (!again)
		ev_timer_stop(loop, timer);
}

void source_add(struct logger *logger, const struct logger_source *what, int fd)
{
	struct source *source = malloc(sizeof(*source));
	int flags = fcntl(fd, F_GETFL);

	if (!source) {
		close(fd);
		output_say(logger, LEVEL_ERROR, "no memory to read what %s prints", what->name);
		return;
	}
	/* Of the reading end only: the supervisor, which shares it, does not read; servers write to another open file. */
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	source->logger = logger;
	source->fd = fd;
	source->what = *what;
	source->what.last[0] = '\0';
	source->last_changed = false;
	source->told = source->printed = 0.;
	source->splitter.length = 0;
	source->splitter.continued = false;
	source->next = logger->sources;
	source->link = &logger->sources;
	if (source->next)
		source->next->link = &source->next;
	logger->sources = source;
	mark_twins(logger, what);
	ev_io_init(&source->watcher, on_readable, fd, EV_READ);
	source->watcher.data = source;
	ev_io_start(logger->loop, &source->watcher);
}

void source_drain(struct logger *logger)
{
	while (logger->sources) {
		struct source *source = logger->sources;
		size_t total = 0;
		ssize_t n;

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): source_free() moves logger->sources on, by way of ->link */
		while (total < DRAIN_BYTES && ((n = read_some(source)) > 0 || n == -EINTR))
			total += n > 0 ? (size_t)n : 0;
		/* One that is still written to goes on with the next logger: END would make the supervisor close it. */
		if (n == 0)
			source_end(source);
		else
			source_free(source);
	}
}
