/*
 * test_main.c: lust_main() from start to stop: its hooks leave marks in the order in which they run, and where.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"
#include "suite.h"

static char directory[64], marks[128], socket_path[96], settings_path[96];

static int append(const char *mark, const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	dprintf(fd, "%s ", mark);
	close(fd);
	return 0;
}

static int marks_fd = -1;

static int mark(const char *text)
{
	return dprintf(marks_fd, "%s ", text) < 0 ? -errno : 0;
}

static int before_daemon(struct lust_run *run)
{
	(void)run;
	return append("before_daemon", marks);
}

/* Descriptors were closed before it: one that is opened here stays, also in the jail. */
static int before_jail(struct lust_run *run)
{
	(void)run;
	marks_fd = open(marks, O_WRONLY | O_APPEND | O_CLOEXEC);
	return marks_fd < 0 ? -errno : mark("before_jail");
}

static int before_drop(struct lust_run *run)
{
	char cwd[256];

	(void)run;
	/* Inside already, when there is a jail. */
	return mark(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0 ? "before_drop" : "elsewhere");
}

static int start(struct lust_run *run)
{
	run->data = directory;
	return mark("start");
}

static void serve(struct lust_run *run, const struct lust_connection *connection)
{
	mark(run->data == directory ? "serve" : "lost");
	dprintf(connection->fd, "%s", lust_settings_get(run->settings, "word"));
}

static int reload(struct lust_run *run)
{
	const char *word = lust_settings_get(run->settings, "word");

	mark("reload");
	return strcmp(word, "refused") == 0 ? -EINVAL : 0;
}

static void stopped(struct lust_run *run)
{
	(void)run;
	mark("shutdown");
}

static struct lust_program program = {
	.name = "test-main",
	.version = "9",
	.before_daemon = before_daemon,
	.before_jail = before_jail,
	.before_drop = before_drop,
	.start = start,
	.serve = serve,
	.reload = reload,
	.shutdown = stopped,
	.defaults = (const char *const[]){"word", "first", NULL},
};

static void write_settings(const char *word)
{
	FILE *file = fopen(settings_path, "w");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "pidfile = %s/pid\nlog = %s/log\nlisten = unix:%s\nword = %s\n", directory, directory,
		socket_path, word);
	fclose(file);
}

static void set_up(void)
{
	strcpy(directory, "/tmp/test_main.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	snprintf(marks, sizeof(marks), "%s/marks", directory);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	snprintf(settings_path, sizeof(settings_path), "%s/conf", directory);
	write_settings("first");
}

/* One command in a process of its own, as from a shell. */
static int command(const char *word)
{
	char *argv[] = {(char *)"test-main", (char *)"-c", settings_path, (char *)word, NULL};
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(lust_main(&program, 4, argv));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void tear_down(void)
{
	static const char *const left[] = {"marks", "log", "pid", "socket", "conf"};
	char path[128];

	program.run = NULL;
	program.serve = serve;
	command("stop");
	for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, left[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(directory), 0);
}

static const char *file_text(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, sizeof(text) - 1);

	text[length < 0 ? 0 : length] = '\0';
	close(fd);
	return text;
}

static const char *ask(void)
{
	static char text[64];
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t length;

	strcpy(to.sun_path, socket_path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	length = recv(fd, text, sizeof(text) - 1, MSG_WAITALL);
	text[length < 0 ? 0 : length] = '\0';
	close(fd);
	return text;
}

START_TEST(from_start_to_stop)
{
	ck_assert_int_eq(command("status"), 3);
	ck_assert_int_eq(command("start"), 0);
	ck_assert_int_eq(command("status"), 0);
	ck_assert_str_eq(ask(), "first");
	write_settings("second");
	ck_assert_int_eq(command("reload"), 0);
	ck_assert_str_eq(ask(), "second"); /* the signal comes before the connection */
	write_settings("refused");
	ck_assert_int_eq(command("reload"), 0);
	ck_assert_str_eq(ask(), "second");
	ck_assert_int_eq(command("stop"), 0);
	ck_assert_int_eq(command("status"), 3);
	ck_assert_str_eq(file_text(marks),
			 "before_daemon before_jail before_drop start serve reload serve reload serve "
			 "shutdown ");
}
END_TEST

START_TEST(a_failing_hook_fails_the_start)
{
	int (*start_before)(struct lust_run *) = program.start;

	program.start = reload;
	write_settings("refused");
	ck_assert_int_eq(command("start"), 1);
	program.start = start_before;
	ck_assert_int_eq(command("status"), 3);
	ck_assert_str_eq(file_text(marks), "before_daemon before_jail before_drop reload ");
	write_settings("first");
	ck_assert_int_eq(command("start"), 0); /* nothing was left in its way */
}
END_TEST

/* A daemon that nobody could reach says so, and is none. */
START_TEST(nothing_to_listen_at)
{
	FILE *file = fopen(settings_path, "w");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "pidfile = %s/pid\nlog = %s/log\n", directory, directory);
	fclose(file);
	ck_assert_int_eq(command("start"), 1);
	ck_assert_int_eq(command("status"), 3);
	ck_assert_str_eq(file_text(marks), "before_daemon ");
}
END_TEST

/* A loop of its own. */
static int run_loop(struct lust_run *run)
{
	struct lust_connection connection;
	int result;

	while ((result = lust_main_receive(run, &connection, 60000)) >= 0) {
		if (result == 0)
			continue;
		dprintf(connection.fd, "by run");
		lust_main_close(run, &connection);
	}
	return result == -ESHUTDOWN ? 0 : result;
}

START_TEST(with_a_run_of_its_own)
{
	program.serve = NULL;
	program.run = run_loop;
	ck_assert_int_eq(command("start"), 0);
	ck_assert_str_eq(ask(), "by run");
	ck_assert_int_eq(command("stop"), 0);
	ck_assert_str_eq(file_text(marks), "before_daemon before_jail before_drop start shutdown ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("main");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_set_tags(all, "pidfd"); /* of which valgrind 3.19 knows nothing */
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, from_start_to_stop);
	tcase_add_test(all, a_failing_hook_fails_the_start);
	tcase_add_test(all, nothing_to_listen_at);
	tcase_add_test(all, with_a_run_of_its_own);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
