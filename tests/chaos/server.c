/*
 * server.c: an application server on liblust that writes down what it does with each connection, and misbehaves when
 * told to (misdeeds.c).
 *
 *     chaos-server -j JOURNAL [-a] [-L] [-e] [-d MS] [-c CAPACITY] [-b BATCH] SERVICE
 *
 * -a waits for a request before it answers, else it speaks first; -L answers at length; -e says TAKEN itself, as late
 * as it can; -d waits before it answers.  SERVICE is for ps alone: the daemon tells the real one.
 *
 * SPDX-License-Identifier: ISC
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TAKE_AGAIN_US 5000
#define CHUNK 65536

struct options options = {.batch = 16};
struct lust_server *server;
static int loop, signals, book;
static bool drained;

/* Those that wait for their time, in its order: the delay is the same for all. */
static struct connection *first, *last;
static unsigned open_count;

static _Noreturn void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

void journal(const struct connection *connection, enum deed deed)
{
	struct server_record record = {.number = connection->number,
				       .id = connection->id,
				       .pid = (uint32_t)getpid(),
				       .deed = deed,
				       .time_us = clock_us()};

	/* One write to a file opened with O_APPEND: whole, and there whatever becomes of us. */
	if (write(book, &record, sizeof(record)) != sizeof(record))
		fail("journal", errno);
}

/* ---- waiting for their time ---- */

static void enqueue(struct connection *connection, uint64_t due_us)
{
	connection->due_us = due_us;
	connection->next = NULL;
	connection->previous = last;
	*(last ? &last->next : &first) = connection;
	last = connection;
}

static void dequeue(struct connection *connection)
{
	*(connection->previous ? &connection->previous->next : &first) = connection->next;
	*(connection->next ? &connection->next->previous : &last) = connection->previous;
}

/* ---- a connection's life ---- */

static void leave(struct connection *connection)
{
	/* The daemon may still have its copy: our close() alone would leave it in the set. */
	epoll_ctl(loop, EPOLL_CTL_DEL, connection->fd, NULL);
	lust_server_close(server, connection->fd);
	misdeeds_remember_done(connection->id);
	free(connection);
	open_count--;
}

