/*
 * balance.h: which server gets a connection.  Pure.
 */
#ifndef BALANCE_H
#define BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link.h"

#define BALANCE_NOBODY UINT32_MAX

struct candidate {
	uint32_t slot;
	uint32_t name;    /* for the hash: the same after a restart */
	uint32_t credits; /* connections that it may get now */
	uint32_t load;    /* connections that it has */
	bool late;        /* slow to receive; for the caller, who gives credits accordingly */
};

/*
 * The position of the chosen one among the candidates, or BALANCE_NOBODY when none has a credit.  *turn
 * belongs to the service and is carried from call to call; key is balance_key() of the client.
 * Source-hash is rendezvous hashing: when a server comes or goes (or is full), only its clients move.
 */
uint32_t balance_choose(enum link_balance how, const struct candidate *candidates, uint32_t count,
			uint32_t *turn, uint64_t key);

/* Of an address's bytes. */
uint64_t balance_key(const uint8_t *bytes, size_t length);

#endif
