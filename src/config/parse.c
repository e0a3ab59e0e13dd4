/*
 * parse.c: cut statements to recorded words, through libConfuse.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "parse.h"

/* libConfuse's values into the section; the option is ready for the next use. */
static void parse_keep(struct parse_context *context, const struct statement *statement,
		       const struct word *word, struct section *section)
{
	struct parser *parser = context->parser;
	unsigned count = parser_count(parser, word);
	struct setting *setting = &section->setting[section->count++];

	*setting = (struct setting){
		.word = word,
		.place = {context->lexer->source, statement->line},
		.add = statement->kind == STATEMENT_ADD,
		.count = count,
	};
	setting->value = arena_alloc(context->arena, (count + 1) * sizeof(*setting->value));
	setting->line = arena_alloc(context->arena, count * sizeof(*setting->line));
	for (unsigned i = 0; i < count; i++)
		setting->value[i] =
			arena_strdup(context->arena, parser_value(parser, word, i, &setting->line[i]));
	parser_forget(parser, word);
}

/* Said, though wrong: nobody shall say that it is missing. */
static void parse_keep_bad(struct parse_context *context, const struct statement *statement,
			   const struct word *word, struct section *section)
{
	static const char *none[] = {NULL};

	section->setting[section->count++] = (struct setting){
		.word = word,
		.place = {context->lexer->source, statement->line},
		.bad = true,
		.value = none,
	};
}

/* libConfuse stops at its first mistake: when the whole does not parse, each word is tried alone. */
static void parse_alone(struct parse_context *context, struct statement *statement, const struct word *word,
			const char *title)
{
	struct range range = {context->lexer->text, statement->start, statement->end, statement->line};
	const char *what;
	unsigned line;

	parser_forget(context->parser, word);
	if (parser_section(context->parser, word->section, &range))
		return;
	statement->bad = true;
	parser_forget(context->parser, word);
	what = parser_error(context->parser, &line);
	report_mistake(context->report, (struct place){context->lexer->source, line}, title, word->name,
		       "%s (one value, or several in braces with commas between them)", what);
}

static void parse_mistake(struct parse_context *context, const struct statement *statement, const char *title,
			  const char *what)
{
	report_mistake(context->report, (struct place){context->lexer->source, statement->line}, title,
		       statement->name, "%s", what);
}

/* Is the statement of the kind that its word wants? */
static const char *parse_misuse(const struct statement *statement, const struct word *word)
{
	bool assigns = statement->kind == STATEMENT_SET || statement->kind == STATEMENT_ADD;

	if (word->kind == WORD_LATER)
		return "not supported yet";
	if ((word->kind == WORD_ONE || word->kind == WORD_LIST) && !assigns)
		return "takes a value (with \"=\")";
	if (word->kind == WORD_ONE && statement->kind == STATEMENT_ADD)
		return "has one value: nothing can be added to it (write \"=\")";
	if (word->kind == WORD_SECTION && statement->kind != STATEMENT_SECTION)
		return "is a section (write it with { })";
	if (word->kind == WORD_SECTION && statement->title)
		return "a section without a name of its own";
	if (word->kind == WORD_CALL && statement->kind != STATEMENT_CALL)
		return "is written include(\"FILE\")";
	return NULL;
}

/* The word of a statement that can be parsed, or NULL: told. */
static const struct word *parse_word(struct parse_context *context, const struct statement *statement,
				     enum section_kind section, const char *title)
{
	const struct word *word = schema_find(section, statement->name);
	const char *misuse;
	char text[256];

	if (!word) {
		if (statement->bad)
			return NULL; /* told, and the name may be what is wrong */
		schema_explain(section, statement->name, text, sizeof(text));
		parse_mistake(context, statement, title, text);
		return NULL;
	}
	misuse = parse_misuse(statement, word);
	if (misuse) {
		parse_mistake(context, statement, title, misuse);
		return NULL;
	}
	return word;
}

/* A word that stands twice in a section is told with both places. */
static bool parse_twice(struct parse_context *context, const struct statement *statement, const char *title,
			struct place first[WORD_COUNT], enum word_id id)
{
	struct place *place = &first[id];

