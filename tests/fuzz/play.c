/*
 * play.c: see play.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "play.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Without a turn of the dispatcher: that is what costs time. */
static void say(struct play *play, const struct link_message *message, const int *fds, unsigned count)
{
	struct link_message copy = *message;

	copy.version = LINK_VERSION;
	FUZZ_CHECK(channel_send(&play->rig.link, &copy, fds, count) == 0);
	FUZZ_CHECK(!channel_pending(&play->rig.link));
}

void play_open(struct play *play)
{
	rig_open(&play->rig);
	play->rig.service.allow_root = 1;
	play->rig.service.max_registered = PLAY_OUTSIDE;
	play->rig.with_rule = true;
	play->rig.rule = (struct link_rule){.kind = LINK_RULE_UID, .id = getuid()};
	for (unsigned i = 0; i < PLAY_SLOTS; i++)
		play->server[i] = (struct play_server){.side.fd = -1, .lifeline = -1};
	for (unsigned i = 0; i < PLAY_CLIENTS; i++)
		play->client[i] = -1;
	for (unsigned i = 0; i < PLAY_HELD; i++)
		play->held[i] = -1;
}

static void push(struct play *play, struct link_message *message, enum link_type type, const int *fds,
		 unsigned count)
{
	message->type = (uint16_t)type;
	say(play, message, fds, count);
}

static void push_server(struct play *play, unsigned slot)
{
	const struct play_server *server = &play->server[slot];
	struct link_message message = {0};

	message.server = (struct link_server){.slot = slot,
					      .generation = server->side.generation,
					      .instance = server->external ? 0 : slot + 1,
					      .flags = (server->external ? LINK_SERVER_EXTERNAL : 0U) |
						       (server->settling ? LINK_SERVER_DEAD : 0U),
					      .pid = getpid(),
					      .uid = getuid(),
					      .gid = getgid()};
	push(play, &message, LINK_SERVER, (int[]){server->side.ours, server->side.theirs, server->lifeline},
	     server->external ? 3 : 2);
}

/* What the supervisor pushes; servers only to a new dispatcher. */
static void push_table(struct play *play, bool with_servers)
{
	struct rig *rig = &play->rig;
	struct link_message begin = {0}, service = {.service = rig->service}, rule = {.rule = rig->rule},
			    listener = {0}, commit = {0};

	begin.begin = (struct link_begin){.table = ++rig->tables, .services = 1, .listeners = 1};
	for (unsigned i = 0; with_servers && i < PLAY_SLOTS; i++)
		begin.begin.servers += play->server[i].there;
	push(play, &begin, LINK_BEGIN, NULL, 0);
	push(play, &service, LINK_SERVICE, NULL, 0);
	push(play, &rule, LINK_RULE, NULL, 0);
	push(play, &listener, LINK_LISTENER, &rig->listener, !rig->d->listener[0]);
	for (unsigned i = 0; with_servers && i < PLAY_SLOTS; i++)
		if (play->server[i].there)
			push_server(play, i);
	commit.commit.table = rig->tables;
	push(play, &commit, LINK_COMMIT, NULL, 0);
	rig->service.fresh = 0;
	play_turn(play);
}

static void new_server(struct play *play, unsigned slot, uint32_t generation)
{
	struct play_server *server = &play->server[slot];

	rig_server_pair(&play->rig, &server->side, slot);
	server->side.generation = generation;
	server->there = true;
	server->settling = server->external = false;
	push_server(play, slot);
}

void play_start(struct play *play)
{
	uint8_t how = input_byte(&play->input);

	play->rig.service.balance = how % 3;
	play->rig.service.window = how & 4 ? 64 : 2;
	push_table(play, false);
	for (unsigned i = 0; i < PLAY_SERVERS; i++) {
		new_server(play, i, 1);
		if (how & 8)
			rig_register(&play->rig, &play->server[i].side, 0, 4, 0, 0, 0);
	}
	play_turn(play);
}

