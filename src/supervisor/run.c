/*
 * run.c: the privileged half, in one visible order.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "control_socket.h"
#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "lust.h"
#include "services.h"
#include "slots.h"
#include "upgrade.h"

#define MMAP_THRESHOLD (128 * 1024)
#define EXIT_TABLE 78

static struct table *read_table(struct supervisor *s, struct diagnostics *diagnostics)
{
	struct table_options options = {.privileged = s->privileged, .runtime_dir = s->runtime_dir_option};
	struct table *table = table_read(s->config_file, &options, diagnostics);

	for (size_t i = 0; i < diagnostics->count; i++)
		fprintf(stderr, "%s\n", diagnostics->item[i].text);
	if (table == NULL)
		fprintf(stderr, "lust-inetd: %s: %zu mistake%s; nothing was started\n", s->config_file,
			diagnostics->mistakes, diagnostics->mistakes == 1 ? "" : "s");
	return table;
}

/* A daemon has another working directory than the one that the name was meant for. */
static char *absolute(const char *file)
{
	char *path = NULL;

	if (file[0] == '/')
		return strdup(file);
	char *here = getcwd(NULL, 0);
	if (here != NULL && asprintf(&path, "%s/%s", here, file) < 0)
		path = NULL;
	free(here);
	return path;
}

static int remember_table(struct supervisor *s, const struct table *table)
{
	s->runtime_dir = strdup(table->runtime_dir);
	s->pidfile = strdup(table->pidfile);
	s->jail = strdup(table->dispatcher_chroot);
	s->helper_uid = table->dispatcher_uid;
	s->helper_gid = table->dispatcher_gid;
	if (s->runtime_dir != NULL && s->pidfile != NULL && s->jail != NULL)
		return 0;
	log_line(s, LEVEL_ERROR, NULL, "%s", strerror(ENOMEM));
	return -1;
}

static int take_pidfile(struct supervisor *s)
{
	pid_t holder = 0;
	int fd = lust_pidfile_open(s->pidfile, &holder);
	int result = fd < 0 ? fd : lust_pidfile_write(fd, getpid());

	if (fd >= 0)
		s->pidfile_fd = fd;
	if (result == -EWOULDBLOCK)
		log_line(s, LEVEL_ERROR, NULL,
			 "pidfile %s is held by pid %d: another daemon with another runtime-dir?", s->pidfile,
			 (int)holder);
	else if (result < 0)
		log_line(s, LEVEL_ERROR, NULL, "cannot write the pidfile %s: %s", s->pidfile,
			 strerror(-result));
	return result;
}

