/*
 * child.h: what happens between fork(2) and the server's program, and how its failures are told.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "table.h"

/* Everything that the child needs, made before fork(2): after it nothing may be allocated. */
struct child_plan {
	char **arguments, **environment;
	const char *chroot; /* NULL: none */
	const char *directory;
	bool drop; /* to uid, gid, groups */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
	mode_t umask;
	int nice;
	const struct table_limit *limit; /* TABLE_LIMITS of them */
	struct rlimit nofile_at_start;
	int null, output, pair, error; /* descriptors, none below 3 */
	pid_t parent;
	const char *seen_command; /* as its path is outside the chroot */
	const char *seen_directory;
};

enum child_step {
	CHILD_SESSION = 1,
	CHILD_DESCRIPTORS,
	CHILD_LIMIT,
	CHILD_NICE,
	CHILD_CHROOT,
	CHILD_DIRECTORY,
	CHILD_DROP,
	CHILD_PRIVILEGES,
	CHILD_EXEC
};

struct child_failure {
	int step;         /* enum child_step */
	int error;        /* errno */
	int detail;       /* CHILD_LIMIT: its place in table_server.limit */
	char object[244]; /* path, "" without */
};

/* Never returns: the server's program, or the failure in plan->error. */
void child_run(const struct child_plan *plan) __attribute__((noreturn));

/* From the exec-error pipe of a child that is dead; false: it had nothing to tell. */
bool child_read_failure(int fd, struct child_failure *failure);

/* "exec /srv/web/bin/webd: No such file or directory" */
void child_failure_text(const struct child_failure *failure, char *text, size_t size);

#endif
