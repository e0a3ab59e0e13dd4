/*
 * held.c: two chained hash tables over one pool.
 *
 * SPDX-License-Identifier: ISC
 */
#include "held.h"

#include <errno.h>
#include <stdlib.h>

#include "wire.h"

#define HELD_FIRST_SIZE 16u
#define HELD_MOST (UINT32_C(1) << 30)

void lust_held_init(struct lust_held_table *table)
{
	*table = (struct lust_held_table){
		.free = LUST_HELD_NONE, .first_due = LUST_HELD_NONE, .last_due = LUST_HELD_NONE};
}

void lust_held_clear(struct lust_held_table *table)
{
	free(table->pool);
	free(table->by_id);
	free(table->by_fd);
	lust_held_init(table);
}

static uint32_t index_of(const struct lust_held_table *table, const struct lust_held *held)
{
	return (uint32_t)(held - table->pool);
}

/* Numbers count up; generations differ in the high bits. */
static uint32_t *chain_id(const struct lust_held_table *table, uint64_t id)
{
	return &table->by_id[(uint32_t)(id ^ id >> 48) & (table->size - 1)];
}

static uint32_t *chain_fd(const struct lust_held_table *table, int fd)
{
	return &table->by_fd[(uint32_t)fd & (table->size - 1)];
}

static void link_id(struct lust_held_table *table, struct lust_held *held)
{
	uint32_t *head = chain_id(table, held->id);

	held->next_id = *head;
	*head = index_of(table, held);
}

static void link_fd(struct lust_held_table *table, struct lust_held *held)
{
	uint32_t *head = chain_fd(table, held->fd);

	held->next_fd = *head;
	*head = index_of(table, held);
}

static void unlink_id(struct lust_held_table *table, struct lust_held *held)
{
	uint32_t *at = chain_id(table, held->id);

	while (*at != index_of(table, held))
		at = &table->pool[*at].next_id;
	*at = held->next_id;
}

static void unlink_fd(struct lust_held_table *table, struct lust_held *held)
{
	uint32_t *at = chain_fd(table, held->fd);

	while (*at != index_of(table, held))
		at = &table->pool[*at].next_fd;
	*at = held->next_fd;
}

/* A descriptor that is only the handle's (REFUSE_DUE) is in no chain. */
static bool found_by_fd(const struct lust_held *held)
{
	return held->fd >= 0 && held->state != LUST_HELD_REFUSE_DUE;
}

static void rehash(struct lust_held_table *table)
{
	for (uint32_t i = 0; i < table->size; i++)
		table->by_id[i] = table->by_fd[i] = LUST_HELD_NONE;
	table->free = LUST_HELD_NONE;
	for (uint32_t i = table->size; i-- > 0;) {
		struct lust_held *held = &table->pool[i];

		if (held->state == LUST_HELD_FREE) {
			held->next_id = table->free;
			table->free = i;
			continue;
		}
		link_id(table, held);
		if (found_by_fd(held))
			link_fd(table, held);
	}
}

static int grow(struct lust_held_table *table, uint32_t size)
{
	uint32_t *by_id = calloc(size, sizeof(*by_id));
	uint32_t *by_fd = calloc(size, sizeof(*by_fd));
	struct lust_held *pool = by_id && by_fd ? realloc(table->pool, size * sizeof(*pool)) : NULL;

	if (!pool) {
		free(by_id);
		free(by_fd);
		return -ENOMEM;
	}
	free(table->by_id);
	free(table->by_fd);
	table->by_id = by_id;
	table->by_fd = by_fd;
	table->pool = pool;
	for (uint32_t i = table->size; i < size; i++)
		pool[i].state = LUST_HELD_FREE;
	table->size = size;
	rehash(table);
	return 0;
}

int lust_held_reserve(struct lust_held_table *table, uint32_t more)
{
	uint32_t size = table->size ? table->size : HELD_FIRST_SIZE;

	while (size - table->used < more) {
		if (size >= HELD_MOST)
			return -ENOMEM;
		size *= 2;
	}
	return size == table->size ? 0 : grow(table, size);
}

