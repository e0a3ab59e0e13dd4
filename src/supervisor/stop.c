/*
 * stop.c: the end of the daemon, step by step: accept no more, servers, dispatcher, logger.
 *
 * SPDX-License-Identifier: ISC
 */
#include <inttypes.h>
#include <string.h>

#include "address.h"
#include "control_socket.h"
#include "helpers.h"
#include "lifecycle.h"
#include "listeners.h"
#include "logging.h"
#include "servers.h"
#include "services.h"
#include "upgrade.h"
#include "wire.h"

#define QUIESCE_S 5. /* what is in the pairs by then goes the way of a stalled server's */

static void stop_servers(struct supervisor *s)
{
	s->stop_step = STOP_SERVERS;
	ev_timer_stop(s->loop, &s->stop_timer);
	for (struct service *service = s->services; service != NULL; service = service->next) {
		/* Who connects from here on is told at once that nobody is there. */
		for (struct listener *listener = service->listeners; listener != NULL;
		     listener = listener->next)
			listen_close(s, listener);
		for (struct server *server = service->servers, *next; server != NULL; server = next) {
			next = server->next;
			if (!server->external)
				server_stop(s, server, !s->stop_now);
		}
	}
	stop_check(s);
}

/*
 * Servers from outside are not told to drain: they go on with what they hold and look for the next daemon.  They are
 * heard until nothing else is left to stop, and then let go.
 */
static void let_go_external(struct supervisor *s)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		for (struct server *server = service->servers, *next; server != NULL; server = next) {
			next = server->next;
			server_stop(s, server, false);
		}
}

static void on_quiesce_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (dispatcher_usable(s))
		log_line(s, LEVEL_WARNING, NULL,
			 "connections were still on their way to servers after %.0f s", QUIESCE_S);
	else
		log_line(s, LEVEL_WARNING, NULL, "no dispatcher has come up within %.0f s of the stop",
			 QUIESCE_S);
	stop_servers(s);
}

static void ask_quiet(struct supervisor *s)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_QUIESCE};

	if (dispatcher_usable(s))
		dispatcher_send(s, &message, NULL, 0);
}

/* Without a dispatcher the next one is asked: what the last one held, or handed up, is given to servers or logged. */
static void quiesce(struct supervisor *s)
{
	s->stop_step = STOP_QUIESCE;
	ev_timer_init(&s->stop_timer, on_quiesce_timeout, QUIESCE_S, 0.);
	ev_timer_start(s->loop, &s->stop_timer);
	ask_quiet(s);
}

void stop_begin(struct supervisor *s, bool now)
{
	bool first = !s->stopping;

	if (!first && (!now || s->stop_now))
		return;
	s->stopping = true;
	s->stop_now = now;
	if (first) {
		upgrade_fail(s, "the daemon is stopping");
		/* A start that was cut short has failed. */
		s->exit_code = s->running ? 0 : 1;
		log_line(s, LEVEL_NOTICE, NULL,
			 now ? "stopping, without waiting for connections" : "stopping");
		reload_cancel(s);
		notify_send(s, "STOPPING=1\n");
		control_stopping(s);
	}
	if (first && !now && s->running)
		quiesce(s);
	else
		stop_servers(s);
}

void stop_quiet(struct supervisor *s)
{
	if (s->stop_step == STOP_QUIESCE)
		stop_servers(s);
}

/* One that even KILL does not end is left to itself: nothing would ever come of waiting for it. */
static bool any_supervised(const struct supervisor *s)
{
	for (const struct service *service = s->services; service != NULL; service = service->next)
		for (const struct server *server = service->servers; server != NULL; server = server->next)
			if (!server->external && !server_hangs(server))
				return true;
	return false;
}

void stop_dispatcher_ready(struct supervisor *s)
{
	if (s->stop_step == STOP_QUIESCE)
		ask_quiet(s);
}

bool stop_needs_dispatcher(const struct supervisor *s)
{
	if (!s->running || s->stop_now)
		return false;
	return s->stop_step == STOP_QUIESCE || (s->stop_step == STOP_SERVERS && any_supervised(s));
}

/* The last dispatcher settles all that it can hear of.  After one that was killed, or that had no time, nobody does. */
static void say_left(struct supervisor *s)
{
	for (uint32_t i = 0; s->board != NULL && i < BOARD_LEDGER; i++) {
		const struct board_entry *entry = &s->board->ledger[i];
		struct address from = {.kind = ADDRESS_TCP, .family = entry->family, .port = entry->port};
		char text[ADDRESS_TEXT] = "tcp:a local client";
		uint32_t state = atomic_load(&entry->state);

		if (state != LEDGER_ACCEPTED && state != LEDGER_SENDING && state != LEDGER_SENT)
			continue;
		memcpy(from.ip, entry->ip, sizeof(from.ip));
		if (from.family == AF_INET || from.family == AF_INET6)
			address_format(&from, text);
		log_line(s, LEVEL_ERROR, NULL,
			 "connection %u:%" PRIu64
			 " from %s lost: the daemon stopped without a dispatcher that could settle it",
			 (unsigned)LUST_ID_GENERATION(entry->id), LUST_ID_NUMBER(entry->id),
			 text + strlen("tcp:"));
	}
}

void stop_check(struct supervisor *s)
{
	if (s->stop_step == STOP_SERVERS && !any_supervised(s)) {
		let_go_external(s);
		s->stop_step = STOP_DISPATCHER;
		dispatcher_shutdown(s);
	}
	if (s->stop_step == STOP_DISPATCHER && s->dispatcher.pid == 0) {
		s->stop_step = STOP_LOGGER;
		say_left(s);
		logger_finish(s);
	}
	if (s->stop_step == STOP_LOGGER && s->logger.pid == 0) {
		s->stop_step = STOP_DONE;
		ev_break(s->loop, EVBREAK_ALL);
	}
}
