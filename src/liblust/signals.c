/*
 * signals.c: signals as descriptors, and as nothing at all for a child that is about to exec.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lust.h"

int lust_signals_open(const int *signals, size_t count)
{
	sigset_t set, before;
	int fd, error;

	sigemptyset(&set);
	for (size_t i = 0; i < count; i++) {
		if (sigaddset(&set, signals[i]) < 0)
			return -errno;
	}
	/* Blocked first, so that none of them acts in between.  Linux keeps what is blocked even when it is ignored, as SIGHUP
	   is after nohup. */
	error = pthread_sigmask(SIG_BLOCK, &set, &before);
	if (error)
		return -error;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		error = errno;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		return -error;
	}
	return fd;
}

int lust_signals_next(int fd, struct lust_signal *signal)
{
	struct signalfd_siginfo came;
	ssize_t length = read(fd, &came, sizeof(came));

	if (length < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (length != sizeof(came))
		return -EBADMSG;
	*signal = (struct lust_signal){.number = (int)came.ssi_signo,
				       .pid = (pid_t)came.ssi_pid,
				       .uid = came.ssi_uid,
				       .status = came.ssi_status};
	return 1;
}

int lust_signals_reset(void)
{
	sigset_t none;
	int result = 0;

	for (int number = 1; number < NSIG; number++) {
		/* KILL, STOP and the two that libc keeps for its threads refuse. */
		if (signal(number, SIG_DFL) == SIG_ERR && errno != EINVAL)
			result = -errno;
	}
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : result;
}
