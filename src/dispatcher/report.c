/*
 * report.c: events to the logger, over a pipe that never blocks.  What strangers can cause is rate-limited; what is
 * not said is counted, and the count is said.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dispatcher.h"

bool report_permit(struct report_limit *limit, uint64_t now_ms)
{
	/* A window that suppressed something lasts until that was said. */
	if (!limit->suppressed && now_ms - limit->window_ms >= REPORT_WINDOW_MS)
		*limit = (struct report_limit){.window_ms = now_ms};
	if (limit->said < REPORT_BURST) {
		limit->said++;
		return true;
	}
	limit->suppressed++;
	return false;
}

static bool limited(enum event_code code)
{
	switch (code) {
	case EVENT_REFUSED_REGISTRATION:
	case EVENT_PROTOCOL:
	case EVENT_UNKNOWN_ID:
	case EVENT_DENIED:
	case EVENT_SEND_FAILED:
	case EVENT_TRUNCATED:
	case EVENT_STALLED:
	case EVENT_RECOVERED:
		return true;
	default:
		return false;
	}
}

/* Smaller than PIPE_BUF: whole or not at all. */
static bool put(struct dispatcher *d, struct event *event)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	event->time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	return write(d->events, event, sizeof(*event)) == (ssize_t)sizeof(*event);
}

static void put_or_count(struct dispatcher *d, struct event *event)
{
	if (d->events_dropped) {
		struct event dropped = {.code = EVENT_DROPPED,
					.number = d->events_dropped,
					.service = BOARD_NONE,
					.slot = BOARD_NONE};
		if (put(d, &dropped))
			d->events_dropped = 0;
	}
	if (d->events_dropped || !put(d, event)) {
		d->events_dropped++;
		atomic_fetch_add_explicit(&d->board->events_dropped, 1, memory_order_relaxed);
	}
}

static void wait_for_end(struct dispatcher *d)
{
	if (ev_is_active(&d->report_timer))
		return;
	ev_timer_set(&d->report_timer, REPORT_WINDOW_MS / 1e3, 0.);
	ev_timer_start(d->loop, &d->report_timer);
}

void report(struct dispatcher *d, struct event *event)
{
	struct report_limit *limit = &d->report[event->code];
	if (limited((enum event_code)event->code) && !report_permit(limit, d->now_us / 1000)) {
		wait_for_end(d);
		return;
	}
	put_or_count(d, event);
}

void report_timer(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	struct dispatcher *d = watcher->data;
	for (unsigned code = 0; code < EVENT_CODES; code++) {
		struct report_limit *limit = &d->report[code];
		if (!limit->suppressed)
			continue;
		put_or_count(d, &(struct event){.code = EVENT_SUPPRESSED,
						.code2 = (uint16_t)code,
						.number = limit->suppressed,
						.service = BOARD_NONE,
						.slot = BOARD_NONE});
		*limit = (struct report_limit){0};
	}
}

void report_server(struct dispatcher *d, enum event_code code, const struct server *server, uint64_t number,
		   int error)
{
	report(d, &(struct event){
			  .code = (uint16_t)code,
			  .number = number,
			  .error = error,
			  .service = server->service->index,
			  .slot = server->slot,
			  .pid = server->pid,
			  .uid = server->uid,
			  .gid = server->gid,
			  .instance = server->instance,
		  });
}

void report_entry(struct dispatcher *d, enum event_code code, uint32_t index, uint32_t slot)
{
	const struct board_entry *entry = &d->board->ledger[index];
	struct event event = {
		.code = (uint16_t)code,
		.id = entry->id,
		.service = entry->service,
		.slot = slot,
		.family = entry->family,
		.port = entry->port,
	};
	memcpy(event.ip, entry->ip, sizeof(event.ip));
	if (slot < BOARD_SLOTS && d->server[slot]) {
		event.pid = d->server[slot]->pid;
		event.instance = d->server[slot]->instance;
	}
	report(d, &event);
}
