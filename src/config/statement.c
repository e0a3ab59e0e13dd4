/*
 * statement.c: what the statements of the top level are, and that none of them stands twice.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "reader.h"
#include "values.h"

static void statement_mistake(struct reader *reader, struct place place, const char *name, const char *what)
{
	report_mistake(&reader->report, place, NULL, name, "%s", what);
}

static bool statement_is_section(struct reader *reader, struct place place, const struct statement *statement)
{
	if (statement->kind == STATEMENT_SECTION && !statement->title)
		return true;
	statement_mistake(reader, place, statement->name,
			  statement->title ? "a section without a name of its own"
					   : "is a section (write it with { })");
	return false;
}

/* defaults { } and dispatcher { }, each once in all files. The second is parsed too, to tell its mistakes. */
static void statement_once(struct reader *reader, struct place place, const struct statement *statement,
			   struct section **kept, struct section *section)
{
	if (!*kept)
		*kept = section;
	else
		report_mistake(&reader->report, place, NULL, statement->name, "set twice, first in %s:%u",
			       (*kept)->place.source->path, (*kept)->place.line);
}

static bool statement_name_is_right(struct reader *reader, struct place place, const char *name)
{
	if (value_is_name(name, strlen(name)))
		return true;
	report_mistake(&reader->report, place, NULL, "service",
		       "\"%s\" is no name (letters, digits, . _ -, a letter or digit first, at most %d)",
		       name, TABLE_NAME - 1);
	return false;
}

static void statement_service(struct reader *reader, struct parse_context *context, struct place place,
			      const struct statement *statement)
{
	struct section *section, *first;
	const char *title;
	void **slot;

	if (statement->kind != STATEMENT_SECTION || !statement->title) {
		statement_mistake(reader, place, statement->name, "is written service \"NAME\" { }");
		return;
	}
	if (reader->only_service && strcmp(reader->only_service, statement->title) != 0)
		return;
	title = arena_strdup(&reader->work, statement->title);
	section = parse_service(context, statement, title, false);
	if (statement->bad || !statement_name_is_right(reader, place, title))
		return;
	slot = map_slot(&reader->names, title, strlen(title));
	first = *slot;
	if (first) {
		report_mistake(&reader->report, place, title, NULL,
			       "a second service of this name, the first is in %s:%u",
			       first->place.source->path, first->place.line);
		return;
	}
	*slot = section;
	if (reader->service_count == TABLE_SERVICES_MAX)
		report_mistake(&reader->report, place, title, NULL, "more than %u services",
			       TABLE_SERVICES_MAX);
	reader->service = arena_room(&reader->work, reader->service, reader->service_count,
				     &reader->service_room, sizeof(struct section *));
	reader->service[reader->service_count++] = section;
}

static void statement_unknown(struct reader *reader, struct place place, const struct statement *statement)
{
	char text[256];

	if (statement->bad)
		return; /* told, and the name may be what is wrong */
	schema_explain(SECTION_TOP, statement->name, text, sizeof(text));
	statement_mistake(reader, place, statement->name, text);
}

static void statement_assign(struct reader *reader, struct parse_context *context, struct place place,
			     struct statement *statement, const struct word *word)
{
	if (statement->kind != STATEMENT_SET && statement->kind != STATEMENT_ADD)
		statement_mistake(reader, place, statement->name, "takes a value (with \"=\")");
	else if (statement->kind == STATEMENT_ADD && word->kind == WORD_ONE)
		statement_mistake(reader, place, statement->name,
				  "has one value: nothing can be added to it (write \"=\")");
	else
		parse_top(context, statement, &reader->top);
}

void statement_take(struct reader *reader, struct lexer *lexer, struct statement *statement)
{
	struct parse_context context = {reader->parser, lexer, &reader->work, &reader->report};
	const struct word *word = schema_find(SECTION_TOP, statement->name);
	struct place place = {lexer->source, statement->line};

	if (reader->only_runtime_dir && (!word || word->id != W_RUNTIME_DIR))
		return;
	if (!word) {
		statement_unknown(reader, place, statement);
		return;
	}
	switch (word->id) {
	case W_SERVICE:
		statement_service(reader, &context, place, statement);
		break;
	case W_DEFAULTS:
		if (statement_is_section(reader, place, statement))
			statement_once(reader, place, statement, &reader->defaults,
				       parse_service(&context, statement, "defaults", true));
		break;
	case W_DISPATCHER:
		if (statement_is_section(reader, place, statement))
			statement_once(reader, place, statement, &reader->dispatcher,
				       parse_dispatcher(&context, statement));
		break;
	case W_INCLUDE:
		statement_mistake(reader, place, statement->name, "is written include(\"FILE\")");
		break;
	default:
		statement_assign(reader, &context, place, statement, word);
	}
}
