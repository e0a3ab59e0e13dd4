/*
 * server.c: one server's life, from its start to the signals that end it.  Its end is in server_end.c.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"
#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "roll.h"
#include "server_pidfile.h"
#include "servers.h"
#include "services.h"
#include "slots.h"

#define KILLED_MS 5000u   /* KILL ends everything but what hangs in the kernel */
#define STARTS_A_TURN 16u /* forks in one turn of the loop: the rest of the loop has its say between them */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events);

struct server *server_new(struct supervisor *s, struct service *service, unsigned instance)
{
	struct server *server = service_more(service) != NULL ? calloc(1, sizeof(*server)) : NULL;
	struct server **at = &service->servers;

	if (server == NULL)
		return NULL;
	server->slot = BOARD_NONE;
	server->service = service;
	server->instance = instance;
	server->exec_error = server->pidfile_fd = -1;
	ev_timer_init(&server->timer, on_timer, 0., 0.);
	server->timer.data = server;
	server->phase = PHASE_BACKOFF;
	server->phase_since_ms = clock_ms();
	while (*at != NULL && !((*at)->external && instance > 0) &&
	       ((*at)->instance <= instance || instance == 0))
		at = &(*at)->next;
	server->next = *at;
	*at = server;
	(void)s;
	return server;
}

void server_remove(struct supervisor *s, struct server *server)
{
	struct server **at = &server->service->servers;

	while (*at != server)
		at = &(*at)->next;
	*at = server->next;
	ev_timer_stop(s->loop, &server->timer);
	sources_forget(s, server);
	if (server->exec_error >= 0)
		close(server->exec_error);
	server_pidfile_release(server);
	free(server->pidfile_path);
	free(server);
}

struct server *server_by_pid(struct supervisor *s, pid_t pid)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		for (struct server *server = service->servers; server != NULL; server = server->next)
			if (server->pid == pid && !server->external)
				return server;
	return NULL;
}

void server_phase(struct supervisor *s, struct server *server, enum server_phase phase, uint32_t timeout_ms)
{
	server->phase = phase;
	server->phase_since_ms = clock_ms();
	server->until_ms = timeout_ms > 0 ? server->phase_since_ms + timeout_ms : 0;
	ev_timer_stop(s->loop, &server->timer);
	if (timeout_ms > 0) {
		ev_timer_set(&server->timer, timeout_ms / 1000., 0.);
		ev_timer_start(s->loop, &server->timer);
	}
}

static bool turn_is_full(struct supervisor *s)
{
	if (ev_now(s->loop) != s->starts_turn) {
		s->starts_turn = ev_now(s->loop);
		s->starts_in_turn = 0;
	}
	return ++s->starts_in_turn > STARTS_A_TURN;
}

void server_start(struct supervisor *s, struct server *server)
{
	const struct table_service *want = server->service->want;

	if (turn_is_full(s)) {
		server_phase(s, server, PHASE_BACKOFF, 1);
		return;
	}
	server->built = server->service->generation;
	server->misbehaved = server->clean = false;
	server->patience = 0;
	server->started_ms = clock_ms();
	if (spawn_server(s, server, server->last_exit, sizeof(server->last_exit)) < 0) {
		server->last_exit_s = (uint64_t)time(NULL);
		server_ended(s, server);
		return;
	}
	log_line(s, LEVEL_INFO, server->service->name, "server %u (pid %d) started%s", server->instance,
		 (int)server->pid, server->newcomer ? ", to take over from the old one" : "");
	server_phase(s, server, PHASE_STARTING, want->server->ready_timeout_ms);
	push_server(s, server);
	control_service_changed(s, server->service);
}

void server_start_soon(struct supervisor *s, struct server *server)
{
	/* By its timer, so that a thousand starts do not keep the loop from everybody else. */
	server->failures = 0;
	server->last_exit[0] = '\0';
	server_phase(s, server, PHASE_BACKOFF, 1);
}

bool server_is_at_rest(const struct server *server)
{
	return server->phase == PHASE_BACKOFF || server->phase == PHASE_STOPPED ||
	       server->phase == PHASE_FAILED;
}

/* A server from outside is not ours to signal: it is let go. */
static void forget(struct supervisor *s, struct server *server)
{
	struct link_message message = {.version = LINK_VERSION,
				       .type = LINK_FORGET,
				       .slot = {.slot = server->slot, .generation = server->generation}};

	dispatcher_send(s, &message, NULL, 0);
	slot_free(s, server->slot);
	server_remove(s, server);
}

static void let_go(struct supervisor *s, struct server *server)
{
	struct service *service = server->service;

	forget(s, server);
	control_service_changed(s, service);
	service_sweep(s);
	stop_check(s);
}

static void tell_drain(struct supervisor *s, const struct server *server)
{
	struct link_message message = {.version = LINK_VERSION,
				       .type = LINK_DRAIN,
				       .slot = {.slot = server->slot, .generation = server->generation}};

	/* Without a dispatcher the next one is told with the table. */
	dispatcher_send(s, &message, NULL, 0);
}

static void signal_stop(struct supervisor *s, struct server *server)
{
	const struct service_more *more = server->service->more;

	/* Its REGISTER may be on the way: nobody must be handed to a server that is about to end. */
	if (server->phase != PHASE_DRAINING)
		tell_drain(s, server);
	/* Its leader is our child and not reaped: the number is still its own.  One that was stopped must go on to obey. */
	kill(server->pid, more->stop_signal);
	kill(server->pid, SIGCONT);
	server_phase(s, server, PHASE_STOPPING, more->stop_timeout_ms > 0 ? more->stop_timeout_ms : 1);
}

