/*
 * status_service.c: one service, its listeners and its servers as records.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"
#include "listeners.h"
#include "servers.h"
#include "services.h"
#include "slots.h"

#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST (UINT64_C(1) << 48) /* sums of a dozen of these fit what every JSON reader counts exactly */

static void clamp(uint64_t *number)
{
	if (*number > LARGEST)
		*number = LARGEST;
}

void status_clamp(struct board_reading *reading)
{
	clamp(&reading->since_s);
	clamp(&reading->pending);
	clamp(&reading->active);
	clamp(&reading->done);
	clamp(&reading->died);
	clamp(&reading->lost);
	clamp(&reading->redispatched);
	reading->taken = reading->active + reading->done + reading->died;
	reading->accepted = reading->pending + reading->taken + reading->lost;
	for (unsigned i = 0; i < DENIED_COUNT; i++) {
		clamp(&reading->denied[i]);
		reading->accepted += reading->denied[i];
	}
	for (unsigned i = 0; i < CLOSED_COUNT; i++) {
		clamp(&reading->closed[i]);
		reading->accepted += reading->closed[i];
	}
}

enum control_server_state status_server_state(enum server_phase phase, uint32_t board_state)
{
	switch (phase) {
	case PHASE_BACKOFF:
		return SERVER_BACKOFF;
	case PHASE_STARTING:
		return SERVER_STARTING;
	case PHASE_READY:
		if (board_state == BOARD_SERVER_STALLED)
			return SERVER_STALLED;
		if (board_state == BOARD_SERVER_DRAINING)
			return SERVER_DRAINING;
		return SERVER_READY;
	case PHASE_DRAINING:
	case PHASE_STOPPING:
	case PHASE_KILLING:
		return SERVER_DRAINING;
	case PHASE_STOPPED:
		return SERVER_STOPPED;
	case PHASE_FAILED:
		break;
	}
	return SERVER_FAILED;
}

/* A moment of CLOCK_MONOTONIC as wall clock seconds; 0 stays 0. */
static uint64_t wall_clock(uint64_t moment_ms, uint64_t now_ms, uint64_t now_s)
{
	if (!moment_ms)
		return 0;
	if (moment_ms > now_ms)
		return now_s + (moment_ms - now_ms + 999) / 1000;
	if ((now_ms - moment_ms) / 1000 > now_s)
		return 0;
	return now_s - (now_ms - moment_ms) / 1000;
}

static void copy_server(const struct supervisor *supervisor, const struct server *server,
			struct control_server *out, uint64_t now_s)
{
	const struct board_server *board = slot_board(supervisor, server);
	uint64_t now_ms = clock_ms(), since_ms = server->phase_since_ms;
	uint32_t board_state = board ? board->state : BOARD_SERVER_NONE;

	*out = (struct control_server){
		.slot = server->slot,
		.instance = server->instance,
		.generation = server->built,
		.state = status_server_state(server->phase, board_state),
		.pid = server->pid,
		.uid = server->uid,
		.supervised = !server->external,
		.restarts = server->restarts,
		.last_exit_s = server->last_exit_s,
		.until_s = wall_clock(server->until_ms, now_ms, now_s),
	};
	if (board) {
		out->capacity = board->capacity;
		out->pending = board->pending;
		out->active = board->active;
		out->taken = board->taken;
		out->refused = board->refused;
		out->stalls = board->stalls;
		clamp(&out->taken);
		clamp(&out->refused);
		clamp(&out->stalls);
		if (out->state == SERVER_STALLED && board->state_since_ms <= now_ms)
			since_ms = board->state_since_ms;
	}
	out->state_s = wall_clock(since_ms, now_ms, now_s);
	if (server->pid > 0 && server->started_ms && server->started_ms <= now_ms)
		out->uptime_ms = now_ms - server->started_ms;
	status_copy_text(out->label, sizeof(out->label), server->label);
	status_copy_text(out->last_exit, sizeof(out->last_exit), server->last_exit);
	status_copy_text(out->last_line, sizeof(out->last_line), server->last_line);
}

