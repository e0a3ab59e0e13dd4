/*
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"

struct message {
	uint64_t number;
	char filler[248];
};

static struct channel left, right;

static void make(void)
{
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	channel_init(&left, ends[0], sizeof(struct message));
	channel_init(&right, ends[1], sizeof(struct message));
}

static void drop(void)
{
	channel_close(&left);
	channel_close(&right);
}

static int send_number(uint64_t number, const int *fds, unsigned count)
{
	struct message message = {.number = number};

	return channel_send(&left, &message, fds, count);
}

static void expect(uint64_t number, int fds[CHANNEL_FDS], unsigned descriptors)
{
	struct message message;
	unsigned count;

	ck_assert_int_eq(channel_receive(&right, &message, fds, &count), 1);
	ck_assert_uint_eq(message.number, number);
	ck_assert_uint_eq(count, descriptors);
}

static int expect_result(void)
{
	struct message message;
	int fds[CHANNEL_FDS];
	unsigned count = 99;
	int result = channel_receive(&right, &message, fds, &count);

	ck_assert_uint_eq(count, 0);
	return result;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static unsigned open_count(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += is_open(fd);
	return count;
}

static int open_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Sends until the kernel takes no more: the number of the first queued message. */
static uint64_t fill(void)
{
	uint64_t number = 0;

	while (!channel_pending(&left))
		ck_assert_int_eq(send_number(number++, NULL, 0), 0);
	return number - 1;
}

START_TEST(test_descriptors)
{
	int null = open_null(), fds[CHANNEL_FDS], sent[CHANNEL_FDS] = {null, left.fd, null};
	struct stat a, b;

	ck_assert_int_eq(send_number(1, NULL, 0), 0);
	ck_assert_int_eq(send_number(2, sent, 3), 0);
	ck_assert_int_eq(send_number(3, sent, 4), -EINVAL);
	expect(1, fds, 0);
	expect(2, fds, 3);
	ck_assert_int_eq(fstat(fds[0], &a), 0);
	ck_assert_int_eq(fstat(null, &b), 0);
	ck_assert(a.st_rdev == b.st_rdev);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
	}
	ck_assert(is_open(null)); /* the caller's */
	ck_assert_int_eq(expect_result(), 0);
	close(null);
}
END_TEST

START_TEST(test_queue_keeps_order)
{
	uint64_t first = fill(), number;
	int fds[CHANNEL_FDS], null = open_null();

	ck_assert(!channel_stuck(&left));
	for (number = first + 1; number < first + 100; number++)
		ck_assert_int_eq(send_number(number, &null, number % 10 == 0), 0);
	ck_assert_uint_eq(left.pending, 100);
	for (number = 0; number < first + 100; number++) {
		ck_assert_int_eq(channel_flush(&left), 0);
		expect(number, fds, number > first && number % 10 == 0);
		if (number > first && number % 10 == 0)
			close(fds[0]);
	}
	ck_assert(!channel_pending(&left));
	ck_assert_uint_eq(left.pending, 0);
	ck_assert_int_eq(send_number(number, NULL, 0), 0);
	ck_assert(!channel_pending(&left));
	expect(number, fds, 0);
	close(null);
}
END_TEST

START_TEST(test_close_after)
{
	int early = open_null(), late = open_null(), apart = open_null(), fds[CHANNEL_FDS];
	uint64_t first;

	channel_close_after(&left, early);
	ck_assert(!is_open(early)); /* nothing queued */
	early = open_null();
	first = fill();
	ck_assert_int_eq(send_number(first + 1, &early, 1), 0);
	ck_assert_int_eq(send_number(first + 2, (int[]){late, early}, 2), 0);
	ck_assert_int_eq(send_number(first + 3, &late, 1), 0);
	channel_close_after(&left, early);
	channel_close_after(&left, late);
	channel_close_after(&left, apart);
	channel_close_after(&left, -1);
	ck_assert(!is_open(apart)); /* no message waits with it */
	for (uint64_t number = 0; number < first; number++)
		expect(number, fds, 0);
	ck_assert(is_open(early) && is_open(late));
	ck_assert_int_eq(channel_flush(&left), 0);
	ck_assert(!is_open(early) && !is_open(late));
	expect(first, fds, 0);
	expect(first + 1, fds, 1);
	close(fds[0]);
	expect(first + 2, fds, 2);
	close(fds[0]);
	close(fds[1]);
	expect(first + 3, fds, 1);
	close(fds[0]);
}
END_TEST

START_TEST(test_close_drops_queue)
{
	int given = open_null(), kept = open_null();
	uint64_t first = fill();

	ck_assert_int_eq(send_number(first + 1, (int[]){given, kept}, 2), 0);
	channel_close_after(&left, given);
	channel_close(&left);
	ck_assert(!is_open(given));
	ck_assert(is_open(kept));
	ck_assert(!channel_pending(&left));
	ck_assert_int_eq(send_number(1, NULL, 0), -EPIPE);
	ck_assert_int_eq(channel_flush(&left), 0);
	close(kept);
}
END_TEST

