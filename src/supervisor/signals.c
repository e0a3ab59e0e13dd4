/*
 * signals.c: what the daemon does when it is signalled.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lifecycle.h"
#include "logging.h"
#include "services.h"
#include "upgrade.h"

static void ours(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
}

void signals_block(void)
{
	sigset_t set;

	ours(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

void signals_unblock(void)
{
	sigset_t set;

	ours(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* A handler, not the default: that is nothing to process 1 of a container. */
static void end(int number)
{
	static const char said[] = "lust-inetd: stopped while the table was being read; nothing was started\n";

	(void)number;
	(void)!write(STDERR_FILENO, said, sizeof(said) - 1); /* the exit code says it, too */
	_exit(1);
}

void signals_end(bool at_once)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (!at_once)
		sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGTERM, at_once ? end : SIG_DFL);
	signal(SIGINT, at_once ? end : SIG_DFL);
	if (at_once)
		sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void on_stop(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	/* A second one does not wait for anybody's connections. */
	log_line(s, LEVEL_INFO, NULL, "SIG%s", sigabbrev_np(watcher->signum));
	stop_begin(s, s->stopping);
}

static void on_reload(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)watcher;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (s->stopping || !s->running) {
		log_line(s, LEVEL_WARNING, NULL, "reload: the daemon is %s",
			 s->stopping ? "stopping" : "still starting");
		return;
	}
	reload_ask(s);
	reload_begin(s);
}

static void on_reopen(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)watcher;
	(void)events;
	logger_reopen(ev_userdata(loop));
}

static void on_upgrade(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)watcher;
	(void)events;
	upgrade_begin(ev_userdata(loop));
}

static void watch(struct supervisor *s, ev_signal *watcher, void (*call)(struct ev_loop *, ev_signal *, int),
		  int number)
{
	ev_signal_init(watcher, call, number);
	ev_signal_start(s->loop, watcher);
}

void signals_start(struct supervisor *s)
{
	watch(s, &s->sigterm, on_stop, SIGTERM);
	watch(s, &s->sigint, on_stop, SIGINT);
	watch(s, &s->sighup, on_reload, SIGHUP);
	watch(s, &s->sigusr1, on_reopen, SIGUSR1);
	watch(s, &s->sigusr2, on_upgrade, SIGUSR2);
	reap_start(s);
	signals_unblock();
}
