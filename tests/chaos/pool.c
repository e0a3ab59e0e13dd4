/*
 * pool.c: clients that know every connection by its number and write down how each ended.
 *
 *     pool -o FILE [-c CONNECTIONS] [-f FIRST] [-t SECONDS] TARGET...
 *
 * TARGET is PORT:HOW, HOW a word of letters: a (asks first), l (listens only), and with either L (a large answer) and
 * s (every 16th reads slowly).  Each target has CONNECTIONS (default 16) clients at a time, so that none starves the
 * others.  SIGTERM ends the opening of new ones; the rest have SECONDS (default 60) each, then the pool exits.
 *
 * SPDX-License-Identifier: ISC
 */
#include "chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TARGETS_MAX 64
#define SLOW_EVERY 16
#define SLOW_BUFFER 4096
#define SLOW_US UINT64_C(20000) /* between two reads of a slow one */

struct target {
	struct sockaddr_in address;
	bool asks, large, slow;
};

struct client {
	int fd; /* -1: free */
	bool connected, slow;
	uint32_t target;
	uint64_t number, began_us, slow_until_us;
	uint64_t checksum;
	uint32_t bytes; /* of head and body */
	struct answer head;
};

static struct target targets[TARGETS_MAX];
static unsigned target_count;
static struct client *clients;
static unsigned client_count, open_count;
static uint64_t limit_us = 60000000, next_number;
static int loop;
static FILE *out;
static volatile sig_atomic_t ending;

static void on_term(int number)
{
	(void)number;
	ending = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "pool: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the end of a connection ---- */

static void finish(struct client *client, enum outcome outcome)
{
	struct pool_record record = {.number = client->number,
				     .outcome = outcome,
				     .target = client->target,
				     .pid = client->bytes >= sizeof(client->head) ? client->head.pid : 0,
				     .bytes = client->bytes,
				     .began_us = client->began_us,
				     .ended_us = clock_us()};
	/* A reset instead of TIME_WAIT: the other end has sent its FIN, nothing can be hurt. */
	struct linger none = {.l_onoff = 1};

	if (fwrite(&record, sizeof(record), 1, out) != 1)
		fail("writing the records");
	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(client->fd);
	client->fd = -1;
	open_count--;
}

static bool answered(const struct client *client)
{
	return client->bytes >= sizeof(client->head) &&
	       client->bytes == sizeof(client->head) + client->head.length;
}

static void over(struct client *client, int error)
{
	if (!answered(client))
		finish(client, client->bytes ? OUTCOME_SHORT : error ? OUTCOME_RESET : OUTCOME_EMPTY);
	else if (error)
		finish(client, OUTCOME_NO_END);
	else
		finish(client, client->checksum == client->head.checksum ? OUTCOME_OK : OUTCOME_WRONG);
}

/* ---- reading ---- */

static bool head_is_right(const struct client *client)
{
	return client->head.number == client->number &&
	       client->head.length == answer_length(client->number, targets[client->target].large);
}

/* False: the client is finished. */
static bool take_in(struct client *client, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (client->bytes < sizeof(client->head)) {
			((uint8_t *)&client->head)[client->bytes++] = data[i];
			if (client->bytes == sizeof(client->head) && !head_is_right(client)) {
				finish(client, OUTCOME_WRONG);
				return false;
			}
			continue;
		}
		if (answered(client)) {
			finish(client, OUTCOME_TWICE);
			return false;
		}
		client->checksum = checksum_add(client->checksum, data[i]);
		client->bytes++;
	}
	return true;
}

static void read_some(struct client *client)
{
	uint8_t data[65536];

	for (;;) {
		size_t most = client->slow ? SLOW_BUFFER : sizeof(data);
		ssize_t got = recv(client->fd, data, most, 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			over(client, got < 0 ? errno : 0);
			return;
		}
		if (!take_in(client, data, (size_t)got))
			return;
		if (client->slow) {
			/* Level-triggered, it would wake us at once. */
			struct epoll_event none = {.data.ptr = client};

			client->slow_until_us = clock_us() + SLOW_US;
			epoll_ctl(loop, EPOLL_CTL_MOD, client->fd, &none);
			return;
		}
	}
}

static void watch_reading(struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

	epoll_ctl(loop, EPOLL_CTL_MOD, client->fd, &event);
}

/* ---- connecting ---- */

static void connected(struct client *client)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error) {
		finish(client, error == ECONNREFUSED ? OUTCOME_REFUSED : OUTCOME_CONNECT);
		return;
	}
	client->connected = true;
	if (targets[client->target].asks) {
		struct request request = {.number = client->number, .check = ~client->number};
		ssize_t sent = send(client->fd, &request, sizeof(request), MSG_NOSIGNAL);
		if (sent != sizeof(request)) {
			finish(client, OUTCOME_RESET);
			return;
		}
	}
	watch_reading(client);
}

