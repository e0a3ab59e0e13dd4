/*
 * arguments.h: the command line as plain data.  Pure: no global state, nothing printed.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_NOT_RUNNING = 3,
	EXIT_CANNOT_TELL = 4, /* or not permitted */
	EXIT_USAGE = 64,
	EXIT_BAD_TABLE = 78,
};

enum command {
	COMMAND_RUN,
	COMMAND_START,
	COMMAND_STOP,
	COMMAND_RESTART,
	COMMAND_RELOAD,
	COMMAND_UPGRADE,
	COMMAND_STATUS,
	COMMAND_LIST,
	COMMAND_UP,
	COMMAND_DOWN,
	COMMAND_ROLL,
	COMMAND_PAUSE,
	COMMAND_RESUME,
	COMMAND_CHECK,
	COMMAND_SHOW,
	COMMAND_VERSION,
	COMMAND_HELP,
	COMMAND_LATER, /* of a later release: word[0] is its name */
};

enum option {
	OPTION_NOW = 1,
	OPTION_JSON = 2,
	OPTION_PROBLEMS = 4,
	OPTION_STRICT = 8,
	OPTION_RUNNING = 16,
	OPTION_ALL = 32,
};

struct arguments {
	enum command command;
	const char *name;        /* of the command */
	const char *config;      /* -c; NULL */
	const char *runtime_dir; /* -r; NULL. main adds LUST_RUNTIME_DIR and makes it absolute */
	bool verbose;            /* -v */
	bool only_own_version;   /* --version: the daemon is not asked */
	unsigned options;        /* enum option */
	char **word;             /* services, a file, a command: in argv, which is reordered */
	unsigned words;
	char problem[320]; /* what is wrong, one line */
};

/* 0, or EXIT_USAGE with *problem filled. */
int arguments_parse(struct arguments *arguments, int argc, char **argv);

/* Names of all commands, for `help` and for the nearest one.  Terminated with NULL. */
extern const char *const command_names[];

#endif
