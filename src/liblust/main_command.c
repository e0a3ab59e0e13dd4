/*
 * main_command.c: the command line of a lust_main() program, and the commands to one that runs.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "main.h"

static const char *const commands[] = {
	[LUST_COMMAND_START] = "start",     [LUST_COMMAND_STOP] = "stop",
	[LUST_COMMAND_RESTART] = "restart", [LUST_COMMAND_STATUS] = "status",
	[LUST_COMMAND_RELOAD] = "reload",   [LUST_COMMAND_RUN] = "run",
	[LUST_COMMAND_HELP] = "help",       [LUST_COMMAND_VERSION] = "version",
};

static const char *const own_keys[] = {"listen",  "user",  "group", "chroot",    "directory",
				       "pidfile", "umask", "log",   "log-level", "stop-timeout"};

static int usage(struct lust_main *m, const char *what, const char *word)
{
	lust_sources_leave_client(m);
	lust_log(LUST_LOG_ERROR,
		 "%s%s%s (%s [-c FILE] [-o KEY=VALUE]... start|stop|restart|status|reload|run)", what,
		 word ? " " : "", word ? word : "", m->run.program->name);
	return LUST_EXIT_USAGE;
}

static enum lust_main_command command_of(const char *word)
{
	if (strcmp(word, "--help") == 0)
		return LUST_COMMAND_HELP;
	if (strcmp(word, "--version") == 0)
		return LUST_COMMAND_VERSION;
	for (unsigned i = LUST_COMMAND_START; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(word, commands[i]) == 0)
			return (enum lust_main_command)i;
	}
	return LUST_COMMAND_NONE;
}

/* ---- the keys that may be set ---- */

static bool is_known(const struct lust_main *m, const char *key, size_t length)
{
	for (size_t i = 0; i < m->known_count; i++) {
		if (strncmp(key, m->known[i], length) == 0 && m->known[i][length] == '\0')
			return true;
	}
	return false;
}

static size_t length_of(const char *const *list)
{
	size_t length = 0;

	while (list && list[length])
		length++;
	return length;
}

static int gather_known(struct lust_main *m)
{
	const char *const *defaults = m->run.program->defaults, *const *known = m->run.program->known;
	const size_t own = sizeof(own_keys) / sizeof(*own_keys);

	m->known = calloc(own + length_of(defaults) + length_of(known), sizeof(*m->known));
	if (!m->known)
		return -ENOMEM;
	for (size_t i = 0; i < own; i++)
		m->known[m->known_count++] = own_keys[i];
	for (size_t i = 0; i + 1 < length_of(defaults); i += 2)
		m->known[m->known_count++] = defaults[i];
	for (size_t i = 0; i < length_of(known); i++)
		m->known[m->known_count++] = known[i];
	return 0;
}

/* ---- the command line ---- */

static int take_file(struct lust_main *m, const char *file)
{
	char *here = file[0] == '/' ? NULL : getcwd(NULL, 0);
	int length;

	free(m->file);
	length = asprintf(&m->file, "%s%s%s", here ? here : "", here ? "/" : "", file);
	free(here);
	if (length >= 0)
		return 0;
	m->file = NULL;
	lust_log(LUST_LOG_ERROR, "%s", strerror(ENOMEM));
	return LUST_EXIT_FAILED;
}

static int take_option(struct lust_main *m, const char *option, const char *value)
{
	const char *equals;

	if (strcmp(option, "-c") != 0 && strcmp(option, "-o") != 0)
		return usage(m, "unknown option", option);
	if (!value)
		return usage(m, "nothing follows", option);
	if (option[1] == 'c')
		return take_file(m, value);
	equals = strchr(value, '=');
	if (!equals)
		return usage(m, "no KEY=VALUE:", value);
	if (!is_known(m, value, (size_t)(equals - value)))
		return usage(m, "there is no such key:", value);
	return 0;
}

