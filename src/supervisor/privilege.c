/*
 * privilege.c: may this process change users and roots?  Asked of the kernel, not guessed from uid 0: a
 * container's root may lack it, another user may have been given it.
 *
 * SPDX-License-Identifier: ISC
 */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lifecycle.h"

static bool has(const struct __user_cap_data_struct data[2], unsigned capability)
{
	return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

bool privilege_full(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return has(data, CAP_SETUID) && has(data, CAP_SETGID) && has(data, CAP_SYS_CHROOT);
}
