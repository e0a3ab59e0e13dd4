/*
 * ledger.h: every connection that was accepted and is not TAKEN yet or, with `acknowledge = done`, not DONE.  Half of
 * an entry is on the board, so that it outlives the dispatcher; the other half, with the descriptor, is private.  No
 * loop, no system call.
 *
 * An id is the dispatcher's generation (16 bits), the entry's index (16) and which use of the entry it is (32):
 * found without a search, never used twice.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "wire.h"

#define LEDGER_NONE UINT32_MAX

/* Entries in order.  Each is in at most one list. */
struct ledger_list {
	uint32_t first, last, count;
};

#define LEDGER_LIST_EMPTY                                                                                    \
	{                                                                                                    \
		LEDGER_NONE, LEDGER_NONE, 0                                                                  \
	}

struct ledger_entry {
	int fd; /* the dispatcher's copy; -1: none, its owner died before this dispatcher */
	uint32_t next, prev;
	uint32_t uses;
	uint32_t avoid;     /* slot of the server that refused it, or BOARD_NONE */
	int8_t nonblocking; /* O_NONBLOCK of the open file: 0, 1, or -1 unknown */
	bool had;           /* a server has received it: its socket options cannot be trusted */
	uint64_t since_us;  /* in its list */
	struct lust_wire_connection wire;
};

struct ledger {
	struct board *board;
	struct ledger_entry *entry; /* BOARD_LEDGER of them, owned; pages appear as they are used */
	uint32_t free;              /* chain through next */
	uint32_t high;              /* entries from here on were never used */
	uint32_t fds;               /* descriptors held */
	uint32_t held;              /* entries in the state LEDGER_HELD */
	uint16_t generation;
};

/* What the board holds from a dead dispatcher stays, without a descriptor, until it is settled.  0 or -ENOMEM. */
int ledger_open(struct ledger *ledger, struct board *board, uint32_t generation);

/* Does not close descriptors. */
void ledger_close(struct ledger *ledger);

/* A new entry in the state LEDGER_ACCEPTED; *wire is copied and gets the id.  The ledger owns fd afterwards.
   LEDGER_NONE when it is full. */
uint32_t ledger_add(struct ledger *ledger, uint32_t service, int fd, const struct lust_wire_connection *wire,
		    uint64_t accepted_us);

/* Back to LEDGER_ACCEPTED under a new id: what any server still says of the old one means nothing. */
void ledger_renew(struct ledger *ledger, uint32_t index);

/* Frees the entry (which must be in no list) and returns its descriptor, or -1: the caller's to close. */
int ledger_release(struct ledger *ledger, uint32_t index);

/* The entry with this id, or LEDGER_NONE. */
uint32_t ledger_find(const struct ledger *ledger, uint64_t id);

void ledger_sending(struct ledger *ledger, uint32_t index, uint32_t slot, uint32_t batch);
void ledger_sent(struct ledger *ledger, uint32_t index);
void ledger_unsent(struct ledger *ledger, uint32_t index);
void ledger_hold(struct ledger *ledger, uint32_t index);

static inline enum ledger_state ledger_state(const struct ledger *ledger, uint32_t index)
{
	return (enum ledger_state)atomic_load_explicit(&ledger->board->ledger[index].state,
						       memory_order_relaxed);
}

void ledger_append(struct ledger *ledger, struct ledger_list *list, uint32_t index);
void ledger_prepend(struct ledger *ledger, struct ledger_list *list, uint32_t index);
void ledger_unlink(struct ledger *ledger, struct ledger_list *list, uint32_t index);

#endif
