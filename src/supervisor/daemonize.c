/*
 * daemonize.c: `start` becomes a daemon; its parent waits at a pipe until the daemon works or has failed.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

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

/* The child's code; a child that died without a word has failed. */
static int wait_for_child(int reading_end, pid_t child)
{
	unsigned char code;
	ssize_t length;
	int status;

	do
		length = read(reading_end, &code, 1);
	while (length < 0 && errno == EINTR);
	close(reading_end);
	if (length == 1)
		return code;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
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

static int cannot(const int ends[2])
{
	int error = errno;

	fprintf(stderr, "lust-inetd: cannot become a daemon: %s\n", strerror(error));
	for (unsigned i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	return -error;
}

int daemonize(int *told, int *code)
{
	int ends[2] = {-1, -1};

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cannot(ends);
	pid_t child = fork();
	if (child < 0)
		return cannot(ends);
	if (child > 0) {
		close(ends[1]);
		*code = wait_for_child(ends[0], child);
		return 1;
	}
	close(ends[0]);
	ends[0] = -1;
	/* Every open(2) from here on says O_NOCTTY, so one fork is enough to stay without a terminal. */
	if (setsid() < 0 || chdir("/") < 0)
		return cannot(ends);
	leave_terminal();
	*told = ends[1];
	return 0;
}

void daemonize_tell(struct supervisor *s, int code)
{
	unsigned char byte = (unsigned char)code;

	if (s->start_pipe < 0)
		return;
	/* The parent may have been killed: then nobody has to be told. */
	while (write(s->start_pipe, &byte, 1) < 0 && errno == EINTR)
		continue;
	close(s->start_pipe);
	s->start_pipe = -1;
	dup2(STDIN_FILENO, STDERR_FILENO);
}