/* A socket with the next number's address; a number whose address somebody else uses is passed over. */
static int next_socket(uint64_t *number)
{
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
		if (fd < 0)
			fail("socket");
		*number = next_number++;
		struct sockaddr_in from = address_of_number(*number);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
		if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0)
			return fd;
		if (errno != EADDRINUSE)
			fail("bind");
		close(fd);
	}
}

static void open_client(struct client *client, uint32_t target)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
	const struct target *to = &targets[target];

	*client = (struct client){.target = target, .checksum = CHECKSUM_START, .began_us = clock_us()};
	client->fd = next_socket(&client->number);
	client->slow = to->slow && client->number % SLOW_EVERY == 0;
	if (client->slow) {
		int size = SLOW_BUFFER;

		setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	open_count++;
	if (connect(client->fd, (const struct sockaddr *)&to->address, sizeof(to->address)) < 0 &&
	    errno != EINPROGRESS) {
		finish(client, errno == ECONNREFUSED ? OUTCOME_REFUSED : OUTCOME_CONNECT);
		return;
	}
	if (epoll_ctl(loop, EPOLL_CTL_ADD, client->fd, &event) < 0)
		fail("epoll_ctl");
}

/* ---- the loop ---- */

static void look_at_clocks(void)
{
	uint64_t now = clock_us();

	for (unsigned i = 0; i < client_count; i++) {
		struct client *client = &clients[i];
		if (client->fd < 0)
			continue;
		if (client->slow_until_us && client->slow_until_us <= now) {
			client->slow_until_us = 0;
			watch_reading(client);
		}
		if (now - client->began_us > limit_us)
			finish(client, answered(client) ? OUTCOME_NO_END : OUTCOME_HUNG);
	}
}

static void open_missing(unsigned each)
{
	for (unsigned i = 0; i < client_count && !ending; i++) {
		if (clients[i].fd < 0)
			open_client(&clients[i], i / each);
	}
}

static void serve(void)
{
	struct epoll_event events[256];
	int count = epoll_wait(loop, events, 256, 10);

	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;
		if (client->fd < 0)
			continue;
		if (client->connected)
			read_some(client);
		else
			connected(client);
	}
}

static void run(unsigned each)
{
	uint64_t looked = 0;

	while (!ending || open_count) {
		open_missing(each);
		serve();
		if (clock_us() - looked >= 10000) {
			looked = clock_us();
			look_at_clocks();
			fflush(out);
		}
	}
}

static void read_target(const char *text)
{
	char *how;
	unsigned long port = strtoul(text, &how, 10);

	if (port == 0 || port > 65535 || *how++ != ':' || target_count == TARGETS_MAX) {
		fprintf(stderr, "pool: %s: not PORT:HOW\n", text);
		exit(64);
	}
	targets[target_count++] = (struct target){
		.address = {.sin_family = AF_INET,
			    .sin_port = htons((uint16_t)port),
			    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
		.asks = strchr(how, 'a') != NULL,
		.large = strchr(how, 'L') != NULL,
		.slow = strchr(how, 's') != NULL,
	};
}

static void prepare(unsigned each)
{
	struct sigaction end = {.sa_handler = on_term};
	struct rlimit limit;

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	loop = epoll_create1(EPOLL_CLOEXEC);
	client_count = each * target_count;
	clients = calloc(client_count, sizeof(*clients));
	if (loop < 0 || !clients)
		fail("start");
	for (unsigned i = 0; i < client_count; i++)
		clients[i].fd = -1;
}

int main(int argc, char **argv)
{
	unsigned each = 16;
	int option;

	while ((option = getopt(argc, argv, "o:c:f:t:")) != -1) {
		switch (option) {
		case 'o':
			out = fopen(optarg, "abe");
			if (!out)
				fail(optarg);
			break;
		case 'c':
			each = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			next_number = strtoull(optarg, NULL, 10);
			break;
		case 't':
			limit_us = strtoull(optarg, NULL, 10) * 1000000;
			break;
		default:
			return 64;
		}
	}
	for (; optind < argc; optind++)
		read_target(argv[optind]);
	if (!out || !target_count || !each) {
		fprintf(stderr, "usage: pool -o FILE [-c N] [-f FIRST] [-t SECONDS] PORT:HOW...\n");
		return 64;
	}
	prepare(each);
	run(each);
	if (fclose(out) != 0)
		fail("writing the records");
	printf("%llu\n", (unsigned long long)next_number);
	return 0;
}
