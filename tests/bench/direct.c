/*
 * direct.c: the application accepting by itself, with raw epoll: the physical limit. Also what the proxies have behind them.
 *
 *     bench-direct [-m answer|stream|echo] [-b BYTES] [-n PROCESSES] PORT|/PATH
 *
 * Each process has a listener of its own (SO_REUSEPORT), as servers made for speed do; on a Unix socket they share one.
 * "ready" on standard output says that it listens. The children die with the first process.
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
#include <sys/un.h>
#include <unistd.h>

#define EVENTS 64
#define ACCEPTS 64 /* at most in one turn, so that streams go on */
#define BACKLOG 4096
#define PROCESSES_MAX 256

static void leave(int fd)
{
	if (close(fd) < 0)
		app_fail("close", errno);
}

static int listen_tcp(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		app_fail(port, errno);
	return fd;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		app_fail(path, ENAMETOOLONG);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		app_fail(path, errno);
	return fd;
}

static void accept_all(const struct app *app, int listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (fd < 0 && errno != ECONNABORTED)
			app_fail("accept4", errno);
		if (fd >= 0)
			app_begin(app, fd);
	}
}

static _Noreturn void serve(struct app *app, int listener)
{
	struct epoll_event events[EVENTS], event = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	app->loop = epoll_create1(EPOLL_CLOEXEC);
	if (app->loop < 0 || epoll_ctl(app->loop, EPOLL_CTL_ADD, listener, &event) < 0)
		app_fail("epoll", errno);
	for (;;) {
		int count = epoll_wait(app->loop, events, EVENTS, -1);
		if (count < 0 && errno != EINTR)
			app_fail("epoll_wait", errno);
		for (int i = 0; i < count; i++)
			if (events[i].data.ptr)
				app_event(app, &events[i]);
			else
				accept_all(app, listener);
	}
}

/* A child serves and does not return; it keeps its own listener alone, or its share of a connection would wait in one that
   nobody reads. */
static void start_children(struct app *app, const int *listeners, int count)
{
	pid_t parent = getpid();

	for (int i = 1; i < count; i++) {
		pid_t pid = fork();
		if (pid < 0)
			app_fail("fork", errno);
		if (pid > 0)
			continue;
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		for (int other = 0; other < count; other++)
			if (listeners[other] != listeners[i])
				close(listeners[other]);
		serve(app, listeners[i]);
	}
	for (int i = 1; i < count; i++)
		if (listeners[i] != listeners[0])
			close(listeners[i]);
}

int main(int argc, char **argv)
{
	struct app app = {.mode = APP_ANSWER, .leave = leave};
	int listeners[PROCESSES_MAX], count = 1, option = 0;

	while ((option = getopt(argc, argv, "m:b:n:")) != -1)
		if (option == 'b')
			app.length = strtoull(optarg, NULL, 10);
		else if (option == 'n')
			count = atoi(optarg);
		else if (option != 'm' || !app_mode_of(optarg, &app.mode))
			return 2;
	if (optind != argc - 1 || count < 1 || count > PROCESSES_MAX)
		return 2;
	const char *where = argv[optind];
	for (int i = 0; i < count; i++)
		listeners[i] = *where != '/' ? listen_tcp(where) : i == 0 ? listen_unix(where) : listeners[0];
	start_children(&app, listeners, count);
	if (puts("ready") < 0 || fflush(stdout) != 0)
		app_fail("standard output", errno);
	serve(&app, listeners[0]);
}