static void kill_group(struct supervisor *s, struct server *server)
{
	/* A child that did not come to its own session yet is no group: then it is alone. */
	if (kill(-server->pid, SIGKILL) < 0)
		kill(server->pid, SIGKILL);
	server_phase(s, server, PHASE_KILLING, KILLED_MS);
}

bool server_hangs(const struct server *server)
{
	return server->phase == PHASE_KILLING && server->pid != 0 && !ev_is_active(&server->timer);
}

/* It keeps its place, and what it holds, until it ends after all; only the daemon's end does not wait for that. */
static void kill_timeout(struct supervisor *s, const struct server *server)
{
	log_line(s, LEVEL_ERROR, server->service->name,
		 "server %u (pid %d) hangs in the kernel and does not end", server->instance,
		 (int)server->pid);
	stop_check(s);
}

static void drain(struct supervisor *s, struct server *server)
{
	tell_drain(s, server);
	server_phase(s, server, PHASE_DRAINING,
		     server->service->more->drain_timeout_ms > 0 ? server->service->more->drain_timeout_ms : 1);
}

static void stop_external(struct supervisor *s, struct server *server, bool with_drain)
{
	if (!with_drain)
		forget(s, server);
	else if (server->phase != PHASE_DRAINING)
		drain(s, server);
}

void server_stop(struct supervisor *s, struct server *server, bool with_drain)
{
	server->retiring = true;
	if (server->external) {
		stop_external(s, server, with_drain);
		return;
	}
	switch (server->phase) {
	case PHASE_BACKOFF:
	case PHASE_STOPPED:
	case PHASE_FAILED:
		server_remove(s, server);
		break;
	case PHASE_STARTING:
		/* Its REGISTERED may be on the way to us, and clients on the way to it: the dispatcher knows. */
	case PHASE_READY:
		if (with_drain && !(s->stopping && !dispatcher_pushed(s)))
			drain(s, server);
		else
			signal_stop(s, server);
		break;
	case PHASE_DRAINING:
		if (!with_drain)
			signal_stop(s, server);
		break;
	case PHASE_STOPPING:
	case PHASE_KILLING:
		break;
	}
}

void server_misbehaved(struct supervisor *s, struct server *server, const char *why)
{
	log_line(s, LEVEL_ERROR, server->service->name, "server %u (pid %d): %s: stopped", server->instance,
		 (int)server->pid, why);
	server->misbehaved = true;
	snprintf(server->last_exit, sizeof(server->last_exit), "%s", why);
	if (server->newcomer && !server->retiring)
		roll_refused(s, server);
	signal_stop(s, server);
	control_service_changed(s, server->service);
}

void server_registered(struct supervisor *s, struct server *server)
{
	if (server->phase != PHASE_STARTING)
		return;
	if (server->exec_error >= 0)
		close(server->exec_error);
	server->exec_error = -1;
	server_phase(s, server, PHASE_READY, 0);
	log_line(s, LEVEL_DEBUG, server->service->name, "server %u (pid %d) is ready", server->instance,
		 (int)server->pid);
	if (server->newcomer)
		roll_take_over(s, server);
	control_service_changed(s, server->service);
	service_reconcile(s, server->service);
}

void server_idle(struct supervisor *s, struct server *server)
{
	if (server->phase != PHASE_DRAINING)
		return;
	if (!server->external) {
		signal_stop(s, server);
		return;
	}
	let_go(s, server);
}

void server_left(struct supervisor *s, struct server *server, const char *reason)
{
	if (server->phase != PHASE_STARTING && server->phase != PHASE_READY)
		return;
	if (reason[0] != '\0') {
		server_misbehaved(s, server, reason);
		return;
	}
	/* It will end by itself; what it still holds it may finish. */
	log_line(s, LEVEL_NOTICE, server->service->name, "server %u (pid %d) deregistered", server->instance,
		 (int)server->pid);
	server_phase(s, server, PHASE_DRAINING,
		     server->service->more->drain_timeout_ms > 0 ? server->service->more->drain_timeout_ms : 1);
	control_service_changed(s, server->service);
}

static void ready_timeout(struct supervisor *s, struct server *server)
{
	if (!server->external) {
		server_misbehaved(s, server, "did not register within ready-timeout");
		return;
	}
	log_line(s, LEVEL_WARNING, server->service->name,
		 "server from outside (pid %d) was let in and did not register in time: let go",
		 (int)server->pid);
	let_go(s, server);
}

static void drain_timeout(struct supervisor *s, struct server *server)
{
	log_line(s, LEVEL_WARNING, server->service->name,
		 "server %u (pid %d) still holds connections after drain-timeout", server->instance,
		 (int)server->pid);
	if (!server->external) {
		signal_stop(s, server);
		return;
	}
	let_go(s, server);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	struct supervisor *s = ev_userdata(loop);
	struct server *server = timer->data;

	switch (server->phase) {
	case PHASE_BACKOFF:
		server_start(s, server);
		break;
	case PHASE_STARTING:
		ready_timeout(s, server);
		break;
	case PHASE_DRAINING:
		drain_timeout(s, server);
		break;
	case PHASE_STOPPING:
		log_line(s, LEVEL_WARNING, server->service->name,
			 "server %u (pid %d) did not end within stop-timeout: killed", server->instance,
			 (int)server->pid);
		kill_group(s, server);
		break;
	case PHASE_KILLING:
		if (server_hangs(server))
			kill_timeout(s, server);
		else
			roll_last_words(s, server);
		break;
	case PHASE_READY:
	case PHASE_STOPPED:
	case PHASE_FAILED:
		break;
	}
}
