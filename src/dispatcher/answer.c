/*
 * answer.c: messages from the supervisor.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "dispatcher.h"

static void close_all(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

/* The supervisor speaks nonsense, or there is no memory: a new dispatcher does better than half a table. */
static void give_up(struct dispatcher *d)
{
	dispatcher_stop(d, 1);
}

static void answer_commit(struct dispatcher *d, uint32_t table)
{
	if (staging_check(d, table) || apply_staging(d) < 0) {
		give_up(d);
		return;
	}
	staging_drop(d);
	tell_committed(d, table);
}

/* One server alone, between tables. */
static void answer_server(struct dispatcher *d, const struct link_server *record, const int *fds,
			  unsigned count)
{
	int error = d->staging ? 0 : staging_begin(d, &(struct link_begin){.servers = 1});
	bool alone = !error && !d->staging->begin.table;
	if (!error)
		error = staging_server(d, record, fds, count);
	if (!error && alone) {
		error = apply_server(d, &d->staging->server[0]);
		d->staging->servers = 0; /* its descriptors have found their owner */
		staging_drop(d);
	}
	if (error)
		give_up(d);
}

static void answer_died(struct dispatcher *d, const struct link_slot *slot)
{
	struct server *server = server_find(d, slot->slot, slot->generation);
	if (server)
		death_settle(d, server, DEATH_DEAD, LINK_SLOT_FREE);
	else
		tell_slot(d, LINK_SLOT_FREE, slot->slot, slot->generation);
}

static void answer_drain(struct dispatcher *d, const struct link_slot *slot)
{
	struct server *server = server_find(d, slot->slot, slot->generation);
	if (!server) {
		tell_slot(d, LINK_IDLE, slot->slot, slot->generation);
		return;
	}
	server->drain_asked = true;
	server_drain(d, server);
}

static void answer_forget(struct dispatcher *d, const struct link_slot *slot)
{
	struct server *server = server_find(d, slot->slot, slot->generation);
	if (server)
		death_settle(d, server, server->external ? DEATH_ALIVE : DEATH_DEAD, 0);
}

static void answer_pause(struct dispatcher *d, uint32_t index, bool paused)
{
	struct service *service = index < BOARD_SERVICES ? d->service[index] : NULL;
	if (!service)
		return;
	service->paused = paused;
	turn_service(d, service);
}

static void answer_quiesce(struct dispatcher *d, bool door)
{
	d->quiesced = true;
	d->quiet_told = false;
	d->door_shut = door;
	if (door)
		door_stop(d);
	for (struct service *service = service_next(d, NULL); service; service = service_next(d, service))
		turn_service(d, service);
}

/* Everything that is nobody's yet is closed and logged. */
static void answer_shutdown(struct dispatcher *d)
{
	answer_quiesce(d, false);
	for (uint32_t slot = 0; slot < BOARD_SLOTS; slot++) {
		struct server *server = d->server[slot];
		if (server && server->settling)
			death_settle(d, server, DEATH_DEAD, 0);
		server = d->server[slot];
		if (!server)
			continue;
		acknowledge_read(d, server, 64);
		requeue_unsent(d, server);
		(void)withdraw(d, server);
		while (server->sent.count) {
			uint32_t index = server->sent.first;
			ledger_unlink(&d->ledger, &server->sent, index);
			settle_closed(d, index, CLOSED_SHUTDOWN, server->slot);
		}
		turn_server(d, server);
	}
	for (struct service *service = service_next(d, NULL); service; service = service_next(d, service))
		requeue_close(d, service, CLOSED_SHUTDOWN);
	dispatcher_stop(d, 0);
}

/* Records of a table: their descriptors go into the staging. */
static bool answer_staged(struct dispatcher *d, const struct link_message *message, const int *fds,
			  unsigned count)
{
	int error;
	switch (message->type) {
	case LINK_BEGIN:
		error = staging_begin(d, &message->begin);
		break;
	case LINK_SERVICE:
		error = staging_service(d, &message->service);
		break;
	case LINK_RULE:
		error = staging_rule(d, &message->rule);
		break;
	case LINK_LISTENER:
		error = staging_listener(d, &message->listener, count ? fds[0] : -1);
		break;
	case LINK_SERVER:
		answer_server(d, &message->server, fds, count);
		return true;
	case LINK_COMMIT:
		answer_commit(d, message->commit.table);
		return true;
	default:
		return false;
	}
	if (error < 0)
		give_up(d);
	return true;
}

void answer_message(struct dispatcher *d, const struct link_message *message, int *fds, unsigned count)
{
	if (answer_staged(d, message, fds, count))
		return;
	if (message->type == LINK_HELD && count > 0) {
		recover_held(d, &message->held, fds[0]);
		return;
	}
	close_all(fds, count);
	switch (message->type) {
	case LINK_SERVER_DIED:
		answer_died(d, &message->slot);
		break;
	case LINK_DRAIN:
		answer_drain(d, &message->slot);
		break;
	case LINK_FORGET:
		answer_forget(d, &message->slot);
		break;
	case LINK_HAND_OVER:
		hand_over(d);
		break;
	case LINK_KEPT:
		knock_kept(d, &message->kept);
		break;
	case LINK_QUIESCE:
		answer_quiesce(d, message->quiesce.door != 0);
		break;
	case LINK_PING:
		tell_pong(d, message->ping.number);
		break;
	case LINK_SHUTDOWN:
		answer_shutdown(d);
		break;
	case LINK_PAUSE:
	case LINK_RESUME:
		answer_pause(d, message->service.service, message->type == LINK_PAUSE);
		break;
	default: /* HELLO comes once, before the loop */
		give_up(d);
		break;
	}
}

#define MESSAGES_A_TURN 256
#define LATER_S 0.01

static void read_link(struct dispatcher *d)
{
	for (unsigned n = 0; n < MESSAGES_A_TURN; n++) {
		struct link_message message;
		int fds[CHANNEL_FDS];
		unsigned count = 0;
		int result = channel_receive(&d->link, &message, fds, &count);
		if (result == 0)
			return;
		if (result < 0) {
			/* The end of the supervisor is our end; no descriptor left is a reason for a new one. */
			dispatcher_stop(d, result == -ECONNRESET ? 0 : 1);
			return;
		}
		if (link_check_from_supervisor(&message, sizeof(message), count)) {
			close_all(fds, count);
			give_up(d);
			return;
		}
		answer_message(d, &message, fds, count);
	}
}

static void flush_link(struct dispatcher *d)
{
	if (channel_flush(&d->link) < 0)
		dispatcher_stop(d, 1);
}

void answer_link(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)loop;
	struct dispatcher *d = watcher->data;
	if (events & EV_WRITE)
		flush_link(d);
	if (events & EV_READ)
		read_link(d);
}

void answer_link_later(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	flush_link(watcher->data);
}

void answer_link_watch(struct dispatcher *d)
{
	if (channel_pending(&d->link) && !channel_stuck(&d->link))
		ev_io_start(d->loop, &d->link_write);
	else
		ev_io_stop(d->loop, &d->link_write);
	if (channel_stuck(&d->link) && !ev_is_active(&d->link_later)) {
		ev_timer_set(&d->link_later, LATER_S, 0.);
		ev_timer_start(d->loop, &d->link_later);
	}
}
