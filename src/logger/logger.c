/*
 * logger.c: the loop of lust-logger, from its set-up to the last line.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "logger.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "board.h"

#define RECONNECT_AFTER 10.0 /* seconds: a syslog daemon that restarts is back by then */

/* The terminal and systemd signal every process; the logger stays for the last words of the others, until the link
   ends or, should that be missed, its parent is another. */
static void on_terminate(struct ev_loop *loop, struct ev_signal *signal, int revents)
{
	struct logger *logger = signal->data;

	(void)revents;
	if (getppid() != logger->supervisor)
		ev_break(loop, EVBREAK_ALL);
}

static void on_reconnect(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
	struct logger *logger = timer->data;

	(void)revents;
	logger->exit_code = LOGGER_EXIT_RECONNECT;
	ev_break(loop, EVBREAK_ALL);
}

int logger_init(struct logger *logger, int link_fd)
{
	*logger = (struct logger){
		.supervisor = getppid(),
		.level = LEVEL_NOTICE,
		.syslog_fd = -1,
		.journal_fd = -1,
		.events_fd = -1,
	};
	channel_init(&logger->link, link_fd, sizeof(struct logger_message));
	target_init(&logger->fallback, LOGGER_STDERR, STDERR_FILENO, false, logger->supervisor);
	logger->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (names_init(&logger->names) < 0 || !logger->loop)
		return -ENOMEM;
	ev_init(&logger->retry, output_retry);
	logger->retry.data = logger;
	ev_timer_init(&logger->reconnect, on_reconnect, RECONNECT_AFTER, 0.);
	logger->reconnect.data = logger;
	ev_init(&logger->tick, source_tick);
	logger->tick.data = logger;
	ev_signal_init(&logger->terminate, on_terminate, SIGTERM);
	logger->terminate.data = logger;
	ev_signal_start(logger->loop, &logger->terminate);
	return 0;
}

void logger_connect(struct logger *logger)
{
	tzset();
	logger->syslog_fd = deliver_connect("/dev/log");
	logger->journal_fd = deliver_connect("/run/systemd/journal/socket");
}

void logger_run(struct logger *logger)
{
	orders_start(logger);
	ev_run(logger->loop, 0);
	events_drain(logger);
	source_drain(logger);
	output_finish(logger);
}

void logger_free(struct logger *logger)
{
	channel_close(&logger->link);
	output_free(logger);
	if (logger->events_fd >= 0)
		close(logger->events_fd);
	names_free(&logger->names);
	if (logger->loop)
		ev_loop_destroy(logger->loop);
}
