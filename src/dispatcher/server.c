/*
 * server.c: the state of one server.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "credit.h"
#include "dispatcher.h"

/* They never change. */
static uint32_t held_fds(const struct server *server)
{
	return 2U + (server->lifeline >= 0) + (server->pidfd >= 0);
}

struct server *server_new(struct dispatcher *d, const struct link_server *record, struct service *service,
			  int ours, int theirs, int lifeline)
{
	struct server *server = calloc(1, sizeof(*server));
	if (!server || !service_add_server(service, server)) {
		free(server);
		return NULL;
	}
	server->dispatcher = d;
	server->service = service;
	server->slot = record->slot;
	server->generation = record->generation;
	server->instance = record->instance;
	server->external = record->flags & LINK_SERVER_EXTERNAL;
	server->pid = record->pid;
	server->uid = record->uid;
	server->gid = record->gid;
	server->ours = ours;
	server->theirs = theirs;
	server->lifeline = lifeline;
	server->pidfd = -1;
	server->batch = 1;
	server->owed = OWED_HELLO;
	server->accounted = true;
	server->staged = server->sent = server->held = (struct ledger_list)LEDGER_LIST_EMPTY;
	server->life_us = d->now_us;
	ev_io_init(&server->read, acknowledge_ready, ours, EV_READ);
	ev_timer_init(&server->stall, stall_timer, 0., 0.);
	server->read.data = server->stall.data = server;
	ev_io_start(d->loop, &server->read);
	leave_watch(d, server);
	d->server[server->slot] = server;
	d->other_fds += held_fds(server);
	turn_server(d, server);
	turn_service(d, service);
	return server;
}

void server_unwatch(struct server *server)
{
	struct ev_loop *loop = server->dispatcher->loop;
	ev_io_stop(loop, &server->read);
	ev_io_stop(loop, &server->lifeline_watch);
	ev_io_stop(loop, &server->pidfd_watch);
	ev_timer_stop(loop, &server->stall);
	ev_timer_stop(loop, &server->leave);
}

void server_free(struct server *server)
{
	struct dispatcher *d = server->dispatcher;
	d->other_fds -= held_fds(server);
	server_unwatch(server);
	close(server->ours);
	close(server->theirs);
	if (server->lifeline >= 0)
		close(server->lifeline);
	if (server->pidfd >= 0)
		close(server->pidfd);
	service_drop_server(server->service, server);
	server->service->settling -= server->settling;
	d->settling -= server->settling;
	turn_service(d, server->service);
	d->server[server->slot] = NULL;
	free(server);
}

struct server *server_find(const struct dispatcher *d, uint32_t slot, uint32_t generation)
{
	struct server *server = slot < BOARD_SLOTS ? d->server[slot] : NULL;
	return server && server->generation == generation ? server : NULL;
}

uint32_t server_entry(const struct dispatcher *d, const struct server *server, uint64_t id)
{
	uint32_t index = ledger_find(&d->ledger, id);
	if (index == LEDGER_NONE || d->board->ledger[index].slot != server->slot ||
	    ledger_state(&d->ledger, index) == LEDGER_ACCEPTED)
		return LEDGER_NONE;
	return index;
}

uint32_t server_pending(const struct server *server)
{
	return server->staged.count + server->sent.count;
}

uint32_t server_credits(const struct server *server)
{
	if (!server->registered || server->draining || server->stalled || server->blocked ||
	    server->resting || server->cut)
		return 0;
	return credit_free(server->service->set->window, server->capacity, server_pending(server),
			   server->active);
}

static enum board_server_state state_of(const struct server *server)
{
	if (server->draining || server->cut)
		return BOARD_SERVER_DRAINING;
	if (!server->registered)
		return BOARD_SERVER_STARTING;
	return server->stalled ? BOARD_SERVER_STALLED : BOARD_SERVER_READY;
}

void server_publish(struct server *server)
{
	struct board_server *board = &server->dispatcher->board->servers[server->slot];
	enum board_server_state state = state_of(server);
	atomic_store_explicit(&board->pending, server_pending(server), memory_order_relaxed);
	atomic_store_explicit(&board->active, server->active, memory_order_relaxed);
	atomic_store_explicit(&board->capacity, server->capacity, memory_order_relaxed);
	if (atomic_load_explicit(&board->state, memory_order_relaxed) == state)
		return;
	atomic_store_explicit(&board->state_since_ms, server->dispatcher->now_us / 1000,
			      memory_order_relaxed);
	atomic_store_explicit(&board->state, state, memory_order_release);
}

/* What is on its way still goes out; then DRAIN says that it was the last. */
void server_drain(struct dispatcher *d, struct server *server)
{
	server->draining = true;
	server->owed |= OWED_DRAIN;
	turn_server(d, server);
	turn_service(d, server->service);
}

void server_check_idle(struct dispatcher *d, struct server *server)
{
	if (!server->drain_asked || server->idle_told || !server->accounted)
		return;
	if (server_pending(server) || server->active)
		return;
	server->idle_told = true;
	tell_slot(d, LINK_IDLE, server->slot, server->generation);
}
