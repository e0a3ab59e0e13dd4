/*
 * lexer.h: the text of one file as tokens, by libConfuse's rules and stricter where those lose something silently.
 * What libConfuse must not see (comments, stray characters) is overwritten with spaces as it is met, so that the
 * lines that it counts stay right.
 */
#ifndef LEXER_H
#define LEXER_H

#include <stdbool.h>

#include "report.h"

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,   /* unquoted */
	TOKEN_STRING, /* quoted; start and end include the quotes */
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_LEFT,
	TOKEN_RIGHT,
	TOKEN_SET,
	TOKEN_ADD,
	TOKEN_COMMA,
};

struct token {
	enum token_kind kind;
	size_t start, end; /* offsets; end is behind the last byte */
	unsigned line;     /* where it starts */
	bool bad;          /* a mistake inside was told */
};

struct lexer {
	const struct source *source;
	struct report *report;
	char *text; /* with a NUL behind; changed as said above */
	size_t length, at;
	unsigned line;
	const char *service, *word; /* what is being read, for messages; set by text.c */
	unsigned suspect;           /* line of a quoted value that holds line ends and braces; 0: none */
	bool broken;                /* an open quote or comment was told: the rest means nothing */
	struct token ahead[2];      /* read and not used yet */
	unsigned ahead_count;
};

void lexer_start(struct lexer *lexer, const struct source *source, char *text, size_t length,
		 struct report *report);

struct token lexer_next(struct lexer *lexer);
struct token lexer_peek(struct lexer *lexer);
struct token lexer_peek_second(struct lexer *lexer);

/* Overwrites text with spaces; lines stay lines. */
void lexer_blank(struct lexer *lexer, size_t start, size_t end);

/* For messages: the bytes of a token, at most 40. */
int lexer_shown(const struct token *token);

#endif
