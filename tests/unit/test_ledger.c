/*
 * test_ledger.c: ids that are never used twice, lists, and what a dead dispatcher left.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "ledger.h"
#include "suite.h"

static struct board *board;
static struct ledger ledger;
static const struct lust_wire_connection wire = {.kind = LUST_WIRE_TCP, .family = 2, .peer_port = 1234};

static void setup(void)
{
	int fd = board_create();
	ck_assert_int_ge(fd, 0);
	board = board_map(fd, true);
	ck_assert_ptr_nonnull(board);
	close(fd);
	ck_assert_int_eq(ledger_open(&ledger, board, 65536 + 5), 0);
}

static void teardown(void)
{
	ledger_close(&ledger);
	board_unmap(board);
}

START_TEST(test_id)
{
	uint32_t index = ledger_add(&ledger, 3, 42, &wire, 1000);
	ck_assert_uint_ne(index, LEDGER_NONE);
	uint64_t id = ledger.entry[index].wire.id;
	ck_assert_uint_eq(LUST_ID_GENERATION(id), 5); /* 16 bits of it */
	ck_assert_uint_eq(ledger_find(&ledger, id), index);
	ck_assert_uint_eq(board->ledger[index].id, id);
	ck_assert_uint_eq(board->ledger[index].service, 3);
	ck_assert_uint_eq(board->ledger[index].port, 1234);
	ck_assert_uint_eq(atomic_load(&board->ledger_used), 1);
	ck_assert_uint_eq(ledger.fds, 1);

	ledger_sending(&ledger, index, 9, 77);
	ck_assert_int_eq(ledger_state(&ledger, index), LEDGER_SENDING);
	ck_assert_uint_eq(board->ledger[index].slot, 9);
	ledger_sent(&ledger, index);
	ck_assert_int_eq(ledger_state(&ledger, index), LEDGER_SENT);

	ledger_renew(&ledger, index);
	ck_assert_int_eq(ledger_state(&ledger, index), LEDGER_ACCEPTED);
	ck_assert_uint_eq(board->ledger[index].slot, BOARD_NONE);
	ck_assert_uint_eq(ledger_find(&ledger, id), LEDGER_NONE);
	id = ledger.entry[index].wire.id;
	ck_assert_uint_eq(ledger_find(&ledger, id), index);

	ck_assert_int_eq(ledger_release(&ledger, index), 42);
	ck_assert_uint_eq(ledger_find(&ledger, id), LEDGER_NONE);
	ck_assert_uint_eq(atomic_load(&board->ledger_used), 0);
	ck_assert_uint_eq(ledger.fds, 0);
	ck_assert_uint_eq(ledger_find(&ledger, 0), LEDGER_NONE);
	ck_assert_uint_eq(ledger_find(&ledger, UINT64_MAX), LEDGER_NONE);
}
END_TEST

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

START_TEST(test_never_twice)
{
	enum { ROUNDS = 20, EACH = 500 };
	static uint64_t ids[ROUNDS * EACH];
	unsigned n = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t index[EACH];
		for (unsigned i = 0; i < EACH; i++) {
			index[i] = ledger_add(&ledger, 0, -1, &wire, 1);
			ids[n++] = ledger.entry[index[i]].wire.id;
		}
		for (unsigned i = 0; i < EACH; i++)
			(void)ledger_release(&ledger, index[i]);
	}
	ck_assert_uint_eq(ledger.high, EACH);
	qsort(ids, n, sizeof(*ids), compare);
	for (unsigned i = 1; i < n; i++)
		ck_assert_uint_ne(ids[i], ids[i - 1]);
}
END_TEST

/* An entry whose numbers are used up is not used again. */
START_TEST(test_retires)
{
	uint32_t index = ledger_add(&ledger, 0, -1, &wire, 1);
	ledger.entry[index].uses = UINT32_MAX;
	(void)ledger_release(&ledger, index);
	ck_assert_uint_ne(ledger_add(&ledger, 0, -1, &wire, 1), index);
}
END_TEST

START_TEST(test_full)
{
	for (uint32_t i = 0; i < BOARD_LEDGER; i++)
		ck_assert_uint_ne(ledger_add(&ledger, 0, -1, &wire, 1), LEDGER_NONE);
	ck_assert_uint_eq(ledger_add(&ledger, 0, -1, &wire, 1), LEDGER_NONE);
	ck_assert_uint_eq(atomic_load(&board->ledger_used), BOARD_LEDGER);
	(void)ledger_release(&ledger, 17);
	ck_assert_uint_eq(ledger_add(&ledger, 0, -1, &wire, 1), 17);
}
END_TEST

/* Left entries are stepped over, and free for use once they are released. */
START_TEST(test_inherited)
{
	for (uint32_t i = 0; i < 3; i++)
		(void)ledger_add(&ledger, 0, 100 + (int)i, &wire, 1);
	uint64_t id = ledger.entry[1].wire.id;
	(void)ledger_release(&ledger, 0);
	ledger_close(&ledger);
	ck_assert_int_eq(ledger_open(&ledger, board, 6), 0);
	ck_assert_uint_eq(ledger_find(&ledger, id), 1);
	ck_assert_uint_eq(ledger_add(&ledger, 0, -1, &wire, 1), 0);
	ck_assert_uint_eq(ledger_add(&ledger, 0, -1, &wire, 1), 3);
	ledger.entry[1].fd = -1;
	ck_assert_int_eq(ledger_release(&ledger, 1), -1);
	ck_assert_uint_eq(ledger_add(&ledger, 0, -1, &wire, 1), 1);
	ck_assert_uint_eq(ledger_find(&ledger, id), LEDGER_NONE);
}
END_TEST

static void expect(const struct ledger_list *list, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t wanted[3] = {a, b, c}, at = list->first, last = LEDGER_NONE;
	unsigned n = 0;
	for (; at != LEDGER_NONE; at = ledger.entry[at].next) {
		ck_assert_uint_lt(n, 3);
		ck_assert_uint_eq(at, wanted[n++]);
		ck_assert_uint_eq(ledger.entry[at].prev, last);
		last = at;
	}
	ck_assert_uint_eq(n, list->count);
	ck_assert_uint_eq(list->last, last);
}

START_TEST(test_lists)
{
	struct ledger_list list = LEDGER_LIST_EMPTY;
	for (uint32_t i = 0; i < 3; i++)
		(void)ledger_add(&ledger, 0, -1, &wire, 1);
	ledger_append(&ledger, &list, 1);
	ledger_append(&ledger, &list, 2);
	ledger_prepend(&ledger, &list, 0);
	expect(&list, 0, 1, 2);
	ledger_unlink(&ledger, &list, 1);
	expect(&list, 0, 2, LEDGER_NONE);
	ledger_unlink(&ledger, &list, 0);
	expect(&list, 2, LEDGER_NONE, LEDGER_NONE);
	ledger_unlink(&ledger, &list, 2);
	expect(&list, LEDGER_NONE, LEDGER_NONE, LEDGER_NONE);
	ledger_prepend(&ledger, &list, 1);
	expect(&list, 1, LEDGER_NONE, LEDGER_NONE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_id,   test_never_twice, test_retires,
				      test_full, test_inherited,   test_lists};
	Suite *suite = suite_create("ledger");
	TCase *tcase = tcase_create("ledger");
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
