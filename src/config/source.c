/*
 * source.c: a whole file into memory.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Until the end: a pipe has no size, and a file may grow meanwhile. */
static int source_read(int fd, size_t room, char **text, size_t *length)
{
	char *buffer = malloc(room), *larger;
	size_t used = 0;

	while (buffer) {
		ssize_t got = read(fd, buffer + used, room - 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int error = -errno;

			free(buffer);
			return error;
		}
		if (got == 0) {
			buffer[used] = '\0';
			*text = buffer;
			*length = used;
			return 0;
		}
		used += (size_t)got;
		if (used < room - 1)
			continue;
		if (room > SOURCE_MAX_BYTES) {
			free(buffer);
			return -EFBIG;
		}
		room *= 2;
		larger = realloc(buffer, room);
		if (!larger)
			free(buffer);
		buffer = larger;
	}
	return -ENOMEM;
}

int source_load(const char *path, bool plain, char **text, size_t *length, struct stat *status)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (plain ? O_NONBLOCK : 0));
	size_t room = 4096;
	int answer;

	if (fd < 0)
		return -errno;
	if (fstat(fd, status)) {
		answer = -errno;
	} else if (S_ISDIR(status->st_mode)) {
		answer = -EISDIR;
	} else if (plain && !S_ISREG(status->st_mode)) {
		answer = -EINVAL;
	} else {
		if (S_ISREG(status->st_mode) && status->st_size > 0 &&
		    (size_t)status->st_size < SOURCE_MAX_BYTES)
			room = (size_t)status->st_size + 2; /* one for the NUL, one to see the end */
		answer = source_read(fd, room, text, length);
	}
	close(fd);
	return answer;
}

const char *source_error(int error)
{
	switch (-error) {
	case EFBIG:
		return "larger than 256 MiB";
	case EINVAL:
		return "not a regular file";
	default:
		return strerror(-error);
	}
}
