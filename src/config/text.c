/*
 * text.c: cuts a file into statements.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "text.h"

#include <string.h>

#define NESTING 8 /* no table needs half of it; text that goes deeper is not a table */

static struct statement *text_statement(struct lexer *lexer, struct arena *scratch, unsigned depth);

static struct place text_place(const struct lexer *lexer, unsigned line)
{
	return (struct place){lexer->source, line};
}

static void text_unexpected(struct lexer *lexer, const struct token *token, const char *hint)
{
	report_mistake(lexer->report, text_place(lexer, token->line), lexer->service, NULL,
		       "unexpected %s%.*s%s%s", token->kind == TOKEN_STRING ? "" : "\"", lexer_shown(token),
		       lexer->text + token->start, token->kind == TOKEN_STRING ? "" : "\"", hint);
}

/* Out of the way of libConfuse. */
static void text_drop(struct lexer *lexer, const struct token *token)
{
	lexer_blank(lexer, token->start, token->end);
}

static bool text_is(const struct lexer *lexer, const struct token *token, const char *word)
{
	size_t length = token->end - token->start;

	return token->kind == TOKEN_WORD && strlen(word) == length &&
	       !memcmp(lexer->text + token->start, word, length);
}

/* `service "x" {` inside of anything: the brace before it was not closed. */
static bool text_starts_service(struct lexer *lexer)
{
	struct token token = lexer_peek(lexer);

	if (text_is(lexer, &token, "service"))
		return lexer_peek_second(lexer).kind == TOKEN_STRING;
	return text_is(lexer, &token, "defaults") && lexer_peek_second(lexer).kind == TOKEN_OPEN;
}

static void text_not_closed(struct lexer *lexer, unsigned line)
{
	if (!lexer->broken)
		report_mistake(lexer->report, text_place(lexer, line), lexer->service, NULL,
			       "this { is not closed");
}

/* Behind the { of a list, to behind its }.  What is between is libConfuse's, only the end must be found. */
static void text_list(struct lexer *lexer, struct statement *statement, unsigned open_line)
{
	unsigned depth = 1;

	while (depth) {
		struct token token = lexer_peek(lexer);

		if (token.kind == TOKEN_END || (token.kind == TOKEN_WORD && text_starts_service(lexer))) {
			text_not_closed(lexer, open_line);
			statement->bad = true;
			return;
		}
		lexer_next(lexer);
		statement->end = token.end;
		statement->bad |= token.bad;
		depth += token.kind == TOKEN_OPEN;
		depth -= token.kind == TOKEN_CLOSE;
		if ((token.kind == TOKEN_SET || token.kind == TOKEN_ADD) && !statement->bad) {
			report_mistake(lexer->report, text_place(lexer, token.line), lexer->service,
				       statement->name,
				       "\"=\" in the list that opens in line %u (close the list, or quote a "
				       "value with \"=\")",
				       open_line);
			statement->bad = true;
		}
	}
}

/* NAME = a, b: the braces were forgotten. */
static void text_surplus_values(struct lexer *lexer, struct statement *statement)
{
	struct token token = lexer_peek(lexer);

	if (token.kind != TOKEN_COMMA)
		return;
	report_mistake(lexer->report, text_place(lexer, token.line), lexer->service, statement->name,
		       "several values need braces (%s = {\"a\", \"b\"})", statement->name);
	statement->bad = true;
	while (lexer_peek(lexer).kind == TOKEN_COMMA) {
		statement->end = lexer_next(lexer).end;
		token = lexer_peek(lexer);
		if (token.kind != TOKEN_WORD && token.kind != TOKEN_STRING)
			return;
		statement->end = lexer_next(lexer).end;
	}
}

static void text_value(struct lexer *lexer, struct statement *statement)
{
	struct token token;

	lexer->word = statement->name;
	token = lexer_peek(lexer);
	if (token.kind == TOKEN_WORD || token.kind == TOKEN_STRING) {
		lexer_next(lexer);
		lexer->word = NULL;
		statement->bad |= token.bad;
		statement->end = token.end;
		text_surplus_values(lexer, statement);
	} else if (token.kind == TOKEN_OPEN) {
		lexer_next(lexer);
		statement->end = token.end;
		text_list(lexer, statement, token.line);
	} else {
		if (!lexer->broken)
			report_mistake(lexer->report, text_place(lexer, statement->line), lexer->service,
				       statement->name, "no value behind \"=\"");
		statement->bad = true;
	}
	lexer->word = NULL;
}