/* Clients first: their reset leaves no address waiting. */
void play_close(struct play *play)
{
	for (unsigned i = 0; i < PLAY_CLIENTS; i++)
		shut(&play->client[i]);
	for (unsigned i = 0; i < PLAY_HELD; i++)
		shut(&play->held[i]);
	for (unsigned i = 0; i < PLAY_SLOTS; i++) {
		struct play_server *server = &play->server[i];
		shut(&server->side.fd);
		shut(&server->lifeline);
		if (server->there) {
			close(server->side.ours);
			close(server->side.theirs);
		}
	}
	rig_close(&play->rig);
}

static void forget_server(struct play_server *server)
{
	close(server->side.ours);
	close(server->side.theirs);
	shut(&server->lifeline);
	server->there = false;
}

/* A server from outside: kept, or not, as the input says. */
static void answer_keep(struct play *play, const struct link_keep *keep, const int *fds)
{
	struct link_message answer = {.type = LINK_KEPT};
	uint8_t how = input_byte(&play->input);
	unsigned slot = PLAY_SERVERS + how % PLAY_OUTSIDE;
	struct play_server *server = &play->server[slot];

	answer.kept = (struct link_kept){.ticket = keep->ticket + (how >= 0xf0), .slot = slot};
	if (how & 0x40)
		answer.kept.error = how & 0x20 ? -EUSERS : how & 0x10 ? -ENOENT : -ENOSPC;
	else if (server->there)
		answer.kept.error = -ENOSPC;
	else {
		answer.kept.generation = ++server->side.generation;
		server->side.slot = slot;
		server->side.ours = fds[0];
		server->side.theirs = fds[1];
		server->lifeline = fds[2];
		server->there = server->external = true;
		server->settling = false;
	}
	if (answer.kept.error)
		fuzz_close_all(fds, 3);
	say(play, &answer, NULL, 0);
}

/* Of a server that is there still, as far as the supervisor knows. */
static void hear_end(struct play *play, const struct link_message *message)
{
	uint32_t slot = message->slot.slot;
	FUZZ_CHECK(slot < PLAY_SLOTS);
	struct play_server *server = &play->server[slot];

	if (!server->there || server->side.generation != message->slot.generation)
		return;
	if (message->type == LINK_SETTLING) {
		server->settling = true;
		return;
	}
	FUZZ_CHECK(message->type == LINK_GONE ? server->external && !server->settling : server->settling);
	forget_server(server);
}

void play_supervisor(struct play *play)
{
	struct rig *rig = &play->rig;

	while (channel_receive(&rig->link, &rig->last, rig->last_fds, &rig->last_count) == 1) {
		FUZZ_CHECK(!link_check_from_dispatcher(&rig->last, sizeof(rig->last), rig->last_count));
		if (rig->last.type == LINK_KEEP) {
			struct link_keep keep = rig->last.keep;
			int fds[3];
			memcpy(fds, rig->last_fds, sizeof(fds));
			answer_keep(play, &keep, fds);
		} else if (rig->last.type == LINK_HELD) {
			FUZZ_CHECK(play->handed < PLAY_CLIENTS);
			play->up[play->handed].message = rig->last;
			play->up[play->handed++].fd = rig->last_fds[0];
		} else if (rig->last.type == LINK_GONE || rig->last.type == LINK_SETTLING ||
			   rig->last.type == LINK_SLOT_FREE) {
			hear_end(play, &rig->last);
		}
	}
}

void play_turn(struct play *play)
{
	rig_turn(&play->rig);
	play_supervisor(play);
}

void play_connect(struct play *play)
{
	const struct linger reset = {.l_onoff = 1};
	int fd;

	if (play->clients == PLAY_CLIENTS)
		return;
	fd = rig_connect(&play->rig);
	FUZZ_CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
	play->client[play->clients++] = fd;
}

