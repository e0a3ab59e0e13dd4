/*
 * fuzz_door.c: register.sock: strangers who knock with anything, servers from outside who got in, and their clones.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "play.h"

#define STRANGERS 20 /* more than one user may have at the door */

struct door {
	struct play play;
	int stranger[STRANGERS]; /* -1: none */
	int pair[STRANGERS];     /* its end, once it got one; -1 */
};

static int knock(const struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	FUZZ_CHECK(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->door_path);
	FUZZ_CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void leave(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The answer of the door: a pair, or why not. */
static void hear_door(struct door *door, unsigned who)
{
	union lust_wire_message message;
	struct lust_message from;

	if (lust_message_receive(door->stranger[who], &message, sizeof(message), &from, 1, MSG_DONTWAIT) != 1)
		return;
	FUZZ_CHECK(!lust_wire_check_from_daemon(&message, from.length));
	FUZZ_CHECK(message.header.type == LUST_WIRE_PAIR || message.header.type == LUST_WIRE_DENIED);
	FUZZ_CHECK(from.count == (message.header.type == LUST_WIRE_PAIR));
	if (from.count) {
		FUZZ_CHECK(door->pair[who] < 0);
		door->pair[who] = from.fd[0];
	}
}

static void step(struct door *door, uint8_t what)
{
	struct play *play = &door->play;
	unsigned who = what >> 3 & 15;

	switch (what & 7) {
	case 0:
		if (door->stranger[who] < 0)
			door->stranger[who] = knock(&play->rig);
		return;
	case 1:
	case 2:
		play_say(play, door->stranger[who]);
		return;
	case 3:
		hear_door(door, who);
		return;
	case 4:
		leave(who & 1 ? &door->pair[who] : &door->stranger[who]);
		return;
	case 5:
		play_say(play, door->pair[who]);
		return;
	case 6:
		play_hear(play, door->pair[who]);
		return;
	default:
		if (who < 4)
			play_connect(play);
		else if (who < 10)
			play_supervise(play);
		else if (who < 13)
			play_client(play);
		else if (who == 13)
			play_revive(play);
		else
			for (unsigned i = 0; i < STRANGERS; i++)
				if (door->stranger[i] < 0)
					door->stranger[i] = knock(&play->rig);
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();
	struct door door = {.play.input = {data, size}};

	if (size > 1024)
		return -1;
	for (unsigned i = 0; i < STRANGERS; i++)
		door.stranger[i] = door.pair[i] = -1;
	play_open(&door.play);
	play_start(&door.play);
	while (door.play.input.left) {
		uint8_t what = input_byte(&door.play.input);
		step(&door, what);
		if (what & 0x80)
			play_turn(&door.play);
	}
	play_turn(&door.play);
	for (unsigned i = 0; i < STRANGERS; i++) {
		leave(&door.stranger[i]);
		leave(&door.pair[i]);
	}
	play_turn(&door.play);
	play_close(&door.play);
	fuzz_check_fds(before);
	return 0;
}
