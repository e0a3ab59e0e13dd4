/*
 * balance.h: which server of a service gets the next connection, by turns or by load.  Each server has a position and
 * a rank; among those of the least rank the first one from a position on is found, in logarithmic time.  Pure.
 */
#ifndef BALANCE_H
#define BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#define BALANCE_NOBODY UINT32_MAX
#define BALANCE_NEVER UINT32_MAX /* the rank of who gets none now */

/* All 0: no room. */
struct balance {
	uint32_t *rank;  /* owned; a tree in an array: each node has the least rank below it, 1 is the root */
	uint32_t leaves; /* a power of two; the first one has this number */
};

/* For so many positions; those that are new have the rank BALANCE_NEVER.  false: no memory, nothing has changed. */
bool balance_reserve(struct balance *balance, uint32_t positions);
void balance_free(struct balance *balance);

static inline uint32_t balance_rank(const struct balance *balance, uint32_t at)
{
	return balance->rank[balance->leaves + at];
}

void balance_set(struct balance *balance, uint32_t at, uint32_t rank);

/* The first from `turn` on, and then from the start, among those of the least rank; or BALANCE_NOBODY. */
uint32_t balance_choose(const struct balance *balance, uint32_t turn);

#endif
