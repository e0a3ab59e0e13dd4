/*
 * daemon.c: the daemon context, one step after another.  Whatever needs a path or a name comes before the jail, whatever
 * needs privilege before the drop, and nothing that can fail after the verdict.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon_ids.h"
#include "log.h"

#define ABOVE_STREAMS (STDERR_FILENO + 1)

struct lust_daemon {
	bool open;
	int null;    /* -1: not open */
	int pidfile; /* -1: none */
	char *pidfile_path;
	int verdict;   /* -1: nobody waits */
	bool terminal; /* standard error is still the caller's, until the verdict */
	int code;
	struct lust_ids ids;
	char problem[512];
};

/* The step's name, what it was done to, and the system's words for why it failed. */
static int failed(struct lust_daemon *daemon, const char *step, const char *object, int error)
{
	snprintf(daemon->problem, sizeof(daemon->problem), "%s%s%s: %s", step, object ? " " : "",
		 object ? object : "", strerror(-error));
	return error;
}

/* ---- before the fork: so that the caller hears of it at once ---- */

static int find_ids(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	const char *what;
	int result = lust_ids_find(&daemon->ids, options, &what);

	if (result == -ENOENT) {
		snprintf(daemon->problem, sizeof(daemon->problem), "%s: no such %s",
			 strcmp(what, "user") == 0 ? options->user : options->group, what);
		return result;
	}
	return result < 0 ? failed(daemon, "look up", what, result) : 0;
}

static int open_pidfile(struct lust_daemon *daemon, const char *path)
{
	pid_t holder;

	daemon->pidfile_path = strdup(path);
	if (!daemon->pidfile_path)
		return failed(daemon, "pidfile", path, -ENOMEM);
	daemon->pidfile = lust_pidfile_open(path, &holder);
	if (daemon->pidfile == -EWOULDBLOCK && holder > 0)
		snprintf(daemon->problem, sizeof(daemon->problem), "pidfile %s: already running, pid %d",
			 path, (int)holder);
	else if (daemon->pidfile == -EWOULDBLOCK)
		snprintf(daemon->problem, sizeof(daemon->problem), "pidfile %s: somebody else has locked it",
			 path);
	else if (daemon->pidfile < 0)
		failed(daemon, "pidfile", path, daemon->pidfile);
	return daemon->pidfile < 0 ? daemon->pidfile : 0;
}

/* Above the three, whatever of them was closed: no later open(2) may become a standard stream. */
static int open_null(struct lust_daemon *daemon)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY), high, error;

	if (fd < 0)
		return failed(daemon, "open", "/dev/null", -errno);
	high = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_STREAMS);
	error = -errno;
	close(fd);
	if (high < 0)
		return failed(daemon, "open", "/dev/null", error);
	daemon->null = high;
	for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
		if (fcntl(stream, F_GETFD) < 0 && dup2(high, stream) < 0)
			return failed(daemon, "open", "/dev/null", -errno);
	}
	return 0;
}

static int prevent_core(struct lust_daemon *daemon)
{
	const struct rlimit none = {0, 0};

	/* A core_pattern that is a pipe ignores the limit: the process is made not dumpable as well, after the drop, which
	   decides that anew. */
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return failed(daemon, "setrlimit", "core", -errno);
	return 0;
}

static bool should_detach(int detach)
{
	return detach == LUST_DETACH_YES ||
	       (detach == LUST_DETACH_AUTO && lust_started_by() == LUST_STARTED_BY_HAND);
}

static int prepare(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	int result = find_ids(daemon, options);

	if (result == 0)
		result = open_null(daemon);
	if (result == 0 && options->pidfile)
		result = open_pidfile(daemon, options->pidfile);
	if (result == 0 && !options->core_dumps)
		result = prevent_core(daemon);
	if (result == 0)
		umask(options->set_umask ? options->umask : 022);
	return result;
}

/* ---- in the daemon ---- */

