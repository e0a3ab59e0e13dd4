/*
 * test_dispatcher.c: the program itself, as an ordinary user's supervisor starts it: confined, serving, killed,
 * replaced, ended.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "channel.h"
#include "event.h"
#include "fd_message.h"
#include "link.h"
#include "suite.h"
#include "wire.h"

#define WAIT_MS 20000

static struct channel link_end;
static pid_t pid;
static int board_fd, events[2], listener, ours, theirs;
static uint32_t generation;
static uint16_t port;
static union lust_wire_message heard;
static struct lust_message from;

static void readable(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};
	ck_assert_int_eq(poll(&look, 1, WAIT_MS), 1);
}

static void tell(enum link_type type, struct link_message message, const int *fds, unsigned count)
{
	message.version = LINK_VERSION;
	message.type = (uint16_t)type;
	ck_assert_int_eq(channel_send(&link_end, &message, fds, count), 0);
}

static struct link_message expect(enum link_type type)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;
	do {
		readable(link_end.fd);
		ck_assert_int_eq(channel_receive(&link_end, &message, fds, &count), 1);
	} while (message.type != type);
	return message;
}

static void start(void)
{
	int ends[2];
	ck_assert_int_eq(channel_pair(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (ends[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(ends[1], 3);
		execl(DISPATCHER, DISPATCHER, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	channel_init(&link_end, ends[0], sizeof(struct link_message));
	struct link_message hello = {0};
	hello.hello.generation = ++generation;
	hello.hello.unprivileged = 1;
	hello.hello.recovering = generation > 1;
	hello.hello.nofile = 512;
	tell(LINK_HELLO, hello, (int[]){board_fd, events[1]}, 2);
	(void)expect(LINK_READY);
}

static void push(void)
{
	tell(LINK_BEGIN, (struct link_message){.begin = {1, 1, 1, 1, 0}}, NULL, 0);
	struct link_message message = {0};
	message.service =
		(struct link_service){.name = "web", .window = 64, .take_timeout_ms = 5000, .supervised = 1};
	tell(LINK_SERVICE, message, NULL, 0);
	message = (struct link_message){0};
	tell(LINK_LISTENER, message, &listener, 1);
	message = (struct link_message){0};
	message.server =
		(struct link_server){.generation = 1, .instance = 1, .pid = getpid(), .uid = getuid()};
	tell(LINK_SERVER, message, (int[]){ours, theirs}, 2);
	tell(LINK_COMMIT, (struct link_message){.commit.table = 1}, NULL, 0);
	ck_assert_uint_eq(expect(LINK_COMMITTED).commit.table, 1);
}

static void hear(enum lust_wire_type type)
{
	readable(theirs);
	ck_assert_int_eq(lust_message_receive(theirs, &heard, sizeof(heard), &from, 64, MSG_DONTWAIT), 1);
	ck_assert_ptr_null(lust_wire_check_from_daemon(&heard, from.length));
	ck_assert_uint_eq(heard.header.type, type);
}

static void say(union lust_wire_message message)
{
	ck_assert_int_eq(lust_message_send(theirs, &message, lust_wire_length(&message), NULL, 0, 0), 0);
}

static void greet(uint32_t held, uint32_t last_batch)
{
	union lust_wire_message message = {0};
	hear(LUST_WIRE_HELLO);
	ck_assert_uint_eq(heard.hello.generation, generation);
	message.reg = (struct lust_wire_register){.header = {LUST_WIRE_VERSION, LUST_WIRE_REGISTER, 0},
						  .generation = generation,
						  .batch = 64,
						  .held = held,
						  .last_batch = last_batch,
						  .service = "web"};
	say(message);
	hear(LUST_WIRE_REGISTERED);
	(void)expect(LINK_REGISTERED);
}

static void ids(enum lust_wire_type type, uint64_t id)
{
	union lust_wire_message message = {0};
	message.header = (struct lust_wire_header){LUST_WIRE_VERSION, (uint16_t)type, 1};
	message.ids.id[0] = id;
	say(message);
}

static int connect_client(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static struct board_reading reading(void)
{
	struct board_reading out;
	struct board *board = board_map(board_fd, false);
	ck_assert_ptr_nonnull(board);
	board_read_service(board, 0, &out);
	board_unmap(board);
	return out;
}

static void ping(void)
{
	static uint64_t number;
	tell(LINK_PING, (struct link_message){.ping.number = ++number}, NULL, 0);
	ck_assert_uint_eq(expect(LINK_PONG).ping.number, number);
}

static void until_taken(uint64_t taken, uint64_t done)
{
	time_t deadline = time(NULL) + WAIT_MS / 1000;
	while (reading().taken < taken || reading().done < done) {
		ck_assert_int_lt(time(NULL), deadline);
		ping();
	}
}

static void setup(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int ends[2], on = 1;
	generation = 0;
	board_fd = board_create();
	ck_assert_int_ge(board_fd, 0);
	ck_assert_int_eq(pipe2(events, O_CLOEXEC | O_NONBLOCK), 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(listener, 128), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	port = ntohs(address.sin_port);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ours = ends[0];
	theirs = ends[1];
	ck_assert_int_eq(setsockopt(ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	start();
	push();
	greet(0, 0);
}

static int wait_for_end(void)
{
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	pid = 0;
	return status;
}

static void teardown(void)
{
	channel_close(&link_end);
	if (pid)
		ck_assert_int_eq(wait_for_end(), 0);
	close(board_fd);
	close(events[0]);
	close(events[1]);
	close(listener);
	close(ours);
	close(theirs);
}

static void expect_in_status(const char *line)
{
	char path[64], text[8192];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(length, 0);
	text[length] = 0;
	close(fd);
	ck_assert_msg(strstr(text, line) != NULL, "no %s in %s", line, text);
}

START_TEST(test_confined)
{
	ping();
	expect_in_status("CapEff:\t0000000000000000");
	expect_in_status("CapPrm:\t0000000000000000");
	expect_in_status("CapAmb:\t0000000000000000");
	expect_in_status("NoNewPrivs:\t1");
	if (geteuid() == 0)
		expect_in_status("CapBnd:\t0000000000000000");
#ifndef SANITIZED
	expect_in_status("Seccomp:\t2");
#endif
	/* Not the terminal's, nor a service manager's to end. */
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(kill(pid, SIGINT), 0);
	ping();
}
END_TEST

