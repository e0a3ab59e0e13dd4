/*
 * targets.c: see targets.h.  Index 0 is the daemon's own log; a target keeps its index as long as the daemon lives,
 * because servers of an older table may still print into it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "targets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum logger_kind kind_of(const struct supervisor *s, enum table_log_kind kind)
{
	switch (kind) {
	case LOG_SYSLOG:
		return LOGGER_SYSLOG;
	case LOG_STDERR:
		return LOGGER_STDERR;
	case LOG_JOURNAL:
		return LOGGER_JOURNAL;
	case LOG_PATH:
		return LOGGER_FILE;
	case LOG_DEFAULT:
		break;
	}
	return s->foreground ? LOGGER_STDERR : LOGGER_SYSLOG;
}

/* O_NONBLOCK: opening a FIFO that nobody reads must fail, not wait. */
static int open_log(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		      0640);

	return fd < 0 ? -errno : fd;
}

static bool same(const struct log_target *target, enum logger_kind kind, const char *path)
{
	return target->kind == kind && (kind != LOGGER_FILE || strcmp(target->path, path) == 0);
}

/* From index 1 on; NULL: none yet. */
static struct log_target *find(const struct supervisor *s, enum logger_kind kind, const char *path)
{
	for (size_t i = 1; i < s->logger.target_count; i++)
		if (same(&s->logger.target[i], kind, path))
			return &s->logger.target[i];
	return NULL;
}

static struct log_target *add(struct supervisor *s)
{
	struct log_target *grown =
		realloc(s->logger.target, (s->logger.target_count + 1) * sizeof(*s->logger.target));

	if (grown == NULL)
		return NULL;
	s->logger.target = grown;
	struct log_target *target = &grown[s->logger.target_count++];
	*target = (struct log_target){.fd = -1};
	return target;
}

static int fill(struct supervisor *s, struct log_target *target, enum logger_kind kind, const char *path)
{
	struct log_target filled = {.kind = kind, .fd = -1, .used = true};

	if (kind == LOGGER_FILE) {
		filled.path = strdup(path);
		filled.fd = filled.path == NULL ? -ENOMEM : open_log(path);
		if (filled.fd < 0) {
			free(filled.path);
			return filled.fd;
		}
	}
	free(target->path);
	/* It may still be on its way to the logger. */
	logger_close_fd(s, target->fd);
	*target = filled;
	return 0;
}

static int apply_daemon(struct supervisor *s, const struct table *table, char *problem, size_t size)
{
	enum logger_kind kind = kind_of(s, table->log.kind);
	const char *path = table->log.path;

	if (s->logger.target_count == 0 && add(s) == NULL)
		return -ENOMEM;
	struct log_target *target = &s->logger.target[0];
	if (target->used && same(target, kind, path))
		return 0;
	int result = fill(s, target, kind, path);
	if (result < 0)
		snprintf(problem, size, "cannot open the log %s: %s", path, strerror(-result));
	return result;
}

static void apply_service(struct supervisor *s, const struct table_service *service)
{
	const struct table_log *log = &service->server.log;

	if (!service->has_server || log->kind == LOG_DEFAULT)
		return;
	enum logger_kind kind = kind_of(s, log->kind);
	struct log_target *target = find(s, kind, log->path);
	if (target == NULL) {
		target = add(s);
		int result = target == NULL ? -ENOMEM : fill(s, target, kind, log->path);
		if (result < 0) {
			log_line(s, LEVEL_WARNING, service->name,
				 "cannot open its log %s: %s; the daemon's log is used",
				 kind == LOGGER_FILE ? log->path : "", strerror(-result));
			if (target != NULL)
				s->logger.target_count--;
			return;
		}
	}
	target->used = true;
}

int targets_apply(struct supervisor *s, const struct table *table, char *problem, size_t size)
{
	int result = apply_daemon(s, table, problem, size);

	if (result < 0)
		return result;
	for (size_t i = 1; i < s->logger.target_count; i++)
		s->logger.target[i].used = false;
	for (size_t i = 0; i < table->service_count; i++)
		apply_service(s, &table->service[i]);
	return 0;
}

uint32_t target_of(const struct supervisor *s, const struct table_log *log)
{
	if (log->kind == LOG_DEFAULT)
		return LOGGER_DAEMON;
	const struct log_target *target = find(s, kind_of(s, log->kind), log->path);
	return target != NULL ? (uint32_t)(target - s->logger.target) : LOGGER_DAEMON;
}

static void push(struct supervisor *s, size_t index)
{
	const struct log_target *target = &s->logger.target[index];
	struct logger_message message = {.version = LOGGER_VERSION,
					 .type = LOGGER_TARGET,
					 .target = {.target = (uint32_t)index, .kind = target->kind}};
	int fd = target->kind == LOGGER_FILE     ? target->fd
		 : target->kind == LOGGER_STDERR ? STDERR_FILENO
						 : -1;

	logger_send(s, &message, fd);
}

void targets_push(struct supervisor *s)
{
	for (size_t i = 0; i < s->logger.target_count; i++)
		push(s, i);
}

void logger_reopen(struct supervisor *s)
{
	for (size_t i = 0; i < s->logger.target_count; i++) {
		struct log_target *target = &s->logger.target[i];
		if (!target->used || target->kind != LOGGER_FILE)
			continue;
		int fd = open_log(target->path);
		if (fd < 0) {
			log_line(s, LEVEL_ERROR, NULL,
				 "cannot open the log %s again: %s; the old file is kept", target->path,
				 strerror(-fd));
			continue;
		}
		logger_close_fd(s, target->fd);
		target->fd = fd;
		push(s, i);
	}
	log_line(s, LEVEL_NOTICE, NULL, "log files were opened again");
}

void targets_free(struct supervisor *s)
{
	for (size_t i = 0; i < s->logger.target_count; i++) {
		free(s->logger.target[i].path);
		if (s->logger.target[i].fd >= 0)
			close(s->logger.target[i].fd);
	}
	free(s->logger.target);
	s->logger.target = NULL;
	s->logger.target_count = 0;
}
