/*
 * dispatcher.c: the dispatcher's state, made and unmade.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "dispatcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "fd_message.h"

static bool dirty_open(struct dirty *dirty, size_t size)
{
	dirty->listed = calloc(size, sizeof(*dirty->listed));
	dirty->number = calloc(size, sizeof(*dirty->number));
	return dirty->listed && dirty->number;
}

static void dirty_close(struct dirty *dirty)
{
	free(dirty->listed);
	free(dirty->number);
}

static void start_link(struct dispatcher *d, int fd)
{
	channel_init(&d->link, fd, sizeof(struct link_message));
	ev_io_init(&d->link_read, answer_link, fd, EV_READ);
	ev_io_init(&d->link_write, answer_link, fd, EV_WRITE);
	ev_timer_init(&d->link_later, answer_link_later, 0., 0.);
	d->link_read.data = d->link_write.data = d->link_later.data = d;
	ev_io_start(d->loop, &d->link_read);
}

static int open_parts(struct dispatcher *d, const struct dispatcher_parts *parts)
{
	d->board = board_map(parts->board, true);
	if (!d->board)
		return -errno;
	d->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!d->loop)
		return -ENOMEM;
	if (!dirty_open(&d->dirty_services, BOARD_SERVICES) || !dirty_open(&d->dirty_servers, BOARD_SLOTS))
		return -ENOMEM;
	return ledger_open(&d->ledger, d->board, d->generation);
}

static void introduce(struct dispatcher *d)
{
	struct rlimit limit = {0};
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	atomic_store(&d->board->generation, d->generation);
	atomic_store(&d->board->started_ms, d->now_us / 1000);
	atomic_store(&d->board->turn_ms, 0);
	atomic_store(&d->board->fds_limit,
		     limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur);
	report(d, &(struct event){.code = EVENT_STARTED,
				  .number = d->generation,
				  .service = BOARD_NONE,
				  .slot = BOARD_NONE});
}

struct dispatcher *dispatcher_new(const struct dispatcher_parts *parts)
{
	struct dispatcher *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->generation = parts->generation;
	d->held_most = parts->open_most ? parts->open_most : LUST_WIRE_HELD_MAX;
	d->events = parts->events;
	d->door = parts->door;
	d->link.fd = parts->link;
	d->now_us = clock_us();
	int error = open_parts(d, parts);
	if (!error)
		error = knocks_open(d);
	if (error) {
		dispatcher_free(d);
		close(parts->board);
		errno = -error;
		return NULL;
	}
	close(parts->board);
	d->spare = fcntl(parts->link, F_DUPFD_CLOEXEC, 3);
	start_link(d, parts->link);
	ev_timer_init(&d->report_timer, report_timer, 0., 0.);
	ev_timer_init(&d->sweep, requeue_sweep, 0., 1.);
	d->report_timer.data = d->sweep.data = d;
	turn_start(d);
	introduce(d);
	recover_begin(d);
	return d;
}

void dispatcher_free(struct dispatcher *d)
{
	for (uint32_t slot = 0; slot < BOARD_SLOTS; slot++)
		if (d->server[slot])
			server_free(d->server[slot]);
	for (uint32_t index = 0; index < BOARD_LISTENERS; index++)
		if (d->listener[index])
			listener_free(d, d->listener[index]);
	linger_stop(&d->linger);
	staging_drop(d);
	for (uint32_t index = 0; index < d->services_high; index++) {
		struct service *service = d->service[index];
		if (!service)
			continue;
		service->removed = true;
		service->queue.count = 0; /* the descriptors close below */
		service_free_if_gone(d, service);
	}
	/* What was inherited and taken back may lie above ledger.high. */
	for (uint32_t i = 0; i < BOARD_LEDGER && d->ledger.fds; i++) {
		if (ledger_state(&d->ledger, i) == LEDGER_FREE || d->ledger.entry[i].fd < 0)
			continue;
		lust_close_unlingered(d->ledger.entry[i].fd);
		d->ledger.fds--;
	}
	knocks_close(d);
	if (d->door >= 0)
		close(d->door);
	if (d->spare > 0)
		close(d->spare);
	close(d->events);
	channel_close(&d->link);
	ledger_close(&d->ledger);
	free(d->inherited);
	dirty_close(&d->dirty_services);
	dirty_close(&d->dirty_servers);
	board_unmap(d->board);
	if (d->loop)
		ev_loop_destroy(d->loop);
	free(d);
}

void dispatcher_stop(struct dispatcher *d, int exit_code)
{
	d->exit_code = exit_code;
	ev_break(d->loop, EVBREAK_ALL);
}
