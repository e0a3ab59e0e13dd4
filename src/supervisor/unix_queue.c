/*
 * unix_queue.c: the queues of listening Unix sockets.  No socket option tells them: the kernel's socket diagnosis does,
 * to everybody.  For one socket it goes through all that there are, as it does for all of them: so it is asked once
 * for each answer to `status`.  It answers within sendmsg(2) and recvmsg(2), so nothing here waits.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listeners.h"

struct question {
	struct nlmsghdr header;
	struct unix_diag_req asked;
};

/* The kernel sends no more than this at once, whatever the room is. */
union answer {
	struct nlmsghdr header;
	char bytes[32768];
};

static int ask(int netlink)
{
	struct question question = {
		.header = {.nlmsg_len = sizeof(question),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.asked = {.sdiag_family = AF_UNIX,
			  .udiag_states = 1U << TCP_LISTEN,
			  .udiag_show = UDIAG_SHOW_RQLEN},
	};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t sent = sendto(netlink, &question, sizeof(question), MSG_DONTWAIT, (struct sockaddr *)&kernel,
			      sizeof(kernel));

	return sent < 0 ? -errno : 0;
}

static int keep(struct unix_queues *queues, const struct unix_queue *queue)
{
	if (queues->count == queues->room) {
		size_t room = queues->room ? queues->room * 2 : 64;
		struct unix_queue *more = reallocarray(queues->queue, room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		queues->queue = more;
		queues->room = room;
	}
	queues->queue[queues->count++] = *queue;
	return 0;
}

static int read_socket(struct unix_queues *queues, const struct nlmsghdr *header)
{
	struct unix_diag_msg *said = NLMSG_DATA(header);
	struct unix_diag_rqlen length;

	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_LENGTH(sizeof(*said)))
		return -EPROTO;
	size_t room = header->nlmsg_len - NLMSG_LENGTH(sizeof(*said));
	for (struct rtattr *at = (struct rtattr *)(said + 1); RTA_OK(at, room); at = RTA_NEXT(at, room)) {
		if (at->rta_type != UNIX_DIAG_RQLEN || RTA_PAYLOAD(at) < sizeof(length))
			continue;
		memcpy(&length, RTA_DATA(at), sizeof(length));
		/* Of a listening socket the second one is the bound of the first. */
		return keep(queues, &(struct unix_queue){.inode = said->udiag_ino,
							 .waiting = length.udiag_rqueue,
							 .backlog = length.udiag_wqueue});
	}
	return 0;
}

/* 1: that was the last part. */
static int read_part(struct unix_queues *queues, int netlink)
{
	union answer answer;
	ssize_t length = recv(netlink, &answer, sizeof(answer), MSG_DONTWAIT);

	if (length < 0)
		return errno == EINTR ? 0 : -errno;
	size_t left = (size_t)length;
	for (struct nlmsghdr *at = &answer.header; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
		if (at->nlmsg_type == NLMSG_DONE)
			return 1;
		int error = read_socket(queues, at);
		if (error < 0)
			return error;
	}
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct unix_queue *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Whatever was told stands, if it is not all: this kernel may not tell at all. */
static void read_all(struct unix_queues *queues)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	queues->read = true;
	if (netlink < 0)
		return;
	int result = ask(netlink);
	while (result == 0)
		result = read_part(queues, netlink);
	close(netlink);
	if (queues->count > 0)
		qsort(queues->queue, queues->count, sizeof(*queues->queue), by_inode);
}

const struct unix_queue *unix_queue_of(struct unix_queues *queues, int fd)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return NULL;
	if (!queues->read)
		read_all(queues);
	if (queues->count == 0)
		return NULL;
	struct unix_queue wanted = {.inode = (uint32_t)info.st_ino};
	return bsearch(&wanted, queues->queue, queues->count, sizeof(wanted), by_inode);
}

void unix_queues_drop(struct unix_queues *queues)
{
	free(queues->queue);
	*queues = (struct unix_queues){0};
}
