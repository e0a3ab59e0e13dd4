/*
 * report.h: collects what is wrong with a table, whatever the order in which it is found.
 */
#ifndef REPORT_H
#define REPORT_H

#include "arena.h"
#include "table.h"

/* A file of the table. Lives as long as the table. */
struct source {
	const char *path;
	unsigned index; /* in the order of reading */
};

/* source NULL: nowhere in a file. */
struct place {
	const struct source *source;
	unsigned line;
};

struct finding {
	enum severity severity;
	struct place place;
	size_t number; /* of its finding: keeps the order stable within a line */
	const char *text;
};

struct report {
	struct arena *arena;
	struct finding *finding;
	size_t count, room, mistakes;
};

/* service and word may be NULL.  Control characters come out as '?', and a very long line is cut. */
void report_mistake(struct report *report, struct place place, const char *service, const char *word,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));
void report_warning(struct report *report, struct place place, const char *service, const char *word,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* All of it sorted by file and line. 0 or -ENOMEM; what is in *out is the caller's. */
int report_deliver(struct report *report, struct diagnostics *out);

/* One diagnostic about a file that is in no report. */
void report_single(struct diagnostics *out, const char *file, const char *what);

#endif