static void copy_listener(const struct listener *listener, struct unix_queues *queues,
			  struct control_listener *out)
{
	uint64_t now_ms = clock_ms();

	memset(out, 0, sizeof(*out));
	status_copy_text(out->said, sizeof(out->said), listener->want->said);
	size_t name_length = listener->want->name_length;
	if (name_length < sizeof(out->name))
		memcpy(out->name, listener->want->said, name_length);
	address_format(&listener->want->address, out->address);
	out->bound = listener->fd >= 0;
	if (out->bound) {
		struct listen_queue queue = listen_queue(listener, queues);
		out->backlog = queue.backlog;
		out->waiting = queue.waiting;
		out->dropped = listen_dropped(listener);
		return;
	}
	if (!listener->more)
		return;
	status_copy_text(out->error, sizeof(out->error),
			 listener->more->error ? strerror(listener->more->error) : "");
	if (listener->more->retry_ms > now_ms)
		out->retry_s = (listener->more->retry_ms - now_ms + 999) / 1000;
}

static void copy_numbers(const struct supervisor *supervisor, const struct service *service,
			 struct control_service *out)
{
	const struct board_latency *latency;
	uint64_t now_ms = clock_ms();

	if (!supervisor->board || service->index >= BOARD_SERVICES)
		return;
	board_read_service(supervisor->board, service->index, &out->connections);
	status_clamp(&out->connections);
	/* Reading a page that was never written would take memory for it. */
	if (!out->connections.accepted)
		return;
	latency = &supervisor->board->latency[service->index];
	board_percentiles(latency->taken, now_ms, 60, &out->latency);
	board_percentiles(latency->waited, now_ms, 60, &out->waited);
	out->per_s_10 = board_rate(latency->taken, now_ms, 10);
	out->per_s_60 = board_rate(latency->taken, now_ms, 60);
}

static void copy_state(const struct supervisor *supervisor, struct service *service,
		       struct control_service *out)
{
	out->state = service_state(supervisor, service, &out->connections, out->reason, &out->until_s);
	if (out->state != service->state || !service->state_since_s) {
		service->state = (uint8_t)out->state;
		service->state_since_s = (uint32_t)time(NULL);
	}
	out->state_s = out->state == SERVICE_PAUSED ? service->more->paused_since_s : service->state_since_s;
}

static void copy_service(const struct supervisor *supervisor, struct service *service,
			 struct control_service *out)
{
	memset(out, 0, sizeof(*out));
	status_copy_text(out->name, sizeof(out->name), service->name);
	copy_numbers(supervisor, service, out);
	copy_state(supervisor, service, out);
	out->generation = service->generation;
	out->wanted = service_wanted(service);
	out->ready = service_ready_count(supervisor, service);
	for (const struct listener *listener = service->listeners; listener; listener = listener->next)
		out->listeners++;
	for (const struct server *server = service->servers; server; server = server->next)
		out->servers++;
}

int status_copy_service(struct supervisor *supervisor, struct service *service, struct status_cursor *cursor)
{
	uint64_t now_s = (uint64_t)time(NULL);
	size_t at = 0;

	copy_service(supervisor, service, &cursor->service);
	cursor->listeners = calloc(cursor->service.listeners + 1, sizeof(*cursor->listeners));
	cursor->servers = calloc(cursor->service.servers + 1, sizeof(*cursor->servers));
	if (!cursor->listeners || !cursor->servers) {
		free(cursor->listeners);
		free(cursor->servers);
		cursor->listeners = NULL;
		cursor->servers = NULL;
		return -ENOMEM;
	}
	for (const struct listener *listener = service->listeners; listener; listener = listener->next)
		copy_listener(listener, &cursor->queues, &cursor->listeners[at++]);
	at = 0;
	for (const struct server *server = service->servers; server; server = server->next)
		copy_server(supervisor, server, &cursor->servers[at++], now_s);
	cursor->group = 0;
	cursor->group_size = 1 + cursor->service.listeners + cursor->service.servers;
	return 0;
}
