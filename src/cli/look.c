/*
 * look.c: status, list and version: whoever may look.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdio.h>

#include "commands.h"
#include "daemon.h"
#include "names.h"
#include "render.h"
#include "say.h"

static int add_record(const struct control_record *record, void *data)
{
	return snapshot_add(data, record);
}

static void render(struct snapshot *snapshot, const struct arguments *arguments)
{
	const bool problems = arguments->options & OPTION_PROBLEMS;

	if (arguments->options & OPTION_JSON) {
		render_json(stdout, snapshot, problems);
		return;
	}
	snapshot_sort(snapshot);
	if (arguments->words)
		render_details(stdout, snapshot, problems);
	else
		render_status(stdout, snapshot, problems);
}

/* Before it is asked for: which one was meant? */
static int check_name(const struct arguments *arguments)
{
	struct names names;
	int code = names_ask(&names, arguments);

	if (code == EXIT_DONE && !names_has(&names, arguments->word[0]))
		code = names_say_unknown(&names, arguments->word[0]);
	names_free(&names);
	return code;
}

static int ask_status(struct daemon_connection *connection, const struct arguments *arguments)
{
	const bool problems = arguments->options & OPTION_PROBLEMS;
	struct snapshot snapshot = {0};
	int code = arguments->words ? check_name(arguments) : EXIT_DONE;

	if (code)
		return code;
	code = EXIT_CANNOT_TELL;
	if (daemon_send(connection, CONTROL_STATUS, 0, arguments->words ? arguments->word[0] : NULL))
		code = daemon_answer(connection, add_record, &snapshot);
	if (code == EXIT_DONE) {
		render(&snapshot, arguments);
		if (problems && snapshot_any_trouble(&snapshot))
			code = EXIT_FAILED;
	}
	snapshot_free(&snapshot);
	return code;
}

int command_status(const struct arguments *arguments)
{
	struct daemon_connection connection;
	int code = EXIT_CANNOT_TELL;

	switch (daemon_connect(&connection, arguments)) {
	case DAEMON_ANSWERS:
		code = ask_status(&connection, arguments);
		break;
	case DAEMON_NOT_RUNNING:
		code = EXIT_NOT_RUNNING;
		say("%s", connection.problem);
		break;
	case DAEMON_DEAD:
		code = EXIT_FAILED;
		say("%s", connection.problem);
		break;
	case DAEMON_UNKNOWN:
		say("%s", connection.problem);
		break;
	}
	daemon_close(&connection);
	return code;
}

int command_list(const struct arguments *arguments)
{
	return daemon_ask(arguments, CONTROL_LIST, 0, NULL, daemon_print_line, NULL);
}

static int print_version(const struct control_record *record, void *data)
{
	(void)data;
	if (record->type == CONTROL_DAEMON)
		printf("running: %s, pid %d, %s\n", record->daemon.version, (int)record->daemon.pid,
		       record->daemon.config);
	return 0;
}

int command_version(const struct arguments *arguments)
{
	struct daemon_connection connection;

	printf("lust-inetd %s\n", PACKAGE_VERSION);
	if (arguments->only_own_version)
		return EXIT_DONE;
	if (daemon_connect(&connection, arguments) == DAEMON_ANSWERS &&
	    daemon_send(&connection, CONTROL_VERSION_ASKED, 0, NULL))
		daemon_answer(&connection, print_version, NULL);
	daemon_close(&connection);
	return EXIT_DONE;
}
