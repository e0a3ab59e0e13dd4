/*
 * reap.c: who died.  A server is its whole process group: its leader's number is kept by not reaping it until the
 * group got its KILL, and its end is told only when the group is empty, so that nobody holds its connections any more.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "servers.h"
#include "services.h"
#include "upgrade.h"

#define LOOK_S 0.02
#define LOOKS_MOST 250u /* 5 s: what is left then has its KILL pending and will not run again */

static bool group_is_empty(pid_t group)
{
	return kill(-group, 0) < 0 && errno == ESRCH;
}

/* One that can be told to have ended; NULL: none (yet). */
static struct server *find_emptied(struct supervisor *s, bool *waiting)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		for (struct server *server = service->servers; server != NULL; server = server->next) {
			if (server->group == 0)
				continue;
			if (group_is_empty(server->group) || server->patience > LOOKS_MOST)
				return server;
			*waiting = true;
		}
	return NULL;
}

static void look_at_groups(struct supervisor *s)
{
	struct server *server;
	bool waiting = false;

	/* Every end may change the lists: look again from the start. */
	while ((server = find_emptied(s, &waiting)) != NULL) {
		if (server->patience > LOOKS_MOST)
			log_line(s, LEVEL_WARNING, server->service->name,
				 "process group %d still has members that KILL did not end",
				 (int)server->group);
		server_ended(s, server);
		waiting = false;
	}
	if (waiting && !ev_is_active(&s->group_watch))
		ev_timer_start(s->loop, &s->group_watch);
	else if (!waiting)
		ev_timer_stop(s->loop, &s->group_watch);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	for (struct service *service = s->services; service != NULL; service = service->next)
		for (struct server *server = service->servers; server != NULL; server = server->next)
			if (server->group != 0)
				server->patience++;
	look_at_groups(s);
}

/* Calls `each` for every child, as the kernel lists them; nothing where it does not. */
static void each_child(struct supervisor *s, void (*each)(struct supervisor *, pid_t))
{
	char path[64];
	long pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return;
	while (fscanf(file, "%ld", &pid) == 1)
		if (pid > 1)
			each(s, (pid_t)pid);
	fclose(file);
}

int reap_inherited(struct supervisor *s, pid_t pid)
{
	pid_t *more = reallocarray(s->inherited, s->inherited_count + 1, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	s->inherited = more;
	more[s->inherited_count++] = pid;
	return 0;
}

static void inherit(struct supervisor *s, pid_t pid)
{
	if (reap_inherited(s, pid) < 0)
		log_line(s, LEVEL_WARNING, NULL, "%s; pid %d will be ended with the daemon", strerror(ENOMEM),
			 (int)pid);
}

/* NULL: not one of those. */
static pid_t *find_inherited(const struct supervisor *s, pid_t pid)
{
	for (size_t i = 0; i < s->inherited_count; i++)
		if (s->inherited[i] == pid)
			return &s->inherited[i];
	return NULL;
}

/* The number may mean another process from now on. */
static void forget_inherited(struct supervisor *s, pid_t pid)
{
	pid_t *inherited = find_inherited(s, pid);

	if (inherited != NULL)
		*inherited = 0;
}

void reap_inherit(struct supervisor *s)
{
	each_child(s, inherit);
}

static void reap(struct supervisor *s, pid_t pid)
{
	/* The one that reads the table comes and goes with every reload: nobody is searched for it. */
	struct server *server = pid == s->reload.pid ? NULL : server_by_pid(s, pid);
	int status;

	/* While its leader is a zombie, the group's number is nobody else's. */
	if (server != NULL)
		kill(-pid, SIGKILL);
	if (waitpid(pid, &status, WNOHANG) != pid)
		return;
	forget_inherited(s, pid);
	if (server != NULL)
		server_died(s, server, status);
	else if (pid == s->dispatcher.pid)
		dispatcher_ended(s, status);
	else if (pid == s->logger.pid)
		logger_ended(s, status);
	else if (pid == s->reload.pid)
		reload_child_ended(s, status);
	else
		upgrade_child_ended(s, pid, status);
	/* Anybody else was left to us, their subreaper, by a server, or was a child of the program that became us. */
}

void reap_all(struct supervisor *s)
{
	for (;;) {
		siginfo_t info = {0};
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
			if (errno == EINTR)
				continue; /* nobody says again that a child ended */
			break;
		}
		if (info.si_pid == 0)
			break;
		reap(s, info.si_pid);
	}
	look_at_groups(s);
}

static void on_child(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)watcher;
	(void)events;
	reap_all(ev_userdata(loop));
}

void reap_start(struct supervisor *s)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		log_line(s, LEVEL_WARNING, NULL,
			 "cannot become a subreaper: %s; what servers leave behind goes to init",
			 strerror(errno));
	ev_timer_init(&s->group_watch, on_look, LOOK_S, LOOK_S);
	ev_signal_init(&s->sigchld, on_child, SIGCHLD);
	ev_signal_start(s->loop, &s->sigchld);
}

static void kill_stray(struct supervisor *s, pid_t pid)
{
	if (find_inherited(s, pid) != NULL)
		return;
	kill(pid, SIGKILL);
	s->strays++;
}

void reap_strays(struct supervisor *s)
{
	/* Their children come to us as they die: look until there are none, for a second at most. */
	for (unsigned i = 0; i < 100; i++) {
		struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
		pid_t pid;
		s->strays = 0;
		each_child(s, kill_stray);
		if (s->strays == 0)
			break;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			forget_inherited(s, pid);
		nanosleep(&pause, NULL);
	}
}
