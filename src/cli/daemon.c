/*
 * daemon.c: finds the daemon, sends one request, reads the records of the answer.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lust.h"
#include "say.h"
#include "table.h"

#define CONNECT_S 10
#define RECORD_S 10 /* for each record of an answer; in a long one: does it still answer others meanwhile? */
#define GONE_MS 60000
#define GONE_LOOK_MS 50

const char *daemon_config(const struct arguments *arguments)
{
	return arguments->config ? arguments->config : SYSCONFDIR "/lust-inetd.conf";
}

/* For the caller to free; NULL: no memory. */
static char *find_runtime_dir(const struct arguments *arguments)
{
	char *of_table;

	if (arguments->runtime_dir)
		return strdup(arguments->runtime_dir);
	of_table = table_runtime_dir(daemon_config(arguments));
	return of_table ? of_table : table_default_runtime_dir();
}

/* A daemon that ended by itself removes its socket and its pidfile. */
static bool left_behind(const char *runtime_dir, const char *pidfile)
{
	char path[4096];

	if (lust_pidfile_read(pidfile) == 0)
		return true;
	if (snprintf(path, sizeof(path), "%s/lust-inetd.pid", runtime_dir) >= (int)sizeof(path))
		return false;
	return lust_pidfile_read(path) == 0;
}

static enum daemon_found not_there(struct daemon_connection *connection, int error)
{
	const char *directory = connection->runtime_dir;
	const size_t size = sizeof(connection->problem);
	bool is_default = strcmp(directory, "/run/lust-inetd") == 0;

	switch (error) {
	case ECONNREFUSED:
		snprintf(connection->problem, size,
			 "not running; %s/control.sock is left of one that was killed", directory);
		return DAEMON_DEAD;
	case ENOENT:
	case ENOTDIR:
		if (left_behind(directory, is_default ? "/run/lust-inetd.pid" : "")) {
			snprintf(connection->problem, size, "not running, but its pidfile is left (%s)",
				 directory);
			return DAEMON_DEAD;
		}
		snprintf(connection->problem, size, "not running (nothing answers in %s)", directory);
		return DAEMON_NOT_RUNNING;
	case EACCES:
	case EPERM:
		snprintf(connection->problem, size, "not permitted: %s/control.sock: %s", directory,
			 strerror(error));
		return DAEMON_UNKNOWN;
	case EAGAIN:
		snprintf(connection->problem, size, "cannot tell: %s/control.sock: no answer for %d s",
			 directory, CONNECT_S);
		return DAEMON_UNKNOWN;
	default:
		snprintf(connection->problem, size, "cannot tell: %s/control.sock: %s", directory,
			 strerror(error));
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the connection has it until daemon_close() */
		return DAEMON_UNKNOWN;
	}
}

static void identify(struct daemon_connection *connection)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return;
	connection->uid = peer.uid;
	if (peer.pid > 0)
		connection->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

