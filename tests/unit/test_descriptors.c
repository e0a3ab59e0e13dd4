/*
 * test_descriptors.c: descriptors and credentials over Unix sockets.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_daemon.h"

static int ends[2];
static const int socket_types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static void open_pair(int type)
{
	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
}

static int same_file(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
	       left.st_dev == right.st_dev;
}

START_TEST(one_descriptor)
{
	int fd;

	open_pair(socket_types[_i]);
	ck_assert_int_eq(lust_send_fd(ends[0], ends[1]), 0);
	fd = lust_receive_fd(ends[1]);
	ck_assert_int_gt(fd, 2);
	ck_assert(same_file(fd, ends[1]));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	ck_assert_int_eq(lust_send_fd(ends[0], -1), -EBADF);
}
END_TEST

START_TEST(surplus_is_closed)
{
	int many[LUST_MESSAGE_FDS], fd;
	unsigned before;

	open_pair(SOCK_SEQPACKET);
	for (unsigned i = 0; i < LUST_MESSAGE_FDS; i++)
		many[i] = ends[0];
	before = fake_count_fds();
	for (unsigned count = 2; count <= LUST_MESSAGE_FDS; count++) {
		ck_assert_int_eq(lust_message_send(ends[0], "", 1, many, count, 0), 0);
		fd = lust_receive_fd(ends[1]);
		ck_assert_int_gt(fd, 2);
		close(fd);
		ck_assert_uint_eq(fake_count_fds(), before);
	}
	ck_assert_int_eq(lust_message_send(ends[0], "", 1, many, LUST_MESSAGE_FDS + 1, 0), -EINVAL);
}
END_TEST

START_TEST(no_descriptor)
{
	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(send(ends[0], "x", 1, 0), 1);
	ck_assert_int_eq(lust_receive_fd(ends[1]), -ENOMSG);
	close(ends[0]);
	ck_assert_int_eq(lust_receive_fd(ends[1]), -ECONNRESET);
	ck_assert_int_eq(lust_receive_fd(-1), -EBADF);
	ck_assert_int_eq(lust_send_fd(ends[1], 0), -EPIPE);
}
END_TEST

START_TEST(no_room_for_the_descriptor)
{
	struct rlimit limit;
	int next;

	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(lust_send_fd(ends[0], 0), 0);
	next = dup(0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	fake_limit_fds((unsigned)next);
	ck_assert_int_eq(lust_receive_fd(ends[1]), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

START_TEST(credentials)
{
	struct lust_credentials who = {.pid = getpid(), .uid = getuid(), .gid = getgid()};

	open_pair(socket_types[_i]);
	ck_assert_int_eq(lust_allow_credentials(ends[1]), 0);
	ck_assert_int_eq(lust_send_credentials(ends[0], NULL), 0);
	memset(&who, 0xff, sizeof(who));
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), 0);
	ck_assert_int_eq(who.pid, getpid());
	ck_assert_uint_eq(who.uid, getuid());
	ck_assert_uint_eq(who.gid, getgid());
	ck_assert_int_eq(lust_send_credentials(ends[0], &who), 0);
	/* With credentials before it, the descriptor still has room. */
	ck_assert_int_eq(lust_send_fd(ends[0], 0), 0);
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), 0);
	ck_assert_int_gt(lust_receive_fd(ends[1]), 2);
}
END_TEST

START_TEST(credentials_not_allowed)
{
	struct lust_credentials who;
	unsigned before;

	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(send(ends[0], "x", 1, 0), 1);
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), -ENOMSG);
	before = fake_count_fds();
	ck_assert_int_eq(lust_allow_credentials(ends[1]), 0);
	ck_assert_int_eq(lust_send_fd(ends[0], 0), 0);
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), 0);
	ck_assert_uint_eq(fake_count_fds(), before);
	close(ends[0]);
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), -ECONNRESET);
	ck_assert_int_eq(lust_allow_credentials(-1), -EBADF);
}
END_TEST

/* What the dispatcher relies on: 64 descriptors with credentials in one message, and the length of what was
   cut. */
START_TEST(whole_batch)
{
	char data[16], small[4];
	struct lust_message message;
	int many[LUST_MESSAGE_FDS];
	unsigned before;

	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(lust_allow_credentials(ends[1]), 0);
	for (unsigned i = 0; i < LUST_MESSAGE_FDS; i++)
		many[i] = ends[i % 2];
	before = fake_count_fds();
	memset(data, 'x', sizeof(data));
	ck_assert_int_eq(lust_message_send(ends[0], data, sizeof(data), many, LUST_MESSAGE_FDS, 0), 0);
	ck_assert_int_eq(lust_message_receive(ends[1], small, sizeof(small), &message, LUST_MESSAGE_FDS, 0),
			 1);
	ck_assert_uint_eq(message.length, sizeof(data));
	ck_assert_uint_eq(message.count, LUST_MESSAGE_FDS);
	ck_assert(!message.truncated && !message.surplus && message.has_credentials);
	ck_assert(same_file(message.fd[0], ends[0]) && same_file(message.fd[63], ends[1]));
	lust_message_close_from(&message, 1);
	ck_assert_uint_eq(message.count, 1);
	lust_message_close_from(&message, 0);
	ck_assert_uint_eq(fake_count_fds(), before);
	ck_assert_int_eq(lust_message_receive(ends[1], small, sizeof(small), &message, 1, MSG_DONTWAIT),
			 -EAGAIN);
	ck_assert_int_eq(lust_message_send(ends[0], data, 3, many, 2, 0), 0);
	ck_assert_int_eq(lust_message_receive(ends[1], small, sizeof(small), &message, 1, 0), 1);
	ck_assert(message.surplus);
	ck_assert_uint_eq(message.count, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("descriptors");
	TCase *all = tcase_create("all");
	TCase *limits = tcase_create("limits");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(all, one_descriptor, 0, 3);
	tcase_add_test(all, surplus_is_closed);
	tcase_add_test(all, no_descriptor);
	tcase_add_loop_test(all, credentials, 0, 3);
	tcase_add_test(all, credentials_not_allowed);
	tcase_add_test(all, whole_batch);
	suite_add_tcase(suite, all);
	tcase_set_tags(limits, "rlimit"); /* valgrind keeps RLIMIT_NOFILE to itself */
	tcase_add_test(limits, no_room_for_the_descriptor);
	suite_add_tcase(suite, limits);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
