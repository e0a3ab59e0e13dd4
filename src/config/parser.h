/*
 * parser.h: libConfuse behind a small door: text in, strings with their lines out.
 */
#ifndef PARSER_H
#define PARSER_H

#include "schema.h"

struct parser;

/* NULL: no memory. */
struct parser *parser_new(void);
void parser_free(struct parser *parser);

/* A part of a text whose comments are blanked. text[end] must be writable; it is put back. */
struct range {
	char *text;
	size_t start, end;
	unsigned line; /* of its start */
};

/* The words of a section, without inner sections. False: parser_error() tells why, and some words may be set. */
bool parser_section(struct parser *parser, enum section_kind section, const struct range *range);

/* include(...): the number of arguments, -1 for a mistake. The first is the parser's, until the next one. */
int parser_include(struct parser *parser, const struct range *range, const char **argument);

const char *parser_error(const struct parser *parser, unsigned *line);

/* What was set since the last parser_forget() of this word. */
unsigned parser_count(const struct parser *parser, const struct word *word);
const char *parser_value(const struct parser *parser, const struct word *word, unsigned at, unsigned *line);
void parser_forget(struct parser *parser, const struct word *word);

#endif
