/*
 * rendezvous.c: see rendezvous.h.  A crit-bit tree: one inner node fewer than servers, whatever their names are.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>

#include "rendezvous.h"

/* Each begins at another quarter of one hash: more bits than servers need.  With four the shares are even; with one or
   two, a server whose neighbours are near would get less. */
#define HASHES 4u

/* The finalizer of splitmix64: every bit of the input moves half of the output's. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t rendezvous_client(const uint8_t *bytes, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static bool is_server(const struct rendezvous_node *node)
{
	return node->child[0] == RENDEZVOUS_NONE;
}

static unsigned side(uint64_t name, uint32_t bit)
{
	return name >> bit & 1;
}

bool rendezvous_reserve(struct rendezvous *rendezvous, uint32_t servers)
{
	uint32_t room = 2 * servers;
	if (room <= rendezvous->room)
		return true;
	struct rendezvous_node *node = reallocarray(rendezvous->node, room, sizeof(*node));
	if (!node)
		return false;
	rendezvous->node = node;
	rendezvous->room = room;
	return true;
}

void rendezvous_free(struct rendezvous *rendezvous)
{
	free(rendezvous->node);
	*rendezvous = (struct rendezvous)RENDEZVOUS_EMPTY;
}

static uint32_t take_node(struct rendezvous *rendezvous)
{
	uint32_t number = rendezvous->free;
	if (number == RENDEZVOUS_NONE)
		return rendezvous->used++;
	rendezvous->free = rendezvous->node[number].parent;
	return number;
}

static void free_node(struct rendezvous *rendezvous, uint32_t number)
{
	rendezvous->node[number].parent = rendezvous->free;
	rendezvous->free = number;
}

static void put_in_place(struct rendezvous *rendezvous, uint32_t old, uint32_t new)
{
	uint32_t parent = rendezvous->node[old].parent;
	rendezvous->node[new].parent = parent;
	if (parent == RENDEZVOUS_NONE)
		rendezvous->root = new;
	else
		rendezvous->node[parent].child[rendezvous->node[parent].child[1] == old] = new;
}

/* From here up, as far as it makes a difference. */
static void rank_up(struct rendezvous *rendezvous, uint32_t number)
{
	for (; number != RENDEZVOUS_NONE; number = rendezvous->node[number].parent) {
		struct rendezvous_node *node = &rendezvous->node[number];
		uint32_t left = rendezvous->node[node->child[0]].rank;
		uint32_t right = rendezvous->node[node->child[1]].rank;
		uint32_t rank = left < right ? left : right;
		if (node->rank == rank)
			return;
		node->rank = rank;
	}
}

/* The names below `at` and the new one differ first in `bit`. */
static void fork_at(struct rendezvous *rendezvous, uint32_t at, uint32_t number, uint32_t bit)
{
	uint64_t name = rendezvous->node[number].name;
	uint32_t inner = take_node(rendezvous);
	struct rendezvous_node *node = &rendezvous->node[inner];
	*node = (struct rendezvous_node){.bit = bit, .rank = rendezvous->node[at].rank};
	node->child[side(name, bit)] = number;
	node->child[!side(name, bit)] = at;
	put_in_place(rendezvous, at, inner);
	rendezvous->node[at].parent = rendezvous->node[number].parent = inner;
}

uint32_t rendezvous_add(struct rendezvous *rendezvous, uint64_t name)
{
	uint32_t number = take_node(rendezvous), at = rendezvous->root;
	rendezvous->node[number] = (struct rendezvous_node){
		.name = name,
		.child = {RENDEZVOUS_NONE, RENDEZVOUS_NONE},
		.parent = RENDEZVOUS_NONE,
		.rank = RENDEZVOUS_NEVER,
	};
	if (at == RENDEZVOUS_NONE) {
		rendezvous->root = number;
		return number;
	}
	const struct rendezvous_node *node = rendezvous->node;
	while (!is_server(&node[at]))
		at = node[at].child[side(name, node[at].bit)];
	uint32_t bit = (uint32_t)__builtin_ctzll(node[at].name ^ name);
	at = rendezvous->root;
	while (!is_server(&node[at]) && node[at].bit < bit)
		at = node[at].child[side(name, node[at].bit)];
	fork_at(rendezvous, at, number, bit);
	return number;
}

void rendezvous_remove(struct rendezvous *rendezvous, uint32_t number)
{
	uint32_t parent = rendezvous->node[number].parent;
	free_node(rendezvous, number);
	if (parent == RENDEZVOUS_NONE) {
		rendezvous->root = RENDEZVOUS_NONE;
		return;
	}
	const struct rendezvous_node *node = &rendezvous->node[parent];
	uint32_t sibling = node->child[node->child[0] == number];
	put_in_place(rendezvous, parent, sibling);
	rank_up(rendezvous, node->parent);
	free_node(rendezvous, parent);
}

void rendezvous_set(struct rendezvous *rendezvous, uint32_t number, uint32_t rank)
{
	struct rendezvous_node *node = &rendezvous->node[number];
	if (node->rank == rank)
		return;
	node->rank = rank;
	rank_up(rendezvous, node->parent);
}

static uint32_t nearest(const struct rendezvous_node *node, uint32_t at, uint64_t hash)
{
	uint32_t least = node[at].rank;
	while (!is_server(&node[at])) {
		const uint32_t *child = node[at].child;
		unsigned near = side(hash, node[at].bit);
		at = node[child[near]].rank == least ? child[near] : child[!near];
	}
	return at;
}

/* Of two distances: the lower the first bit that is in one only, the larger that one. */
static bool nearer(uint64_t distance, uint64_t than)
{
	uint64_t differ = distance ^ than;
	return than & differ & -differ;
}

uint32_t rendezvous_choose(const struct rendezvous *rendezvous, uint64_t client)
{
	const struct rendezvous_node *node = rendezvous->node;
	uint32_t root = rendezvous->root, best = RENDEZVOUS_NONE;
	if (root == RENDEZVOUS_NONE || node[root].rank == RENDEZVOUS_NEVER)
		return RENDEZVOUS_NONE;
	if (is_server(&node[root]))
		return root;
	uint64_t least = 0, hash = mix(client);
	for (unsigned i = 0; i < HASHES; i++, hash = hash >> 16 | hash << 48) {
		uint32_t at = nearest(node, root, hash);
		uint64_t distance = hash ^ node[at].name;
		if (best == RENDEZVOUS_NONE || nearer(distance, least)) {
			best = at;
			least = distance;
		}
	}
	return best;
}
