/*
 * unix_leftover.h: a Unix socket that whoever made it left behind.  Private to liblust and the daemon.
 */
#ifndef LUST_UNIX_LEFTOVER_H
#define LUST_UNIX_LEFTOVER_H

#include <sys/un.h>

/* Removes a socket of this path at which nobody listens.  0: gone, or there was none; -EADDRINUSE: somebody listens, or it
   cannot be told that nobody does; -EEXIST: something else has that name; -errno.  Never waits. */
int lust_unix_leftover_remove(const struct sockaddr_un *address);

#endif
