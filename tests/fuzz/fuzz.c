/*
 * fuzz.c: see fuzz.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "fuzz.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

uint8_t input_byte(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

uint32_t input_number(struct input *input)
{
	uint8_t byte = input_byte(input);

	if (byte < 0xd0)
		return byte;
	if (byte < 0xf0)
		return UINT32_C(1) << (byte & 31);
	return UINT32_MAX - (byte & 15);
}

unsigned input_below(struct input *input, unsigned limit)
{
	return input_byte(input) % limit;
}

void input_copy(struct input *input, void *to, size_t size)
{
	size_t there = size < input->left ? size : input->left;

	memset(to, 0, size);
	if (there)
		memcpy(to, input->at, there);
	input->at += there;
	input->left -= there;
}

_Noreturn void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* The rig of the unit tests says so in check's words; there is no runner of check here. */
void _ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (format)
		vfprintf(stderr, format, list);
	va_end(list);
	fuzz_fail(file, line, expression);
}

void _mark_point(const char *file, int line)
{
	(void)file;
	(void)line;
}

unsigned fuzz_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	FUZZ_CHECK(directory != NULL);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

void fuzz_check_fds(unsigned before)
{
	unsigned now = fuzz_count_fds();

	if (now == before)
		return;
	for (int fd = 0; fd < 256; fd++) {
		char path[32], target[256];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t length = readlink(path, target, sizeof(target));
		if (length > 0)
			fprintf(stderr, "descriptor %d: %.*s\n", fd, (int)length, target);
	}
	fprintf(stderr, "%u descriptors before, %u now\n", before, now);
	abort();
}

static int one_of(int pair[2])
{
	close(pair[1]);
	return pair[0];
}

static int some_fd(unsigned kind)
{
	int pair[2] = {-1, -1};

	switch (kind) {
	case 0:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 1:
		FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
		return one_of(pair);
	case 2:
		FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
		return one_of(pair);
	case 3:
		FUZZ_CHECK(pipe2(pair, O_CLOEXEC) == 0);
		return one_of(pair);
	case 4:
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case 5:
		return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	default:
		return eventfd(0, EFD_CLOEXEC);
	}
}

unsigned fuzz_some_fds(struct input *input, int *fds, unsigned most)
{
	unsigned count = input_below(input, most + 1);

	for (unsigned i = 0; i < count; i++) {
		fds[i] = some_fd(input_below(input, 7));
		FUZZ_CHECK(fds[i] >= 0);
	}
	return count;
}

void fuzz_close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static char directory[64];
static pid_t directory_owner;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static void remove_directory(void)
{
	if (getpid() == directory_owner)
		nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_directory(void)
{
	if (!directory[0]) {
		snprintf(directory, sizeof(directory), "/tmp/lust-fuzz-XXXXXX");
		FUZZ_CHECK(mkdtemp(directory) != NULL);
		directory_owner = getpid();
		atexit(remove_directory);
	}
	return directory;
}
