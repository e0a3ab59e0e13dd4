/*
 * test_pidfile.c: locked pidfiles.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"

static char directory[64], path[96], other[96];

static void start(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test_pidfile.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/x.pid", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
}

static void stop(void)
{
	unlink(path);
	rmdir(path);
	unlink(other);
	rmdir(directory);
}

static void put(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(life)
{
	char text[32] = "";
	pid_t holder = -1;
	int fd, again;

	ck_assert_int_eq(lust_pidfile_read(path), -ENOENT);
	put("1234567\nold\n"); /* left behind by somebody who died */
	ck_assert_int_eq(lust_pidfile_read(path), 0);
	fd = lust_pidfile_open(path, &holder);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(holder, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(lust_pidfile_write(fd, 0), -EINVAL);
	ck_assert_int_eq(lust_pidfile_write(fd, 42), 0);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 3);
	ck_assert_str_eq(text, "42\n");
	ck_assert_int_eq(lust_pidfile_read(path), 42);
	again = lust_pidfile_open(path, &holder);
	ck_assert_int_eq(again, -EWOULDBLOCK);
	ck_assert_int_eq(holder, 42);
	ck_assert_int_eq(lust_pidfile_open(path, NULL), -EWOULDBLOCK);
	ck_assert_int_eq(lust_pidfile_close(fd, path), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(lock_ends_with_its_holder)
{
	int ready[2], status;
	char byte;
	pid_t child;

	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		int fd = lust_pidfile_open(path, NULL);

		if (fd < 0 || lust_pidfile_write(fd, getpid()) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(lust_pidfile_read(path), child);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(lust_pidfile_read(path), 0);
	ck_assert_int_ge(lust_pidfile_open(path, NULL), 0);
}
END_TEST

START_TEST(never_through_a_link)
{
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert_int_eq(lust_pidfile_open(path, NULL), -ELOOP);
	ck_assert_int_eq(lust_pidfile_read(path), -ELOOP);
	ck_assert_int_eq(access(other, F_OK), -1);
	unlink(path);
	put("precious\n");
	ck_assert_int_eq(link(path, other), 0);
	ck_assert_int_eq(lust_pidfile_open(path, NULL), -EMLINK);
}
END_TEST

START_TEST(only_regular_files)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(lust_pidfile_open(path, NULL), -EINVAL);
	ck_assert_int_eq(lust_pidfile_read(path), -EINVAL);
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(lust_pidfile_open(path, NULL), -EISDIR);
	ck_assert_int_eq(lust_pidfile_open("/nonexistent/x.pid", NULL), -ENOENT);
}
END_TEST

START_TEST(garbage_inside)
{
	static const char *const texts[] = {"",    "\n",    "x\n", "-5\n",
					    "0\n", "12x\n", "12",  "99999999999999999999\n"};
	int fd = lust_pidfile_open(path, NULL);
	pid_t holder = 5;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(pwrite(fd, texts[i], strlen(texts[i]), 0), (int)strlen(texts[i]));
		ck_assert_int_eq(lust_pidfile_read(path), -EBUSY);
		ck_assert_int_eq(lust_pidfile_open(path, &holder), -EWOULDBLOCK);
		ck_assert_int_eq(holder, 0);
	}
}
END_TEST

/* Somebody removed the file and another process made a new one: that one is not ours to remove. */
START_TEST(close_leaves_what_is_not_ours)
{
	int fd = lust_pidfile_open(path, NULL);

	unlink(path);
	put("77\n");
	ck_assert_int_eq(lust_pidfile_close(fd, path), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pidfile");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(all, start, stop);
	tcase_add_test(all, life);
	tcase_add_test(all, lock_ends_with_its_holder);
	tcase_add_test(all, never_through_a_link);
	tcase_add_test(all, only_regular_files);
	tcase_add_test(all, garbage_inside);
	tcase_add_test(all, close_leaves_what_is_not_ours);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
