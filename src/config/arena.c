/*
 * arena.c: memory that lives and dies together.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "region.h"

#define BLOCK ((size_t)256 * 1024) /* more than malloc() takes from the heap: an old table leaves no holes in it */
#define ALIGNMENT _Alignof(max_align_t)

struct arena_block {
	struct arena_block *before;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

static struct arena_block *arena_block(struct arena *arena, size_t size)
{
	struct arena_block *block = NULL;

	if (size <= SIZE_MAX / 2)
		block = arena->region ? region_take(arena->region, sizeof(*block) + size)
				      : malloc(sizeof(*block) + size);
	if (!block)
		longjmp(*arena->no_memory, 1);
	block->used = 0;
	block->size = size;
	return block;
}

/* A large piece gets a block of its own, put behind the one that is being filled. */
static void *arena_large(struct arena *arena, size_t size)
{
	struct arena_block *block = arena_block(arena, size);

	block->used = size;
	if (arena->last) {
		block->before = arena->last->before;
		arena->last->before = block;
	} else {
		block->before = NULL;
		arena->last = block;
	}
	return memset(block->data, 0, size);
}

/* Strings need no alignment, and a table is mostly strings. */
static char *arena_take(struct arena *arena, size_t size, size_t alignment)
{
	struct arena_block *block = arena->last;
	size_t start;

	if (size > BLOCK / 4)
		return arena_large(arena, size);
	start = block ? (block->used + alignment - 1) & ~(alignment - 1) : 0;
	if (!block || start > block->size || block->size - start < size) {
		block = arena_block(arena, BLOCK);
		block->before = arena->last;
		arena->last = block;
		start = 0;
	}
	block->used = start + size;
	return block->data + start;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(arena_take(arena, size, ALIGNMENT), 0, size);
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_take(arena, length + 1, 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_copy(arena, text, strlen(text));
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		longjmp(*arena->no_memory, 1);
	text = arena_take(arena, (size_t)length + 1, 1);
	va_start(arguments, format);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	va_end(arguments);
	return text;
}

void *arena_room(struct arena *arena, void *array, size_t count, size_t *room, size_t size)
{
	void *larger;

	if (count < *room)
		return array;
	*room = *room ? *room * 2 : 8;
	if (*room > SIZE_MAX / 2 / size)
		longjmp(*arena->no_memory, 1);
	larger = arena_alloc(arena, *room * size);
	if (count)
		memcpy(larger, array, count * size);
	return larger;
}

void arena_reset(struct arena *arena)
{
	struct arena_block *block, *before;

	if (!arena->last || arena->region)
		return;
	for (block = arena->last->before; block; block = before) {
		before = block->before;
		free(block);
	}
	arena->last->before = NULL;
	arena->last->used = 0;
}

void arena_free(struct arena *arena)
{
	arena_reset(arena);
	if (!arena->region)
		free(arena->last);
	arena->last = NULL;
}
