/*
 * test_log.c: one line a call, wherever it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"
#include "suite.h"

static char directory[] = "/tmp/test_log.XXXXXX", path[64], old[64];
static char text[1 << 20];

static void set_up(void)
{
	strcpy(directory, "/tmp/test_log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/log", directory);
	snprintf(old, sizeof(old), "%s/log.1", directory);
}

static void tear_down(void)
{
	lust_log_close();
	unlink(path);
	unlink(old);
	rmdir(directory);
}

static void open_file(int level)
{
	struct lust_log_options options = {.name = "prog", .target = path, .level = level};

	ck_assert_int_eq(lust_log_open(&options), 0);
}

static const char *content(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, sizeof(text) - 1);

	ck_assert_int_ge(length, 0);
	text[length] = '\0';
	close(fd);
	return text;
}

static unsigned lines(const char *of)
{
	unsigned count = 0;

	for (; (of = strchr(of, '\n')) != NULL; of++)
		count++;
	return count;
}

START_TEST(a_line)
{
	unsigned year, month, day, hour, minute, second, milli, zone_hour, zone_minute;
	char zone, rest[64];

	open_file(0);
	lust_log(LUST_LOG_NOTICE, "hello, %s", "world");
	ck_assert_int_eq(sscanf(content(path), "%4u-%2u-%2uT%2u:%2u:%2u.%3u%c%2u:%2u %63[^\n]", &year, &month,
				&day, &hour, &minute, &second, &milli, &zone, &zone_hour, &zone_minute, rest),
			 11);
	ck_assert(zone == '+' || zone == '-');
	snprintf(text, sizeof(text), "notice prog[%d]: hello, world", (int)getpid());
	ck_assert_str_eq(rest, text);
}
END_TEST

START_TEST(levels)
{
	open_file(LUST_LOG_WARNING);
	lust_log(LUST_LOG_ERROR, "one");
	lust_log(LUST_LOG_WARNING, "two");
	lust_log(LUST_LOG_NOTICE, "three");
	ck_assert_uint_eq(lines(content(path)), 2);
	lust_log_level(LUST_LOG_DEBUG);
	lust_log(LUST_LOG_DEBUG, "four");
	ck_assert_uint_eq(lines(content(path)), 3);
	lust_log_level(-5); /* the nearest that there is */
	lust_log(LUST_LOG_ERROR, "five");
	lust_log(LUST_LOG_WARNING, "six");
	ck_assert_uint_eq(lines(content(path)), 4);
	ck_assert_int_eq(lust_log_level_of("warning"), LUST_LOG_WARNING);
	ck_assert_int_eq(lust_log_level_of("debug"), LUST_LOG_DEBUG);
	ck_assert_int_eq(lust_log_level_of("Warning"), -EINVAL);
}
END_TEST

START_TEST(safe_to_show)
{
	static char huge[20000];

	open_file(0);
	lust_log(LUST_LOG_INFO, "a\nb\x1b[31m\x80 gr\xc3\xbc\xc3\x9f\n");
	ck_assert_ptr_nonnull(strstr(content(path), ": a\\nb\\x1b[31m\\x80 gr\xc3\xbc\xc3\x9f\n"));
	ck_assert_uint_eq(lines(text), 1);
	lust_log(LUST_LOG_INFO, "%c", '\0'); /* a line of one byte that ends a string */
	ck_assert_ptr_nonnull(strstr(content(path), ": \\x00\n"));
	ck_assert_int_eq(truncate(path, 0), 0);
	lust_log(LUST_LOG_INFO, "before");
	memset(huge, 'x', sizeof(huge) - 1);
	lust_log(LUST_LOG_INFO, "%s", huge);
	ck_assert_uint_eq(lines(content(path)), 2);
	ck_assert_uint_lt(strlen(strchr(text, '\n')), 8192 + 100);
	ck_assert_uint_gt(strlen(strchr(text, '\n')), 8000);
}
END_TEST

START_TEST(errno_stays)
{
	open_file(0);
	errno = ENOTDIR;
	lust_log(LUST_LOG_INFO, "because: %m");
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_ptr_nonnull(strstr(content(path), "because: Not a directory\n"));
}
END_TEST

START_TEST(reopening)
{
	open_file(0);
	lust_log(LUST_LOG_INFO, "before");
	ck_assert_int_eq(rename(path, old), 0);
	lust_log(LUST_LOG_INFO, "still there");
	ck_assert_int_eq(lust_log_reopen(), 0);
	lust_log(LUST_LOG_INFO, "after");
	ck_assert_uint_eq(lines(content(old)), 2);
	ck_assert_uint_eq(lines(content(path)), 1);
	/* What cannot be opened again goes on as it was. */
	ck_assert_int_eq(rename(path, old), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(lust_log_reopen(), -EISDIR);
	lust_log(LUST_LOG_INFO, "to the old one");
	ck_assert_uint_eq(lines(content(old)), 2);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(refused_targets_change_nothing)
{
	struct lust_log_options relative = {.target = "relative"}, nowhere = {.target = "/nonexistent/log"};

	open_file(0);
	ck_assert_int_eq(lust_log_open(&relative), -EINVAL);
	ck_assert_int_eq(lust_log_open(&nowhere), -ENOENT);
	lust_log(LUST_LOG_INFO, "here");
	ck_assert_uint_eq(lines(content(path)), 1);
}
END_TEST

#define THREADS 8
#define CALLS 200

static void *chatter(void *number)
{
	for (int i = 0; i < CALLS; i++)
		lust_log(LUST_LOG_INFO, "thread %d line %d end", (int)(intptr_t)number, i);
	return NULL;
}

START_TEST(threads)
{
	pthread_t thread[THREADS];
	unsigned whole = 0;
	FILE *file;
	char line[256];

	open_file(0);
	for (intptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, chatter, (void *)i), 0);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(lust_log_reopen(), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	file = fopen(path, "r");
	while (fgets(line, sizeof(line), file)) {
		int number, i, end = 0;

		ck_assert_int_eq(sscanf(strstr(line, "]: "), "]: thread %d line %d end%n", &number, &i, &end),
				 2);
		ck_assert_int_gt(end, 0);
		whole++;
	}
	fclose(file);
	ck_assert_uint_eq(whole, THREADS * CALLS);
}
END_TEST

START_TEST(standard_streams)
{
	struct lust_log_options options = {.target = path, .redirect = 1};
	pid_t child = fork();
	int status;

	if (child == 0) {
		printf("buffered before\n");
		if (lust_log_open(&options) < 0)
			_exit(1);
		printf("to standard output\n");
		fflush(stdout);
		fprintf(stderr, "to standard error\n");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(content(path), "to standard output\nto standard error\n");
}
END_TEST

START_TEST(without_opening)
{
	int ends[2], saved = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	fflush(stderr);
	dup2(ends[1], STDERR_FILENO);
	lust_log(LUST_LOG_ERROR, "something is wrong");
	dup2(saved, STDERR_FILENO);
	close(saved);
	ck_assert_int_gt(read(ends[0], text, sizeof(text)), 0);
	ck_assert_ptr_nonnull(strstr(text, "test_log: something is wrong\n"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, a_line);
	tcase_add_test(all, levels);
	tcase_add_test(all, safe_to_show);
	tcase_add_test(all, errno_stays);
	tcase_add_test(all, reopening);
	tcase_add_test(all, refused_targets_change_nothing);
	tcase_add_test(all, threads);
	tcase_add_test(all, standard_streams);
	tcase_add_test(all, without_opening);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
