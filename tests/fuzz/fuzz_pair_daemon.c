/*
 * fuzz_pair_daemon.c: the daemon's end of a pair: servers that lie, stall, flood, push descriptors and die, while clients
 * come and go and dispatchers replace each other.  The rig checks the sums after every turn.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <unistd.h>

#include "play.h"

static void step(struct play *play, uint8_t what)
{
	/* Two servers are there from the start; the higher numbers are clones. */
	struct play_server *server = &play->server[what >> 6 & 1];

	switch (what & 15) {
	case 0:
		play_turn(play);
		return;
	case 1:
	case 2:
		play_connect(play);
		return;
	case 3:
		play_client(play);
		return;
	case 4:
		play_held(play);
		return;
	case 5:
		play_supervise(play);
		return;
	case 6:
		if (what & 0x20)
			play_revive(play);
		return;
	case 7:
		if (server->side.fd >= 0)
			close(server->side.fd);
		server->side.fd = -1;
		return;
	case 8:
	case 9:
	case 10:
		play_hear(play, server->side.fd);
		return;
	default:
		play_say(play, server->side.fd);
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();
	struct play play = {.input = {data, size}};

	if (size > 1024)
		return -1;
	play_open(&play);
	play_start(&play);
	while (play.input.left) {
		uint8_t what = input_byte(&play.input);
		step(&play, what);
		if (what & 0x80)
			play_turn(&play);
	}
	play_turn(&play);
	play_close(&play);
	fuzz_check_fds(before);
	return 0;
}
