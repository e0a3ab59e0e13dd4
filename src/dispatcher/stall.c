/*
 * stall.c: servers that stopped reading.  Silence counts only while something was sent and not TAKEN.  Half-way a
 * server that has received everything is asked (HELLO, which every server answers): waiting for a slow client is no
 * stall.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <poll.h>

#include "dispatcher.h"

#define LATE_US UINT64_C(10000)

static uint64_t timeout_us(const struct server *server)
{
	return (uint64_t)server->service->set->take_timeout_ms * 1000;
}

static bool received_all(const struct server *server)
{
	struct pollfd look = {.fd = server->theirs, .events = POLLIN};
	int ready;
	do
		ready = poll(&look, 1, 0);
	while (ready < 0 && errno == EINTR); /* linger.c's timer */
	return ready == 0;
}

/* Since when it owes a word; only when something was sent and not TAKEN. */
static uint64_t silent_us(const struct dispatcher *d, const struct server *server)
{
	uint64_t since_us = d->ledger.entry[server->sent.first].since_us;
	if (since_us < server->life_us)
		since_us = server->life_us;
	return d->now_us > since_us ? d->now_us - since_us : 0;
}

/* The kernel is asked once a turn: in between nobody sends. */
bool stall_late(const struct dispatcher *d, struct server *server)
{
	if (!server->sent.count || silent_us(d, server) <= LATE_US)
		return false;
	if (server->looked_us != d->now_us) {
		server->looked_us = d->now_us;
		server->unreceived = !received_all(server);
	}
	return server->unreceived;
}

static void wait_for(struct server *server, uint64_t us)
{
	struct dispatcher *d = server->dispatcher;
	ev_timer_stop(d->loop, &server->stall);
	/* libev counts from the time of its turn; a little more saves an empty look. */
	ev_timer_set(&server->stall, (double)us / 1e6 + 1e-3, 0.);
	ev_timer_start(d->loop, &server->stall);
}

void stall_watch(struct server *server)
{
	if (!ev_is_active(&server->stall) && server->sent.count && !server->stalled && !server->cut &&
	    timeout_us(server))
		wait_for(server, timeout_us(server) / 2);
}

void stall_life(struct dispatcher *d, struct server *server)
{
	server->life_us = d->now_us;
	server->asked = server->blocked = false;
	if (!server->stalled)
		return;
	server->stalled = false;
	report_server(d, EVENT_RECOVERED, server, 0, 0);
	turn_server(d, server);
	turn_service(d, server->service);
	stall_watch(server);
}

static void begin_stall(struct dispatcher *d, struct server *server)
{
	server->stalled = true;
	requeue_unsent(d, server);
	uint32_t count = withdraw(d, server);
	/* Its answer will be the sign of life, whenever it comes. */
	server->owed |= OWED_HELLO;
	atomic_fetch_add_explicit(&d->board->servers[server->slot].stalls, 1, memory_order_relaxed);
	report_server(d, EVENT_STALLED, server, count, 0);
	turn_server(d, server);
	turn_service(d, server->service);
}

void stall_timer(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	struct server *server = watcher->data;
	struct dispatcher *d = server->dispatcher;
	if (!server->sent.count || server->cut || server->stalled || !server->registered ||
	    !timeout_us(server))
		return;
	uint64_t silence_us = silent_us(d, server), half_us = timeout_us(server) / 2;

	if (silence_us >= timeout_us(server)) {
		begin_stall(d, server);
		return;
	}
	if (silence_us >= half_us && !server->asked && received_all(server)) {
		server->asked = true;
		server->owed |= OWED_HELLO;
		turn_server(d, server);
	}
	wait_for(server, silence_us >= half_us ? timeout_us(server) - silence_us : half_us - silence_us);
}
