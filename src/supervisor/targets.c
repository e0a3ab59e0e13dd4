/*
 * targets.c: see targets.h.  Index 0 is the daemon's own log; any other lives, under one index, as long as the table or
 * a server that still prints into it needs it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "logging.h"
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

/* From index 1 on; NULL: none. */
static struct log_target *find(struct log_target *target, size_t count, enum logger_kind kind,
			       const char *path)
{
	for (size_t i = 1; i < count; i++)
		if (same(&target[i], kind, path))
			return &target[i];
	return NULL;
}

/* The targets as they will be: those that exist at their place, new ones in gaps and behind. */
struct targets_plan {
	struct log_target *target;
	size_t count;
	size_t gap; /* no gap before it */
	bool taken;
};

static bool is_new(const struct log_target *target)
{
	return target->kind != LOGGER_NONE && target->planned;
}

static int fill(struct log_target *target, enum logger_kind kind, const char *path)
{
	struct log_target filled = {.kind = kind, .fd = -1, .planned = true};

	if (kind == LOGGER_FILE) {
		filled.path = strdup(path);
		filled.fd = filled.path == NULL ? -ENOMEM : open_log(path);
		if (filled.fd < 0) {
			free(filled.path);
			return filled.fd;
		}
	}
	*target = filled;
	return 0;
}

static int plan_daemon(const struct supervisor *s, struct targets_plan *plan, const struct table_log *log,
		       char *problem, size_t size)
{
	enum logger_kind kind = kind_of(s, log->kind);

	if (same(&plan->target[LOGGER_DAEMON], kind, log->path))
		return 0;
	int result = fill(&plan->target[LOGGER_DAEMON], kind, log->path);
	if (result < 0)
		snprintf(problem, size, "cannot open the log %s: %s", log->path, strerror(-result));
	return result;
}

static struct log_target *gap(struct targets_plan *plan)
{
	while (plan->gap < plan->count && plan->target[plan->gap].kind != LOGGER_NONE)
		plan->gap++;
	return &plan->target[plan->gap];
}

static void plan_service(struct supervisor *s, struct targets_plan *plan, const struct table_service *service)
{
	const struct table_log *log = &service->server->log;

	if (!service->has_server || log->kind == LOG_DEFAULT)
		return;
	enum logger_kind kind = kind_of(s, log->kind);
	struct log_target *target = find(plan->target, plan->count, kind, log->path);
	if (target == NULL) {
		target = gap(plan);
		int result = fill(target, kind, log->path);
		if (result < 0) {
			log_line(s, LEVEL_WARNING, service->name,
				 "cannot open its log %s: %s; the daemon's log is used",
				 kind == LOGGER_FILE ? log->path : "", strerror(-result));
			return;
		}
		if (target == &plan->target[plan->count])
			plan->count++;
	}
	target->used = true;
}

static size_t count_named(const struct table *table)
{
	size_t count = 0;

	for (size_t i = 0; i < table->service_count; i++)
		count += table->service[i].has_server && table->service[i].server->log.kind != LOG_DEFAULT;
	return count;
}

int targets_plan(struct supervisor *s, const struct table *table, struct targets_plan **made, char *problem,
		 size_t size)
{
	size_t most = 1 + s->logger.target_count + count_named(table);
	struct targets_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return -ENOMEM;
	plan->target = calloc(most, sizeof(*plan->target));
	if (plan->target == NULL) {
		free(plan);
		return -ENOMEM;
	}
	plan->target[LOGGER_DAEMON].fd = -1;
	plan->count = plan->gap = 1;
	for (size_t i = 0; i < s->logger.target_count; i++) {
		plan->target[i] = s->logger.target[i];
		plan->target[i].used = false;
		plan->count = i + 1;
	}
	int result = plan_daemon(s, plan, &table->log, problem, size);
	if (result < 0) {
		targets_plan_free(plan);
		return result;
	}
	plan->target[LOGGER_DAEMON].used = true;
	for (size_t i = 0; i < table->service_count; i++)
		plan_service(s, plan, &table->service[i]);
	*made = plan;
	return 0;
}

void targets_plan_free(struct targets_plan *plan)
{
	if (plan == NULL)
		return;
	for (size_t i = 0; !plan->taken && i < plan->count; i++) {
		if (!is_new(&plan->target[i]))
			continue;
		free(plan->target[i].path);
		if (plan->target[i].fd >= 0)
			close(plan->target[i].fd);
	}
	if (!plan->taken)
		free(plan->target);
	free(plan);
}

/* It may still be on its way to the logger. */
static void drop(struct supervisor *s, struct log_target *target)
{
	free(target->path);
	logger_close_fd(s, target->fd);
	*target = (struct log_target){.fd = -1};
}

void targets_take(struct supervisor *s, struct targets_plan *plan)
{
	for (size_t i = 0; i < s->logger.target_count; i++)
		if (is_new(&plan->target[i]) && s->logger.target[i].kind != LOGGER_NONE)
			drop(s, &s->logger.target[i]);
	free(s->logger.target);
	s->logger.target = plan->target;
	s->logger.target_count = plan->count;
	plan->taken = true;
	for (size_t i = 0; i < plan->count; i++)
		plan->target[i].planned = false;
}

void targets_release(struct supervisor *s)
{
	for (uint32_t i = 1; i < s->logger.target_count; i++) {
		struct log_target *target = &s->logger.target[i];
		if (target->kind == LOGGER_NONE || target->used || sources_use(s, i))
			continue;
		struct logger_message message = {
			.version = LOGGER_VERSION, .type = LOGGER_FORGET, .target = {.target = i}};
		logger_send(s, &message, -1);
		drop(s, target);
	}
}

uint32_t target_of(const struct supervisor *s, const struct table_log *log)
{
	if (log->kind == LOG_DEFAULT)
		return LOGGER_DAEMON;
	const struct log_target *target =
		find(s->logger.target, s->logger.target_count, kind_of(s, log->kind), log->path);
	return target != NULL ? (uint32_t)(target - s->logger.target) : LOGGER_DAEMON;
}

static void push(struct supervisor *s, size_t index)
{
	const struct log_target *target = &s->logger.target[index];
	if (target->kind == LOGGER_NONE)
		return;
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
