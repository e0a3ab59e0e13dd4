/*
 * restore.c: the other side of an upgrade: this program was put in the place of one that ran, or is asked whether it
 * could be.  Until everything of the state is understood nothing is touched, so that the way back is open.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "upgrade.h"

#define EXIT_STATE 1
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Mapped; NULL with a reason. */
static char *map_state(int fd, size_t *length, char *problem, size_t size)
{
	struct stat info;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &info) < 0 || info.st_size <= 0) {
		snprintf(problem, size, "descriptor %d is no state of lust-inetd", fd);
		return NULL;
	}
	*length = (size_t)info.st_size;
	char *text = mmap(NULL, *length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text != MAP_FAILED)
		return text;
	snprintf(problem, size, "%s", strerror(errno));
	return NULL;
}

/* All that are named are there, and no child of ours gets them. */
static bool claim_descriptors(struct state_reader *in)
{
	for (size_t i = 0; i < in->fds; i++)
		if (fcntl(in->fd[i], F_SETFD, FD_CLOEXEC) < 0) {
			snprintf(in->problem, sizeof(in->problem), "descriptor %d is not open", in->fd[i]);
			return false;
		}
	return true;
}

static struct supervisor *load(struct state_reader *in, const char *text, size_t length,
			       struct diagnostics *mistakes)
{
	if (state_parse(in, text, length) < 0 || !claim_descriptors(in))
		return NULL;
	return state_load(in, mistakes);
}

static bool parse_number(const char *text, char end, const char **rest, int *number)
{
	char *stop;

	errno = 0;
	long value = strtol(text, &stop, 10);
	*number = (int)value;
	*rest = stop + (*stop != '\0');
	return stop != text && *stop == end && errno == 0 && value > 2 && value < (1 << 30);
}

/* The new supervisor will start them, when the old ones are gone. */
static bool helpers_there(char *problem, size_t size)
{
	static const char *const path[] = {PKGLIBEXECDIR "/lust-dispatcher", PKGLIBEXECDIR "/lust-logger"};

	for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		if (access(path[i], X_OK) < 0) {
			snprintf(problem, size, "%s: %s", path[i], strerror(errno));
			return false;
		}
	return true;
}

int restore_try(const char *word)
{
	static struct supervisor *s; /* still there at the end, where nothing of it is freed: no leak to who looks then */
	struct state_reader in = {0};
	struct diagnostics mistakes = {0};
	const char *rest;
	size_t length;
	int fd;

	if (!parse_number(word, '\0', &rest, &fd)) {
		fprintf(stderr, "lust-inetd: --try-state is for `lust-inetd upgrade` alone\n");
		return 64;
	}
	char *text = map_state(fd, &length, in.problem, sizeof(in.problem));
	if (text != NULL && helpers_there(in.problem, sizeof(in.problem)))
		s = load(&in, text, length, &mistakes);
	for (size_t i = 0; i < mistakes.count; i++)
		printf("%s\n", mistakes.item[i].text);
	if (s != NULL)
		printf("ok %s\n", PACKAGE_VERSION);
	else
		printf("lust-inetd %s: %s\n", PACKAGE_VERSION, in.problem);
	if (fflush(stdout) != 0)
		_exit(EXIT_STATE);
	/* Not exit(3): what was loaded is not ours to close in any order. */
	_exit(s != NULL ? 0 : EXIT_STATE);
}

/* ---- in place ---- */

/* The state as it came, and one record more. */
static int returned_state(const char *text, size_t length, const char *problem)
{
	struct state_writer more = {0};

	state_record(&more, "returned");
	state_text(&more, "version", PACKAGE_VERSION, sizeof(PACKAGE_VERSION) - 1);
	state_text(&more, "text", problem, strlen(problem));
	state_end(&more);
	char *whole = more.failed ? NULL : malloc(length + more.length);
	int fd = -ENOMEM;
	if (whole != NULL) {
		memcpy(whole, text, length);
		memcpy(whole + length, more.text, more.length);
		fd = upgrade_memfd(whole, length + more.length);
	}
	free(whole);
	state_write_free(&more);
	return fd;
}

static int self_of(const struct state_reader *in)
{
	const struct state_record *program = state_next(in, "program", NULL);
	const struct state_value *self = program != NULL ? state_find(program, "self") : NULL;

	return self != NULL && self->is_fd ? atoi(self->text) : -1;
}

