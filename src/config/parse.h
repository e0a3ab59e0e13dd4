/*
 * parse.h: a cut statement becomes recorded words, through libConfuse.  Values are still the strings that were written.
 */
#ifndef PARSE_H
#define PARSE_H

#include "parser.h"
#include "text.h"

/* A word as it was set. */
struct setting {
	const struct word *word;
	struct place place;
	bool add;           /* += */
	bool from_defaults; /* stands in defaults { } */
	bool bad;           /* its value is wrong: that was told, once */
	bool warned;        /* a warning about its value was told, once */
	unsigned count;
	unsigned *line;     /* of each value, in the same file */
	const char **value; /* NULL-terminated */
	const struct table_id_list *ids; /* what its users or groups are; NULL: not looked up yet */
};

struct section {
	struct place place;
	const char *title; /* of messages too: "web", "defaults", "dispatcher"; NULL at top level */
	struct setting *setting;
	unsigned count, room;
	struct section *server; /* server { }, or NULL */
};

struct parse_context {
	struct parser *parser;
	struct lexer *lexer; /* the text that the statements were cut from */
	struct arena *arena; /* of the result */
	struct report *report;
};

/* The statements between the braces of a service or defaults section, with its server { }. */
struct section *parse_service(struct parse_context *context, const struct statement *statement,
			      const char *title, bool defaults);

/* dispatcher { }. */
struct section *parse_dispatcher(struct parse_context *context, const struct statement *statement);

/* One NAME = VALUE of the top level is added to section `top`. */
void parse_top(struct parse_context *context, struct statement *statement, struct section *top);

/* The argument of include(...), in the arena. -1: told what is wrong. */
int parse_include(struct parse_context *context, const struct statement *statement, const char **argument);

#endif
