/*
 * service_state.c: what `status` calls a service, and why.  Pure.  The worst trouble names the state.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>
#include <string.h>

#include "listeners.h"
#include "roll.h"
#include "services.h"
#include "slots.h"

struct count {
	unsigned ready, starting, backoff, stopped, stalled, failed, ending, external;
	const struct server *failed_one, *stopped_one, *stalled_one, *backoff_one;
};

static struct count count_servers(const struct supervisor *s, const struct service *service)
{
	struct count count = {0};

	for (const struct server *server = service->servers; server != NULL; server = server->next) {
		count.external += server->external;
		/* While it comes up, the current one of its instance serves. */
		if (server->newcomer)
			continue;
		switch (server->phase) {
		case PHASE_READY:
			if (server_stalled(s, server)) {
				count.stalled++;
				count.stalled_one = server;
			} else {
				count.ready++;
			}
			break;
		case PHASE_STARTING:
			count.starting++;
			break;
		case PHASE_BACKOFF:
			/* One that never failed just waits for its turn to start. */
			if (server->failures == 0) {
				count.starting++;
				break;
			}
			count.backoff++;
			if (count.backoff_one == NULL || server->until_ms < count.backoff_one->until_ms)
				count.backoff_one = server;
			break;
		case PHASE_STOPPED:
			count.stopped++;
			count.stopped_one = server;
			break;
		case PHASE_FAILED:
			count.failed++;
			count.failed_one = server;
			break;
		case PHASE_DRAINING:
		case PHASE_STOPPING:
		case PHASE_KILLING:
			count.ending++;
			break;
		}
	}
	return count;
}

/* A moment of CLOCK_MONOTONIC as wall clock seconds. */
static uint64_t wall(uint64_t moment_ms)
{
	uint64_t now = clock_ms();

	return moment_ms > now ? (uint64_t)time(NULL) + (moment_ms - now + 999) / 1000 : 0;
}

static const struct listener *unbound(const struct service *service, unsigned *bound, unsigned *missing)
{
	const struct listener *first = NULL;

	*bound = *missing = 0;
	for (const struct listener *listener = service->listeners; listener != NULL;
	     listener = listener->next) {
		if (listener->fd >= 0) {
			(*bound)++;
			continue;
		}
		(*missing)++;
		if (first == NULL)
			first = listener;
	}
	return first;
}

static void say_unbound(const struct listener *listener, char reason[160], uint64_t *until_s)
{
	char address[ADDRESS_TEXT];
	int error = listener_error(listener);
	const char *hint = listen_hint(error, &listener->want->address);

	snprintf(reason, 160, "%s: %s%s%s", address_format(&listener->want->address, address),
		 strerror(error), hint[0] != '\0' ? "; " : "", hint);
	*until_s = wall(listener->more != NULL ? listener->more->retry_ms : 0);
}

static void say_server(const struct server *server, const char *what, char reason[160])
{
	/* The end is cut before what it means: that is the part that helps. */
	size_t meaning = strlen(what) + sizeof("server 4294967295: ; ");
	int room = meaning < 160 ? (int)(160 - meaning) : 0;
	snprintf(reason, 160, "server %u: %.*s%s%s", server->instance, room, server->last_exit,
		 server->last_exit[0] != '\0' ? "; " : "", what);
}

static void say_stalled(const struct server *server, char reason[160])
{
	char who[32];

	snprintf(who, sizeof(who), "server %u", server->instance);
	snprintf(reason, 160, "%s (pid %d): no sign of life for take-timeout; its connections went to others",
		 server->instance > 0 ? who : "a server from outside", (int)server->pid);
}

/* Nothing can be served, and only the administrator can change it. */
static bool is_failed(const struct service *service, const struct count *count, char reason[160],
		      uint64_t *until_s)
{
	unsigned bound, missing;
	const struct listener *listener = unbound(service, &bound, &missing);

	if (missing > 0 && bound == 0) {
		say_unbound(listener, reason, until_s);
		return true;
	}
	if (count->failed == 0 || count->ready > 0)
		return false;
	char what[96];
	snprintf(what, sizeof(what), "given up (restart-limit): `lust-inetd up %.40s` tries again",
		 service->name);
	say_server(count->failed_one, what, reason);
	return true;
}

