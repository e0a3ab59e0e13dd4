/*
 * deliver.c: see deliver.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "deliver.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum deliver_way deliver_way(int fd)
{
	struct stat status;
	int type = 0;
	socklen_t length = sizeof(type);

	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return DELIVER_FILE;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return DELIVER_PIPE;
	return type == SOCK_STREAM ? DELIVER_STREAM : DELIVER_DATAGRAM;
}

/*
 * Standard error is shared with the shell, so O_NONBLOCK must not be set on it.  Newer kernels take RWF_NOWAIT
 * for pipes; for older ones, and terminals, poll(2) promises room for PIPE_BUF bytes.
 */
static ssize_t write_pipe(int fd, const char *bytes, size_t length)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	ssize_t n = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);

	if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
		return n;
	n = poll(&ready, 1, 0);
	if (n < 0)
		return n;
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
}

static ssize_t put(int fd, enum deliver_way way, const char *bytes, size_t length)
{
	switch (way) {
	case DELIVER_FILE:
		return write(fd, bytes, length);
	case DELIVER_PIPE:
		return write_pipe(fd, bytes, length);
	case DELIVER_STREAM:
	case DELIVER_DATAGRAM:
		break;
	}
	return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int deliver(int fd, enum deliver_way way, const char *bytes, size_t length, size_t *done)
{
	while (*done < length) {
		ssize_t n = put(fd, way, bytes + *done, length - *done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOBUFS ? -EAGAIN : -errno;
		if (n == 0)
			return -EIO;
		*done += (size_t)n;
	}
	return 0;
}

int deliver_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd, error;

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}
