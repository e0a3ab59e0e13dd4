/*
 * register.c: how a process becomes a server: by the pair that lust-inetd gave it, or through the door.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "server.h"

#define DEFAULT_RUNTIME_DIR "/run/lust-inetd"
#define DEFAULT_WAIT_MS 10000
#define KNOCKS 3     /* the dispatcher may die with our knock in its hands */
#define CROWD_MS 100 /* between two knocks at a door that has no room now */

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool name_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length < LUST_WIRE_NAME && strspn(name, ALPHANUMERIC) > 0 &&
	       strspn(name, ALPHANUMERIC "._-") == length;
}

static bool options_are_valid(const struct lust_options *options)
{
	for (size_t i = 0; i < sizeof(options->reserved) / sizeof(options->reserved[0]); i++) {
		if (options->reserved[i])
			return false;
	}
	return options->batch <= LUST_BATCH_MAX && options->wait_ms >= -1;
}

static int configure(struct lust_server *server, const char *service, const struct lust_options *options)
{
	if (!service)
		service = getenv("LUST_SERVICE");
	if (!service || !name_is_valid(service) || !options_are_valid(options))
		return -EINVAL;
	memcpy(server->service, service, strlen(service));
	if (options->label)
		memcpy(server->label, options->label, strnlen(options->label, sizeof(server->label) - 1));
	server->capacity = options->capacity;
	server->batch = options->batch ? options->batch : 1;
	server->explicit_take = options->explicit_take;
	server->nonblocking = options->nonblocking;
	server->no_local = options->no_local;
	server->wait_ms = options->wait_ms ? options->wait_ms : DEFAULT_WAIT_MS;
	return 0;
}

static bool is_seqpacket(int fd)
{
	int domain = 0, type = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
		return false;
	length = sizeof(int);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && domain == AF_UNIX &&
	       type == SOCK_SEQPACKET;
}

/*
 * The pair that lust-inetd left in LUST_FD.  It came over an exec, so close-on-exec cannot be set: where it
 * is, the pair has been claimed already, by this process or by the one that forked it, and reading it would
 * steal.
 */
static int pair_from_environment(const char *text)
{
	char *end;
	long number;
	int flags;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || text[0] < '0' || text[0] > '9' || *end || number > INT_MAX)
		return -EBADF;
	flags = fcntl((int)number, F_GETFD);
	if (flags < 0 || !is_seqpacket((int)number))
		return -EBADF;
	if (flags & FD_CLOEXEC)
		return -EBUSY;
	if (fcntl((int)number, F_SETFD, flags | FD_CLOEXEC) < 0)
		return -errno;
	return (int)number;
}

static int door_address(const char *runtime_dir, struct sockaddr_un *address)
{
	char here[sizeof(address->sun_path)];
	int length;

	if (!runtime_dir)
		runtime_dir = getenv("LUST_RUNTIME_DIR");
	if (!runtime_dir || !runtime_dir[0])
		runtime_dir = DEFAULT_RUNTIME_DIR;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* The door may have to be found again from another working directory. */
	if (runtime_dir[0] != '/' && getcwd(here, sizeof(here))) {
		length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s/register.sock", here,
				  runtime_dir);
		if (length > 0 && (size_t)length < sizeof(address->sun_path))
			return 0;
	}
	length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/register.sock", runtime_dir);
	return length < 0 || (size_t)length >= sizeof(address->sun_path) ? -ENAMETOOLONG : 0;
}

