/*
 * board.c: see board.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static int memfd(void)
{
	int fd = memfd_create("lust-board", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("lust-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int fill(int fd)
{
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, sizeof(struct board)) < 0)
		return -errno;
	uint32_t head[2] = {BOARD_MAGIC, BOARD_VERSION};
	if (pwrite(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return -EIO;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return 0;
}

int board_create(void)
{
	int fd = memfd();
	if (fd < 0)
		return -errno;
	int error = fill(fd);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

struct board *board_map(int fd, bool writable)
{
	struct stat file;
	if (fstat(fd, &file) < 0)
		return NULL;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return NULL;
	if (file.st_size != (off_t)sizeof(struct board) || (seals & SEALS) != SEALS) {
		errno = EINVAL;
		return NULL;
	}
	void *memory = mmap(NULL, sizeof(struct board), writable ? PROT_READ | PROT_WRITE : PROT_READ,
			    MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return NULL;
	struct board *board = memory;
	if (board->magic != BOARD_MAGIC || board->version != BOARD_VERSION) {
		board_unmap(board);
		errno = EPROTO;
		return NULL;
	}
	return board;
}

void board_unmap(struct board *board)
{
	if (board)
		munmap(board, sizeof(*board));
}

static uint64_t load(const board_count *count)
{
	return atomic_load_explicit(count, memory_order_acquire);
}

/* First the ends, then `taken`, then `accepted` (see board.h), so that no difference is ever negative; the last lines
   are for a board that was left in the middle of a change. */
void board_read_service(const struct board *board, uint32_t service, struct board_reading *out)
{
	const struct board_service *from = &board->services[service];
	uint64_t left = 0;

	*out = (struct board_reading){
		.since_s = atomic_load_explicit(&board->brief[service].since_s, memory_order_acquire),
		.full_since_ms = load(&board->brief[service].full_since_ms),
	};
	if (!board_counted(board, service))
		return;
	out->done = load(&from->done);
	out->died = load(&from->died);
	out->lost = load(&from->lost);
	for (unsigned i = 0; i < DENIED_COUNT; i++)
		left += out->denied[i] = load(&from->denied[i]);
	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		left += out->closed[i] = load(&from->closed[i]);
	out->taken = load(&from->taken);
	out->accepted = load(&from->accepted);
	out->redispatched = load(&from->redispatched);

	if (out->taken < out->done + out->died)
		out->taken = out->done + out->died;
	left += out->taken + out->lost;
	if (out->accepted < left)
		out->accepted = left;
	out->active = out->taken - out->done - out->died;
	out->pending = out->accepted - left;
}

static void reset(board_count *count, uint64_t value)
{
	atomic_store_explicit(count, value, memory_order_release);
}

static void reset_counters(struct board_service *service, uint64_t pending, uint64_t active)
{
	reset(&service->done, 0);
	reset(&service->died, 0);
	reset(&service->lost, 0);
	reset(&service->redispatched, 0);
	for (unsigned i = 0; i < DENIED_COUNT; i++)
		reset(&service->denied[i], 0);
	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		reset(&service->closed[i], 0);
	reset(&service->taken, active);
	reset(&service->accepted, pending + active);
}

static void reset_latency(struct board_latency *latency)
{
	for (unsigned i = 0; i < BOARD_WINDOWS; i++) { /* epoch 0: stale */
		reset(&latency->taken[i].epoch, 0);
		reset(&latency->waited[i].epoch, 0);
	}
}

void board_reset_service(struct board *board, uint32_t service, uint64_t pending, uint64_t active,
			 uint32_t since_s)
{
	if (pending + active)
		board_count_accepted(board, service, 0);
	if (board_counted(board, service)) {
		reset_counters(&board->services[service], pending, active);
		reset_latency(&board->latency[service]);
	}
	reset(&board->brief[service].full_since_ms, 0);
	atomic_store_explicit(&board->brief[service].since_s, since_s, memory_order_release);
}

unsigned board_bucket(uint64_t us)
{
	if (us < 1)
		us = 1;
	unsigned power = 63 - (unsigned)__builtin_clzll(us);
	unsigned bucket = power * 4 + (unsigned)((power >= 2 ? us >> (power - 2) : us << (2 - power)) & 3);
	return bucket < BOARD_BUCKETS ? bucket : BOARD_BUCKETS - 1;
}

uint64_t board_bucket_limit(unsigned bucket)
{
	uint64_t above = (uint64_t)(5 + bucket % 4) << (bucket / 4);
	return (above - 1) / 4;
}

