/*
 * fuzz_main.c: what a lust_main() program is started with: its command line, one word a line, and behind a line "%%" its
 * environment, NAME=VALUE lines, where "self" is this process's pid.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "main.h"

#define WORDS 32
#define BYTES 2048

static const char *const variables[] = {"LUST_FD",       "LISTEN_FDS",    "LISTEN_PID",   "LISTEN_FDNAMES",
					"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"};

#define VARIABLES (sizeof(variables) / sizeof(*variables))

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct lust_log_options nowhere = {.target = "/dev/null"};

	(void)argc;
	(void)argv;
	FUZZ_CHECK(lust_log_open(&nowhere) == 0);
	return 0;
}

/* ---- the environment ---- */

static void set_environment(char *text)
{
	char *line, pid[24];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	for (size_t i = 0; i < VARIABLES; i++)
		FUZZ_CHECK(unsetenv(variables[i]) == 0);
	while ((line = strsep(&text, "\n"))) {
		char *value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = '\0';
		for (size_t i = 0; i < VARIABLES; i++)
			if (strcmp(line, variables[i]) == 0)
				FUZZ_CHECK(setenv(line, strcmp(value, "self") == 0 ? pid : value, 1) == 0);
	}
}

static void ask_environment(void)
{
	int sockets = lust_listen_fds(), notify = lust_notify_open(NULL);
	enum lust_starter starter = lust_started_by();
	char name[256];

	FUZZ_CHECK(starter <= LUST_STARTED_BY_INIT);
	for (unsigned i = 0; i < 4; i++) {
		FUZZ_CHECK(lust_listen_name(i, name) == name);
		FUZZ_CHECK(memchr(name, '\0', sizeof(name)) != NULL);
	}
	/* Those that are counted are there. */
	for (int fd = 0; fd < sockets; fd++)
		FUZZ_CHECK(lust_fd_kind(LUST_LISTEN_FDS_START + fd) >= 0);
	(void)lust_notify_watchdog();
	if (notify >= 0)
		close(notify);
}

/* ---- the command line ---- */

static void check_settings(struct lust_main *m)
{
	struct lust_settings *settings = NULL;
	int level = -1;

	/* Not whatever -c names: there is no /etc/fuzz-main-has-none.conf. */
	free(m->file);
	m->file = NULL;
	FUZZ_CHECK(lust_main_settings(m, &settings, false) == 0);
	FUZZ_CHECK(lust_settings_get(settings, "greeting") != NULL);
	if (lust_main_log_level(settings, &level) == 0)
		FUZZ_CHECK(level == 0 || (level >= LUST_LOG_ERROR && level <= LUST_LOG_DEBUG));
	lust_settings_free(settings);
}

static void parse(struct input *input, char *text)
{
	static const enum lust_starter starters[] = {LUST_STARTED_BY_HAND, LUST_STARTED_BY_LUST_INETD,
						     LUST_STARTED_BY_SYSTEMD, LUST_STARTED_BY_INIT};
	static const char *const defaults[] = {"greeting", "hello", NULL}, *const known[] = {"limits.clients",
											     NULL};
	static const struct lust_program program = {
		.name = "fuzz-main-has-none", .version = "1", .defaults = defaults, .known = known};
	char *argv[WORDS + 2] = {(char[]){"fuzz"}};
	struct lust_main m = {.run = {.program = &program}, .argv = argv, .argc = 1};

	m.run.starter = starters[input_below(input, 4)];
	for (char *word; m.argc <= WORDS && (word = strsep(&text, "\n"));)
		argv[m.argc++] = word;
	int code = lust_main_parse(&m);
	FUZZ_CHECK(code == 0 || code == LUST_EXIT_USAGE);
	FUZZ_CHECK(code != 0 || m.command != LUST_COMMAND_NONE);
	FUZZ_CHECK(m.file == NULL || strlen(m.file) > 0);
	if (code == 0)
		check_settings(&m);
	free(m.file);
	free(m.known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();
	struct input input = {data, size};
	char text[BYTES + 1], *mark;

	if (size > BYTES || size == 0)
		return -1;
	memcpy(text, data, size);
	text[size] = '\0';
	mark = strstr(text, "\n%%\n");
	if (mark) {
		*mark = '\0';
		set_environment(mark + 4);
		ask_environment();
	}
	parse(&input, text + 1);
	fuzz_check_fds(before);
	return 0;
}
