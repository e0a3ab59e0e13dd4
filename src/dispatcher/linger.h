/*
 * linger.h: closing copies of connections that a server has taken, without a look at SO_LINGER before each, and
 * without ever waiting for it for longer than LINGER_TICK_US.
 */
#ifndef LINGER_H
#define LINGER_H

#include <stdbool.h>
#include <stdint.h>

#define LINGER_TICK_US 10000

/* A timer that interrupts; one for the process. */
struct linger_clock {
	bool runs, refused;
	int seen;      /* ticks, at the end of the last turn */
	unsigned idle; /* turns with a tick since a close */
};

/* Of a service: so many of its copies are looked at before they are closed. */
struct linger_caution {
	uint32_t looks;
};

/* began_us: a moment before, of CLOCK_MONOTONIC, from which its length is reckoned. */
void linger_close(struct linger_clock *clock, struct linger_caution *caution, uint64_t began_us, int fd);

/* Once a turn: stops the timer when there was nothing to close for a while. */
void linger_turn(struct linger_clock *clock);

void linger_stop(struct linger_clock *clock);

/* Pure: how many are to be looked at after a close of this length, during which the timer went off. */
uint32_t linger_looks(uint64_t took_us);

#endif
