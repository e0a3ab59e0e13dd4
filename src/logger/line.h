/*
 * line.h: what servers print, cut into lines that are safe to show.  Pure.
 */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_MAX_BYTES 8192 /* of one line, escaped; the rest goes on as another one */

/* The unfinished last line of a stream. */
struct line_splitter {
	size_t length;
	bool continued; /* its beginning was given out already */
	char raw[LINE_MAX_BYTES];
};

/* One line: no newline, no control characters, NUL-terminated, at most LINE_MAX_BYTES long.  continued: the line before
   is its beginning. */
typedef void line_sink(void *context, const char *text, size_t length, bool continued);

/* Gives every line that data ends to the sink, and what is longer than a line may be.  Empty lines are left out. */
void line_feed(struct line_splitter *splitter, const char *data, size_t length, line_sink *sink, void *context);

/* Gives the unfinished line to the sink, if there is one.  ends: the stream is over; else what comes next continues it. */
void line_flush(struct line_splitter *splitter, bool ends, line_sink *sink, void *context);

#endif