START_TEST(test_end)
{
	int fds[CHANNEL_FDS];

	ck_assert_int_eq(send_number(7, NULL, 0), 0);
	channel_close(&left);
	expect(7, fds, 0); /* what was sent before still comes */
	ck_assert_int_eq(expect_result(), -ECONNRESET);
	ck_assert_int_eq(channel_send(&right, &(struct message){.number = 1}, NULL, 0), -EPIPE);
	channel_close(&right);
	ck_assert_int_eq(expect_result(), -ECONNRESET);
}
END_TEST

/* The kernel tells of what the closed end did not read before it gives what that end had sent. */
START_TEST(test_end_with_unread)
{
	int fds[CHANNEL_FDS];

	ck_assert_int_eq(channel_send(&right, &(struct message){.number = 1}, NULL, 0), 0);
	ck_assert_int_eq(send_number(2, NULL, 0), 0);
	ck_assert_int_eq(send_number(3, NULL, 0), 0);
	channel_close(&left);
	expect(2, fds, 0);
	expect(3, fds, 0);
	ck_assert_int_eq(expect_result(), -ECONNRESET);
}
END_TEST

/* What no channel of ours sends. */
static void send_raw(const void *data, size_t size, unsigned descriptors)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = {0};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (descriptors > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
		for (unsigned i = 0; i < descriptors; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &left.fd, sizeof(int));
	}
	ck_assert_int_eq(sendmsg(left.fd, &header, 0), (ssize_t)size);
}

START_TEST(test_surprises)
{
	char big[sizeof(struct message) + 1] = {0};
	unsigned before = open_count();
	int fds[CHANNEL_FDS];

	send_raw(big, sizeof(big), 2);
	ck_assert_int_eq(expect_result(), -EPROTO);
	send_raw(big, sizeof(big) - 2, 1);
	ck_assert_int_eq(expect_result(), -EPROTO);
	send_raw(big, sizeof(struct message), 4);
	ck_assert_int_eq(expect_result(), -EPROTO);
	send_raw(big, sizeof(struct message), 253);
	ck_assert_int_eq(expect_result(), -EPROTO);
	send_raw(big, 0, 3);
	ck_assert_int_eq(expect_result(), -ECONNRESET);
	ck_assert_uint_eq(open_count(), before);
	ck_assert_int_eq(send_number(5, NULL, 0), 0);
	expect(5, fds, 0); /* the next one is whole again */
}
END_TEST

START_TEST(test_truncated)
{
	struct rlimit limit;
	unsigned before = open_count();
	int sent[CHANNEL_FDS] = {left.fd, left.fd, right.fd};
	int fds[CHANNEL_FDS], highest = right.fd > left.fd ? right.fd : left.fd;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (rlim_t room = 0; room < 3; room++) {
		struct rlimit low = {.rlim_cur = (rlim_t)highest + 1 + room, .rlim_max = limit.rlim_max};

		ck_assert_int_eq(send_number(room, sent, 3), 0);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
		ck_assert_int_eq(expect_result(), -EMFILE);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		ck_assert_uint_eq(open_count(), before);
	}
	ck_assert_int_eq(send_number(9, NULL, 0), 0);
	expect(9, fds, 0);
}
END_TEST

/* Kernel: more descriptors in flight than the sender's limit, for those without privilege. */
START_TEST(test_stuck)
{
	struct rlimit limit = {.rlim_cur = 40, .rlim_max = 40};
	int null = open_null(), fds[CHANNEL_FDS];
	uint64_t number = 0, received = 0;

	if (geteuid() == 0)
		ck_assert_int_eq(setresuid(61234, 61234, 61234), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (!channel_pending(&left) && number < 200)
		ck_assert_int_eq(send_number(number++, (int[]){null, null, null}, 3), 0);
	ck_assert(channel_stuck(&left));
	ck_assert_uint_lt(number, 40);
	ck_assert_int_eq(channel_flush(&left), 0);
	ck_assert(channel_stuck(&left));
	while (received < number) {
		expect(received++, fds, 3);
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		ck_assert_int_eq(channel_flush(&left), 0);
	}
	ck_assert(!channel_stuck(&left));
	ck_assert(!channel_pending(&left));
	close(null);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("channel");
	TCase *tc = tcase_create("channel");
	TCase *limits = tcase_create("limits");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, make, drop);
	tcase_add_test(tc, test_descriptors);
	tcase_add_test(tc, test_queue_keeps_order);
	tcase_add_test(tc, test_close_after);
	tcase_add_test(tc, test_close_drops_queue);
	tcase_add_test(tc, test_end);
	tcase_add_test(tc, test_end_with_unread);
	tcase_add_test(tc, test_surprises);
	suite_add_tcase(suite, tc);
	tcase_set_tags(limits, "rlimit"); /* valgrind keeps RLIMIT_NOFILE to itself */
	tcase_add_checked_fixture(limits, make, drop);
	tcase_add_test(limits, test_truncated);
	tcase_add_test(limits, test_stuck);
	suite_add_tcase(suite, limits);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
