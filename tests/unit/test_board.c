/*
 * test_board.c: the shared memory, its sums, its percentiles.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "suite.h"

static struct board *new_board(void)
{
	int fd = board_create();
	ck_assert_int_ge(fd, 0);
	struct board *board = board_map(fd, true);
	ck_assert_ptr_nonnull(board);
	close(fd);
	return board;
}

START_TEST(test_create)
{
	struct stat file;
	int fd = board_create();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &file), 0);
	ck_assert_uint_eq(file.st_mode & 07777, 0600);
	ck_assert_uint_eq((uint64_t)file.st_size, sizeof(struct board));
	ck_assert_int_eq(ftruncate(fd, 4096), -1);
	ck_assert_int_eq(ftruncate(fd, file.st_size * 2), -1);
	/* Sparse: a few pages, not gigabytes. */
	ck_assert_int_lt(file.st_blocks, 64);

	struct board *writer = board_map(fd, true), *reader = board_map(fd, false);
	ck_assert_ptr_nonnull(writer);
	ck_assert_ptr_nonnull(reader);
	atomic_store(&writer->servers[7].active, 5);
	ck_assert_uint_eq(atomic_load(&reader->servers[7].active), 5);
	board_unmap(reader);
	board_unmap(writer);
	close(fd);
}
END_TEST

START_TEST(test_map_refuses)
{
	ck_assert_ptr_null(board_map(-1, true));
	int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, sizeof(struct board)), 0);
	ck_assert_ptr_null(board_map(fd, true));
	ck_assert_int_eq(errno, EINVAL);
	/* Sealed, but not a board. */
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	ck_assert_ptr_null(board_map(fd, true));
	ck_assert_int_eq(errno, EPROTO);
	close(fd);
	fd = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	ck_assert_ptr_null(board_map(fd, true));
	ck_assert_int_eq(errno, EINVAL);
	close(fd);
}
END_TEST

START_TEST(test_sums)
{
	struct board *board = new_board();
	struct board_service *service = &board->services[3];
	struct board_reading reading;
	board_count_accepted(board, 3, 20);
	atomic_store(&service->taken, 9);
	atomic_store(&service->done, 4);
	atomic_store(&service->died, 1);
	atomic_store(&service->denied[DENIED_OVERLOAD], 2);
	atomic_store(&service->closed[CLOSED_TOUCHED], 3);
	atomic_store(&service->lost, 1);
	atomic_store(&service->redispatched, 100);
	board_read_service(board, 3, &reading);
	ck_assert_uint_eq(reading.pending, 5);
	ck_assert_uint_eq(reading.active, 4);
	board_unmap(board);
}
END_TEST

enum { PENDING = 3, ACTIVE = 5 };

/* Where a reader in another process puts what it read. */
struct elsewhere {
	_Atomic int done;
	struct board_reading reading;
};

static void goes_back_and_closes(struct board_service *service)
{
	atomic_fetch_sub(&service->taken, 1);
	atomic_fetch_add(&service->closed[CLOSED_TOUCHED], 1);
}

static void comes_and_goes(struct board_service *service)
{
	atomic_fetch_add(&service->accepted, 1);
	atomic_fetch_add(&service->taken, 1);
	atomic_fetch_add(&service->done, 1);
}

static void reset(struct board_service *service)
{
	atomic_store(&service->accepted, PENDING + ACTIVE + 1);
	atomic_store(&service->taken, ACTIVE + 1);
	atomic_store(&service->done, 0);
	atomic_store(&service->closed[CLOSED_TOUCHED], 0);
}

/* Reads in another process; after `at` of its instructions it is stopped and something happens. False: it had fewer. */
static bool read_stepwise(const struct board *board, struct elsewhere *elsewhere, unsigned at,
			  void (*happens)(struct board_service *), struct board_service *service)
{
	int status;
	bool happened = false;
	reset(service);
	atomic_store(&elsewhere->done, 0);
	pid_t reader = fork();
	if (reader == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)kill(getpid(), SIGSTOP);
		board_read_service(board, 0, &elsewhere->reading);
		atomic_store(&elsewhere->done, 1);
		pause();
	}
	ck_assert_int_eq(waitpid(reader, &status, 0), reader);
	for (unsigned n = 0; !atomic_load(&elsewhere->done); n++) {
		if (n == at) {
			happens(service);
			happened = true;
		}
		if (!WIFSTOPPED(status) || ptrace(PTRACE_SINGLESTEP, reader, NULL, NULL) < 0 ||
		    waitpid(reader, &status, 0) < 0)
			break;
	}
	kill(reader, SIGKILL);
	ck_assert_int_eq(waitpid(reader, NULL, 0), reader);
	ck_assert_int_eq(atomic_load(&elsewhere->done), 1);
	return happened;
}

