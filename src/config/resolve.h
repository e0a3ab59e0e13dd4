/*
 * resolve.h: names of users, groups and ports to numbers.  Each is looked up once: ten thousand services with the
 * same user cost one look-up.  The texts that are asked for must live as long as the resolver.
 */
#ifndef RESOLVE_H
#define RESOLVE_H

#include "map.h"
#include "table.h"

struct progress;

struct resolver {
	struct arena *arena;
	struct progress *progress; /* told which name is looked up; NULL: nobody wants to know */
	struct map users, groups, ports;
	struct user *self;
};

struct user {
	bool found;
	int error; /* not found: errno, or 0 when there is no such user */
	bool has_entry;
	uid_t uid;
	gid_t gid;
	const char *name, *home, *shell; /* "" without an entry */
	/* its groups with one primary group; the last one asked for */
	bool groups_known;
	gid_t groups_with;
	struct table_id_list groups;
};

struct group_entry {
	bool found;
	int error;
	gid_t gid;
};

void resolver_start(struct resolver *resolver, struct arena *arena, struct progress *progress);

/* By name; else, when it is a number, by that, with or without an entry. */
struct user *resolve_user(struct resolver *resolver, const char *text);
struct user *resolve_uid(struct resolver *resolver, uid_t uid);
struct user *resolve_self(struct resolver *resolver);
const struct group_entry *resolve_group(struct resolver *resolver, const char *text);

/* The supplementary groups that a login of the user with this primary group would have. */
const struct table_id_list *resolve_user_groups(struct resolver *resolver, struct user *user, gid_t primary);

/* A TCP port by the name in /etc/services, or 0. context is the resolver. */
unsigned resolve_port(void *context, const char *name);

#endif
