/*
 * test_packet.c: data, descriptors and credentials in one message; what a descriptor is.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_daemon.h"
#include "suite.h"

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

START_TEST(all_together)
{
	int pipes[2], sent[3], got[4];
	char text[] = "of three", room[32];
	struct lust_packet out = {
		.data = text, .size = sizeof(text), .fds = sent, .fds_size = 3, .send_credentials = 1};
	struct lust_packet in = {.data = room, .size = sizeof(room), .fds = got, .fds_size = 4};

	open_pair(socket_types[_i]);
	ck_assert_int_eq(lust_allow_credentials(ends[1]), 0);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	sent[0] = pipes[0];
	sent[1] = pipes[1];
	sent[2] = ends[0];
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), (int)out.size);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, MSG_DONTWAIT), 1);
	ck_assert_uint_eq(in.length, sizeof(text));
	ck_assert_str_eq(room, text);
	ck_assert_uint_eq(in.fds_count, 3);
	ck_assert(!in.surplus && !in.truncated);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(same_file(got[i], sent[i]));
		ck_assert_int_eq(fcntl(got[i], F_GETFD), FD_CLOEXEC);
	}
	ck_assert(in.has_credentials);
	ck_assert_int_eq(in.credentials.pid, getpid());
	ck_assert_uint_eq(in.credentials.uid, getuid());
	ck_assert_uint_eq(in.credentials.gid, getgid());
	ck_assert_int_eq(in.pidfd, -1);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, MSG_DONTWAIT), -EAGAIN);
}
END_TEST

START_TEST(without_descriptors)
{
	char text[] = "\0", room[4];
	struct lust_packet out = {.data = text, .size = 1};
	struct lust_packet in = {.data = room, .size = sizeof(room)};

	open_pair(socket_types[_i]);
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0),
			 (int)out.size); /* a NUL byte is a message like any other */
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_uint_eq(in.length, 1);
	ck_assert(!in.has_credentials && in.fds_count == 0);
	out.size = 0;
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), -EINVAL);
	in.size = 0;
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), -EINVAL);
	in.size = 1;
	if (socket_types[_i] == SOCK_DGRAM)
		return;
	close(ends[0]);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 0);
	out.size = 1;
	ck_assert_int_eq(lust_send_packet(ends[1], &out, 0), -EPIPE); /* and no SIGPIPE */
}
END_TEST

START_TEST(as_many_as_go)
{
	int sent[LUST_FDS_MAX + 1], got[LUST_FDS_MAX];
	char byte = 'x';
	struct lust_packet out = {.data = &byte, .size = 1, .fds = sent, .fds_size = LUST_FDS_MAX + 1};
	struct lust_packet in = {.data = &byte, .size = 1, .fds = got, .fds_size = LUST_FDS_MAX};
	unsigned before;

	open_pair(SOCK_SEQPACKET);
	for (unsigned i = 0; i <= LUST_FDS_MAX; i++)
		sent[i] = ends[0];
	before = fake_count_fds();
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), -EINVAL);
	out.fds_size = LUST_FDS_MAX;
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), (int)out.size);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_uint_eq(in.fds_count, LUST_FDS_MAX);
	for (unsigned i = 0; i < LUST_FDS_MAX; i++)
		close(got[i]);
	/* No room was offered: all of them are closed, and it is told. */
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), (int)out.size);
	in.fds_size = 0;
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_uint_eq(in.fds_count, 0);
	ck_assert(in.surplus);
	ck_assert_uint_eq(fake_count_fds(), before);
}
END_TEST

START_TEST(longer_than_the_room)
{
	char text[] = "longer than the room", room[4];
	int fd;
	struct lust_packet out = {.data = text, .size = sizeof(text), .fds = ends, .fds_size = 1};
	struct lust_packet in = {.data = room, .size = sizeof(room), .fds = &fd, .fds_size = 1};

	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), (int)out.size);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_uint_eq(in.length, sizeof(text));
	ck_assert(memcmp(room, text, sizeof(room)) == 0);
	ck_assert_uint_eq(in.fds_count, 1);
	ck_assert(same_file(fd, ends[0]));
}
END_TEST

