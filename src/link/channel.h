/*
 * channel.h: fixed-size messages with descriptors over a non-blocking SOCK_SEQPACKET socket, with a
 * queue for what the kernel does not take now.  No loop: the owner watches for writing while
 * channel_pending() says so.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "unlingered.h"

#define CHANNEL_FDS 3

struct channel {
	int fd;                 /* owned; -1: closed */
	size_t size;            /* of every message */
	struct channel_entry *first, **last;
	size_t pending;         /* messages queued */
	bool stuck;             /* see channel_stuck() */
};

/* Takes ownership of fd, which becomes non-blocking. */
void channel_init(struct channel *channel, int fd, size_t size);

/* Closes the socket and drops the queue, descriptors given to channel_close_after() included. */
void channel_close(struct channel *channel);

/*
 * Sends or queues a copy of the message.  The descriptors stay the caller's and must stay open until
 * sent: give up on one with channel_close_after(), never with close().  0, -ENOMEM, or what sendmsg
 * said (-EPIPE, -ECONNRESET: the other side is gone).  EAGAIN and ETOOMANYREFS queue.
 */
int channel_send(struct channel *channel, const void *message, const int *fds, unsigned count);

/* Closes fd once every queued message that carries it was sent; at once when none does.  Needs no memory, cannot fail.
   -1 is fine. */
void channel_close_after(struct channel *channel, int fd);

/* Sends what is queued, as far as it goes: 0 or a negative errno as above. */
int channel_flush(struct channel *channel);

bool channel_pending(const struct channel *channel);

/*
 * Does the queue wait for something that watching for writing cannot tell: descriptors in flight that the
 * other side has not received (ETOOMANYREFS), kernel memory?  The socket is writable all the while: a level-triggered
 * watcher would spin.  Stop it and flush again from a short timer (10 ms, say) and whenever a message comes in.
 */
bool channel_stuck(const struct channel *channel);

/*
 * One message: 1; 0 when there is none now; -ECONNRESET at the end of file; -EPROTO for a message of
 * another size (its descriptors are closed); -EMFILE when descriptors were lost (MSG_CTRUNC).
 * Received descriptors are close-on-exec and the caller's; *count of CHANNEL_FDS, surplus ones are closed
 * and make it -EPROTO.  Those that are not wanted: lust_close_unlingered().
 */
int channel_receive(struct channel *channel, void *message, int fds[CHANNEL_FDS], unsigned *count);

/* A SOCK_SEQPACKET pair, close-on-exec, non-blocking on both ends.  0 or -errno. */
int channel_pair(int ends[2]);

#endif
