/*
 * handle.c: the handle's life, and the descriptor that loops watch.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server.h"

#define FAREWELL_MS 1000 /* what is due gets this long to leave when the handle is freed */

static int watch_add(int watch, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

struct lust_server *lust_handle_new(void)
{
	struct lust_server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return NULL;
	pthread_mutex_init(&server->lock, NULL);
	lust_held_init(&server->held);
	server->owner = getpid();
	server->pair = server->lifeline = server->nudge = server->reconnect.timer = -1;
	server->gather.timer = -1;
	server->watch = epoll_create1(EPOLL_CLOEXEC);
	if (server->watch >= 0)
		server->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = server->nudge < 0 ? -errno : watch_add(server->watch, server->nudge, EPOLLIN);
	if (error < 0) {
		lust_server_free(server);
		errno = -error;
		return NULL;
	}
	return server;
}

int lust_handle_attach(struct lust_server *server, int pair)
{
	server->pair = pair;
	server->watched = EPOLLIN;
	return watch_add(server->watch, pair, EPOLLIN);
}

void lust_handle_refresh(struct lust_server *server)
{
	/* Connections that wait only for room to say TAKEN must not wake the application: room does. */
	bool nudge = lust_handle_ended(server) || server->reconnect.refused ||
		     (server->waiting_count && !server->blocked);
	uint32_t events = server->blocked ? EPOLLOUT : 0;

	if (!server->blocked || !server->waiting_count)
		events |= EPOLLIN;
	if (server->pair >= 0 && events != server->watched) {
		struct epoll_event event = {.events = events, .data.fd = server->pair};

		if (epoll_ctl(server->watch, EPOLL_CTL_MOD, server->pair, &event) == 0)
			server->watched = events;
	}
	if (nudge != server->nudged) {
		uint64_t count = 1;
		ssize_t size = nudge ? write(server->nudge, &count, sizeof(count))
				     : read(server->nudge, &count, sizeof(count));

		if (size == sizeof(count))
			server->nudged = nudge;
	}
}

int lust_server_fd(const struct lust_server *server)
{
	return server->watch;
}

const char *lust_server_reason(const struct lust_server *server)
{
	return server->reason;
}

static void give_back_waiting(struct lust_server *server)
{
	while (server->waiting_count) {
		const struct lust_waiting *waiting = &server->waiting[server->waiting_first];
		struct lust_held *held = lust_held_by_id(&server->held, waiting->entry.id);

		if (held)
			lust_held_queue(&server->held, held, LUST_HELD_REFUSE_DUE);
		server->waiting_first = (server->waiting_first + 1) % LUST_WAITING_MAX;
		server->waiting_count--;
	}
}

/* What was received and not returned, and what still comes, goes to other servers; what is over is told. */
static void say_farewell(struct lust_server *server)
{
	if (server->phase != LUST_PHASE_REGISTERED && server->phase != LUST_PHASE_DRAINED)
		return;
	if (server->phase == LUST_PHASE_REGISTERED) {
		server->due |= LUST_DUE_DRAINING;
		server->phase = LUST_PHASE_DRAINED;
	}
	give_back_waiting(server);
	for (int64_t deadline = lust_deadline(FAREWELL_MS);;) {
		if (lust_flush(server) == 0) {
			while (lust_pump(server) > 0)
				;
			if (lust_flush(server) == 0)
				return;
		}
		if (lust_wait_ready(server->pair, deadline, POLLOUT) == -ETIMEDOUT)
			return;
	}
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void lust_server_free(struct lust_server *server)
{
	if (!server)
		return;
	if (server->owner == getpid())
		say_farewell(server);
	for (unsigned i = 0; i < server->waiting_count; i++)
		close(server->waiting[(server->waiting_first + i) % LUST_WAITING_MAX].fd);
	for (struct lust_held *held = lust_held_due(&server->held); held;
	     held = lust_held_due_after(&server->held, held)) {
		if (held->state == LUST_HELD_REFUSE_DUE)
			close_fd(held->fd);
	}
	lust_held_clear(&server->held);
	close_fd(server->watch);
	close_fd(server->nudge);
	close_fd(server->reconnect.timer);
	close_fd(server->gather.timer);
	close_fd(server->pair);
	close_fd(server->lifeline);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
