/*
 * system_calls.c: the system calls that a running dispatcher makes, and no others: a list for the kernel's filter.
 * Anything else fails with EPERM.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "confine.h"

#if defined(__x86_64__)
#define OUR_PROCESSOR AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_PROCESSOR AUDIT_ARCH_AARCH64
#endif

#ifdef OUR_PROCESSOR
static const unsigned allowed[] = {
	/* connections, pairs, link, pipe */
	SYS_accept4,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_sendto,
	SYS_recvfrom,
	SYS_write,
	SYS_read,
	SYS_close,
	SYS_socketpair,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_ioctl,
	SYS_fcntl,
	SYS_getsockname,
	SYS_getpeername,
	SYS_shutdown,
	/* the loop; it makes its set anew when a descriptor closed here is open elsewhere */
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_ppoll,
	SYS_eventfd2,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_setitimer,
	SYS_pipe2,
#ifdef SYS_epoll_wait
	SYS_epoll_create,
	SYS_epoll_wait,
	SYS_poll,
#endif
	/* memory and time */
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_clock_gettime,
	SYS_gettimeofday,
#ifdef SYS_time
	SYS_time, /* where the kernel maps no clock into processes */
#endif
	SYS_getpid,
	SYS_gettid,
	SYS_getrandom,
	SYS_futex,
	SYS_restart_syscall,
	/* the end, abort() included */
	SYS_exit,
	SYS_exit_group,
	SYS_rt_sigreturn,
	SYS_rt_sigprocmask,
	SYS_rt_sigaction,
	SYS_tgkill,
};

#define COUNT (sizeof(allowed) / sizeof(*allowed))

int confine_system_calls(void)
{
	struct sock_filter program[COUNT + 6];
	unsigned n = 0;
	_Static_assert(COUNT < 250, "a jump reaches over the whole list");

	program[n++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_PROCESSOR, 1, 0);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program[n++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < COUNT; i++)
		program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
							    (unsigned char)(COUNT - i), 0);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0 ? -errno : 0;
}
#else
int confine_system_calls(void)
{
	return 0;
}
#endif
