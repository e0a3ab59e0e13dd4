/*
 * test_runtime_dir.c: RUNTIME-DIR and what is in it: owner and mode, the lock, the jail, the door, and the groups that a
 * dead daemon left.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lifecycle.h"
#include "logging.h"
#include "suite.h"

static struct supervisor *s;
static char base[64], path[96], jail[112];

static struct supervisor *another(void)
{
	struct supervisor *made = calloc(1, sizeof(*made));

	ck_assert_ptr_nonnull(made);
	made->runtime_dir = path;
	made->jail = jail;
	made->privileged = false;
	made->running = true; /* lines are kept, not printed */
	made->runtime_dir_fd = made->lock_fd = made->door_fd = made->groups_fd = -1;
	return made;
}

static void setup(void)
{
	snprintf(base, sizeof(base), "/tmp/lust-runtime-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/run", base);
	snprintf(jail, sizeof(jail), "%s/empty", path);
	s = another();
}

static void remove_all(void)
{
	static const char *const names[] = {"run/empty",         "run/lock", "run/groups",
					    "run/register.sock", "run",      "elsewhere"};
	char name[160];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", base, names[i]);
		remove(name);
	}
	ck_assert_int_eq(rmdir(base), 0);
}

static void release(struct supervisor *made)
{
	runtime_dir_close(made);
	log_free(made);
	free(made);
}

static void teardown(void)
{
	release(s);
	remove_all();
}

START_TEST(made_and_locked)
{
	struct stat info;
	pid_t holder;
	mode_t before = umask(0277);

	ck_assert_int_eq(runtime_dir_open(s, &holder), 0);
	umask(before);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_uint_eq(info.st_mode & 0777, 0700);
	struct supervisor *other = another();
	ck_assert_int_eq(runtime_dir_open(other, &holder), 1);
	ck_assert_int_eq(holder, getpid());
	release(other);
	runtime_dir_close(s);
	ck_assert_int_eq(runtime_dir_open(s, &holder), 0);
}
END_TEST

START_TEST(others_may_not_write_there)
{
	pid_t holder;

	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0770), 0);
	ck_assert_int_eq(runtime_dir_open(s, &holder), -1);
	ck_assert_int_eq(chmod(path, 01777), 0);
	ck_assert_int_eq(runtime_dir_open(s, &holder), -1);
}
END_TEST

START_TEST(not_another_user_s)
{
	pid_t holder;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chown(path, 12345, 12345), 0);
	ck_assert_int_eq(runtime_dir_open(s, &holder), -1);
}
END_TEST

START_TEST(never_through_a_link)
{
	char elsewhere[160];
	pid_t holder;

	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", base);
	ck_assert_int_eq(mkdir(elsewhere, 0700), 0);
	ck_assert_int_eq(symlink(elsewhere, path), 0);
	ck_assert_int_eq(runtime_dir_open(s, &holder), -1);
}
END_TEST

START_TEST(the_jail_is_not_its_user_s)
{
	pid_t holder;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(runtime_dir_open(s, &holder), 0);
	s->privileged = true;
	ck_assert_int_eq(runtime_dir_jail(s), 0);
	ck_assert_int_eq(chmod(jail, 0775), 0);
	ck_assert_int_eq(runtime_dir_jail(s), -1);
	ck_assert_int_eq(chmod(jail, 0755), 0);
	ck_assert_int_eq(runtime_dir_jail(s), 0);
	ck_assert_int_eq(chown(jail, 12345, 0), 0);
	ck_assert_int_eq(runtime_dir_jail(s), -1);
}
END_TEST

START_TEST(the_door_takes_the_place_of_a_dead_one)
{
	char name[128];
	struct stat info;
	pid_t holder;
	int type, on = 0;
	socklen_t length = sizeof(int);

	snprintf(name, sizeof(name), "%s/register.sock", path);
	ck_assert_int_eq(runtime_dir_open(s, &holder), 0);
	ck_assert_int_eq(runtime_dir_door(s), 0);
	close(s->door_fd);
	ck_assert_int_eq(runtime_dir_door(s), 0);
	ck_assert_int_eq(stat(name, &info), 0);
	ck_assert_uint_eq(info.st_mode & 0777, 0666);
	ck_assert_int_eq(getsockopt(s->door_fd, SOL_SOCKET, SO_TYPE, &type, &length), 0);
	ck_assert_int_eq(type, SOCK_SEQPACKET);
	ck_assert_int_eq(getsockopt(s->door_fd, SOL_SOCKET, SO_PASSCRED, &on, &length), 0);
	ck_assert_int_eq(on, 1);
	runtime_dir_close(s);
	ck_assert_int_lt(stat(name, &info), 0);
}
END_TEST

START_TEST(lines_of_proc_stat)
{
	pid_t group, session;
	uint64_t start;

	ck_assert(orphans_parse_stat("12 (a) S 1 34 56 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 78901 9 9",
				     &group, &session, &start));
	ck_assert_int_eq(group, 34);
	ck_assert_int_eq(session, 56);
	ck_assert_uint_eq(start, 78901);
	/* A name that looks like the rest of a line. */
	ck_assert(orphans_parse_stat(
		"12 (x) S 1 99 99 (y)) R 1 34 56 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 9", &group, &session,
		&start));
	ck_assert_int_eq(group, 34);
	ck_assert_uint_eq(start, 5);
	ck_assert(!orphans_parse_stat("12 (a) Z 1 34 56 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 78901 9",
				      &group, &session, &start));
	ck_assert(!orphans_parse_stat("12 (a) S 1 34", &group, &session, &start));
	ck_assert(!orphans_parse_stat("", &group, &session, &start));
}
END_TEST