START_TEST(a_read_only_descriptor_stays_so)
{
	char path[] = "/tmp/test_packet.XXXXXX";
	int writing = mkstemp(path), reading = open(path, O_RDONLY | O_CLOEXEC), got;

	open_pair(SOCK_STREAM);
	ck_assert_int_ge(reading, 0);
	unlink(path);
	ck_assert_int_eq(lust_send_fd(ends[0], reading), 0);
	got = lust_receive_fd(ends[1]);
	ck_assert_int_ge(got, 0);
	ck_assert_int_eq(write(got, "x", 1), -1);
	ck_assert_int_eq(errno, EBADF);
	close(writing);
}
END_TEST

START_TEST(plain_recv_loses_the_descriptor)
{
	unsigned before;
	char byte;

	open_pair(SOCK_SEQPACKET);
	before = fake_count_fds();
	ck_assert_int_eq(lust_send_fd(ends[0], ends[0]), 0);
	ck_assert_int_eq(recv(ends[1], &byte, 1, 0), 1);
	ck_assert_uint_eq(fake_count_fds(), before);
}
END_TEST

START_TEST(credentials_are_checked_by_the_kernel)
{
	char byte = 0;
	struct lust_packet out = {.data = &byte,
				  .size = 1,
				  .send_credentials = 1,
				  .credentials = {.pid = getpid(), .uid = 12345, .gid = 12345}};
	struct lust_packet in = {.data = &byte, .size = 1};

	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(lust_allow_credentials(ends[1]), 0);
	if (getuid() != 0) {
		ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), -EPERM);
		return;
	}
	/* Root may say any: the weakness that lust.h warns of. */
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), (int)out.size);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_uint_eq(in.credentials.uid, 12345);
}
END_TEST

/* Said before anybody asked, they read pid 0 and "nobody": a user that application servers run as. */
START_TEST(credentials_that_nobody_vouches_for)
{
	struct lust_credentials who;

	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(send(ends[0], "x", 1, 0), 1);
	ck_assert_int_eq(lust_allow_credentials(ends[1]), 0);
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), -ENOMSG);
	ck_assert_int_eq(lust_send_credentials(ends[0], NULL), 0);
	ck_assert_int_eq(lust_receive_credentials(ends[1], &who), 0);
	ck_assert_int_eq(who.pid, getpid());
}
END_TEST

/* What did not go is told, and the descriptor went with what did. */
START_TEST(half_a_message_on_a_stream)
{
	static char large[1 << 20], room[1 << 20];
	int fd = STDIN_FILENO, got = -1;
	struct lust_packet out = {.data = large, .size = sizeof(large), .fds = &fd, .fds_size = 1};
	struct lust_packet in = {.data = room, .size = sizeof(room), .fds = &got, .fds_size = 1};
	ssize_t sent;

	open_pair(SOCK_STREAM);
	sent = lust_send_packet(ends[0], &out, MSG_DONTWAIT);
	ck_assert_int_gt(sent, 0);
	ck_assert_int_lt(sent, (ssize_t)sizeof(large));
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_uint_eq(in.fds_count, 1);
	close(got);
	ck_assert_int_eq(lust_send_packet(ends[0], &(struct lust_packet){.data = large, .size = 1}, 0), 1);
}
END_TEST

START_TEST(nothing_is_left_of_the_packet_before)
{
	char byte;
	int got;
	struct lust_packet in = {
		.data = &byte, .size = 1, .fds = &got, .fds_size = 1, .fds_count = 1, .surplus = 1};

	open_pair(SOCK_STREAM);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, MSG_DONTWAIT), -EAGAIN);
	ck_assert_uint_eq(in.fds_count, 0);
	ck_assert_uint_eq(in.surplus, 0);
	ck_assert_int_eq(in.pidfd, -1); /* not 0, for somebody who closes it */
}
END_TEST

