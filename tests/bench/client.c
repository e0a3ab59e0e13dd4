/*
 * client.c: N connections at once in one epoll loop.
 *
 * Every connection ends with SO_LINGER 0 here, after the server's end of file, and the destinations rotate over four
 * addresses: nothing is left in TIME_WAIT on this side, and no port runs out.
 *
 * SPDX-License-Identifier: ISC
 */
#include "client.h"

#include "app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64
#define DESTINATIONS 4
#define ROUND_LENGTH 64
#define LIMIT_NS (10ull * 1000 * 1000 * 1000) /* for what is still under way when the time is over */
#define STREAM_LIMIT_NS (120ull * 1000 * 1000 * 1000)

struct slot {
	int fd; /* -1: free */
	uint64_t began_ns;
	uint64_t got;
};

struct run {
	const struct client *client;
	struct result *result;
	int loop;
	unsigned open, next_destination;
	uint64_t start_ns, end_ns, limit_ns;
	uint8_t chunk[4 * PATTERN_LENGTH];
	struct slot slots[];
};

uint64_t client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- the histogram ---- */

static unsigned step_of(uint64_t ns)
{
	if (ns < HISTOGRAM_STEPS)
		return (unsigned)ns;
	unsigned octave = 63u - (unsigned)__builtin_clzll(ns) - 6;
	unsigned step = (octave + 1) * HISTOGRAM_STEPS + (unsigned)((ns >> octave) - HISTOGRAM_STEPS);
	return step < HISTOGRAM_SIZE ? step : HISTOGRAM_SIZE - 1;
}

uint64_t histogram_value(unsigned step)
{
	if (step < HISTOGRAM_STEPS)
		return step;
	unsigned octave = step / HISTOGRAM_STEPS - 1;
	return ((uint64_t)(HISTOGRAM_STEPS + step % HISTOGRAM_STEPS) << octave) + ((1ull << octave) >> 1);
}

/* ---- a connection's life ---- */

static void finish(struct run *run, struct slot *slot, uint64_t amount)
{
	uint64_t now = client_now();

	run->result->finished += amount;
	if (run->end_ns == 0 || now <= run->end_ns)
		run->result->in_time += amount;
	run->result->histogram[step_of(now - slot->began_ns)]++;
	slot->began_ns = now;
}

static void end(struct run *run, struct slot *slot)
{
	close(slot->fd); /* the only descriptor of it: epoll forgets it */
	slot->fd = -1;
	run->open--;
}

static void end_badly(struct run *run, struct slot *slot, enum client_error error)
{
	run->result->errors[error]++;
	end(run, slot);
}

/* A new socket under way, or -1. */
static int connect_next(struct run *run)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(run->client->port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK + run->next_destination++ % DESTINATIONS)};
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		app_fail("socket", errno);
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0 ||
	    (run->client->mode == CLIENT_ROUNDS && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) < 0))
		app_fail("setsockopt", errno);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

static void begin(struct run *run, struct slot *slot)
{
	uint64_t now = client_now();
	int fd = connect_next(run);

	run->result->begun++;
	if (fd < 0) {
		run->result->errors[ERROR_CONNECT]++;
		return;
	}
	*slot = (struct slot){.fd = fd, .began_ns = now};
	run->open++;
	/* A round begins with our word, so first of all when the connection stands. */
	struct epoll_event event = {.events = run->client->mode == CLIENT_ROUNDS ? EPOLLOUT : EPOLLIN, .data.ptr = slot};
	if (epoll_ctl(run->loop, EPOLL_CTL_ADD, fd, &event) < 0)
		app_fail("epoll_ctl", errno);
}

static uint64_t expected(const struct client *client)
{
	return client->mode == CLIENT_STREAM ? client->bytes : ANSWER_LENGTH;
}

/* Of an answer every byte is looked at; of a stream the first of each read, so that the client does not become the bottleneck. */
static bool right(const struct run *run, const struct slot *slot, size_t got)
{
	size_t at = slot->got % PATTERN_LENGTH, look = got < ANSWER_LENGTH ? got : ANSWER_LENGTH;

	if (slot->got + got > expected(run->client))
		return false;
	if (look > PATTERN_LENGTH - at)
		look = PATTERN_LENGTH - at;
	return memcmp(run->chunk, app_pattern() + at, look) == 0;
}

