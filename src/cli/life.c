/*
 * life.c: run, start, stop, restart, reload, upgrade.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "daemon.h"
#include "lifecycle.h"
#include "say.h"

static int be_daemon(const struct arguments *arguments, const char *config, bool daemonize)
{
	const struct run_options options = {.config_file = config,
					    .runtime_dir = arguments->runtime_dir,
					    .verbose = arguments->verbose,
					    .daemonize = daemonize};

	return supervisor_run(&options);
}

int command_run(const struct arguments *arguments)
{
	return be_daemon(arguments, daemon_config(arguments), false);
}

int command_start(const struct arguments *arguments)
{
	struct daemon_connection connection;
	enum daemon_found found = daemon_connect(&connection, arguments);

	if (found == DAEMON_ANSWERS)
		say("already running (%s)", connection.runtime_dir);
	daemon_close(&connection);
	if (found == DAEMON_ANSWERS)
		return EXIT_DONE;
	return be_daemon(arguments, daemon_config(arguments), true);
}

static int ask_to_stop(struct daemon_connection *connection, const struct arguments *arguments)
{
	const uint32_t flags = arguments->options & OPTION_NOW ? CONTROL_NOW : 0;
	int code;

	if (!daemon_send(connection, CONTROL_STOP, flags, NULL))
		return EXIT_CANNOT_TELL;
	code = daemon_answer(connection, NULL, NULL);
	if (code != EXIT_DONE)
		return code;
	if (daemon_wait_gone(connection))
		return EXIT_DONE;
	say("the daemon said that it stops, but its process is still there");
	return EXIT_FAILED;
}

/* EXIT_NOT_RUNNING: there was none. */
static int stop(const struct arguments *arguments)
{
	struct daemon_connection connection;
	int code = EXIT_CANNOT_TELL;

	switch (daemon_connect(&connection, arguments)) {
	case DAEMON_ANSWERS:
		code = ask_to_stop(&connection, arguments);
		break;
	case DAEMON_NOT_RUNNING:
	case DAEMON_DEAD:
		say("%s", connection.problem);
		code = EXIT_NOT_RUNNING;
		break;
	case DAEMON_UNKNOWN:
		say("%s", connection.problem);
		break;
	}
	daemon_close(&connection);
	return code;
}

int command_stop(const struct arguments *arguments)
{
	int code = stop(arguments);

	return code == EXIT_NOT_RUNNING ? EXIT_DONE : code;
}

static int copy_config(const struct control_record *record, void *data)
{
	char **config = data;

	/* Only what means the same file here as there. */
	if (record->type != CONTROL_DAEMON || record->daemon.config[0] != '/')
		return 0;
	*config = strdup(record->daemon.config);
	return *config ? 0 : -1;
}

/* What a stranger's daemon calls its table must never be run with our rights. */
static bool is_ours(const struct daemon_connection *connection)
{
	return connection->uid == geteuid();
}

/* The table of the daemon that runs.  For the caller to free; NULL: none runs, or it would not say. */
static char *running_config(const struct arguments *arguments, bool only_ours)
{
	struct daemon_connection connection;
	char *config = NULL;

	if (daemon_connect(&connection, arguments) == DAEMON_ANSWERS &&
	    (!only_ours || is_ours(&connection)) && daemon_send(&connection, CONTROL_VERSION_ASKED, 0, NULL))
		daemon_answer(&connection, copy_config, &config);
	daemon_close(&connection);
	return config;
}

/* Who may not stop the daemon is told that, and nothing of the table. */
static int may_stop(const struct arguments *arguments)
{
	struct daemon_connection connection;
	int code = EXIT_DONE;

	if (daemon_connect(&connection, arguments) == DAEMON_ANSWERS) {
		code = daemon_send(&connection, CONTROL_STOP, CONTROL_ASK, NULL)
			       ? daemon_answer(&connection, NULL, NULL)
			       : EXIT_CANNOT_TELL;
		if (code == EXIT_DONE && !is_ours(&connection)) {
			say("not permitted: the daemon runs as user %u; only that user can start it again",
			    (unsigned)connection.uid);
			code = EXIT_CANNOT_TELL;
		}
	}
	daemon_close(&connection);
	return code;
}

static bool same_file(const char *one, const char *other)
{
	struct stat a, b;

	if (strcmp(one, other) == 0)
		return true;
	if (stat(other, &b) < 0)
		return true; /* the daemon says better what is wrong with it */
	return stat(one, &a) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A daemon that runs is worth more than one that could not start again. */
static bool table_is_good(const struct arguments *arguments, const char *config)
{
	const struct table_options options = {.privileged = privilege_full(),
					      .runtime_dir = arguments->runtime_dir};
	struct diagnostics diagnostics = {0};
	struct table *table = table_read(config, &options, &diagnostics);
	const bool good = table != NULL;

	for (size_t i = 0; !good && i < diagnostics.count; i++)
		fprintf(stderr, "%s\n", diagnostics.item[i].text);
	diagnostics_free(&diagnostics);
	table_free(table);
	return good;
}

int command_restart(const struct arguments *arguments)
{
	int code = may_stop(arguments);

	if (code != EXIT_DONE)
		return code;
	char *running = arguments->config ? NULL : running_config(arguments, true);
	const char *config = running ? running : daemon_config(arguments);
	code = EXIT_BAD_TABLE;
	if (table_is_good(arguments, config)) {
		code = stop(arguments);
		if (code == EXIT_DONE || code == EXIT_NOT_RUNNING)
			code = be_daemon(arguments, config, true);
	} else {
		say("the table has mistakes; nothing was stopped");
	}
	free(running);
	return code;
}

int command_reload(const struct arguments *arguments)
{
	char *running = arguments->config ? running_config(arguments, false) : NULL;
	const bool other = running && !same_file(running, arguments->config);

	if (other)
		say("reload: the daemon's table is %s, not %s; `restart -c FILE` changes to another one",
		    running, arguments->config);
	free(running);
	if (other)
		return EXIT_USAGE;
	return daemon_ask(arguments, CONTROL_RELOAD, 0, NULL, NULL, NULL);
}

int command_upgrade(const struct arguments *arguments)
{
	return daemon_ask(arguments, CONTROL_UPGRADE, 0, NULL, daemon_print_line, NULL);
}