/* The writer's window of now, emptied when its turn came again. */
static struct board_window *window_of_now(struct board_window windows[BOARD_WINDOWS], uint64_t now_ms)
{
	uint64_t epoch = now_ms / BOARD_WINDOW_MS;
	struct board_window *window = &windows[epoch % BOARD_WINDOWS];
	if (load(&window->epoch) == epoch)
		return window;

	atomic_store_explicit(&window->accepted, 0, memory_order_relaxed);
	atomic_store_explicit(&window->max_us, 0, memory_order_relaxed);
	for (unsigned i = 0; i < BOARD_BUCKETS; i++)
		atomic_store_explicit(&window->bucket[i], 0, memory_order_relaxed);
	atomic_store_explicit(&window->epoch, epoch, memory_order_release);
	return window;
}

void board_measure(struct board_window windows[BOARD_WINDOWS], uint64_t now_ms, uint64_t us)
{
	struct board_window *window = window_of_now(windows, now_ms);
	uint32_t value = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	atomic_fetch_add_explicit(&window->bucket[board_bucket(us)], 1, memory_order_relaxed);
	if (atomic_load_explicit(&window->max_us, memory_order_relaxed) < value)
		atomic_store_explicit(&window->max_us, value, memory_order_relaxed);
}

void board_accepted(struct board_window windows[BOARD_WINDOWS], uint64_t now_ms)
{
	atomic_fetch_add_explicit(&window_of_now(windows, now_ms)->accepted, 1, memory_order_relaxed);
}

static uint64_t percentile(const uint64_t sum[BOARD_BUCKETS], uint64_t count, unsigned percent,
			   uint64_t max_us)
{
	uint64_t rank = (count * percent + 99) / 100, seen = 0;
	for (unsigned i = 0; i < BOARD_BUCKETS; i++) {
		seen += sum[i];
		if (seen >= rank) {
			uint64_t limit = board_bucket_limit(i);
			return limit < max_us ? limit : max_us;
		}
	}
	return max_us;
}

void board_percentiles(const struct board_window windows[BOARD_WINDOWS], uint64_t now_ms, unsigned seconds,
		       struct board_percentiles *out)
{
	uint64_t sum[BOARD_BUCKETS] = {0};
	uint64_t since_ms = now_ms > seconds * UINT64_C(1000) ? now_ms - seconds * UINT64_C(1000) : 0;
	*out = (struct board_percentiles){0};

	for (unsigned w = 0; w < BOARD_WINDOWS; w++) {
		uint64_t epoch = load(&windows[w].epoch);
		uint64_t began_ms = epoch * BOARD_WINDOW_MS;
		if (!epoch || began_ms < since_ms || began_ms > now_ms)
			continue;
		for (unsigned i = 0; i < BOARD_BUCKETS; i++) {
			uint32_t n = atomic_load_explicit(&windows[w].bucket[i], memory_order_relaxed);
			sum[i] += n;
			out->count += n;
		}
		uint32_t max_us = atomic_load_explicit(&windows[w].max_us, memory_order_relaxed);
		if (max_us > out->max_us)
			out->max_us = max_us;
	}
	if (out->count) {
		out->p50_us = percentile(sum, out->count, 50, out->max_us);
		out->p99_us = percentile(sum, out->count, 99, out->max_us);
	}
}

/* The oldest window counts for the part of it that is still within the time. */
uint64_t board_rate(const struct board_window windows[BOARD_WINDOWS], uint64_t now_ms, unsigned seconds)
{
	uint64_t span_ms = seconds * UINT64_C(1000);
	uint64_t since_ms = now_ms > span_ms ? now_ms - span_ms : 0;
	uint64_t weighted = 0; /* connections times milliseconds of a window */

	if (!span_ms)
		return 0;
	for (unsigned w = 0; w < BOARD_WINDOWS; w++) {
		uint64_t epoch = load(&windows[w].epoch);
		uint64_t began_ms = epoch * BOARD_WINDOW_MS, ended_ms = began_ms + BOARD_WINDOW_MS;
		if (!epoch || ended_ms <= since_ms || began_ms > now_ms)
			continue;
		uint64_t inside_ms = began_ms >= since_ms ? BOARD_WINDOW_MS : ended_ms - since_ms;
		weighted += inside_ms * atomic_load_explicit(&windows[w].accepted, memory_order_relaxed);
	}
	return (weighted + seconds * BOARD_WINDOW_MS / 2) / ((uint64_t)seconds * BOARD_WINDOW_MS);
}
