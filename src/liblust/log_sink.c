/*
 * log_sink.c: the four places that log lines go to.  Whatever has a path is opened here, once, so that a jail may follow.
 *
 * SPDX-License-Identifier: ISC
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_STREAM "/run/systemd/journal/stdout"
#define NOBODY 65534

/* ---- opening ---- */

static int connect_unix(int type, const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	memcpy(to.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* JOURNAL_STREAM is inherited by everybody below: only the numbers tell whether this standard error is meant. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

static int open_file(struct lust_log_sink *sink, const char *path)
{
	sink->path = strdup(path);
	if (!sink->path)
		return -ENOMEM;
	/* O_NONBLOCK: a fifo without a reader must not stop us. */
	sink->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640);
	if (sink->fd >= 0)
		return 0;
	free(sink->path);
	sink->path = NULL;
	return -errno;
}

void lust_log_connect_syslog(const char *ident)
{
	closelog(); /* an open connection would be kept, whatever became of its descriptor */
	openlog(ident, LOG_NDELAY | LOG_PID, LOG_DAEMON);
}

int lust_log_sink_open(struct lust_log_sink *sink, const char *name, const char *target)
{
	*sink = (struct lust_log_sink){.kind = LUST_LOG_STDERR, .fd = -1};
	snprintf(sink->name, sizeof(sink->name), "%s", name ? name : program_invocation_short_name);
	tzset(); /* /etc/localtime cannot be reached from a jail */
	if (!target)
		target = stderr_is_journal() ? "journal" : "stderr";
	if (strcmp(target, "stderr") == 0)
		return 0;
	if (strcmp(target, "syslog") == 0) {
		sink->kind = LUST_LOG_SYSLOG;
		sink->path = strdup(sink->name);
		return sink->path ? 0 : -ENOMEM;
	}
	if (strcmp(target, "journal") == 0) {
		sink->kind = LUST_LOG_JOURNAL;
		sink->fd = connect_unix(SOCK_DGRAM, JOURNAL_SOCKET);
		return sink->fd < 0 ? sink->fd : 0;
	}
	if (target[0] != '/')
		return -EINVAL;
	sink->kind = LUST_LOG_FILE;
	return open_file(sink, target);
}

void lust_log_sink_close(struct lust_log_sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	free(sink->path);
	*sink = (struct lust_log_sink){.kind = LUST_LOG_PLAIN, .fd = -1};
}

/* ---- one line ---- */

/* writev(2) reads only, but its struct is shared with readv(2). */
static struct iovec piece(const char *text, size_t length)
{
	return (struct iovec){.iov_base = (char *)text, .iov_len = length};
}

static void write_stamped(const struct lust_log_sink *sink, int fd, int level, const char *text,
			  size_t length)
{
	struct timespec now;
	struct tm tm;
	char stamp[160], zone[16], date[64];
	struct iovec part[3];
	int size;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	size = snprintf(stamp, sizeof(stamp), "%s.%03ld%.3s:%s %s %s[%d]: ", date, now.tv_nsec / 1000000,
			zone, zone + 3, lust_log_level_name(level), sink->name, (int)getpid());
	part[0] = piece(stamp, (size_t)size);
	part[1] = piece(text, length);
	part[2] = piece("\n", 1);
	/* One call with O_APPEND: lines of several threads and processes do not mix. */
	(void)!writev(fd, part, 3);
}

static void write_plain(const char *text, size_t length)
{
	const char *name = program_invocation_short_name;
	struct iovec part[4] = {piece(name, strlen(name)), piece(": ", 2), piece(text, length),
				piece("\n", 1)};

	(void)!writev(STDERR_FILENO, part, 4);
}

static void write_journal(const struct lust_log_sink *sink, int level, const char *text, size_t length)
{
	char fields[160];
	int size = snprintf(fields, sizeof(fields), "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=", level,
			    sink->name);
	struct iovec part[3] = {piece(fields, (size_t)size), piece(text, length), piece("\n", 1)};
	struct msghdr message = {.msg_iov = part, .msg_iovlen = 3};

	(void)!sendmsg(sink->fd, &message, MSG_NOSIGNAL);
}

void lust_log_sink_write(const struct lust_log_sink *sink, int level, const char *text, size_t length)
{
	switch (sink->kind) {
	case LUST_LOG_PLAIN:
		write_plain(text, length);
		break;
	case LUST_LOG_STDERR:
		write_stamped(sink, STDERR_FILENO, level, text, length);
		break;
	case LUST_LOG_FILE:
		write_stamped(sink, sink->fd, level, text, length);
		break;
	case LUST_LOG_SYSLOG:
		syslog(level, "%s", text);
		break;
	case LUST_LOG_JOURNAL:
		write_journal(sink, level, text, length);
		break;
	}
}

/* ---- standard output and error ---- */

/* The journal's own protocol for streams: seven lines, then whatever is printed. */
static int journal_stream(const struct lust_log_sink *sink)
{
	char head[LUST_LOG_NAME + 32];
	int fd = connect_unix(SOCK_STREAM, JOURNAL_STREAM);
	int size = snprintf(head, sizeof(head), "%s\n\n%d\n1\n0\n0\n0\n", sink->name, LUST_LOG_INFO);

	if (fd < 0)
		return fd;
	if (send(fd, head, (size_t)size, MSG_NOSIGNAL) == size)
		return fd;
	close(fd);
	return -EPIPE;
}

/* syslogd takes messages, not streams: somebody has to cut lines, and it must not be the one that may crash. */
static void cut_lines(int fd)
{
	static char raw[LUST_LOG_LINE + 1];
	size_t have = 0;
	ssize_t length;

	while ((length = read(fd, raw + have, LUST_LOG_LINE - have)) > 0 || (length < 0 && errno == EINTR)) {
		char *line = raw, *end;

		have += length > 0 ? (size_t)length : 0;
		while ((end = memchr(line, '\n', have - (size_t)(line - raw))) != NULL) {
			syslog(LOG_INFO, "%.*s", (int)(end - line), line);
			line = end + 1;
		}
		have -= (size_t)(line - raw);
		memmove(raw, line, have);
		if (have == LUST_LOG_LINE) {
			syslog(LOG_INFO, "%.*s", (int)have, raw);
			have = 0;
		}
	}
	if (have > 0)
		syslog(LOG_INFO, "%.*s", (int)have, raw);
}

/* Holds nothing of the daemon's but the pipe: no listener, no pidfile's lock, no root.  It outlives signals that are meant for
   the daemon, and ends with the pipe. */
static void be_cutter(int fd, const char *ident)
{
	lust_signals_reset();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	closelog();
	if (dup2(fd, STDIN_FILENO) < 0 || close_range(STDOUT_FILENO, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(1);
	openlog(ident, LOG_NDELAY | LOG_PID, LOG_DAEMON);
	if (geteuid() == 0 && lust_drop_privileges(NOBODY, NOBODY, NULL, 0) < 0)
		_exit(1);
	cut_lines(STDIN_FILENO);
	_exit(0);
}

static int syslog_stream(const char *ident)
{
	int ends[2], status = 1;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		/* Twice, so that it is nobody's child to wait for. */
		child = fork();
		if (child != 0)
			_exit(child < 0);
		be_cutter(ends[0], ident);
	}
	close(ends[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0) {
		if (errno != EINTR) {
			status = 0; /* SIGCHLD is ignored: nobody can tell */
			break;
		}
	}
	if (status == 0)
		return ends[1];
	close(ends[1]);
	return -EAGAIN;
}

int lust_log_sink_stream(const struct lust_log_sink *sink)
{
	int fd = -1;

	switch (sink->kind) {
	case LUST_LOG_PLAIN:
	case LUST_LOG_STDERR:
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		break;
	case LUST_LOG_FILE:
		fd = fcntl(sink->fd, F_DUPFD_CLOEXEC, 3);
		break;
	case LUST_LOG_SYSLOG:
		return syslog_stream(sink->path);
	case LUST_LOG_JOURNAL:
		return journal_stream(sink);
	}
	return fd < 0 ? -errno : fd;
}
