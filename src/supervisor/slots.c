/*
 * slots.c: who owns which number of the board.  A slot, with the pair in it, lives until the dispatcher has settled
 * it: often longer than the server it was taken for, and through any number of dispatchers.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helpers.h"
#include "slots.h"

#define RESTING 32u /* so many are unused before one is used again, as long as there are others */
#define SETTLE_PINGS 10u /* SLOT_FREE or SETTLING is due within so many */

int slots_init(struct supervisor *s)
{
	s->slots = calloc(BOARD_SLOTS, sizeof(*s->slots));
	s->service_used = calloc(BOARD_SERVICES, 1);
	s->listener_used = calloc(BOARD_LISTENERS, 1);
	return s->slots == NULL || s->service_used == NULL || s->listener_used == NULL ? -ENOMEM : 0;
}

void slots_release(struct supervisor *s)
{
	for (uint32_t i = 0; s->slots != NULL && i < BOARD_SLOTS; i++)
		if (s->slots[i].used)
			slot_free(s, i);
}

void slots_free(struct supervisor *s)
{
	free(s->slots);
	free(s->service_used);
	free(s->listener_used);
	s->slots = NULL;
	s->service_used = s->listener_used = NULL;
}

typedef bool index_is_used(const void *all, uint32_t index);

static uint32_t count_unused(const void *all, index_is_used *is_used, uint32_t high)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < high; i++)
		count += !is_used(all, i);
	return count;
}

static bool find_unused(const void *all, index_is_used *is_used, struct index_turn *turn)
{
	while (turn->next < turn->high && is_used(all, turn->next))
		turn->next++;
	return turn->next < turn->high;
}

static uint32_t index_choose(const void *all, index_is_used *is_used, uint32_t size, struct index_turn *turn)
{
	for (bool again = false; !find_unused(all, is_used, turn);) {
		if (turn->high < size && count_unused(all, is_used, turn->high) < RESTING) {
			turn->next = turn->high;
			turn->high = turn->high + RESTING < size ? turn->high + RESTING : size;
		} else if (!again) {
			turn->next = 0;
			again = true;
		} else {
			return BOARD_NONE;
		}
	}
	return turn->next++;
}

static bool byte_is_used(const void *all, uint32_t index)
{
	return ((const uint8_t *)all)[index] != 0;
}

static bool slot_is_used(const void *all, uint32_t index)
{
	return ((const struct slot *)all)[index].used;
}

uint32_t index_take(uint8_t *used, uint32_t size, struct index_turn *turn)
{
	uint32_t index = index_choose(used, byte_is_used, size, turn);

	if (index != BOARD_NONE)
		used[index] = 1;
	return index;
}

int slot_take(struct supervisor *s, struct server *server, int ours, int theirs, int lifeline)
{
	uint32_t number = index_choose(s->slots, slot_is_used, BOARD_SLOTS, &s->slot_turn);

	if (number == BOARD_NONE)
		return -ENOSPC;
	struct slot *slot = &s->slots[number];
	uint32_t generation = slot->generation + 1;
	*slot = (struct slot){
		.used = true,
		.generation = generation,
		.ours = ours,
		.theirs = theirs,
		.lifeline = lifeline,
		.server = server,
		.record = {.slot = number,
			   .generation = generation,
			   .service = server->service->index,
			   .instance = server->instance,
			   .flags = server->external ? LINK_SERVER_EXTERNAL : 0,
			   .pid = server->pid,
			   .uid = server->uid,
			   .gid = server->gid},
	};
	snprintf(slot->record.label, sizeof(slot->record.label), "%s", server->label);
	server->slot = number;
	server->generation = generation;
	return 0;
}

void slot_free(struct supervisor *s, uint32_t number)
{
	struct slot *slot = &s->slots[number];

	dispatcher_close_fd(s, slot->ours);
	dispatcher_close_fd(s, slot->theirs);
	dispatcher_close_fd(s, slot->lifeline);
	if (slot->server != NULL)
		slot->server->slot = BOARD_NONE;
	uint32_t generation = slot->generation;
	*slot = (struct slot){.generation = generation, .ours = -1, .theirs = -1, .lifeline = -1};
}

void slot_died(struct supervisor *s, struct server *server)
{
	if (server->slot == BOARD_NONE)
		return;
	uint32_t number = server->slot;
	struct slot *slot = &s->slots[number];
	slot->dead = true;
	slot->waited = 0;
	slot->server = NULL;
	server->slot = BOARD_NONE;
	/* What no dispatcher ever knew holds no connection. */
	if (!slot->told) {
		slot_free(s, number);
		return;
	}
	struct link_message message = {.version = LINK_VERSION,
				       .type = LINK_SERVER_DIED,
				       .slot = {.slot = number, .generation = slot->generation}};
	dispatcher_send(s, &message, NULL, 0);
}

bool slots_settled(struct supervisor *s)
{
	bool settled = true;

	for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
		struct slot *slot = &s->slots[i];
		if (slot->used && slot->dead && slot->told && !slot->settling &&
		    ++slot->waited > SETTLE_PINGS)
			settled = false;
	}
	return settled;
}

struct slot *slot_find(struct supervisor *s, uint32_t number, uint32_t generation)
{
	if (number >= BOARD_SLOTS)
		return NULL;
	struct slot *slot = &s->slots[number];
	return slot->used && slot->generation == generation ? slot : NULL;
}

struct server *slot_server(struct supervisor *s, uint32_t number, uint32_t generation)
{
	struct slot *slot = slot_find(s, number, generation);

	return slot != NULL ? slot->server : NULL;
}

const struct board_server *slot_board(const struct supervisor *s, const struct server *server)
{
	if (s->board == NULL || server->slot >= BOARD_SLOTS)
		return NULL;
	const struct board_server *board = &s->board->servers[server->slot];
	return board->generation == server->generation ? board : NULL;
}

bool server_stalled(const struct supervisor *s, const struct server *server)
{
	const struct board_server *board = slot_board(s, server);

	return server->phase == PHASE_READY && board != NULL && board->state == BOARD_SERVER_STALLED;
}

unsigned slots_used(const struct supervisor *s, unsigned *dead)
{
	unsigned used = 0;

	*dead = 0;
	for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
		used += s->slots[i].used;
		*dead += s->slots[i].used && s->slots[i].dead && !s->slots[i].settling;
	}
	return used;
}

bool slot_of_service(const struct supervisor *s, uint32_t service)
{
	for (uint32_t i = 0; i < BOARD_SLOTS; i++)
		if (s->slots[i].used && s->slots[i].record.service == service)
			return true;
	return false;
}
