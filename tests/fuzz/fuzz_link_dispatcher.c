/*
 * fuzz_link_dispatcher.c: the dispatcher's end of the link: tables and single changes in any order and with any numbers.
 * It may give up, never misbehave.  The checks of messages are tried by themselves as well, on any bytes.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "play.h"

static bool ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* What passes the checks has texts that end and indexes that fit: who reads it relies on that. */
static void check_passed(const struct link_message *message)
{
	switch (message->type) {
	case LINK_HELLO:
		FUZZ_CHECK(ended(message->hello.jail, sizeof(message->hello.jail)));
		return;
	case LINK_SERVICE:
		FUZZ_CHECK(ended(message->service.name, sizeof(message->service.name)));
		FUZZ_CHECK(message->service.service < BOARD_SERVICES);
		return;
	case LINK_LISTENER:
		FUZZ_CHECK(message->listener.listener < BOARD_LISTENERS);
		FUZZ_CHECK(message->listener.service < BOARD_SERVICES);
		return;
	case LINK_SERVER:
		FUZZ_CHECK(message->server.slot < BOARD_SLOTS);
		FUZZ_CHECK(message->server.service < BOARD_SERVICES);
		FUZZ_CHECK(ended(message->server.label, sizeof(message->server.label)));
		return;
	case LINK_KEEP:
		FUZZ_CHECK(message->keep.service < BOARD_SERVICES);
		FUZZ_CHECK(ended(message->keep.label, sizeof(message->keep.label)));
		return;
	case LINK_REGISTERED:
	case LINK_DEREGISTERED:
		FUZZ_CHECK(message->slot.slot < BOARD_SLOTS);
		FUZZ_CHECK(ended(message->slot.reason, sizeof(message->slot.reason)));
		return;
	}
}

static void check_checks(struct input input)
{
	struct link_message message;
	unsigned fds = input_below(&input, 5);

	input_copy(&input, &message, sizeof(message));
	if (!link_check_from_supervisor(&message, sizeof(message), fds))
		check_passed(&message);
	if (!link_check_from_dispatcher(&message, sizeof(message), fds))
		check_passed(&message);
	FUZZ_CHECK(link_check_from_supervisor(&message, sizeof(message) - 1, fds) != NULL);
}

/* Small numbers, so that records meet. */
static uint32_t index_of(struct input *input)
{
	uint8_t byte = input_byte(input);

	return byte < 0xf8 ? byte & 3 : input_number(input);
}

static void fill_service(struct input *input, struct link_service *service)
{
	uint8_t how = input_byte(input);

	service->service = index_of(input);
	service->fresh = how & 1;
	service->name[0] = (char)('a' + service->service % 26);
	service->balance = input_below(input, 4);
	service->acknowledge = how >> 1 & 1;
	service->overload = how >> 2 & 1;
	service->paused = how >> 3 & 1;
	service->allow_root = 1;
	service->window = (uint16_t)(how & 16 ? input_number(input) : 64);
	service->take_timeout_ms = how & 32 ? input_number(input) : 5000;
	service->max_registered = how & 64 ? input_number(input) : 8;
	service->supervised = how & 128 ? input_number(input) : 1;
	service->gone = input_below(input, 16) == 15;
}

static void fill_listener(struct input *input, struct link_listener *listener)
{
	listener->listener = index_of(input);
	listener->service = index_of(input);
	listener->position = input_number(input);
}

static void fill_server(struct input *input, struct link_server *server)
{
	server->slot = index_of(input);
	server->generation = index_of(input);
	server->service = index_of(input);
	server->flags = input_below(input, 16);
	server->pid = input_byte(input) & 1 ? getpid() : (int32_t)input_number(input);
	server->uid = getuid();
	server->gid = getgid();
}

static void fill(struct input *input, struct link_message *message)
{
	message->version = LINK_VERSION;
	message->type = (uint16_t)(LINK_HELLO + input_below(input, LINK_HAND_OVER + 1));
	if (message->type > LINK_HAND_OVER)
		message->type = LINK_HELD;
	switch (message->type) {
	case LINK_HELD:
		message->held.index = index_of(input);
		message->held.id = input_number(input);
		break;
	case LINK_BEGIN:
	case LINK_COMMIT:
		message->begin = (struct link_begin){index_of(input), index_of(input), index_of(input),
						     index_of(input), input_below(input, 2)};
		break;
	case LINK_SERVICE:
	case LINK_PAUSE:
	case LINK_RESUME:
		fill_service(input, &message->service);
		break;
	case LINK_RULE:
		message->rule = (struct link_rule){index_of(input), index_of(input), input_number(input)};
		break;
	case LINK_LISTENER:
		fill_listener(input, &message->listener);
		break;
	case LINK_SERVER:
		fill_server(input, &message->server);
		break;
	case LINK_KEPT:
		message->kept.ticket = index_of(input);
		message->kept.slot = index_of(input);
		message->kept.generation = index_of(input);
		message->kept.error = -(int32_t)(index_of(input) & INT32_MAX);
		break;
	default:
		message->slot.slot = index_of(input);
		message->slot.generation = index_of(input);
		break;
	}
}

