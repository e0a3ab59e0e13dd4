/*
 * test_untouched.c: the proof that no server touched a connection, on paper and on real sockets; and a close that
 * does not wait.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fd_message.h"
#include "suite.h"
#include "untouched.h"

static enum untouched_verdict judge(uint8_t state, uint64_t received, uint32_t unread, uint64_t sent,
				    uint32_t unsent)
{
	struct untouched_facts facts = {.state = state,
					.bytes_received = received,
					.unread = unread,
					.bytes_sent = sent,
					.unsent = unsent};
	return untouched_judge(&facts);
}

START_TEST(test_judge)
{
	enum { ESTABLISHED = 1, FIN_WAIT1 = 4, CLOSED = 7, CLOSE_WAIT = 8, LAST_ACK = 9 };
	ck_assert_int_eq(judge(ESTABLISHED, 0, 0, 0, 0), UNTOUCHED);
	ck_assert_int_eq(judge(ESTABLISHED, 100, 100, 0, 0), UNTOUCHED);
	ck_assert_int_eq(judge(ESTABLISHED, 100, 99, 0, 0), TOUCHED);
	ck_assert_int_eq(judge(ESTABLISHED, 100, 0, 0, 0), TOUCHED);
	ck_assert_int_eq(judge(CLOSE_WAIT, 101, 100, 0, 0), UNTOUCHED);
	ck_assert_int_eq(judge(CLOSE_WAIT, 101, 99, 0, 0), TOUCHED);
	ck_assert_int_eq(judge(ESTABLISHED, 0, 0, 1, 0), TOUCHED);
	ck_assert_int_eq(judge(ESTABLISHED, 0, 0, 0, 1), TOUCHED); /* corked */
	ck_assert_int_eq(judge(FIN_WAIT1, 0, 0, 0, 0), TOUCHED);   /* the server shut it down */
	ck_assert_int_eq(judge(LAST_ACK, 1, 0, 0, 0), TOUCHED);
	ck_assert_int_eq(judge(CLOSED, 0, 0, 0, 0), CLIENT_LEFT);
	struct untouched_facts urgent = {.state = ESTABLISHED, .urgent = true};
	ck_assert_int_eq(untouched_judge(&urgent), TOUCHED);
}
END_TEST

static int client, server;

static void setup(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, length), 0);
	server = accept(listener, NULL, NULL);
	ck_assert_int_ge(server, 0);
	close(listener);
}

static void teardown(void)
{
	close(client);
	close(server);
}

static enum untouched_verdict verdict(void)
{
	struct untouched_facts facts;
	ck_assert_int_eq(untouched_read(server, &facts), 0);
	return untouched_judge(&facts);
}

static void wait_for(short events)
{
	struct pollfd look = {.fd = server, .events = events};
	ck_assert_int_eq(poll(&look, 1, 10000), 1);
}

START_TEST(test_real_reading)
{
	char byte;
	ck_assert_int_eq(verdict(), UNTOUCHED);
	ck_assert_int_eq(write(client, "hello", 5), 5);
	wait_for(POLLIN);
	ck_assert_int_eq(verdict(), UNTOUCHED);
	ck_assert_int_eq(recv(server, &byte, 1, MSG_PEEK), 1);
	ck_assert_int_eq(verdict(), UNTOUCHED);
	shutdown(client, SHUT_WR);
	wait_for(POLLRDHUP);
	ck_assert_int_eq(verdict(), UNTOUCHED);
	ck_assert_int_eq(read(server, &byte, 1), 1);
	ck_assert_int_eq(verdict(), TOUCHED);
}
END_TEST

