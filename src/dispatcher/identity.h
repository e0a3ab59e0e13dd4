/*
 * identity.h: who knocks at the door, and may he come in?  Collecting and judging apart.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "event.h"
#include "link.h"

/* What the kernel writes for a user that this namespace does not know. */
#define IDENTITY_OVERFLOW_ID 65534u

struct identity {
	/* SO_PEERCRED and SO_PEERGROUPS: effective, when it connected */
	int32_t pid;
	uint32_t uid, gid;
	gid_t *groups; /* owned */
	size_t group_count;
	/* SCM_CREDENTIALS of its first message: real */
	bool told;
	int32_t told_pid;
	uint32_t told_uid, told_gid;
};

struct identity_rules {
	const struct link_rule *rule;
	size_t count;
	bool allow_root, allow_foreign;
};

/* Pure.  REFUSAL_NONE: welcome. */
enum event_refusal identity_judge(const struct identity *identity, const struct identity_rules *rules);

/* Fills the first half from a connected socket.  0 or -errno. */
int identity_read(int fd, struct identity *identity);

/* A pidfd of the peer, close-on-exec; -ENOPROTOOPT where the kernel has none, -ESRCH when it is gone. */
int identity_pidfd(int fd);

void identity_free(struct identity *identity);

#endif
