/*
 * test_reload.c: the process that reads the table: what it hands over, and how the supervisor gets rid of it.  The name
 * service is our own: getpwnam() knows one user, hangs for another, and ends the process for a third.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services.h"
#include "suite.h"
#include "supervisor.h"
#include "table_files.h"

#define LONG_S 60.

struct passwd *getpwnam(const char *name)
{
	static struct passwd known = {.pw_name = (char *)"known",
				      .pw_dir = (char *)"/home/known",
				      .pw_shell = (char *)"/bin/sh",
				      .pw_uid = 1234,
				      .pw_gid = 1234};

	if (strcmp(name, "hangs") == 0)
		for (;;)
			pause();
	if (strcmp(name, "ends") == 0)
		_exit(3);
	errno = 0;
	return strcmp(name, "known") == 0 || strcmp(name, "lust") == 0 ? &known : NULL;
}

static struct supervisor *s;
static char file[128];
static struct ev_timer ticker;
static unsigned ticks;

/* What came of it. */
static unsigned ends;
static struct table *taken;
static struct diagnostics said;
static bool was_read;

static void on_end(struct supervisor *of, struct table *table, struct diagnostics *diagnostics, bool is_read)
{
	ck_assert_ptr_eq(of, s);
	ck_assert_int_eq(s->reload.pid, 0);
	ends++;
	taken = table;
	said = *diagnostics;
	was_read = is_read;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	ticks++;
}

static void setup(void)
{
	table_files_setup();
	snprintf(file, sizeof(file), "%s/t.conf", table_directory);
	s = calloc(1, sizeof(*s));
	ck_assert_ptr_nonnull(s);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	ev_set_userdata(s->loop, s);
	s->config_file = file;
	s->runtime_dir_option = "/run/t";
	s->privileged = true;
	ev_timer_init(&ticker, on_tick, 0.01, 0.01);
	ev_timer_start(s->loop, &ticker);
	ticks = ends = 0;
	taken = NULL;
	said = (struct diagnostics){0};
}

static void teardown(void)
{
	/* Nobody is left. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	table_free(taken);
	diagnostics_free(&said);
	ev_loop_destroy(s->loop);
	free(s);
	table_files_teardown();
}

static pid_t begin(const char *text, double limit_s)
{
	table_file("t.conf", text);
	ck_assert_int_eq(reload_child_start(s, limit_s, on_end), 0);
	return s->reload.pid;
}

/* The loop turns until it ended, one way or the other; then nothing of the child is left. */
static void turn(pid_t pid)
{
	int status = 0;
	pid_t ended = 0;

	while (ends == 0 || ended == 0) {
		ev_run(s->loop, EVRUN_ONCE);
		if (ended == 0 && (ended = waitpid(pid, &status, WNOHANG)) == pid && s->reload.pid == pid)
			reload_child_ended(s, status);
	}
	ck_assert_int_eq(ended, pid);
	ck_assert_uint_eq(ends, 1);
}

static char *shown(const struct table *table, const struct table_service *service)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(table_show(out, table, service, true), 0);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

#define GOOD                                                                                                 \
	"admin-users = known\n"                                                                              \
	"defaults { take-timeout = 3s server { umask = 027 } }\n"                                            \
	"include(\"more/*.conf\")\n"

static const char more[] = "service \"web\" { listen = {\"*:80\", \"x=[::1]:8080\", \"unix:/run/w\"}\n"
			   " server { command = {\"/bin/w\", \"-q\"} user = known env-file = \"env\"\n"
			   " env = {\"B=2\"} pass-env = {\"LANG\"} log = \"/var/log/w\" rlimit-core = 0 } }\n"
			   "service \"out\" { listen = 7 start = external register-users = known }\n";

START_TEST(what_is_handed_over)
{
	struct table_diff diff;

	table_file("more/a.conf", more);
	table_file("more/env", "A=1\n");
	turn(begin(GOOD, LONG_S));
	ck_assert_msg(was_read && taken, "%s", said.count ? said.item[0].text : "");
	/* Nothing of it is ever looked for again. */
	table_file("more/env", "A=3\n");
	ck_assert_str_eq(taken->service[0].server->user_home, "/home/known");
	ck_assert_str_eq(taken->service[0].server->env[0], "A=1");
	ck_assert_uint_eq(taken->admin_users.id[0], 1234);
	ck_assert_uint_eq(taken->file_count, 3);
	ck_assert(table_changed_on_disk(taken, NULL));

	/* As it would have been read here. */
	table_file("more/env", "A=1\n");
	struct table *here = table_files_read(true);
	ck_assert_ptr_nonnull(here);
	ck_assert_int_eq(table_diff(here, taken, &diff), 0);
	for (size_t i = 0; i < diff.count; i++)
		ck_assert(diff.pair[i].before && diff.pair[i].after && !diff.pair[i].change);
	table_diff_free(&diff);
	ck_assert_uint_eq(taken->service_count, here->service_count);
	for (size_t i = 0; i < here->service_count; i++) {
		char *one = shown(here, &here->service[i]), *other = shown(taken, &taken->service[i]);
		ck_assert_str_eq(one, other);
		free(one);
		free(other);
	}
	table_free(here);
}
END_TEST

/* Nobody changes a table that is in force. */
START_TEST(only_to_be_read)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	turn(begin("", LONG_S));
	ck_assert_ptr_nonnull(taken);
	ck_assert_int_eq(read(fd, &taken->service_count, sizeof(taken->service_count)), -1);
	ck_assert_int_eq(errno, EFAULT);
	close(fd);
}
END_TEST

