/*
 * target.h: one place that log lines go to.  What it does not take now waits in a bounded queue; what
 * does not fit there, or fails, is counted, and the count is logged once the target takes lines again.
 */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "deliver.h"
#include "format.h"
#include "logger_link.h"

#define TARGET_QUEUE (256 * 1024) /* bytes that wait for a slow target at most */

struct target_record;

struct target {
	enum logger_kind kind;
	int fd;                  /* -1: there is none (no syslog daemon, say) */
	bool owned;              /* fd is closed with the target; syslog's and the journal's are shared */
	enum deliver_way way;
	pid_t daemon;            /* in syslog's tag */
	struct target_record *first, **last;
	size_t queued;           /* bytes */
	uint64_t dropped;        /* lines, not told yet */
	int error;               /* errno of the last failure; 0: dropped because it was too slow, or none */
	bool torn;               /* half a line is in the file: begin with a newline */
};

/* -1 for fd: every line is dropped, and counted. */
void target_init(struct target *target, enum logger_kind kind, int fd, bool owned, pid_t daemon);

/* Reopened: the lines that still wait go to the new descriptor. */
void target_replace(struct target *target, enum logger_kind kind, int fd, bool owned);

/* Closes an owned descriptor; what is queued is lost. */
void target_close(struct target *target);

/* Writes, queues or drops the entry. */
void target_put(struct target *target, const struct entry *entry);

/* Tries again what waits, and to say what was dropped; now_us is the time of that line. */
void target_retry(struct target *target, uint64_t now_us);

/* Is there anything for target_retry() to do? */
bool target_waiting(const struct target *target);

#endif
