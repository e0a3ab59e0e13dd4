/*
 * ping.c: does the dispatcher live, and how far is it: PING and PONG, once a second and as a mark between messages.
 *
 * SPDX-License-Identifier: ISC
 */
#include "control_socket.h"
#include "helpers.h"
#include "slots.h"

#define PING_S 1.
#define PINGS_MISSED                                                                                         \
	2 /* a PONG is due within two of them: counted by ticks, so that a suspended machine kills nobody */
#define MARK (UINT64_C(1) << 63) /* in a PING's number: a mark, not a sign of life */

static void on_ping(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (!slots_settled(s)) {
		dispatcher_kill(s, "did not settle a server that ended in time (SERVER_DIED, SLOT_FREE)");
		return;
	}
	if (s->dispatcher.ping_answered < s->dispatcher.ping_sent) {
		if (++s->dispatcher.pings_missed >= PINGS_MISSED)
			dispatcher_kill(s, "a turn of its loop takes longer than 2 s (PING, PONG)");
		return;
	}
	s->dispatcher.pings_missed = 0;
	struct link_message message = {
		.version = LINK_VERSION, .type = LINK_PING, .ping = {.number = ++s->dispatcher.ping_sent}};
	dispatcher_send(s, &message, NULL, 0);
}

/* The link keeps the order: what was sent before a PING is done when its PONG comes. */
uint64_t dispatcher_mark(struct supervisor *s)
{
	struct link_message message = {.version = LINK_VERSION,
				       .type = LINK_PING,
				       .ping = {.number = MARK | ++s->dispatcher.mark_sent}};

	/* One that has no table yet gets all of it with that; one that ends has done its last with its end. */
	if (s->dispatcher.phase == DISPATCHER_NONE || s->dispatcher.phase == DISPATCHER_STARTING)
		s->dispatcher.mark_reached = s->dispatcher.mark_sent;
	dispatcher_send(s, &message, NULL, 0);
	return s->dispatcher.mark_sent;
}

bool dispatcher_reached(const struct supervisor *s, uint64_t mark)
{
	return s->dispatcher.mark_reached >= mark;
}

void ping_reach(struct supervisor *s, uint64_t mark)
{
	if (mark <= s->dispatcher.mark_reached || mark > s->dispatcher.mark_sent)
		return;
	s->dispatcher.mark_reached = mark;
	control_marked(s);
}

void dispatcher_pong(struct supervisor *s, uint64_t number)
{
	if ((number & MARK) != 0)
		ping_reach(s, number & ~MARK);
	else if (number == s->dispatcher.ping_sent)
		s->dispatcher.ping_answered = number;
}

void ping_init(struct supervisor *s)
{
	ev_timer_init(&s->dispatcher.ping, on_ping, PING_S, PING_S);
}

void ping_start(struct supervisor *s)
{
	if (ev_is_active(&s->dispatcher.ping))
		return;
	s->dispatcher.pings_missed = 0;
	s->dispatcher.ping_answered = s->dispatcher.ping_sent;
	ev_timer_start(s->loop, &s->dispatcher.ping);
}

void ping_stop(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->dispatcher.ping);
}
