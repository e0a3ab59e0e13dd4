/*
 * deadline.c: waiting with an end.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include "server.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t lust_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? LUST_NEVER : now_ms() + timeout_ms;
}

int lust_remaining(int64_t deadline)
{
	int64_t left;

	if (deadline == LUST_NEVER)
		return -1;
	left = deadline - now_ms();
	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

int lust_wait_ready(int fd, int64_t deadline, short events)
{
	struct pollfd wait = {.fd = fd, .events = events};
	int count = poll(&wait, 1, lust_remaining(deadline));

	if (count < 0)
		return -errno;
	return count == 0 ? -ETIMEDOUT : 0;
}
