/*
 * test_eager.c: looks in vain become rare, and one that finds something brings them back.
 *
 * SPDX-License-Identifier: ISC
 */
#include "eager.h"
#include "suite.h"

/* Rounds in which `found` things are there; how often was there one look too many? */
static unsigned in_vain(struct eager *eager, unsigned rounds, unsigned found)
{
	unsigned count = 0;
	for (unsigned i = 0; i < rounds; i++) {
		bool all = eager_begin(eager);
		count += all;
		eager_end(eager, all, all ? found : 1);
	}
	return count;
}

START_TEST(one_by_one)
{
	struct eager eager = {0};
	ck_assert(eager_begin(&eager));
	eager = (struct eager){0};
	ck_assert_uint_le(in_vain(&eager, 800, 1), 110);
	ck_assert_uint_ge(in_vain(&eager, 800, 1), 90);
}
END_TEST

START_TEST(many)
{
	struct eager eager = {0};
	ck_assert_uint_eq(in_vain(&eager, 100, 5), 100);
	(void)in_vain(&eager, 100, 1);
	ck_assert_uint_ge(in_vain(&eager, 100, 5), 100 - EAGER_REST_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("eager");
	TCase *all = tcase_create("all");
	tcase_add_test(all, one_by_one);
	tcase_add_test(all, many);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