struct lust_held *lust_held_add(struct lust_held_table *table, uint64_t id, int fd,
				enum lust_held_state state)
{
	struct lust_held *older = lust_held_by_fd(table, fd), *held = &table->pool[table->free];

	if (older)
		lust_held_forget_fd(table, older);
	table->free = held->next_id;
	table->used++;
	*held = (struct lust_held){
		.id = id, .wire = id, .fd = fd, .state = (uint8_t)state, .next_due = LUST_HELD_NONE};
	link_id(table, held);
	if (found_by_fd(held))
		link_fd(table, held);
	return held;
}

struct lust_held *lust_held_by_id(const struct lust_held_table *table, uint64_t id)
{
	if (!table->size)
		return NULL;
	for (uint32_t i = *chain_id(table, id); i != LUST_HELD_NONE; i = table->pool[i].next_id) {
		if (table->pool[i].id == id)
			return &table->pool[i];
	}
	return NULL;
}

struct lust_held *lust_held_by_fd(const struct lust_held_table *table, int fd)
{
	if (!table->size || fd < 0)
		return NULL;
	for (uint32_t i = *chain_fd(table, fd); i != LUST_HELD_NONE; i = table->pool[i].next_fd) {
		if (table->pool[i].fd == fd)
			return &table->pool[i];
	}
	return NULL;
}

void lust_held_remove(struct lust_held_table *table, struct lust_held *held)
{
	unlink_id(table, held);
	if (found_by_fd(held))
		unlink_fd(table, held);
	held->state = LUST_HELD_FREE;
	held->next_id = table->free;
	table->free = index_of(table, held);
	table->used--;
}

void lust_held_forget_fd(struct lust_held_table *table, struct lust_held *held)
{
	if (found_by_fd(held))
		unlink_fd(table, held);
	held->fd = -1;
}

void lust_held_queue(struct lust_held_table *table, struct lust_held *held, enum lust_held_state state)
{
	if (found_by_fd(held))
		unlink_fd(table, held);
	if (state == LUST_HELD_DONE_DUE)
		held->fd = -1;
	held->untaken = held->state != LUST_HELD_TAKEN;
	held->state = (uint8_t)state;
	held->next_due = LUST_HELD_NONE;
	if (table->last_due == LUST_HELD_NONE)
		table->first_due = index_of(table, held);
	else
		table->pool[table->last_due].next_due = index_of(table, held);
	table->last_due = index_of(table, held);
	table->due++;
}

struct lust_held *lust_held_due(const struct lust_held_table *table)
{
	return table->first_due == LUST_HELD_NONE ? NULL : &table->pool[table->first_due];
}

struct lust_held *lust_held_due_after(const struct lust_held_table *table, const struct lust_held *held)
{
	return held->next_due == LUST_HELD_NONE ? NULL : &table->pool[held->next_due];
}

void lust_held_drop_due(struct lust_held_table *table)
{
	struct lust_held *held = &table->pool[table->first_due];

	table->first_due = held->next_due;
	table->due--;
	if (table->first_due == LUST_HELD_NONE)
		table->last_due = LUST_HELD_NONE;
	lust_held_remove(table, held);
}

static void avoid_clash(struct lust_held_table *table, uint32_t generation)
{
	for (uint32_t i = 0; i < table->size; i++) {
		struct lust_held *held = &table->pool[i];

		if (held->state != LUST_HELD_FREE && held->orphan && LUST_ID_GENERATION(held->wire) == (uint16_t)generation)
			held->wire = 0;
	}
}

void lust_held_new_generation(struct lust_held_table *table, uint32_t generation)
{
	uint32_t at = table->first_due;

	avoid_clash(table, generation);
	table->first_due = table->last_due = LUST_HELD_NONE;
	table->due = 0;
	while (at != LUST_HELD_NONE) {
		struct lust_held *held = &table->pool[at];

		at = held->next_due;
		if (held->state == LUST_HELD_REFUSE_DUE && held->fd >= 0)
			lust_held_queue(table, held, LUST_HELD_REFUSE_DUE);
		else
			lust_held_remove(table, held);
	}
}

void lust_held_orphan(struct lust_held_table *table)
{
	for (uint32_t i = 0; i < table->size; i++)
		table->pool[i].orphan = true; /* lust_held_add() clears it */
}
