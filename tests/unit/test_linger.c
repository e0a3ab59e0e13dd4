/*
 * test_linger.c: closing without a look, and without waiting for the client of a server that lingers.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "linger.h"
#include "suite.h"

#define LONG_S 3600

/* The server's end of a connection whose client does not read: full, and it lingers. */
static int lingering(int *client)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	struct linger long_one = {.l_onoff = 1, .l_linger = LONG_S};
	char junk[65536] = {0};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	*client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(*client, (const struct sockaddr *)&address, sizeof(address)), 0);
	int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(server, 0);
	close(listener);
	while (write(server, junk, sizeof(junk)) > 0)
		;
	ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_LINGER, &long_one, sizeof(long_one)), 0);
	return server;
}

static int lingers(int fd)
{
	struct linger now = {0};
	socklen_t length = sizeof(now);

	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_LINGER, &now, &length), 0);
	return now.l_onoff;
}

static bool timer_runs(void)
{
	struct itimerval now;

	ck_assert_int_eq(getitimer(ITIMER_REAL, &now), 0);
	return now.it_interval.tv_usec != 0;
}

/* The last close would wait for an hour. */
START_TEST(interrupted)
{
	struct linger_clock clock = {0};
	struct linger_caution caution = {0};
	int client, server = lingering(&client);
	uint64_t began = clock_us();

	linger_close(&clock, &caution, clock_us(), server);
	ck_assert_uint_lt(clock_us() - began, UINT64_C(30000000));
	ck_assert_uint_gt(caution.looks, 0);
	close(client);

	/* From now on they are looked at, and what lingers makes for more of it. */
	caution.looks = 1;
	server = lingering(&client);
	int other = dup(server);
	linger_close(&clock, &caution, clock_us(), server);
	ck_assert_int_eq(lingers(other), 0);
	ck_assert_uint_gt(caution.looks, 1000);
	close(other);
	close(client);
	linger_stop(&clock);
	ck_assert(!timer_runs());
}
END_TEST

/* Not the last close: nothing is looked at, and nothing waits. */
START_TEST(not_looked_at)
{
	struct linger_clock clock = {0};
	struct linger_caution caution = {0};
	int client, server = lingering(&client), other = dup(server);

	linger_close(&clock, &caution, clock_us(), server);
	ck_assert(timer_runs());
	ck_assert_int_eq(lingers(other), 1);
	ck_assert_int_eq(fcntl(server, F_GETFD), -1);
	struct linger none = {0};
	ck_assert_int_eq(setsockopt(other, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	close(other);

	/* Turns before the next tick do not stop it: the next close may be near. */
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &alarm, NULL), 0);
	for (unsigned i = 0; i < 1000; i++)
		linger_turn(&clock);
	ck_assert(timer_runs());
	ck_assert_int_eq(sigprocmask(SIG_UNBLOCK, &alarm, NULL), 0);
	close(client);
	linger_stop(&clock);
}
END_TEST

/* With nothing more to close the timer wakes an idle loop once or twice. */
START_TEST(stops_when_idle)
{
	struct linger_clock clock = {0};
	struct linger_caution caution = {0};
	unsigned wakeups = 0;

	linger_close(&clock, &caution, clock_us(), open("/dev/null", O_RDONLY | O_CLOEXEC));
	ck_assert(timer_runs());
	while (timer_runs()) {
		ck_assert_int_eq(poll(NULL, 0, 30000), -1);
		wakeups++;
		linger_turn(&clock);
	}
	ck_assert_uint_le(wakeups, 3);
	ck_assert(!clock.runs);
}
END_TEST

/* Where there is no timer to be had, every copy is looked at. */
START_TEST(without_a_timer)
{
	struct linger_clock clock = {.refused = true};
	struct linger_caution caution = {0};
	int client, server = lingering(&client);
	uint64_t began = clock_us();

	linger_close(&clock, &caution, clock_us(), server);
	ck_assert_uint_lt(clock_us() - began, UINT64_C(30000000));
	ck_assert(!timer_runs());
	close(client);
}
END_TEST

START_TEST(looks)
{
	ck_assert_uint_gt(linger_looks(100), 0);
	ck_assert_uint_gt(linger_looks(LINGER_TICK_US), 10 * linger_looks(100));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("linger");
	TCase *all = tcase_create("all");
	tcase_set_timeout(all, 60);
	tcase_add_test(all, not_looked_at);
	tcase_add_test(all, stops_when_idle);
	tcase_add_test(all, without_a_timer);
	tcase_add_test(all, looks);
	suite_add_tcase(suite, all);
	TCase *alarm = tcase_create("alarm");
	tcase_set_tags(alarm, "alarm"); /* valgrind keeps signals back during close() */
	tcase_set_timeout(alarm, 60);
	tcase_add_test(alarm, interrupted);
	suite_add_tcase(suite, alarm);
	return suite_run(suite);
}
