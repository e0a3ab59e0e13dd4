/*
 * rig.c: the dispatcher, its supervisor and its clients; see rig.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

uint64_t rig_now_ms(void)
{
	return clock_us() / 1000;
}

static void start(struct rig *rig)
{
	int ends[2];
	ck_assert_int_eq(channel_pair(ends), 0);
	channel_init(&rig->link, ends[0], sizeof(struct link_message));
	struct dispatcher_parts parts = {
		.open_most = RIG_OPEN_MOST,
		.link = ends[1],
		.board = fcntl(rig->board_fd, F_DUPFD_CLOEXEC, 3),
		.events = fcntl(rig->events[1], F_DUPFD_CLOEXEC, 3),
		.door = rig->door >= 0 ? fcntl(rig->door, F_DUPFD_CLOEXEC, 3) : -1,
		.generation = ++rig->generation,
	};
	rig->d = dispatcher_new(&parts);
	ck_assert_ptr_nonnull(rig->d);
}

static void listen_tcp(struct rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(rig->listener, 0);
	ck_assert_int_eq(bind(rig->listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(rig->listener, 1024), 0);
	ck_assert_int_eq(getsockname(rig->listener, (struct sockaddr *)&address, &length), 0);
	rig->port = ntohs(address.sin_port);
}

static void listen_door(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int on = 1;
	char directory[] = "/tmp/lust-unit-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(rig->door_path, sizeof(rig->door_path), "%s/door", directory);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->door_path);
	rig->door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(rig->door, 0);
	ck_assert_int_eq(setsockopt(rig->door, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	ck_assert_int_eq(bind(rig->door, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(rig->door, 64), 0);
}

void rig_open(struct rig *rig)
{
	*rig = (struct rig){.door = -1};
	rig->board_fd = board_create();
	ck_assert_int_ge(rig->board_fd, 0);
	ck_assert_int_eq(pipe2(rig->events, O_CLOEXEC | O_NONBLOCK), 0);
	listen_tcp(rig);
	listen_door(rig);
	rig->service = (struct link_service){.fresh = 1,
					     .name = "web",
					     .window = 64,
					     .take_timeout_ms = 5000,
					     .supervised = 1,
					     .max_registered = 8};
	start(rig);
}

void rig_kill(struct rig *rig)
{
	dispatcher_free(rig->d);
	rig->d = NULL;
	channel_close(&rig->link);
}

void rig_revive(struct rig *rig)
{
	rig->service.fresh = 0;
	start(rig);
}

void rig_next(struct rig *rig, const struct rig_server *servers, unsigned count, unsigned flags)
{
	rig_kill(rig);
	rig_revive(rig);
	rig_table(rig, servers, count, flags);
}

void rig_close(struct rig *rig)
{
	if (rig->d)
		rig_kill(rig);
	close(rig->board_fd);
	close(rig->events[0]);
	close(rig->events[1]);
	close(rig->listener);
	close(rig->door);
	unlink(rig->door_path);
	*strrchr(rig->door_path, '/') = 0;
	rmdir(rig->door_path);
}

void rig_turn(struct rig *rig)
{
	ev_run(rig->d->loop, EVRUN_NOWAIT);
	turn_end(rig->d);
	const char *wrong = invariant_broken(rig->d);
	ck_assert_msg(!wrong, "%s", wrong ? wrong : "");
}

void rig_say(struct rig *rig, const struct link_message *message, const int *fds, unsigned count)
{
	struct link_message copy = *message;
	copy.version = LINK_VERSION;
	ck_assert_int_eq(channel_send(&rig->link, &copy, fds, count), 0);
	for (unsigned i = 0; i < 3; i++)
		rig_turn(rig);
}

void rig_say_server(struct rig *rig, const struct rig_server *server, unsigned flags)
{
	struct link_message message = {.type = LINK_SERVER};
	message.server = (struct link_server){
		.slot = server->slot,
		.generation = server->generation,
		.instance = server->slot + 1,
		.flags = flags,
		.pid = getpid(),
		.uid = getuid(),
		.gid = getgid(),
	};
	rig_say(rig, &message, (int[]){server->ours, server->theirs}, 2);
}

void rig_table(struct rig *rig, const struct rig_server *servers, unsigned count, unsigned flags)
{
	struct link_message message = {.type = LINK_BEGIN};
	message.begin =
		(struct link_begin){.table = ++rig->tables, .services = 1, .listeners = 1, .servers = count};
	rig_say(rig, &message, NULL, 0);
	message = (struct link_message){.type = LINK_SERVICE};
	message.service = rig->service;
	rig_say(rig, &message, NULL, 0);
	if (rig->with_rule) {
		message = (struct link_message){.type = LINK_RULE};
		message.rule = rig->rule;
		rig_say(rig, &message, NULL, 0);
	}
	message = (struct link_message){.type = LINK_LISTENER};
	rig_say(rig, &message, &rig->listener, !rig->d->listener[0]);
	for (unsigned i = 0; i < count; i++)
		rig_say_server(rig, &servers[i], flags);
	message = (struct link_message){.type = LINK_COMMIT};
	message.commit.table = rig->tables;
	rig_say(rig, &message, NULL, 0);
	rig_expect(rig, LINK_COMMITTED);
}

static void receive(struct rig *rig)
{
	RIG_UNTIL(rig, channel_receive(&rig->link, &rig->last, rig->last_fds, &rig->last_count) == 1);
	ck_assert_ptr_null(link_check_from_dispatcher(&rig->last, sizeof(rig->last), rig->last_count));
	rig->slots_freed += rig->last.type == LINK_SLOT_FREE;
}

void rig_expect(struct rig *rig, enum link_type type)
{
	do
		receive(rig);
	while (rig->last.type != type);
}

bool rig_died(struct rig *rig, const struct rig_server *server)
{
	struct link_message message = {.type = LINK_SERVER_DIED};
	message.slot = (struct link_slot){.slot = server->slot, .generation = server->generation};
	rig_say(rig, &message, NULL, 0);
	do
		receive(rig);
	while ((rig->last.type != LINK_SLOT_FREE && rig->last.type != LINK_SETTLING) ||
	       rig->last.slot.slot != server->slot || rig->last.slot.generation != server->generation);
	return rig->last.type == LINK_SLOT_FREE;
}

struct event rig_event(struct rig *rig, enum event_code code)
{
	struct event event;
	do
		RIG_UNTIL(rig, read(rig->events[0], &event, sizeof(event)) == (ssize_t)sizeof(event));
	while (event.code != code);
	return event;
}

static void limit_fds(rlim_t most)
{
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = most;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

bool rig_flight_fill(struct rig_flight *flight)
{
	struct rlimit limit;
	int many[LUST_MESSAGE_FDS], error = 0;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	flight->before = limit.rlim_cur;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, flight->ends), 0);
	for (unsigned i = 0; i < LUST_MESSAGE_FDS; i++)
		many[i] = flight->ends[0];
	/* Descriptors in flight are counted by the real user. */
	if (geteuid() == 0 && setresuid(61234, 61234, 0) < 0)
		return false;
	limit_fds(128);
	for (unsigned i = 0; i < 16 && !error; i++)
		error = lust_message_send(flight->ends[0], "", 1, many, LUST_MESSAGE_FDS, MSG_DONTWAIT);
	return error == -ETOOMANYREFS;
}