static void watch(struct connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	if (epoll_ctl(loop, EPOLL_CTL_MOD, connection->fd, &event) < 0 &&
	    epoll_ctl(loop, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		fail("epoll_ctl", errno);
}

static bool take(struct connection *connection)
{
	if (connection->taken)
		return true;
	journal(connection, DEED_TAKES);
	int result = lust_server_take(server, connection->id);
	if (result < 0) {
		journal(connection, DEED_TAKE_FAILED);
		if (result != -EAGAIN)
			fail("take", -result);
		enqueue(connection, clock_us() + TAKE_AGAIN_US);
		return false;
	}
	journal(connection, DEED_TAKEN);
	connection->taken = true;
	return true;
}

static size_t fill(const struct connection *connection, uint8_t *chunk)
{
	size_t length = 0, whole = sizeof(connection->head) + connection->head.length;
	const uint8_t *head = (const uint8_t *)&connection->head;

	for (size_t at = connection->sent; at < whole && length < CHUNK; at++)
		chunk[length++] =
			at < sizeof(connection->head)
				? head[at]
				: answer_byte(connection->number, (uint32_t)(at - sizeof(connection->head)));
	return length;
}

static void write_answer(struct connection *connection)
{
	static uint8_t chunk[CHUNK];

	for (;;) {
		size_t length = fill(connection, chunk);
		if (length == 0) {
			journal(connection, DEED_DONE);
			leave(connection);
			return;
		}
		if (mood.half_answer && length > 1)
			length /= 2;
		ssize_t sent = send(connection->fd, chunk, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (mood.half_answer || mood.linger)
			raise(SIGKILL);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
			watch(connection, EPOLLOUT);
			return;
		}
		if (sent < 0) {
			journal(connection, DEED_LEFT);
			leave(connection);
			return;
		}
		connection->sent += (uint32_t)sent;
	}
}

static void begin_answer(struct connection *connection)
{
	struct answer *head = &connection->head;

	head->number = connection->number;
	head->length = answer_length(connection->number, options.large);
	head->pid = (uint32_t)getpid();
	head->checksum = CHECKSUM_START;
	for (uint32_t at = 0; at < head->length; at++)
		head->checksum = checksum_add(head->checksum, answer_byte(connection->number, at));
	connection->answering = true;
	journal(connection, DEED_ANSWERS);
	write_answer(connection);
}

static void due(struct connection *connection)
{
	dequeue(connection);
	if (take(connection))
		begin_answer(connection);
}

/* Only what is TAKEN may be read. */
static void read_request(struct connection *connection)
{
	if (!connection->taken) {
		epoll_ctl(loop, EPOLL_CTL_DEL, connection->fd, NULL);
		if (!take(connection))
			return; /* tried again when it is due */
		watch(connection, EPOLLIN);
	}
	ssize_t got = recv(connection->fd, (uint8_t *)&connection->request + connection->got,
			   sizeof(connection->request) - connection->got, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		journal(connection, DEED_LEFT);
		leave(connection);
		return;
	}
	connection->got += (uint32_t)got;
	if (connection->got < sizeof(connection->request))
		return;
	if (connection->request.number != connection->number ||
	    connection->request.check != ~connection->number)
		journal(connection, DEED_ALIEN);
	connection->asks_done = true;
	epoll_ctl(loop, EPOLL_CTL_DEL, connection->fd, NULL);
	enqueue(connection, clock_us() + options.delay_us);
}

static void touch_too_early(const struct connection *connection)
{
	int yes = 1;

	setsockopt(connection->fd, IPPROTO_TCP, TCP_CORK, &yes, sizeof(yes));
	if (send(connection->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		fail("cork", errno);
	raise(SIGKILL);
}

static void on_connection(const struct lust_connection *from)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		fail("connection", ENOMEM);
	connection->fd = from->fd;
	connection->id = from->id;
	connection->number = number_of_address((const struct sockaddr_in *)&from->peer);
	connection->taken = !options.explicit_take;
	open_count++;
	journal(connection, connection->taken ? DEED_TAKEN : DEED_RECEIVED);
	if (mood.cork && !connection->taken)
		touch_too_early(connection);
	if (mood.refuse_until_us && !connection->taken) {
		journal(connection, DEED_REFUSES);
		lust_server_refuse(server, connection->id);
		free(connection);
		open_count--;
		return;
	}
	if (mood.linger) {
		struct linger long_one = {.l_onoff = 1, .l_linger = 30};

		setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &long_one, sizeof(long_one));
	}
	if (options.asks)
		watch(connection, EPOLLIN);
	else
		enqueue(connection, clock_us() + options.delay_us);
}

/* ---- the loop ---- */

static void receive(void)
{
	struct lust_connection connections[LUST_BATCH_MAX];
	int count = 0;

	do {
		count = lust_server_receive_many(server, connections, LUST_BATCH_MAX, 0);
		for (int i = 0; i < count; i++)
			on_connection(&connections[i]);
	} while (count > 0);
	if (count == -ESHUTDOWN)
		drained = true;
	else if (count == -EACCES)
		fprintf(stderr, "denied: %s\n", lust_server_reason(server)), exit(2);
	else if (count < 0 && count != -EINTR)
		fail("receive", -count);
}

static void hear_signal(void)
{
	struct signalfd_siginfo told;

	while (read(signals, &told, sizeof(told)) == sizeof(told))
		misdeed((enum misdeed)((int)told.ssi_signo - SIGRTMIN));
}

static void serve_due(uint64_t now)
{
	while (first && first->due_us <= now) {
		struct connection *connection = first;
		if (options.asks && !connection->asks_done) { /* TAKEN had no room */
			dequeue(connection);
			read_request(connection);
			continue;
		}
		due(connection);
	}
}

static int until_due(uint64_t now)
{
	int wait = mood.filled_until_us || mood.refuse_until_us ? 20 : 1000;

	if (!first)
		return wait;
	if (first->due_us <= now)
		return 0;
	uint64_t left_ms = (first->due_us - now + 999) / 1000;
	return left_ms < (uint64_t)wait ? (int)left_ms : wait;
}

/* Slow to take: it hears and answers the daemon, and does nothing for its clients. */
static void idle(void)
{
	struct pollfd look = {.fd = lust_server_fd(server), .events = POLLIN};

	if (poll(&look, drained ? 0 : 1, 50) > 0)
		receive();
	hear_signal();
}

static void serve(void)
{
	struct epoll_event events[64];
	int count = epoll_wait(loop, events, 64, until_due(clock_us()));

	for (int i = 0; i < count; i++) {
		struct connection *connection = events[i].data.ptr;
		if (!connection)
			receive();
		else if (events[i].data.ptr == &signals)
			hear_signal();
		else if (connection->answering)
			write_answer(connection);
		else
			read_request(connection);
	}
	serve_due(clock_us());
}

static void add(int fd, void *what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl", errno);
}

static void start(void)
{
	struct lust_options asked = {.capacity = options.capacity, .batch = options.batch, .wait_ms = 60000};
	sigset_t set;

	asked.explicit_take = options.explicit_take;
	sigemptyset(&set);
	for (int i = 0; i < MISDEEDS; i++)
		sigaddset(&set, SIGRTMIN + i);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	book = open(options.journal, O_WRONLY | O_APPEND | O_CLOEXEC);
	loop = epoll_create1(EPOLL_CLOEXEC);
	if (signals < 0 || book < 0 || loop < 0)
		fail("start", errno);
	int result = lust_server_register(&server, NULL, &asked);
	if (result < 0)
		fail("register", -result);
	add(signals, &signals);
	add(lust_server_fd(server), NULL);
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "j:aLed:c:b:")) != -1) {
		switch (option) {
		case 'j':
			options.journal = optarg;
			break;
		case 'a':
			options.asks = true;
			break;
		case 'L':
			options.large = true;
			break;
		case 'e':
			options.explicit_take = true;
			break;
		case 'd':
			options.delay_us = strtoull(optarg, NULL, 10) * 1000;
			break;
		case 'c':
			options.capacity = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			options.batch = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		default:
			return 64;
		}
	}
	if (!options.journal)
		return 64;
	start();
	while (!drained || open_count) {
		misdeeds_look(clock_us());
		if (clock_us() < mood.slow_until_us)
			idle();
		else
			serve();
	}
	lust_server_free(server);
	return 0;
}
