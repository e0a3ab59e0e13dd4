/*
 * gather.c: a server that works in batches says DONE for many connections at once.  A message for each would wake the
 * dispatcher for each; so they wait until a message is full, or for GATHER_NS.
 *
 * Only where nobody waits for it: while the daemon has credits for this server, and keeps no copies (with
 * `acknowledge = done` the end of a copy is the end of the socket).  And only where it pays: the timer wakes the server,
 * which for less than a few costs more than to say each at once.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define GATHER_NS INT64_C(5000000)
#define WORTH 4u /* setting the timer, waking, reading it and saying DONE are as many calls */
#define REST 64u
#define SECOND_NS INT64_C(1000000000)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int make_timer(const struct lust_server *server)
{
	struct epoll_event event = {.events = EPOLLIN};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (timer >= 0 && epoll_ctl(server->watch, EPOLL_CTL_ADD, timer, &event) < 0) {
		close(timer);
		return -1;
	}
	return timer;
}

/* The first DONE that waits starts it; it is not stopped when they are said earlier, and runs on for the next. */
static bool arm(struct lust_server *server)
{
	struct lust_gather *gather = &server->gather;
	int64_t end = now_ns() + GATHER_NS;
	struct itimerspec when = {.it_value = {.tv_sec = end / SECOND_NS, .tv_nsec = end % SECOND_NS}};

	if (gather->timer < 0)
		gather->timer = make_timer(server);
	if (gather->timer < 0 || timerfd_settime(gather->timer, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		return false;
	gather->end_ns = end;
	gather->armed = true;
	gather->count = 0;
	return true;
}

/* Connections on their way to us are not counted here: so half of the capacity is the bound. */
static bool has_credits(const struct lust_server *server)
{
	return server->capacity == 0 || server->held.used <= server->capacity / 2;
}

bool lust_gather_may_wait(const struct lust_server *server)
{
	return server->phase == LUST_PHASE_REGISTERED && has_credits(server);
}

bool lust_gather(struct lust_server *server)
{
	struct lust_gather *gather = &server->gather;

	if (server->batch == 1 || server->explicit_take || !lust_gather_may_wait(server) ||
	    server->unaccounted || server->drain_asked || server->acknowledge != LUST_WIRE_ACK_TAKEN ||
	    server->due || server->blocked || server->held.due >= LUST_WIRE_BATCH)
		return false;
	if (gather->rest) {
		gather->rest--;
		return false;
	}
	gather->waiting = gather->armed || arm(server);
	gather->count += gather->waiting;
	return gather->waiting;
}

bool lust_gather_is_over(struct lust_server *server)
{
	struct lust_gather *gather = &server->gather;
	uint64_t count;

	if (gather->armed && now_ns() >= gather->end_ns &&
	    read(gather->timer, &count, sizeof(count)) == sizeof(count)) {
		gather->armed = false;
		gather->rest = gather->count < WORTH ? REST : 0;
		return true;
	}
	return !gather->waiting;
}
