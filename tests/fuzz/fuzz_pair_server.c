/*
 * fuzz_pair_server.c: liblust with a daemon at the other end of its pair, or of its lifeline, that says anything, and an
 * application that calls anything.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "server.h"

#define RECEIVED 16

struct scene {
	struct input input;
	struct lust_server *server;
	int daemon; /* its end of the pair; -1: closed */
	uint64_t next_id;
	struct lust_connection got[RECEIVED]; /* .fd -1: none */
};

static void fill_connections(struct scene *scene, struct lust_wire_connections *connections)
{
	uint8_t how = input_byte(&scene->input);

	connections->header.count = 1 + how % 5;
	connections->batch = input_byte(&scene->input);
	for (unsigned i = 0; i < connections->header.count; i++) {
		struct lust_wire_connection *entry = &connections->entry[i];
		entry->id = ++scene->next_id;
		entry->kind = (uint16_t)(how & 0x10 ? input_byte(&scene->input) : LUST_WIRE_TCP);
		entry->family = how & 0x20 ? input_byte(&scene->input) : AF_INET;
		if (how & 0x40) /* one that it has, or had */
			entry->id = input_byte(&scene->input);
	}
}

static size_t fill(struct scene *scene, union lust_wire_message *message)
{
	struct input *input = &scene->input;

	message->header = (struct lust_wire_header){LUST_WIRE_VERSION,
						    (uint16_t)(LUST_WIRE_HELLO + input_below(input, 6)), 0};
	switch (message->header.type) {
	case LUST_WIRE_HELLO:
		message->hello.generation = input_byte(input);
		message->hello.acknowledge = input_below(input, 4);
		message->hello.window = 64;
		memcpy(message->hello.service, "web", 3);
		break;
	case LUST_WIRE_CONNECTIONS:
		fill_connections(scene, &message->connections);
		break;
	case LUST_WIRE_DENIED:
		input_copy(input, message->denied.reason, input_below(input, LUST_WIRE_REASON));
		break;
	}
	return lust_wire_length(message);
}

/* The daemon says something, whole or spoiled, with the descriptors that belong to it or others. */
static void say(struct scene *scene, int fd)
{
	struct input *input = &scene->input;
	union lust_wire_message message;
	uint8_t how = input_byte(input);
	int fds[8];
	unsigned count = 0;
	size_t length;

	memset(&message, 0, sizeof(message));
	length = fill(scene, &message);
	if (how & 1)
		input_copy(input, (char *)&message + input_below(input, 64), input_below(input, 16) + 1U);
	if (how & 2)
		length = input_number(input) % sizeof(message);
	if (how & 4)
		message.header.version = input_byte(input);
	if (message.header.type == LUST_WIRE_CONNECTIONS || message.header.type == LUST_WIRE_PAIR || how & 8)
		count = fuzz_some_fds(input, fds, 8);
	(void)lust_message_send(fd, &message, length, fds, count, MSG_DONTWAIT);
	fuzz_close_all(fds, count);
}

/* What the library says is always well-formed, and carries a descriptor only when it refuses. */
static void hear(struct scene *scene)
{
	union lust_wire_message message;
	struct lust_message from;

	while (scene->daemon >= 0 && lust_message_receive(scene->daemon, &message, sizeof(message), &from,
							  LUST_MESSAGE_FDS, MSG_DONTWAIT) == 1) {
		FUZZ_CHECK(!lust_wire_check_from_server(&message, from.length));
		FUZZ_CHECK(from.count == 0 ||
			   (message.header.type == LUST_WIRE_REFUSED && from.count == message.header.count));
		lust_message_close_from(&from, 0);
	}
}

