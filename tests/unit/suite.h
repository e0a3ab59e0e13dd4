/*
 * suite.h: runs a suite, or tests that share their fixture, and gives main() its code.
 */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <stdlib.h>

static inline int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int suite_run_tests(const char *name, const TTest *const *tests, size_t count,
				  void (*setup)(void), void (*teardown)(void))
{
	Suite *suite = suite_create(name);
	TCase *all = tcase_create(name);

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_set_timeout(all, 60);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(all, tests[i]);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}

#endif
