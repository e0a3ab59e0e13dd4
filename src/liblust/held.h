/*
 * held.h: the connections that a server has received and not settled, found by id and by descriptor.  Pure:
 * no system call but for memory, which lust_held_reserve() gets beforehand, so that nothing after a
 * recvmsg(2) can fail. Not locked: the handle's mutex guards it.
 */
#ifndef LUST_HELD_H
#define LUST_HELD_H

#include <stdbool.h>
#include <stdint.h>

enum lust_held_state {
	LUST_HELD_FREE,
	LUST_HELD_WAITING, /* received, not yet returned to the application, not TAKEN */
	LUST_HELD_UNTAKEN, /* explicit_take: the application has it, TAKEN is not said */
	LUST_HELD_TAKEN,
	LUST_HELD_DONE_DUE,   /* over; the daemon must be told */
	LUST_HELD_REFUSE_DUE, /* the same with REFUSED; fd (or -1) is the handle's to close */
};

struct lust_held {
	uint64_t id;               /* what the application calls it: unique in the table */
	uint64_t wire;             /* what the daemon calls it: another one only after a clash, see receive.c */
	int32_t fd;                /* -1: none, or forgotten because the number names a newer connection */
	uint8_t state;             /* enum lust_held_state */
	bool untaken;              /* DONE_DUE: TAKEN was never said */
	bool orphan;               /* of a daemon that is gone: no other server can have it */
	uint32_t next_id, next_fd; /* chains; indexes into the pool */
	uint32_t next_due;         /* DONE_DUE, REFUSE_DUE: the queue, in order */
};

#define LUST_HELD_NONE UINT32_MAX

struct lust_held_table {
	struct lust_held *pool;
	uint32_t *by_id, *by_fd; /* heads of the chains: `size` of each, a power of two */
	uint32_t size;           /* of the pool */
	uint32_t used;
	uint32_t free; /* chained through next_id */
	uint32_t first_due, last_due, due; /* the queue and its length */
};

void lust_held_init(struct lust_held_table *table);
void lust_held_clear(struct lust_held_table *table);

/* Room for `more` additional ones: 0 or -ENOMEM.  Moves the pool: pointers into it are void afterwards. */
int lust_held_reserve(struct lust_held_table *table, uint32_t more);

/* Room must have been reserved.  fd -1 is not found by descriptor.  An older connection with the same
   descriptor was closed by the application without a word: it stays, found by id only. */
struct lust_held *lust_held_add(struct lust_held_table *table, uint64_t id, int fd,
				enum lust_held_state state);

struct lust_held *lust_held_by_id(const struct lust_held_table *table, uint64_t id);
struct lust_held *lust_held_by_fd(const struct lust_held_table *table, int fd);

/* Not for what is in the queue. */
void lust_held_remove(struct lust_held_table *table, struct lust_held *held);

/* No longer found by its descriptor: the number may name something else from now on. */
void lust_held_forget_fd(struct lust_held_table *table, struct lust_held *held);

/* Into the queue of what the daemon must be told, as DONE_DUE or REFUSE_DUE.  DONE_DUE forgets the
   descriptor. */
void lust_held_queue(struct lust_held_table *table, struct lust_held *held, enum lust_held_state state);

/* The oldest of the queue, or NULL. */
struct lust_held *lust_held_due(const struct lust_held_table *table);
struct lust_held *lust_held_due_after(const struct lust_held_table *table, const struct lust_held *held);

/* Takes the oldest out of the queue and out of the table. */
void lust_held_drop_due(struct lust_held_table *table);

/* A new dispatcher knows nothing of the queue and asks how many are held: what is over is dropped from
   queue and table; refused ones that still have a descriptor stay, to go back with it.  table->used is then
   the answer.  A former daemon may have given ids of the same generation: those are 0 to the daemon from now on, which is
   of no generation. */
void lust_held_new_generation(struct lust_held_table *table, uint32_t generation);

/* The daemon that all of them came from is gone. */
void lust_held_orphan(struct lust_held_table *table);

#endif
