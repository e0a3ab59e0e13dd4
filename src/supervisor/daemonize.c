/*
 * daemonize.c: `start` becomes a daemon; its caller waits until the daemon works or has failed.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lifecycle.h"
#include "lust.h"

void daemonize_standard_fds(bool foreground)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	/* A daemon keeps nobody's pipe open; in the foreground they are the caller's, and no server gets them. */
	if (!foreground)
		close_range(STDERR_FILENO + 1, ~0U, 0);
}

static void leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	close(fd);
}

int daemonize(int *told, int *code)
{
	int result = lust_daemon_detach(told, code);

	if (result == 0 && chdir("/") < 0)
		result = -errno;
	if (result < 0)
		fprintf(stderr, "lust-inetd: cannot become a daemon: %s\n", strerror(-result));
	if (result != 0)
		return result;
	leave_terminal();
	return 0;
}

void daemonize_tell(struct supervisor *s, int code)
{
	if (s->start_pipe < 0)
		return;
	/* The parent may have been killed: then nobody has to be told. */
	(void)lust_daemon_tell(s->start_pipe, code);
	s->start_pipe = -1;
	dup2(STDIN_FILENO, STDERR_FILENO);
}
