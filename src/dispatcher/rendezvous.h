/*
 * rendezvous.h: which server of a service gets a connection, by the client's address.  Pure.
 *
 * Rendezvous hashing: client and server together make a weight, and the server with the highest one is chosen; so
 * when one comes or goes (or is full), only its clients move.  The weight is how near the server's name comes to the
 * nearest of a few hashes of the client: the more of their bits agree, from the lowest on, the nearer.  So the nearest
 * is found in a tree of names by their bits, in logarithmic time; and names that count up lie at equal distances,
 * which gives equal shares.
 */
#ifndef RENDEZVOUS_H
#define RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RENDEZVOUS_NONE UINT32_MAX
#define RENDEZVOUS_NEVER UINT32_MAX /* the rank of who gets none now */

/* A server, or two subtrees whose names differ first in `bit`. */
struct rendezvous_node {
	uint64_t name;     /* of a server */
	uint32_t child[2]; /* RENDEZVOUS_NONE: it is a server */
	uint32_t parent;   /* or the next free one */
	uint32_t rank;     /* the least one below */
	uint32_t bit;
};

struct rendezvous {
	struct rendezvous_node *node; /* owned */
	uint32_t room, used, free, root;
};

#define RENDEZVOUS_EMPTY                                                                                     \
	{                                                                                                    \
		.free = RENDEZVOUS_NONE, .root = RENDEZVOUS_NONE                                             \
	}

/* For so many servers.  false: no memory, nothing has changed. */
bool rendezvous_reserve(struct rendezvous *rendezvous, uint32_t servers);
void rendezvous_free(struct rendezvous *rendezvous);

/* There must be room, and nobody of that name.  The number is the server's until it is removed; its rank is
   RENDEZVOUS_NEVER. */
uint32_t rendezvous_add(struct rendezvous *rendezvous, uint64_t name);
void rendezvous_remove(struct rendezvous *rendezvous, uint32_t number);
void rendezvous_set(struct rendezvous *rendezvous, uint32_t number, uint32_t rank);

/* Among those of the least rank; RENDEZVOUS_NONE: all are RENDEZVOUS_NEVER. */
uint32_t rendezvous_choose(const struct rendezvous *rendezvous, uint64_t client);

/* Of an address's bytes. */
uint64_t rendezvous_client(const uint8_t *bytes, size_t length);

#endif
