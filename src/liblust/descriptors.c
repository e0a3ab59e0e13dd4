/*
 * descriptors.c: one descriptor, or credentials, over a Unix socket.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd_message.h"

int lust_send_fd(int socket, int fd)
{
	/* On a stream, descriptors travel with data only. */
	return lust_message_send(socket, "", 1, &fd, 1, 0);
}

int lust_receive_fd(int socket)
{
	struct lust_message message;
	char byte;
	int result = lust_message_receive(socket, &byte, 1, &message, 1, 0);

	if (result < 0)
		return result;
	if (result == 0)
		return -ECONNRESET;
	if (message.count == 1)
		return message.fd[0];
	return message.truncated ? -EMFILE : -ENOMSG;
}

int lust_allow_credentials(int socket)
{
	int on = 1;

	return setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

int lust_send_credentials(int socket, const struct lust_credentials *credentials)
{
	struct ucred who = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
	char byte = 0;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr cmsg;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control)};

	if (credentials)
		who = (struct ucred){
			.pid = credentials->pid, .uid = credentials->uid, .gid = credentials->gid};
	memset(&control, 0, sizeof(control));
	control.cmsg.cmsg_level = SOL_SOCKET;
	control.cmsg.cmsg_type = SCM_CREDENTIALS;
	control.cmsg.cmsg_len = CMSG_LEN(sizeof(who));
	memcpy(CMSG_DATA(&control.cmsg), &who, sizeof(who));
	return sendmsg(socket, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int lust_receive_credentials(int socket, struct lust_credentials *credentials)
{
	struct lust_message message;
	char byte;
	int result = lust_message_receive(socket, &byte, 1, &message, 0, 0);

	if (result < 0)
		return result;
	if (result == 0)
		return -ECONNRESET;
	if (!message.has_credentials)
		return -ENOMSG;
	*credentials = message.credentials;
	return 0;
}
