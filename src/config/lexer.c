/*
 * lexer.c: the text of one file as tokens.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "lexer.h"

#include <string.h>

#define SHOWN 40

static void lexer_mistake(struct lexer *lexer, unsigned line, const char *what)
{
	report_mistake(lexer->report, (struct place){lexer->source, line}, lexer->service, lexer->word, "%s",
		       what);
}

void lexer_blank(struct lexer *lexer, size_t start, size_t end)
{
	for (; start < end; start++)
		if (lexer->text[start] != '\n')
			lexer->text[start] = ' ';
}

int lexer_shown(const struct token *token)
{
	size_t length = token->end - token->start;

	return length > SHOWN ? SHOWN : (int)length;
}

/* NUL bytes would end the text for libConfuse: one mistake a file, at the first one. */
static void lexer_drop_nul(struct lexer *lexer)
{
	char *end = lexer->text + lexer->length, *nul = memchr(lexer->text, '\0', lexer->length);
	unsigned line = 1;

	if (!nul)
		return;
	for (const char *at = lexer->text; (at = memchr(at, '\n', (size_t)(nul - at))); at++)
		line++;
	lexer_mistake(lexer, line, "a NUL byte (a table is plain text)");
	for (; nul; nul = memchr(nul, '\0', (size_t)(end - nul)))
		*nul = ' ';
}

