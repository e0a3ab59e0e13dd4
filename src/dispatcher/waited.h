/*
 * waited.h: how long clients wait in a backlog.  The kernel knows, but each question is a system call; clients come in the
 * order of their waiting, so that few answers do for many.  Pure.
 */
#ifndef WAITED_H
#define WAITED_H

#include <stdbool.h>
#include <stdint.h>

/* Of one listener; all 0 at first. */
struct waited {
	uint64_t asked_us; /* when the kernel was asked last */
	uint64_t said_us;  /* what it said */
	uint32_t stride;   /* so many take the answer over, as long as answers are alike */
	uint32_t left;     /* of the stride */
};

/* For a connection accepted now.  True: ask the kernel, and tell the answer with waited_learn().  False: as long as
   waited->said_us, four milliseconds more at most. */
bool waited_must_ask(struct waited *waited, uint64_t now_us);
void waited_learn(struct waited *waited, uint64_t now_us, uint64_t said_us);

#endif
