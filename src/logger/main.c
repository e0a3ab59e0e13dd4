/*
 * lust-logger: turns what servers print and what the dispatcher reports into log lines.  Started by lust-inetd with the
 * link as descriptor 3; of no use by itself.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef SANITIZED
#include <sanitizer/lsan_interface.h>
#endif

#include "logger.h"

#define LINK_FD 3

#ifdef SANITIZED
/* LeakSanitizer lists the threads in /proc and fails without: no leak check in the jail, which has none. */
int __lsan_is_turned_off(void)
{
	return access("/proc/self/task", R_OK) < 0;
}
#endif

static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGXFSZ};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
}

/* A pipe for each server: as many as the administrator allows. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "lust-logger: %s: %s\n", what, strerror(error));
	return 1;
}

int main(void)
{
	struct logger logger;
	struct logger_hello hello;
	struct stat status;
	int result;

	if (fstat(LINK_FD, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		fprintf(stderr, "lust-logger: to be started by lust-inetd only\n");
		return 64;
	}
	if (fcntl(LINK_FD, F_SETFD, FD_CLOEXEC) < 0 || close_range(LINK_FD + 1, ~0U, 0) < 0)
		return fail("descriptors", errno);
	ignore_signals();
	raise_limit();
	result = logger_init(&logger, LINK_FD);
	if (result == 0)
		result = orders_hello(&logger, &hello);
	if (result < 0)
		return fail("no HELLO from the supervisor", -result);
	logger_connect(&logger);
	result = confine(&hello);
	if (result < 0)
		return fail("cannot jail and drop privileges", -result);
	logger_run(&logger);
	logger_free(&logger);
	return logger.exit_code;
}
