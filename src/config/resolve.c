/*
 * resolve.c: names to numbers, each looked up once.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "values.h"

void resolver_start(struct resolver *resolver, struct arena *arena, struct progress *progress)
{
	*resolver = (struct resolver){.arena = arena,
				      .progress = progress,
				      .users.arena = arena,
				      .groups.arena = arena,
				      .ports.arena = arena};
}

/* The last numbers mean "none" to the kernel. */
static bool resolve_number(const char *text, uint32_t *id)
{
	uint64_t number;

	if (value_number(text, &number) || number >= UINT32_MAX)
		return false;
	*id = (uint32_t)number;
	return true;
}

/* What the C library leaves in errno for "not found" varies. */
static int resolve_failure(int error)
{
	return error == ENOENT || error == ESRCH || error == EBADF || error == EPERM ? 0 : error;
}

static void resolve_entry(struct resolver *resolver, struct user *user, const struct passwd *entry)
{
	user->found = user->has_entry = true;
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	user->name = arena_strdup(resolver->arena, entry->pw_name);
	user->home = arena_strdup(resolver->arena, entry->pw_dir);
	user->shell = arena_strdup(resolver->arena, entry->pw_shell);
}

static struct user *resolve_new_user(struct resolver *resolver)
{
	struct user *user = arena_alloc(resolver->arena, sizeof(*user));

	user->name = user->home = user->shell = "";
	return user;
}

struct user *resolve_uid(struct resolver *resolver, uid_t uid)
{
	struct user *user = resolve_new_user(resolver);
	const struct passwd *entry;
	char text[16];

	snprintf(text, sizeof(text), "%u", (unsigned)uid);
	progress_note(resolver->progress, "looking up the user", text);
	entry = getpwuid(uid);
	progress_over(resolver->progress);
	if (entry)
		resolve_entry(resolver, user, entry);
	user->found = true;
	user->uid = uid;
	return user;
}

struct user *resolve_self(struct resolver *resolver)
{
	if (!resolver->self)
		resolver->self = resolve_uid(resolver, geteuid());
	return resolver->self;
}

static struct user *resolve_new(struct resolver *resolver, const char *text)
{
	struct user *user;
	const struct passwd *entry;
	uint32_t uid;
	int error;

	progress_note(resolver->progress, "looking up the user", text);
	errno = 0;
	entry = getpwnam(text);
	error = errno;
	progress_over(resolver->progress);
	if (!entry && resolve_number(text, &uid)) {
		user = resolve_uid(resolver, uid);
		if (!user->has_entry)
			user->gid = (gid_t)uid;
		return user;
	}
	user = resolve_new_user(resolver);
	user->error = entry ? 0 : resolve_failure(error);
	if (entry)
		resolve_entry(resolver, user, entry);
	return user;
}

struct user *resolve_user(struct resolver *resolver, const char *text)
{
	void **slot = map_slot(&resolver->users, text, strlen(text));

	if (!*slot)
		*slot = resolve_new(resolver, text);
	return *slot;
}

const struct group_entry *resolve_group(struct resolver *resolver, const char *text)
{
	void **slot = map_slot(&resolver->groups, text, strlen(text));
	struct group_entry *found;
	const struct group *entry;
	uint32_t gid;
	int error;

	if (*slot)
		return *slot;
	found = *slot = arena_alloc(resolver->arena, sizeof(*found));
	progress_note(resolver->progress, "looking up the group", text);
	errno = 0;
	entry = getgrnam(text);
	error = errno;
	progress_over(resolver->progress);
	if (entry) {
		found->found = true;
		found->gid = entry->gr_gid;
	} else {
		found->error = resolve_failure(error);
		found->found = resolve_number(text, &gid);
		found->gid = found->found ? (gid_t)gid : 0;
	}
	return found;
}

const struct table_id_list *resolve_user_groups(struct resolver *resolver, struct user *user, gid_t primary)
{
	int count = 64, room;
	gid_t *group;

	if (!user->has_entry || (user->groups_known && user->groups_with == primary))
		return &user->groups;
	progress_note(resolver->progress, "looking up the groups of the user", user->name);
	do {
		room = count;
		group = arena_alloc(resolver->arena, (size_t)room * sizeof(*group));
		if (getgrouplist(user->name, primary, group, &count) >= 0)
			break;
		count = count > room ? count : room * 2;
	} while (count <= 1 << 16);
	progress_over(resolver->progress);
	user->groups =
		(struct table_id_list){.id = group, .count = count > room ? (size_t)room : (size_t)count};
	user->groups_known = true;
	user->groups_with = primary;
	return &user->groups;
}

unsigned resolve_port(void *context, const char *name)
{
	struct resolver *resolver = context;
	void **slot = map_slot(&resolver->ports, name, strlen(name));
	const struct servent *entry;
	unsigned *port = *slot;

	if (!port) {
		port = *slot = arena_alloc(resolver->arena, sizeof(*port));
		progress_note(resolver->progress, "looking up the port", name);
		entry = getservbyname(name, "tcp");
		progress_over(resolver->progress);
		*port = entry ? ntohs((uint16_t)entry->s_port) : 0;
	}
	return *port;
}
