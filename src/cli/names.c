/*
 * names.c: the names of the daemon's services.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "names.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "say.h"
#include "table.h"

static int add_name(const struct control_record *record, void *data)
{
	struct names *names = data;
	char **bigger;

	if (record->type != CONTROL_OUTPUT)
		return 0;
	if ((names->count & (names->count - 1)) == 0) {
		bigger = reallocarray(names->name, names->count ? 2 * names->count : 1, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		names->name = bigger;
	}
	names->name[names->count] = strdup(record->line.text);
	if (!names->name[names->count])
		return -ENOMEM;
	names->count++;
	return 0;
}

int names_ask(struct names *names, const struct arguments *arguments)
{
	memset(names, 0, sizeof(*names));
	return daemon_ask(arguments, CONTROL_LIST, 0, NULL, add_name, names);
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
	memset(names, 0, sizeof(*names));
}

bool names_has(const struct names *names, const char *word)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(word, names->name[i]) == 0)
			return true;
	return false;
}

bool names_match(const struct names *names, const char *word)
{
	for (size_t i = 0; i < names->count; i++)
		if (fnmatch(word, names->name[i], 0) == 0)
			return true;
	return false;
}

int names_say_unknown(const struct names *names, const char *word)
{
	const char *nearest;

	if (strpbrk(word, "*?[")) {
		say("no service fits \"%s\"", word);
		return EXIT_USAGE;
	}
	nearest = nearest_name(word, (const char *const *)names->name, names->count);
	if (nearest)
		say("unknown service \"%s\" (did you mean \"%s\"?)", word, nearest);
	else
		say("unknown service \"%s\" (lust-inetd list tells them)", word);
	return EXIT_USAGE;
}
