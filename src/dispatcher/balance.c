/*
 * balance.c: see balance.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>

#include "balance.h"

#define ROOT 1u

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

bool balance_reserve(struct balance *balance, uint32_t positions)
{
	uint32_t leaves = 1;
	while (leaves < positions)
		leaves *= 2;
	if (leaves <= balance->leaves)
		return true;
	uint32_t *rank = calloc(leaves, 2 * sizeof(*rank));
	if (!rank)
		return false;
	for (uint32_t at = 0; at < leaves; at++)
		rank[leaves + at] = at < balance->leaves ? balance_rank(balance, at) : BALANCE_NEVER;
	for (uint32_t node = leaves - 1; node >= ROOT; node--)
		rank[node] = lesser(rank[2 * node], rank[2 * node + 1]);
	free(balance->rank);
	*balance = (struct balance){.rank = rank, .leaves = leaves};
	return true;
}

void balance_free(struct balance *balance)
{
	free(balance->rank);
	*balance = (struct balance){0};
}

void balance_set(struct balance *balance, uint32_t at, uint32_t rank)
{
	uint32_t node = balance->leaves + at;
	while (balance->rank[node] != rank) {
		balance->rank[node] = rank;
		if (node == ROOT)
			return;
		rank = lesser(rank, balance->rank[node ^ 1]);
		node /= 2;
	}
}

/* The subtree with that rank which begins first, at this leaf or behind it; 0: there is none. */
static uint32_t find_from(const struct balance *balance, uint32_t node, uint32_t least)
{
	while (balance->rank[node] != least) {
		while (node & 1) /* the last of its parent, or the root */
			node /= 2;
		if (!node)
			return 0;
		node++;
	}
	return node;
}

uint32_t balance_choose(const struct balance *balance, uint32_t turn)
{
	if (!balance->leaves || balance->rank[ROOT] == BALANCE_NEVER)
		return BALANCE_NOBODY;
	uint32_t least = balance->rank[ROOT], node = 0;
	if (turn < balance->leaves)
		node = find_from(balance, balance->leaves + turn, least);
	if (!node)
		node = ROOT;
	while (node < balance->leaves)
		node = 2 * node + (balance->rank[2 * node] != least);
	return node - balance->leaves;
}
