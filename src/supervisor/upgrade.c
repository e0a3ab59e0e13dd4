/*
 * upgrade.c: asks the program on disk whether it can go on from here, and tells the end to who waits for it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_client.h"
#include "control_socket.h"
#include "lifecycle.h"
#include "logging.h"
#include "services.h"
#include "upgrade.h"

#define TRY_S 10.
#define COME_UP_S 30.

/* ---- the end, told ---- */

static void close_all(struct supervisor *s)
{
	struct upgrade *upgrade = s->upgrade;

	ev_timer_stop(s->loop, &upgrade->timer);
	ev_io_stop(s->loop, &upgrade->answer_watch);
	if (upgrade->pid > 0)
		kill(upgrade->pid, SIGKILL);
	upgrade->pid = 0; /* whoever reaps it has nothing to tell any more */
	if (upgrade->answer >= 0)
		close(upgrade->answer);
	if (upgrade->program >= 0)
		close(upgrade->program);
	upgrade->answer = upgrade->program = -1;
}

/* What the other program said, a line each, without what could play with a terminal. */
static void each_line(struct upgrade *upgrade, void (*take)(void *, const char *), void *data)
{
	char *rest = upgrade->said;

	for (char *byte = upgrade->said; *byte != '\0'; byte++)
		if (((unsigned char)*byte < ' ' && *byte != '\n') || *byte == 127)
			*byte = '?';
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (line[0] != '\0')
			take(data, line);
		if (rest != NULL)
			rest[-1] = '\n';
	}
}

static void log_said(void *data, const char *line)
{
	log_line(data, LEVEL_ERROR, NULL, "upgrade: %s", line);
}

static void tell_said(void *data, const char *line)
{
	struct control_client *client = data;

	/* Without memory it gets the summary alone. */
	(void)diagnostics_add(&client->lines, MISTAKE, line);
}

static bool waits(const struct control_client *client)
{
	return client->phase == CLIENT_WAITING && client->request.command == CONTROL_UPGRADE;
}

void upgrade_fail(struct supervisor *s, const char *why)
{
	struct upgrade *upgrade = s->upgrade;
	char reason[256];

	if (upgrade->step == UPGRADE_NOT)
		return;
	if (upgrade->step == UPGRADE_ENDING) {
		/* There is no way back any more, and nobody goes on: the daemon stops. */
		ev_timer_stop(s->loop, &upgrade->timer);
		ev_timer_stop(s->loop, &upgrade->handover);
		upgrade->step = UPGRADE_NOT;
		return;
	}
	if (upgrade->step != UPGRADE_TRYING)
		control_hold(s, false);
	snprintf(reason, sizeof(reason), "%s", why);
	upgrade->step = UPGRADE_NOT;
	close_all(s);
	each_line(upgrade, log_said, s);
	log_line(s, LEVEL_ERROR, NULL, "upgrade: %s: %s; the old programs go on", upgrade->path, reason);
	for (struct control_client *client = s->clients; client != NULL; client = client->next)
		if (waits(client)) {
			each_line(upgrade, tell_said, client);
			client_answer(client, 1,
				      "upgrade: %s: %s; the old programs go on, nothing was changed",
				      upgrade->path, reason);
		}
}

/* It is tried on; but who waits has to know. */
static void on_no_dispatcher(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	s->upgrade->step = UPGRADE_NOT;
	log_line(s, LEVEL_ERROR, NULL, "upgrade: no dispatcher of %s has come up in %.0f s", PACKAGE_VERSION,
		 COME_UP_S);
	notify_send(s, "READY=1\n"); /* the reload that the service manager was told of is over */
	for (struct control_client *client = s->clients; client != NULL; client = client->next)
		if (waits(client))
			client_answer(
				client, 1,
				"upgrade: lust-inetd %s runs, but its dispatcher has not come up; the log "
				"says why",
				PACKAGE_VERSION);
}

void upgrade_took_over(struct supervisor *s)
{
	s->upgrade->step = UPGRADE_ENDING;
	log_line(s, LEVEL_NOTICE, NULL, "lust-inetd %s goes on for %s (pid %d)", PACKAGE_VERSION,
		 s->upgrade->from, (int)getpid());
	s->upgrade->old_dispatcher = s->dispatcher.pid > 0 ? s->dispatcher.generation : 0;
	ev_timer_init(&s->upgrade->timer, on_no_dispatcher, COME_UP_S, 0.);
	ev_timer_start(s->loop, &s->upgrade->timer);
}

void upgrade_succeeded(struct supervisor *s)
{
	struct upgrade *upgrade = s->upgrade;

	if (upgrade->step != UPGRADE_ENDING || s->dispatcher.generation == upgrade->old_dispatcher)
		return;
	upgrade->step = UPGRADE_NOT;
	ev_timer_stop(s->loop, &upgrade->timer);
	log_line(s, LEVEL_NOTICE, NULL, "upgraded from %s to %s", upgrade->from, PACKAGE_VERSION);
	notify_send(s, "READY=1\n");
	for (struct control_client *client = s->clients; client != NULL; client = client->next) {
		if (!waits(client))
			continue;
		free(client->text);
		if (asprintf(&client->text, "upgraded from %s to %s\n", upgrade->from, PACKAGE_VERSION) < 0)
			client->text = NULL;
		client->text_at = client->text;
		client_answer(client, 0, "%s", "");
	}
}

