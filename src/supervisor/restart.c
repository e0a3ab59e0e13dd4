/*
 * restart.c: whether and when a server that ended is started again.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "servers.h"

/* delay, doubled for every failure after the first, never above its bound. */
static uint32_t growing(uint32_t delay, uint32_t bound, unsigned failures)
{
	uint64_t grown = delay;
	for (unsigned i = 1; i < failures && grown < bound; i++)
		grown *= 2;
	return grown < bound ? (uint32_t)grown : bound;
}

struct restart_verdict restart_decide(const struct restart_input *in)
{
	struct restart_verdict verdict = {.what = RESTART_WAIT};

	if (in->policy == RESTART_NEVER || (in->policy == RESTART_ON_FAILURE && in->clean)) {
		verdict.what = RESTART_STOPPED;
		return verdict;
	}
	/* Who ran long enough starts a new row of failures with this end. */
	verdict.failures = in->ran_ms >= in->reset_after_ms ? 1 : in->failures + 1;
	if (in->limit > 0 && verdict.failures > in->limit) {
		verdict.what = RESTART_FAILED;
		return verdict;
	}
	verdict.delay_ms = growing(in->delay_ms, in->delay_max_ms, verdict.failures);
	return verdict;
}
