/*
 * growth.c: both ends of the connections that tests/bench/growth counts.
 *
 *     growth serve RUNTIME-DIR SERVICE HANDLES close|keep
 *     growth connect ADDRESS PORT COUNT AT-ONCE
 *
 * serve: one process that registers HANDLES times, so that a thousand servers need no thousand processes.  `close`
 * answers with one byte and ends the connection; `keep` lets go of its descriptor and never says DONE: the connection
 * stays active for the dispatcher without a descriptor anywhere, so that a hundred thousand fit any machine.
 * "ready" is printed when all have registered.  Ends at SIGTERM or with its standard input.
 *
 * connect: COUNT connections to ADDRESS:PORT, AT-ONCE at a time, each until the server has ended it.  Exit code 1 when one
 * of them failed.
 *
 * SPDX-License-Identifier: ISC
 */
#include <arpa/inet.h>
#include <errno.h>
#include <lust.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

static int fail(const char *what, int error)
{
	fprintf(stderr, "growth: %s: %s\n", what, strerror(error));
	return 1;
}

/* ---- serve ---- */

static int receive(struct lust_server *server, bool keep)
{
	struct lust_connection connection;
	int result;

	while ((result = lust_server_receive(server, &connection, 0)) == 1) {
		if (keep) {
			close(connection.fd);
			continue;
		}
		(void)send(connection.fd, "", 1, MSG_NOSIGNAL);
		lust_server_close(server, connection.fd);
	}
	return result;
}

static int register_all(struct lust_server **server, unsigned count, const char *service,
			const struct lust_options *options, int epoll)
{
	for (unsigned i = 0; i < count; i++) {
		int result = lust_server_register(&server[i], service, options);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = server[i]};
		if (result < 0)
			return result;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, lust_server_fd(server[i]), &event) < 0)
			return -errno;
	}
	return 0;
}

static int serve(const char *runtime_dir, const char *service, unsigned count, bool keep)
{
	struct lust_options options = {.runtime_dir = runtime_dir, .batch = 64, .nonblocking = 1};
	struct lust_server **server = calloc(count, sizeof(struct lust_server *));
	struct epoll_event event[EVENTS] = {{.events = EPOLLIN, .data.ptr = NULL}};
	int epoll = epoll_create1(EPOLL_CLOEXEC), result;

	if (server == NULL || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, event) < 0)
		return fail("epoll", errno);
	result = register_all(server, count, service, &options, epoll);
	if (result < 0)
		return fail("register", -result);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int ready = epoll_wait(epoll, event, EVENTS, -1);
		for (int i = 0; i < ready; i++) {
			if (event[i].data.ptr == NULL)
				return 0;
			result = receive(event[i].data.ptr, keep);
			if (result < 0 && result != -EAGAIN && result != -EMFILE)
				return fail("receive", -result);
		}
	}
}

/* ---- connect ---- */

static int dial(int epoll, const struct sockaddr_in *to)
{
	struct linger reset = {.l_onoff = 1};
	struct epoll_event event = {.events = EPOLLIN};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* No TIME_WAIT: the ports of one address would be used up. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS)
		return -errno;
	event.data.fd = fd;
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* 1: the server has ended it; 0: not yet. */
static int ended(int fd)
{
	char bytes[16];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		continue;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	close(fd);
	return 1;
}

static int connect_all(const struct sockaddr_in *to, unsigned count, unsigned at_once)
{
	struct epoll_event event[EVENTS];
	unsigned begun = 0, done = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return fail("epoll", errno);
	while (done < count) {
		int result = 0, ready;
		while (begun < count && begun - done < at_once) {
			result = dial(epoll, to);
			if (result < 0)
				return fail("connect", -result);
			begun++;
		}
		ready = epoll_wait(epoll, event, EVENTS, 60000);
		if (ready <= 0)
			return fail("a minute without an answer", ready < 0 ? errno : ETIMEDOUT);
		for (int i = 0; i < ready; i++) {
			result = ended(event[i].data.fd);
			if (result < 0)
				return fail("a connection failed", -result);
			done += (unsigned)result;
		}
	}
	return 0;
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], number(argv[4]), strcmp(argv[5], "keep") == 0);
	if (argc == 6 && strcmp(argv[1], "connect") == 0) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(argv[3]))};
		if (inet_pton(AF_INET, argv[2], &to.sin_addr) == 1)
			return connect_all(&to, number(argv[4]), number(argv[5]));
	}
	fprintf(stderr, "usage: growth serve RUNTIME-DIR SERVICE HANDLES close|keep\n"
			"       growth connect ADDRESS PORT COUNT AT-ONCE\n");
	return 2;
}
