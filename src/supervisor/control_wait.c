/*
 * control_wait.c: limits of, and words for, the later answers to up, down and roll.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_wait.h"
#include "slots.h"

#include <stdio.h>

#include "roll.h"

/* The supervisor's own time-outs come first, so that the answer can say what happened. */
#define SLACK_MS 5000u

/* Those that still run, or whose process group does. */
static unsigned living(const struct service *service)
{
	unsigned count = 0;

	for (const struct server *server = service->servers; server; server = server->next)
		if (!server->external && (server->pid || server->group))
			count++;
	return count;
}

/* The one that failed last, if any is not coming up. */
static const struct server *failed(const struct service *service)
{
	const struct server *last = NULL;

	for (const struct server *server = service->servers; server; server = server->next) {
		if (server->external || server->retiring || !server->last_exit[0])
			continue;
		if (server->phase != PHASE_FAILED && server->phase != PHASE_STOPPED &&
		    server->phase != PHASE_BACKOFF)
			continue;
		if (!last || server->phase_since_ms > last->phase_since_ms)
			last = server;
	}
	return last;
}

uint64_t control_wait_limit_ms(const struct service *service, enum control_command command)
{
	const struct table_service *want = service->want;
	uint64_t stop_ms, start_ms;

	if (!want || !want->has_server)
		return 0;
	stop_ms = (uint64_t)want->dispatch->drain_timeout_ms + want->server->stop_timeout_ms + SLACK_MS;
	start_ms = (uint64_t)want->server->ready_timeout_ms + SLACK_MS;
	switch (command) {
	case CONTROL_DOWN:
		return stop_ms;
	case CONTROL_ROLL:
		/* One after another. */
		return (stop_ms + start_ms) * (want->server->instances ? want->server->instances : 1);
	default:
		/* What a `down` just before has left must end first. */
		return living(service) ? stop_ms + start_ms : start_ms;
	}
}

bool control_wait_leftover(const struct supervisor *supervisor, const struct service *service,
			   char text[CONTROL_WHY])
{
	unsigned servers = 0;
	uint64_t connections = 0;

	for (const struct server *server = service->servers; server; server = server->next) {
		const struct board_server *board = slot_board(supervisor, server);
		uint32_t active = board && server->replaced ? board->active : 0;

		servers += active > 0;
		connections += active;
	}
	snprintf(text, CONTROL_WHY, "%s: %u old server%s still finish%s %llu connection%s", service->name,
		 servers, servers == 1 ? "" : "s", servers == 1 ? "es" : "", (unsigned long long)connections,
		 connections == 1 ? "" : "s");
	return servers > 0;
}

void control_wait_why(const struct service *service, enum control_command command, char why[CONTROL_WHY])
{
	const struct server *server = command == CONTROL_DOWN ? NULL : failed(service);

	if (service->down && command != CONTROL_DOWN)
		snprintf(why, CONTROL_WHY, "%s: it was taken down meanwhile", service->name);
	else if (!service->down && command == CONTROL_DOWN)
		snprintf(why, CONTROL_WHY, "%s: it was started again meanwhile", service->name);
	else if (command == CONTROL_DOWN)
		snprintf(why, CONTROL_WHY, "%s: %u of its servers still run", service->name, living(service));
	else if (roll_is_held(service))
		roll_why(service, why);
	else if (!server)
		snprintf(why, CONTROL_WHY, "%s: not all of its servers are ready; see lust-inetd status %s",
			 service->name, service->name);
	else if (server->last_line[0])
		snprintf(why, CONTROL_WHY, "%s: server %u: %s; it said: %s", service->name, server->instance,
			 server->last_exit, server->last_line);
	else
		snprintf(why, CONTROL_WHY, "%s: server %u: %s", service->name, server->instance,
			 server->last_exit);
}
