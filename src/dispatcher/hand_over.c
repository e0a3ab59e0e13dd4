/*
 * hand_over.c: this dispatcher is replaced and nothing is wrong with it.  What it holds goes up as it is: the ledger's
 * half on the board says what each descriptor is.  Nothing is taken back or sent here: the next one does that, as
 * after a death.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <poll.h>

#include "clock.h"
#include "dispatcher.h"

#define ACKNOWLEDGEMENTS 4096u /* of one server, read before its connections are looked at */
#define LOOK_MS 10             /* when the kernel has no room for descriptors, it does not say when it has */
#define LIMIT_US UINT64_C(10000000)

static void send_up(struct dispatcher *d)
{
	uint32_t left = atomic_load(&d->board->ledger_used);

	for (uint32_t index = 0; index < BOARD_LEDGER && left; index++) {
		if (ledger_state(&d->ledger, index) == LEDGER_FREE)
			continue;
		left--;
		if (d->ledger.entry[index].fd < 0)
			continue;
		struct link_held held = {.index = index, .id = d->board->ledger[index].id};
		tell_held(d, &held, d->ledger.entry[index].fd);
	}
}

/* Nothing else is left to do, so waiting here keeps nobody waiting. */
static void flush(struct dispatcher *d)
{
	uint64_t end_us = clock_us() + LIMIT_US;

	while (channel_pending(&d->link) && clock_us() < end_us) {
		struct pollfd wait = {.fd = d->link.fd, .events = channel_stuck(&d->link) ? 0 : POLLOUT};
		(void)poll(&wait, 1, LOOK_MS);
		if (channel_flush(&d->link) < 0)
			return;
	}
}

/* The loop still calls back for this turn's events: what got another id after it went up would be lost. */
static void hear_last(struct dispatcher *d, struct server *server)
{
	acknowledge_read(d, server, ACKNOWLEDGEMENTS);
	server_unwatch(server);
	server_publish(server);
}

void hand_over(struct dispatcher *d)
{
	for (uint32_t slot = 0; slot < BOARD_SLOTS; slot++)
		if (d->server[slot])
			hear_last(d, d->server[slot]);
	send_up(d);
	flush(d);
	dispatcher_stop(d, 0);
}
