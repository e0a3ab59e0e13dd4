/*
 * stop.c: the end of the daemon, step by step: accept no more, servers, dispatcher, logger.
 *
 * SPDX-License-Identifier: ISC
 */
#include "supervisor.h"

#define QUIESCE_S 5. /* what is in the pairs by then goes the way of a stalled server's */

static void stop_servers(struct supervisor *s)
{
	s->stop_step = STOP_SERVERS;
	ev_timer_stop(s->loop, &s->stop_timer);
	for (struct service *service = s->services; service != NULL; service = service->next) {
		/* Who connects from here on is told at once that nobody is there. */
		for (struct listener *listener = service->listeners; listener != NULL;
		     listener = listener->next) {
			listen_shut(listener);
			listen_close(s, listener);
		}
		for (struct server *server = service->servers, *next; server != NULL; server = next) {
			next = server->next;
			server_stop(s, server, !s->stop_now);
		}
	}
	stop_check(s);
}

static void on_quiesce_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	log_line(s, LEVEL_WARNING, NULL, "connections were still on their way to servers after %.0f s",
		 QUIESCE_S);
	stop_servers(s);
}

static void quiesce(struct supervisor *s)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_QUIESCE};

	s->stop_step = STOP_QUIESCE;
	ev_timer_init(&s->stop_timer, on_quiesce_timeout, QUIESCE_S, 0.);
	ev_timer_start(s->loop, &s->stop_timer);
	dispatcher_send(s, &message, NULL, 0);
}

void stop_begin(struct supervisor *s, bool now)
{
	bool first = !s->stopping;

	if (!first && (!now || s->stop_now))
		return;
	s->stopping = true;
	s->stop_now = now;
	if (first) {
		/* A start that was cut short has failed. */
		s->exit_code = s->running ? 0 : 1;
		log_line(s, LEVEL_NOTICE, NULL,
			 now ? "stopping, without waiting for connections" : "stopping");
		notify_send(s, "STOPPING=1\n");
		control_stopping(s);
	}
	if (first && !now && dispatcher_usable(s))
		quiesce(s);
	else
		stop_servers(s);
}

void stop_quiet(struct supervisor *s)
{
	if (s->stop_step == STOP_QUIESCE)
		stop_servers(s);
}

static bool any_server(const struct supervisor *s)
{
	for (const struct service *service = s->services; service != NULL; service = service->next)
		if (service->servers != NULL)
			return true;
	return false;
}

void stop_check(struct supervisor *s)
{
	if (s->stop_step == STOP_QUIESCE && s->dispatcher.pid == 0)
		stop_servers(s);
	if (s->stop_step == STOP_SERVERS && !any_server(s)) {
		s->stop_step = STOP_DISPATCHER;
		dispatcher_shutdown(s);
	}
	if (s->stop_step == STOP_DISPATCHER && s->dispatcher.pid == 0) {
		s->stop_step = STOP_LOGGER;
		logger_finish(s);
	}
	if (s->stop_step == STOP_LOGGER && s->logger.pid == 0) {
		s->stop_step = STOP_DONE;
		ev_break(s->loop, EVBREAK_ALL);
	}
}
