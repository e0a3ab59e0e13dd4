/*
 * requeue.c: connections that were taken back from a server.  They go before new ones.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"
#include "faults.h"
#include "untouched.h"

#define LONELY_US UINT64_C(5000000) /* how long they wait for a server that nobody promised */

void requeue_watch(struct dispatcher *d, struct service *service)
{
	turn_service(d, service);
	if (!ev_is_active(&d->sweep))
		ev_timer_again(d->loop, &d->sweep);
}

void requeue_append(struct dispatcher *d, struct service *service, uint32_t index)
{
	ledger_append(&d->ledger, &service->queue, index);
	d->queued++;
}

void requeue_remove(struct dispatcher *d, struct service *service, uint32_t index)
{
	ledger_unlink(&d->ledger, &service->queue, index);
	d->queued--;
}

void requeue(struct dispatcher *d, struct service *service, uint32_t index)
{
	if (fault_no_redispatch()) {
		settle_lost(d, index);
		return;
	}
	ledger_renew(&d->ledger, index);
	d->ledger.entry[index].since_us = d->now_us;
	requeue_append(d, service, index);
	atomic_fetch_add_explicit(&service_board(d, service)->redispatched, 1, memory_order_relaxed);
	requeue_watch(d, service);
}

/* No server has had these: they keep id and place. */
void requeue_unsent(struct dispatcher *d, struct server *server)
{
	if (!server->staged.count)
		return;
	while (server->staged.count) {
		uint32_t index = server->staged.last;
		ledger_unlink(&d->ledger, &server->staged, index);
		ledger_prepend(&d->ledger, &server->service->queue, index);
		d->queued++;
	}
	requeue_watch(d, server->service);
}

/* Reset by the client, or timed out.  One that has only sent its FIN still wants an answer. */
static bool client_left(const struct ledger_entry *entry)
{
	return entry->wire.kind == LUST_WIRE_TCP && untouched_left(entry->fd);
}

void requeue_close(struct dispatcher *d, struct service *service, enum board_closed why)
{
	while (service->queue.count) {
		uint32_t index = service->queue.first;
		requeue_remove(d, service, index);
		settle_closed(d, index, why, BOARD_NONE);
	}
}

void requeue_pump(struct dispatcher *d, struct service *service)
{
	if (!service->queue.count)
		return;
	if (service->removed) {
		requeue_close(d, service, CLOSED_NO_SERVER);
		return;
	}
	uint64_t credits = choose_gather(service);
	uint32_t next;
	for (uint32_t index = service->queue.first; index != LEDGER_NONE && credits; index = next) {
		const struct ledger_entry *entry = &d->ledger.entry[index];
		next = entry->next;
		if (client_left(entry)) {
			requeue_remove(d, service, index);
			settle_closed(d, index, CLOSED_CLIENT_LEFT, BOARD_NONE);
			continue;
		}
		struct server *server = choose_server(service, entry);
		if (!server)
			continue;
		requeue_remove(d, service, index);
		handoff_join(d, server, index);
		d->in_hand++;
		credits--;
	}
}

static void sweep_left(struct dispatcher *d, struct service *service)
{
	uint32_t next;
	for (uint32_t index = service->queue.first; index != LEDGER_NONE; index = next) {
		next = d->ledger.entry[index].next;
		if (!client_left(&d->ledger.entry[index]))
			continue;
		requeue_remove(d, service, index);
		settle_closed(d, index, CLOSED_CLIENT_LEFT, BOARD_NONE);
	}
}

/* One that drains or has left may be there for days, and gets nobody any more. */
static bool is_served(const struct service *service)
{
	for (uint32_t i = 0; i < service->server_count; i++)
		if (!service->server[i]->cut && !service->server[i]->draining)
			return true;
	return false;
}

/* A supervised service gets a server again; one that only outsiders serve may not. */
static bool lonely(struct dispatcher *d, struct service *service)
{
	if (service->set->supervised || is_served(service)) {
		service->lonely_since_us = 0;
		return false;
	}
	if (!service->lonely_since_us)
		service->lonely_since_us = d->now_us;
	return d->now_us - service->lonely_since_us > LONELY_US;
}

void requeue_sweep(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)events;
	struct dispatcher *d = watcher->data;
	bool any = false;
	for (struct service *service = service_next(d, NULL); service; service = service_next(d, service)) {
		if (!service->queue.count && !service->settling) {
			service->lonely_since_us = 0; /* whoever waits later waits anew */
			continue;
		}
		sweep_left(d, service);
		bool nobody = lonely(d, service);
		death_sweep(d, service, nobody);
		if (nobody)
			requeue_close(d, service, CLOSED_NO_SERVER);
		any |= service->queue.count || service->settling;
		turn_service(d, service);
	}
	if (!any)
		ev_timer_stop(loop, watcher);
}
