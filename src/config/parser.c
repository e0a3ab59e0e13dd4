/*
 * parser.c: libConfuse, and what it lacks.
 *
 * libConfuse copies the whole schema for each section and searches titles one by one: its natural use would cost
 * more than a second for 10,000 services.  So there is one cfg_t for each kind of section, made once, and it is given
 * the text between the braces; inner sections are parsed first and blanked.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "parser.h"

#include <confuse.h>
#include <stdlib.h>
#include <string.h>

/* The lines of an option's values. */
struct lines {
	unsigned *line, count, room;
};

struct parser {
	cfg_t *cfg[SECTION_KINDS];
	enum word_id *id[SECTION_KINDS]; /* of the options, in the same order */
	struct lines lines[WORD_COUNT];
	unsigned first_line; /* of the text that libConfuse is given */
	cfg_t *include;
	/* what libConfuse said last */
	char error[160];
	unsigned error_line;
	/* what include() got */
	char *argument;
	int arguments;
};

/* libConfuse's callbacks take no pointer of ours. One table is read at a time. */
static struct parser *parser_now;

/* libConfuse counts right once the comments are blanked. */
static unsigned parser_line(const cfg_t *cfg)
{
	return parser_now->first_line + (cfg->line > 0 ? (unsigned)cfg->line - 1 : 0);
}

static void parser_note_error(cfg_t *cfg, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void parser_note_error(cfg_t *cfg, const char *format, va_list arguments)
{
	if (!parser_now)
		return;
	vsnprintf(parser_now->error, sizeof(parser_now->error), format, arguments);
	parser_now->error_line = parser_line(cfg);
}

/* Called behind each value, and for lists once more at their end. */
static int parser_note_value(cfg_t *cfg, cfg_opt_t *option)
{
	enum section_kind section = SECTION_TOP;
	struct lines *lines;

	while (parser_now->cfg[section] != cfg)
		section++;
	lines = &parser_now->lines[parser_now->id[section][option - cfg->opts]];
	if (option->nvalues <= lines->count)
		return 0;
	if (lines->count == lines->room) {
		unsigned room = lines->room ? lines->room * 2 : 16;
		unsigned *larger = reallocarray(lines->line, room, sizeof(*larger));

		if (!larger)
			return -1;
		lines->line = larger;
		lines->room = room;
	}
	lines->line[lines->count++] = parser_line(cfg);
	return 0;
}

static int parser_note_include(cfg_t *cfg, cfg_opt_t *option, int count, const char **argument)
{
	(void)cfg;
	(void)option;
	parser_now->arguments = count;
	free(parser_now->argument);
	parser_now->argument = count > 0 ? strdup(argument[0]) : NULL;
	return count > 0 && !parser_now->argument;
}

static int parser_make(struct parser *parser, enum section_kind section)
{
	cfg_opt_t *option = calloc(schema_count + 1, sizeof(*option));
	size_t count = 0;

	parser->id[section] = calloc(schema_count + 1, sizeof(*parser->id[section]));
	if (!option || !parser->id[section]) {
		free(option);
		return -1;
	}
	for (size_t i = 0; i < schema_count; i++) {
		const struct word *word = &schema_word[i];
		cfg_opt_t one = CFG_STR(word->name, NULL, CFGF_NODEFAULT);
		cfg_opt_t list = CFG_STR_LIST(word->name, NULL, CFGF_NODEFAULT);

		if (word->section != section || (word->kind != WORD_ONE && word->kind != WORD_LIST))
			continue;
		option[count] = word->kind == WORD_LIST ? list : one;
		option[count].validcb = parser_note_value;
		parser->id[section][count++] = word->id;
	}
	option[count] = (cfg_opt_t)CFG_END();
	parser->cfg[section] = cfg_init(option, CFGF_NONE);
	free(option);
	if (!parser->cfg[section])
		return -1;
	cfg_set_error_function(parser->cfg[section], parser_note_error);
	return 0;
}

struct parser *parser_new(void)
{
	struct parser *parser = calloc(1, sizeof(*parser));
	cfg_opt_t include[] = {CFG_FUNC("include", parser_note_include), CFG_END()};

	if (!parser)
		return NULL;
	for (int section = SECTION_TOP; section <= SECTION_SERVER; section++)
		if (parser_make(parser, (enum section_kind)section))
			goto fail;
	parser->include = cfg_init(include, CFGF_NONE);
	if (!parser->include)
		goto fail;
	cfg_set_error_function(parser->include, parser_note_error);
	return parser;
fail:
	parser_free(parser);
	return NULL;
}

void parser_free(struct parser *parser)
{
	if (!parser)
		return;
	for (int section = 0; section < SECTION_KINDS; section++) {
		if (parser->cfg[section])
			cfg_free(parser->cfg[section]);
		free(parser->id[section]);
	}
	for (int id = 0; id < WORD_COUNT; id++)
		free(parser->lines[id].line);
	if (parser->include)
		cfg_free(parser->include);
	free(parser->argument);
	free(parser);
}

/* Gives libConfuse a part of the text. */
static bool parser_range(struct parser *parser, cfg_t *cfg, const struct range *range)
{
	char kept = range->text[range->end];
	int answer;

	parser_now = parser;
	parser->error[0] = '\0';
	parser->error_line = parser->first_line = range->line;
	range->text[range->end] = '\0';
	answer = cfg_parse_buf(cfg, range->text + range->start);
	range->text[range->end] = kept;
	parser_now = NULL;
	return answer == CFG_SUCCESS;
}

bool parser_section(struct parser *parser, enum section_kind section, const struct range *range)
{
	return parser_range(parser, parser->cfg[section], range);
}

int parser_include(struct parser *parser, const struct range *range, const char **argument)
{
	parser->arguments = 0;
	if (!parser_range(parser, parser->include, range))
		return -1;
	*argument = parser->argument;
	return parser->arguments;
}

const char *parser_error(const struct parser *parser, unsigned *line)
{
	*line = parser->error_line;
	return *parser->error ? parser->error : "cannot be read";
}

static cfg_opt_t *parser_option(const struct parser *parser, const struct word *word)
{
	cfg_t *cfg = parser->cfg[word->section];

	for (size_t i = 0; cfg->opts[i].name; i++)
		if (parser->id[word->section][i] == word->id)
			return &cfg->opts[i];
	return NULL;
}

unsigned parser_count(const struct parser *parser, const struct word *word)
{
	return parser_option(parser, word)->nvalues;
}

const char *parser_value(const struct parser *parser, const struct word *word, unsigned at, unsigned *line)
{
	*line = parser->lines[word->id].line[at];
	return parser_option(parser, word)->values[at]->string;
}

void parser_forget(struct parser *parser, const struct word *word)
{
	cfg_opt_t *option = parser_option(parser, word);

	parser->lines[word->id].count = 0;
	cfg_free_value(option);
	option->flags &= ~(CFGF_RESET | CFGF_MODIFIED);
}