/* Whenever a connection moves on: what is pending and active all the time is so in the reading. */
START_TEST(test_sums_while_taken_falls)
{
	void (*const events[])(struct board_service *) = {goes_back_and_closes, comes_and_goes};
	struct board *board = new_board();
	struct elsewhere *elsewhere =
		mmap(NULL, sizeof(*elsewhere), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(elsewhere, MAP_FAILED);
	const struct board_reading *reading = &elsewhere->reading;
	board_count_accepted(board, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		unsigned at = 0;
		while (read_stepwise(board, elsewhere, at, events[i], &board->services[0])) {
			ck_assert_uint_ge(reading->pending, PENDING);
			ck_assert_uint_ge(reading->active, ACTIVE);
			at++;
		}
		ck_assert_uint_gt(at, 20); /* one for each counter at least */
	}
	munmap(elsewhere, sizeof(*elsewhere));
	board_unmap(board);
}
END_TEST

/* A board left in the middle of a change: no difference is negative, the sums hold. */
START_TEST(test_torn_sums)
{
	struct board *board = new_board();
	struct board_service *service = &board->services[0];
	struct board_reading reading;
	board_count_accepted(board, 0, 1);
	atomic_store(&service->taken, 1);
	atomic_store(&service->done, 2);
	atomic_store(&service->lost, 1);
	board_read_service(board, 0, &reading);
	ck_assert_uint_eq(reading.active, 0);
	ck_assert_uint_eq(reading.pending, 0);
	ck_assert_uint_eq(reading.taken, reading.done + reading.died + reading.active);
	ck_assert_uint_eq(reading.accepted, reading.taken + reading.lost + reading.pending);
	board_unmap(board);
}
END_TEST

static blkcnt_t blocks(int fd)
{
	struct stat info;
	ck_assert_int_eq(fstat(fd, &info), 0);
	return info.st_blocks;
}

/* Ten thousand services that nobody has called yet take what is said of all of them, and nothing else, whoever looks. */
START_TEST(test_unused_takes_nothing)
{
	enum { MANY = 10000 };
	int fd = board_create();
	struct board *board = board_map(fd, true);
	struct board_reading reading;
	ck_assert_ptr_nonnull(board);
	for (uint32_t i = 0; i < MANY; i++)
		board_reset_service(board, i, 0, 0, 1000);
	for (uint32_t i = 0; i < MANY; i++) {
		board_read_service(board, i, &reading);
		ck_assert_uint_eq(reading.since_s, 1000);
		ck_assert_uint_eq(reading.accepted, 0);
	}
	ck_assert_int_le(blocks(fd) * 512, (MANY * sizeof(struct board_brief) / 4096 + 3) * 4096);
	board_unmap(board);
	close(fd);
}
END_TEST

/* A number that is used again starts at what its new owner has. */
START_TEST(test_used_again)
{
	struct board *board = new_board();
	struct board_reading reading;
	struct board_percentiles latency;
	board_count_accepted(board, 7, 5);
	atomic_store(&board->services[7].done, 5);
	board_measure(board->latency[7].taken, 100000, 1000);
	board_reset_service(board, 7, 0, 0, 10);
	board_read_service(board, 7, &reading);
	ck_assert_uint_eq(reading.accepted, 0);
	ck_assert_uint_eq(reading.done, 0);
	board_percentiles(board->latency[7].taken, 100000, 60, &latency);
	ck_assert_uint_eq(latency.count, 0);
	board_reset_service(board, 8, 2, 3, 10);
	board_read_service(board, 8, &reading);
	ck_assert_uint_eq(reading.pending, 2);
	ck_assert_uint_eq(reading.active, 3);
	board_unmap(board);
}
END_TEST

/* Every time falls into the bucket whose limits are around it. */
START_TEST(test_buckets)
{
	ck_assert_uint_eq(board_bucket(0), board_bucket(1));
	for (uint64_t us = 1; us < UINT64_C(1) << 31; us += us / 7 + 1) {
		unsigned bucket = board_bucket(us);
		ck_assert_uint_lt(bucket, BOARD_BUCKETS);
		ck_assert_uint_le(us, board_bucket_limit(bucket));
		if (bucket && us > 4)
			ck_assert_uint_gt(us, board_bucket_limit(bucket - 1));
	}
	ck_assert_uint_gt(board_bucket_limit(BOARD_BUCKETS - 1), UINT64_C(3600000000));
	ck_assert_uint_eq(board_bucket(UINT64_MAX), BOARD_BUCKETS - 1);
}
END_TEST

START_TEST(test_percentiles)
{
	struct board *board = new_board();
	struct board_window *windows = board->latency[0].taken;
	struct board_percentiles out;
	uint64_t now_ms = 1000000;
	board_percentiles(windows, now_ms, 60, &out);
	ck_assert_uint_eq(out.count, 0);
	ck_assert_uint_eq(out.max_us, 0);
	for (unsigned i = 0; i < 98; i++)
		board_measure(windows, now_ms, 100);
	board_measure(windows, now_ms, 5000);
	board_measure(windows, now_ms, 90000);
	board_percentiles(windows, now_ms, 60, &out);
	ck_assert_uint_eq(out.count, 100);
	ck_assert_uint_ge(out.p50_us, 100);
	ck_assert_uint_lt(out.p50_us, 128);
	ck_assert_uint_ge(out.p99_us, 5000);
	ck_assert_uint_lt(out.p99_us, 6300);
	ck_assert_uint_eq(out.max_us, 90000);
	/* One value alone is told exactly, not as the end of its bucket. */
	board_measure(windows, now_ms + 200000, 77);
	board_percentiles(windows, now_ms + 200000, 60, &out);
	ck_assert_uint_eq(out.count, 1);
	ck_assert_uint_eq(out.p50_us, 77);
	board_unmap(board);
}
END_TEST

/* Windows that are too old, or used again, do not count. */
START_TEST(test_windows_pass)
{
	struct board *board = new_board();
	struct board_window *windows = board->latency[0].waited;
	struct board_percentiles out;
	uint64_t now_ms = 1000000;
	board_measure(windows, now_ms, 10);
	board_percentiles(windows, now_ms + 50000, 60, &out);
	ck_assert_uint_eq(out.count, 1);
	board_percentiles(windows, now_ms + 70000, 60, &out);
	ck_assert_uint_eq(out.count, 0);
	board_measure(windows, now_ms + BOARD_WINDOWS * BOARD_WINDOW_MS, 20);
	board_percentiles(windows, now_ms + BOARD_WINDOWS * BOARD_WINDOW_MS, 60, &out);
	ck_assert_uint_eq(out.count, 1);
	ck_assert_uint_eq(out.max_us, 20);
	board_unmap(board);
}
END_TEST

START_TEST(test_rate)
{
	struct board *board = new_board();
	struct board_window *windows = board->latency[0].taken;
	uint64_t now_ms = 1000000; /* the begin of a window */
	for (unsigned i = 0; i < 1000; i++)
		board_accepted(windows, now_ms);
	ck_assert_uint_eq(board_rate(windows, now_ms + 9999, 10), 100);
	ck_assert_uint_eq(board_rate(windows, now_ms + 15000, 10), 50);
	ck_assert_uint_eq(board_rate(windows, now_ms + 20000, 10), 0);
	ck_assert_uint_eq(board_rate(windows, now_ms + 59999, 60), 17);
	ck_assert_uint_eq(board_rate(windows, now_ms + 80000, 60), 0);
	ck_assert_uint_eq(board_rate(windows, now_ms, 0), 0);
	board_unmap(board);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_create,     test_map_refuses, test_sums,         test_unused_takes_nothing,
		test_used_again, test_torn_sums,

		test_buckets,    test_percentiles, test_windows_pass, test_rate};
	Suite *suite = suite_create("board");
	TCase *tcase = tcase_create("board");
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	TCase *stepwise = tcase_create("stepwise");
	tcase_set_tags(stepwise, "ptrace"); /* valgrind would be what is traced */
	tcase_set_timeout(stepwise, 60);
	tcase_add_test(stepwise, test_sums_while_taken_falls);
	suite_add_tcase(suite, stepwise);
	return suite_run(suite);
}