static void leave(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void receive(struct scene *scene)
{
	unsigned wanted = 1 + input_below(&scene->input, RECEIVED);
	struct lust_connection out[RECEIVED];
	int count = lust_server_receive_many(scene->server, out, wanted, 0);

	FUZZ_CHECK(count <= (int)wanted);
	for (int i = 0; i < count; i++) {
		struct lust_connection *place = &scene->got[out[i].id % RECEIVED];
		FUZZ_CHECK(out[i].fd >= 0);
		if (place->fd >= 0) /* the application forgets to say that it is done */
			close(place->fd);
		*place = out[i];
	}
}

static void application(struct scene *scene)
{
	uint8_t how = input_byte(&scene->input);
	struct lust_connection *one = &scene->got[how & 15];

	switch (how >> 4 & 7) {
	case 0:
		if (one->fd >= 0 && lust_server_close(scene->server, one->fd) == 0)
			one->fd = -1;
		return;
	case 1:
		(void)lust_server_take(scene->server, one->id);
		return;
	case 2:
		if (one->fd >= 0 && lust_server_refuse(scene->server, one->id) == 0)
			one->fd = -1;
		return;
	case 3:
		leave(&one->fd);
		(void)lust_server_done(scene->server, one->id);
		return;
	case 4:
		(void)lust_server_set_capacity(scene->server, input_number(&scene->input));
		return;
	case 5:
		(void)lust_server_alive(scene->server);
		return;
	case 6:
		if (how & 8)
			(void)lust_server_drain(scene->server);
		return;
	default: /* of ids that it never had */
		(void)lust_server_done(scene->server, input_number(&scene->input));
		(void)lust_server_take(scene->server, input_number(&scene->input));
		return;
	}
}

/* Registers by LUST_FD; the answers lie there already, and in the end the ones that let it come through. */
static bool begin_pair(struct scene *scene, const struct lust_options *options)
{
	const struct lust_wire_hello hello = {.header = {LUST_WIRE_VERSION, LUST_WIRE_HELLO, 0},
					      .generation = 1,
					      .window = 64,
					      .service = "web"};
	const struct lust_wire_header registered = {LUST_WIRE_VERSION, LUST_WIRE_REGISTERED, 0};
	char number[16];
	int ends[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	scene->daemon = ends[0];
	snprintf(number, sizeof(number), "%d", ends[1]);
	setenv("LUST_FD", number, 1);
	for (unsigned i = input_below(&scene->input, 4); i; i--)
		say(scene, ends[0]);
	(void)lust_message_send(ends[0], &hello, sizeof(hello), NULL, 0, MSG_DONTWAIT);
	(void)lust_message_send(ends[0], &registered, sizeof(registered), NULL, 0, MSG_DONTWAIT);
	if (lust_server_register(&scene->server, "web", options) < 0 && !scene->server)
		return false;
	FUZZ_CHECK(scene->server != NULL);
	return true;
}

/* The answers of the door, which ends behind them. */
static void at_the_door(struct scene *scene)
{
	struct lust_server *server = lust_handle_new();
	int ends[2];

	FUZZ_CHECK(server != NULL);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	server->lifeline = ends[1];
	for (unsigned i = input_below(&scene->input, 4); i; i--)
		say(scene, ends[0]);
	close(ends[0]);
	int result = lust_await_pair(server, lust_deadline(10000));
	FUZZ_CHECK(result != -ETIMEDOUT);
	FUZZ_CHECK(result < 0 || server->pair >= 0);
	FUZZ_CHECK(memchr(lust_server_reason(server), '\0', LUST_WIRE_REASON) != NULL);
	lust_server_free(server);
}

static void play(struct scene *scene)
{
	while (scene->input.left) {
		uint8_t what = input_byte(&scene->input);
		if (scene->daemon >= 0 && what % 4 < 2)
			say(scene, scene->daemon);
		else if (what % 4 == 2)
			receive(scene);
		else
			application(scene);
		if (what & 0x40)
			hear(scene);
		if (what == 0xff)
			leave(&scene->daemon);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();
	struct scene scene = {.input = {data, size}, .daemon = -1};

	if (size > 1024)
		return -1;
	for (unsigned i = 0; i < RECEIVED; i++)
		scene.got[i].fd = -1;
	uint8_t how = input_byte(&scene.input);
	const struct lust_options options = {
		.batch = how & 63, .explicit_take = how >> 6 & 1, .nonblocking = how >> 7, .wait_ms = 10000};
	if (how == 0xff)
		at_the_door(&scene);
	else if (begin_pair(&scene, &options))
		play(&scene);
	/* A full pair would keep the farewell waiting. */
	hear(&scene);
	if (size & 1)
		leave(&scene.daemon);
	lust_server_free(scene.server);
	leave(&scene.daemon);
	for (unsigned i = 0; i < RECEIVED; i++)
		leave(&scene.got[i].fd);
	fuzz_check_fds(before);
	return 0;
}
