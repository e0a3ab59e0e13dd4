/*
 * confine.c: gives up, for good, what the logger does not need.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "logger.h"
#include "lust.h"

static int drop_bounding_set(void)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

int confine(const struct logger_hello *hello)
{
	if (!hello->unprivileged) {
		/* CAP_SETPCAP is not among what makes the daemon privileged; no_new_privs makes up for it. */
		int result = drop_bounding_set();
		if (result < 0 && result != -EPERM)
			return result;
		result = lust_jail(hello->jail);
		if (result == 0)
			result = lust_drop_privileges(hello->uid, hello->gid, NULL, 0);
		if (result < 0)
			return result;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
#ifndef SANITIZED
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
#endif
	/* Cleared by the change of user, so it comes last. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