void play_client(struct play *play)
{
	uint8_t how = input_byte(&play->input);
	int *fd = &play->client[how % PLAY_CLIENTS];

	if (*fd < 0)
		return;
	switch (how >> 3 & 3) {
	case 0:
		(void)!send(*fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		(void)!send(*fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_OOB);
		break;
	case 2:
		(void)shutdown(*fd, SHUT_WR);
		break;
	default:
		shut(fd);
		break;
	}
}

static void keep_connections(struct play *play, const struct lust_wire_connections *connections,
			     struct lust_message *from)
{
	for (unsigned i = 0; i < from->count; i++) {
		unsigned at = play->heard++ % PLAY_HELD;
		shut(&play->held[at]);
		play->held[at] = from->fd[i];
		play->id[at] = connections->entry[i].id;
	}
}

void play_hear(struct play *play, int fd)
{
	union lust_wire_message message;
	struct lust_message from;

	if (lust_message_receive(fd, &message, sizeof(message), &from, LUST_MESSAGE_FDS, MSG_DONTWAIT) != 1)
		return;
	FUZZ_CHECK(!lust_wire_check_from_daemon(&message, from.length));
	if (message.header.type == LUST_WIRE_CONNECTIONS) {
		FUZZ_CHECK(from.count == message.header.count);
		keep_connections(play, &message.connections, &from);
		return;
	}
	FUZZ_CHECK(from.count == (message.header.type == LUST_WIRE_PAIR));
	lust_message_close_from(&from, 0);
}

static void fill_ids(struct play *play, struct lust_wire_ids *ids)
{
	struct input *input = &play->input;

	for (unsigned i = 0; i < ids->header.count && i < LUST_WIRE_BATCH; i++) {
		uint8_t which = input_byte(input);
		ids->id[i] = play->id[which % PLAY_HELD];
		if (which & 0x40)
			ids->id[i] += input_number(input);
		if (which & 0x80)
			ids->id[i] ^= (uint64_t)input_number(input) << 32;
	}
}

static void fill_register(struct play *play, struct lust_wire_register *reg)
{
	struct input *input = &play->input;
	uint8_t how = input_byte(input);

	reg->generation = play->rig.generation;
	if (how & 1)
		reg->generation = input_number(input);
	if (how & 2)
		reg->capacity = input_number(input);
	if (how & 4)
		reg->batch = input_number(input);
	if (how & 8)
		reg->held = input_number(input);
	if (how & 16)
		reg->last_batch = input_number(input);
	if (how & 32)
		reg->flags = input_number(input);
	memcpy(reg->service, how & 64 ? "other" : "web", how & 64 ? 5 : 3);
	if (how & 128)
		input_copy(input, reg->label, input_below(input, sizeof(reg->label)));
}

/* Of a server, and as its type wants it. */
static size_t fill_message(struct play *play, union lust_wire_message *message)
{
	struct input *input = &play->input;

	message->header = (struct lust_wire_header){
		LUST_WIRE_VERSION, (uint16_t)(LUST_WIRE_REGISTER + input_below(input, 8)), 0};
	switch (message->header.type) {
	case LUST_WIRE_REGISTER:
	case LUST_WIRE_CLONE:
		fill_register(play, &message->reg);
		break;
	case LUST_WIRE_CAPACITY:
		message->capacity.capacity = input_number(input);
		break;
	case LUST_WIRE_TAKEN:
	case LUST_WIRE_DONE:
	case LUST_WIRE_REFUSED:
		message->header.count = input_below(input, 8);
		fill_ids(play, &message->ids);
		break;
	}
	return lust_wire_length(message);
}

/* The descriptors of connections that servers hold, or others. */
static unsigned choose_fds(struct play *play, int *fds, bool *ours)
{
	uint8_t how = input_byte(&play->input);
	unsigned count = 0;

	*ours = how & 1;
	if (how & 1)
		return fuzz_some_fds(&play->input, fds, 4);
	for (unsigned i = 0; i < (how >> 1 & 7); i++) {
		int fd = play->held[input_below(&play->input, PLAY_HELD)];
		if (fd >= 0)
			fds[count++] = fd;
	}
	return count;
}

void play_say(struct play *play, int fd)
{
	struct input *input = &play->input;
	union lust_wire_message message;
	uint8_t how = input_byte(input);
	int fds[8];
	unsigned count = 0;
	bool ours = false;
	size_t length;

	memset(&message, 0, sizeof(message));
	length = fill_message(play, &message);
	if (how & 1) /* spoiled */
		input_copy(input, (char *)&message + input_below(input, 64), input_below(input, 16) + 1U);
	if (how & 2)
		length = input_number(input) % sizeof(message);
	if (how & 4)
		count = choose_fds(play, fds, &ours);
	(void)lust_message_send(fd, &message, length, fds, count, MSG_DONTWAIT);
	if (ours)
		fuzz_close_all(fds, count);
}

void play_held(struct play *play)
{
	const struct linger slow = {1, 5};
	uint8_t how = input_byte(&play->input);
	int *fd = &play->held[how % PLAY_HELD];

	if (*fd < 0)
		return;
	switch (how >> 4 & 3) {
	case 0:
		(void)!send(*fd, "y", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		(void)!recv(*fd, &(char){0}, 1, MSG_DONTWAIT);
		break;
	case 2:
		(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &slow, sizeof(slow));
		break;
	default:
		shut(fd);
		break;
	}
}

static void say_slot(struct play *play, enum link_type type, const struct play_server *server, uint32_t off)
{
	struct link_message message = {.type = (uint16_t)type};

	message.slot.slot = server->side.slot;
	message.slot.generation = server->side.generation + off;
	say(play, &message, NULL, 0);
}

/* As the supervisor does it: SERVER_DIED, its ends are kept until SLOT_FREE. */
static void end_server(struct play *play, struct play_server *server)
{
	if (!server->there || server->settling)
		return;
	shut(&server->side.fd);
	if (server->external) {
		say_slot(play, LINK_FORGET, server, 0);
		play_turn(play);
		if (server->there)
			forget_server(server);
		return;
	}
	say_slot(play, LINK_SERVER_DIED, server, 0);
	server->settling = true;
	play_turn(play);
}

void play_supervise(struct play *play)
{
	struct link_message message = {0};
	uint8_t how = input_byte(&play->input);
	struct play_server *server = &play->server[how % PLAY_SLOTS];

	switch (how >> 4) {
	case 0:
		end_server(play, server);
		return;
	case 1:
		if (server->there)
			say_slot(play, LINK_DRAIN, server, 0);
		return;
	case 2: /* late, about one that is gone */
		say_slot(play, LINK_SERVER_DIED, server, 77);
		say_slot(play, LINK_DRAIN, server, 77);
		return;
	case 3:
		if (!server->there && how % PLAY_SLOTS < PLAY_SERVERS) {
			shut(&server->side.fd);
			new_server(play, how % PLAY_SLOTS, server->side.generation + 1);
		}
		return;
	case 4:
		message.type = LINK_PAUSE;
		break;
	case 5:
		message.type = LINK_RESUME;
		break;
	case 6:
		message.type = LINK_PING;
		break;
	case 7:
		play->rig.service.acknowledge = how & 1;
		play->rig.service.window = how & 2 ? 1 : 64;
		push_table(play, false);
		return;
	default:
		return;
	}
	say(play, &message, NULL, 0);
}

void play_revive(struct play *play)
{
	const bool in_peace = input_byte(&play->input) & 1;

	/* What was on its way to the supervisor still arrives. */
	play_supervisor(play);
	if (in_peace) {
		say(play, &(struct link_message){.type = LINK_HAND_OVER}, NULL, 0);
		ev_run(play->rig.d->loop, EVRUN_NOWAIT);
		(void)channel_flush(&play->rig.d->link);
		play_supervisor(play);
	}
	rig_kill(&play->rig);
	rig_revive(&play->rig);
	for (unsigned i = 0; i < play->handed; i++) {
		say(play, &play->up[i].message, &play->up[i].fd, 1);
		close(play->up[i].fd);
	}
	play->handed = 0;
	push_table(play, true);
}

struct play_server *play_pick(struct play *play)
{
	return &play->server[input_below(&play->input, PLAY_SLOTS)];
}