/* To the program that was here before, with the reason.  Returns only when that fails, too. */
static void go_back(const struct state_reader *in, const char *text, size_t length, char **arguments)
{
	char variable[64];
	int self = self_of(in);

	if (self < 0 || state_next(in, "returned", NULL) != NULL)
		return;
	int state = returned_state(text, length, in->problem);
	if (state < 0)
		return;
	snprintf(variable, sizeof(variable), "%d:%d", (int)getpid(), state);
	if (setenv(UPGRADE_VARIABLE, variable, 1) == 0)
		(void)upgrade_become(self, arguments, state, in->fd, in->fds);
}

static void close_unknown(struct supervisor *s, struct state_reader *in)
{
	struct state_writer known;

	/* A newer program's state may name descriptors that mean nothing here. */
	state_save(s, &known);
	for (size_t i = 0; !known.failed && i < in->fds; i++) {
		size_t at = 0;
		while (at < known.fds && known.fd[at] != in->fd[i])
			at++;
		if (at == known.fds)
			close(in->fd[i]);
	}
	state_write_free(&known);
}

static void adopt(struct supervisor *s)
{
	if (s->logger.pid > 0)
		logger_adopt(s);
	log_say_lost(s);
	if (s->dispatcher.pid > 0)
		dispatcher_adopt(s);
	signals_start(s);
}

/* Nobody runs them: as after a death. */
static void start_missing(struct supervisor *s)
{
	int result = s->logger.pid > 0 ? 0 : logger_start(s);

	if (result == 0 && s->dispatcher.pid == 0)
		result = dispatcher_start(s);
	if (result < 0)
		log_line(s, LEVEL_ERROR, NULL, "cannot start logger and dispatcher: %s", strerror(-result));
}

/* This is the new program. */
static void take_over(struct supervisor *s)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (s->upgrade->self >= 0)
		close(s->upgrade->self);
	s->upgrade->self = self;
	upgrade_took_over(s);
	logger_replace(s);
	if (s->dispatcher.pid > 0)
		handover_begin(s);
}

/* This is the old one again. */
static void come_back(struct supervisor *s, const struct state_record *returned)
{
	const struct state_value *text = state_find(returned, "text");
	char why[320];

	snprintf(why, sizeof(why), "it could not go on: %s", text != NULL ? text->text : "");
	s->upgrade->step = UPGRADE_TRYING;
	upgrade_fail(s, why);
	notify_send(s, "READY=1\n");
}

static int go_on(struct supervisor *s, struct state_reader *in)
{
	const struct state_record *returned = state_next(in, "returned", NULL);

	(void)prctl(PR_SET_NAME, "lust-inetd"); /* fexecve(3) has named us after the descriptor */
	close_unknown(s, in);
	adopt(s);
	if (returned != NULL)
		come_back(s, returned);
	else
		take_over(s);
	start_missing(s);
	state_read_free(in);
	reap_all(s);
	return supervisor_go_on(s);
}

static int restore(int fd)
{
	struct state_reader in = {0};
	struct diagnostics mistakes = {0};
	struct supervisor *s = NULL;
	size_t length = 0;

	signals_block();
	char *text = map_state(fd, &length, in.problem, sizeof(in.problem));
	if (text != NULL)
		s = load(&in, text, length, &mistakes);
	diagnostics_free(&mistakes);
	close(fd);
	if (s != NULL) {
		munmap(text, length);
		return go_on(s, &in);
	}
	char **arguments = upgrade_arguments();
	if (text != NULL && arguments != NULL)
		go_back(&in, text, length, arguments);
	fprintf(stderr, "lust-inetd %s: upgrade: cannot go on: %s; and there is no way back\n",
		PACKAGE_VERSION, in.problem);
	return EXIT_STATE;
}

bool restore_run(int *code)
{
	const char *variable = getenv(UPGRADE_VARIABLE);
	const char *rest;
	int pid, fd;

	/* Children of ours that inherit the variable are other processes. */
	if (variable == NULL || !parse_number(variable, ':', &rest, &pid) || pid != getpid() ||
	    !parse_number(rest, '\0', &rest, &fd))
		return false;
	unsetenv(UPGRADE_VARIABLE);
	*code = restore(fd);
	return true;
}