START_TEST(test_serves)
{
	for (unsigned i = 0; i < 100; i++) {
		int client = connect_client();
		hear(LUST_WIRE_CONNECTIONS);
		uint64_t id = heard.connections.entry[0].id;
		ids(LUST_WIRE_TAKEN, id);
		ck_assert_int_eq(write(from.fd[0], "x", 1), 1);
		char byte;
		ck_assert_int_eq(read(client, &byte, 1), 1);
		lust_message_close_from(&from, 0);
		ids(LUST_WIRE_DONE, id);
		close(client);
	}
	until_taken(100, 100);
	ck_assert_uint_eq(reading().accepted, 100);
	ck_assert_uint_eq(reading().done, 100);
}
END_TEST

/* kill -9: what the server had not received is served by the next dispatcher, and nothing is lost. */
START_TEST(test_killed)
{
	int first = connect_client();
	hear(LUST_WIRE_CONNECTIONS);
	uint64_t id = heard.connections.entry[0].id;
	lust_message_close_from(&from, 0);
	ids(LUST_WIRE_TAKEN, id);
	until_taken(1, 0);
	int second = connect_client();
	readable(theirs); /* sent, not received */
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	(void)wait_for_end();
	channel_close(&link_end);
	int third = connect_client(); /* waits in the backlog */

	start();
	push();
	greet(1, 1);
	unsigned got = 0;
	while (got < 2) {
		hear(LUST_WIRE_CONNECTIONS);
		for (unsigned i = 0; i < heard.header.count; i++, got++) {
			id = heard.connections.entry[i].id;
			ck_assert_uint_eq(LUST_ID_GENERATION(id), 2);
			ids(LUST_WIRE_TAKEN, id);
		}
		lust_message_close_from(&from, 0);
	}
	until_taken(3, 0);
	struct board_reading now = reading();
	ck_assert_uint_eq(now.accepted, 3);
	ck_assert_uint_eq(now.taken, 3);
	ck_assert_uint_eq(now.lost, 0);
	ck_assert_uint_eq(now.pending, 0);
	close(first);
	close(second);
	close(third);
}
END_TEST

START_TEST(test_shutdown)
{
	tell(LINK_QUIESCE, (struct link_message){0}, NULL, 0);
	(void)expect(LINK_QUIET);
	tell(LINK_SHUTDOWN, (struct link_message){0}, NULL, 0);
	ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

/* Nonsense from the supervisor: a new dispatcher does better. */
START_TEST(test_bad_link)
{
	tell(LINK_READY, (struct link_message){0}, NULL, 0);
	int status = wait_for_end();
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_confined, test_serves, test_killed, test_shutdown, test_bad_link};
	Suite *suite = suite_create("dispatcher");
	TCase *tcase = tcase_create("program");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 90);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
