/*
 * child_text.c: why a child could not become its server, in words.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"

bool child_read_failure(int fd, struct child_failure *failure)
{
	if (read(fd, failure, sizeof(*failure)) != sizeof(*failure))
		return false;
	failure->object[sizeof(failure->object) - 1] = '\0';
	return true;
}

static const char *step_text(const struct child_failure *failure)
{
	static const char *const limits[TABLE_LIMITS] = {"rlimit-nofile", "rlimit-core",  "rlimit-as",
							 "rlimit-cpu",    "rlimit-nproc", "rlimit-fsize",
							 "rlimit-stack"};

	switch (failure->step) {
	case CHILD_SESSION:
		return "new session";
	case CHILD_DESCRIPTORS:
		return "descriptors";
	case CHILD_LIMIT:
		return failure->detail >= 0 && failure->detail < TABLE_LIMITS ? limits[failure->detail]
									      : "rlimit";
	case CHILD_NICE:
		return "nice";
	case CHILD_CHROOT:
		return "chroot";
	case CHILD_DIRECTORY:
		return "directory";
	case CHILD_DROP:
		return "user, group, groups";
	case CHILD_PRIVILEGES:
		return "no-new-privileges";
	case CHILD_EXEC:
		return "exec";
	}
	return "start";
}

void child_failure_text(const struct child_failure *failure, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s: %s", step_text(failure), failure->object[0] != '\0' ? " " : "",
		 failure->object, strerror(failure->error));
}