/* As many descriptors as the message wants, of the right kind mostly. */
static unsigned choose_fds(struct play *play, const struct link_message *message, int fds[3])
{
	uint8_t how = input_byte(&play->input);
	int pair[2], on = 1;

	if (how & 1)
		return fuzz_some_fds(&play->input, fds, 3);
	if (message->type == LINK_LISTENER && !(how & 2)) {
		fds[0] = dup(play->rig.listener);
		return 1;
	}
	if (message->type != LINK_SERVER)
		return 0;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	FUZZ_CHECK(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	if (!(message->server.flags & LINK_SERVER_EXTERNAL))
		return 2;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	fds[2] = pair[0];
	close(pair[1]);
	return 3;
}

/* Did it give up, or was it told to end?  Then the loop ends, and with it the process. */
static bool is_over(const struct dispatcher *d, const struct link_message *last)
{
	return d->exit_code || last->type == LINK_SHUTDOWN || last->type == LINK_HAND_OVER;
}

static void drain_link(struct play *play)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;

	while (channel_receive(&play->rig.link, &message, fds, &count) == 1) {
		FUZZ_CHECK(!link_check_from_dispatcher(&message, sizeof(message), count));
		fuzz_close_all(fds, count);
	}
}

static void push(struct play *play, const struct link_message *message)
{
	int fds[3];
	unsigned count = choose_fds(play, message, fds);

	FUZZ_CHECK(channel_send(&play->rig.link, message, fds, count) == 0);
	fuzz_close_all(fds, count);
}

/* false: it is over. */
static bool turn(struct play *play, const struct link_message *last)
{
	ev_run(play->rig.d->loop, EVRUN_NOWAIT);
	if (is_over(play->rig.d, last))
		return false;
	turn_end(play->rig.d);
	const char *wrong = invariant_broken(play->rig.d);
	FUZZ_CHECK(!wrong);
	drain_link(play);
	return true;
}

/* Anything. */
static bool any(struct play *play)
{
	struct link_message message = {0};

	fill(&play->input, &message);
	if (input_byte(&play->input) == 0xff) /* spoiled */
		input_copy(&play->input, (char *)&message + input_below(&play->input, 240), 4);
	push(play, &message);
	return turn(play, &message);
}

static void begin(struct link_message *message, enum link_type type)
{
	*message = (struct link_message){.version = LINK_VERSION, .type = (uint16_t)type};
}

/* A whole table, as many records as BEGIN says: only so is anything applied. */
static bool whole(struct play *play)
{
	struct input *input = &play->input;
	struct link_message message;
	const unsigned services = 1 + input_below(input, 3), listeners = input_below(input, 4),
		       servers = input_below(input, 3);

	begin(&message, LINK_BEGIN);
	message.begin = (struct link_begin){.table = ++play->rig.tables,
					   .services = services,
					   .listeners = listeners,
					   .servers = servers,
					   .partial = input_below(input, 2)};
	push(play, &message);
	for (unsigned i = 0; i < services; i++) {
		begin(&message, LINK_SERVICE);
		fill_service(input, &message.service);
		push(play, &message);
	}
	for (unsigned i = 0; i < listeners; i++) {
		begin(&message, LINK_LISTENER);
		fill_listener(input, &message.listener);
		push(play, &message);
	}
	for (unsigned i = 0; i < servers; i++) {
		begin(&message, LINK_SERVER);
		fill_server(input, &message.server);
		message.server.flags &= 7;
		push(play, &message);
	}
	begin(&message, LINK_COMMIT);
	message.commit.table = play->rig.tables;
	push(play, &message);
	return turn(play, &message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();
	struct play play = {.input = {data, size}};
	bool going = true;

	if (size > 1024)
		return -1;
	check_checks(play.input);
	play_open(&play);
	while (play.input.left && going) {
		uint8_t what = input_byte(&play.input);
		if (what & 1)
			play_connect(&play);
		going = what & 6 ? any(&play) : whole(&play);
	}
	drain_link(&play);
	play_close(&play);
	fuzz_check_fds(before);
	return 0;
}