void lexer_start(struct lexer *lexer, const struct source *source, char *text, size_t length,
		 struct report *report)
{
	*lexer =
		(struct lexer){.source = source, .report = report, .text = text, .length = length, .line = 1};
	lexer_drop_nul(lexer);
	if (length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		lexer_blank(lexer, 0, 3); /* the mark that some editors put before UTF-8 */
}

static char lexer_look(const struct lexer *lexer, size_t further)
{
	return lexer->at + further < lexer->length ? lexer->text[lexer->at + further] : '\0';
}

static void lexer_step(struct lexer *lexer)
{
	lexer->line += lexer->text[lexer->at++] == '\n';
}

static void lexer_break(struct lexer *lexer, size_t start, unsigned line, const char *what)
{
	lexer_mistake(lexer, line, what);
	lexer_blank(lexer, start, lexer->length);
	lexer->at = lexer->length;
	lexer->broken = true;
}

static void lexer_line_comment(struct lexer *lexer)
{
	size_t start = lexer->at;
	char *end = memchr(lexer->text + start, '\n', lexer->length - start);

	lexer->at = end ? (size_t)(end - lexer->text) : lexer->length;
	lexer_blank(lexer, start, lexer->at);
}

static void lexer_block_comment(struct lexer *lexer)
{
	size_t start = lexer->at;
	unsigned line = lexer->line;

	for (lexer->at += 2; lexer->at < lexer->length; lexer_step(lexer)) {
		if (lexer_look(lexer, 0) == '*' && lexer_look(lexer, 1) == '/') {
			lexer->at += 2;
			lexer_blank(lexer, start, lexer->at);
			return;
		}
	}
	lexer_break(lexer, start, line, "this /* is not closed");
}

/* To the next byte that means something. */
static void lexer_skip(struct lexer *lexer)
{
	while (lexer->at < lexer->length) {
		char c = lexer_look(lexer, 0);

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			lexer_step(lexer);
		else if (c == '#' || (c == '/' && lexer_look(lexer, 1) == '/'))
			lexer_line_comment(lexer);
		else if (c == '/' && lexer_look(lexer, 1) == '*')
			lexer_block_comment(lexer);
		else
			return;
	}
}

/* One mistake a token is enough. */
static void lexer_bad(struct lexer *lexer, struct token *token, unsigned line, const char *what)
{
	if (!token->bad)
		lexer_mistake(lexer, line, what);
	token->bad = true;
}

#define EXPANDS "\"${\" would be replaced from the environment (write it in single quotes: '${NAME}')"

/* Behind a backslash in double quotes. libConfuse gives up for good at a number that is no byte, and a string ends
   at a NUL. */
static void lexer_escape(struct lexer *lexer, struct token *token)
{
	unsigned value = 0, digits = 0;
	bool octal = true;

	if (lexer_look(lexer, 0) == 'x') {
		char one = lexer_look(lexer, 1), two = lexer_look(lexer, 2);

		if (!one || !strchr("0123456789abcdefABCDEF", one))
			lexer_bad(lexer, token, lexer->line,
				  "\"\\x\" without a hexadecimal number (write \"\\\\x\")");
		else if (one == '0' && (!two || two == '0' || !strchr("0123456789abcdefABCDEF", two)))
			lexer_bad(lexer, token, lexer->line, "a NUL byte (a value is plain text)");
		return;
	}
	for (char c; (c = lexer_look(lexer, digits)) >= '0' && c <= '9'; digits++) {
		octal = octal && c < '8' && digits < 3;
		value = octal ? value * 8 + (unsigned)(c - '0') : value;
	}
	if (digits && (!octal || value > 255))
		lexer_bad(lexer, token, lexer->line,
			  "\"\\\" with a number that is no byte (octal, \\1 to \\377)");
	else if (digits && !value)
		lexer_bad(lexer, token, lexer->line, "a NUL byte (a value is plain text)");
}

/* Where a quote is missing, the next one closes the string and from there on all is the wrong way round: the open quote
   is found at the end of the file, but the mistake is where the first such string begins. */
static void lexer_suspect(struct lexer *lexer, const struct token *token)
{
	const char *text = lexer->text + token->start;
	size_t length = lexer->at - token->start;

	if (!lexer->suspect && lexer->line > token->line &&
	    (memchr(text, '{', length) || memchr(text, '}', length)))
		lexer->suspect = token->line;
}

static void lexer_string(struct lexer *lexer, struct token *token)
{
	char quote = lexer_look(lexer, 0), c;

	token->kind = TOKEN_STRING;
	for (lexer_step(lexer); lexer->at < lexer->length; lexer_step(lexer)) {
		c = lexer_look(lexer, 0);
		if (c == quote) {
			lexer_step(lexer);
			lexer_suspect(lexer, token);
			return;
		}
		if (quote == '"' && c == '$' && lexer_look(lexer, 1) == '{')
			lexer_bad(lexer, token, lexer->line, EXPANDS);
		if (c != '\\')
			continue;
		if (lexer->at + 1 >= lexer->length)
			break;
		lexer_step(lexer);
		if (quote == '"')
			lexer_escape(lexer, token);
		if (quote == '"' && lexer_look(lexer, 0) == '$' && lexer_look(lexer, 1) == '{')
			lexer_bad(lexer, token, lexer->line, EXPANDS);
	}
	lexer_break(lexer, token->start, lexer->suspect ? lexer->suspect : token->line,
		    "this quote is not closed");
	token->kind = TOKEN_END;
	token->bad = true;
}

/* What libConfuse would drop without a word is part of the word here, and a mistake. */
static void lexer_word(struct lexer *lexer, struct token *token)
{
	token->kind = TOKEN_WORD;
	for (; lexer->at < lexer->length; lexer_step(lexer)) {
		unsigned char c = (unsigned char)lexer_look(lexer, 0);

		if (strchr(" \t\r\n#\"'={}(),", c) || (c == '+' && lexer_look(lexer, 1) == '='))
			break;
		if (c == '*')
			lexer_bad(lexer, token, lexer->line,
				  "a star outside quotes (write \"*\", as in \"*:80\")");
		else if (c == '+')
			lexer_bad(lexer, token, lexer->line, "\"+\" outside quotes (quote the value)");
		else if (c < ' ' || c == 0x7f)
			lexer_bad(lexer, token, lexer->line, "a control character outside quotes");
		else if (c == '$' && lexer_look(lexer, 1) == '{') {
			lexer_bad(lexer, token, lexer->line, EXPANDS);
			while (lexer->at < lexer->length && !strchr("}\n", lexer_look(lexer, 0)))
				lexer->at++;
			if (lexer->at >= lexer->length || lexer_look(lexer, 0) == '\n')
				break;
		}
	}
}

static enum token_kind lexer_sign(char c)
{
	switch (c) {
	case '{':
		return TOKEN_OPEN;
	case '}':
		return TOKEN_CLOSE;
	case '(':
		return TOKEN_LEFT;
	case ')':
		return TOKEN_RIGHT;
	case '=':
		return TOKEN_SET;
	case ',':
		return TOKEN_COMMA;
	default:
		return TOKEN_WORD;
	}
}

static struct token lexer_read(struct lexer *lexer)
{
	struct token token = {.kind = TOKEN_END};
	char c;

	lexer_skip(lexer);
	token.start = token.end = lexer->at;
	token.line = lexer->line;
	if (lexer->at >= lexer->length)
		return token;
	c = lexer_look(lexer, 0);
	token.kind = lexer_sign(c);
	if (token.kind != TOKEN_WORD) {
		lexer->at++;
	} else if (c == '+' && lexer_look(lexer, 1) == '=') {
		token.kind = TOKEN_ADD;
		lexer->at += 2;
	} else if (c == '"' || c == '\'') {
		lexer_string(lexer, &token);
	} else {
		lexer_word(lexer, &token);
	}
	token.end = lexer->at;
	return token;
}

struct token lexer_peek(struct lexer *lexer)
{
	if (!lexer->ahead_count)
		lexer->ahead[lexer->ahead_count++] = lexer_read(lexer);
	return lexer->ahead[0];
}

struct token lexer_peek_second(struct lexer *lexer)
{
	lexer_peek(lexer);
	if (lexer->ahead_count < 2)
		lexer->ahead[lexer->ahead_count++] = lexer_read(lexer);
	return lexer->ahead[1];
}

struct token lexer_next(struct lexer *lexer)
{
	struct token token = lexer_peek(lexer);

	lexer->ahead[0] = lexer->ahead[1];
	lexer->ahead_count--;
	return token;
}
