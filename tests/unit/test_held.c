/*
 * test_held.c: the table of connections that a server holds.
 */
#include <check.h>
#include <stdlib.h>

#include "held.h"

static struct lust_held_table table;

static struct lust_held *add(uint64_t id, int fd, enum lust_held_state state)
{
	ck_assert_int_eq(lust_held_reserve(&table, 1), 0);
	return lust_held_add(&table, id, fd, state);
}

static void start(void)
{
	lust_held_init(&table);
}

static void stop(void)
{
	lust_held_clear(&table);
}

START_TEST(empty)
{
	ck_assert_ptr_null(lust_held_by_id(&table, 0));
	ck_assert_ptr_null(lust_held_by_fd(&table, 0));
	ck_assert_ptr_null(lust_held_by_fd(&table, -1));
	ck_assert_ptr_null(lust_held_due(&table));
	lust_held_new_generation(&table, 0);
}
END_TEST

enum { MANY = 5000 };

START_TEST(many_come_and_go)
{
	for (int i = 0; i < MANY; i++)
		add((uint64_t)i << 3, i, LUST_HELD_TAKEN);
	for (int i = 0; i < MANY; i += 2)
		lust_held_remove(&table, lust_held_by_fd(&table, i));
	ck_assert_uint_eq(table.used, MANY / 2);
	/* Growing with holes in the pool. */
	ck_assert_int_eq(lust_held_reserve(&table, 3 * MANY), 0);
	for (int i = 0; i < MANY; i++) {
		struct lust_held *held = lust_held_by_id(&table, (uint64_t)i << 3);

		ck_assert_int_eq(held != NULL, i % 2);
		ck_assert_ptr_eq(lust_held_by_fd(&table, i), held);
	}
	for (int i = 0; i < MANY; i += 2)
		add((uint64_t)i << 3, i, LUST_HELD_TAKEN);
	ck_assert_uint_eq(table.used, MANY);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(lust_held_by_id(&table, (uint64_t)i << 3)->fd, i);
}
END_TEST

START_TEST(number_comes_again)
{
	add(1, 5, LUST_HELD_TAKEN);
	add(2, 5, LUST_HELD_TAKEN);
	ck_assert_uint_eq(lust_held_by_fd(&table, 5)->id, 2);
	ck_assert_int_eq(lust_held_by_id(&table, 1)->fd, -1);
	lust_held_remove(&table, lust_held_by_id(&table, 1));
	ck_assert_uint_eq(lust_held_by_fd(&table, 5)->id, 2);
	lust_held_forget_fd(&table, lust_held_by_id(&table, 2));
	ck_assert_ptr_null(lust_held_by_fd(&table, 5));
	ck_assert_uint_eq(table.used, 1);
}
END_TEST

START_TEST(queue_keeps_order)
{
	for (int i = 0; i < 40; i++)
		add((uint64_t)i, i, i % 2 ? LUST_HELD_TAKEN : LUST_HELD_UNTAKEN);
	for (int i = 39; i >= 0; i--)
		lust_held_queue(&table, lust_held_by_id(&table, (uint64_t)i), LUST_HELD_DONE_DUE);
	ck_assert_ptr_null(lust_held_by_fd(&table, 7));
	/* The queue survives a move of the pool. */
	ck_assert_int_eq(lust_held_reserve(&table, 1000), 0);
	for (int i = 39; i >= 0; i--) {
		struct lust_held *held = lust_held_due(&table), *next = lust_held_due_after(&table, held);

		ck_assert_uint_eq(held->id, i);
		ck_assert_int_eq(held->untaken, i % 2 == 0);
		ck_assert_int_eq(next == NULL, i == 0);
		lust_held_drop_due(&table);
	}
	ck_assert_ptr_null(lust_held_due(&table));
	ck_assert_uint_eq(table.used, 0);
}
END_TEST

START_TEST(new_generation)
{
	add(1, 11, LUST_HELD_TAKEN);
	lust_held_queue(&table, add(2, 12, LUST_HELD_TAKEN), LUST_HELD_DONE_DUE);
	lust_held_queue(&table, add(3, 13, LUST_HELD_UNTAKEN), LUST_HELD_REFUSE_DUE);
	lust_held_queue(&table, add(4, -1, LUST_HELD_WAITING), LUST_HELD_REFUSE_DUE);
	lust_held_queue(&table, add(5, 15, LUST_HELD_UNTAKEN), LUST_HELD_REFUSE_DUE);
	lust_held_new_generation(&table, 0);
	ck_assert_uint_eq(table.used, 3);
	ck_assert_uint_eq(lust_held_due(&table)->id, 3);
	ck_assert_int_eq(lust_held_due(&table)->fd, 13);
	lust_held_drop_due(&table);
	ck_assert_uint_eq(lust_held_due(&table)->id, 5);
	lust_held_drop_due(&table);
	ck_assert_ptr_null(lust_held_due(&table));
	ck_assert_ptr_nonnull(lust_held_by_fd(&table, 11));
	/* The queue works on after it was empty. */
	lust_held_queue(&table, lust_held_by_fd(&table, 11), LUST_HELD_DONE_DUE);
	ck_assert_uint_eq(lust_held_due(&table)->id, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("held");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(all, start, stop);
	tcase_add_test(all, empty);
	tcase_add_test(all, many_come_and_go);
	tcase_add_test(all, number_comes_again);
	tcase_add_test(all, queue_keeps_order);
	tcase_add_test(all, new_generation);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
