/*
 * pidfile.c: a pidfile that is locked as long as its owner lives.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lust.h"

#define TRIES 20 /* the file is replaced under our hands, or a reader probes the lock: both pass */

/* What stands in the file; 0 when that is no pid. */
static pid_t pid_inside(int fd)
{
	char text[32], *end;
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	if (length <= 0)
		return 0;
	text[length] = '\0';
	if (text[0] < '1' || text[0] > '9')
		return 0;
	errno = 0;
	pid = strtol(text, &end, 10);
	return errno || *end != '\n' || pid > INT_MAX ? 0 : (pid_t)pid;
}

/* A regular file with one name: writing to it can harm nobody else. */
static int check_file(int fd, struct stat *status)
{
	if (fstat(fd, status) < 0)
		return -errno;
	if (!S_ISREG(status->st_mode))
		return -EINVAL;
	return status->st_nlink > 1 ? -EMLINK : 0;
}

static bool is_at(const struct stat *file, const char *path)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

/* Locked and still what the path names: 0.  -EAGAIN: try again. */
static int lock_file(int fd, const char *path)
{
	struct stat status;
	int result = check_file(fd, &status);

	if (result < 0)
		return result;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return is_at(&status, path) ? 0 : -EAGAIN;
}

static void wait_a_moment(void)
{
	struct timespec moment = {.tv_nsec = 1000000};

	nanosleep(&moment, NULL);
}

int lust_pidfile_open(const char *path, pid_t *holder)
{
	int result;

	if (holder)
		*holder = 0;
	for (unsigned i = 0; i < TRIES; i++) {
		/* O_NONBLOCK: a fifo or a device at this path must not stop us before fstat() tells what it
		   is. */
		int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0644);

		if (fd < 0)
			return -errno;
		result = lock_file(fd, path);
		if (result == 0)
			return fd;
		if (result == -EWOULDBLOCK && holder)
			*holder = pid_inside(fd);
		close(fd);
		if (result != -EAGAIN && result != -EWOULDBLOCK)
			return result;
		wait_a_moment();
	}
	return -EWOULDBLOCK;
}

int lust_pidfile_write(int fd, pid_t pid)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)pid);
	ssize_t written;

	if (pid <= 0)
		return -EINVAL;
	/* Over what is there, then cut: a reader never finds the file empty. */
	written = pwrite(fd, text, (size_t)length, 0);
	if (written != length)
		return written < 0 ? -errno : -EIO;
	return ftruncate(fd, length) < 0 ? -errno : 0;
}

int lust_pidfile_close(int fd, const char *path)
{
	struct stat status;
	int result = 0;

	/* Whatever fails: closed, the file is nobody's any more. */
	if (fstat(fd, &status) < 0 || (is_at(&status, path) && unlink(path) < 0))
		result = -errno;
	close(fd);
	return result;
}

pid_t lust_pidfile_read(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return -errno;
	pid = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
	if (pid == 0 && flock(fd, LOCK_SH | LOCK_NB) < 0) {
		pid = errno == EWOULDBLOCK ? pid_inside(fd) : -errno;
		if (pid == 0)
			pid = -EBUSY; /* held by somebody who has not written yet */
	}
	close(fd);
	return pid;
}
