/*
 * test_child.c: from fork to the server's program: what it finds, and what is told when a step fails.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "suite.h"
#include "supervisor.h"

static struct table_limit limit[TABLE_LIMITS];
static struct child_plan plan;
static int output[2], error[2], pair[2];
static char printed[4096];
static struct child_failure failure;

static void setup(void)
{
	static char path[] = "PATH=/usr/bin:/bin";
	static char *environment[] = {path, NULL};

	memset(limit, 0, sizeof(limit));
	ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(error, O_CLOEXEC), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	plan = (struct child_plan){.environment = environment,
				   .directory = "/",
				   .umask = 027,
				   .limit = limit,
				   .output = output[1],
				   .pair = pair[1],
				   .error = error[1],
				   .parent = getpid(),
				   .seen_command = "/outside/program",
				   .seen_directory = "/outside/directory"};
	plan.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &plan.nofile_at_start), 0);
}

static void teardown(void)
{
	close(output[0]);
	close(error[0]);
	close(pair[0]);
	close(pair[1]);
	close(plan.null);
}

/* The program and up to two arguments, NULL where there are fewer. */
static void command(const char *program, const char *first, const char *second)
{
	static char *arguments[4];

	arguments[0] = (char *)(uintptr_t)program;
	arguments[1] = (char *)(uintptr_t)first;
	arguments[2] = (char *)(uintptr_t)second;
	plan.arguments = arguments;
}

/* Runs it to its end; the wait status. */
static int run(void)
{
	size_t used = 0;
	ssize_t length;
	int status;

	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		child_run(&plan);
	close(output[1]);
	close(error[1]);
	while ((length = read(output[0], printed + used, sizeof(printed) - 1 - used)) > 0)
		used += (size_t)length;
	printed[used] = '\0';
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void run_shell(const char *script)
{
	command("/bin/sh", "-c", script);
	ck_assert_int_eq(run(), 0);
	ck_assert(!child_read_failure(error[0], &failure));
}

START_TEST(only_its_descriptors)
{
	/* Whatever else is open stays behind; the listing's own is the one above. */
	int extra = open("/dev/null", O_RDONLY);

	run_shell("exec ls /proc/self/fd");
	ck_assert_str_eq(printed, "0\n1\n2\n3\n4\n");
	close(extra);
}
END_TEST

START_TEST(descriptors_in_each_other_s_place)
{
	/* Only in the child: the numbers that it needs hold the wrong ones, the pair's at the error pipe's place. */
	const char *script = "test -S /proc/self/fd/3 && test -p /proc/self/fd/1";
	int status;

	command("/bin/sh", "-c", script);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int high[3] = {fcntl(pair[1], F_DUPFD_CLOEXEC, 50), fcntl(error[1], F_DUPFD_CLOEXEC, 50),
			       fcntl(output[1], F_DUPFD_CLOEXEC, 50)};
		plan.null = fcntl(plan.null, F_DUPFD_CLOEXEC, 50);
		plan.pair = dup3(high[0], 4, O_CLOEXEC);
		plan.error = dup3(high[1], 3, O_CLOEXEC);
		plan.output = dup3(high[2], 0, O_CLOEXEC);
		child_run(&plan);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(output[1]);
	close(error[1]);
}
END_TEST

START_TEST(session_umask_and_signals)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* The C library keeps 32 and 33 to itself: whoever called us may have left them ignored. */
	run_shell("umask; grep -E '^(SigBlk|NoNewPrivs):' /proc/$$/status | tr -d '\\t';"
		  "echo $((0x$(sed -n 's/^SigIgn:.//p' /proc/$$/status) & 0x7fffffff));"
		  "set -- $(cat /proc/$$/stat); test $1 = $5 && test $1 = $6 && echo leader; pwd");
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	ck_assert_str_eq(printed, "0027\nSigBlk:0000000000000000\nNoNewPrivs:1\n0\nleader\n/\n");
}
END_TEST

START_TEST(limits_as_the_daemon_was_started_then_the_table_s)
{
	struct rlimit raised = plan.nofile_at_start;

	plan.nofile_at_start.rlim_cur = 200;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &raised), 0);
	limit[1] = (struct table_limit){.set = true, .resource = RLIMIT_CORE, .value = 0};
	run_shell("ulimit -Sn; ulimit -Hc");
	ck_assert_str_eq(printed, "200\n0\n");
}
END_TEST

static const char *told(void)
{
	static char text[512];

	ck_assert(child_read_failure(error[0], &failure));
	child_failure_text(&failure, text, sizeof(text));
	return text;
}

START_TEST(a_program_that_is_not_there)
{
	command("/no/such/program", NULL, NULL);
	ck_assert_int_ne(run(), 0);
	ck_assert_str_eq(told(), "exec /outside/program: No such file or directory");
}
END_TEST

START_TEST(a_directory_that_is_not_there)
{
	command("/bin/true", NULL, NULL);
	plan.directory = "/no/such/directory";
	ck_assert_int_ne(run(), 0);
	ck_assert_str_eq(told(), "directory /outside/directory: No such file or directory");
}
END_TEST

START_TEST(a_chroot_that_is_not_there)
{
	command("/bin/true", NULL, NULL);
	plan.chroot = "/no/such/root";
	ck_assert_int_ne(run(), 0);
	ck_assert_str_eq(told(), "chroot /no/such/root: No such file or directory");
}
END_TEST

START_TEST(a_limit_that_is_refused)
{
	command("/bin/true", NULL, NULL);
	/* Above fs.nr_open: refused to root too. */
	limit[0] = (struct table_limit){.set = true, .resource = RLIMIT_NOFILE, .value = (rlim_t)1 << 40};
	ck_assert_int_ne(run(), 0);
	ck_assert_str_eq(told(), "rlimit-nofile: Operation not permitted");
}
END_TEST

START_TEST(the_user_is_dropped_to)
{
	gid_t groups[] = {12346, 12347};

	if (geteuid() != 0)
		return;
	plan.drop = true;
	plan.uid = 12345;
	plan.gid = 12346;
	plan.groups = groups;
	plan.group_count = 2;
	run_shell("id -u; id -G");
	ck_assert_str_eq(printed, "12345\n12346 12347\n");
}
END_TEST

START_TEST(an_orphan_does_not_start)
{
	command("/bin/echo", "started", NULL);
	plan.parent = 1 + getpid();
	ck_assert_int_ne(run(), 0);
	ck_assert_str_eq(printed, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("child");
	TCase *tests = tcase_create("child");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, only_its_descriptors);
	tcase_add_test(tests, descriptors_in_each_other_s_place);
	tcase_add_test(tests, session_umask_and_signals);
	tcase_add_test(tests, a_program_that_is_not_there);
	tcase_add_test(tests, a_directory_that_is_not_there);
	tcase_add_test(tests, a_chroot_that_is_not_there);
	tcase_add_test(tests, a_limit_that_is_refused);
	tcase_add_test(tests, the_user_is_dropped_to);
	tcase_add_test(tests, an_orphan_does_not_start);
	suite_add_tcase(suite, tests);
	TCase *limits = tcase_create("limits");
	tcase_set_tags(limits, "rlimit"); /* valgrind keeps RLIMIT_NOFILE to itself */
	tcase_add_checked_fixture(limits, setup, teardown);
	tcase_add_test(limits, limits_as_the_daemon_was_started_then_the_table_s);
	suite_add_tcase(suite, limits);

	return suite_run(suite);
}
