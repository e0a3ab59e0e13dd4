/*
 * unix_queue.c: the queue of a listening Unix socket.  No socket option tells it: the kernel's socket diagnosis does, to
 * everybody.  It answers within sendmsg(2), so nothing here waits.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listeners.h"

struct question {
	struct nlmsghdr header;
	struct unix_diag_req asked;
};

union answer {
	struct nlmsghdr header;
	char bytes[1024];
};

static int ask(int netlink, uint32_t inode)
{
	struct question question = {
		.header = {.nlmsg_len = sizeof(question),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST},
		.asked = {.sdiag_family = AF_UNIX,
			  .udiag_states = UINT32_MAX,
			  .udiag_ino = inode,
			  .udiag_show = UDIAG_SHOW_RQLEN,
			  .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
	};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t sent = sendto(netlink, &question, sizeof(question), MSG_DONTWAIT, (struct sockaddr *)&kernel,
			      sizeof(kernel));

	return sent < 0 ? -errno : 0;
}

static int read_answer(int netlink, uint32_t inode, struct unix_diag_rqlen *queue)
{
	union answer answer;
	ssize_t length = recv(netlink, &answer, sizeof(answer), MSG_DONTWAIT);
	size_t left = length > 0 ? (size_t)length : 0;

	if (length < 0)
		return -errno;
	if (!NLMSG_OK(&answer.header, left) || answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
		return -EPROTO;
	struct unix_diag_msg *said = NLMSG_DATA(&answer.header);
	if (said->udiag_ino != inode)
		return -EPROTO;
	size_t room = answer.header.nlmsg_len - NLMSG_LENGTH(sizeof(*said));
	for (struct rtattr *at = (struct rtattr *)(said + 1); RTA_OK(at, room); at = RTA_NEXT(at, room)) {
		if (at->rta_type != UNIX_DIAG_RQLEN || RTA_PAYLOAD(at) < sizeof(*queue))
			continue;
		memcpy(queue, RTA_DATA(at), sizeof(*queue));
		return 0;
	}
	return -ENODATA;
}

int unix_queue(int fd, uint32_t *waiting)
{
	struct stat info;
	struct unix_diag_rqlen queue = {0};

	if (fstat(fd, &info) < 0)
		return -errno;
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0)
		return -errno;
	int result = ask(netlink, (uint32_t)info.st_ino);
	if (result == 0)
		result = read_answer(netlink, (uint32_t)info.st_ino, &queue);
	close(netlink);
	if (result < 0)
		return result;
	*waiting = queue.udiag_rqueue;
	return 0;
}
