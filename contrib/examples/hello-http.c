/*
 * hello-http.c: an HTTP/1.1 server with keep-alive on epoll that never opened a port.  Answers GET and HEAD
 * with its pid, the client's address and the service's name.
 *
 *     hello-http [-c CAPACITY] [-l LABEL] [SERVICE]
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
#include <time.h>
#include <unistd.h>

#include "http.h"

#define HEAD_MAX 8192     /* bytes of a request's head */
#define ANSWER_MAX 512    /* bytes of one answer */
#define PIPELINE_MAX 8192 /* bytes of answers that wait for a slow client */
#define IDLE_MS 60000     /* a client that says nothing for so long is dropped */
#define FAREWELL_MS 1000  /* the same for one that we want to leave */

struct client {
	int fd;
	bool writing; /* waits until the kernel takes more */
	bool last;    /* no request after this one: "Connection: close" is said */
	bool leaving; /* our end is shut; reads on, so that no reset overtakes the answer */
	int64_t active_ms;
	size_t in_length, out_length;
	struct client *previous, *next;
	char peer[64], in[HEAD_MAX], out[PIPELINE_MAX];
};

static struct lust_server *server;
static const char *service;
static int loop;
static bool draining;
static struct client *first;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- requests and answers ---- */

static void answer(struct client *client, const struct request *request)
{
	char body[192];
	size_t room = sizeof(client->out) - client->out_length;
	int size, length;

	client->last = request->wrong || !request->keep || draining;
	if (request->wrong)
		size = snprintf(body, sizeof(body), "%.3s\n", request->wrong);
	else
		size = snprintf(body, sizeof(body), "hello from %s, pid %ld, to %s\n", service,
				(long)getpid(), client->peer);
	length = snprintf(
		client->out + client->out_length, room,
		"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s",
		request->wrong ? request->wrong : "200 OK", size, client->last ? "close" : "keep-alive",
		request->head_only ? "" : body);
	client->out_length += (size_t)length;
}

/* Answers what is whole; false while nothing more can be done without reading or writing. */
static bool answer_next(struct client *client)
{
	struct request request;
	size_t length, skip = 0;

	if (client->last || sizeof(client->out) - client->out_length < ANSWER_MAX)
		return false;
	while (skip < client->in_length && (client->in[skip] == '\r' || client->in[skip] == '\n'))
		skip++; /* empty lines before a request are to be forgiven */
	client->in_length -= skip;
	memmove(client->in, client->in + skip, client->in_length);
	length = head_length(client->in, client->in_length);
	if (length == 0 && client->in_length < sizeof(client->in))
		return false;
	if (length == 0)
		request = (struct request){.wrong = "431 Request Header Fields Too Large"};
	else
		request = read_request(client->in, length);
	client->in_length -= length;
	memmove(client->in, client->in + length, client->in_length);
	answer(client, &request);
	return true;
}

/* ---- connections ---- */

static void watch(struct client *client, bool writing)
{
	struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = client};

	if (client->writing != writing && epoll_ctl(loop, EPOLL_CTL_MOD, client->fd, &event) == 0)
		client->writing = writing;
}

static void drop(struct client *client)
{
	/* The daemon may still have its copy, so our close() alone would leave the socket in the epoll set. */
	epoll_ctl(loop, EPOLL_CTL_DEL, client->fd, NULL);
	lust_server_close(server, client->fd);
	*(client->previous ? &client->previous->next : &first) = client->next;
	if (client->next)
		client->next->previous = client->previous;
	free(client);
}

/* False: the client is gone, or must go. */
static bool write_some(struct client *client)
{
	ssize_t sent =
		client->out_length ? send(client->fd, client->out, client->out_length, MSG_NOSIGNAL) : 0;

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (sent > 0) {
		client->out_length -= (size_t)sent;
		memmove(client->out, client->out + sent, client->out_length);
	}
	return true;
}

static bool read_some(struct client *client)
{
	/* Of one that is leaving, or has said more than we listen to, everything is thrown away. */
	size_t at = client->last ? 0 : client->in_length;
	ssize_t got = recv(client->fd, client->in + at, sizeof(client->in) - at, 0);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	client->in_length = at + (size_t)got;
	return got > 0;
}

