/*
 * servers.c: up, down, roll, pause and resume.  Nothing is asked for before every name was found; then all are asked for at once
 * and waited for together.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stddef.h>

#include "commands.h"
#include "daemon.h"
#include "names.h"
#include "say.h"

/* Requests under way: fewer than the connections that the daemon lets one user have. */
#define TOGETHER 8u

static enum control_command asked(const struct arguments *arguments)
{
	switch (arguments->command) {
	case COMMAND_UP:
		return CONTROL_UP;
	case COMMAND_DOWN:
		return CONTROL_DOWN;
	case COMMAND_PAUSE:
		return CONTROL_PAUSE;
	case COMMAND_RESUME:
		return CONTROL_RESUME;
	default:
		return CONTROL_ROLL;
	}
}

static int check_names(const struct arguments *arguments)
{
	struct names names;
	int code = names_ask(&names, arguments);

	for (unsigned i = 0; code == EXIT_DONE && i < arguments->words; i++)
		if (!names_match(&names, arguments->word[i]))
			code = names_say_unknown(&names, arguments->word[i]);
	names_free(&names);
	return code;
}

/* The first code that is not 0. */
static int worse(int code, int other)
{
	return code ? code : other;
}

static int ask_some(const struct arguments *arguments, unsigned first, unsigned count)
{
	struct daemon_connection connection[TOGETHER];
	bool sent[TOGETHER];
	int code = EXIT_DONE;

	for (unsigned i = 0; i < count; i++) {
		sent[i] = daemon_connect(&connection[i], arguments) == DAEMON_ANSWERS;
		if (!sent[i])
			say("%s", connection[i].problem);
		else
			sent[i] =
				daemon_send(&connection[i], asked(arguments), 0, arguments->word[first + i]);
	}
	for (unsigned i = 0; i < count; i++) {
		code = worse(code, sent[i] ? daemon_answer(&connection[i], daemon_print_line, NULL)
					   : EXIT_CANNOT_TELL);
		daemon_close(&connection[i]);
	}
	return code;
}

int command_servers(const struct arguments *arguments)
{
	int code;

	if (arguments->options & OPTION_ALL)
		return daemon_ask(arguments, asked(arguments), 0, NULL, daemon_print_line, NULL);
	code = check_names(arguments);
	if (code)
		return code;
	for (unsigned first = 0; first < arguments->words; first += TOGETHER) {
		unsigned left = arguments->words - first;

		code = worse(code, ask_some(arguments, first, left < TOGETHER ? left : TOGETHER));
	}
	return code;
}
