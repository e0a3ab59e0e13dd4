/*
 * server.h: what the chaos server's loop (server.c) and its misdeeds (misdeeds.c) know of each other.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SERVER_H
#define SERVER_H

#include <lust.h>
#include <stdbool.h>
#include <stdint.h>

#include "chaos.h"

struct connection {
	int fd;
	bool asks_done; /* the request was read, or none is expected */
	bool taken, answering, corked;
	uint64_t number, id, due_us;
	uint32_t got, sent; /* bytes of the request, of the answer with its head */
	struct request request;
	struct answer head;
	struct connection *previous, *next;
};

struct options {
	bool asks, large, explicit_take;
	uint64_t delay_us;
	uint32_t capacity, batch;
	const char *journal;
};

extern struct options options;
extern struct lust_server *server;

/*
 * Misdeeds come as real-time signals, SIGRTMIN + enum misdeed, so that whoever leads the test decides which server does
 * what and when.
 */
enum misdeed {
	MISDEED_LIE_TAKEN,    /* TAKEN for ids that it never got */
	MISDEED_DONE_TWICE,   /* DONE again for ids that have ended */
	MISDEED_CAPACITY,     /* absurd capacities, the true one at last */
	MISDEED_FLOOD,        /* messages without end, for a while */
	MISDEED_HALF,         /* half a message */
	MISDEED_DESCRIPTORS,  /* descriptors where none belong */
	MISDEED_PUSH_BACK,    /* REFUSED with descriptors for ids that it took or never got */
	MISDEED_LINGER,       /* SO_LINGER on what it answers, and death amid it */
	MISDEED_CORK,         /* TCP_CORK and a byte before TAKEN, and death */
	MISDEED_FILL_TABLE,   /* no descriptor is free in its own table: MSG_CTRUNC */
	MISDEED_SMALL_BUFFER, /* the least receive buffer */
	MISDEED_SLOW,         /* receives and takes nothing for longer than take-timeout */
	MISDEED_REFUSE,       /* refuses what it can */
	MISDEED_HALF_ANSWER,  /* dies amid its answers */
	MISDEEDS
};

/* What a misdeed left behind for the loop to honour. */
struct mood {
	uint64_t slow_until_us, filled_until_us, refuse_until_us;
	bool linger, cork, half_answer; /* the next connection's, which ends in death */
};
extern struct mood mood;

void misdeed(enum misdeed);
void misdeeds_remember_done(uint64_t id); /* for DONE_TWICE */
void misdeeds_look(uint64_t now_us);      /* ends what is to end */

/* Writes a record before the deed. */
void journal(const struct connection *, enum deed);

#endif
