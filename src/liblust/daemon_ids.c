/*
 * daemon_ids.c: see daemon_ids.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "daemon_ids.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_ROOM_MAX ((size_t)1 << 20) /* bytes of one entry: a group of many members */

/* (id_t)-1 means "leave it" to the kernel, so it is no id. */
static bool is_number(const char *text, id_t *id)
{
	unsigned long number;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	*id = (id_t)number;
	return !errno && *end == '\0' && number < UINT_MAX;
}

struct user {
	char name[256]; /* "": a bare number without an entry */
	uid_t uid;
	gid_t gid;
};

/* 0, -ENOENT, or -errno.  name NULL: by uid. */
static int look_up_user(const char *name, uid_t uid, struct user *user)
{
	struct passwd entry, *found = NULL;
	char *room = NULL;
	int error = ERANGE;

	for (size_t size = 1024; error == ERANGE && size <= ENTRY_ROOM_MAX; size *= 4) {
		char *more = realloc(room, size);

		if (!more) {
			free(room);
			return -ENOMEM;
		}
		room = more;
		error = name ? getpwnam_r(name, &entry, room, size, &found)
			     : getpwuid_r(uid, &entry, room, size, &found);
	}
	if (found && strlen(entry.pw_name) >= sizeof(user->name)) {
		found = NULL;
		error = ENAMETOOLONG;
	}
	if (found) {
		strcpy(user->name, entry.pw_name);
		user->uid = entry.pw_uid;
		user->gid = entry.pw_gid;
	}
	free(room);
	return found ? 0 : error ? -error : -ENOENT;
}

/* Names win over numbers, as everywhere in the system. */
static int find_user(const char *text, struct user *user)
{
	id_t number;
	int result = look_up_user(text, 0, user);

	if (result == 0 || !is_number(text, &number))
		return result;
	result = look_up_user(NULL, number, user);
	if (result == -ENOENT) {
		*user = (struct user){.uid = number, .gid = number};
		result = 0;
	}
	return result;
}

static int find_group(const char *text, gid_t *gid)
{
	struct group entry, *found = NULL;
	char *room = NULL;
	int error = ERANGE;
	id_t number;

	for (size_t size = 1024; error == ERANGE && size <= ENTRY_ROOM_MAX; size *= 4) {
		char *more = realloc(room, size);

		if (!more) {
			free(room);
			return -ENOMEM;
		}
		room = more;
		error = getgrnam_r(text, &entry, room, size, &found);
	}
	if (found)
		*gid = entry.gr_gid;
	free(room);
	if (found)
		return 0;
	if (!is_number(text, &number))
		return error ? -error : -ENOENT;
	*gid = number;
	return 0;
}

static int copy_groups(struct lust_ids *ids, const gid_t *groups, size_t count)
{
	if (count == 0)
		return 0;
	ids->groups = malloc(count * sizeof(*groups));
	if (!ids->groups)
		return -ENOMEM;
	memcpy(ids->groups, groups, count * sizeof(*groups));
	ids->groups_count = count;
	return 0;
}

static int groups_of_user(struct lust_ids *ids, const struct user *user)
{
	int count = 64, room = 0;

	if (user->name[0] == '\0')
		return copy_groups(ids, &ids->gid, 1);
	do {
		gid_t *more = realloc(ids->groups, (size_t)count * sizeof(*more));

		if (!more)
			return -ENOMEM;
		ids->groups = more;
		room = count;
	} while (getgrouplist(user->name, ids->gid, ids->groups, &count) < 0 && count > room);
	ids->groups_count = (size_t)count;
	return 0;
}

static int groups_of_process(struct lust_ids *ids)
{
	int count = getgroups(0, NULL);

	if (count <= 0)
		return count < 0 ? -errno : 0;
	ids->groups = malloc((size_t)count * sizeof(*ids->groups));
	if (!ids->groups)
		return -ENOMEM;
	count = getgroups(count, ids->groups);
	ids->groups_count = count < 0 ? 0 : (size_t)count;
	return count < 0 ? -errno : 0;
}

int lust_ids_find(struct lust_ids *ids, const struct lust_daemon_options *options, const char **what)
{
	struct user user = {.uid = getuid(), .gid = getgid()};
	int result = 0;

	*ids = (struct lust_ids){0};
	*what = "user";
	if (options->user)
		result = find_user(options->user, &user);
	if (result < 0)
		return result;
	ids->uid = user.uid;
	ids->gid = user.gid;
	*what = "group";
	if (options->group)
		result = find_group(options->group, &ids->gid);
	if (result < 0)
		return result;
	*what = "groups";
	if (options->groups)
		result = copy_groups(ids, options->groups, options->groups_count);
	else if (options->user)
		result = groups_of_user(ids, &user);
	else
		result = groups_of_process(ids);
	return result;
}

void lust_ids_free(struct lust_ids *ids)
{
	free(ids->groups);
	*ids = (struct lust_ids){0};
}