static int connect_to(struct daemon_connection *connection)
{
	const struct timeval limit = {.tv_sec = CONNECT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock",
			      connection->runtime_dir);

	if (length >= (int)sizeof(address.sun_path))
		return ENAMETOOLONG;
	connection->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		return errno;
	if (setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return errno;
	if (connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno;
	return 0;
}

enum daemon_found daemon_connect(struct daemon_connection *connection, const struct arguments *arguments)
{
	int error;

	memset(connection, 0, sizeof(*connection));
	connection->fd = connection->pidfd = -1;
	connection->uid = (uid_t)-1;
	connection->runtime_dir = find_runtime_dir(arguments);
	if (!connection->runtime_dir) {
		snprintf(connection->problem, sizeof(connection->problem), "cannot tell: %s",
			 strerror(ENOMEM));
		return DAEMON_UNKNOWN;
	}
	error = connect_to(connection);
	if (error)
		return not_there(connection, error);
	identify(connection);
	return DAEMON_ANSWERS;
}

void daemon_close(struct daemon_connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	if (connection->pidfd >= 0)
		close(connection->pidfd);
	free(connection->runtime_dir);
	connection->fd = connection->pidfd = -1;
	connection->runtime_dir = NULL;
}

static bool waits(enum control_command command)
{
	return command == CONTROL_STOP || command == CONTROL_UP || command == CONTROL_DOWN ||
	       command == CONTROL_ROLL || command == CONTROL_UPGRADE || command == CONTROL_PAUSE ||
	       command == CONTROL_RESUME || command == CONTROL_RELOAD;
}

bool daemon_send(struct daemon_connection *connection, enum control_command command, uint32_t flags,
		 const char *service)
{
	struct control_request request = {
		.version = CONTROL_VERSION, .command = (uint16_t)command, .flags = flags};
	const struct timeval limit = {.tv_sec = RECORD_S};

	connection->waits = waits(command);
	if (service) {
		request.flags |= CONTROL_ONE;
		if (strlen(service) >= sizeof(request.service)) {
			say("\"%s\" is longer than any service's name", service);
			return false;
		}
		memcpy(request.service, service, strlen(service));
	}
	if (setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(connection->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0) {
		/* The daemon may have turned us away already: then the answer says why. */
		if (errno == EPIPE)
			return true;
		say("%s/control.sock: %s", connection->runtime_dir, strerror(errno));
		return false;
	}
	return true;
}

#define END(text) ((text)[sizeof(text) - 1] = '\0')

static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* Whoever sits at the other end: no text without its end, no line that moves the cursor. */
static void terminate(struct control_record *record)
{
	switch (record->type) {
	case CONTROL_DAEMON:
		END(record->daemon.version);
		END(record->daemon.config);
		END(record->daemon.dispatcher_last_exit);
		break;
	case CONTROL_SERVICE:
		END(record->service.name);
		END(record->service.reason);
		break;
	case CONTROL_LISTENER:
		END(record->listener.said);
		END(record->listener.name);
		END(record->listener.address);
		END(record->listener.error);
		break;
	case CONTROL_SERVER:
		END(record->server.label);
		END(record->server.last_exit);
		END(record->server.last_line);
		break;
	case CONTROL_RESULT:
		END(record->result.text);
		make_printable(record->result.text);
		break;
	default:
		END(record->line.text);
		make_printable(record->line.text);
		break;
	}
}

/* 1, 0 at the end, or -errno; -EPROTO: another version. */
static int receive(const struct daemon_connection *connection, struct control_record *record)
{
	ssize_t length;

	do {
		length = recv(connection->fd, record, sizeof(*record), MSG_TRUNC);
	} while (length < 0 && errno == EINTR);
	if (length < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (length == 0)
		return 0;
	if (length != sizeof(*record) || record->version != CONTROL_VERSION)
		return -EPROTO;
	terminate(record);
	return 1;
}

static int say_broken(int error)
{
	switch (error) {
	case 0:
		say("cannot tell: the daemon ended before it answered");
		break;
	case -EPROTO:
		say("cannot tell: the daemon that runs is of another version; use its own lust-inetd");
		break;
	case -EAGAIN:
		say("cannot tell: the daemon does not answer");
		break;
	default:
		say("cannot tell: %s", strerror(-error));
		break;
	}
	return EXIT_CANNOT_TELL;
}

/* stop, up, down and roll take as long as servers do, pause and resume as the dispatcher does, reload as the name service;
   a daemon that hangs answers nobody else either. */
static bool still_there(const struct daemon_connection *connection)
{
	struct daemon_connection other = {.fd = -1, .pidfd = -1, .runtime_dir = connection->runtime_dir};
	struct control_record record;
	int got = -connect_to(&other);

	/* Refused: it ends, and then ours has its end of file. */
	if (got == 0 && daemon_send(&other, CONTROL_VERSION_ASKED, 0, NULL))
		got = receive(&other, &record);
	if (other.fd >= 0)
		close(other.fd);
	return got != -EAGAIN;
}

int daemon_print_line(const struct control_record *record, void *data)
{
	(void)data;
	if (record->type == CONTROL_OUTPUT)
		puts(record->line.text);
	return 0;
}

int daemon_answer(struct daemon_connection *connection, daemon_handler *handle, void *data)
{
	struct control_record record;

	for (;;) {
		int got = receive(connection, &record);

		if (got == -EAGAIN && connection->waits && still_there(connection))
			continue;
		if (got <= 0)
			return say_broken(got);
		switch (record.type) {
		case CONTROL_RESULT:
			if (record.result.text[0])
				say("%s", record.result.text);
			return record.result.code;
		case CONTROL_LINE:
			fprintf(stderr, "%s\n", record.line.text);
			break;
		default:
			if (handle && handle(&record, data) < 0)
				return say_broken(-ENOMEM);
			break;
		}
	}
}

int daemon_ask(const struct arguments *arguments, enum control_command command, uint32_t flags,
	       const char *service, daemon_handler *handle, void *data)
{
	struct daemon_connection connection;
	int code = EXIT_CANNOT_TELL;

	switch (daemon_connect(&connection, arguments)) {
	case DAEMON_ANSWERS:
		if (daemon_send(&connection, command, flags, service))
			code = daemon_answer(&connection, handle, data);
		break;
	case DAEMON_NOT_RUNNING:
	case DAEMON_DEAD:
		say("%s", connection.problem);
		code = EXIT_NOT_RUNNING;
		break;
	case DAEMON_UNKNOWN:
		say("%s", connection.problem);
		break;
	}
	daemon_close(&connection);
	return code;
}

/* Where the kernel has no pidfd for us: the lock is held as long as the daemon lives. */
static bool wait_lock(const char *runtime_dir)
{
	char path[4096];
	int fd, error;

	if (snprintf(path, sizeof(path), "%s/lock", runtime_dir) >= (int)sizeof(path))
		return true;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return true;
	for (int waited = 0; (error = flock(fd, LOCK_SH | LOCK_NB)) < 0 && waited < GONE_MS;
	     waited += GONE_LOOK_MS)
		(void)poll(NULL, 0, GONE_LOOK_MS);
	close(fd);
	return error == 0;
}

bool daemon_wait_gone(const struct daemon_connection *connection)
{
	struct pollfd watch = {.fd = connection->pidfd, .events = POLLIN};
	int got;

	if (connection->pidfd < 0)
		return wait_lock(connection->runtime_dir);
	do {
		got = poll(&watch, 1, GONE_MS);
	} while (got < 0 && errno == EINTR);
	return got > 0;
}
