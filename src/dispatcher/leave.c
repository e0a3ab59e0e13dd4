/*
 * leave.c: servers that leave or are cut off.  Both ends of a pair are held here, so no hang-up of the pair tells of a
 * death: a supervised server's is told by the supervisor, an outsider's by its lifeline and its pidfd.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "dispatcher.h"
#include "fd_message.h"
#include "identity.h"

#define LEAVE_S 1. /* an exiting process closes its descriptors a little before its pidfd tells */

/* Gets no more, and is not listened to. */
static void leave_begin(struct dispatcher *d, struct server *server)
{
	if (server->cut)
		return;
	service_count_server(server->service, server, -1);
	server->cut = true;
	ev_io_stop(d->loop, &server->read);
	ev_timer_stop(d->loop, &server->stall);
	requeue_unsent(d, server);
	server->owed = 0;
	turn_server(d, server);
	turn_service(d, server->service);
}

/* Nobody would hear what it says of what it still receives. */
static void leave_withdraw(struct dispatcher *d, struct server *server)
{
	(void)withdraw(d, server);
	server->owed = 0;
}

static void leave_at_turn_end(struct server *server, enum death_kind kind)
{
	server->going = kind;
	turn_server(server->dispatcher, server);
}

/* Dead or alive?  The pidfd knows. */
static void leave_wait(struct dispatcher *d, struct server *server, enum death_kind without_pidfd)
{
	if (server->pidfd < 0)
		leave_at_turn_end(server, without_pidfd);
	else if (!ev_is_active(&server->leave))
		ev_timer_start(d->loop, &server->leave);
}

void leave_cut(struct dispatcher *d, struct server *server, enum event_refusal why)
{
	if (server->cut || server->settling)
		return;
	report_server(d, EVENT_PROTOCOL, server, why, 0);
	leave_begin(d, server);
	leave_withdraw(d, server);
	if (server->external) {
		server->denied = why;
		leave_at_turn_end(server, DEATH_ALIVE);
	} else {
		say_denied(server->ours, why);
		tell_deregistered(d, server, event_refusal_text(why));
	}
}

void leave_closed(struct dispatcher *d, struct server *server)
{
	if (server->cut || server->settling)
		return;
	leave_begin(d, server);
	leave_withdraw(d, server);
	if (server->external)
		leave_wait(d, server, DEATH_ALIVE);
	else
		tell_deregistered(d, server, "closed its pair");
}

static void leave_time_up(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	leave_at_turn_end(watcher->data, DEATH_ALIVE);
}

/* Nothing is ever said here; what comes all the same is thrown away, descriptors first. */
static bool hung_up(int lifeline)
{
	struct pollfd look = {.fd = lifeline, .events = POLLIN | POLLRDHUP};
	int ready;
	do
		ready = poll(&look, 1, 0);
	while (ready < 0 && errno == EINTR); /* linger.c's timer */
	if (ready < 0)
		return false;
	if (look.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL))
		return true;
	union lust_wire_message message;
	struct lust_message from;
	int result = lust_message_receive(lifeline, &message, sizeof(message), &from, 0, MSG_DONTWAIT);
	return result < 0 && result != -EAGAIN && result != -EINTR;
}

/* The array of servers shrinks under whoever goes through it: one at a time. */
static struct server *left_behind(const struct service *service, int32_t pid)
{
	for (uint32_t i = 0; i < service->server_count; i++) {
		struct server *server = service->server[i];
		if (server->external && server->pid == pid && !server->settling &&
		    (ev_is_active(&server->leave) || hung_up(server->lifeline)))
			return server;
	}
	return NULL;
}

void leave_returning(struct dispatcher *d, const struct service *service, int32_t pid)
{
	struct server *server;
	while ((server = left_behind(service, pid)))
		death_settle(d, server, DEATH_ALIVE, LINK_GONE);
}

static void lifeline_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)events;
	struct server *server = watcher->data;
	if (!hung_up(server->lifeline))
		return;
	ev_io_stop(loop, watcher);
	leave_begin(server->dispatcher, server);
	leave_wait(server->dispatcher, server, DEATH_DEAD);
}

static void pidfd_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)events;
	ev_io_stop(loop, watcher);
	leave_at_turn_end(watcher->data, DEATH_DEAD);
}

void leave_watch(struct dispatcher *d, struct server *server)
{
	ev_init(&server->lifeline_watch, lifeline_ready);
	ev_init(&server->pidfd_watch, pidfd_ready);
	ev_timer_init(&server->leave, leave_time_up, LEAVE_S, 0.);
	server->lifeline_watch.data = server->pidfd_watch.data = server->leave.data = server;
	if (server->lifeline < 0)
		return;
	ev_io_set(&server->lifeline_watch, server->lifeline, EV_READ);
	ev_io_start(d->loop, &server->lifeline_watch);
	server->pidfd = identity_pidfd(server->lifeline);
	if (server->pidfd >= 0) {
		ev_io_set(&server->pidfd_watch, server->pidfd, EV_READ);
		ev_io_start(d->loop, &server->pidfd_watch);
	} else if (server->pidfd == -ESRCH) {
		leave_at_turn_end(server, DEATH_DEAD);
	}
}
