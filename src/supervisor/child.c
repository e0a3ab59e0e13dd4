/*
 * child.c: from fork(2) to the server's program, in one visible order.  Only what is safe in the child of a process
 * with a running loop: no allocation, no log, no watcher.
 *
 * SPDX-License-Identifier: ISC
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lust.h"

#define CHILD_PAIR 3  /* LUST_FD */
#define CHILD_ERROR 4 /* closes itself at exec */

static void fail(int fd, enum child_step step, int error, int detail, const char *object)
{
	struct child_failure failure = {.step = step, .error = error, .detail = detail};

	/* The record is smaller than a pipe takes whole; without a reader there is nobody to tell. */
	if (object != NULL)
		strncpy(failure.object, object, sizeof(failure.object) - 1);
	if (write(fd, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

/* Our death is told to it.  The second look is for a parent that died before the kernel was asked. */
static void die_with_parent(const struct child_plan *plan)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != plan->parent)
		_exit(125);
}

/* First out of the way of 0 to 4, then into place: any of them may be any number. */
static int place_descriptors(const struct child_plan *plan)
{
	int null = fcntl(plan->null, F_DUPFD_CLOEXEC, 10);
	int output = fcntl(plan->output, F_DUPFD_CLOEXEC, 10);
	int pair = fcntl(plan->pair, F_DUPFD_CLOEXEC, 10);
	int error = fcntl(plan->error, F_DUPFD_CLOEXEC, 10);

	if (null < 0 || output < 0 || pair < 0 || error < 0)
		fail(plan->error, CHILD_DESCRIPTORS, errno, 0, NULL);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0 || dup2(pair, CHILD_PAIR) < 0 ||
	    dup3(error, CHILD_ERROR, O_CLOEXEC) < 0 || close_range(CHILD_ERROR + 1, ~0U, 0) < 0)
		fail(error, CHILD_DESCRIPTORS, errno, 0, NULL);
	return CHILD_ERROR;
}

static void set_limits(const struct child_plan *plan, int told)
{
	/* Ours was raised for the table's sake; the server's is what the daemon was started with. */
	if (setrlimit(RLIMIT_NOFILE, &plan->nofile_at_start) < 0)
		fail(told, CHILD_LIMIT, errno, 0, NULL);
	for (int i = 0; i < TABLE_LIMITS; i++) {
		struct rlimit limit = {.rlim_cur = plan->limit[i].value, .rlim_max = plan->limit[i].value};
		if (plan->limit[i].set && setrlimit((__rlimit_resource_t)plan->limit[i].resource, &limit) < 0)
			fail(told, CHILD_LIMIT, errno, i, NULL);
	}
}

void child_run(const struct child_plan *plan)
{
	int result;

	lust_signals_reset();
	if (setsid() < 0)
		fail(plan->error, CHILD_SESSION, errno, 0, NULL);
	die_with_parent(plan);
	int told = place_descriptors(plan);
	umask(plan->umask);
	set_limits(plan, told);
	if (plan->nice != 0 && setpriority(PRIO_PROCESS, 0, plan->nice) < 0)
		fail(told, CHILD_NICE, errno, 0, NULL);
	if (plan->chroot != NULL && (result = lust_jail(plan->chroot)) < 0)
		fail(told, CHILD_CHROOT, -result, 0, plan->chroot);
	if (plan->drop &&
	    (result = lust_drop_privileges(plan->uid, plan->gid, plan->groups, plan->group_count)) < 0)
		fail(told, CHILD_DROP, -result, 0, NULL);
	/* As its user: root could enter what the server itself cannot. */
	if (chdir(plan->directory) < 0)
		fail(told, CHILD_DIRECTORY, errno, 0, plan->seen_directory);
	die_with_parent(plan); /* the drop cleared it */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(told, CHILD_PRIVILEGES, errno, 0, NULL);
	execve(plan->arguments[0], plan->arguments, plan->environment);
	fail(told, CHILD_EXEC, errno, 0, plan->seen_command);
	_exit(127);
}
