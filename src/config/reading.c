/*
 * reading.c: a table that a child process reads, in memory that both have.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "reading.h"

#include <string.h>

#include "progress.h"
#include "reader.h"
#include "region.h"

struct reading {
	struct region *region; /* in which it lies itself */
	struct table *table;
	struct diagnostics said; /* its memory is the region's */
	struct progress progress;
};

struct reading *reading_new(void)
{
	struct region *region = region_new();
	struct reading *reading = region ? region_take(region, sizeof(*reading)) : NULL;

	if (reading)
		reading->region = region;
	return reading;
}

void reading_free(struct reading *reading)
{
	if (reading)
		region_free(reading->region);
}

/* Lines for which there is no room are missing; how many there were is known all the same. */
static void reading_keep(struct reading *reading, const struct diagnostics *from)
{
	struct diagnostic *item = region_take(reading->region, from->count * sizeof(*item));

	reading->said = (struct diagnostics){.mistakes = from->mistakes, .warnings = from->warnings};
	reading->said.item = item;
	for (size_t i = 0; item && i < from->count; i++) {
		size_t length = strlen(from->item[i].text) + 1;

		item[i] = from->item[i];
		item[i].text = region_take(reading->region, length);
		if (!item[i].text)
			return;
		memcpy(item[i].text, from->item[i].text, length);
		reading->said.count++;
	}
}

void reading_run(struct reading *reading, const char *file, const struct table_options *options)
{
	struct table_options told = *options;
	struct diagnostics said;

	told.progress = &reading->progress;
	reading->table = table_read_in(reading->region, file, &told, &said);
	reading_keep(reading, &said);
	diagnostics_free(&said);
	region_leave(reading->region);
}

struct table *reading_take(struct reading *reading, struct diagnostics *diagnostics)
{
	struct table *table = reading->table;
	const struct diagnostics *said = &reading->said;

	*diagnostics = (struct diagnostics){0};
	for (size_t i = 0; i < said->count; i++)
		if (diagnostics_add(diagnostics, said->item[i].severity, said->item[i].text))
			break; /* no memory for the lines: the verdict stands */
	diagnostics->mistakes = said->mistakes;
	diagnostics->warnings = said->warnings;
	if (table)
		region_seal(reading->region); /* and table_free() lets it go */
	else
		region_free(reading->region);
	return table;
}

void reading_waits(const struct reading *reading, char *text, size_t size)
{
	progress_text(&reading->progress, text, size);
}
