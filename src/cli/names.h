/*
 * names.h: which services there are, to say "did you mean".
 */
#ifndef NAMES_H
#define NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "arguments.h"

struct names {
	char **name;
	size_t count;
};

/* Asks the daemon.  The exit code; a message was said unless 0. */
int names_ask(struct names *names, const struct arguments *arguments);
void names_free(struct names *names);

bool names_has(const struct names *names, const char *word);

/* A name, or a pattern as of fnmatch(3) that fits one. */
bool names_match(const struct names *names, const char *word);

/* "unknown service ...", with the nearest name.  Returns EXIT_USAGE. */
int names_say_unknown(const struct names *names, const char *word);

#endif
