/*
 * map.h: a hash table from bytes to pointers, in an arena.  Keys are not copied: they live as long as the map.
 */
#ifndef MAP_H
#define MAP_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"

struct map_entry {
	const void *key; /* NULL: free */
	size_t length;
	uint64_t hash;
	void *value;
};

struct map {
	struct arena *arena;
	struct map_entry *entry;
	size_t count, room;
};

/* NULL when there is none. */
void *map_get(const struct map *map, const void *key, size_t length);

/* Where the value of a key is; NULL is stored there when the key is new. Valid until the next call. */
void **map_slot(struct map *map, const void *key, size_t length);

#endif