	if (!place->source) {
		*place = (struct place){context->lexer->source, statement->line};
		return false;
	}
	report_mistake(context->report, (struct place){context->lexer->source, statement->line}, title,
		       statement->name, "set twice, first in %s:%u", place->source->path, place->line);
	return true;
}

static unsigned parse_count(const struct statement *statement)
{
	unsigned count = 0;

	for (; statement; statement = statement->next)
		count++;
	return count;
}

/* Parses what is left of a section after inner sections and bad words were blanked. */
static void parse_body(struct parse_context *context, const struct statement *statement,
		       struct section *section, enum section_kind kind)
{
	struct range range = {context->lexer->text, statement->body, statement->body_end,
			      statement->body_line};
	bool whole = parser_section(context->parser, kind, &range);

	for (struct statement *child = statement->child; child; child = child->next) {
		const struct word *word = child->bad ? NULL : schema_find(kind, child->name);

		if (!word)
			continue;
		if (!whole)
			parse_alone(context, child, word, section->title);
		if (child->bad)
			parse_keep_bad(context, child, word, section);
		else
			parse_keep(context, child, word, section);
	}
}

static struct section *parse_section(struct parse_context *context, const struct statement *statement,
				     enum section_kind kind, const char *title, bool defaults);

/* server { }. A second one is parsed only to tell its mistakes. */
static void parse_inner(struct parse_context *context, const struct statement *statement,
			struct section *section, bool defaults, bool twice)
{
	struct section *server = parse_section(context, statement, SECTION_SERVER, section->title, defaults);

	if (!twice)
		section->server = server;
}

static struct section *parse_section(struct parse_context *context, const struct statement *statement,
				     enum section_kind kind, const char *title, bool defaults)
{
	struct section *section = arena_alloc(context->arena, sizeof(*section));
	struct place first[WORD_COUNT] = {{0}};

	section->place = (struct place){context->lexer->source, statement->line};
	section->title = title;
	section->setting =
		arena_alloc(context->arena, parse_count(statement->child) * sizeof(*section->setting));
	for (struct statement *child = statement->child; child; child = child->next) {
		const struct word *word = parse_word(context, child, kind, title);
		bool twice = word && parse_twice(context, child, title, first, word->id);

		if (word && word->id == W_SERVER)
			parse_inner(context, child, section, defaults, twice);
		else if (word && !twice && child->bad)
			parse_keep_bad(context, child, word, section);
		if (!word || twice)
			child->bad = true;
		if (child->bad || child->kind == STATEMENT_SECTION) {
			lexer_blank(context->lexer, child->start, child->end);
			child->bad = true;
		}
	}
	parse_body(context, statement, section, kind);
	for (unsigned i = 0; i < section->count; i++)
		section->setting[i].from_defaults = defaults;
	return section;
}

struct section *parse_service(struct parse_context *context, const struct statement *statement,
			      const char *title, bool defaults)
{
	return parse_section(context, statement, SECTION_SERVICE, title, defaults);
}

struct section *parse_dispatcher(struct parse_context *context, const struct statement *statement)
{
	return parse_section(context, statement, SECTION_DISPATCHER, "dispatcher", false);
}

void parse_top(struct parse_context *context, struct statement *statement, struct section *top)
{
	const struct word *word = schema_find(SECTION_TOP, statement->name);
	struct place here = {context->lexer->source, statement->line};
	size_t room = top->room;

	for (unsigned i = 0; i < top->count; i++) {
		if (top->setting[i].word != word)
			continue;
		report_mistake(context->report, here, NULL, word->name, "set twice, first in %s:%u",
			       top->setting[i].place.source->path, top->setting[i].place.line);
		return;
	}
	if (statement->bad)
		return;
	parse_alone(context, statement, word, NULL);
	if (statement->bad)
		return;
	top->setting = arena_room(context->arena, top->setting, top->count, &room, sizeof(*top->setting));
	top->room = (unsigned)room;
	parse_keep(context, statement, word, top);
}

int parse_include(struct parse_context *context, const struct statement *statement, const char **argument)
{
	struct range range = {context->lexer->text, statement->start, statement->end, statement->line};

	if (parser_include(context->parser, &range, argument) != 1) {
		parse_mistake(context, statement, NULL, "takes one file or pattern (include(\"FILE\"))");
		return -1;
	}
	*argument = arena_strdup(context->arena, *argument);
	return 0;
}
