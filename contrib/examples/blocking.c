/*
 * blocking.c: the plainest server: one connection at a time, blocking calls only.  Reads a line, or the
 * head of an HTTP request, works for a while, answers with its pid, closes.
 *
 *     blocking [-d MS] [-l LABEL] [SERVICE]
 *
 * A pool of these serves as many clients at once as it has processes: lust-inetd never gives a connection
 * to one that is busy.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <lust.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int is_http(const char *request)
{
	const char *mark = strstr(request, " HTTP/");

	return mark && mark < strchr(request, '\n');
}

/* 0, or -1 when the client left, was too slow or said too much. */
static int read_request(int fd, char *request, size_t room)
{
	size_t length = 0;

	while (length < room - 1) {
		ssize_t got = read(fd, request + length, room - 1 - length);

		if (got <= 0)
			return -1;
		length += (size_t)got;
		request[length] = '\0';
		if (strchr(request, '\n') && (!is_http(request) || strstr(request, "\r\n\r\n")))
			return 0;
	}
	return -1;
}

static void work(long ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void serve(int fd, long ms)
{
	struct timeval patience = {.tv_sec = 10};
	char request[4096], body[64], head[128] = "", answer[256];
	int length;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (read_request(fd, request, sizeof(request)) < 0)
		return;
	work(ms);
	length = snprintf(body, sizeof(body), "blocking, pid %ld\n", (long)getpid());
	if (is_http(request))
		snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
			 "Connection: close\r\n\r\n",
			 length);
	length = snprintf(answer, sizeof(answer), "%s%s", head, body);
	/* A client that left is nobody's trouble. */
	(void)send(fd, answer, (size_t)length, MSG_NOSIGNAL);
}

static int serve_all(struct lust_server *server, long ms)
{
	struct lust_connection connection;

	for (;;) {
		int result = lust_server_receive(server, &connection, -1);

		if (result == -ESHUTDOWN)
			return EXIT_SUCCESS;
		if (result == -EINTR)
			continue;
		if (result < 0) {
			fprintf(stderr, "blocking: receive: %s %s\n", strerror(-result),
				lust_server_reason(server));
			return EXIT_FAILURE;
		}
		serve(connection.fd, ms);
		lust_server_close(server, connection.fd);
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: blocking [-d MS] [-l LABEL] [SERVICE]\n");
	return 64;
}

int main(int argc, char **argv)
{
	struct lust_options options = {.capacity = 1, .label = "blocking"};
	struct lust_server *server;
	const char *service;
	long ms = 0;
	char *end = NULL;
	int option, result;

	while ((option = getopt(argc, argv, "d:l:")) != -1) {
		if (option == 'd') {
			ms = strtol(optarg, &end, 10);
			if (end == optarg || *end || ms < 0)
				return usage();
		} else if (option == 'l') {
			options.label = optarg;
		} else {
			return usage();
		}
	}
	if (argc - optind > 1)
		return usage();
	service = optind < argc ? argv[optind] : getenv("LUST_SERVICE");
	if (!service) {
		fprintf(stderr, "blocking: no service: name one, or let lust-inetd start this program\n");
		return 64;
	}
	result = lust_server_register(&server, service, &options);
	if (result < 0) {
		fprintf(stderr, "blocking: cannot register for %s: %s%s%s\n", service, strerror(-result),
			server ? ": " : "", server ? lust_server_reason(server) : "");
		lust_server_free(server);
		return EXIT_FAILURE;
	}
	result = serve_all(server, ms);
	lust_server_free(server);
	return result;
}
