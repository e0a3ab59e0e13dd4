/*
 * turn.c: what happens once a loop turn: connections that were taken back and those that were just accepted go out,
 * one message a server; then the watchers follow the credits.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "clock.h"
#include "dispatcher.h"

#define RETRY_S 0.1

static void dirty_add(struct dirty *dirty, uint32_t number)
{
	if (dirty->listed[number])
		return;
	dirty->listed[number] = true;
	dirty->number[dirty->count++] = number;
}

static bool dirty_take(struct dirty *dirty, uint32_t *number)
{
	if (!dirty->count)
		return false;
	*number = dirty->number[--dirty->count];
	dirty->listed[*number] = false;
	return true;
}

void turn_service(struct dispatcher *d, const struct service *service)
{
	dirty_add(&d->dirty_services, service->index);
}

void turn_server(struct dispatcher *d, struct server *server)
{
	dirty_add(&d->dirty_servers, server->slot);
	choose_changed(server);
}

void turn_retry(struct dispatcher *d)
{
	if (!ev_is_active(&d->retry)) {
		ev_timer_set(&d->retry, RETRY_S, 0.);
		ev_timer_start(d->loop, &d->retry);
	}
}

static void finish_service(struct dispatcher *d, struct service *service)
{
	requeue_pump(d, service);
	death_pump(d, service);
	listener_update(d, service);
	service_free_if_gone(d, service);
}

static void finish_server(struct dispatcher *d, struct server *server)
{
	if (server->going) {
		death_settle(d, server, server->going, LINK_GONE);
		return;
	}
	handoff_flush(d, server);
	server_publish(server);
	server_check_idle(d, server);
}

/* Each failure to send blocks one server, so that this comes to an end. */
static void finish_work(struct dispatcher *d)
{
	uint32_t number;
	while (d->dirty_services.count || d->dirty_servers.count) {
		while (dirty_take(&d->dirty_services, &number))
			if (d->service[number])
				finish_service(d, d->service[number]);
		while (dirty_take(&d->dirty_servers, &number))
			if (d->server[number])
				finish_server(d, d->server[number]);
	}
}

void turn_hand_over(struct dispatcher *d)
{
	for (uint32_t i = 0; i < d->dirty_servers.count; i++) {
		struct server *server = d->server[d->dirty_servers.number[i]];
		if (server && server->staged.count)
			handoff_flush(d, server);
	}
	d->in_hand = 0;
}

static void check_quiet(struct dispatcher *d)
{
	/* What is TAKEN waits for DONE, perhaps for days: that is not on its way. */
	if (!d->quiesced || d->quiet_told || d->settling || (d->door_shut && knocks_busy(d)) ||
	    atomic_load_explicit(&d->board->ledger_used, memory_order_relaxed) != d->ledger.held)
		return;
	d->quiet_told = true;
	tell_quiet(d);
}

uint32_t turn_own_fds(const struct dispatcher *d)
{
	/* Standard ones, link, event pipe, epoll. */
	return 6U + (d->door >= 0) + (d->spare >= 0) + d->listener_count + d->other_fds;
}

void turn_end(struct dispatcher *d)
{
	finish_work(d);
	d->in_hand = 0;
	linger_turn(&d->linger);
	check_quiet(d);
	answer_link_watch(d);
	atomic_store_explicit(&d->board->fds, turn_own_fds(d) + d->ledger.fds, memory_order_relaxed);
}

static void before_waiting(struct ev_loop *loop, struct ev_prepare *watcher, int events)
{
	(void)loop;
	(void)events;
	struct dispatcher *d = watcher->data;
	d->now_us = clock_us();
	turn_end(d);
#ifdef INVARIANTS
	invariant_assert(d);
#endif
	atomic_store_explicit(&d->board->turn_ms, 0, memory_order_relaxed);
}

static void after_waiting(struct ev_loop *loop, struct ev_check *watcher, int events)
{
	(void)loop;
	(void)events;
	struct dispatcher *d = watcher->data;
	d->now_us = clock_us();
	atomic_store_explicit(&d->board->turn_ms, d->now_us / 1000, memory_order_relaxed);
}

static void retry_blocked(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	struct dispatcher *d = watcher->data;
	for (struct service *service = service_next(d, NULL); service; service = service_next(d, service)) {
		for (uint32_t i = 0; i < service->server_count; i++) {
			struct server *server = service->server[i];
			if (server->blocked || server->resting || server->owed)
				turn_server(d, server);
			server->blocked = server->resting = false;
		}
		if (service->starved || service->shut_until_us)
			turn_service(d, service);
	}
}

void turn_start(struct dispatcher *d)
{
	ev_prepare_init(&d->prepare, before_waiting);
	ev_check_init(&d->check, after_waiting);
	ev_set_priority(&d->check, EV_MAXPRI); /* the clock is read before anybody wants it */
	ev_timer_init(&d->retry, retry_blocked, RETRY_S, 0.);
	d->prepare.data = d->check.data = d->retry.data = d;
	ev_prepare_start(d->loop, &d->prepare);
	ev_check_start(d->loop, &d->check);
}
