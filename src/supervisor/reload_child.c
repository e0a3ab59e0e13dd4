/*
 * reload_child.c: the process that reads the table for a reload.  Its files may lie on a disk that does not answer, and
 * the name service may ask a network: here that costs a child its time, and nobody else's.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"
#include "reading.h"
#include "servers.h"
#include "services.h"

/* In the child.  It does with memory, files and names whatever reading takes: nothing of it is the supervisor's. */
static void become_reader(const struct supervisor *s, pid_t parent)
{
	const struct table_options options = {
		.privileged = s->privileged, .runtime_dir = s->runtime_dir_option, .regular = true};

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	prctl(PR_SET_NAME, "lust-reload");
	lust_signals_reset();
	/* Should it outlive us in a system call that nothing ends, no port and no lock may stay with it. */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	reading_run(s->reload.reading, s->config_file, &options);
	_exit(0);
}

static void forget(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->reload.deadline);
	reading_free(s->reload.reading);
	s->reload.reading = NULL;
	s->reload.pid = 0; /* whoever reaps it has nothing to tell any more */
}

static void fail(struct supervisor *s, const char *why)
{
	struct diagnostics said = {0};
	char text[512];

	snprintf(text, sizeof(text), "%s: %s", s->config_file, why);
	/* Without memory the reason is missing; that it failed is told all the same. */
	(void)diagnostics_add(&said, MISTAKE, text);
	forget(s);
	s->reload.done(s, NULL, &said, false);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);
	char why[400], waits[300];

	kill(s->reload.pid, SIGKILL);
	reading_waits(s->reload.reading, waits, sizeof(waits));
	snprintf(why, sizeof(why), "given up after %g s of reading it%s%s", s->reload.limit_s,
		 waits[0] != '\0' ? ", while " : "", waits);
	fail(s, why);
}

int reload_child_start(struct supervisor *s, double limit_s, reload_done *done)
{
	sigset_t all, before;
	pid_t parent = getpid();

	s->reload.reading = reading_new();
	if (s->reload.reading == NULL)
		return -errno;
	/* No handler of ours may run in the child: it would write into our loop's wake-up. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become_reader(s, parent);
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0) {
		forget(s);
		return -error;
	}
	s->reload.pid = pid;
	s->reload.done = done;
	s->reload.limit_s = limit_s;
	ev_timer_init(&s->reload.deadline, on_deadline, limit_s, 0.);
	ev_timer_start(s->loop, &s->reload.deadline);
	return 0;
}

void reload_child_ended(struct supervisor *s, int status)
{
	struct diagnostics said;
	char why[160], text[96];

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		snprintf(why, sizeof(why), "the process that read it ended: %s", exit_text(status, text));
		fail(s, why);
		return;
	}
	struct table *table = reading_take(s->reload.reading, &said);
	s->reload.reading = NULL;
	forget(s);
	s->reload.done(s, table, &said, true);
}

void reload_child_cancel(struct supervisor *s)
{
	kill(s->reload.pid, SIGKILL);
	forget(s);
}