static bool is_stopped(const struct service *service, const struct count *count, char reason[160])
{
	if (service->down) {
		snprintf(reason, 160, "stopped by `down`: `lust-inetd up %.63s` starts it", service->name);
		return true;
	}
	if (count->stopped == 0 || count->ready + count->starting + count->backoff > 0)
		return false;
	say_server(count->stopped_one, "not started again (restart)", reason);
	return true;
}

/* "03:12", with the date unless it is today's. */
static const char *clock_text(uint64_t moment_s, char text[20])
{
	time_t at = (time_t)moment_s, now = time(NULL);
	struct tm then, today;

	if (localtime_r(&at, &then) == NULL || localtime_r(&now, &today) == NULL)
		return "?";
	bool same_day = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
	strftime(text, 20, same_day ? "%H:%M" : "%Y-%m-%d %H:%M", &then);
	return text;
}

static bool is_paused(const struct service *service, char reason[160])
{
	char since[20], who[16] = "root";

	if (!service->paused)
		return false;
	if (service->more->paused_by != 0)
		snprintf(who, sizeof(who), "uid %u", (unsigned)service->more->paused_by);
	snprintf(reason, 160, "paused by %s since %.16s: `lust-inetd resume %.63s` goes on", who,
		 clock_text(service->more->paused_since_s, since), service->name);
	return true;
}

/* With `done` it may be the dispatcher that has no room. */
static bool kept_full(const struct supervisor *s, const struct service *service)
{
	return service->want != NULL && service->want->dispatch->acknowledge == ACKNOWLEDGE_DONE &&
	       atomic_load_explicit(&s->board->held_full, memory_order_relaxed);
}

static bool is_full(const struct supervisor *s, const struct service *service,
		    const struct board_reading *reading, const struct count *count, char reason[160])
{
	uint64_t now = clock_ms();

	if (reading->full_since_ms == 0 || reading->full_since_ms > now || count->ready == 0)
		return false;
	double waited = (double)(now - reading->full_since_ms) / 1000.;
	if (kept_full(s, service))
		snprintf(reason, 160,
			 "no room to keep more connections until DONE for %.1f s; raise the hard limit of "
			 "open files, or acknowledge = taken",
			 waited);
	else
		snprintf(reason, 160,
			 "no server has room for %.1f s; raise instances, or the servers' capacity", waited);
	return true;
}

static bool is_degraded(const struct service *service, const struct count *count, char reason[160],
			uint64_t *until_s)
{
	unsigned bound, missing;
	const struct listener *listener = unbound(service, &bound, &missing);

	if (missing > 0) {
		say_unbound(listener, reason, until_s);
		return true;
	}
	if (count->failed > 0) {
		say_server(count->failed_one, "given up (restart-limit)", reason);
		return true;
	}
	if (count->backoff > 0) {
		say_server(count->backoff_one, "waits to be started again (restart-delay)", reason);
		*until_s = wall(count->backoff_one->until_ms);
		return true;
	}
	if (count->stalled > 0) {
		say_stalled(count->stalled_one, reason);
		return true;
	}
	if (count->stopped > 0) {
		say_server(count->stopped_one, "not started again (restart)", reason);
		return true;
	}
	if (roll_is_held(service)) {
		roll_reason(service, reason);
		return true;
	}
	return false;
}

static bool is_starting(const struct service *service, const struct count *count, char reason[160])
{
	unsigned wanted = service_wanted(service);

	if (wanted == 0 ||
	    count->ready - (count->external < count->ready ? count->external : count->ready) >= wanted)
		return false;
	snprintf(reason, 160, "%u of %u servers registered", count->ready, wanted);
	return true;
}

enum control_service_state service_state(const struct supervisor *s, const struct service *service,
					 const struct board_reading *reading, char reason[160],
					 uint64_t *until_s)
{
	struct count count = count_servers(s, service);

	reason[0] = '\0';
	*until_s = 0;
	if (is_failed(service, &count, reason, until_s))
		return SERVICE_FAILED;
	if (is_stopped(service, &count, reason))
		return SERVICE_STOPPED;
	if (is_paused(service, reason))
		return SERVICE_PAUSED;
	if (is_full(s, service, reading, &count, reason))
		return SERVICE_FULL;
	if (is_degraded(service, &count, reason, until_s))
		return SERVICE_DEGRADED;
	if (is_starting(service, &count, reason))
		return SERVICE_STARTING;
	if (service_wanted(service) == 0 && count.ready == 0) {
		snprintf(reason, 160, "no server has registered (start = external)");
		return SERVICE_WAITING;
	}
	return SERVICE_READY;
}
