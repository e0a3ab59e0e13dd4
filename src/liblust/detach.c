/*
 * detach.c: away from the terminal and from the process that called, which stays to hear how it went.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"

/* One packet. */
struct verdict {
	int error; /* of the detaching itself; 0: none */
	int code;
};

/* A socket, since a pipe would answer with SIGPIPE when whoever waited was killed. */
static int say(int fd, struct verdict verdict)
{
	ssize_t sent;

	do
		sent = send(fd, &verdict, sizeof(verdict), MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* The daemon is nobody's child: one that dies without a word is known by the end of file. */
static int hear(int fd, int *code)
{
	struct verdict verdict;
	ssize_t length;

	do
		length = recv(fd, &verdict, sizeof(verdict), 0);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	if (length != sizeof(verdict))
		verdict = (struct verdict){.code = 1};
	*code = verdict.code;
	return verdict.error ? -verdict.error : 1;
}

static void reap(pid_t child)
{
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* Between the forks.  The second one makes the daemon no leader of its session: it can get no terminal any more. */
static void fork_again(int verdict)
{
	pid_t child = setsid() < 0 ? -1 : fork();

	if (child == 0)
		return;
	if (child < 0)
		(void)say(verdict, (struct verdict){.error = errno});
	_exit(0);
}

int lust_daemon_detach(int *verdict, int *code)
{
	int ends[2], result;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		result = -errno;
		close(ends[0]);
		close(ends[1]);
		return result;
	}
	if (child == 0) {
		close(ends[0]);
		fork_again(ends[1]);
		*verdict = ends[1];
		return 0;
	}
	close(ends[1]);
	reap(child);
	result = hear(ends[0], code);
	close(ends[0]);
	return result;
}

int lust_daemon_tell(int verdict, int code)
{
	int result = say(verdict, (struct verdict){.code = code});

	close(verdict);
	return result;
}