/* A session of its own: a leader and a member.  Both hold the writing end of `alive`. */
static pid_t session_with_member(int alive[2])
{
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(alive), 0);
	pid_t leader = fork();
	ck_assert_int_ge(leader, 0);
	if (leader == 0) {
		setsid();
		close(s->lock_fd); /* what exec does for a server */
		if (fork() > 0 && write(ready[1], "x", 1) != 1)
			_exit(1);
		alarm(60); /* a test that fails leaves nobody behind */
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(alive[1]);
	close(ready[0]);
	close(ready[1]);
	return leader;
}

static void wait_until_gone(int reading_end)
{
	struct pollfd poll_fd = {.fd = reading_end, .events = POLLIN};

	ck_assert_int_eq(poll(&poll_fd, 1, 10000), 1);
	ck_assert_int_ne(poll_fd.revents & POLLHUP, 0);
	close(reading_end);
}

static void start_daemon(struct supervisor *made)
{
	pid_t holder;

	ck_assert_int_eq(runtime_dir_open(made, &holder), 0);
	orphans_end(made);
	ck_assert_int_ge(made->groups_fd, 0);
}

/* As if it had been killed: nothing is removed. */
static void kill_daemon(struct supervisor *made)
{
	close(made->groups_fd);
	close(made->lock_fd);
	made->groups_fd = made->lock_fd = -1;
}

START_TEST(a_recorded_group_is_ended)
{
	int alive[2];

	start_daemon(s);
	pid_t leader = session_with_member(alive);
	runtime_dir_record(s, 5, leader, geteuid());
	kill_daemon(s);
	struct supervisor *next = another();
	start_daemon(next);
	wait_until_gone(alive[0]);
	ck_assert_int_eq(waitpid(leader, NULL, 0), leader);
	release(next);
}
END_TEST

START_TEST(a_record_that_was_taken_back_hurts_nobody)
{
	int alive[2], status;

	start_daemon(s);
	pid_t leader = session_with_member(alive);
	runtime_dir_record(s, 5, leader, geteuid());
	runtime_dir_record(s, 5, 0, 0);
	kill_daemon(s);
	struct supervisor *next = another();
	start_daemon(next);
	ck_assert_int_eq(waitpid(leader, &status, WNOHANG), 0);
	kill(-leader, SIGKILL);
	ck_assert_int_eq(waitpid(leader, &status, 0), leader);
	close(alive[0]);
	release(next);
}
END_TEST

START_TEST(a_stranger_with_the_number_is_left_alone)
{
	int alive[2], status, fd;
	char name[128];
	uint64_t other_start = 1;

	start_daemon(s);
	pid_t leader = session_with_member(alive);
	runtime_dir_record(s, 0, leader, geteuid());
	/* The same number with another start time: the record's last field. */
	snprintf(name, sizeof(name), "%s/groups", path);
	fd = open(name, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	off_t end = lseek(fd, 0, SEEK_END);
	ck_assert_int_eq(pwrite(fd, &other_start, sizeof(other_start), end - (off_t)sizeof(other_start)),
			 sizeof(other_start));
	close(fd);
	kill_daemon(s);
	struct supervisor *next = another();
	start_daemon(next);
	ck_assert_int_eq(waitpid(leader, &status, WNOHANG), 0);
	kill(-leader, SIGKILL);
	ck_assert_int_eq(waitpid(leader, &status, 0), leader);
	close(alive[0]);
	release(next);
}
END_TEST

START_TEST(members_without_their_leader_are_ended)
{
	int alive[2];

	start_daemon(s);
	pid_t leader = session_with_member(alive);
	runtime_dir_record(s, 7, leader, geteuid());
	kill(leader, SIGKILL);
	ck_assert_int_eq(waitpid(leader, NULL, 0), leader);
	kill_daemon(s);
	struct supervisor *next = another();
	start_daemon(next);
	wait_until_gone(alive[0]);
	release(next);
}
END_TEST

START_TEST(records_of_another_boot_mean_nothing)
{
	int alive[2], status, fd;
	char name[128];

	start_daemon(s);
	pid_t leader = session_with_member(alive);
	runtime_dir_record(s, 0, leader, geteuid());
	snprintf(name, sizeof(name), "%s/groups", path);
	fd = open(name, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "another", 7, 0), 7);
	close(fd);
	kill_daemon(s);
	struct supervisor *next = another();
	start_daemon(next);
	ck_assert_int_eq(waitpid(leader, &status, WNOHANG), 0);
	kill(-leader, SIGKILL);
	ck_assert_int_eq(waitpid(leader, &status, 0), leader);
	close(alive[0]);
	release(next);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runtime_dir");
	TCase *tests = tcase_create("runtime_dir");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, made_and_locked);
	tcase_add_test(tests, others_may_not_write_there);
	tcase_add_test(tests, not_another_user_s);
	tcase_add_test(tests, never_through_a_link);
	tcase_add_test(tests, the_jail_is_not_its_user_s);
	tcase_add_test(tests, the_door_takes_the_place_of_a_dead_one);
	tcase_add_test(tests, lines_of_proc_stat);
	tcase_add_test(tests, a_recorded_group_is_ended);
	tcase_add_test(tests, a_record_that_was_taken_back_hurts_nobody);
	tcase_add_test(tests, a_stranger_with_the_number_is_left_alone);
	tcase_add_test(tests, members_without_their_leader_are_ended);
	tcase_add_test(tests, records_of_another_boot_mean_nothing);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
