/*
 * fuzz_arguments.c: the command line, one word a line.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "arguments.h"
#include "fuzz.h"

#define WORDS 32
#define BYTES 1024

static void check_accepted(const struct arguments *arguments, char *const *argv, int argc)
{
	FUZZ_CHECK(arguments->name != NULL);
	FUZZ_CHECK(arguments->words < (unsigned)argc || arguments->command == COMMAND_HELP);
	/* Its words are those of the command line, each once and none invented.  (COMMAND --help: its own name.) */
	for (unsigned i = 0; i < arguments->words; i++) {
		int found = 0;
		for (int j = 1; j < argc; j++)
			found += argv[j] == arguments->word[i];
		FUZZ_CHECK(found == 1 || arguments->command == COMMAND_HELP);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[BYTES + 1];
	char *argv[WORDS + 2] = {(char[]){"lust-inetd"}}, *said[WORDS + 2];
	struct arguments arguments;
	int argc = 1;

	if (size > BYTES)
		return -1;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *word = text; word && argc <= WORDS; argc++) {
		argv[argc] = word;
		word = strchr(word, '\n');
		if (word)
			*word++ = '\0';
	}
	argv[argc] = NULL;
	memcpy(said, argv, sizeof(said)); /* the parser puts argv in another order */
	int result = arguments_parse(&arguments, argc, argv);
	FUZZ_CHECK(memchr(arguments.problem, '\0', sizeof(arguments.problem)) != NULL);
	FUZZ_CHECK(result == 0 || (result == EXIT_USAGE && arguments.problem[0]));
	if (result == 0)
		check_accepted(&arguments, said, argc);
	return 0;
}