int lust_main_parse(struct lust_main *m)
{
	int at = 1, code;

	if (gather_known(m) < 0)
		return LUST_EXIT_FAILED;
	while (at < m->argc && m->argv[at][0] == '-' && command_of(m->argv[at]) == LUST_COMMAND_NONE) {
		code = take_option(m, m->argv[at], at + 1 < m->argc ? m->argv[at + 1] : NULL);
		if (code != 0)
			return code;
		at += 2;
	}
	if (at < m->argc) {
		m->command = command_of(m->argv[at]);
		if (m->command == LUST_COMMAND_NONE)
			return usage(m, "unknown command", m->argv[at]);
		if (at + 1 < m->argc)
			return usage(m, "something follows the command:", m->argv[at + 1]);
	} else if (m->run.starter == LUST_STARTED_BY_HAND || m->run.starter == LUST_STARTED_BY_INIT) {
		return usage(m, "a command is missing", NULL);
	} else {
		m->command = LUST_COMMAND_RUN;
	}
	return 0;
}

void lust_main_help(const struct lust_main *m)
{
	const char *name = m->run.program->name;

	if (m->command == LUST_COMMAND_VERSION) {
		printf("%s %s\n", name, m->run.program->version ? m->run.program->version : "");
		return;
	}
	printf("usage: %s [-c FILE] [-o KEY=VALUE]... COMMAND\n"
	       "  start    becomes a daemon; returns when it works, or with the error\n"
	       "  stop     ends it and waits until it is gone\n"
	       "  restart  stop, start\n"
	       "  status   0 running, 1 dead but its pidfile is left, 3 not running, 4 unknown\n"
	       "  reload   makes it read its settings again\n"
	       "  run      stays in the foreground\n"
	       "Settings are read from /etc/%s.conf (-c) and set by -o:",
	       name, name);
	for (size_t i = 0; i < m->known_count; i++)
		printf(" %s", m->known[i]);
	printf("\n");
}

/* ---- settings ---- */

static int put_defaults(const struct lust_main *m, struct lust_settings *settings)
{
	const char *const *pair = m->run.program->defaults;
	int result = 0;

	for (size_t i = 0; result == 0 && i + 1 < length_of(pair); i += 2)
		result = lust_settings_default(settings, pair[i], pair[i + 1]);
	return result;
}

/* The words were checked when they were parsed. */
static int put_overrides(const struct lust_main *m, struct lust_settings *settings)
{
	int result = 0;

	for (int at = 1; result == 0 && at + 1 < m->argc; at += 2) {
		const char *equals;
		char *key;

		if (strcmp(m->argv[at], "-c") == 0)
			continue;
		if (strcmp(m->argv[at], "-o") != 0)
			break; /* the command */
		equals = strchr(m->argv[at + 1], '=');
		key = strndup(m->argv[at + 1], (size_t)(equals - m->argv[at + 1]));
		result = key ? lust_settings_override(settings, key, equals + 1) : -ENOMEM;
		free(key);
	}
	return result;
}

static int refuse_unknown(const struct lust_main *m, const struct lust_settings *settings)
{
	unsigned line;
	const char *key = lust_settings_unknown(settings, m->known, m->known_count, &line);

	if (!key)
		return 0;
	lust_log(LUST_LOG_ERROR, "%s:%u: unknown key %s (see %s help)", lust_settings_file(settings), line,
		 key, m->run.program->name);
	return -EINVAL;
}

/* A line each. */
static void tell_problems(const struct lust_settings *settings)
{
	const char *text = lust_settings_problem(settings);

	while (*text) {
		int length = (int)strcspn(text, "\n");

		lust_log(LUST_LOG_ERROR, "%.*s", length, text);
		text += length;
		text += *text == '\n';
	}
}

int lust_main_settings(struct lust_main *m, struct lust_settings **settings, bool forgiving)
{
	int result = lust_settings_read(settings, m->run.program->name, m->file), put;

	if (!*settings) {
		lust_log(LUST_LOG_ERROR, "%s", strerror(-result));
		return result;
	}
	tell_problems(*settings);
	if (result == 0)
		result = refuse_unknown(m, *settings);
	put = put_defaults(m, *settings);
	if (put == 0)
		put = put_overrides(m, *settings);
	if (put < 0)
		lust_log(LUST_LOG_ERROR, "settings: %s", strerror(-put));
	if (put == 0 && (result == 0 || forgiving))
		return 0;
	lust_settings_free(*settings);
	*settings = NULL;
	return put < 0 ? put : result;
}

