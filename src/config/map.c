/*
 * map.c: a hash table from bytes to pointers.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "map.h"

#include <string.h>

/* FNV-1a: short keys, and who writes the table has better ways to be slow. */
static uint64_t map_hash(const void *key, size_t length)
{
	const unsigned char *byte = key;
	uint64_t hash = UINT64_C(14695981039346656037);

	while (length--)
		hash = (hash ^ *byte++) * UINT64_C(1099511628211);
	return hash ^ hash >> 29;
}

/* The entry of the key, or the free one where it would be. room is a power of two and never full. */
static struct map_entry *map_find(const struct map *map, const void *key, size_t length, uint64_t hash)
{
	size_t at = hash & (map->room - 1);

	for (;; at = (at + 1) & (map->room - 1)) {
		struct map_entry *entry = &map->entry[at];

		if (!entry->key)
			return entry;
		if (entry->hash == hash && entry->length == length && !memcmp(entry->key, key, length))
			return entry;
	}
}

static void map_enlarge(struct map *map)
{
	struct map_entry *old = map->entry;
	size_t room = map->room;

	map->room = room ? room * 2 : 64;
	map->entry = arena_alloc(map->arena, map->room * sizeof(*map->entry));
	for (size_t i = 0; i < room; i++)
		if (old[i].key)
			*map_find(map, old[i].key, old[i].length, old[i].hash) = old[i];
}

void *map_get(const struct map *map, const void *key, size_t length)
{
	struct map_entry *entry;

	if (!map->room)
		return NULL;
	entry = map_find(map, key, length, map_hash(key, length));
	return entry->key ? entry->value : NULL;
}

void **map_slot(struct map *map, const void *key, size_t length)
{
	struct map_entry *entry;
	uint64_t hash = map_hash(key, length);

	if ((map->count + 1) * 2 > map->room)
		map_enlarge(map);
	entry = map_find(map, key, length, hash);
	if (!entry->key) {
		*entry = (struct map_entry){.key = key, .length = length, .hash = hash};
		map->count++;
	}
	return &entry->value;
}
