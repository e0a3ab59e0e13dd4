/*
 * reading.h: a table that a child process reads, so that nobody else waits for its files and for the name service.
 *
 *   parent   reading_new(), then fork(2)
 *   child    reading_run(), then _exit(0)
 *   parent   reading_take() when the child has ended so; reading_free() when it has not
 */
#ifndef READING_H
#define READING_H

#include "table.h"

struct reading;

/* NULL with errno. */
struct reading *reading_new(void);
void reading_free(struct reading *reading);

/* As table_read(); in the child, which ends then. */
void reading_run(struct reading *reading, const char *file, const struct table_options *options);

/* What table_read() returned there, both for the caller to free; the reading is used up. */
struct table *reading_take(struct reading *reading, struct diagnostics *diagnostics);

/* What the child waits for: progress_text(). */
void reading_waits(const struct reading *reading, char *text, size_t size);

#endif
