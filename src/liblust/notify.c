/*
 * notify.c: a service manager's NOTIFY_SOCKET, watchdog and LISTEN_FDS, as sd_notify(3) and sd_listen_fds(3) describe them,
 * without their library.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lust.h"

int lust_notify_open(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length;
	int fd, error;

	if (!path)
		path = getenv("NOTIFY_SOCKET");
	length = path ? strlen(path) : 0;
	if (length == 0)
		return -ENOENT;
	if ((path[0] != '/' && path[0] != '@') || length < 2)
		return -EINVAL;
	/* A path needs its NUL only when there is room; an abstract name has none. */
	if (length > sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, length);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0)
		return fd;
	error = errno == ENOENT ? ECONNREFUSED : errno; /* -ENOENT says that there is no NOTIFY_SOCKET */
	close(fd);
	return -error;
}

int lust_notify_to(int notify, const char *state)
{
	/* A manager that does not read must not stop its daemon. */
	return send(notify, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 1;
}

int lust_notify(const char *state)
{
	int fd = lust_notify_open(NULL), result;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	result = lust_notify_to(fd, state);
	close(fd);
	return result;
}

/* A whole decimal number of the environment; 0: none. */
static unsigned long long number_of(const char *name)
{
	const char *text = getenv(name);
	unsigned long long number;
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	return errno || *end ? 0 : number;
}

uint64_t lust_notify_watchdog(void)
{
	if (getenv("WATCHDOG_PID") && number_of("WATCHDOG_PID") != (unsigned long long)getpid())
		return 0;
	return number_of("WATCHDOG_USEC");
}

int lust_listen_fds(void)
{
	unsigned long long count = number_of("LISTEN_FDS");

	if (number_of("LISTEN_PID") != (unsigned long long)getpid())
		return 0;
	if (count > INT_MAX - LUST_LISTEN_FDS_START)
		return -EINVAL;
	for (int fd = LUST_LISTEN_FDS_START; fd < LUST_LISTEN_FDS_START + (int)count; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
			return -errno;
	}
	return (int)count;
}

const char *lust_listen_name(unsigned position, char name[256])
{
	const char *at = getenv("LISTEN_FDNAMES");
	size_t length;

	name[0] = '\0';
	for (; at && position > 0; position--) {
		at = strchr(at, ':');
		at = at ? at + 1 : NULL;
	}
	length = at ? strcspn(at, ":") : 0;
	if (length == 0 || length > 255)
		return name;
	memcpy(name, at, length);
	name[length] = '\0';
	return name;
}
