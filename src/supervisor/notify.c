/*
 * notify.c: tells the service manager how we are.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lifecycle.h"
#include "logging.h"
#include "lust.h"

void notify_open(struct supervisor *s)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path != NULL && (path[0] == '/' || path[0] == '@') && path[1] != '\0')
		s->notify_socket = strdup(path);
	/* Servers get one of their own or none: never the daemon's. */
	unsetenv("NOTIFY_SOCKET");
}

void notify_send(struct supervisor *s, const char *state)
{
	if (s->notify_socket == NULL)
		return;

	/* Anew each time: the manager may have been replaced, and its socket with it. */
	int fd = lust_notify_open(s->notify_socket);
	int result = fd < 0 ? fd : lust_notify_to(fd, state);
	if (result < 0)
		log_line(s, LEVEL_WARNING, NULL, "cannot tell NOTIFY_SOCKET %s: %s", s->notify_socket,
			 strerror(-result));
	if (fd >= 0)
		close(fd);
}
