/*
 * channel.c: see channel.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd_message.h"

struct channel_entry {
	struct channel_entry *next;
	int fd[CHANNEL_FDS];
	bool close[CHANNEL_FDS]; /* given to channel_close_after() */
	unsigned count;
	char message[];
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
	int result;

	do
		result = lust_message_send(channel->fd, message, channel->size, fds, count, MSG_DONTWAIT);
	while (result == -EINTR);
	return result;
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

static int verdict(const struct channel *channel, const struct lust_message *from)
{
	if (from->truncated)
		return -EMFILE;
	if (from->length != channel->size || from->surplus)
		return -EPROTO;
	return 1;
}

int channel_receive(struct channel *channel, void *message, int fds[CHANNEL_FDS], unsigned *count)
{
	struct lust_message from;
	unsigned again = 0;
	int result;

	*count = 0;
	if (channel->fd < 0)
		return -ECONNRESET;
	/* A peer that closed with something unread says so once, before what it had sent. */
	do
		result = lust_message_receive(channel->fd, message, channel->size, &from, CHANNEL_FDS,
					      MSG_DONTWAIT);
	while (result == -EINTR || (result == -ECONNRESET && !again++));
	if (result == -EAGAIN)
		return 0;
	if (result <= 0)
		return result < 0 ? result : -ECONNRESET;
	result = verdict(channel, &from);
	if (result < 0) {
		lust_message_close_from(&from, 0);
		return result;
	}
	*count = from.count;
	memcpy(fds, from.fd, from.count * sizeof(*fds));
	return 1;
}

int channel_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ? -errno : 0;
}
