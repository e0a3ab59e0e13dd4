/*
 * logging.h: the supervisor's own lines, the logger as a process, and what it is told of logs and sources.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_LOGGING_H
#define SUPERVISOR_LOGGING_H

#include "supervisor.h"

/* ---- log.c: the supervisor's own lines: to the logger, to standard error without it ---- */
void log_line(struct supervisor *, enum logger_level, const char *service, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void log_flush_backlog(struct supervisor *); /* to the logger, as far as it takes them: what was said without it */
bool log_waits(const struct supervisor *); /* some lines do */
void log_take_back(struct supervisor *, struct channel *unread); /* a dead logger's end: lines that it did not receive */
uint64_t log_lost(const struct supervisor *);  /* lines that nobody would write if this program ended now */
void log_say_lost(struct supervisor *);        /* lost_lines of a program that ended: counted with our own */
void log_free(struct supervisor *);

/* ---- logger.c ---- */
int logger_start(struct supervisor *);
void logger_ended(struct supervisor *, int status);
void logger_push(struct supervisor *);                    /* level, targets, services, sources */
void logger_push_services(struct supervisor *);           /* those that it does not know so */
void logger_send(struct supervisor *, const struct logger_message *, int fd); /* nothing without a logger; fd -1: none */
void logger_close_fd(struct supervisor *, int fd);        /* after what is queued was sent */
void logger_adopt(struct supervisor *);                   /* one that an earlier program started: link.fd */
void logger_replace(struct supervisor *);                 /* it drains and exits; then a new one */
void logger_finish(struct supervisor *);                  /* the daemon stops: it drains and exits */

/* ---- targets.c: the logs that the table names ---- */
struct targets_plan;
/* Opens those that the table adds, beside the ones in use.  0, or -errno: the daemon's own cannot be opened, or memory. */
int targets_plan(struct supervisor *, const struct table *, struct targets_plan **, char *problem, size_t size);
void targets_plan_free(struct targets_plan *);            /* NULL is fine; closes what was not taken */
void targets_take(struct supervisor *, struct targets_plan *); /* in force; cannot fail */
void targets_release(struct supervisor *);                /* those that neither table nor a source names any more */
uint32_t target_of(const struct supervisor *, const struct table_log *);
void targets_push(struct supervisor *);
void logger_reopen(struct supervisor *);                  /* USR1 */
void targets_free(struct supervisor *);

/* ---- sources.c: what servers print ---- */
void logger_source(struct supervisor *, struct server *, int reading_end); /* a new server's output; owns the descriptor */
void sources_push(struct supervisor *);
void sources_answer(struct supervisor *, const struct logger_message *);   /* LAST, SOURCE_END */
void sources_forget(struct supervisor *, const struct server *);
bool sources_use(const struct supervisor *, uint32_t target);
bool sources_pending(const struct supervisor *, const struct server *); /* not all that it printed was read yet */
void sources_free(struct supervisor *);

#endif
