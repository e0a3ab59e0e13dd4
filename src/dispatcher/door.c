/*
 * door.c: register.sock, where servers that somebody else started come in.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "dispatcher.h"

#define ACCEPT_MAX 16
#define PAUSE_S 1.

static void door_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)events;
	struct dispatcher *d = watcher->data;
	for (unsigned n = 0; n < ACCEPT_MAX; n++) {
		int fd = accept4(d->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			knock_begin(d, fd);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno != EAGAIN) { /* no descriptor, no memory */
			ev_io_stop(loop, watcher);
			ev_timer_set(&d->door_pause, PAUSE_S, 0.);
			ev_timer_start(loop, &d->door_pause);
		}
		return;
	}
}

static void door_again(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)events;
	struct dispatcher *d = watcher->data;
	ev_io_start(loop, &d->door_watch);
}

void door_start(struct dispatcher *d)
{
	if (d->door < 0 || d->door_watch.data)
		return;
	int flags = fcntl(d->door, F_GETFL);
	if (flags >= 0)
		(void)fcntl(d->door, F_SETFL, flags | O_NONBLOCK);
	ev_io_init(&d->door_watch, door_ready, d->door, EV_READ);
	ev_timer_init(&d->door_pause, door_again, PAUSE_S, 0.);
	d->door_watch.data = d->door_pause.data = d;
	ev_io_start(d->loop, &d->door_watch);
}

void door_stop(struct dispatcher *d)
{
	if (!d->door_watch.data)
		return;
	ev_io_stop(d->loop, &d->door_watch);
	ev_timer_stop(d->loop, &d->door_pause);
}
