/*
 * linger.c: SO_LINGER belongs to the socket.  Where a server has set it and closed its own descriptor before its TAKEN is
 * read here, our copy is the last, and close() waits for the client as long as the server said.  To look before each close
 * is a system call for each connection, for what next to no server does.
 *
 * So there is no look, but a timer: a signal ends that wait, and the socket goes on by itself as after one that was over.
 * The timer repeats while there is something to close, so that none can begin between its last signal and its stop; an
 * idle loop it wakes twice.
 * When it goes off within a close(), a few of the next copies of that service are looked at, for it can be by chance; many
 * when the close took long, and still more when one does linger.  A server that hides it in between costs a tick in as many
 * connections.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "linger.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "unlingered.h"

#define LOOKS_BY_CHANCE 16u   /* a tick falls into some close() every now and then */
#define LOOKS_AFTER_LONG 512u /* or this process had to wait for its processor */
#define LOOKS_IN_EARNEST 65536u
#define LONG_US (LINGER_TICK_US / 2)
#define IDLE_TICKS 2u /* what it wakes an idle loop for */
#define TICKS_MASK 0xffff

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	(void)signal;
	ticks = (ticks + 1) & TICKS_MASK;
}

static bool set_timer(long us)
{
	struct itimerval each = {.it_interval.tv_usec = us, .it_value.tv_usec = us};
	return setitimer(ITIMER_REAL, &each, NULL) == 0;
}

static bool start(struct linger_clock *clock)
{
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	if (clock->refused)
		return false;
	clock->runs = sigaction(SIGALRM, &action, NULL) == 0 && set_timer(LINGER_TICK_US);
	clock->refused = !clock->runs;
	return clock->runs;
}

void linger_stop(struct linger_clock *clock)
{
	if (clock->runs)
		(void)set_timer(0);
	clock->runs = false;
}

void linger_turn(struct linger_clock *clock)
{
	if (!clock->runs || clock->seen == ticks)
		return;
	clock->seen = ticks;
	if (++clock->idle >= IDLE_TICKS)
		linger_stop(clock);
}

uint32_t linger_looks(uint64_t took_us)
{
	return took_us >= LONG_US ? LOOKS_AFTER_LONG : LOOKS_BY_CHANCE;
}

void linger_close(struct linger_clock *clock, struct linger_caution *caution, uint64_t began_us, int fd)
{
	clock->idle = 0;
	if (caution->looks || !(clock->runs || start(clock))) {
		caution->looks -= caution->looks > 0;
		if (lust_close_unlingered(fd))
			caution->looks = LOOKS_IN_EARNEST;
		return;
	}
	sig_atomic_t before = ticks;
	close(fd);
	if (ticks != before)
		caution->looks = linger_looks(clock_us() - began_us);
}
