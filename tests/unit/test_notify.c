/*
 * test_notify.c: what a service manager says and hears.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lust.h"
#include "suite.h"

static char path[100];
static int manager;

/* The manager's socket: a path, or with '@' an abstract name. */
static void open_manager(char first)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "%ctmp/test_notify.%d", first, (int)getpid());
	memcpy(name.sun_path, path, strlen(path));
	if (first == '@')
		name.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&name,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
			 0);
	setenv("NOTIFY_SOCKET", path, 1);
}

static void hears(const char *expected)
{
	char text[128] = "";

	ck_assert_int_gt(recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT), 0);
	ck_assert_str_eq(text, expected);
}

START_TEST(tells)
{
	int fd;

	open_manager(_i ? '@' : '/');
	ck_assert_int_eq(lust_notify("READY=1\nSTATUS=fine"), 1);
	hears("READY=1\nSTATUS=fine");
	fd = lust_notify_open(NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(lust_notify_to(fd, "WATCHDOG=1"), 1);
	hears("WATCHDOG=1");
	if (path[0] == '/')
		unlink(path);
	close(manager);
	ck_assert_int_eq(lust_notify_to(fd, "STOPPING=1"), -ECONNREFUSED);
}
END_TEST

START_TEST(a_manager_that_does_not_read)
{
	int fd, result;

	open_manager('@');
	fd = lust_notify_open(NULL);
	do
		result = lust_notify_to(fd, "STATUS=again");
	while (result == 1);
	ck_assert_int_eq(result, -EAGAIN);
}
END_TEST

START_TEST(nobody_to_tell)
{
	char huge[200];

	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(lust_notify("READY=1"), 0);
	ck_assert_int_eq(lust_notify_open(NULL), -ENOENT);
	setenv("NOTIFY_SOCKET", "", 1);
	ck_assert_int_eq(lust_notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	ck_assert_int_eq(lust_notify("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", "/", 1);
	ck_assert_int_eq(lust_notify("READY=1"), -EINVAL);
	memset(huge, 'x', sizeof(huge));
	huge[0] = '/';
	huge[sizeof(huge) - 1] = '\0';
	setenv("NOTIFY_SOCKET", huge, 1);
	ck_assert_int_eq(lust_notify("READY=1"), -ENAMETOOLONG);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	ck_assert_int_eq(lust_notify("READY=1"), -ECONNREFUSED);
}
END_TEST

static void setenv_pid(const char *name, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", (int)pid);
	setenv(name, text, 1);
}

START_TEST(watchdog)
{
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	ck_assert_uint_eq(lust_notify_watchdog(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_uint_eq(lust_notify_watchdog(), 30000000);
	setenv_pid("WATCHDOG_PID", getpid());
	ck_assert_uint_eq(lust_notify_watchdog(), 30000000);
	setenv_pid("WATCHDOG_PID", getppid());
	ck_assert_uint_eq(lust_notify_watchdog(), 0);
	setenv_pid("WATCHDOG_PID", getpid());
	setenv("WATCHDOG_USEC", "5s", 1);
	ck_assert_uint_eq(lust_notify_watchdog(), 0);
}
END_TEST

/* Descriptors from 3 on belong to the test program here: only counts and names that touch none are tried. */
START_TEST(listen_fds)
{
	char name[256];

	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	ck_assert_int_eq(lust_listen_fds(), 0);
	setenv("LISTEN_FDS", "2", 1);
	ck_assert_int_eq(lust_listen_fds(), 0);
	setenv_pid("LISTEN_PID", getppid());
	ck_assert_int_eq(lust_listen_fds(), 0);
	setenv_pid("LISTEN_PID", getpid());
	ck_assert_int_ge(dup2(STDIN_FILENO, 3), 0);
	ck_assert_int_ge(dup2(STDIN_FILENO, 4), 0);
	ck_assert_int_eq(lust_listen_fds(), 2);
	ck_assert_int_eq(fcntl(3, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(4, F_GETFD), FD_CLOEXEC);
	close(4);
	ck_assert_int_eq(lust_listen_fds(), -EBADF);
	setenv("LISTEN_FDS", "99999999999", 1);
	ck_assert_int_eq(lust_listen_fds(), -EINVAL);
	setenv("LISTEN_FDNAMES", "web::admin", 1);
	ck_assert_str_eq(lust_listen_name(0, name), "web");
	ck_assert_str_eq(lust_listen_name(1, name), "");
	ck_assert_str_eq(lust_listen_name(2, name), "admin");
	ck_assert_str_eq(lust_listen_name(3, name), "");
	unsetenv("LISTEN_FDNAMES");
	ck_assert_str_eq(lust_listen_name(0, name), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, tells, 0, 2);
	tcase_add_test(all, a_manager_that_does_not_read);
	tcase_add_test(all, nobody_to_tell);
	tcase_add_test(all, watchdog);
	tcase_add_test(all, listen_fds);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
