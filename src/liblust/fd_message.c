/*
 * fd_message.c: see fd_message.h and lust_send_packet() in lust.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "fd_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5: a descriptor too, if somebody set SO_PASSPIDFD on the socket */
#endif

#define KERNEL_FDS 253 /* SCM_MAX_FD */

_Static_assert(sizeof(struct ucred) == sizeof(struct lust_credentials),
	       "one is the other with a public name");

/* All that can come: what does not fit the kernel closes by itself, and waits for SO_LINGER.  Credentials come before
   the descriptors. */
#define CONTROL_ROOM                                                                                         \
	(CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(KERNEL_FDS * sizeof(int)))

union control {
	struct cmsghdr align;
	char room[CONTROL_ROOM];
};

/* ---- sending ---- */

static void add_control(struct msghdr *header, union control *control, int type, const void *data,
			size_t length)
{
	struct cmsghdr *cmsg = (struct cmsghdr *)(void *)(control->room + header->msg_controllen);

	/* The padding goes to the kernel too. */
	memset(cmsg, 0, CMSG_SPACE(length));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(length);
	memcpy(CMSG_DATA(cmsg), data, length);
	header->msg_control = control;
	header->msg_controllen += CMSG_SPACE(length);
}

/* who: NULL leaves it to the kernel.  The bytes that went, or -errno. */
static ssize_t send_all(int socket, struct iovec part, const int *fds, unsigned count,
			const struct ucred *who, int flags)
{
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	union control control;

	if (who)
		add_control(&header, &control, SCM_CREDENTIALS, who, sizeof(*who));
	if (count)
		add_control(&header, &control, SCM_RIGHTS, fds, count * sizeof(*fds));
	ssize_t sent = sendmsg(socket, &header, flags | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

int lust_message_send(int socket, const void *data, size_t length, const int *fds, unsigned count, int flags)
{
	if (count > LUST_MESSAGE_FDS)
		return -EINVAL;
	ssize_t sent = send_all(socket, (struct iovec){(void *)data, length}, fds, count, NULL, flags);
	return sent < 0 ? (int)sent : 0;
}

ssize_t lust_send_packet(int socket, const struct lust_packet *packet, int flags)
{
	struct ucred who = {.pid = packet->credentials.pid,
			    .uid = packet->credentials.uid,
			    .gid = packet->credentials.gid};

	/* Without a byte a stream carries nothing, and a packet looks like the end of file. */
	if (packet->size == 0 || packet->fds_size > LUST_FDS_MAX || flags & ~MSG_DONTWAIT)
		return -EINVAL;
	if (packet->send_credentials && who.pid == 0)
		who = (struct ucred){.pid = getpid(), .uid = getuid(), .gid = getgid()};
	return send_all(socket, (struct iovec){packet->data, packet->size}, packet->fds, packet->fds_size,
			packet->send_credentials ? &who : NULL, flags);
}

/* ---- receiving ---- */

/* What came beside the data. */
struct arrival {
	int *fd;
	unsigned wanted, count;
	bool wants_pidfd;
	int pidfd;
	bool surplus, truncated, has_credentials;
	struct lust_credentials credentials;
};

static void keep_descriptors(struct arrival *arrival, const struct cmsghdr *cmsg)
{
	size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
		if (cmsg->cmsg_type == SCM_RIGHTS && arrival->count < arrival->wanted) {
			arrival->fd[arrival->count++] = fd;
			continue;
		}
		if (cmsg->cmsg_type == SCM_PIDFD && arrival->wants_pidfd && arrival->pidfd < 0) {
			arrival->pidfd = fd < 0 ? -1 : fd; /* the kernel says -ESRCH and the like */
			continue;
		}
		if (cmsg->cmsg_type == SCM_RIGHTS)
			arrival->surplus = true;
		if (fd >= 0)
			lust_close_unlingered(fd);
	}
}

static void keep_credentials(struct arrival *arrival, const struct cmsghdr *cmsg)
{
	if (cmsg->cmsg_len < CMSG_LEN(sizeof(arrival->credentials)))
		return;
	memcpy(&arrival->credentials, CMSG_DATA(cmsg), sizeof(arrival->credentials));
	arrival->has_credentials = true;
}

static void close_from(const int *fd, unsigned from, unsigned count)
{
	for (unsigned i = from; i < count; i++)
		lust_close_unlingered(fd[i]);
}

/* 1 with *length, 0 at the end of file, or -errno. */
static int receive_all(int socket, struct iovec part, struct arrival *arrival, size_t *length, int flags)
{
	union control control;
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};
	ssize_t got;

	header.msg_controllen = CONTROL_ROOM;
	/* MSG_TRUNC: the whole length of a packet, even beyond the room.  Unix streams know no such thing
	   and ignore it. */
	got = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (got < 0)
		return -errno;
	arrival->truncated = header.msg_flags & MSG_CTRUNC;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header); cmsg; cmsg = CMSG_NXTHDR(&header, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_len < CMSG_LEN(0))
			continue;
		if (cmsg->cmsg_type == SCM_RIGHTS || cmsg->cmsg_type == SCM_PIDFD)
			keep_descriptors(arrival, cmsg);
		else if (cmsg->cmsg_type == SCM_CREDENTIALS)
			keep_credentials(arrival, cmsg);
	}
	*length = (size_t)got;
	if (got > 0)
		return 1;
	close_from(arrival->fd, 0, arrival->count);
	if (arrival->pidfd >= 0)
		close(arrival->pidfd);
	return 0;
}

int lust_message_receive(int socket, void *data, size_t room, struct lust_message *message, unsigned wanted,
			 int flags)
{
	struct arrival arrival = {.fd = message->fd, .wanted = wanted, .pidfd = -1};
	int result;

	if (wanted > LUST_MESSAGE_FDS)
		return -EINVAL;
	result = receive_all(socket, (struct iovec){data, room}, &arrival, &message->length, flags);
	if (result <= 0)
		return result;
	message->count = arrival.count;
	message->surplus = arrival.surplus;
	message->truncated = arrival.truncated;
	message->has_credentials = arrival.has_credentials;
	message->credentials = arrival.credentials;
	return 1;
}

void lust_message_close_from(struct lust_message *message, unsigned from)
{
	close_from(message->fd, from, message->count);
	if (message->count > from)
		message->count = from;
}

int lust_receive_packet(int socket, struct lust_packet *packet, int flags)
{
	struct arrival arrival = {
		.fd = packet->fds, .wanted = packet->fds_size, .wants_pidfd = true, .pidfd = -1};
	int result;

	/* Whatever comes of it, what is asked of the packet afterwards is true. */
	packet->length = 0;
	packet->fds_count = 0;
	packet->has_credentials = packet->surplus = packet->truncated = 0;
	packet->pidfd = -1;
	if (packet->size == 0 || flags & ~MSG_DONTWAIT)
		return -EINVAL;
	result = receive_all(socket, (struct iovec){packet->data, packet->size}, &arrival, &packet->length,
			     flags);
	if (result <= 0)
		return result;
	packet->fds_count = arrival.count;
	packet->surplus = arrival.surplus;
	packet->truncated = arrival.truncated;
	packet->has_credentials = arrival.has_credentials;
	packet->credentials = arrival.credentials;
	packet->pidfd = arrival.pidfd;
	return 1;
}
