/*
 * test_daemon.c: the daemon context: what the daemon looks like afterwards, and what the caller hears.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"
#include "suite.h"

static char directory[] = "/tmp/test_daemon.XXXXXX", pidfile[64];

static void set_up(void)
{
	strcpy(directory, "/tmp/test_daemon.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	snprintf(pidfile, sizeof(pidfile), "%s/pid", directory);
}

static void tear_down(void)
{
	unlink(pidfile);
	rmdir(directory);
}

/* Runs it in a process of its own and gives its exit code: what fails there prints why. */
static int in_child(int (*body)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(body());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define WANT(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			dprintf(report, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			return 99;                                                                           \
		}                                                                                            \
	} while (0)

static int report; /* standard error, wherever the daemon puts its own */

static const struct lust_daemon_options foreground = {.detach = LUST_DETACH_NO};

static int defaults(void)
{
	struct lust_daemon *daemon = NULL, *same;
	struct rlimit core;
	struct sigaction action;
	int open_before = open("/", O_RDONLY | O_CLOEXEC), keep[] = {report};
	char cwd[8];
	struct lust_daemon_options options = foreground;

	options.preserve = keep;
	options.preserve_count = 1;
	WANT(lust_daemon_is_open(NULL) == 0);
	WANT(lust_daemon_open(&daemon, &options) == 0);
	WANT(lust_daemon_is_open(daemon));
	same = daemon;
	WANT(lust_daemon_open(&same, &options) == 0 && same == daemon);
	WANT(umask(0) == 022);
	WANT(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0);
	WANT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
	WANT(prctl(PR_GET_DUMPABLE) == 0);
	WANT(sigaction(SIGTSTP, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
	WANT(sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	WANT(fcntl(open_before, F_GETFD) < 0);
	WANT(fcntl(report, F_GETFD) >= 0);
	WANT(lust_daemon_ready(daemon, 0) == 0);
	for (int fd = 0; fd < 3; fd++) {
		struct stat status, null;

		WANT(fstat(fd, &status) == 0 && stat("/dev/null", &null) == 0);
		WANT(status.st_rdev == null.st_rdev);
	}
	lust_daemon_close(daemon);
	return 0;
}

static int everything_explicit(void)
{
	struct lust_daemon *daemon = NULL;
	static const struct lust_signal_action signals[] = {{SIGUSR1, SIG_IGN}};
	struct sigaction action;
	struct rlimit core_before, core;
	char cwd[128];
	struct lust_daemon_options options = {
		.detach = LUST_DETACH_NO,
		.directory = directory,
		.pidfile = pidfile,
		.streams = {LUST_STREAM_KEEP, LUST_STREAM_KEEP, LUST_STREAM_KEEP},
		.signals = signals,
		.signals_count = 1,
		.umask = 0,
		.set_umask = 1,
		.core_dumps = 1,
		.keep_fds = 1,
	};

	getrlimit(RLIMIT_CORE, &core_before);
	WANT(lust_daemon_open(&daemon, &options) == 0);
	WANT(umask(0) == 0);
	WANT(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, directory) == 0);
	WANT(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
	WANT(sigaction(SIGTSTP, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	WANT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == core_before.rlim_cur);
	WANT(fcntl(report, F_GETFD) >= 0);
	WANT(lust_pidfile_read(pidfile) == getpid());
	lust_daemon_close(daemon);
	WANT(lust_pidfile_read(pidfile) == -ENOENT);
	return 0;
}

static int jailed(void)
{
	struct lust_daemon *daemon = NULL;
	int keep[] = {report};
	struct lust_daemon_options options = {.detach = LUST_DETACH_NO,
					      .chroot = directory,
					      .user = "nobody",
					      .pidfile = pidfile,
					      .preserve = keep,
					      .preserve_count = 1};
	uid_t ruid, euid, suid;

	WANT(lust_daemon_open(&daemon, &options) == 0);
	WANT(access("/pid", F_OK) == 0);
	WANT(getresuid(&ruid, &euid, &suid) == 0 && ruid != 0 && euid == ruid && suid == ruid);
	WANT(setuid(0) < 0 && errno == EPERM);
	WANT(prctl(PR_GET_DUMPABLE) == 0);
	/* The file cannot be removed from in here, and is no trap: empty and unlocked. */
	lust_daemon_close(daemon);
	WANT(lust_pidfile_read("/pid") == 0);
	return 0;
}

static int hook_calls;

static int count_hook(void *argument)
{
	*(int *)argument = *(int *)argument * 10 + ++hook_calls;
	return 0;
}

static int failing_hook(void *argument)
{
	(void)argument;
	return -ENOSPC;
}

static int hooks(void)
{
	struct lust_daemon *daemon = NULL;
	int order = 0, keep[] = {report};
	struct lust_daemon_options options = foreground;

	options.preserve = keep;
	options.preserve_count = 1;
	options.before_jail = options.before_drop = count_hook;
	options.argument = &order;
	WANT(lust_daemon_open(&daemon, &options) == 0);
	WANT(order == 12);
	lust_daemon_close(daemon);
	daemon = NULL;
	options.before_drop = failing_hook;
	WANT(lust_daemon_open(&daemon, &options) == -ENOSPC);
	WANT(strcmp(lust_daemon_problem(daemon), "before_drop: No space left on device") == 0);
	lust_daemon_close(daemon);
	return 0;
}

/* A descriptor that is closed behind the log's back would be somebody else's by the next line. */
static int log_opened_before(void)
{
	char path[96], text[256] = "";
	struct lust_log_options log = {.target = path};
	struct lust_daemon *daemon = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/pid", directory);
	WANT(lust_log_open(&log) == 0);
	WANT(lust_daemon_open(&daemon, &foreground) == 0);
	WANT(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
	lust_log(LUST_LOG_NOTICE, "still here");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	WANT(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	WANT(strstr(text, "still here\n"));
	lust_daemon_close(daemon);
	return 0;
}

static int without_standard_input(void)
{
	struct lust_daemon *daemon = NULL;
	struct lust_daemon_options options = foreground;

	close(STDIN_FILENO);
	options.streams[0] = options.streams[1] = options.streams[2] = LUST_STREAM_KEEP;
	WANT(lust_daemon_open(&daemon, &options) == 0);
	WANT(fcntl(STDIN_FILENO, F_GETFD) == 0); /* there, and also for a program that is executed */
	lust_daemon_close(daemon);
	return 0;
}

START_TEST(looks_right)
{
	static int (*const bodies[])(void) = {defaults, everything_explicit, hooks, log_opened_before,
					      without_standard_input};

	report = dup(STDERR_FILENO);
	ck_assert_int_eq(in_child(bodies[_i]), 0);
}
END_TEST

START_TEST(in_a_jail)
{
	if (getuid() != 0)
		return;
	report = dup(STDERR_FILENO);
	ck_assert_int_eq(in_child(jailed), 0);
}
END_TEST

START_TEST(says_which_step_failed)
{
	static const struct lust_signal_action unusable[] = {{SIGKILL, SIG_IGN}};
	static const struct {
		struct lust_daemon_options options;
		int error;
		const char *problem;
	} cases[] = {
		{{.user = "no-such-user-here"}, -ENOENT, "no-such-user-here: no such user"},
		{{.user = "4294967295"}, -ENOENT, "4294967295: no such user"},
		{{.group = "no-such-group-here"}, -ENOENT, "no-such-group-here: no such group"},
		{{.pidfile = "/nonexistent/pid"},
		 -ENOENT,
		 "pidfile /nonexistent/pid: No such file or directory"},
		{{.chroot = "/nonexistent", .keep_fds = 1},
		 -ENOENT,
		 "chroot /nonexistent: No such file or directory"},
		{{.directory = "/nonexistent", .keep_fds = 1},
		 -ENOENT,
		 "chdir /nonexistent: No such file or directory"},
		{{.signals = unusable, .signals_count = 1}, -EINVAL, "signal Killed: Invalid argument"},
		{{.streams = {0, 77, 0}, .keep_fds = 1}, -EBADF, "standard output: Bad file descriptor"},
	};
	struct lust_daemon_options options = cases[_i].options;
	struct lust_daemon *daemon = NULL;

	options.detach = LUST_DETACH_NO;
	if (options.streams[1] == 0)
		options.streams[0] = options.streams[1] = options.streams[2] = LUST_STREAM_KEEP;
	ck_assert_int_eq(lust_daemon_open(&daemon, &options), cases[_i].error);
	ck_assert_str_eq(lust_daemon_problem(daemon), cases[_i].problem);
	ck_assert(!lust_daemon_is_open(daemon));
	lust_daemon_close(daemon);
}
END_TEST

START_TEST(only_one_runs)
{
	struct lust_daemon *daemon = NULL;
	struct lust_daemon_options options = foreground;
	int held = lust_pidfile_open(pidfile, NULL);
	char problem[160];

	ck_assert_int_ge(held, 0);
	ck_assert_int_eq(lust_pidfile_write(held, getppid()), 0);
	options.pidfile = pidfile;
	ck_assert_int_eq(lust_daemon_open(&daemon, &options), -EWOULDBLOCK);
	snprintf(problem, sizeof(problem), "pidfile %s: already running, pid %d", pidfile, (int)getppid());
	ck_assert_str_eq(lust_daemon_problem(daemon), problem);
	lust_daemon_close(daemon);
	ck_assert_int_eq(lust_pidfile_read(pidfile), getppid());
	lust_pidfile_close(held, pidfile);
}
END_TEST

/* What the caller of a detached daemon hears; the daemon itself says by the exit code of the process that stays. */
static int verdict_to_give, verdict_heard;

static int detached(void)
{
	int verdict, code = -1, result = lust_daemon_detach(&verdict, &code);

	if (result == 0) {
		if (getsid(0) == getpid() || getpgid(0) == getpid())
			verdict_to_give = 98; /* a leader could get a terminal again */
		if (verdict_to_give >= 0)
			lust_daemon_tell(verdict, verdict_to_give);
		_exit(0);
	}
	return result == 1 ? code : 97;
}

START_TEST(verdicts)
{
	static const struct {
		int given, heard;
	} cases[] = {{0, 0}, {1, 1}, {78, 78}, {-1, 1 /* it died without a word */}};

	verdict_to_give = cases[_i].given;
	verdict_heard = in_child(detached);
	ck_assert_int_eq(verdict_heard, cases[_i].heard);
}
END_TEST

static int no_more_processes(void)
{
	struct rlimit none = {0, 0};
	int verdict, code, result;

	if (setgid(65534) < 0 || setuid(65534) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0)
		return 96;
	result = lust_daemon_detach(&verdict, &code);
	return result == -EAGAIN ? 0 : 95;
}

START_TEST(fork_fails)
{
	if (getuid() != 0)
		return;
	ck_assert_int_eq(in_child(no_more_processes), 0);
}
END_TEST

/* The whole context, detached: the caller hears what the daemon said at last, and finds the pidfile free. */
static int detached_code;

static int open_detached(void)
{
	struct lust_daemon *daemon = NULL;
	struct lust_daemon_options options = {.detach = LUST_DETACH_YES, .pidfile = pidfile};
	struct pollfd caller = {.events = POLLIN};
	int ends[2], result, code;

	WANT(pipe2(ends, O_CLOEXEC) == 0); /* the daemon closes one end: it tells when the caller is gone */
	caller.fd = ends[0];
	options.preserve = ends;
	options.preserve_count = 1;
	result = lust_daemon_open(&daemon, &options);

	if (result == 1) {
		code = lust_daemon_code(daemon);
		/* The handle of the one that waited must not touch what is the daemon's. */
		lust_daemon_close(daemon);
		return code;
	}
	if (result == 0)
		lust_daemon_ready(daemon, lust_pidfile_read(pidfile) == getpid() ? detached_code : 99);
	if (detached_code == 0)
		raise(SIGSTOP);
	/* Who leaves before the pidfile is free finds it. */
	if (poll(&caller, 1, 200) != 0)
		_exit(0);
	lust_daemon_close(daemon);
	_exit(0);
}

START_TEST(a_failed_start_leaves_nothing)
{
	detached_code = 42;
	ck_assert_int_eq(in_child(open_detached), 42);
	ck_assert_int_eq(lust_pidfile_read(pidfile), -ENOENT);
}
END_TEST

START_TEST(a_started_daemon_keeps_its_pidfile)
{
	pid_t pid;

	detached_code = 0;
	ck_assert_int_eq(in_child(open_detached), 0);
	pid = lust_pidfile_read(pidfile);
	ck_assert_int_gt(pid, 1);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
}
END_TEST

static int by_inetd(int fd)
{
	dup2(fd, STDIN_FILENO);
	return lust_started_by() == LUST_STARTED_BY_INETD ? 0 : 1;
}

static int named_socket(void)
{
	struct sockaddr_storage any = {.ss_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return bind(fd, (struct sockaddr *)&any, sizeof(struct sockaddr_in)) < 0 ? 2 : by_inetd(fd);
}

/* As sshd gives to a remote command. */
static int nameless_socket(void)
{
	int ends[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? 2 : by_inetd(ends[0]);
}

static int closed_input(void)
{
	close(STDIN_FILENO);
	return lust_started_by() == LUST_STARTED_BY_HAND ? 0 : 1;
}

START_TEST(starters)
{
	char pid[32], number[32];
	int pair[2];

	unsetenv("LUST_FD");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("SYSTEMD_EXEC_PID");
	unsetenv("LISTEN_PID");
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	if (getppid() != 1)
		ck_assert_int_eq(lust_started_by(), LUST_STARTED_BY_HAND);
	ck_assert_int_eq(in_child(named_socket), 0);
	ck_assert_int_eq(in_child(nameless_socket), 1);
	ck_assert_int_eq(in_child(closed_input), 0);
	setenv("NOTIFY_SOCKET", "/run/x", 1);
	ck_assert_int_eq(lust_started_by(), LUST_STARTED_BY_SYSTEMD);
	/* Inherited from a service by somebody's shell. */
	setenv("SYSTEMD_EXEC_PID", "1", 1);
	if (getppid() != 1)
		ck_assert_int_eq(lust_started_by(), LUST_STARTED_BY_HAND);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	ck_assert_int_eq(lust_started_by(), LUST_STARTED_BY_SYSTEMD);
	/* Inherited by a program that a server started: no pair is there. */
	setenv("LUST_FD", "77", 1);
	ck_assert_int_eq(lust_started_by(), LUST_STARTED_BY_SYSTEMD);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(number, sizeof(number), "%d", pair[0]);
	setenv("LUST_FD", number, 1);
	ck_assert_int_eq(lust_started_by(), LUST_STARTED_BY_LUST_INETD);
}
END_TEST

START_TEST(signals)
{
	static const int wanted[] = {SIGUSR1, SIGUSR2};
	struct lust_signal came;
	sigset_t mask;
	int fd;

	signal(SIGUSR2, SIG_IGN); /* as nohup does with SIGHUP: it comes all the same */
	fd = lust_signals_open(wanted, 2);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(lust_signals_next(fd, &came), 0);
	ck_assert_int_eq(kill(getpid(), SIGUSR2), 0);
	ck_assert_int_eq(lust_signals_next(fd, &came), 1);
	ck_assert_int_eq(came.number, SIGUSR2);
	ck_assert_int_eq(came.pid, getpid());
	ck_assert_uint_eq(came.uid, getuid());
	ck_assert_int_eq(lust_signals_next(fd, &came), 0);
	ck_assert_int_eq(lust_signals_open((const int[]){4711}, 1), -EINVAL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(lust_signals_reset(), 0);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int number = 1; number < NSIG; number++)
		ck_assert_int_ne(sigismember(&mask, number), 1);
	ck_assert_ptr_eq(signal(SIGPIPE, SIG_DFL), SIG_DFL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_loop_test(all, looks_right, 0, 5);
	tcase_add_test(all, in_a_jail);
	tcase_add_loop_test(all, says_which_step_failed, 0, 8);
	tcase_add_test(all, only_one_runs);
	tcase_add_loop_test(all, verdicts, 0, 4);
	tcase_add_test(all, fork_fails);
	tcase_add_test(all, a_failed_start_leaves_nothing);
	tcase_add_test(all, a_started_daemon_keeps_its_pidfile);
	tcase_add_test(all, starters);
	tcase_add_test(all, signals);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
