/*
 * waited.c: see waited.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "waited.h"

#define FRESH_US 4000u /* one tick of most kernels, which is what their answer is exact to */
#define SHORT_US 10000u /* not more than the clock of the slowest kernel can tell from nothing */
#define STRIDE_MAX 16u

bool waited_must_ask(struct waited *waited, uint64_t now_us)
{
	if (!waited->asked_us || now_us - waited->asked_us >= FRESH_US)
		return true;
	if (waited->said_us <= SHORT_US)
		return false;
	if (!waited->left)
		return true;
	waited->left--;
	return false;
}

static bool alike(uint64_t one, uint64_t other)
{
	uint64_t most = one > other ? one : other, least = one > other ? other : one;
	return most - least <= SHORT_US || most - least <= most / 8;
}

void waited_learn(struct waited *waited, uint64_t now_us, uint64_t said_us)
{
	if (!waited->asked_us || !alike(waited->said_us, said_us))
		waited->stride = 0;
	else if (waited->stride < STRIDE_MAX)
		waited->stride = waited->stride ? waited->stride * 2 : 1;
	waited->left = waited->stride;
	waited->asked_us = now_us;
	waited->said_us = said_us;
}