static int make_board(struct supervisor *s)
{
	s->board_fd = board_create();
	s->board = s->board_fd < 0 ? NULL : board_map(s->board_fd, false);
	if (s->board == NULL || pipe2(s->dispatcher.events, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    slots_init(s) < 0) {
		log_line(s, LEVEL_ERROR, NULL, "cannot make the board: %s",
			 strerror(s->board_fd < 0 ? -s->board_fd : errno));
		return -1;
	}
	return 0;
}

static int raise_limits(struct supervisor *s, const struct table *table)
{
	struct limits_needed needed;
	char problem[256];

	if (getrlimit(RLIMIT_NOFILE, &s->nofile_at_start) < 0)
		return -1;
	limits_needed(table, &needed);
	if (limits_raise(&needed, problem, sizeof(problem)) == 0)
		return 0;
	log_line(s, LEVEL_ERROR, NULL, "%s", problem);
	return -1;
}

static int apply_first(struct supervisor *s, struct table *table, struct diagnostics *warnings)
{
	char problem[LOGGER_LINE];
	int result = apply_table(s, table, warnings, problem, sizeof(problem));

	if (problem[0] != '\0')
		log_line(s, LEVEL_ERROR, NULL, "%s", problem);
	return result;
}

static int start_helpers(struct supervisor *s)
{
	int result = logger_start(s);

	if (result == 0)
		result = dispatcher_start(s);
	if (result < 0)
		log_line(s, LEVEL_ERROR, NULL, "cannot start logger and dispatcher: %s", strerror(-result));
	return result;
}

static void say_users(struct supervisor *s, const struct table *table)
{
	if (s->privileged && !table->dispatcher_user_set && strcmp(table->dispatcher_user, "nobody") == 0)
		log_line(s, LEVEL_NOTICE, NULL,
			 "no user lust: dispatcher and logger run as nobody (make one, or say dispatcher { "
			 "user = ... })");
	if (!s->privileged)
		log_line(s, LEVEL_NOTICE, NULL,
			 "not run as root: jails and other users are skipped, everything runs as uid %u",
			 (unsigned)geteuid());
}

/* From the lock to the loop.  0, or the exit code after one clear line (for apply_first: one an address). */
static int set_up(struct supervisor *s, struct table *table, struct diagnostics *warnings, bool daemonized)
{
	pid_t holder;
	int busy = runtime_dir_open(s, &holder);

	if (busy > 0) {
		fprintf(stderr, "lust-inetd: already running, pid %d\n", (int)holder);
		return daemonized ? 0 : 1;
	}
	if (busy < 0 || take_pidfile(s) < 0 || raise_limits(s, table) < 0)
		return 1;
	orphans_end(s);
	if (runtime_dir_jail(s) < 0 || make_board(s) < 0)
		return 1;
	say_users(s, table);
	if (apply_first(s, table, warnings) < 0)
		return 1;
	if (control_open(s) < 0 || runtime_dir_door(s) < 0)
		return 1;
	signals_start(s);
	return start_helpers(s) < 0 ? 1 : -1;
}

void supervisor_started(struct supervisor *s)
{
	s->running = true;
	log_line(s, LEVEL_NOTICE, NULL, "ready: %zu service%s of %s", s->table->service_count,
		 s->table->service_count == 1 ? "" : "s", s->config_file);
	notify_send(s, "READY=1\n");
	daemonize_tell(s, 0);
	for (struct service *service = s->services; service != NULL; service = service->next)
		service_reconcile(s, service);
}

static void tear_down(struct supervisor *s)
{
	/* Who is left: strangers that servers left to us; after a failed start, dispatcher and logger. */
	reap_strays(s);
	slots_release(s);
	while (s->services != NULL) {
		struct service *service = s->services;
		s->services = service->next;
		service_free(s, service);
	}
	slots_free(s);
	control_close(s);
	channel_close(&s->dispatcher.link);
	channel_close(&s->logger.link);
	sources_free(s);
	targets_free(s);
	/* Of a logger that nobody heard end, after a failed start, there is its end of the link. */
	const int fds[] = {s->dispatcher.events[0], s->dispatcher.events[1], s->dispatcher.exec_error,
			   s->logger.exec_error,    s->logger.theirs,        s->board_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (s->board != NULL)
		board_unmap(s->board);
	if (s->pidfile_fd >= 0)
		lust_pidfile_close(s->pidfile_fd, s->pidfile);
	runtime_dir_close(s);
}

static void release(struct supervisor *s)
{
	table_free(s->table);
	diagnostics_free(&s->warnings);
	diagnostics_free(&s->reload_problems);
	log_free(s);
	upgrade_close(s);
	free(s->runtime_dir);
	free(s->pidfile);
	free(s->jail);
	free(s->notify_socket);
	free(s->inherited);
	free((char *)(uintptr_t)s->config_file);
	if (s->loop != NULL)
		ev_loop_destroy(s->loop);
	free(s);
}

/* Servers from outside bring ids of a former daemon, whose generations must not look like ours. */
static uint32_t draw_epoch(void)
{
	uint32_t epoch;

	if (getrandom(&epoch, sizeof(epoch), GRND_NONBLOCK) != (ssize_t)sizeof(epoch))
		epoch = (uint32_t)(clock_ms() ^ (uint64_t)getpid() << 16);
	return epoch & INT16_MAX; /* in 16 bits, with all the dispatchers that a daemon will have */
}

struct supervisor *supervisor_blank(void)
{
	struct supervisor *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	/* Left to itself, malloc() takes ever larger pieces from the heap, and an old table's leave holes there. */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	s->privileged = privilege_full();
	s->reload_ok = true;
	s->runtime_dir_fd = s->lock_fd = s->door_fd = s->pidfile_fd = s->board_fd = s->groups_fd = -1;
	s->control_fd = s->start_pipe = s->logger.theirs = -1;
	s->dispatcher.link.fd = s->logger.link.fd = s->dispatcher.exec_error = s->logger.exec_error = -1;
	s->dispatcher.events[0] = s->dispatcher.events[1] = -1;
	s->dispatcher.epoch = draw_epoch();
	return s;
}

static struct supervisor *supervisor_new(const struct run_options *options)
{
	struct supervisor *s = supervisor_blank();

	if (s == NULL)
		return NULL;
	s->config_file = absolute(options->config_file);
	s->runtime_dir_option = options->runtime_dir;
	s->foreground = !options->daemonize;
	s->verbose = options->verbose;
	s->started_ms = clock_ms();
	if (s->config_file != NULL && upgrade_open(s) == 0)
		return s;
	release(s);
	return NULL;
}

/* Ends twice or more when `upgrade` was tried and failed. */
static int loop(struct supervisor *s)
{
	do
		ev_run(s->loop, 0);
	while (upgrade_exec(s));
	return s->exit_code;
}

int supervisor_go_on(struct supervisor *s)
{
	int code = loop(s);

	tear_down(s);
	release(s);
	return code;
}

static int serve(struct supervisor *s, struct table *table, struct diagnostics *warnings, bool daemonized)
{
	/* Not the default loop: that one reaps every child before anybody can look at it. */
	s->loop = ev_loop_new(EVFLAG_AUTO);
	if (s->loop == NULL) {
		log_line(s, LEVEL_ERROR, NULL, "cannot make an event loop");
		return 1;
	}
	ev_set_userdata(s->loop, s);
	reap_inherit(s);
	int code = set_up(s, table, warnings, daemonized);
	if (code < 0)
		code = loop(s);
	if (s->table == NULL) {
		table_free(table);
		diagnostics_free(warnings);
	}
	tear_down(s);
	return code;
}

int supervisor_run(const struct run_options *options)
{
	struct diagnostics diagnostics = {0};
	int code = 1, told = -1;

	daemonize_standard_fds(!options->daemonize);
	signals_block();
	struct supervisor *s = supervisor_new(options);
	if (s == NULL) {
		fprintf(stderr, "lust-inetd: %s\n", strerror(ENOMEM));
		return 1;
	}
	notify_open(s);
	/* A name service may not answer, and nothing is there yet that would have to be ended in order. */
	signals_end(true);
	struct table *table = read_table(s, &diagnostics);
	signals_end(false);
	if (table == NULL || remember_table(s, table) < 0) {
		code = table == NULL ? EXIT_TABLE : 1;
	} else if (options->daemonize && (daemonize(&told, &code) != 0)) {
		/* The parent, with its child's code. */
	} else {
		s->start_pipe = told;
		code = serve(s, table, &diagnostics, options->daemonize);
		table = NULL;
		diagnostics = (struct diagnostics){0};
		daemonize_tell(s, code);
	}
	table_free(table);
	diagnostics_free(&diagnostics);
	release(s);
	return code;
}
