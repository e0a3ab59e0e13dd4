/*
 * main.c: a whole daemon, in one visible order.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "main.h"
#include "server.h" /* deadlines */

static const char *setting(const struct lust_main *m, const char *key)
{
	return lust_settings_get(m->run.settings, key);
}

/* Whoever started us looks after the process, so that there is nobody who would ask a pidfile. */
static bool is_kept(const struct lust_main *m)
{
	return m->run.starter == LUST_STARTED_BY_LUST_INETD || m->run.starter == LUST_STARTED_BY_INETD;
}

/* lust-inetd's servers come as who its table says, and those of systemd with User= likewise. */
static bool confines_itself(const struct lust_main *m)
{
	if (m->run.starter == LUST_STARTED_BY_LUST_INETD)
		return false;
	return m->run.starter == LUST_STARTED_BY_HAND || m->run.starter == LUST_STARTED_BY_INIT ||
	       geteuid() == 0;
}

/* In the foreground somebody looks after the process already: then only when a pidfile is asked for. */
static bool keeps_pidfile(const struct lust_main *m)
{
	return m->command == LUST_COMMAND_START || (!is_kept(m) && setting(m, "pidfile"));
}

/* To the log, and to whoever waits at the terminal for `start`. */
static void complain(const struct lust_main *m, const char *what, const char *why)
{
	lust_log(LUST_LOG_ERROR, "%s: %s", what, why);
	if (m->stream >= 0)
		fprintf(stderr, "%s: %s: %s\n", m->run.program->name, what, why);
}

static int call(struct lust_main *m, const char *name, int (*hook)(struct lust_run *))
{
	int result = hook ? hook(&m->run) : 0;

	if (result < 0)
		complain(m, name, strerror(-result));
	return result;
}

static int open_log(struct lust_main *m)
{
	const bool has_stderr = m->command != LUST_COMMAND_START && m->run.starter != LUST_STARTED_BY_INETD;
	struct lust_log_options options = {.name = m->run.program->name, .target = setting(m, "log")};
	int result = lust_main_log_level(m->run.settings, &options.level);

	if (result < 0)
		return result;
	if (!options.target && !has_stderr)
		options.target = "syslog";
	if (!has_stderr && strcmp(options.target, "stderr") == 0) {
		lust_log(LUST_LOG_ERROR,
			 "log: there is no standard error to keep (syslog, journal or a path)");
		return -EINVAL;
	}
	result = lust_log_open(&options);
	if (result < 0) {
		lust_log(LUST_LOG_ERROR, "log %s: %s", options.target ? options.target : "",
			 strerror(-result));
		return result;
	}
	if (!lust_settings_file(m->run.settings))
		lust_log(LUST_LOG_INFO, "there is no /etc/%s.conf: everything as it is usual",
			 m->run.program->name);
	/* Of a daemon: what it or a library of it prints is kept. */
	if (m->command == LUST_COMMAND_START)
		m->stream = lust_log_stream();
	return 0;
}

static int before_jail(void *argument)
{
	struct lust_main *m = argument;
	int result = call(m, "before_jail", m->run.program->before_jail);

	if (result == 0) {
		m->notify = lust_notify_open(NULL); /* -ENOENT: nobody wants to know */
		if (m->notify < 0 && m->notify != -ENOENT)
			lust_log(LUST_LOG_WARNING, "NOTIFY_SOCKET: %s", strerror(-m->notify));
		result = open_log(m);
	}
	m->hook_failed = result < 0;
	return result;
}

static int before_drop(void *argument)
{
	struct lust_main *m = argument;
	int result = call(m, "before_drop", m->run.program->before_drop);

	m->hook_failed = result < 0;
	return result;
}

/* Octal, as everywhere.  Before the listeners: it says who may connect to a Unix socket. */
static int set_umask(struct lust_main *m)
{
	const char *text = setting(m, "umask");
	unsigned long mask;
	char *end;

	if (!text)
		return 0;
	mask = strtoul(text, &end, 8);
	if (end == text || *end || mask > 0777) {
		lust_log(LUST_LOG_ERROR, "umask: \"%s\" is not an octal number up to 0777", text);
		return -EINVAL;
	}
	m->umask = (int)mask;
	umask((mode_t)mask);
	return 0;
}

