/*
 * progress.c: what the reading of a table waits for just now.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "progress.h"

#include <stdio.h>

void progress_note(struct progress *progress, const char *what, const char *name)
{
	if (!progress)
		return;
	snprintf(progress->name, sizeof(progress->name), "%s", name);
	progress->what = what;
}

void progress_over(struct progress *progress)
{
	if (progress)
		progress->what = NULL;
}

void progress_text(const struct progress *progress, char *text, size_t size)
{
	/* The other process may write there at this moment. */
	const char *what = progress->what;
	int length = (int)sizeof(progress->name) - 1;

	text[0] = '\0';
	if (!what)
		return;
	snprintf(text, size, "%s %.*s", what, length, progress->name);
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}
