/*
 * test_waited.c: how seldom the kernel is asked, and how wrong the answer may be.
 *
 * SPDX-License-Identifier: ISC
 */
#include "suite.h"
#include "waited.h"

/* Clients that came at the times of `arrived`, accepted all at once at now_us: how often was it asked?  *worst is the
   largest difference between what was said and what is true. */
static unsigned serve(struct waited *waited, uint64_t now_us, const uint64_t *arrived, unsigned count, uint64_t *worst)
{
	unsigned asked = 0;
	*worst = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t truth = now_us - arrived[i];
		if (waited_must_ask(waited, now_us)) {
			waited_learn(waited, now_us, truth);
			asked++;
		}
		uint64_t wrong = waited->said_us > truth ? waited->said_us - truth : truth - waited->said_us;
		*worst = wrong > *worst ? wrong : *worst;
	}
	return asked;
}

START_TEST(asked_now_and_then)
{
	struct waited waited = {0};
	uint64_t worst;
	unsigned asked = 0;
	for (uint64_t now = 1000000; now < 1100000; now += 50)
		asked += serve(&waited, now, &(uint64_t){now - 40}, 1, &worst);
	ck_assert_uint_eq(asked, 25);
}
END_TEST

START_TEST(first_after_a_pause)
{
	struct waited waited = {0};
	uint64_t worst;
	(void)serve(&waited, 1000000, &(uint64_t){999990}, 1, &worst);
	ck_assert_uint_eq(serve(&waited, 9000000, &(uint64_t){2000000}, 1, &worst), 1);
	ck_assert_uint_eq(worst, 0);
}
END_TEST

/* A crowd that came at nearly the same time. */
START_TEST(a_crowd)
{
	struct waited waited = {0};
	uint64_t arrived[1000], worst;
	for (unsigned i = 0; i < 1000; i++)
		arrived[i] = 1000000 + i;
	ck_assert_uint_le(serve(&waited, 2000000, arrived, 1000, &worst), 70);
	ck_assert_uint_le(worst, 1000);
}
END_TEST

/* They came one by one, over two seconds: nobody is told much more than he waited. */
START_TEST(a_queue)
{
	struct waited waited = {0};
	uint64_t arrived[100], worst;
	for (unsigned i = 0; i < 100; i++)
		arrived[i] = 1000000 + i * 20000;
	(void)serve(&waited, 3000000, arrived, 100, &worst);
	ck_assert_uint_le(worst, 17 * 20000);
	/* Two with seconds between them are both told the truth. */
	waited = (struct waited){0};
	ck_assert_uint_eq(serve(&waited, 5000000, (uint64_t[]){1000000, 4900000}, 2, &worst), 2);
	ck_assert_uint_eq(worst, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("waited");
	TCase *all = tcase_create("all");
	tcase_add_test(all, asked_now_and_then);
	tcase_add_test(all, first_after_a_pause);
	tcase_add_test(all, a_crowd);
	tcase_add_test(all, a_queue);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
