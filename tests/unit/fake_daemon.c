#include "fake_daemon.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 20

void fake_open(struct fake_daemon *daemon)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	char number[16];
	int ends[2];

	memset(daemon, 0, sizeof(*daemon));
	/* Not close-on-exec, as after the exec that brings LUST_FD. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(lust_allow_credentials(ends[0]), 0);
	daemon->ours = ends[0];
	daemon->theirs = ends[1];
	snprintf(number, sizeof(number), "%d", ends[1]);
	setenv("LUST_FD", number, 1);
	setenv("LUST_SERVICE", "web", 1);
}

struct lust_server *fake_register(struct fake_daemon *daemon, const struct lust_options *options)
{
	struct lust_server *server = NULL;

	fake_open(daemon);
	fake_hello(daemon, FAKE_GENERATION);
	fake_say(daemon->ours, LUST_WIRE_REGISTERED);
	ck_assert_int_eq(lust_server_register(&server, NULL, options), 0);
	ck_assert_ptr_nonnull(server);
	fake_hear(daemon, LUST_WIRE_REGISTER);
	return server;
}

void fake_hello(struct fake_daemon *daemon, uint32_t generation)
{
	struct lust_wire_hello hello = {
		.header = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_HELLO},
		.generation = generation,
		.slot = 3,
		.window = 64,
		.service = "web",
	};

	ck_assert_int_eq(lust_message_send(daemon->ours, &hello, sizeof(hello), NULL, 0, 0), 0);
}

void fake_say(int socket, enum lust_wire_type type)
{
	struct lust_wire_header header = {.version = LUST_WIRE_VERSION, .type = (uint16_t)type};

	ck_assert_int_eq(lust_message_send(socket, &header, sizeof(header), NULL, 0, 0), 0);
}

static void deny(int socket, const char *reason, uint32_t flags)
{
	struct lust_wire_denied denied = {.header = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_DENIED},
					  .flags = flags};

	snprintf(denied.reason, sizeof(denied.reason), "%s", reason);
	/* A visitor may have lost its patience. */
	int result = lust_message_send(socket, &denied, sizeof(denied), NULL, 0, 0);
	ck_assert(result == 0 || result == -EPIPE);
}

void fake_deny(int socket, const char *reason)
{
	deny(socket, reason, 0);
}

void fake_deny_for_now(int socket, const char *reason)
{
	deny(socket, reason, LUST_WIRE_PASSING);
}

enum lust_wire_type fake_hear_any(struct fake_daemon *daemon)
{
	ck_assert_int_eq(lust_message_receive(daemon->ours, &daemon->heard, sizeof(daemon->heard),
					      &daemon->came, LUST_MESSAGE_FDS, 0),
			 1);
	ck_assert_ptr_null(lust_wire_check_from_server(&daemon->heard, daemon->came.length));
	ck_assert(daemon->came.has_credentials);
	ck_assert_int_eq(daemon->came.credentials.pid, getpid());
	return (enum lust_wire_type)daemon->heard.header.type;
}

void fake_hear(struct fake_daemon *daemon, enum lust_wire_type type)
{
	ck_assert_uint_eq(fake_hear_any(daemon), type);
}

void fake_hear_ids(struct fake_daemon *daemon, enum lust_wire_type type, unsigned count, const uint64_t *ids)
{
	fake_hear(daemon, type);
	ck_assert_uint_eq(daemon->heard.header.count, count);
	for (unsigned i = 0; i < count; i++)
		ck_assert_uint_eq(daemon->heard.ids.id[i], ids[i]);
}

void fake_hear_nothing(const struct fake_daemon *daemon)
{
	char byte;

	ck_assert_int_eq(recv(daemon->ours, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

int fake_client(int *accepted)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	*accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(*accepted, 0);
	close(listener);
	return client;
}

uint64_t fake_id(uint32_t generation, uint64_t number)
{
	return (uint64_t)generation << 48 | number;
}

void fake_give(struct fake_daemon *daemon, uint64_t first, unsigned count, int *clients, int *copies)
{
	struct lust_wire_connections message = {
		.header = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_CONNECTIONS, .count = count},
		.batch = ++daemon->batch,
	};
	int fd[LUST_WIRE_BATCH];

	for (unsigned i = 0; i < count; i++) {
		struct lust_wire_connection *entry = &message.entry[i];

		clients[i] = fake_client(&fd[i]);
		*entry = (struct lust_wire_connection){
			.id = fake_id(FAKE_GENERATION, first + i),
			.kind = LUST_WIRE_TCP,
			.listener = 2,
			.waited_us = 99,
			.family = AF_INET,
			.peer_port = 4711,
			.peer = {127, 0, 0, 9},
			.peer_pid = -1,
		};
	}
	ck_assert_int_eq(lust_message_send(daemon->ours, &message,
					   lust_wire_length((const union lust_wire_message *)&message), fd,
					   count, 0),
			 0);
	for (unsigned i = 0; i < count; i++) {
		if (copies)
			copies[i] = fd[i];
		else
			close(fd[i]);
	}
}

void fake_limit_fds(unsigned limit)
{
	struct rlimit now;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	now.rlim_cur = limit;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void door_address(const struct fake_door *door, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/register.sock", door->directory);
}

void fake_door_listen(struct fake_door *door, int backlog)
{
	struct sockaddr_un address;

	door_address(door, &address);
	door->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(door->socket, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(lust_allow_credentials(door->socket), 0);
	ck_assert_int_eq(listen(door->socket, backlog), 0);
}

void fake_door_make(struct fake_door *door)
{
	snprintf(door->directory, sizeof(door->directory), "/tmp/test_door.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(door->directory));
	fake_door_listen(door, 4);
	unsetenv("LUST_FD");
	setenv("LUST_SERVICE", "web", 1);
}

void fake_door_shut(struct fake_door *door)
{
	struct sockaddr_un address;

	door_address(door, &address);
	unlink(address.sun_path);
	close(door->socket);
}

void fake_door_remove(struct fake_door *door)
{
	fake_door_shut(door);
	rmdir(door->directory);
}

int fake_visitor(struct fake_daemon *daemon, const struct fake_door *door)
{
	int visitor = accept4(door->socket, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_ge(visitor, 0);
	daemon->ours = visitor;
	fake_hear(daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(daemon->heard.reg.generation, 0);
	ck_assert_str_eq(daemon->heard.reg.service, "web");
	return visitor;
}

void fake_give_pair(struct fake_daemon *daemon, int lifeline, uint32_t generation)
{
	struct lust_wire_header pair = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_PAIR};
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(lust_allow_credentials(ends[0]), 0);
	ck_assert_int_eq(lust_message_send(lifeline, &pair, sizeof(pair), &ends[1], 1, 0), 0);
	close(ends[1]);
	daemon->ours = ends[0];
	daemon->batch = 0;
	fake_hello(daemon, generation);
}

bool fake_readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, 0) == 1;
}

unsigned fake_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}
