/*
 * unlingered.h: closing a descriptor that another process has had.  For all programs, also those that link nothing
 * else of liblust's inside.
 */
#ifndef LUST_UNLINGERED_H
#define LUST_UNLINGERED_H

#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/* SO_LINGER belongs to the socket, and the last close would wait for it, seconds, even with O_NONBLOCK: it is cleared
   first.  True: it was set. */
static inline bool lust_close_unlingered(int fd)
{
	struct linger linger = {0};
	socklen_t length = sizeof(linger);

	/* A time of zero asks for a reset and never waits. */
	bool lingers = getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 && linger.l_onoff &&
		       linger.l_linger;
	if (lingers) {
		linger = (struct linger){0};
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(fd);
	return lingers;
}

#endif
