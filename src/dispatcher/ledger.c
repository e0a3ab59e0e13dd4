/*
 * ledger.c: see ledger.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_SHIFT 32
#define INDEX_MASK UINT64_C(0xffff)
#define SPREAD UINT32_C(0x9e3779b1) /* odd: for one index, every use gets another number */

_Static_assert(BOARD_LEDGER <= INDEX_MASK + 1, "an index fits into an id");

int ledger_open(struct ledger *ledger, struct board *board, uint32_t generation)
{
	*ledger = (struct ledger){.board = board, .free = LEDGER_NONE, .generation = (uint16_t)generation};
	ledger->entry = calloc(BOARD_LEDGER, sizeof(*ledger->entry));
	return ledger->entry ? 0 : -ENOMEM;
}

void ledger_close(struct ledger *ledger)
{
	free(ledger->entry);
	ledger->entry = NULL;
}

static void set_state(struct ledger *ledger, uint32_t index, enum ledger_state state)
{
	ledger->held += state == LEDGER_HELD;
	ledger->held -= ledger_state(ledger, index) == LEDGER_HELD;
	atomic_store_explicit(&ledger->board->ledger[index].state, state, memory_order_release);
}

static uint32_t take_free(struct ledger *ledger)
{
	if (ledger->free != LEDGER_NONE) {
		uint32_t index = ledger->free;
		ledger->free = ledger->entry[index].next;
		return index;
	}
	/* What a dead dispatcher left is stepped over; released later, it joins the chain. */
	while (ledger->high < BOARD_LEDGER) {
		uint32_t index = ledger->high++;
		if (ledger_state(ledger, index) == LEDGER_FREE)
			return index;
	}
	return LEDGER_NONE;
}

static void name_entry(struct ledger *ledger, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entry[index];
	entry->uses++;
	/* The low bits are spread: servers hash by them. */
	uint32_t use = entry->uses + index * SPREAD;
	entry->wire.id = (uint64_t)ledger->generation << 48 | (uint64_t)index << INDEX_SHIFT | use;
	ledger->board->ledger[index].id = entry->wire.id;
	ledger->board->ledger[index].slot = BOARD_NONE;
}

uint32_t ledger_add(struct ledger *ledger, uint32_t service, int fd, const struct lust_wire_connection *wire,
		    uint64_t accepted_us)
{
	uint32_t index = take_free(ledger);
	if (index == LEDGER_NONE)
		return LEDGER_NONE;

	struct ledger_entry *entry = &ledger->entry[index];
	uint32_t uses = entry->uses;
	*entry = (struct ledger_entry){
		.fd = fd,
		.next = LEDGER_NONE,
		.prev = LEDGER_NONE,
		.uses = uses,
		.avoid = BOARD_NONE,
		.wire = *wire,
	};
	struct board_entry *shared = &ledger->board->ledger[index];
	shared->service = service;
	shared->batch = 0;
	shared->accepted_us = accepted_us;
	shared->family = wire->family;
	shared->port = wire->peer_port;
	shared->listener = wire->listener;
	memcpy(shared->ip, wire->peer, sizeof(shared->ip));
	name_entry(ledger, index);
	/* Counted before it is marked: after a crash the count is never too small for a search by count. */
	atomic_fetch_add_explicit(&ledger->board->ledger_used, 1, memory_order_relaxed);
	set_state(ledger, index, LEDGER_ACCEPTED);
	ledger->fds += fd >= 0;
	return index;
}

void ledger_renew(struct ledger *ledger, uint32_t index)
{
	set_state(ledger, index, LEDGER_ACCEPTED);
	name_entry(ledger, index);
}

int ledger_release(struct ledger *ledger, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entry[index];
	int fd = entry->fd;
	entry->fd = -1;
	ledger->fds -= fd >= 0;
	set_state(ledger, index, LEDGER_FREE);
	atomic_fetch_sub_explicit(&ledger->board->ledger_used, 1, memory_order_relaxed);
	/* An entry whose numbers are used up retires. */
	if (index < ledger->high && entry->uses < UINT32_MAX) {
		entry->next = ledger->free;
		ledger->free = index;
	}
	return fd;
}

uint32_t ledger_find(const struct ledger *ledger, uint64_t id)
{
	uint32_t index = (uint32_t)(id >> INDEX_SHIFT & INDEX_MASK);
	if (ledger_state(ledger, index) == LEDGER_FREE || ledger->board->ledger[index].id != id)
		return LEDGER_NONE;
	return index;
}

void ledger_sending(struct ledger *ledger, uint32_t index, uint32_t slot, uint32_t batch)
{
	ledger->board->ledger[index].slot = slot;
	ledger->board->ledger[index].batch = batch;
	set_state(ledger, index, LEDGER_SENDING);
}

void ledger_sent(struct ledger *ledger, uint32_t index)
{
	set_state(ledger, index, LEDGER_SENT);
}

void ledger_hold(struct ledger *ledger, uint32_t index)
{
	set_state(ledger, index, LEDGER_HELD);
}

void ledger_unsent(struct ledger *ledger, uint32_t index)
{
	set_state(ledger, index, LEDGER_ACCEPTED);
	ledger->board->ledger[index].slot = BOARD_NONE;
}

void ledger_append(struct ledger *ledger, struct ledger_list *list, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entry[index];
	entry->next = LEDGER_NONE;
	entry->prev = list->last;
	if (list->last == LEDGER_NONE)
		list->first = index;
	else
		ledger->entry[list->last].next = index;
	list->last = index;
	list->count++;
}

void ledger_prepend(struct ledger *ledger, struct ledger_list *list, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entry[index];
	entry->prev = LEDGER_NONE;
	entry->next = list->first;
	if (list->first == LEDGER_NONE)
		list->last = index;
	else
		ledger->entry[list->first].prev = index;
	list->first = index;
	list->count++;
}

void ledger_unlink(struct ledger *ledger, struct ledger_list *list, uint32_t index)
{
	struct ledger_entry *entry = &ledger->entry[index];
	if (entry->prev == LEDGER_NONE)
		list->first = entry->next;
	else
		ledger->entry[entry->prev].next = entry->next;
	if (entry->next == LEDGER_NONE)
		list->last = entry->prev;
	else
		ledger->entry[entry->next].prev = entry->prev;
	entry->next = entry->prev = LEDGER_NONE;
	list->count--;
}