START_TEST(mistakes)
{
	turn(begin("service \"a\" { listen = x }\nnonsense = 1\nservice \"b\" { listen = 7 mode = none }\n",
		   LONG_S));
	ck_assert(was_read && !taken);
	ck_assert_ptr_null(table_files_read(true));
	ck_assert_uint_gt(table_said.mistakes, 2);
	ck_assert_uint_eq(said.mistakes, table_said.mistakes);
	ck_assert_uint_eq(said.warnings, table_said.warnings);
	ck_assert_uint_eq(said.count, table_said.count);
	for (size_t i = 0; i < said.count; i++) {
		ck_assert_str_eq(said.item[i].text, table_said.item[i].text);
		ck_assert_int_eq(said.item[i].severity, table_said.item[i].severity);
	}
}
END_TEST

/* The loop turns all the while; at the deadline it is told what was waited for. */
START_TEST(name_service_hangs)
{
	turn(begin("admin-users = {\"known\", \"hangs\"}\n", 0.2));
	ck_assert(!was_read && !taken);
	ck_assert_uint_gt(ticks, 2);
	ck_assert_uint_eq(said.count, 1);
	ck_assert_ptr_nonnull(strstr(said.item[0].text, "/t.conf: given up after 0.2 s of reading it, while "
							"looking up the user hangs"));
}
END_TEST

START_TEST(reader_dies)
{
	turn(begin("admin-users = ends\n", LONG_S));
	ck_assert(!was_read && !taken);
	ck_assert_uint_eq(said.count, 1);
	ck_assert_ptr_nonnull(strstr(said.item[0].text, "/t.conf: the process that read it ended: exit 3"));
	/* And the next one does not suffer from it. */
	diagnostics_free(&said);
	ends = 0;
	turn(begin("admin-users = known\n", LONG_S));
	ck_assert(was_read && taken);
}
END_TEST

/* The daemon stops. */
START_TEST(cancelled)
{
	pid_t pid = begin("admin-users = hangs\n", LONG_S);
	int status;

	reload_child_cancel(s);
	ck_assert_int_eq(s->reload.pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ev_run(s->loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(ends, 0);
}
END_TEST

/* A FIFO without a writer: nobody waits for one. */
static const struct {
	const char *name, *table;
} irregular[] = {
	{"t.conf", NULL},
	{"one", "include(\"one\")\n"},
	{"one.conf", "include(\"*.conf\")\n"},
	{"env",
	 "service \"a\" { listen = 7 server { command = \"/bin/a\" user = known env-file = \"env\" } }\n"},
};

START_TEST(not_a_regular_file)
{
	char path[256];

	if (irregular[_i].table)
		table_file("t.conf", irregular[_i].table);
	snprintf(path, sizeof(path), "%s/%s", table_directory, irregular[_i].name);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(reload_child_start(s, LONG_S, on_end), 0);
	turn(s->reload.pid);
	ck_assert(was_read && !taken);
	ck_assert_uint_ge(said.count, 1);
	ck_assert_msg(strstr(said.item[0].text, ": not a regular file"), "%s", said.item[0].text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reload");
	TCase *all = tcase_create("reload");

	tcase_set_timeout(all, 120);
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, what_is_handed_over);
	tcase_add_test(all, only_to_be_read);
	tcase_add_test(all, mistakes);
	tcase_add_test(all, name_service_hangs);
	tcase_add_test(all, reader_dies);
	tcase_add_test(all, cancelled);
	tcase_add_loop_test(all, not_a_regular_file, 0, sizeof(irregular) / sizeof(irregular[0]));
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
