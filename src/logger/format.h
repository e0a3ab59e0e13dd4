/*
 * format.h: one entry of the log, in the forms that the targets want.  Pure, but for the time zone.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "line.h"
#include "logger_link.h"

#define FORMAT_BYTES (LINE_MAX_BYTES + 512) /* room for every form of an entry */

struct entry {
	uint64_t time_us;        /* CLOCK_REALTIME */
	enum logger_level level;
	const char *name;        /* of the service; "": the daemon itself */
	int32_t pid;             /* of the server that printed it; 0: the daemon speaks */
	uint32_t generation;     /* of that server, while two of its instance print; 0: it is the only one */
	const char *text;        /* safe to show */
};

const char *format_level(enum logger_level level);

/*
 * For files and standard error, newline included; what the parts mean:
 *     2026-11-21T03:04:05.123+00:00 info web[1234]: listening
 *     time with milliseconds and zone, level, service and pid of the server that printed the text
 *     2026-11-21T03:04:05.123+00:00 info web#3[1234]: listening
 *     while the service rolls: a server of generation 3, beside one of another generation in its place
 *     2026-11-21T03:04:05.123+00:00 warning web: connection 1:42 from 10.0.0.7:4431 closed: ...
 *     without a pid: what the daemon has to say about the service; "lust-inetd" for the service: about itself
 * Returns the length, at most size.
 */
size_t format_file(const struct entry *entry, char *out, size_t size);

/* A datagram for /dev/log; daemon: the pid in its tag. */
size_t format_syslog(const struct entry *entry, pid_t daemon, char *out, size_t size);

/* A datagram of the journal's native protocol. */
size_t format_journal(const struct entry *entry, char *out, size_t size);

#endif
