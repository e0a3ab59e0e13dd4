/*
 * eager.h: whether to look for one more.  A call that finds nothing costs as much as one that finds something, and where
 * things come one by one every second call would be such.  So each look in vain makes the next ones rarer; the loop
 * tells again what is left.  Pure.
 */
#ifndef EAGER_H
#define EAGER_H

#include <stdbool.h>
#include <stdint.h>

#define EAGER_REST_MAX 7u

/* Of one descriptor; all 0 at first: it looks. */
struct eager {
	uint8_t rest; /* so many times it does not look after a look */
	uint8_t left; /* of them */
};

/* It is readable.  True: look until there is nothing; false: take one. */
static inline bool eager_begin(struct eager *eager)
{
	if (!eager->left)
		return true;
	eager->left--;
	return false;
}

static inline void eager_end(struct eager *eager, bool looked, unsigned found)
{
	if (!looked)
		return;
	if (found > 1)
		eager->rest = 0;
	else if (eager->rest < EAGER_REST_MAX)
		eager->rest = (uint8_t)(eager->rest * 2 + 1);
	eager->left = eager->rest;
}

#endif