static int set_signals(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	static const struct lust_signal_action usual[] = {
		{SIGTTIN, SIG_IGN}, {SIGTTOU, SIG_IGN}, {SIGTSTP, SIG_IGN}};
	const struct lust_signal_action *actions = options->signals ? options->signals : usual;
	size_t count = options->signals ? options->signals_count : sizeof(usual) / sizeof(*usual);

	for (size_t i = 0; i < count; i++) {
		struct sigaction action = {.sa_handler = actions[i].handler, .sa_flags = SA_RESTART};

		if (sigaction(actions[i].number, &action, NULL) < 0)
			return failed(daemon, "signal", strsignal(actions[i].number), -errno);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	int left = *(const int *)a, right = *(const int *)b;

	return (left > right) - (left < right);
}

/* close_range(2) around what stays: a loop to RLIMIT_NOFILE may be a billion calls. */
static int close_others(const int *keep, size_t count)
{
	unsigned from = ABOVE_STREAMS;

	for (size_t i = 0; i < count; i++) {
		unsigned fd = (unsigned)keep[i];

		if (keep[i] < (int)from)
			continue;
		if (fd > from && close_range(from, fd - 1, 0) < 0)
			return -errno;
		from = fd + 1;
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}

static int close_descriptors(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	const int ours[] = {
		daemon->null,        daemon->pidfile,     daemon->verdict,          options->streams[0],
		options->streams[1], options->streams[2], lust_log_before_closing()};
	const size_t mine = sizeof(ours) / sizeof(*ours);
	int *keep = malloc((options->preserve_count + mine) * sizeof(*keep));
	int result;

	if (!keep)
		return failed(daemon, "close descriptors", NULL, -ENOMEM);
	memcpy(keep, ours, sizeof(ours));
	for (size_t i = 0; i < options->preserve_count; i++)
		keep[mine + i] = options->preserve[i];
	qsort(keep, mine + options->preserve_count, sizeof(*keep), compare);
	result = close_others(keep, mine + options->preserve_count);
	lust_log_after_closing();
	free(keep);
	return result < 0 ? failed(daemon, "close descriptors", NULL, result) : 0;
}

/* Standard error stays with whoever waits at the terminal, until the verdict. */
static int set_streams(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	static const char *const name[] = {"standard input", "standard output", "standard error"};

	for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
		int fd = options->streams[stream];

		if (fd == LUST_STREAM_KEEP)
			continue;
		if (fd == LUST_STREAM_NULL && stream == STDERR_FILENO) {
			daemon->terminal = true;
			continue;
		}
		if (dup2(fd == LUST_STREAM_NULL ? daemon->null : fd, stream) < 0)
			return failed(daemon, name[stream], NULL, -errno);
	}
	return 0;
}

static int call_hook(struct lust_daemon *daemon, const char *name, int (*hook)(void *), void *argument)
{
	int result = hook ? hook(argument) : 0;

	return result < 0 ? failed(daemon, name, NULL, result) : 0;
}

static int confine(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	const char *directory = options->directory ? options->directory : "/";
	int result = call_hook(daemon, "before_jail", options->before_jail, options->argument);

	if (result < 0)
		return result;
	if (options->chroot && (result = lust_jail(options->chroot)) < 0)
		return failed(daemon, "chroot", options->chroot, result);
	/* Jailed or not, hooks find the same place. */
	if (chdir("/") < 0)
		return failed(daemon, "chdir", "/", -errno);
	result = call_hook(daemon, "before_drop", options->before_drop, options->argument);
	if (result < 0)
		return result;
	result = lust_drop_privileges(daemon->ids.uid, daemon->ids.gid, daemon->ids.groups,
				      daemon->ids.groups_count);
	if (result < 0)
		return failed(daemon, "drop privileges to", options->user ? options->user : "the real user",
			      result);
	/* As its user: root could enter what the daemon itself cannot. */
	if (chdir(directory) < 0)
		return failed(daemon, "chdir", directory, -errno);
	if (!options->core_dumps && prctl(PR_SET_DUMPABLE, 0) < 0)
		return failed(daemon, "prctl", "PR_SET_DUMPABLE", -errno);
	return 0;
}

static int become(struct lust_daemon *daemon, const struct lust_daemon_options *options)
{
	int result = 0;

	if (daemon->pidfile >= 0 && (result = lust_pidfile_write(daemon->pidfile, getpid())) < 0)
		return failed(daemon, "pidfile", daemon->pidfile_path, result);
	result = set_signals(daemon, options);
	if (result == 0 && !options->keep_fds)
		result = close_descriptors(daemon, options);
	if (result == 0)
		result = set_streams(daemon, options);
	if (result == 0)
		result = confine(daemon, options);
	return result;
}

static int detach(struct lust_daemon *daemon)
{
	int result = lust_daemon_detach(&daemon->verdict, &daemon->code);

	if (result == 0)
		return 0;
	/* The file is the daemon's now: to close it here must not remove it. */
	if (result > 0 && daemon->pidfile >= 0) {
		close(daemon->pidfile);
		daemon->pidfile = -1;
	}
	return result < 0 ? failed(daemon, "detach", NULL, result) : result;
}

int lust_daemon_open(struct lust_daemon **out, const struct lust_daemon_options *options)
{
	static const struct lust_daemon_options none;
	struct lust_daemon *daemon = *out;
	int result;

	if (daemon && daemon->open)
		return 0;
	if (!options)
		options = &none;
	lust_daemon_close(daemon);
	*out = daemon = calloc(1, sizeof(*daemon));
	if (!daemon)
		return -ENOMEM;
	daemon->null = daemon->pidfile = daemon->verdict = -1;
	result = prepare(daemon, options);
	if (result == 0 && should_detach(options->detach))
		result = detach(daemon);
	if (result == 0)
		result = become(daemon, options);
	daemon->open = result == 0;
	return result;
}

int lust_daemon_ready(struct lust_daemon *daemon, int code)
{
	int result = 0;

	/* Told when nothing of the daemon is left: whoever hears it may try again at once. */
	if (code != 0) {
		daemon->code = code;
		return 0;
	}
	if (daemon->verdict >= 0)
		result = lust_daemon_tell(daemon->verdict, 0);
	daemon->verdict = -1;
	if (daemon->terminal && dup2(daemon->null, STDERR_FILENO) < 0 && result == 0)
		result = -errno;
	daemon->terminal = false;
	return result;
}

int lust_daemon_code(const struct lust_daemon *daemon)
{
	return daemon->code;
}

const char *lust_daemon_problem(const struct lust_daemon *daemon)
{
	return daemon->problem;
}

int lust_daemon_is_open(const struct lust_daemon *daemon)
{
	return daemon && daemon->open;
}

/* From inside a jail, or without the right to remove it, the file stays: empty and unlocked it says that nobody runs. */
static void close_pidfile(struct lust_daemon *daemon)
{
	/* Best effort, both: a leftover is no trap. */
	(void)!ftruncate(daemon->pidfile, 0);
	(void)lust_pidfile_close(daemon->pidfile, daemon->pidfile_path);
}

void lust_daemon_close(struct lust_daemon *daemon)
{
	if (!daemon)
		return;
	if (daemon->pidfile >= 0)
		close_pidfile(daemon);
	if (daemon->verdict >= 0)
		(void)lust_daemon_tell(daemon->verdict, daemon->code ? daemon->code : 1);
	if (daemon->null >= 0)
		close(daemon->null);
	lust_ids_free(&daemon->ids);
	free(daemon->pidfile_path);
	free(daemon);
}
