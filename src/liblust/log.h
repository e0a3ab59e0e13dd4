/*
 * log.h: where log lines go.  Private to liblust: log.c makes lines, log_sink.c delivers them.
 */
#ifndef LUST_LOG_H
#define LUST_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "lust.h"

#define LUST_LOG_LINE 8192 /* bytes of text a line at most */
#define LUST_LOG_NAME 64

enum lust_log_kind { LUST_LOG_PLAIN, LUST_LOG_STDERR, LUST_LOG_SYSLOG, LUST_LOG_JOURNAL, LUST_LOG_FILE };

/* PLAIN: nothing was opened: "NAME: text" on standard error, for whoever sits there. */
struct lust_log_sink {
	enum lust_log_kind kind;
	int fd;     /* file, journal; -1: none */
	char *path; /* of a file, or what openlog(3) keeps a pointer to; owned */
	char name[LUST_LOG_NAME];
};

/* Opens what `target` names.  0 or -errno. */
int lust_log_sink_open(struct lust_log_sink *sink, const char *name, const char *target);
/* openlog(3), with the connection made at once: before a jail. */
void lust_log_connect_syslog(const char *ident);
void lust_log_sink_close(struct lust_log_sink *sink);
/* One line of `length` bytes, its level and time said in the sink's own manner.  What cannot be delivered is gone. */
void lust_log_sink_write(const struct lust_log_sink *sink, int level, const char *text, size_t length);
/* A descriptor whose every line goes to the sink: for standard output and error.  The caller's, or -errno. */
int lust_log_sink_stream(const struct lust_log_sink *sink);

const char *lust_log_level_name(int level);

/* The same of the log that is open. */
int lust_log_stream(void);

/* Around the closing of descriptors: the one that must stay (-1: none), and syslog's connection, whose number nobody knows,
   taken down before and up again after. */
int lust_log_before_closing(void);
void lust_log_after_closing(void);

#endif
