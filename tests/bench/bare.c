/*
 * bare.c: what descriptor passing itself costs.  One process accepts and passes on, in the way of lust-inetd but with nothing
 * of it: no table, no credits, no words back, no account, nobody who is told of a death.  A limit for any daemon of this
 * shape, nothing to be used.
 *
 *     bench-bare [-n SERVERS] PORT
 *
 * Each server gets what one turn of the loop accepted, one after the other.  "ready" on standard output says that it listens.
 * The servers die with the first process.
 *
 * SPDX-License-Identifier: ISC
 */
#include "app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64
#define BACKLOG 4096
#define SERVERS_MAX 256

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(BATCH * sizeof(int))];
};

static void leave(int fd)
{
	if (close(fd) < 0)
		app_fail("close", errno);
}

/* ---- a server ---- */

static void receive(const struct app *app, int pair)
{
	union control control;
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(pair, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (got == 0)
		exit(0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	struct cmsghdr *passed = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
	if (!passed || passed->cmsg_type != SCM_RIGHTS)
		app_fail("recvmsg", errno);
	for (size_t i = 0; i < (passed->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(passed) + i * sizeof(int), sizeof(int));
		app_begin(app, fd);
	}
}

static _Noreturn void serve(int pair)
{
	struct app app = {.mode = APP_ANSWER, .leave = leave, .loop = epoll_create1(EPOLL_CLOEXEC)};
	struct epoll_event event = {.events = EPOLLIN};

	if (app.loop < 0 || epoll_ctl(app.loop, EPOLL_CTL_ADD, pair, &event) < 0)
		app_fail("epoll", errno);
	for (;;) {
		if (epoll_wait(app.loop, &event, 1, -1) < 0 && errno != EINTR)
			app_fail("epoll_wait", errno);
		receive(&app, pair);
	}
}

static int start_server(void)
{
	pid_t parent = getpid(), pid;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0)
		app_fail("server", errno);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		close(ends[0]);
		serve(ends[1]);
	}
	close(ends[1]);
	return ends[0];
}

/* ---- who accepts ---- */

static void pass(int pair, const int *fds, unsigned count)
{
	union control control = {0};
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *passed = CMSG_FIRSTHDR(&message);

	*passed = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
	memcpy(CMSG_DATA(passed), fds, count * sizeof(int));
	if (sendmsg(pair, &message, MSG_NOSIGNAL) < 0)
		app_fail("sendmsg", errno);
	for (unsigned i = 0; i < count; i++)
		leave(fds[i]);
}

static unsigned accept_some(int listener, int *fds)
{
	unsigned count = 0;

	while (count < BATCH) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			fds[count++] = fd;
		else if (errno == EAGAIN)
			break;
		else if (errno != ECONNABORTED && errno != EINTR)
			app_fail("accept4", errno);
	}
	return count;
}

static _Noreturn void accept_for(const int *pairs, unsigned servers, int listener)
{
	struct epoll_event event = {.events = EPOLLIN};
	int loop = epoll_create1(EPOLL_CLOEXEC), fds[BATCH];

	if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
		app_fail("epoll", errno);
	for (unsigned turn = 0;; turn++) {
		if (epoll_wait(loop, &event, 1, -1) < 0 && errno != EINTR)
			app_fail("epoll_wait", errno);
		unsigned count = accept_some(listener, fds);
		if (count > 0)
			pass(pairs[turn % servers], fds, count);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int pairs[SERVERS_MAX], servers = 1, option = 0, yes = 1;

	while ((option = getopt(argc, argv, "n:")) != -1)
		if (option == 'n')
			servers = atoi(optarg);
		else
			return 2;
	if (optind != argc - 1 || servers < 1 || servers > SERVERS_MAX)
		return 2;
	for (int i = 0; i < servers; i++)
		pairs[i] = start_server();
	address.sin_port = htons((uint16_t)atoi(argv[optind]));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, BACKLOG) < 0)
		app_fail(argv[optind], errno);
	if (puts("ready") < 0 || fflush(stdout) != 0)
		app_fail("standard output", errno);
	accept_for(pairs, (unsigned)servers, listener);
}
