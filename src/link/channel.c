/*
 * channel.c: see channel.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The most that the kernel puts into one message (SCM_MAX_FD), so that MSG_CTRUNC can only mean that
   a descriptor could not be installed. */
#define KERNEL_FDS 253

struct channel_entry {
	struct channel_entry *next;
	int fd[CHANNEL_FDS];
	bool close[CHANNEL_FDS]; /* given to channel_close_after() */
	unsigned count;
	char message[];
};

union send_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
};

union receive_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(KERNEL_FDS * sizeof(int)) + 256];
};

void channel_init(struct channel *channel, int fd, size_t size)
{
	int flags = fcntl(fd, F_GETFL);

	*channel = (struct channel){.fd = fd, .size = size};
	channel->last = &channel->first;
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* every call says MSG_DONTWAIT as well */
}

static void entry_free(struct channel_entry *entry)
{
	for (unsigned i = 0; i < entry->count; i++)
		if (entry->close[i])
			close(entry->fd[i]);
	free(entry);
}

static void drop_first(struct channel *channel)
{
	struct channel_entry *entry = channel->first;

	channel->first = entry->next;
	if (!channel->first)
		channel->last = &channel->first;
	channel->pending--;
	entry_free(entry);
}

void channel_close(struct channel *channel)
{
	while (channel->first)
		drop_first(channel);
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
	channel->stuck = false;
}

static int send_now(const struct channel *channel, const void *message, const int *fds, unsigned count)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = channel->size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	union send_control control;
	ssize_t n;

	if (count > 0) {
		memset(&control, 0, sizeof(control));
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	do
		n = sendmsg(channel->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Has the kernel no room now, without the socket being at fault?  Notes whether watching for writing helps. */
static bool must_wait(struct channel *channel, int error)
{
	channel->stuck = error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM;
	return channel->stuck || error == -EAGAIN;
}

static int enqueue(struct channel *channel, const void *message, const int *fds, unsigned count)
{
	struct channel_entry *entry = malloc(sizeof(*entry) + channel->size);

	if (!entry)
		return -ENOMEM;
	entry->next = NULL;
	entry->count = count;
	for (unsigned i = 0; i < count; i++) {
		entry->fd[i] = fds[i];
		entry->close[i] = false;
	}
	memcpy(entry->message, message, channel->size);
	*channel->last = entry;
	channel->last = &entry->next;
	channel->pending++;
	return 0;
}

int channel_send(struct channel *channel, const void *message, const int *fds, unsigned count)
{
	int result;

	if (channel->fd < 0)
		return -EPIPE;
	if (count > CHANNEL_FDS)
		return -EINVAL;
	if (!channel->first) {
		result = send_now(channel, message, fds, count);
		if (result == 0 || !must_wait(channel, result))
			return result;
	}
	return enqueue(channel, message, fds, count);
}

void channel_close_after(struct channel *channel, int fd)
{
	struct channel_entry *found = NULL;
	unsigned position = 0;

	if (fd < 0)
		return;
	for (struct channel_entry *entry = channel->first; entry; entry = entry->next)
		for (unsigned i = 0; i < entry->count; i++)
			if (entry->fd[i] == fd) {
				found = entry;
				position = i;
			}
	if (found)
		found->close[position] = true;
	else
		close(fd);
}

int channel_flush(struct channel *channel)
{
	while (channel->first) {
		struct channel_entry *entry = channel->first;
		int result = send_now(channel, entry->message, entry->fd, entry->count);

		if (result < 0)
			return must_wait(channel, result) ? 0 : result;
		drop_first(channel);
	}
	channel->stuck = false;
	return 0;
}

bool channel_pending(const struct channel *channel)
{
	return channel->first != NULL;
}

bool channel_stuck(const struct channel *channel)
{
	return channel->first != NULL && channel->stuck;
}

/* Takes the first CHANNEL_FDS descriptors, closes the others; returns how many there were. */
static unsigned collect(struct msghdr *header, int fds[CHANNEL_FDS])
{
	unsigned total = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (total < CHANNEL_FDS)
				fds[total] = fd;
			else
				close(fd);
			total++;
		}
	}
	return total;
}

static int verdict(const struct channel *channel, const struct msghdr *header, ssize_t n, unsigned total)
{
	if (n == 0)
		return -ECONNRESET;
	if (header->msg_flags & MSG_CTRUNC)
		return -EMFILE;
	if ((size_t)n != channel->size || (header->msg_flags & MSG_TRUNC) || total > CHANNEL_FDS)
		return -EPROTO;
	return 1;
}

int channel_receive(struct channel *channel, void *message, int fds[CHANNEL_FDS], unsigned *count)
{
	union receive_control control;
	struct iovec part = {.iov_base = message, .iov_len = channel->size};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned total, again = 0;
	ssize_t n;
	int result;

	*count = 0;
	if (channel->fd < 0)
		return -ECONNRESET;
	/* A peer that closed with something unread says so once, before what it had sent. */
	do
		n = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !again++)));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	total = collect(&header, fds);
	result = verdict(channel, &header, n, total);
	if (result == 1)
		*count = total;
	else
		for (unsigned i = 0; i < total && i < CHANNEL_FDS; i++)
			close(fds[i]);
	return result;
}

int channel_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ? -errno : 0;
}
