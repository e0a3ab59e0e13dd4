/*
 * fd_message.h: one message with descriptors and credentials over a Unix socket.  Control messages are built and taken
 * apart here alone.  Private to liblust and the daemon; lust_send_packet() is the public face.
 *
 * Sending takes duplicates: what it was given stays the caller's.  Receiving reports descriptors that are the
 * caller's, close-on-exec and in the order sent, and no other descriptor that came along stays open.
 */
#ifndef LUST_FD_MESSAGE_H
#define LUST_FD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lust.h"
#include "unlingered.h"

#define LUST_MESSAGE_FDS 64 /* descriptors a message of the daemon at most, either way */

struct lust_message {
	size_t length;        /* of the message, even when it did not fit: then longer than the room given */
	unsigned count;       /* descriptors in fd */
	bool surplus;         /* more came than wanted; they were closed */
	bool truncated;       /* MSG_CTRUNC: more came, and the kernel could not install or report them */
	bool has_credentials; /* SO_PASSCRED was set in time */
	struct lust_credentials credentials;
	int fd[LUST_MESSAGE_FDS];
};

/* flags: MSG_DONTWAIT or 0 (MSG_NOSIGNAL is added).  0, or -errno. */
int lust_message_send(int socket, const void *data, size_t length, const int *fds, unsigned count, int flags);

/*
 * Up to `wanted` descriptors.  flags: MSG_DONTWAIT or 0.  1; 0 at the end of file (on SOCK_SEQPACKET also
 * for an empty message); -errno, -EAGAIN with MSG_DONTWAIT when there is none.  *message is filled in only
 * with 1.
 */
int lust_message_receive(int socket, void *data, size_t room, struct lust_message *message, unsigned wanted,
			 int flags);

/* Closes message->fd[from] and all after it, in this way. */
void lust_message_close_from(struct lust_message *message, unsigned from);

#endif