int lust_main_log_level(const struct lust_settings *settings, int *level)
{
	const char *name = lust_settings_get(settings, "log-level");

	*level = name ? lust_log_level_of(name) : 0;
	if (*level >= 0)
		return 0;
	lust_log(LUST_LOG_ERROR, "log-level: \"%s\" is not error, warning, notice, info or debug", name);
	return -EINVAL;
}

/* ---- a daemon that runs ---- */

static int say_failed(const struct lust_main *m, const char *what, int error)
{
	fprintf(stderr, "%s: %s: %s\n", m->run.program->name, what, strerror(-error));
	return error == -EPERM || error == -EACCES ? LUST_EXIT_NOT_PERMITTED : LUST_EXIT_FAILED;
}

/* The pid may be another's by the time that it is signalled: only a pidfd that was opened while the pidfile was locked by that
   pid is sure.  The descriptor, 0 when nobody runs, or -errno. */
static int open_process(const struct lust_main *m, pid_t *pid)
{
	int fd;

	*pid = lust_pidfile_read(m->pidfile);
	if (*pid <= 0)
		return *pid == -ENOENT ? 0 : (int)*pid;
	fd = (int)syscall(SYS_pidfd_open, *pid, 0);
	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (lust_pidfile_read(m->pidfile) == *pid)
		return fd;
	close(fd);
	return 0;
}

static int send_signal(int process, int number)
{
	return syscall(SYS_pidfd_send_signal, process, number, NULL, 0) < 0 && errno != ESRCH ? -errno : 0;
}

static int wait_gone(int process, int timeout_ms)
{
	struct pollfd gone = {.fd = process, .events = POLLIN};
	int result;

	do
		result = poll(&gone, 1, timeout_ms);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

static int stop_process(struct lust_main *m, int process)
{
	uint64_t limit_ms = 10000;
	int result = lust_settings_time(m->run.settings, "stop-timeout", &limit_ms);

	if (result < 0 && result != -ENOENT) {
		tell_problems(m->run.settings);
		return result;
	}
	if (limit_ms > INT32_MAX)
		limit_ms = INT32_MAX;
	result = send_signal(process, SIGTERM);
	if (result == 0)
		result = wait_gone(process, (int)limit_ms);
	if (result == 0) {
		fprintf(stderr, "%s: not gone within stop-timeout: killed\n", m->run.program->name);
		result = send_signal(process, SIGKILL);
		if (result == 0)
			result = wait_gone(process, -1);
	}
	return result < 0 ? result : 0;
}

static int status(const struct lust_main *m)
{
	pid_t pid = lust_pidfile_read(m->pidfile);

	if (pid > 0) {
		printf("%s is running, pid %d\n", m->run.program->name, (int)pid);
		return 0;
	}
	if (pid == 0) {
		printf("%s is not running, but %s is there\n", m->run.program->name, m->pidfile);
		return LUST_STATUS_DEAD;
	}
	if (pid == -ENOENT) {
		printf("%s is not running\n", m->run.program->name);
		return LUST_STATUS_STOPPED;
	}
	fprintf(stderr, "%s: cannot tell: %s: %s\n", m->run.program->name, m->pidfile, strerror(-pid));
	return LUST_STATUS_UNKNOWN;
}

int lust_main_control(struct lust_main *m)
{
	pid_t pid;
	int process, result = 0;

	if (m->command == LUST_COMMAND_STATUS)
		return status(m);
	process = open_process(m, &pid);
	if (process < 0)
		return say_failed(m, m->pidfile, process);
	if (process == 0) {
		if (m->command != LUST_COMMAND_RELOAD)
			return 0;
		fprintf(stderr, "%s: not running\n", m->run.program->name);
		return LUST_EXIT_NOT_RUNNING;
	}
	if (m->command == LUST_COMMAND_RELOAD)
		result = send_signal(process, SIGHUP);
	else
		result = stop_process(m, process);
	close(process);
	return result < 0 ? say_failed(m, commands[m->command], result) : 0;
}
