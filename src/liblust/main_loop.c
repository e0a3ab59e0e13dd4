/*
 * main_loop.c: waiting for what comes next: a connection, a signal, or the watchdog's hour.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "main.h"
#include "server.h" /* deadlines */

static int watch(const struct lust_main *m, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int lust_loop_open(struct lust_main *m)
{
	static const int wanted[] = {SIGTERM, SIGINT, SIGHUP};
	int result = 0;

	m->signals = lust_signals_open(wanted, sizeof(wanted) / sizeof(*wanted));
	if (m->signals < 0)
		return m->signals;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		return -errno;
	result = watch(m, m->signals, EPOLLIN);
	if (result == 0 && m->server)
		result = watch(m, lust_server_fd(m->server), EPOLLIN);
	for (unsigned i = 0; result == 0 && i < m->listeners; i++)
		result = watch(m, m->listener[i].fd, EPOLLIN);
	/* It is there already, even when its client waits for the first word. */
	if (result == 0 && m->connection >= 0)
		result = watch(m, m->connection, EPOLLOUT);
	return result;
}

void lust_loop_close(struct lust_main *m)
{
	if (m->epoll >= 0)
		close(m->epoll);
	if (m->signals >= 0)
		close(m->signals);
	m->epoll = m->signals = -1;
}

void lust_main_tell(const struct lust_main *m, const char *state)
{
	int result = m->notify >= 0 ? lust_notify_to(m->notify, state) : 0;

	if (result < 0)
		lust_log(LUST_LOG_WARNING, "NOTIFY_SOCKET was not told %.*s: %s", (int)strcspn(state, "\n"),
			 state, strerror(-result));
}

static void tell_reloading(const struct lust_main *m)
{
	char state[80];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	lust_main_tell(m, state);
}

/* The settings as the file says now; NULL after a line: a file with mistakes changes nothing, and neither does one that is out of
   reach, in a jail or by its rights. */
static struct lust_settings *read_again(struct lust_main *m, int *level)
{
	const char *file = lust_settings_file(m->run.settings);
	struct lust_settings *settings;

	if (lust_main_settings(m, &settings, false) < 0)
		return NULL;
	if (file && !lust_settings_file(settings))
		lust_log(LUST_LOG_ERROR, "%s cannot be found any more", file);
	else if (lust_main_log_level(settings, level) == 0)
		return settings;
	lust_settings_free(settings);
	return NULL;
}

static void reload_settings(struct lust_main *m)
{
	struct lust_settings *old = m->run.settings;
	int level = 0, result = 0;
	struct lust_settings *settings = read_again(m, &level);

	if (!settings) {
		lust_log(LUST_LOG_ERROR, "reload failed: the settings stay as they were");
		return;
	}
	m->run.settings = settings;
	if (m->run.program->reload)
		result = m->run.program->reload(&m->run);
	if (result < 0) {
		m->run.settings = old;
		lust_settings_free(settings);
		lust_log(LUST_LOG_ERROR, "reload failed: %s; the settings stay as they were",
			 strerror(-result));
		return;
	}
	lust_settings_free(old);
	lust_log_level(level ? level : LUST_LOG_INFO);
}

static void reload(struct lust_main *m)
{
	int result;

	tell_reloading(m);
	reload_settings(m);
	result = lust_log_reopen();
	if (result < 0)
		lust_log(LUST_LOG_WARNING, "log: cannot be opened again: %s; the old file goes on",
			 strerror(-result));
	lust_main_tell(m, "READY=1");
}

static void hear_signals(struct lust_main *m)
{
	struct lust_signal came;

	while (lust_signals_next(m->signals, &came) > 0) {
		if (came.number == SIGHUP) {
			reload(m);
			continue;
		}
		lust_log(LUST_LOG_NOTICE, "ending on %s from pid %d, uid %u", strsignal(came.number),
			 (int)came.pid, (unsigned)came.uid);
		m->stopping = true;
	}
}

/* The manager hears from us as long as we come around to waiting. */
static void feed_watchdog(struct lust_main *m)
{
	if (m->watchdog_ms == 0 || lust_remaining(m->watchdog_due) > 0)
		return;
	lust_main_tell(m, "WATCHDOG=1");
	m->watchdog_due = lust_deadline((int)m->watchdog_ms);
}

static int wait_ms(const struct lust_main *m, int64_t deadline)
{
	int left = lust_remaining(deadline), due = m->watchdog_ms ? lust_remaining(m->watchdog_due) : -1;

	return left < 0 || (due >= 0 && due < left) ? due : left;
}

static int receive_now(struct lust_main *m, struct lust_connection *connection)
{
	hear_signals(m);
	feed_watchdog(m);
	if (m->stopping)
		return -ESHUTDOWN;
	return lust_sources_receive(m, connection);
}

int lust_main_receive(struct lust_run *run, struct lust_connection *connection, int timeout_ms)
{
	struct lust_main *m = (struct lust_main *)run;
	int64_t deadline = lust_deadline(timeout_ms);

	for (;;) {
		int result = receive_now(m, connection);
		struct epoll_event event;

		if (result != 0)
			return result;
		if (timeout_ms >= 0 && lust_remaining(deadline) == 0)
			return 0;
		if (epoll_wait(m->epoll, &event, 1, wait_ms(m, deadline)) < 0)
			return -errno;
	}
}

int lust_main_close(struct lust_run *run, const struct lust_connection *connection)
{
	struct lust_main *m = (struct lust_main *)run;

	if (m->server)
		return lust_server_close(m->server, connection->fd);
	return close(connection->fd) < 0 ? -errno : 0;
}

int lust_main_fd(const struct lust_run *run)
{
	return ((const struct lust_main *)run)->epoll;
}
