/*
 * region.h: memory that a child process fills and its parent takes over.  It is mapped before fork(2), so that it lies at
 * one address in both, and pointers into it mean the same here and there.
 */
#ifndef REGION_H
#define REGION_H

#include <stddef.h>

struct region; /* its own first bytes */

/* Takes no memory before it is used.  NULL with errno. */
struct region *region_new(void);

/* Zeroed and aligned for any type.  NULL: it is full. */
void *region_take(struct region *region, size_t size);

/* In the child, when it is filled: what was not used goes back, so that nobody looks through it for leaks. */
void region_leave(const struct region *region);

/* In the parent, when nobody writes there any more: what was not used goes back, the rest can only be read. */
void region_seal(struct region *region);
void region_free(struct region *region);

#endif
