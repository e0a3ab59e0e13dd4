/*
 * nearest.c: the name that was most likely meant.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "table.h"

#define WORD_MAX 40

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits from one word to the other; two neighbours that changed places count once. */
static unsigned distance(const char *a, size_t length_a, const char *b, size_t length_b)
{
	unsigned row[3][WORD_MAX + 1];

	for (unsigned j = 0; j <= length_b; j++)
		row[0][j] = j;
	for (unsigned i = 1; i <= length_a; i++) {
		unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *older = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= length_b; j++) {
			now[j] = least(before[j], now[j - 1]) + 1;
			now[j] = least(now[j], before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], older[j - 2] + 1);
		}
	}
	return row[length_a % 3][length_b];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
	size_t length = strlen(word);
	unsigned best = length <= 3 ? 1 : length <= 7 ? 2 : 3; /* more is guessing */
	const char *found = NULL;

	if (!length || length > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t other = strlen(names[i]);
		size_t differ = other > length ? other - length : length - other;
		unsigned edits;

		if (other > WORD_MAX || differ > best)
			continue;
		edits = distance(word, length, names[i], other);
		if (edits < best || (edits == best && !found)) {
			best = edits;
			found = names[i];
		}
	}
	return found;
}
