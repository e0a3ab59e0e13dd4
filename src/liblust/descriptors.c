/*
 * descriptors.c: one descriptor, or credentials, over a Unix socket; what a descriptor is.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lust.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76 /* Linux 6.5 */
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int lust_send_fd(int socket, int fd)
{
	char byte = 0; /* on a stream, descriptors travel with data only */
	struct lust_packet packet = {.data = &byte, .size = 1, .fds = &fd, .fds_size = 1};
	ssize_t sent = lust_send_packet(socket, &packet, 0);

	return sent < 0 ? (int)sent : 0;
}

int lust_receive_fd(int socket)
{
	char byte;
	int fd;
	struct lust_packet packet = {.data = &byte, .size = 1, .fds = &fd, .fds_size = 1};
	int result = lust_receive_packet(socket, &packet, 0);

	if (result < 0)
		return result;
	if (result == 0)
		return -ECONNRESET;
	if (packet.pidfd >= 0)
		close(packet.pidfd);
	if (packet.fds_count == 1)
		return fd;
	return packet.truncated ? -EMFILE : -ENOMSG;
}

static int switch_on(int socket, int option)
{
	int on = 1;

	return setsockopt(socket, SOL_SOCKET, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

int lust_allow_credentials(int socket)
{
	return switch_on(socket, SO_PASSCRED);
}

int lust_allow_pidfd(int socket)
{
	return switch_on(socket, SO_PASSPIDFD);
}

int lust_peer_pidfd(int socket)
{
	int fd = -1;
	socklen_t length = sizeof(fd);

	return getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) < 0 ? -errno : fd;
}

int lust_send_credentials(int socket, const struct lust_credentials *credentials)
{
	char byte = 0;
	struct lust_packet packet = {.data = &byte, .size = 1, .send_credentials = 1};
	ssize_t sent;

	if (credentials)
		packet.credentials = *credentials;
	sent = lust_send_packet(socket, &packet, 0);
	return sent < 0 ? (int)sent : 0;
}

int lust_receive_credentials(int socket, struct lust_credentials *credentials)
{
	char byte;
	struct lust_packet packet = {.data = &byte, .size = 1};
	int result = lust_receive_packet(socket, &packet, 0);

	if (result < 0)
		return result;
	if (result == 0)
		return -ECONNRESET;
	if (packet.pidfd >= 0)
		close(packet.pidfd);
	/* pid 0, and with it "nobody", is what the kernel says of a message that was sent before the receiver asked. */
	if (!packet.has_credentials || packet.credentials.pid == 0)
		return -ENOMSG;
	*credentials = packet.credentials;
	return 0;
}

static int socket_kind(int fd)
{
	int type = 0, listening = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return -errno;
	length = sizeof(int);
	/* Not every family knows the question: then nobody listens there. */
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening)
		return LUST_FD_LISTENER;
	switch (type) {
	case SOCK_STREAM:
		return LUST_FD_STREAM;
	case SOCK_DGRAM:
		return LUST_FD_DATAGRAM;
	case SOCK_SEQPACKET:
		return LUST_FD_PACKETS;
	default:
		return LUST_FD_OTHER;
	}
}

int lust_fd_kind(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	switch (status.st_mode & S_IFMT) {
	case S_IFSOCK:
		return socket_kind(fd);
	case S_IFREG:
		return LUST_FD_FILE;
	case S_IFDIR:
		return LUST_FD_DIRECTORY;
	case S_IFIFO:
		return LUST_FD_PIPE;
	default:
		return LUST_FD_OTHER;
	}
}
