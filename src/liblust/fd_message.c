/*
 * fd_message.c: see fd_message.h.
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
#define SCM_PIDFD 0x04 /* a descriptor too, if somebody set SO_PASSPIDFD on the socket */
#endif

#define KERNEL_FDS 253 /* SCM_MAX_FD */

/* All that can come: what does not fit the kernel closes by itself, and waits for SO_LINGER.  Credentials come before
   the descriptors. */
#define CONTROL_ROOM                                                                                         \
	(CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(KERNEL_FDS * sizeof(int)))

int lust_message_send(int socket, const void *data, size_t length, const int *fds, unsigned count, int flags)
{
	struct iovec part = {.iov_base = (void *)data, .iov_len = length};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(LUST_MESSAGE_FDS * sizeof(int))];
	} control;

	if (count > LUST_MESSAGE_FDS)
		return -EINVAL;
	if (count) {
		struct cmsghdr *cmsg = &control.align;

		/* The padding after an odd number of descriptors goes to the kernel too. */
		memset(&control, 0, CMSG_SPACE(count * sizeof(int)));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	return sendmsg(socket, &header, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void lust_close_unlingered(int fd)
{
	struct linger linger = {0};
	socklen_t length = sizeof(linger);

	/* A time of zero asks for a reset and never waits. */
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 && linger.l_onoff &&
	    linger.l_linger) {
		linger = (struct linger){0};
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(fd);
}

static void keep_descriptors(struct lust_message *message, const struct cmsghdr *cmsg, unsigned wanted)
{
	size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
		if (cmsg->cmsg_type == SCM_RIGHTS && message->count < wanted) {
			message->fd[message->count++] = fd;
			continue;
		}
		if (cmsg->cmsg_type == SCM_RIGHTS)
			message->surplus = true;
		if (fd >= 0)
			lust_close_unlingered(fd);
	}
}

static void keep_credentials(struct lust_message *message, const struct cmsghdr *cmsg)
{
	struct ucred from;

	if (cmsg->cmsg_len < CMSG_LEN(sizeof(from)))
		return;
	memcpy(&from, CMSG_DATA(cmsg), sizeof(from));
	message->has_credentials = true;
	message->credentials.pid = from.pid;
	message->credentials.uid = from.uid;
	message->credentials.gid = from.gid;
}

int lust_message_receive(int socket, void *data, size_t room, struct lust_message *message, unsigned wanted,
			 int flags)
{
	struct iovec part = {.iov_base = data, .iov_len = room};
	union {
		struct cmsghdr align;
		char room[CONTROL_ROOM];
	} control;
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};
	ssize_t length;

	if (wanted > LUST_MESSAGE_FDS)
		return -EINVAL;
	header.msg_controllen = CONTROL_ROOM;
	/* MSG_TRUNC: the whole length of a packet, even beyond the room.  Unix streams know no such thing
	   and ignore it. */
	length = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (length < 0)
		return -errno;

	message->count = 0;
	message->surplus = message->has_credentials = false;
	message->truncated = header.msg_flags & MSG_CTRUNC;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header); cmsg; cmsg = CMSG_NXTHDR(&header, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_len < CMSG_LEN(0))
			continue;
		if (cmsg->cmsg_type == SCM_RIGHTS || cmsg->cmsg_type == SCM_PIDFD)
			keep_descriptors(message, cmsg, wanted);
		else if (cmsg->cmsg_type == SCM_CREDENTIALS)
			keep_credentials(message, cmsg);
	}
	if (length == 0) {
		lust_message_close_from(message, 0);
		return 0;
	}
	message->length = (size_t)length;
	return 1;
}

void lust_message_close_from(struct lust_message *message, unsigned from)
{
	for (unsigned i = from; i < message->count; i++)
		lust_close_unlingered(message->fd[i]);
	if (message->count > from)
		message->count = from;
}
