/*
 * deliver.h: puts bytes into whatever a log goes to, without ever waiting for it.
 */
#ifndef DELIVER_H
#define DELIVER_H

#include <stddef.h>

enum deliver_way {
	DELIVER_FILE,     /* regular file: write(2), which does not wait for others */
	DELIVER_PIPE,     /* pipe, FIFO, terminal: may be full; not ours to make non-blocking */
	DELIVER_STREAM,   /* stream socket */
	DELIVER_DATAGRAM, /* syslog, journal: all or nothing */
};

enum deliver_way deliver_way(int fd);

/*
 * Moves *done towards length.  0: all done; -EAGAIN: later; another negative errno: it failed, *done tells how
 * much of it is out all the same.
 */
int deliver(int fd, enum deliver_way way, const char *bytes, size_t length, size_t *done);

/* A datagram socket connected to the Unix socket at path, close-on-exec, or -errno. */
int deliver_connect(const char *path);

#endif