/* ---- the trial ---- */

static void fail(struct supervisor *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct supervisor *s, const char *format, ...)
{
	char why[256];
	va_list list;

	va_start(list, format);
	vsnprintf(why, sizeof(why), format, list);
	va_end(list);
	upgrade_fail(s, why);
}

/* What root runs here must be root's to change. */
static const char *judge_file(int fd)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return strerror(errno);
	if (!S_ISREG(info.st_mode))
		return "not a regular file";
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return "belongs to another user";
	if ((info.st_mode & 022) != 0)
		return "others can write to it";
	return (info.st_mode & 0111) != 0 ? NULL : "not executable";
}

static void judge(struct supervisor *s)
{
	struct upgrade *upgrade = s->upgrade;

	/* Both: it may die with its last words unread, or close its output and live on. */
	if (upgrade->step != UPGRADE_TRYING || upgrade->pid > 0 || upgrade->answer >= 0)
		return;
	ev_timer_stop(s->loop, &upgrade->timer);
	if (reload_reads(s)) {
		log_line(s, LEVEL_NOTICE, NULL, "upgrade: waits until the reload is done");
		return;
	}
	const char *wrong = upgrade_judge(upgrade->status, upgrade->said, upgrade->to);
	if (wrong != NULL) {
		upgrade_fail(s, wrong);
		return;
	}
	upgrade_settle(s);
}

void upgrade_go_on(struct supervisor *s)
{
	judge(s);
}

static void on_answer(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)events;
	struct supervisor *s = ev_userdata(loop);
	struct upgrade *upgrade = s->upgrade;
	char rest[512];
	bool full = upgrade->said_length == sizeof(upgrade->said) - 1;
	ssize_t length = full ? read(upgrade->answer, rest, sizeof(rest))
			      : read(upgrade->answer, upgrade->said + upgrade->said_length,
				     sizeof(upgrade->said) - 1 - upgrade->said_length);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length > 0) {
		upgrade->said_length += full ? 0 : (size_t)length;
		upgrade->said[upgrade->said_length] = '\0';
		return;
	}
	ev_io_stop(loop, watcher);
	close(upgrade->answer);
	upgrade->answer = -1;
	judge(s);
}

void upgrade_child_ended(struct supervisor *s, pid_t pid, int status)
{
	if (pid != s->upgrade->pid)
		return;
	s->upgrade->pid = 0;
	s->upgrade->status = status;
	judge(s);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	fail(ev_userdata(loop), "it was tried: no answer within %.0f s", TRY_S);
}

/* In the child: everything that the state names is there as it will be. */
static void become_trial(const struct upgrade *upgrade, const struct state_writer *state, int memfd, int out)
{
	char number[16];
	char *arguments[] = {upgrade->path, (char *)(uintptr_t) "--try-state", number, NULL};
	sigset_t none;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		_exit(126);
	snprintf(number, sizeof(number), "%d", memfd);
	int error = upgrade_become(upgrade->program, arguments, memfd, state->fd, state->fds);
	dprintf(STDERR_FILENO, "cannot be run: %s%s\n", strerror(-error),
		error == -ENOENT ? " (a script, or its loader is missing)" : "");
	_exit(126);
}

static int start_trial(struct supervisor *s, const struct state_writer *state, int memfd)
{
	struct upgrade *upgrade = s->upgrade;
	sigset_t all, before;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		close(ends[0]);
		close(ends[1]);
		return -errno;
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become_trial(upgrade, state, memfd, ends[1]);
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -error;
	}
	upgrade->pid = pid;
	upgrade->answer = ends[0];
	ev_io_init(&upgrade->answer_watch, on_answer, ends[0], EV_READ);
	ev_io_start(s->loop, &upgrade->answer_watch);
	ev_timer_init(&upgrade->timer, on_deadline, TRY_S, 0.);
	ev_timer_start(s->loop, &upgrade->timer);
	return 0;
}

static void try_program(struct supervisor *s)
{
	struct state_writer state;

	state_save(s, &state);
	int memfd = state.failed ? -ENOMEM : upgrade_memfd(state.text, state.length);
	int result = memfd < 0 ? memfd : start_trial(s, &state, memfd);
	state_write_free(&state);
	if (memfd >= 0)
		close(memfd);
	if (result < 0)
		fail(s, "cannot be tried: %s", strerror(-result));
}

void upgrade_begin(struct supervisor *s)
{
	struct upgrade *upgrade = s->upgrade;

	/* One at a time: who asks again waits for the same end. */
	if (upgrade->step != UPGRADE_NOT)
		return;
	if (s->stopping || !s->running) {
		log_line(s, LEVEL_WARNING, NULL, "upgrade: the daemon is %s",
			 s->stopping ? "stopping" : "still starting");
		return;
	}
	upgrade->step = UPGRADE_TRYING;
	upgrade->said_length = 0;
	upgrade->said[0] = '\0';
	upgrade->since_ms = clock_ms();
	if (upgrade->path == NULL || upgrade->self < 0) {
		upgrade_fail(s, "/proc does not tell which program this is; `restart` does without");
		return;
	}
	/* The very file that is tried is the one that is run. */
	upgrade->program = open(upgrade->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *wrong = upgrade->program < 0 ? strerror(errno) : judge_file(upgrade->program);
	if (wrong != NULL)
		upgrade_fail(s, wrong);
	else
		try_program(s);
}
