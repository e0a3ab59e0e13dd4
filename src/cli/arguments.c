/*
 * arguments.c: one table of commands, and a parser that takes options before and after the command.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

#define MANY 1000000u

struct command_row {
	const char *name;
	enum command command;
	unsigned words_min, words_max;
	unsigned options; /* that it takes */
};

static const struct command_row row[] = {
	{"run", COMMAND_RUN, 0, 0, 0},
	{"start", COMMAND_START, 0, 0, 0},
	{"stop", COMMAND_STOP, 0, 0, OPTION_NOW},
	{"restart", COMMAND_RESTART, 0, 0, OPTION_NOW},
	{"reload", COMMAND_RELOAD, 0, 0, 0},
	{"upgrade", COMMAND_UPGRADE, 0, 0, 0},
	{"status", COMMAND_STATUS, 0, 1, OPTION_JSON | OPTION_PROBLEMS},
	{"list", COMMAND_LIST, 0, 0, 0},
	{"up", COMMAND_UP, 0, MANY, OPTION_ALL},
	{"down", COMMAND_DOWN, 0, MANY, OPTION_ALL},
	{"roll", COMMAND_ROLL, 0, MANY, OPTION_ALL},
	{"pause", COMMAND_PAUSE, 0, MANY, OPTION_ALL},
	{"resume", COMMAND_RESUME, 0, MANY, OPTION_ALL},
	{"check", COMMAND_CHECK, 0, 1, OPTION_STRICT},
	{"show", COMMAND_SHOW, 1, 1, OPTION_RUNNING},
	{"version", COMMAND_VERSION, 0, 0, 0},
	{"help", COMMAND_HELP, 0, 1, 0},
	{"log", COMMAND_LATER, 0, MANY, 0},
	{"check-jail", COMMAND_LATER, 0, MANY, 0},
	{"import", COMMAND_LATER, 0, MANY, 0},
};

#define ROWS (sizeof(row) / sizeof(row[0]))

const char *const command_names[] = {"run",     "start", "stop",   "restart", "reload",     "status",  "list",
				     "up",      "down",  "roll",   "check",   "show",       "version", "help",
				     "upgrade", "pause", "resume", "log",     "check-jail", "import",  NULL};

static const struct option_name {
	const char *name;
	unsigned option;
} option_name[] = {
	{"--now", OPTION_NOW},       {"--json", OPTION_JSON},       {"--problems", OPTION_PROBLEMS},
	{"--strict", OPTION_STRICT}, {"--running", OPTION_RUNNING}, {"--all", OPTION_ALL},
};

#define OPTION_NAMES (sizeof(option_name) / sizeof(option_name[0]))

/* What the parser has seen besides *arguments. */
struct parser {
	struct arguments *arguments;
	int argc, at;
	char **argv;
	const struct command_row *row;
	bool help, version, only_words;
};

static int usage(struct arguments *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int usage(struct arguments *arguments, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(arguments->problem, sizeof(arguments->problem), format, list);
	va_end(list);
	return EXIT_USAGE;
}

static const struct command_row *find_row(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(row[i].name, name) == 0)
			return &row[i];
	return NULL;
}

static int unknown_command(struct arguments *arguments, const char *word)
{
	const char *nearest = nearest_name(word, command_names, ROWS);

	if (nearest)
		return usage(arguments, "unknown command \"%s\" (did you mean \"%s\"?)", word, nearest);
	return usage(arguments, "unknown command \"%s\" (lust-inetd help lists them)", word);
}

