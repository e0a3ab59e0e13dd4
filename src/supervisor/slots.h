/*
 * slots.h: who owns which number of the board.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_SLOTS_H
#define SUPERVISOR_SLOTS_H

#include "supervisor.h"

int slots_init(struct supervisor *);
void slots_release(struct supervisor *); /* all of them, while their servers still exist */
void slots_free(struct supervisor *);
/* A slot with a pair; server->slot and ->generation are set.  0, -ENOSPC: all used. The descriptors are the slot's from now on. */
int slot_take(struct supervisor *, struct server *, int ours, int theirs, int lifeline);
void slot_died(struct supervisor *, struct server *);     /* tells the dispatcher; free after its SLOT_FREE */
bool slots_settled(struct supervisor *); /* once a PING: false when an answer to SERVER_DIED has been due for too many */
void slot_free(struct supervisor *, uint32_t slot);
struct slot *slot_find(struct supervisor *, uint32_t slot, uint32_t generation); /* NULL: stale or unused */
struct server *slot_server(struct supervisor *, uint32_t slot, uint32_t generation); /* NULL: stale, dead or unused */
/* What the dispatcher says of a running server; NULL: nothing. */
const struct board_server *slot_board(const struct supervisor *, const struct server *);
bool server_stalled(const struct supervisor *, const struct server *);
unsigned slots_used(const struct supervisor *, unsigned *dead); /* and those of them that will be settled in a moment */
bool slot_of_service(const struct supervisor *, uint32_t service); /* does any slot still name it? */
/* Indexes of services and listeners: BOARD_NONE when all are used. */
uint32_t index_take(uint8_t *used, uint32_t size, struct index_turn *);

#endif