static void serve(struct client *client, uint32_t events)
{
	if (!client->leaving)
		client->active_ms = now_ms();
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !client->writing && !read_some(client)) {
		drop(client);
		return;
	}
	do {
		while (answer_next(client))
			;
		if (!write_some(client)) {
			drop(client);
			return;
		}
	} while (client->out_length == 0 && answer_next(client));
	if (client->last && client->out_length == 0 && !client->leaving) {
		client->leaving = true;
		shutdown(client->fd, SHUT_WR);
	}
	watch(client, client->out_length > 0);
}

static void name_peer(char text[64], const struct lust_connection *connection)
{
	const struct sockaddr *peer = (const struct sockaddr *)&connection->peer;
	char ip[INET6_ADDRSTRLEN] = "?";

	if (peer->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;

		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		snprintf(text, 64, "%s:%u", ip, ntohs(v4->sin_port));
	} else if (peer->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;

		inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		snprintf(text, 64, "[%s]:%u", ip, ntohs(v6->sin6_port));
	} else {
		snprintf(text, 64, "unix pid %ld uid %lu", (long)connection->peer_pid,
			 (unsigned long)connection->peer_uid);
	}
}

static void add(const struct lust_connection *connection)
{
	struct client *client = malloc(sizeof(*client));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

	if (!client || epoll_ctl(loop, EPOLL_CTL_ADD, connection->fd, &event) < 0) {
		free(client);
		lust_server_close(server, connection->fd);
		return;
	}
	client->fd = connection->fd;
	client->writing = client->last = client->leaving = false;
	client->in_length = client->out_length = 0;
	name_peer(client->peer, connection);
	client->active_ms = now_ms();
	client->previous = NULL;
	client->next = first;
	if (first)
		first->previous = client;
	first = client;
}

/* ---- the loop ---- */

/* 0, or the errno that ends this program. */
static int receive(void)
{
	struct lust_connection connection[LUST_BATCH_MAX];
	int count;

	while ((count = lust_server_receive_many(server, connection, LUST_BATCH_MAX, 0)) > 0) {
		for (int i = 0; i < count; i++)
			add(&connection[i]);
	}
	if (count == -ESHUTDOWN) {
		/* Those who are here get an answer to what they are asking now; then they leave. */
		draining = true;
		epoll_ctl(loop, EPOLL_CTL_DEL, lust_server_fd(server), NULL);
		return 0;
	}
	return count == -EINTR ? 0 : -count;
}

static void drop_idle(void)
{
	int64_t now = now_ms();
	struct client *next;

	for (struct client *client = first; client; client = next) {
		int64_t patience = draining || client->leaving ? FAREWELL_MS : IDLE_MS;

		next = client->next;
		if (now - client->active_ms > patience)
			drop(client);
	}
}

static int run(void)
{
	struct epoll_event events[64], wakeup = {.events = EPOLLIN};
	int64_t swept_ms = 0;

	loop = epoll_create1(EPOLL_CLOEXEC);
	if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, lust_server_fd(server), &wakeup) < 0)
		return errno;
	while (!draining || first) {
		int count = epoll_wait(loop, events, 64, 250), error;

		if (count < 0 && errno != EINTR)
			return errno;
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr, events[i].events);
			else if ((error = receive()))
				return error;
		}
		if (now_ms() - swept_ms >= 250) {
			drop_idle();
			swept_ms = now_ms();
		}
	}
	close(loop);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: hello-http [-c CAPACITY] [-l LABEL] [SERVICE]\n");
	return 64;
}

int main(int argc, char **argv)
{
	struct lust_options options = {.capacity = 512, .batch = 32, .nonblocking = 1, .label = "hello-http"};
	int option, result;
	char *end;

	while ((option = getopt(argc, argv, "c:l:")) != -1) {
		if (option == 'c') {
			options.capacity = (uint32_t)strtoul(optarg, &end, 10);
			if (optarg[0] < '0' || optarg[0] > '9' || *end)
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
		fprintf(stderr, "hello-http: no service: name one, or let lust-inetd start this program\n");
		return 64;
	}
	result = lust_server_register(&server, service, &options);
	if (result < 0) {
		fprintf(stderr, "hello-http: cannot register for %s: %s%s%s\n", service, strerror(-result),
			server ? ": " : "", server ? lust_server_reason(server) : "");
		lust_server_free(server);
		return EXIT_FAILURE;
	}
	result = run();
	if (result)
		fprintf(stderr, "hello-http: %s %s\n", strerror(result), lust_server_reason(server));
	lust_server_free(server);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