START_TEST(test_real_writing)
{
	int on = 1;
	ck_assert_int_eq(setsockopt(server, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
	ck_assert_int_eq(write(server, "x", 1), 1);
	ck_assert_int_eq(verdict(), TOUCHED);
}
END_TEST

enum { ROUNDS = 50, BYTES = 300 };

static pid_t start_sender(void)
{
	pid_t sender = fork();
	if (sender == 0) {
		for (unsigned i = 0; i < BYTES; i++)
			(void)send(client, "x", 1, MSG_NOSIGNAL);
		_exit(0);
	}
	ck_assert_int_gt(sender, 0);
	return sender;
}

/* The kernel is asked more than once for one proof; what arrives in between is no sign of a server. */
START_TEST(test_real_while_client_sends)
{
	char byte;
	for (unsigned i = 0; i < ROUNDS; i++) {
		pid_t sender = start_sender();
		while (waitpid(sender, NULL, WNOHANG) == 0)
			ck_assert_int_eq(verdict(), UNTOUCHED);
		ck_assert_int_eq(read(server, &byte, 1), 1);
		ck_assert_int_eq(verdict(), TOUCHED);
		teardown();
		setup();
	}
}
END_TEST

/* Nor does it hide that a byte was read. */
START_TEST(test_real_read_while_client_sends)
{
	char byte;
	for (unsigned i = 0; i < ROUNDS; i++) {
		pid_t sender = start_sender();
		wait_for(POLLIN);
		ck_assert_int_eq(read(server, &byte, 1), 1);
		while (waitpid(sender, NULL, WNOHANG) == 0)
			ck_assert_int_eq(verdict(), TOUCHED);
		teardown();
		setup();
	}
}
END_TEST

START_TEST(test_real_shutdown)
{
	ck_assert_int_eq(verdict(), UNTOUCHED);
	shutdown(server, SHUT_WR);
	ck_assert_int_eq(verdict(), TOUCHED);
}
END_TEST

START_TEST(test_real_reset)
{
	struct linger now = {.l_onoff = 1};
	ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(client);
	client = -1;
	wait_for(POLLIN);
	ck_assert_int_eq(verdict(), CLIENT_LEFT);
}
END_TEST

/* Urgent data is out of line: the count of unread bytes does not show who has it. */
START_TEST(test_real_urgent)
{
	ck_assert_int_eq(send(client, "!", 1, MSG_OOB), 1);
	wait_for(POLLPRI);
	ck_assert_int_eq(verdict(), TOUCHED);
}
END_TEST

static uint8_t tcp_state(void)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	ck_assert_int_eq(getsockopt(server, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	return info.tcpi_state;
}

/* Both FINs, in either order: the server has shut it down. */
START_TEST(test_real_both_ends_shut)
{
	int client_first = _i;
	char junk[65536] = {0};
	ck_assert_int_eq(write(client, "hello", 5), 5);
	/* The client does not read, so our FIN waits behind what fills its window. */
	ck_assert_int_eq(fcntl(server, F_SETFL, O_NONBLOCK), 0);
	while (write(server, junk, sizeof(junk)) > 0)
		;
	if (client_first)
		shutdown(client, SHUT_WR);
	shutdown(server, SHUT_WR);
	if (!client_first)
		shutdown(client, SHUT_WR);
	wait_for(POLLRDHUP);
	ck_assert_uint_eq(tcp_state(), client_first ? TCP_LAST_ACK : TCP_CLOSING);
	ck_assert_int_eq(verdict(), TOUCHED);
}
END_TEST

START_TEST(test_unix)
{
	int ends[2];
	struct untouched_facts facts;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_lt(untouched_read(ends[0], &facts), 0);
	lust_close_unlingered(ends[0]);
	lust_close_unlingered(ends[1]);
}
END_TEST

/* A full socket that lingers: the plain close would wait a minute. */
START_TEST(test_linger)
{
	char junk[65536] = {0};
	struct linger minute = {.l_onoff = 1, .l_linger = 60};
	ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)), 0);
	ck_assert_int_eq(fcntl(server, F_SETFL, O_NONBLOCK), 0);
	while (write(server, junk, sizeof(junk)) > 0)
		;
	uint64_t began = clock_us();
	lust_close_unlingered(server);
	ck_assert_uint_lt(clock_us() - began, 10000000);
	server = -1;
}
END_TEST

/* Lingering for no time asks for a reset, and stays. */
START_TEST(test_linger_of_zero)
{
	struct linger zero = {.l_onoff = 1}, after;
	socklen_t length = sizeof(after);
	ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_LINGER, &zero, sizeof(zero)), 0);
	lust_close_unlingered(dup(server));
	ck_assert_int_eq(getsockopt(server, SOL_SOCKET, SO_LINGER, &after, &length), 0);
	ck_assert_int_eq(after.l_onoff, 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_judge,
				      test_real_reading,
				      test_real_writing,
				      test_real_while_client_sends,
				      test_real_read_while_client_sends,
				      test_real_shutdown,
				      test_real_reset,
				      test_unix,
				      test_linger,
				      test_linger_of_zero,
				      test_real_urgent};
	Suite *suite = suite_create("untouched");
	TCase *tcase = tcase_create("untouched");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 90);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	tcase_add_loop_test(tcase, test_real_both_ends_shut, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
