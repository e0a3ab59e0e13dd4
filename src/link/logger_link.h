/*
 * logger_link.h: supervisor to logger, over a SOCK_SEQPACKET pair (channel.h).  The supervisor opens every
 * log file and makes every pipe; the logger reads, formats and writes.
 */
#ifndef LOGGER_LINK_H
#define LOGGER_LINK_H

#include <stdint.h>

#define LOGGER_VERSION 1
#define LOGGER_NAME 64
#define LOGGER_LINE 1024
#define LOGGER_DAEMON 0u /* target 0 is the daemon's own log */

/* Exit codes.  It exits 0 at the link's end, after it has written all that was left in its pipes. */
#define LOGGER_EXIT_PROTOCOL 70  /* a message that makes no sense */
#define LOGGER_EXIT_RECONNECT 75 /* syslog or the journal was restarted: only a new logger, outside the jail, can connect */

enum logger_type {
	/* supervisor to logger; in brackets the descriptors */
	LOGGER_HELLO = 1,   /* hello [event pipe's reading end] */
	LOGGER_TARGET = 2,  /* target [file, when kind is FILE or STDERR; a connected socket may come with SYSLOG and
	                       JOURNAL in place of the one that the logger made before its jail]; an index again: reopened */
	LOGGER_SERVICE = 3, /* service: index, name and target, for events */
	LOGGER_SOURCE = 4,  /* source [pipe's reading end]: standard output and error of one server */
	LOGGER_TEXT = 5,    /* line: the supervisor's own */
	LOGGER_LEVEL = 6,   /* level; best after targets and services: the event pipe is read once this and target 0 were
	                       told, so that events find names and places */

	LOGGER_FORGET = 7,  /* target: nothing goes there any more; closed after one more try to write what waits for it */
	LOGGER_PING = 8,    /* ping: answered by PONG */

	/* logger to supervisor */
	LOGGER_READY = 65,
	LOGGER_SOURCE_END = 66, /* source: end of file; .last is the last line that it printed */
	LOGGER_LAST = 67,       /* source: .last changed; at most once a second for each source */
	LOGGER_PONG = 68,       /* ping: the same number */
};

enum logger_kind { LOGGER_NONE = 0, LOGGER_SYSLOG = 1, LOGGER_STDERR = 2, LOGGER_JOURNAL = 3, LOGGER_FILE = 4 };

struct logger_hello {
	uint32_t unprivileged; /* skip jail and setuid */
	uint32_t uid, gid;
	char jail[108];
};

struct logger_target {
	uint32_t target;       /* index; LOGGER_DAEMON is the daemon's */
	uint32_t kind;         /* enum logger_kind */
};

struct logger_service {
	uint32_t service;
	uint32_t target;
	char name[LOGGER_NAME];
};

struct logger_source {
	uint32_t source;       /* the supervisor's number, never used twice */
	uint32_t target;
	uint32_t instance;     /* 0: from outside */
	uint32_t generation;   /* tells two that run as one instance apart */
	int32_t pid;
	char name[LOGGER_NAME];
	char last[128];        /* SOURCE_END, LAST: cleaned of control characters */
};

enum logger_level { LEVEL_ERROR = 0, LEVEL_WARNING = 1, LEVEL_NOTICE = 2, LEVEL_INFO = 3, LEVEL_DEBUG = 4 };

struct logger_line {
	uint32_t level;        /* enum logger_level */
	uint32_t target;
	char name[LOGGER_NAME]; /* service, or "" */
	char text[LOGGER_LINE];
};

struct logger_message {
	uint16_t version;      /* LOGGER_VERSION */
	uint16_t type;         /* enum logger_type */
	uint32_t reserved;
	union {
		struct logger_hello hello;
		struct logger_target target;
		struct logger_service service;
		struct logger_source source;
		struct logger_line line;
		uint32_t level;
		uint64_t ping;
	};
};

#endif