/* A client that leaves must not end the daemon, whatever the program writes with. */
static const struct lust_signal_action ignored[] = {
	{SIGTTIN, SIG_IGN}, {SIGTTOU, SIG_IGN}, {SIGTSTP, SIG_IGN}, {SIGPIPE, SIG_IGN}};

static int open_daemon(struct lust_main *m)
{
	int preserve[LUST_MAIN_LISTENERS + 2];
	struct lust_daemon_options options = {
		.detach = m->command == LUST_COMMAND_START ? LUST_DETACH_YES : LUST_DETACH_NO,
		.directory = setting(m, "directory"),
		.pidfile = keeps_pidfile(m) ? m->pidfile : NULL,
		.preserve = preserve,
		.preserve_count = lust_sources_list(m, preserve),
		.signals = ignored,
		.signals_count = sizeof(ignored) / sizeof(*ignored),
		.before_jail = before_jail,
		.before_drop = before_drop,
		.argument = m,
	};
	int result;

	if (m->umask >= 0) {
		options.set_umask = 1;
		options.umask = (mode_t)m->umask;
	}
	if (confines_itself(m)) {
		options.user = setting(m, "user");
		options.group = setting(m, "group");
		options.chroot = setting(m, "chroot");
	}
	/* A terminal or a log; inetd's were replaced already. */
	if (m->command != LUST_COMMAND_START)
		options.streams[STDOUT_FILENO] = options.streams[STDERR_FILENO] = LUST_STREAM_KEEP;
	result = lust_daemon_open(&m->daemon, &options);
	if (result < 0 && !m->hook_failed)
		complain(m, "cannot start", m->daemon ? lust_daemon_problem(m->daemon) : strerror(-result));
	return result;
}

/* Others may give some back; told once, until it is over. */
static bool is_short(struct lust_main *m, int error)
{
	static const struct timespec pause = {.tv_nsec = 100000000};

	if (error != -EMFILE && error != -ENFILE && error != -ENOBUFS && error != -ENOMEM)
		return false;
	if (!m->short_told)
		lust_log(LUST_LOG_ERROR, "cannot accept for now: %s", strerror(-error));
	m->short_told = true;
	nanosleep(&pause, NULL);
	return true;
}

static void serve(struct lust_main *m)
{
	struct lust_connection connection;
	int result;

	for (;;) {
		result = lust_main_receive(&m->run, &connection, -1);
		if (result == 1) {
			m->short_told = false;
			m->run.program->serve(&m->run, &connection);
			(void)lust_main_close(&m->run, &connection);
		} else if (result != 0 && result != -EINTR && !is_short(m, result)) {
			break;
		}
	}
	if (result != -ESHUTDOWN)
		lust_log(LUST_LOG_ERROR, "cannot go on: %s", strerror(-result));
	m->code = result == -ESHUTDOWN ? 0 : LUST_EXIT_FAILED;
}

static int announce(struct lust_main *m)
{
	int result = lust_daemon_ready(m->daemon, 0);

	if (m->stream >= 0) {
		if (dup2(m->stream, STDOUT_FILENO) < 0 || dup2(m->stream, STDERR_FILENO) < 0)
			result = -errno;
		close(m->stream);
		m->stream = -1;
	}
	m->watchdog_ms = lust_notify_watchdog() / 2000;
	if (m->watchdog_ms > INT32_MAX)
		m->watchdog_ms = INT32_MAX;
	lust_main_tell(m, "READY=1");
	if (result < 0)
		lust_log(LUST_LOG_ERROR, "standard streams: %s", strerror(-result));
	return result;
}

/* The daemon itself, from `start` to `shutdown`. */
static void work(struct lust_main *m)
{
	int result = lust_sources_register(m);

	if (result == 0 && (result = lust_loop_open(m)) < 0)
		complain(m, "cannot wait for connections", strerror(-result));
	if (result == 0)
		result = call(m, "start", m->run.program->start);
	if (result < 0) {
		m->code = LUST_EXIT_FAILED;
		return;
	}
	if (announce(m) == 0) {
		if (m->run.program->run)
			m->code = call(m, "run", m->run.program->run) < 0 ? LUST_EXIT_FAILED : 0;
		else
			serve(m);
	}
	lust_main_tell(m, "STOPPING=1");
	if (m->run.program->shutdown)
		m->run.program->shutdown(&m->run);
}

