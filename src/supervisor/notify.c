/*
 * notify.c: tells the service manager how we are, as sd_notify(3) does, without its library.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor.h"

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

	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length = strlen(s->notify_socket);
	if (length >= sizeof(to.sun_path)) {
		log_line(s, LEVEL_WARNING, NULL,
			 "NOTIFY_SOCKET is too long for a socket's address: not told");
		return;
	}
	memcpy(to.sun_path, s->notify_socket, length);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		log_line(s, LEVEL_WARNING, NULL, "cannot make a socket for NOTIFY_SOCKET: %s",
			 strerror(errno));
		return;
	}
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0)
		log_line(s, LEVEL_WARNING, NULL, "cannot tell NOTIFY_SOCKET %s: %s", s->notify_socket,
			 strerror(errno));
	close(fd);
}
