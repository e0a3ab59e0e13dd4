/*
 * balance.c: see balance.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "balance.h"

/* The finalizer of splitmix64: every bit of the input moves half of the output's. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t balance_key(const uint8_t *bytes, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return mix(hash);
}

static uint32_t round_robin(const struct candidate *candidates, uint32_t count, uint32_t *turn)
{
	for (uint32_t step = 0; step < count; step++) {
		uint32_t at = (*turn + step) % count;
		if (candidates[at].credits) {
			*turn = (at + 1) % count;
			return at;
		}
	}
	return BALANCE_NOBODY;
}

/* Equals take turns: otherwise the first of idle servers would get every connection. */
static uint32_t least_connections(const struct candidate *candidates, uint32_t count, uint32_t *turn)
{
	uint32_t best = BALANCE_NOBODY;
	for (uint32_t step = 0; step < count; step++) {
		uint32_t at = (*turn + step) % count;
		if (candidates[at].credits &&
		    (best == BALANCE_NOBODY || candidates[at].load < candidates[best].load))
			best = at;
	}
	if (best != BALANCE_NOBODY)
		*turn = (best + 1) % count;
	return best;
}

static uint32_t source_hash(const struct candidate *candidates, uint32_t count, uint64_t key)
{
	uint32_t best = BALANCE_NOBODY;
	uint64_t best_weight = 0;
	for (uint32_t at = 0; at < count; at++) {
		uint64_t weight = mix(key ^ mix(candidates[at].name));
		if (candidates[at].credits && (best == BALANCE_NOBODY || weight > best_weight)) {
			best = at;
			best_weight = weight;
		}
	}
	return best;
}

uint32_t balance_choose(enum link_balance how, const struct candidate *candidates, uint32_t count,
			uint32_t *turn, uint64_t key)
{
	switch (how) {
	case LINK_LEAST_CONNECTIONS:
		return least_connections(candidates, count, turn);
	case LINK_SOURCE_HASH:
		return source_hash(candidates, count, key);
	case LINK_ROUND_ROBIN:
		break;
	}
	return round_robin(candidates, count, turn);
}