static void run(struct lust_main *m)
{
	int result = set_umask(m);
	sigset_t hangup;

	/* `reload` may come as soon as the pidfile is there: it waits until somebody listens. */
	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigprocmask(SIG_BLOCK, &hangup, NULL);
	if (result == 0)
		result = call(m, "before_daemon", m->run.program->before_daemon);
	if (result == 0)
		result = lust_sources_open(m);
	if (result == 0)
		result = open_daemon(m);
	if (result > 0) {
		m->code = lust_daemon_code(m->daemon);
		lust_sources_forget(m);
	} else if (result == 0) {
		work(m);
	} else {
		m->code = result == -EACCES || result == -EPERM ? LUST_EXIT_NOT_PERMITTED : LUST_EXIT_FAILED;
	}
}

static bool runs_already(const struct lust_main *m)
{
	pid_t pid = lust_pidfile_read(m->pidfile);

	if (pid <= 0)
		return false;
	fprintf(stderr, "%s: already running, pid %d\n", m->run.program->name, (int)pid);
	return true;
}

static void obey(struct lust_main *m)
{
	switch (m->command) {
	case LUST_COMMAND_START:
		if (!runs_already(m))
			run(m);
		break;
	case LUST_COMMAND_RESTART:
		m->code = lust_main_control(m);
		m->command = LUST_COMMAND_START;
		if (m->code == 0)
			run(m);
		break;
	case LUST_COMMAND_RUN:
		run(m);
		break;
	default:
		m->code = lust_main_control(m);
		break;
	}
}

static int find_pidfile(struct lust_main *m)
{
	const char *said = setting(m, "pidfile");

	/* Whoever stops the daemon may stand elsewhere. */
	if (said && said[0] != '/') {
		lust_log(LUST_LOG_ERROR, "pidfile: \"%s\" is not an absolute path", said);
		return -EINVAL;
	}
	m->pidfile = said ? strdup(said) : NULL;
	if (!said && asprintf(&m->pidfile, "/run/%s.pid", m->run.program->name) < 0)
		m->pidfile = NULL;
	return m->pidfile ? 0 : -ENOMEM;
}

/* Mistakes keep nobody from asking or ending what runs. */
static int find_settings(struct lust_main *m)
{
	const bool forgiving = m->command == LUST_COMMAND_STOP || m->command == LUST_COMMAND_STATUS;
	int result = lust_main_settings(m, &m->run.settings, forgiving);

	return result < 0 ? result : find_pidfile(m);
}

static void close_all(struct lust_main *m)
{
	lust_loop_close(m);
	lust_sources_close(m);
	/* Last: whoever waits for `start` to fail finds the addresses and the pidfile free. */
	if (m->daemon && m->code != 0)
		(void)lust_daemon_ready(m->daemon, m->code);
	lust_daemon_close(m->daemon);
	if (m->notify >= 0)
		close(m->notify);
	if (m->stream >= 0)
		close(m->stream);
	lust_settings_free(m->run.settings);
	free(m->pidfile);
	free(m->file);
	free(m->known);
	lust_log_close();
}

/* Settings that anybody may choose are no input for a program that runs as somebody else. */
static bool is_set_uid(void)
{
	return getuid() != geteuid() || getgid() != getegid();
}

int lust_main(const struct lust_program *program, int argc, char **argv)
{
	struct lust_main m = {
		.run = {.program = program, .starter = lust_started_by()},
		.argc = argc,
		.argv = argv,
		.umask = -1,
		.input = -1,
		.connection = -1,
		.signals = -1,
		.epoll = -1,
		.notify = -1,
		.stream = -1,
	};

	if (is_set_uid()) {
		lust_log(LUST_LOG_ERROR, "not made to be set-uid");
		return LUST_EXIT_NOT_PERMITTED;
	}
	m.code = lust_main_parse(&m);
	if (m.code == 0 && (m.command == LUST_COMMAND_HELP || m.command == LUST_COMMAND_VERSION)) {
		lust_main_help(&m);
	} else if (m.code == 0) {
		if (m.command == LUST_COMMAND_RUN)
			lust_sources_leave_client(&m);
		if (find_settings(&m) < 0)
			m.code = LUST_EXIT_NOT_CONFIGURED;
		else
			obey(&m);
	}
	close_all(&m);
	return m.code;
}
