/*
 * tables.c: check and show: what the table says, without a daemon.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "daemon.h"
#include "lifecycle.h"
#include "names.h"
#include "say.h"
#include "table.h"

static struct table *read_table(const struct arguments *arguments, const char *file,
				struct diagnostics *diagnostics)
{
	const struct table_options options = {.privileged = privilege_full(),
					      .runtime_dir = arguments->runtime_dir};

	return table_read(file, &options, diagnostics);
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static void print_diagnostics(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		fprintf(stderr, "%s\n", diagnostics->item[i].text);
}

static void print_count(const struct diagnostics *diagnostics)
{
	const size_t mistakes = diagnostics->mistakes, warnings = diagnostics->warnings;

	if (mistakes && warnings)
		say("%zu mistake%s, %zu warning%s", mistakes, plural(mistakes), warnings, plural(warnings));
	else if (mistakes)
		say("%zu mistake%s", mistakes, plural(mistakes));
	else if (warnings)
		say("%zu warning%s", warnings, plural(warnings));
}

int command_check(const struct arguments *arguments)
{
	const char *file = arguments->words ? arguments->word[0] : daemon_config(arguments);
	const bool strict = arguments->options & OPTION_STRICT;
	struct diagnostics diagnostics = {0};
	struct table *table = read_table(arguments, file, &diagnostics);
	const bool good = table && !(strict && diagnostics.warnings);

	print_diagnostics(&diagnostics);
	print_count(&diagnostics);
	if (good)
		printf("%s: %zu service%s, ok\n", file, table->service_count, plural(table->service_count));
	table_free(table);
	diagnostics_free(&diagnostics);
	return good ? EXIT_DONE : EXIT_BAD_TABLE;
}

static int say_unknown(const struct table *table, const char *word)
{
	struct names names = {calloc(table->service_count + 1, sizeof(char *)), table->service_count};
	int code;

	if (!names.name) {
		say("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < table->service_count; i++)
		names.name[i] = (char *)table->service[i].name; /* only looked at */
	code = names_say_unknown(&names, word);
	free(names.name);
	return code;
}

static int show_running(const struct arguments *arguments)
{
	struct names names;
	int code = names_ask(&names, arguments);

	if (code == EXIT_DONE && !names_has(&names, arguments->word[0]))
		code = names_say_unknown(&names, arguments->word[0]);
	names_free(&names);
	if (code)
		return code;
	return daemon_ask(arguments, CONTROL_SHOW, 0, arguments->word[0], daemon_print_line, NULL);
}

int command_show(const struct arguments *arguments)
{
	struct diagnostics diagnostics = {0};
	const struct table_service *service;
	struct table *table;
	int code = EXIT_DONE;

	if (arguments->options & OPTION_RUNNING)
		return show_running(arguments);
	table = read_table(arguments, daemon_config(arguments), &diagnostics);
	if (!table) {
		print_diagnostics(&diagnostics);
		print_count(&diagnostics);
		diagnostics_free(&diagnostics);
		return EXIT_BAD_TABLE;
	}
	service = table_find(table, arguments->word[0]);
	if (!service) {
		code = say_unknown(table, arguments->word[0]);
	} else if (table_show(stdout, table, service, geteuid() == 0) < 0) {
		say("%s", strerror(ENOMEM));
		code = EXIT_FAILED;
	}
	table_free(table);
	diagnostics_free(&diagnostics);
	return code;
}
