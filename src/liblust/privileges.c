/*
 * privileges.c: into the jail, and down for good.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "lust.h"

int lust_jail(const char *directory)
{
	if (chdir(directory) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int compare_gids(const void *a, const void *b)
{
	gid_t left = *(const gid_t *)a, right = *(const gid_t *)b;

	return (left > right) - (left < right);
}

/* 1 when the process has exactly these supplementary groups, in any order; 0 when not; or -errno. */
static int has_groups(const gid_t *groups, size_t count)
{
	gid_t *now, *wanted;
	int have = getgroups(0, NULL), result = 0;

	if (have < 0)
		return -errno;
	if ((size_t)have != count)
		return 0;
	if (count == 0)
		return 1;
	now = calloc(count, sizeof(*now));
	wanted = calloc(count, sizeof(*wanted));
	if (!now || !wanted) {
		result = -ENOMEM;
	} else if (getgroups(have, now) != have) {
		result = -EPERM;
	} else {
		for (size_t i = 0; i < count; i++)
			wanted[i] = groups[i];
		qsort(now, count, sizeof(*now), compare_gids);
		qsort(wanted, count, sizeof(*wanted), compare_gids);
		result = 1;
		for (size_t i = 0; i < count; i++)
			result &= now[i] == wanted[i];
	}
	free(now);
	free(wanted);
	return result;
}

static int set_groups(const gid_t *groups, size_t count)
{
	int error;

	if (setgroups(count, groups) == 0)
		return 0;
	error = errno;
	/* Without privilege: fine as long as nothing had to change. */
	return error == EPERM && has_groups(groups, count) == 1 ? 0 : -error;
}

static bool ids_are(uid_t uid, gid_t gid)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	return getresuid(&ruid, &euid, &suid) == 0 && getresgid(&rgid, &egid, &sgid) == 0 && ruid == uid &&
	       euid == uid && suid == uid && rgid == gid && egid == gid && sgid == gid;
}

/* Nobody may get these back, by whatever way: a kept capability, or a saved id. */
static bool can_return(uid_t uid, gid_t gid, const uid_t old_uid[3], const gid_t old_gid[3])
{
	const uid_t no_uid = (uid_t)-1;
	const gid_t no_gid = (gid_t)-1;

	if (uid == 0)
		return false; /* root stays root: there is nothing to prove */
	for (int i = 0; i < 3; i++) {
		if (old_uid[i] != uid &&
		    (setresuid(no_uid, old_uid[i], no_uid) == 0 || setuid(old_uid[i]) == 0))
			return true;
		if (old_gid[i] != gid &&
		    (setresgid(no_gid, old_gid[i], no_gid) == 0 || setgid(old_gid[i]) == 0))
			return true;
	}
	return setresuid(0, no_uid, no_uid) == 0 || setresuid(no_uid, 0, no_uid) == 0 || setuid(0) == 0 ||
	       (gid != 0 && (setresgid(0, no_gid, no_gid) == 0 || setresgid(no_gid, 0, no_gid) == 0));
}

int lust_drop_privileges(uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
	uid_t old_uid[3];
	gid_t old_gid[3];
	int result;

	/* -1 means "leave it" to the kernel: it must never come through as an id. */
	if (uid == (uid_t)-1 || gid == (gid_t)-1)
		return -EINVAL;
	if (getresuid(&old_uid[0], &old_uid[1], &old_uid[2]) < 0 ||
	    getresgid(&old_gid[0], &old_gid[1], &old_gid[2]) < 0)
		return -errno;
	result = set_groups(groups, count);
	if (result < 0)
		return result;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	if (can_return(uid, gid, old_uid, old_gid) || !ids_are(uid, gid))
		return -EPERM;
	result = has_groups(groups, count);
	return result == 1 ? 0 : result == 0 ? -EPERM : result;
}