/* A nest too deep to be meant: to its end, without a look inside. */
static void text_skip_section(struct lexer *lexer, unsigned open_line)
{
	report_mistake(lexer->report, text_place(lexer, open_line), lexer->service, NULL,
		       "sections nested too deeply");
	for (unsigned depth = 1; depth;) {
		struct token token = lexer_next(lexer);

		if (token.kind == TOKEN_END)
			return;
		depth += token.kind == TOKEN_OPEN;
		depth -= token.kind == TOKEN_CLOSE;
	}
}

/* Behind the { of a section, to behind its }. */
static void text_section(struct lexer *lexer, struct arena *scratch, struct statement *statement,
			 unsigned open_line, unsigned depth)
{
	struct statement **last = &statement->child;

	if (depth >= NESTING) {
		text_skip_section(lexer, open_line);
		statement->bad = true;
		return;
	}
	for (;;) {
		struct token token = lexer_peek(lexer);

		statement->body_end = statement->end = token.start;
		if (token.kind == TOKEN_CLOSE) {
			statement->end = lexer_next(lexer).end;
			return;
		}
		if (token.kind == TOKEN_END || (token.kind == TOKEN_WORD && text_starts_service(lexer))) {
			text_not_closed(lexer, open_line);
			return;
		}
		*last = text_statement(lexer, scratch, depth + 1);
		if (*last)
			last = &(*last)->next;
	}
}

/* Told here: libConfuse, which finds it out behind the first argument, would lose that one. */
static void text_bad_comma(struct lexer *lexer, struct statement *statement, unsigned line)
{
	if (!statement->bad)
		report_mistake(lexer->report, text_place(lexer, line), lexer->service, statement->name,
			       "between ( and ) stand values with commas between them");
	statement->bad = true;
}

/* Behind NAME(, to behind the ). */
static void text_call(struct lexer *lexer, struct statement *statement)
{
	enum token_kind last = TOKEN_LEFT;

	for (;;) {
		struct token token = lexer_peek(lexer);
		bool value = token.kind == TOKEN_WORD || token.kind == TOKEN_STRING;
		bool behind_value = last == TOKEN_STRING || last == TOKEN_WORD;

		if (token.kind != TOKEN_RIGHT && token.kind != TOKEN_COMMA && !value) {
			if (!lexer->broken)
				report_mistake(lexer->report, text_place(lexer, statement->line),
					       lexer->service, statement->name, "this ( is not closed");
			statement->bad = true;
			return;
		}
		statement->bad |= token.bad;
		if (value ? behind_value : !behind_value && (token.kind == TOKEN_COMMA || last == TOKEN_COMMA))
			text_bad_comma(lexer, statement, token.line);
		statement->end = lexer_next(lexer).end;
		if (token.kind == TOKEN_RIGHT)
			return;
		last = token.kind;
	}
}

static void text_title(struct lexer *lexer, struct arena *scratch, struct statement *statement)
{
	struct token token = lexer_next(lexer);
	unsigned quotes = token.kind == TOKEN_STRING;

	statement->title =
		arena_copy(scratch, lexer->text + token.start + quotes, token.end - token.start - 2 * quotes);
	statement->bad |= token.bad;
}

static bool text_is_sign(enum token_kind kind)
{
	return kind == TOKEN_SET || kind == TOKEN_ADD || kind == TOKEN_OPEN || kind == TOKEN_LEFT;
}