static int unknown_option(struct parser *parser, const char *word)
{
	const char *names[OPTION_NAMES + 2], *nearest;
	size_t count = 0;

	for (size_t i = 0; i < OPTION_NAMES; i++)
		if (parser->row && (parser->row->options & option_name[i].option))
			names[count++] = option_name[i].name;
	names[count++] = "--help";
	names[count++] = "--version";
	nearest = nearest_name(word, names, count);
	return usage(parser->arguments, "%s%sunknown option \"%s\"%s%s%s",
		     parser->row ? parser->row->name : "", parser->row ? ": " : "", word,
		     nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
}

static int long_option(struct parser *parser, const char *word)
{
	if (strcmp(word, "--help") == 0) {
		parser->help = true;
		return 0;
	}
	if (strcmp(word, "--version") == 0) {
		parser->version = true;
		return 0;
	}
	for (size_t i = 0; i < OPTION_NAMES; i++) {
		if (strcmp(word, option_name[i].name) != 0)
			continue;
		if (!parser->row)
			return usage(parser->arguments, "%s belongs after the command", word);
		if (!(parser->row->options & option_name[i].option))
			return usage(parser->arguments, "%s: %s means nothing here", parser->row->name, word);
		parser->arguments->options |= option_name[i].option;
		return 0;
	}
	return unknown_option(parser, word);
}

/* The value of -c or -r: the rest of this word, or the next one. */
static int option_value(struct parser *parser, const char *rest, char letter, const char **value)
{
	if (*value)
		return usage(parser->arguments, "-%c is given twice", letter);
	if (!*rest) {
		if (parser->at + 1 >= parser->argc)
			return usage(parser->arguments, "-%c wants a %s", letter,
				     letter == 'c' ? "file" : "directory");
		rest = parser->argv[++parser->at];
	}
	if (!*rest)
		return usage(parser->arguments, "-%c wants a %s, not an empty word", letter,
			     letter == 'c' ? "file" : "directory");
	*value = rest;
	return 0;
}

static int short_options(struct parser *parser, const char *word)
{
	for (const char *letter = word + 1; *letter; letter++) {
		switch (*letter) {
		case 'v':
			parser->arguments->verbose = true;
			break;
		case 'h':
			parser->help = true;
			break;
		case 'c':
			return option_value(parser, letter + 1, 'c', &parser->arguments->config);
		case 'r':
			return option_value(parser, letter + 1, 'r', &parser->arguments->runtime_dir);
		default:
			return unknown_option(parser, word);
		}
	}
	return 0;
}

static int take_word(struct parser *parser, char *word)
{
	struct arguments *arguments = parser->arguments;

	if (parser->row) {
		/* Never in front of what is still to be read. */
		arguments->word[arguments->words++] = word;
		return 0;
	}
	parser->row = find_row(word);
	return parser->row ? 0 : unknown_command(arguments, word);
}

static int take(struct parser *parser, char *word)
{
	if (parser->only_words || word[0] != '-' || word[1] == '\0')
		return take_word(parser, word);
	if (strcmp(word, "--") == 0) {
		parser->only_words = true;
		return 0;
	}
	/* What belongs to commands of a later release is not known here. */
	if (parser->row && parser->row->command == COMMAND_LATER)
		return 0;
	if (word[1] == '-')
		return long_option(parser, word);
	return short_options(parser, word);
}

static int check_words(const struct parser *parser)
{
	struct arguments *arguments = parser->arguments;
	const char *name = parser->row->name;
	const bool of_servers = parser->row->options & OPTION_ALL;

	for (unsigned i = 0; i < arguments->words; i++)
		if (!*arguments->word[i])
			return usage(arguments, "%s: an argument is empty (an unset variable?)", name);
	switch (arguments->command) {
	case COMMAND_START:
	case COMMAND_STOP:
	case COMMAND_RESTART:
	case COMMAND_UPGRADE:
		if (arguments->words)
			return usage(arguments,
				     "%s is for the whole daemon and takes no service; the servers of one "
				     "service: "
				     "up, down, roll",
				     name);
		break;
	default:
		break;
	}
	if (of_servers && !arguments->words && !(arguments->options & OPTION_ALL))
		return usage(arguments, "%s: which service? (names, patterns like \"web*\", or --all)", name);
	if (of_servers && arguments->words && (arguments->options & OPTION_ALL))
		return usage(arguments, "%s: either services or --all", name);
	if (arguments->words < parser->row->words_min)
		return usage(arguments, "%s: which service?", name);
	if (arguments->words > parser->row->words_max)
		return usage(arguments, "%s: one word too many: \"%s\"", name,
			     arguments->word[parser->row->words_max]);
	return 0;
}

/* --help and --version win over everything but nonsense. */
static int finish(struct parser *parser)
{
	struct arguments *arguments = parser->arguments;

	if (parser->help) {
		arguments->words = parser->row ? 1 : 0;
		if (parser->row)
			arguments->word[0] = (char *)parser->row->name;
		parser->row = find_row("help");
	} else if (parser->version) {
		arguments->words = 0;
		arguments->options = 0;
		arguments->only_own_version = true;
		parser->row = find_row("version");
	}
	if (!parser->row)
		return usage(arguments, "which command? (lust-inetd help lists them)");
	arguments->command = parser->row->command;
	arguments->name = parser->row->name;
	if (arguments->command == COMMAND_HELP && arguments->words && !find_row(arguments->word[0]))
		return unknown_command(arguments, arguments->word[0]);
	return check_words(parser);
}

int arguments_parse(struct arguments *arguments, int argc, char **argv)
{
	struct parser parser = {.arguments = arguments, .argc = argc, .argv = argv};

	memset(arguments, 0, sizeof(*arguments));
	arguments->word = argv;
	for (parser.at = 1; parser.at < argc; parser.at++) {
		int code = take(&parser, argv[parser.at]);

		if (code)
			return code;
	}
	return finish(&parser);
}
