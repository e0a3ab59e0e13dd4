/*
 * rig_server.c: what the servers of a rig say and hear; see rig.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "rig.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_wire(struct rig_server *server, const union lust_wire_message *message)
{
	ck_assert_int_eq(
		lust_message_send(server->fd, message, lust_wire_length(message), NULL, 0, MSG_DONTWAIT), 0);
}

void rig_server_pair(struct rig *rig, struct rig_server *server, uint32_t slot)
{
	int ends[2], on = 1;
	(void)rig;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	*server = (struct rig_server){.slot = slot, .generation = 1, .ours = ends[0], .theirs = ends[1]};
	server->fd = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
}

void rig_register(struct rig *rig, struct rig_server *server, uint32_t capacity, uint32_t batch,
		  uint32_t held, uint32_t last_batch, uint32_t flags)
{
	union lust_wire_message message = {0};
	message.reg = (struct lust_wire_register){
		.header = {LUST_WIRE_VERSION, LUST_WIRE_REGISTER, 0},
		.generation = rig->generation,
		.capacity = capacity,
		.batch = batch,
		.held = held,
		.last_batch = last_batch,
		.flags = flags,
		.service = "web",
	};
	send_wire(server, &message);
}

void rig_server(struct rig *rig, struct rig_server *server, uint32_t slot, uint32_t capacity, uint32_t batch)
{
	rig_server_pair(rig, server, slot);
	rig_say_server(rig, server, 0);
	rig_hear(rig, server, LUST_WIRE_HELLO);
	ck_assert_uint_eq(server->message.hello.generation, rig->generation);
	ck_assert_uint_eq(server->message.hello.slot, slot);
	rig_register(rig, server, capacity, batch, 0, 0, 0);
	rig_expect(rig, LINK_REGISTERED);
	rig_hear(rig, server, LUST_WIRE_REGISTERED);
}

void rig_register_again(struct rig *rig, struct rig_server *server, uint32_t capacity, uint32_t batch,
			uint32_t held, uint32_t last_batch)
{
	rig_hear(rig, server, LUST_WIRE_HELLO);
	rig_register(rig, server, capacity, batch, held, last_batch, 0);
	rig_hear(rig, server, LUST_WIRE_REGISTERED);
}

void rig_hear(struct rig *rig, struct rig_server *server, enum lust_wire_type type)
{
	RIG_UNTIL(rig, lust_message_receive(server->fd, &server->message, sizeof(server->message),
					    &server->from, LUST_MESSAGE_FDS, MSG_DONTWAIT) == 1);
	ck_assert_ptr_null(lust_wire_check_from_daemon(&server->message, server->from.length));
	ck_assert_uint_eq(server->message.header.type, type);
	if (type == LUST_WIRE_CONNECTIONS)
		ck_assert_uint_eq(server->from.count, server->message.header.count);
}

uint64_t rig_first_id(const struct rig_server *server)
{
	return server->message.connections.entry[0].id;
}

void rig_drop_fds(struct rig_server *server)
{
	lust_message_close_from(&server->from, 0);
}

uint64_t rig_hear_id(struct rig *rig, struct rig_server *server)
{
	uint64_t id;
	rig_hear(rig, server, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(server->message.header.count, 1);
	id = rig_first_id(server);
	rig_drop_fds(server);
	return id;
}

void rig_hear_ids(struct rig *rig, struct rig_server *server, uint64_t *ids, unsigned count)
{
	for (unsigned got = 0; got < count;) {
		rig_hear(rig, server, LUST_WIRE_CONNECTIONS);
		ck_assert_uint_le(got + server->message.header.count, count);
		for (unsigned i = 0; i < server->message.header.count; i++)
			ids[got++] = server->message.connections.entry[i].id;
		rig_drop_fds(server);
	}
}

void rig_hear_nothing(struct rig *rig, struct rig_server *server)
{
	for (unsigned i = 0; i < 5; i++)
		rig_turn(rig);
	struct pollfd look = {.fd = server->fd, .events = POLLIN};
	ck_assert_int_eq(poll(&look, 1, 0), 0);
}

void rig_ids(struct rig_server *server, enum lust_wire_type type, const uint64_t *ids, uint32_t count)
{
	union lust_wire_message message = {0};
	message.header = (struct lust_wire_header){LUST_WIRE_VERSION, (uint16_t)type, count};
	memcpy(message.ids.id, ids, count * sizeof(*ids));
	send_wire(server, &message);
}

void rig_word(struct rig_server *server, enum lust_wire_type type)
{
	union lust_wire_message message = {0};
	message.header = (struct lust_wire_header){LUST_WIRE_VERSION, (uint16_t)type, 0};
	send_wire(server, &message);
}

void rig_refuse(struct rig_server *server, uint64_t id, int fd)
{
	union lust_wire_message message = {0};
	message.header = (struct lust_wire_header){LUST_WIRE_VERSION, LUST_WIRE_REFUSED, 1};
	message.ids.id[0] = id;
	ck_assert_int_eq(lust_message_send(server->fd, &message, lust_wire_length(&message), &fd, 1, 0), 0);
}

void rig_server_close(struct rig_server *server)
{
	close(server->ours);
	close(server->theirs);
	close(server->fd);
}

void rig_die(struct rig *rig, struct rig_server *server)
{
	close(server->fd);
	(void)rig_died(rig, server);
	close(server->ours);
	close(server->theirs);
}