/* NAME and then none of = += { ( : nothing to keep. What follows on the line is its value, unless it is a word itself. */
static struct statement *text_stray(struct lexer *lexer, struct statement *statement,
				    const struct token *name)
{
	struct token token = lexer_peek(lexer);

	if (!strpbrk(statement->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		text_unexpected(lexer, name, " (a word is wanted)");
	else if (!lexer->broken && !statement->bad)
		report_mistake(lexer->report, text_place(lexer, name->line), lexer->service, NULL,
			       "%s: no \"=\" behind it (a value with spaces needs quotes, a list braces)",
			       statement->name);
	text_drop(lexer, name);
	if (token.line == name->line && (token.kind == TOKEN_STRING || token.kind == TOKEN_WORD) &&
	    !text_is_sign(lexer_peek_second(lexer).kind)) {
		lexer_next(lexer);
		text_drop(lexer, &token);
	}
	return NULL;
}

/* Something else where a word is wanted: the sign and the value behind it are no words either. */
static void text_drop_value(struct lexer *lexer, struct token last)
{
	struct token token = lexer_peek(lexer);

	if (last.kind == TOKEN_STRING && token.line == last.line &&
	    (token.kind == TOKEN_SET || token.kind == TOKEN_ADD)) {
		last = lexer_next(lexer);
		text_drop(lexer, &last);
		token = lexer_peek(lexer);
	}
	if ((last.kind == TOKEN_SET || last.kind == TOKEN_ADD) && token.line == last.line &&
	    (token.kind == TOKEN_WORD || token.kind == TOKEN_STRING)) {
		lexer_next(lexer);
		text_drop(lexer, &token);
	}
}

/* The title stands on the line of its word: else `balance`, forgotten "=", would be the word of the next section. */
static bool text_opens_titled(struct lexer *lexer, const struct token *name)
{
	struct token next = lexer_peek(lexer);

	return (next.kind == TOKEN_WORD || next.kind == TOKEN_STRING) && next.line == name->line &&
	       lexer_peek_second(lexer).kind == TOKEN_OPEN;
}

/* The statement, or NULL when what stood there was none: that was told and blanked. */
static struct statement *text_statement(struct lexer *lexer, struct arena *scratch, unsigned depth)
{
	struct token name = lexer_next(lexer), sign;
	struct statement *statement;

	if (name.kind != TOKEN_WORD) {
		text_unexpected(lexer, &name,
				name.kind == TOKEN_STRING ? " (words of the table have no quotes)"
							  : " (a word is wanted)");
		text_drop(lexer, &name);
		text_drop_value(lexer, name);
		return NULL;
	}
	statement = arena_alloc(scratch, sizeof(*statement));
	statement->name = arena_copy(scratch, lexer->text + name.start, name.end - name.start);
	statement->start = name.start;
	statement->end = name.end;
	statement->line = name.line;
	statement->bad = name.bad;
	if (text_opens_titled(lexer, &name))
		text_title(lexer, scratch, statement);
	sign = lexer_peek(lexer);
	if (sign.kind != TOKEN_SET && sign.kind != TOKEN_ADD && sign.kind != TOKEN_OPEN &&
	    sign.kind != TOKEN_LEFT)
		return text_stray(lexer, statement, &name);
	lexer_next(lexer);
	statement->end = statement->body = sign.end;
	statement->body_line = sign.line;
	if (sign.kind == TOKEN_OPEN) {
		statement->kind = STATEMENT_SECTION;
		if (!depth)
			lexer->service = statement->title ? statement->title : statement->name;
		text_section(lexer, scratch, statement, sign.line, depth);
		if (!depth)
			lexer->service = NULL;
	} else if (sign.kind == TOKEN_LEFT) {
		statement->kind = STATEMENT_CALL;
		text_call(lexer, statement);
	} else {
		statement->kind = sign.kind == TOKEN_ADD ? STATEMENT_ADD : STATEMENT_SET;
		text_value(lexer, statement);
	}
	return statement;
}

struct statement *text_next(struct lexer *lexer, struct arena *scratch)
{
	struct statement *statement = NULL;

	while (!statement && lexer_peek(lexer).kind != TOKEN_END) {
		struct token token = lexer_peek(lexer);

		if (token.kind == TOKEN_CLOSE) {
			text_unexpected(lexer, &token, " (no { is open)");
			text_drop(lexer, &token);
			lexer_next(lexer);
			continue;
		}
		statement = text_statement(lexer, scratch, 0);
	}
	return statement;
}