/* connect(2) waits while the door's backlog is full: SO_SNDTIMEO bounds it. */
static int connect_within(int fd, const struct sockaddr_un *address, int64_t deadline)
{
	for (;;) {
		int left = lust_remaining(deadline);
		struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

		if (left == 0)
			return -ETIMEDOUT;
		if (left > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
			return -errno;
		if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
			return 0;
		if (errno == EAGAIN)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int knock(struct lust_server *server, const struct sockaddr_un *address, int64_t deadline)
{
	struct lust_wire_register reg;
	int result;

	server->lifeline = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (server->lifeline < 0)
		return -errno;
	result = connect_within(server->lifeline, address, deadline);
	if (result == 0) {
		lust_fill_register(server, LUST_WIRE_REGISTER, &reg);
		result = lust_message_send(server->lifeline, &reg, sizeof(reg), NULL, 0, 0);
	}
	/* Refused without reading: the answer, if any, can still be read. */
	if (result == 0 || result == -EPIPE)
		result = lust_await_pair(server, deadline);
	if (result < 0) {
		close(server->lifeline);
		server->lifeline = -1;
	}
	return result;
}

/* Many register at once: true after a moment, when the next knock may be heard. */
static bool wait_for_room(struct lust_server *server, int result, int64_t deadline)
{
	int left = lust_remaining(deadline);

	if (result != -EACCES || !server->denied_for_now || left == 0)
		return false;
	poll(NULL, 0, left > 0 && left < CROWD_MS ? left : CROWD_MS);
	server->phase = LUST_PHASE_KNOCKING;
	server->reason[0] = '\0';
	return true;
}

static int pair_from_door(struct lust_server *server, const char *runtime_dir, int64_t deadline)
{
	struct sockaddr_un address;
	unsigned knocks = 0;
	int result = door_address(runtime_dir, &address);

	if (result == 0)
		result = lust_reconnect_prepare(server, &address);
	if (result < 0)
		return result;
	do
		result = knock(server, &address, deadline);
	while ((result == -ECONNRESET && ++knocks < KNOCKS) || wait_for_room(server, result, deadline));
	return result == -ECONNRESET ? -ECONNREFUSED : result;
}

void lust_note_denied(struct lust_server *server, const struct lust_wire_denied *denied)
{
	memcpy(server->reason, denied->reason, sizeof(server->reason));
	server->denied_for_now = denied->flags & LUST_WIRE_PASSING;
}

int lust_hear_lifeline(struct lust_server *server)
{
	union lust_wire_message message;
	struct lust_message came;
	int result =
		lust_message_receive(server->lifeline, &message, sizeof(message), &came, 1, MSG_DONTWAIT);

	if (result == 0)
		return -ECONNRESET;
	if (result == -EAGAIN || result == -ECONNRESET)
		return 1; /* the reset is said once, before what was sent and the end of file */
	if (result < 0)
		return result;
	if (lust_wire_check_from_daemon(&message, came.length)) {
		result = -EPROTO;
	} else if (message.header.type == LUST_WIRE_DENIED) {
		lust_note_denied(server, &message.denied);
		result = -EACCES;
	} else if (message.header.type == LUST_WIRE_PAIR) {
		if (came.count == 1)
			return lust_handle_attach(server, came.fd[0]);
		result = came.truncated ? -EMFILE : -EPROTO;
	}
	lust_message_close_from(&came, 0);
	return result;
}

int lust_await_pair(struct lust_server *server, int64_t deadline)
{
	int result;

	do {
		result = lust_wait_ready(server->lifeline, deadline, POLLIN);
		if (result == 0 || result == -EINTR)
			result = lust_hear_lifeline(server);
	} while (result == 1);
	if (result == -EACCES)
		server->phase = LUST_PHASE_DENIED;
	return result;
}

int lust_await_registration(struct lust_server *server, int64_t deadline)
{
	while (server->phase == LUST_PHASE_KNOCKING) {
		int result;

		lust_flush(server);
		result = lust_pump(server);
		if (result < 0)
			return result;
		if (result > 0)
			continue;
		lust_handle_refresh(server);
		if (server->phase == LUST_PHASE_KNOCKING) {
			result = lust_wait_ready(server->watch, deadline, POLLIN);
			if (result < 0 && result != -EINTR)
				return result;
		}
	}
	lust_handle_refresh(server);
	if (server->phase == LUST_PHASE_GONE)
		return -ECONNREFUSED;
	return server->phase == LUST_PHASE_DENIED ? -EACCES : 0;
}

static int register_server(struct lust_server *server, const char *runtime_dir)
{
	const char *number = getenv("LUST_FD");
	int64_t deadline = lust_deadline(server->wait_ms);
	int result;

	if (number) {
		result = pair_from_environment(number);
		if (result >= 0)
			result = lust_handle_attach(server, result);
	} else {
		result = pair_from_door(server, runtime_dir, deadline);
	}
	return result < 0 ? result : lust_await_registration(server, deadline);
}

int lust_server_register(struct lust_server **out, const char *service, const struct lust_options *options)
{
	static const struct lust_options none;
	struct lust_server *server;
	int result;

	*out = NULL;
	if (!options)
		options = &none;
	server = lust_handle_new();
	if (!server)
		return -errno;
	result = configure(server, service, options);
	if (result == 0)
		result = register_server(server, options->runtime_dir);
	if (result < 0 && result != -EACCES) {
		lust_server_free(server);
		return result;
	}
	*out = server;
	return result;
}
