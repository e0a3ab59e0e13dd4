/*
 * progress.h: what the reading of a table waits for just now: a file, or a name service.  For whoever has to say why it
 * does not come to an end.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stddef.h>

struct progress {
	const char *what; /* "looking up the user"; NULL: nothing outside this process */
	char name[256];   /* cut off where it is longer */
};

/* progress NULL: nobody wants to know. */
void progress_note(struct progress *progress, const char *what, const char *name);
void progress_over(struct progress *progress);

/* "looking up the user web", without control characters; "" when it waits for nothing. */
void progress_text(const struct progress *progress, char *text, size_t size);

#endif