static enum client_error kind_of_failure(const struct slot *slot)
{
	return slot->got == 0 && errno != ECONNRESET ? ERROR_CONNECT : ERROR_RESET;
}

static void read_answer(struct run *run, struct slot *slot)
{
	for (;;) {
		ssize_t got = recv(slot->fd, run->chunk, sizeof(run->chunk), 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got < 0) {
			end_badly(run, slot, kind_of_failure(slot));
			return;
		}
		if (got == 0)
			break;
		if (!right(run, slot, (size_t)got)) {
			end_badly(run, slot, ERROR_WRONG);
			return;
		}
		slot->got += (uint64_t)got;
	}
	if (slot->got != expected(run->client)) {
		end_badly(run, slot, ERROR_SHORT);
		return;
	}
	finish(run, slot, run->client->mode == CLIENT_STREAM ? slot->got : 1);
	end(run, slot);
}

/* ---- rounds ---- */

static void say(struct run *run, struct slot *slot)
{
	if (send(slot->fd, app_pattern(), ROUND_LENGTH, MSG_NOSIGNAL) != ROUND_LENGTH)
		end_badly(run, slot, kind_of_failure(slot));
}

static void hear(struct run *run, struct slot *slot)
{
	ssize_t got = recv(slot->fd, run->chunk, ROUND_LENGTH, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end_badly(run, slot, got < 0 ? kind_of_failure(slot) : ERROR_SHORT);
		return;
	}
	if (slot->got + (size_t)got > ROUND_LENGTH || memcmp(run->chunk, app_pattern() + slot->got, (size_t)got) != 0) {
		end_badly(run, slot, ERROR_WRONG);
		return;
	}
	slot->got += (uint64_t)got;
	if (slot->got < ROUND_LENGTH)
		return;
	slot->got = 0;
	finish(run, slot, 1);
	if (client_now() < run->end_ns)
		say(run, slot);
	else
		end(run, slot);
}

static void round_event(struct run *run, struct slot *slot, uint32_t events)
{
	if (!(events & EPOLLOUT)) {
		hear(run, slot);
		return;
	}
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
	if (epoll_ctl(run->loop, EPOLL_CTL_MOD, slot->fd, &event) < 0)
		app_fail("epoll_ctl", errno);
	slot->began_ns = client_now();
	say(run, slot);
}

/* ---- the loop ---- */

static bool may_begin(const struct run *run)
{
	if (run->client->count != 0)
		return run->result->begun < run->client->count;
	return run->client->mode == CLIENT_ANSWERS && client_now() < run->end_ns;
}

static void turn(struct run *run)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(run->loop, events, EVENTS, 100);

	if (count < 0 && errno != EINTR)
		app_fail("epoll_wait", errno);
	for (int i = 0; i < count; i++) {
		struct slot *slot = events[i].data.ptr;
		if (run->client->mode == CLIENT_ROUNDS)
			round_event(run, slot, events[i].events);
		else
			read_answer(run, slot);
		if (slot->fd < 0 && may_begin(run))
			begin(run, slot);
	}
}

static void give_up(struct run *run)
{
	for (unsigned i = 0; i < run->client->at_once; i++)
		if (run->slots[i].fd >= 0)
			end_badly(run, &run->slots[i], ERROR_TIMEOUT);
}

void client_run(const struct client *client, struct result *result)
{
	struct run *run = calloc(1, sizeof(*run) + client->at_once * sizeof(struct slot));

	if (!run)
		app_fail("slots", ENOMEM);
	run->client = client;
	run->result = result;
	run->loop = epoll_create1(EPOLL_CLOEXEC);
	if (run->loop < 0)
		app_fail("epoll_create1", errno);
	run->start_ns = client_now();
	run->end_ns = client->duration_ns ? run->start_ns + client->duration_ns : 0;
	run->limit_ns = run->start_ns + client->duration_ns + (client->duration_ns ? LIMIT_NS : STREAM_LIMIT_NS);
	for (unsigned i = 0; i < client->at_once; i++)
		run->slots[i].fd = -1;
	for (unsigned i = 0; i < client->at_once && (client->count == 0 || may_begin(run)); i++)
		begin(run, &run->slots[i]);
	while (run->open > 0 && client_now() < run->limit_ns)
		turn(run);
	give_up(run);
	result->elapsed_ns = client->duration_ns ? client->duration_ns : client_now() - run->start_ns;
	close(run->loop);
	free(run);
}
