/*
 * identity.c: see identity.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "identity.h"

#include <errno.h>
#include <stdlib.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* More groups than anybody has: the kernel's own limit. */
#define GROUPS_MAX 65536

static bool listed(const struct identity *identity, const struct link_rule *rule)
{
	if (rule->kind == LINK_RULE_UID)
		return rule->id == identity->uid;
	if (rule->id == identity->gid)
		return true;
	for (size_t i = 0; i < identity->group_count; i++)
		if (rule->id == identity->groups[i])
			return true;
	return false;
}

static bool listed_by_any(const struct identity *identity, const struct identity_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		if (listed(identity, &rules->rule[i]))
			return true;
	return false;
}

/* The overflow user is also `nobody`, so the rules are asked first: an unlisted one is just that. */
enum event_refusal identity_judge(const struct identity *identity, const struct identity_rules *rules)
{
	if (!rules->count)
		return REFUSAL_NO_SERVICE;
	if (!identity->told)
		return REFUSAL_NO_CREDENTIALS;
	if ((identity->pid == 0 || identity->told_pid == 0) && !rules->allow_foreign)
		return REFUSAL_NAMESPACE;
	if (identity->told_pid != identity->pid)
		return REFUSAL_WRONG_PID;
	if ((identity->uid == 0 || identity->told_uid == 0) && !rules->allow_root)
		return REFUSAL_ROOT;
	if (!listed_by_any(identity, rules))
		return REFUSAL_NOT_LISTED;
	bool overflow = identity->uid == IDENTITY_OVERFLOW_ID || identity->told_uid == IDENTITY_OVERFLOW_ID;
	return overflow && !rules->allow_foreign ? REFUSAL_NAMESPACE : REFUSAL_NONE;
}

static int read_groups(int fd, struct identity *identity)
{
	socklen_t length = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0)
		return 0;
	if (errno != ERANGE)
		return -errno;
	if (length > GROUPS_MAX * sizeof(gid_t))
		return -E2BIG;
	identity->groups = malloc(length);
	if (!identity->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, identity->groups, &length) < 0)
		return -errno;
	identity->group_count = length / sizeof(gid_t);
	return 0;
}

int identity_read(int fd, struct identity *identity)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	*identity = (struct identity){.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
	int error = read_groups(fd, identity);
	if (error)
		identity_free(identity);
	return error;
}

int identity_pidfd(int fd)
{
	int pidfd;
	socklen_t length = sizeof(pidfd);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0)
		return -errno;
	return pidfd;
}

void identity_free(struct identity *identity)
{
	free(identity->groups);
	identity->groups = NULL;
	identity->group_count = 0;
}