START_TEST(pidfds)
{
	char byte = 'x';
	struct lust_packet out = {.data = &byte, .size = 1}, in = {.data = &byte, .size = 1};
	unsigned before;
	int result, fd;

	open_pair(SOCK_STREAM);
	result = lust_allow_pidfd(ends[1]);
	if (result == -ENOPROTOOPT)
		return; /* before Linux 6.5 */
	ck_assert_int_eq(result, 0);
	before = fake_count_fds();
	ck_assert_int_eq(lust_send_packet(ends[0], &out, 0), (int)out.size);
	ck_assert_int_eq(lust_receive_packet(ends[1], &in, 0), 1);
	ck_assert_int_ge(in.pidfd, 0);
	ck_assert_int_eq(fcntl(in.pidfd, F_GETFD), FD_CLOEXEC);
	close(in.pidfd);
	/* The calls that do not ask for one close it. */
	ck_assert_int_eq(lust_send_fd(ends[0], ends[0]), 0);
	fd = lust_receive_fd(ends[1]);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_uint_eq(fake_count_fds(), before);
	fd = lust_peer_pidfd(ends[1]);
	ck_assert_int_ge(fd, 0);
}
END_TEST

static void *send_many(void *unused)
{
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(lust_send_fd(ends[0], ends[0]), 0);
	return unused;
}

START_TEST(sender_and_receiver_threads)
{
	pthread_t sender;

	open_pair(socket_types[_i]);
	ck_assert_int_eq(pthread_create(&sender, NULL, send_many, NULL), 0);
	for (int i = 0; i < 200; i++) {
		int fd = lust_receive_fd(ends[1]);

		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	pthread_join(sender, NULL);
}
END_TEST

static int listener(int domain, int type)
{
	struct sockaddr_storage any = {.ss_family = (sa_family_t)domain};
	socklen_t length = domain == AF_UNIX ? sizeof(sa_family_t) : sizeof(struct sockaddr_in);
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&any, length), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

START_TEST(kinds)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(lust_fd_kind(pipes[1]), LUST_FD_PIPE);
	ck_assert_int_eq(lust_fd_kind(listener(AF_INET, SOCK_STREAM)), LUST_FD_LISTENER);
	ck_assert_int_eq(lust_fd_kind(listener(AF_UNIX, SOCK_SEQPACKET)), LUST_FD_LISTENER);
	ck_assert_int_eq(lust_fd_kind(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), LUST_FD_STREAM);
	ck_assert_int_eq(lust_fd_kind(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), LUST_FD_DATAGRAM);
	open_pair(SOCK_SEQPACKET);
	ck_assert_int_eq(lust_fd_kind(ends[0]), LUST_FD_PACKETS);
	ck_assert_int_eq(lust_fd_kind(open("/etc/passwd", O_RDONLY | O_CLOEXEC)), LUST_FD_FILE);
	ck_assert_int_eq(lust_fd_kind(open("/", O_RDONLY | O_CLOEXEC)), LUST_FD_DIRECTORY);
	ck_assert_int_eq(lust_fd_kind(open("/dev/null", O_RDONLY | O_CLOEXEC)), LUST_FD_OTHER);
	ck_assert_int_eq(lust_fd_kind(epoll_create1(EPOLL_CLOEXEC)), LUST_FD_OTHER);
	ck_assert_int_eq(lust_fd_kind(-1), -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("packet");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, all_together, 0, 3);
	tcase_add_loop_test(all, without_descriptors, 0, 3);
	tcase_add_test(all, as_many_as_go);
	tcase_add_test(all, longer_than_the_room);
	tcase_add_test(all, a_read_only_descriptor_stays_so);
	tcase_add_test(all, plain_recv_loses_the_descriptor);
	tcase_add_test(all, credentials_are_checked_by_the_kernel);
	tcase_add_test(all, credentials_that_nobody_vouches_for);
	tcase_add_test(all, half_a_message_on_a_stream);
	tcase_add_test(all, nothing_is_left_of_the_packet_before);
	tcase_add_test(all, pidfds);
	tcase_add_loop_test(all, sender_and_receiver_threads, 0, 3);
	tcase_add_test(all, kinds);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
