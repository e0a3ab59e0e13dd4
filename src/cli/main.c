/*
 * main.c: lust-inetd: reads the command line and chooses.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "say.h"
#include "upgrade.h"

static int command_later(const struct arguments *arguments)
{
	say("%s: not supported yet", arguments->name);
	return EXIT_FAILED;
}

static int choose(const struct arguments *arguments)
{
	static int (*const function[])(const struct arguments *) = {
		[COMMAND_RUN] = command_run,         [COMMAND_START] = command_start,
		[COMMAND_STOP] = command_stop,       [COMMAND_RESTART] = command_restart,
		[COMMAND_RELOAD] = command_reload,   [COMMAND_STATUS] = command_status,
		[COMMAND_LIST] = command_list,       [COMMAND_UP] = command_servers,
		[COMMAND_DOWN] = command_servers,    [COMMAND_ROLL] = command_servers,
		[COMMAND_PAUSE] = command_servers,   [COMMAND_RESUME] = command_servers,
		[COMMAND_CHECK] = command_check,     [COMMAND_SHOW] = command_show,
		[COMMAND_VERSION] = command_version, [COMMAND_HELP] = command_help,
		[COMMAND_UPGRADE] = command_upgrade, [COMMAND_LATER] = command_later,
	};

	return function[arguments->command](arguments);
}

/* -r, else LUST_RUNTIME_DIR; absolute, because a daemon has another working directory. 0 or an exit code. */
static int settle_runtime_dir(struct arguments *arguments)
{
	static char path[2 * PATH_MAX];
	char here[PATH_MAX];
	const char *asked = arguments->runtime_dir ? arguments->runtime_dir : getenv("LUST_RUNTIME_DIR");

	if (!asked || !*asked || *asked == '/') {
		arguments->runtime_dir = asked && *asked ? asked : NULL;
		return EXIT_DONE;
	}
	if (!getcwd(here, sizeof(here)) ||
	    snprintf(path, sizeof(path), "%s/%s", here, asked) >= (int)sizeof(path)) {
		say("%s: an absolute path is needed here", asked);
		return EXIT_USAGE;
	}
	arguments->runtime_dir = path;
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	int code;

	/* In the middle of an `upgrade`: neither is for people. */
	if (restore_run(&code))
		return code;
	if (argc == 3 && strcmp(argv[1], "--try-state") == 0)
		return restore_try(argv[2]);
	code = arguments_parse(&arguments, argc, argv);
	if (code) {
		say("%s", arguments.problem);
		return code;
	}
	code = settle_runtime_dir(&arguments);
	if (code)
		return code;
	code = choose(&arguments);
	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		say("standard output: %s", strerror(errno));
		return code ? code : EXIT_FAILED;
	}
	return code;
}