void rig_flight_free(struct rig_flight *flight)
{
	/* Each carries the other: only receiving undoes that for certain. */
	struct lust_message message;
	char byte;
	while (lust_message_receive(flight->ends[1], &byte, 1, &message, 0, MSG_DONTWAIT) == 1)
		;
	close(flight->ends[0]);
	close(flight->ends[1]);
	limit_fds(flight->before);
	(void)seteuid(0); /* of root's: for the clean-up, and for who looks for leaks */
}

/* Interrupted, it goes on by itself (connect(2)); libFuzzer's alarm comes whenever it likes. */
static int connect_error(int fd, const struct sockaddr_in *address)
{
	struct pollfd connected = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t length = sizeof(error);
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EINTR)
		return errno;
	while (poll(&connected, 1, -1) < 0)
		ck_assert_int_eq(errno, EINTR);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

int rig_connect(const struct rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(rig->port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect_error(fd, &address), 0);
	return fd;
}

bool rig_answered(int client, int fd)
{
	char byte = 0;
	ck_assert_int_eq(write(fd, "x", 1), 1);
	return read(client, &byte, 1) == 1 && byte == 'x';
}

struct board_reading rig_read(const struct rig *rig)
{
	struct board_reading reading;
	struct board *board = board_map(rig->board_fd, false);
	ck_assert_ptr_nonnull(board);
	board_read_service(board, 0, &reading);
	board_unmap(board);
	return reading;
}

void rig_until_accepted(struct rig *rig, uint64_t accepted)
{
	RIG_UNTIL(rig, rig_read(rig).accepted >= accepted);
}

void rig_until_taken(struct rig *rig, uint64_t taken)
{
	RIG_UNTIL(rig, rig_read(rig).taken >= taken);
}
