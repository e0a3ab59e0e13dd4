/*
 * log.c: the supervisor's own lines.  To the logger once the daemon runs; before that, and without a logger, to
 * standard error as long as somebody reads it; else they wait here for the logger, a bounded number of them.
 *
 * SPDX-License-Identifier: ISC
 */
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "logging.h"

#define BACKLOG_LINES 1024u

struct kept_line {
	struct kept_line *next;
	struct logger_line line;
};

struct log_backlog {
	struct kept_line *first, **last;
	unsigned count;
	uint64_t dropped;
};

/* Only with an empty queue: at most one line is ever in it. */
static void send_line(struct supervisor *s, const struct logger_line *line)
{
	struct logger_message message = {.version = LOGGER_VERSION, .type = LOGGER_TEXT, .line = *line};

	logger_send(s, &message, -1);
	s->logger.line_queued = channel_pending(&s->logger.link);
}

static struct log_backlog *backlog_of(struct supervisor *s)
{
	if (s->logger.backlog == NULL) {
		s->logger.backlog = calloc(1, sizeof(*s->logger.backlog));
		if (s->logger.backlog != NULL)
			s->logger.backlog->last = &s->logger.backlog->first;
	}
	return s->logger.backlog;
}

static void keep_line(struct supervisor *s, const struct logger_line *line)
{
	struct log_backlog *backlog = backlog_of(s);
	if (backlog == NULL) {
		s->logger.lost_lines++;
		return;
	}
	struct kept_line *kept = backlog->count < BACKLOG_LINES ? malloc(sizeof(*kept)) : NULL;
	if (kept == NULL) {
		backlog->dropped++;
		return;
	}
	*kept = (struct kept_line){.line = *line};
	*backlog->last = kept;
	backlog->last = &kept->next;
	backlog->count++;
}

static void drop_first(struct log_backlog *backlog)
{
	struct kept_line *kept = backlog->first;

	backlog->first = kept->next;
	if (backlog->first == NULL)
		backlog->last = &backlog->first;
	backlog->count--;
	free(kept);
}

/* False: it would have to wait for a reader. */
static bool print_line(const struct supervisor *s, const struct logger_line *line)
{
	char text[LOGGER_NAME + LOGGER_LINE + 32];
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	int length = snprintf(text, sizeof(text), "lust-inetd: %s%s%s\n", line->name,
			      line->name[0] != '\0' ? ": " : "", line->text);

	/* Before it runs, nobody depends on us, and what is wrong must be told.  A pipe with room takes a whole line. */
	if (s->running && poll(&room, 1, 0) == 0)
		return false;
	/* One write a line; there is nobody to tell when standard error is broken. */
	if (length > 0)
		(void)!write(STDERR_FILENO, text, (size_t)length);
	return true;
}

static bool logger_takes(const struct supervisor *s)
{
	return s->logger.ready && !channel_pending(&s->logger.link);
}

/* Where lines about this service go. */
static uint32_t target_by_name(const struct supervisor *s, const char *name)
{
	for (const struct service *service = s->services; service != NULL; service = service->next)
		if (strcmp(service->name, name) == 0)
			return service->log_target;
	return LOGGER_DAEMON;
}

void log_line(struct supervisor *s, enum logger_level level, const char *service, const char *format, ...)
{
	unsigned bound = s->verbose ? LEVEL_DEBUG : s->table != NULL ? s->table->log_level : LEVEL_NOTICE;

	if ((unsigned)level > bound)
		return;
	struct logger_line line = {.level = level, .target = LOGGER_DAEMON};
	if (service != NULL) {
		snprintf(line.name, sizeof(line.name), "%s", service);
		line.target = target_by_name(s, service);
	}
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line.text, sizeof(line.text), format, arguments);
	va_end(arguments);

	if (s->running && logger_takes(s) && !log_waits(s))
		send_line(s, &line);
	else if ((s->running && (s->logger.ready || !s->foreground)) || !print_line(s, &line))
		keep_line(s, &line);
}

bool log_waits(const struct supervisor *s)
{
	return s->logger.backlog != NULL;
}

void log_flush_backlog(struct supervisor *s)
{
	struct log_backlog *backlog = s->logger.backlog;

	if (backlog == NULL)
		return;
	while (backlog->first != NULL && logger_takes(s)) {
		send_line(s, &backlog->first->line);
		drop_first(backlog);
	}
	if (backlog->first != NULL || !logger_takes(s))
		return;
	uint64_t dropped = backlog->dropped + s->logger.lost_lines;
	s->logger.lost_lines = 0;
	log_free(s);
	if (dropped > 0)
		log_line(s, LEVEL_WARNING, NULL,
			 "%" PRIu64 " lines of the supervisor were dropped: no logger took them in time",
			 dropped);
}

uint64_t log_lost(const struct supervisor *s)
{
	const struct log_backlog *backlog = s->logger.backlog;
	uint64_t lost = s->logger.lost_lines;

	if (backlog != NULL)
		lost += backlog->count + backlog->dropped;
	return lost + (s->logger.line_queued && channel_pending(&s->logger.link));
}

void log_say_lost(struct supervisor *s)
{
	if (s->logger.lost_lines > 0)
		(void)backlog_of(s); /* its end is where the number is said; without memory, with the next line */
}

/* In front of what was said later. */
void log_take_back(struct supervisor *s, struct channel *unread)
{
	struct log_backlog *later = s->logger.backlog;
	size_t queued;

	s->logger.backlog = NULL;
	do {
		struct logger_message message;
		int fds[CHANNEL_FDS];
		unsigned count;
		while (channel_receive(unread, &message, fds, &count) > 0) {
			for (unsigned i = 0; i < count; i++)
				close(fds[i]);
			if (message.type == LOGGER_TEXT)
				keep_line(s, &message.line);
		}
		/* What still waits on our side takes the same way. */
		queued = s->logger.link.pending;
	} while (queued > 0 && channel_flush(&s->logger.link) == 0 && s->logger.link.pending < queued);
	if (later == NULL)
		return;
	for (; later->first != NULL; drop_first(later))
		keep_line(s, &later->first->line);
	s->logger.lost_lines += later->dropped;
	free(later);
	log_say_lost(s);
}

void log_free(struct supervisor *s)
{
	struct log_backlog *backlog = s->logger.backlog;

	/* No logger comes any more: who looks on may still read them. */
	for (; backlog != NULL && backlog->first != NULL; drop_first(backlog))
		if (s->foreground)
			print_line(s, &backlog->first->line);
	free(backlog);
	s->logger.backlog = NULL;
}
