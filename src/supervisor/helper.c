/*
 * helper.c: dispatcher and logger as processes: fork, exec, and why that failed.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helpers.h"
#include "lust.h"

#define HELPER_LINK 3
#define HELPER_ERROR 4
#define LATER_S 0.02

/* Only what they need: the time zone for the logger's lines, and the sanitizers' own settings. */
static char **helper_environment(char *space[8])
{
	static const char *const names[] = {
#ifdef TEST_FAULTS
		"LUST_TEST_NO_REDISPATCH=",
#endif
		"TZ=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="};
	unsigned count = 0;

	for (char **entry = environ; *entry != NULL; entry++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && count < 7; i++)
			if (strncmp(*entry, names[i], strlen(names[i])) == 0)
				space[count++] = *entry;
	space[count] = NULL;
	return space;
}

/* In the child, one visible order.  Never returns. */
static void become(const struct supervisor *s, const char *path, char **environment, int link, int error)
{
	char *arguments[] = {(char *)(uintptr_t)path, NULL};

	setsid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int high_link = fcntl(link, F_DUPFD_CLOEXEC, 10);
	int high_error = fcntl(error, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || high_link < 0 || high_error < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    (!s->foreground && dup2(null, 2) < 0) || dup2(high_link, HELPER_LINK) < 0 ||
	    dup3(high_error, HELPER_ERROR, O_CLOEXEC) < 0)
		_exit(127);
	close_range(HELPER_ERROR + 1, ~0U, 0);
	lust_signals_reset();
	execve(path, arguments, environment);
	int reason = errno;
	if (write(HELPER_ERROR, &reason, sizeof(reason)) < 0)
		_exit(126);
	_exit(127);
}

pid_t helper_spawn(struct supervisor *s, const char *program, int link, int *exec_error)
{
	char path[512];
	char *space[8];
	sigset_t all, before;
	int ends[2];

	snprintf(path, sizeof(path), PKGLIBEXECDIR "/%s", program);
	char **environment = helper_environment(space);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	/* No handler of ours may run in the child: it would write into our loop's wake-up. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become(s, path, environment, link, ends[1]);
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -error;
	}
	*exec_error = ends[0];
	return pid;
}

bool helper_exec_failure(int *exec_error, const char *program, char *text, size_t size)
{
	int reason;

	if (*exec_error < 0)
		return false;
	bool failed = read(*exec_error, &reason, sizeof(reason)) == sizeof(reason);
	close(*exec_error);
	*exec_error = -1;
	if (failed)
		snprintf(text, size, "exec " PKGLIBEXECDIR "/%s: %s", program, strerror(reason));
	return failed;
}

void helper_watch(struct ev_loop *loop, struct channel *channel, struct ev_io *write, struct ev_timer *later)
{
	if (!channel_pending(channel)) {
		ev_io_stop(loop, write);
		ev_timer_stop(loop, later);
	} else if (channel_stuck(channel)) {
		ev_io_stop(loop, write);
		if (!ev_is_active(later)) {
			ev_timer_set(later, LATER_S, 0.);
			ev_timer_start(loop, later);
		}
	} else {
		ev_timer_stop(loop, later);
		ev_io_start(loop, write);
	}
}

unsigned helper_failures(unsigned failures, bool worked)
{
	return worked && failures > 1 ? 1 : failures;
}

uint32_t helper_pause_ms(unsigned failures)
{
	uint32_t pause = 100;

	if (failures == 0)
		return 0;
	for (unsigned i = 1; i < failures && pause < 5000; i++)
		pause *= 2;
	return pause < 5000 ? pause : 5000;
}
