/*
 * log.c: the supervisor's own lines.  To the logger once the daemon runs; before that, and without a logger, to
 * standard error as long as somebody reads it; else they wait for the next logger.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor.h"

#define BACKLOG_LINES 64

struct log_backlog {
	struct logger_line line[BACKLOG_LINES];
	unsigned count, dropped;
};

static void send_line(struct supervisor *s, const struct logger_line *line)
{
	struct logger_message message = {.version = LOGGER_VERSION, .type = LOGGER_TEXT, .line = *line};

	logger_send(s, &message, -1);
}

static void keep_line(struct supervisor *s, const struct logger_line *line)
{
	if (s->logger.backlog == NULL)
		s->logger.backlog = calloc(1, sizeof(*s->logger.backlog));
	if (s->logger.backlog == NULL)
		return;
	if (s->logger.backlog->count < BACKLOG_LINES)
		s->logger.backlog->line[s->logger.backlog->count++] = *line;
	else
		s->logger.backlog->dropped++;
}

static void print_line(const struct logger_line *line)
{
	char text[LOGGER_NAME + LOGGER_LINE + 32];
	int length = snprintf(text, sizeof(text), "lust-inetd: %s%s%s\n", line->name,
			      line->name[0] != '\0' ? ": " : "", line->text);

	/* One write a line; there is nobody to tell when standard error is broken. */
	if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
		return;
}

void log_line(struct supervisor *s, enum logger_level level, const char *service, const char *format, ...)
{
	unsigned bound = s->verbose ? LEVEL_DEBUG : s->table != NULL ? s->table->log_level : LEVEL_NOTICE;

	if ((unsigned)level > bound)
		return;
	struct logger_line line = {.level = level, .target = LOGGER_DAEMON};
	if (service != NULL)
		snprintf(line.name, sizeof(line.name), "%s", service);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line.text, sizeof(line.text), format, arguments);
	va_end(arguments);

	if (!s->running || (!s->logger.ready && s->foreground))
		print_line(&line);
	else if (s->logger.ready)
		send_line(s, &line);
	else
		keep_line(s, &line);
}

void log_flush_backlog(struct supervisor *s)
{
	struct log_backlog *backlog = s->logger.backlog;

	if (backlog == NULL)
		return;
	s->logger.backlog = NULL;
	for (unsigned i = 0; i < backlog->count; i++)
		send_line(s, &backlog->line[i]);
	if (backlog->dropped > 0)
		log_line(s, LEVEL_WARNING, NULL, "%u lines were lost while there was no logger",
			 backlog->dropped);
	free(backlog);
}

void log_free(struct supervisor *s)
{
	free(s->logger.backlog);
	s->logger.backlog = NULL;
}
