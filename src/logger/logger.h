/*
 * logger.h: what the files of lust-logger share.  One process, one loop, one struct logger.
 */
#ifndef LOGGER_H
#define LOGGER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "event.h"
#include "format.h"
#include "logger_link.h"
#include "service_names.h"
#include "target.h"

struct source;

struct logger {
	struct ev_loop *loop;
	struct channel link;
	struct ev_io link_read, link_write;
	struct ev_timer link_again; /* while watching for writing does not help */
	pid_t supervisor;
	enum logger_level level;

	struct target **targets; /* by index; NULL: not told */
	size_t target_count;
	struct target fallback;    /* standard error: where lines go before any target was told */
	struct ev_timer retry;     /* while a target does not take what it should */
	int syslog_fd, journal_fd; /* connected before the jail; -1: there is none */
	struct ev_timer reconnect; /* syslog or the journal went away: only a new logger can connect again */

	struct names names; /* of the services */
	struct source *sources;
	struct ev_timer tick; /* while a source has something to tell later */

	int events_fd; /* -1: none */
	struct ev_io events;
	bool has_target, has_level; /* events wait for both: before, nobody knows where they go */
	bool events_over;           /* the pipe ended or failed */
	uint64_t malformed; /* events that made no sense, not told yet */

	struct ev_signal terminate;
	int exit_code;
};


/* ---- logger.c ---- */
/* Takes over the link.  0 or -ENOMEM. */
int logger_init(struct logger *logger, int link_fd);
void logger_connect(struct logger *logger); /* syslog, journal, time zone: before the jail */
void logger_run(struct logger *logger);     /* until the link ends; then writes what is left */
void logger_free(struct logger *logger);

/* ---- output.c: to which target, and whether at all ---- */
void output_target(struct logger *logger, uint32_t index, enum logger_kind kind,
		   int fd); /* owns fd; -1: none came */
void output_forget(struct logger *logger, uint32_t index); /* one more try to write what waits, then closed */
void output_put(struct logger *logger, uint32_t target, const struct entry *entry);
void output_retry(struct ev_loop *loop, struct ev_timer *timer, int revents);
void output_finish(struct logger *logger); /* gives slow targets a last chance, for a bounded time */
void output_free(struct logger *logger);
/* One line of the logger itself, to the daemon's log. */
void output_say(struct logger *logger, enum logger_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
uint64_t now_us(void);

/* ---- orders.c: messages of the supervisor ---- */
/* Waits for HELLO, without a loop.  0 or -errno; the event pipe is set up. */
int orders_hello(struct logger *logger, struct logger_hello *hello);
void orders_start(struct logger *logger);
void orders_tell(struct logger *logger, const struct logger_message *message);
const char *orders_check(const struct logger_message *message,
			 unsigned fds); /* pure: NULL or what is wrong */

/* ---- events.c ---- */
void events_init(struct logger *logger, int fd); /* owns fd */
void events_start(struct logger *logger);        /* again is fine */
void events_drain(struct logger *logger);
void events_read(const struct event *events, size_t bytes, struct logger *logger); /* what one read gave */

/* ---- source.c: what servers print ---- */
void source_add(struct logger *logger, const struct logger_source *what, int fd); /* owns fd */
void source_drain(struct logger *logger); /* reads all that is left, then closes every source */
void source_tick(struct ev_loop *loop, struct ev_timer *timer, int revents);

/* ---- confine.c: for good ---- */
int confine(const struct logger_hello *hello); /* 0 or -errno */

#endif
