/*
 * credit.h: how many more connections a server may get, and how many the dispatcher may keep.  Pure.
 */
#ifndef CREDIT_H
#define CREDIT_H

#include <stdint.h>

#include "board.h"

/*
 * window bounds what is pending (sent and not TAKEN), always.  capacity, the server's own word, bounds pending and
 * active together; 0: no limit.  Either may have shrunk below what is there.
 */
static inline uint32_t credit_free(uint32_t window, uint32_t capacity, uint32_t pending, uint32_t active)
{
	uint32_t by_window = window > pending ? window - pending : 0;
	if (!capacity)
		return by_window;
	uint64_t used = (uint64_t)pending + active;
	uint32_t by_capacity = capacity > used ? (uint32_t)(capacity - used) : 0;
	return by_window < by_capacity ? by_window : by_capacity;
}

/*
 * How many TAKEN connections may be kept until DONE: three quarters of the ledger and of the descriptors that are left
 * for clients (own: those that are not).  They may stay for days; the rest is for what comes and goes, of every service.
 */
static inline uint32_t credit_keep(uint32_t fds_limit, uint32_t own)
{
	uint32_t room = fds_limit > own ? fds_limit - own : 0;
	return (room < BOARD_LEDGER ? room : BOARD_LEDGER) / 4 * 3;
}

#endif
