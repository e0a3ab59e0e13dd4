/*
 * linger.c: see linger.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "linger.h"

#include <sys/socket.h>
#include <unistd.h>

void linger_close(int fd)
{
	struct linger linger = {0};
	socklen_t length = sizeof(linger);
	/* A time of zero asks for a reset and never waits: that is the server's business. */
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 && linger.l_onoff &&
	    linger.l_linger) {
		linger = (struct linger){0};
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(fd);
}
