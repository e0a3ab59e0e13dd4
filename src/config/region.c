/*
 * region.c: memory shared with a child process.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "region.h"

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Address space alone.  A machine that counts even that as memory, or has little, gives less. */
#define REGION_MOST ((size_t)(sizeof(void *) > 4 ? 1024 : 256) << 20)
#define REGION_LEAST ((size_t)16 << 20)

struct region {
	size_t size, used;
	alignas(max_align_t) char data[];
};

static size_t region_round(size_t size, size_t to)
{
	return (size + to - 1) & ~(to - 1);
}

/* A file in memory counts as memory page by page, as it is filled: with strict overcommit an anonymous mapping counts
   as what it once was, even when most of it has gone.  -1: there is none, and that one has to do. */
static int region_file(void)
{
	struct rlimit limit;
	int fd;

	/* More than that would be a signal. */
	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur < REGION_MOST)
		return -1;
	fd = memfd_create("lust-table", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("lust-table", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, (off_t)REGION_MOST) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct region *region_new(void)
{
	int fd = region_file(), flags = MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
	struct region *region = MAP_FAILED;
	int error = 0;
	size_t size;

	for (size = REGION_MOST; size >= REGION_LEAST; size /= 2) {
		region = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
		error = errno;
		if (region != MAP_FAILED || error != ENOMEM)
			break;
	}
	if (fd >= 0)
		close(fd);
	errno = error;
	if (region == MAP_FAILED)
		return NULL;
	region->size = size;
	region->used = sizeof(*region);
	return region;
}

void *region_take(struct region *region, size_t size)
{
	size_t start = region->used;

	if (size > region->size - start)
		return NULL;
	region->used = region_round(start + size, alignof(max_align_t));
	return (char *)region + start;
}

static size_t region_end(const struct region *region)
{
	return region_round(region->used, (size_t)sysconf(_SC_PAGESIZE));
}

/* May fail for want of a mapping more: then it stays, which does no harm. */
static bool region_cut(const struct region *region, size_t end)
{
	return end < region->size && munmap((char *)(uintptr_t)region + end, region->size - end) == 0;
}

void region_leave(const struct region *region)
{
	(void)region_cut(region, region_end(region)); /* the size is the parent's */
}

void region_seal(struct region *region)
{
	size_t end = region_end(region);

	if (region_cut(region, end))
		region->size = end;
	(void)mprotect(region, region->size, PROT_READ);
}

void region_free(struct region *region)
{
	if (region)
		(void)munmap(region, region->size);
}
