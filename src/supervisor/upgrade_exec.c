/*
 * upgrade_exec.c: the state written down, and another program in place of this one.  When exec(2) itself fails, this
 * program simply goes on; when the other one cannot make anything of the state, it comes back (restore.c).
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lifecycle.h"
#include "logging.h"
#include "upgrade.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static int fill(int fd, const char *text, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t written = write(fd, text + done, length - done);
		if (written < 0 && errno != EINTR)
			return -errno;
		done += written > 0 ? (size_t)written : 0;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ? -errno
												    : 0;
}

int upgrade_memfd(const char *text, size_t length)
{
	int fd = memfd_create("lust-state", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("lust-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int result = fill(fd, text, length);
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

/* All of them, whatever one says: 0 or the first -errno. */
static int close_on_exec(const int *fds, size_t count, int state, int flag)
{
	int result = fcntl(state, F_SETFD, flag) < 0 ? -errno : 0;

	for (size_t i = 0; i < count; i++)
		if (fcntl(fds[i], F_SETFD, flag) < 0 && result == 0)
			result = -errno;
	return result;
}

int upgrade_become(int program, char **arguments, int state, const int *fds, size_t count)
{
	/* One that stayed behind would be missed where there is no way back. */
	int result = close_on_exec(fds, count, state, 0);

	if (result == 0) {
		fexecve(program, arguments, environ);
		result = -errno;
	}
	(void)close_on_exec(fds, count, state, FD_CLOEXEC); /* as they were */
	return result;
}

/* Returns only when it did not happen. */
static int go(struct supervisor *s, const struct state_writer *state)
{
	char variable[64], told[96];
	struct timespec now;

	int memfd = upgrade_memfd(state->text, state->length);
	if (memfd < 0)
		return memfd;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(told, sizeof(told), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
		 (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	notify_send(s, told);
	snprintf(variable, sizeof(variable), "%d:%d", (int)getpid(), memfd);
	int result = setenv(UPGRADE_VARIABLE, variable, 1) < 0 ? -errno : 0;
	if (result == 0)
		result = upgrade_become(s->upgrade->program, s->upgrade->arguments, memfd, state->fd,
					state->fds);
	unsetenv(UPGRADE_VARIABLE);
	close(memfd);
	notify_send(s, "READY=1\n");
	return result;
}

/* Everything is settled, and no signal comes between. */
static void try_to_go(struct supervisor *s)
{
	struct state_writer state;
	char why[128];

	uint64_t counted = s->logger.lost_lines;
	s->logger.lost_lines = log_lost(s); /* of a logger that does not read: nobody waits for it for ever */
	state_save(s, &state);
	s->logger.lost_lines = counted;
	int result = state.failed ? -ENOMEM : go(s, &state);
	state_write_free(&state);
	snprintf(why, sizeof(why), "cannot be run: %s", strerror(-result));
	upgrade_fail(s, why);
}

bool upgrade_exec(struct supervisor *s)
{
	if (s->upgrade->step != UPGRADE_GO)
		return false;
	signals_block();
	/* A signal that the loop has taken and not told yet would be forgotten. */
	ev_run(s->loop, EVRUN_NOWAIT);
	if (s->upgrade->step == UPGRADE_GO && upgrade_settled(s))
		try_to_go(s);
	else if (s->upgrade->step == UPGRADE_GO)
		upgrade_settle(s);
	signals_unblock();
	return s->stop_step != STOP_DONE;
}
