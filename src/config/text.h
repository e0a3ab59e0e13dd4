/*
 * text.h: cuts a file into statements and tells what is wrong with its structure.  Which words exist is
 * not known here.
 */
#ifndef TEXT_H
#define TEXT_H

#include "lexer.h"

enum statement_kind {
	STATEMENT_SET,     /* NAME = VALUE */
	STATEMENT_ADD,     /* NAME += VALUE */
	STATEMENT_SECTION, /* NAME [TITLE] { ... } */
	STATEMENT_CALL,    /* NAME(...) */
};

struct statement {
	enum statement_kind kind;
	const char *name;
	unsigned line;     /* of the name */
	const char *title; /* without quotes; NULL: none */
	bool bad;          /* a mistake was told: not for libConfuse */
	size_t start, end; /* the whole of it */
	size_t body, body_end;
	unsigned body_line; /* section: between the braces */
	struct statement *child, *next;
};

/* The next top-level statement, in `scratch`, or NULL at the end. */
struct statement *text_next(struct lexer *lexer, struct arena *scratch);

#endif
