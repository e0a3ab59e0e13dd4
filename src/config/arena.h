/*
 * arena.h: memory that lives and dies together.  Nothing is freed singly.
 *
 * Running out of memory leaves by longjmp to where the owner set `no_memory`: reading a table allocates in a
 * hundred places, and the answer to each failure is the same one.
 */
#ifndef ARENA_H
#define ARENA_H

#include <setjmp.h>
#include <stddef.h>

struct arena_block;
struct region;

struct arena {
	struct arena_block *last;
	jmp_buf *no_memory;
	struct region *region; /* where its blocks lie, which go with it; NULL: malloc()'s */
};

/* Zeroed and aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy with a NUL behind it. */
char *arena_copy(struct arena *arena, const char *text, size_t length);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for one item more behind `count` items of `size`: the array, or a copy twice as large. */
void *arena_room(struct arena *arena, void *array, size_t count, size_t *room, size_t size);

/* Everything is forgotten; one block is kept for the next use. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
