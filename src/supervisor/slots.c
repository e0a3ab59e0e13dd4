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

#include "supervisor.h"

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

uint32_t index_take(uint8_t *used, uint32_t size, uint32_t *next)
{
	/* In turn, so that a number rests as long as possible before it means something else. */
	for (uint32_t i = 0; i < size; i++) {
		uint32_t index = (*next + i) % size;
		if (used[index])
			continue;
		used[index] = 1;
		*next = (index + 1) % size;
		return index;
	}
	return BOARD_NONE;
}

static uint32_t find_unused(struct supervisor *s)
{
	for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
		uint32_t slot = (s->slot_next + i) % BOARD_SLOTS;
		if (!s->slots[slot].used)
			return slot;
	}
	return BOARD_NONE;
}

int slot_take(struct supervisor *s, struct server *server, int ours, int theirs, int lifeline)
{
	uint32_t number = find_unused(s);

	if (number == BOARD_NONE)
		return -ENOSPC;
	s->slot_next = (number + 1) % BOARD_SLOTS;

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

bool slot_of_service(const struct supervisor *s, uint32_t service)
{
	for (uint32_t i = 0; i < BOARD_SLOTS; i++)
		if (s->slots[i].used && s->slots[i].record.service == service)
			return true;
	return false;
}
