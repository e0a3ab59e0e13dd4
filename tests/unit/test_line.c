/*
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "line.h"

static struct line_splitter splitter;
static struct {
	char text[LINE_MAX_BYTES + 1];
	size_t length;
	bool continued;
} got[16];
static size_t count;

static void sink(void *context, const char *text, size_t length, bool continued)
{
	ck_assert_ptr_eq(context, &count);
	ck_assert_uint_lt(count, 16);
	ck_assert_uint_le(length, LINE_MAX_BYTES);
	ck_assert_uint_eq(strlen(text), length);
	memcpy(got[count].text, text, length + 1);
	got[count].length = length;
	got[count++].continued = continued;
}

static void reset(void)
{
	splitter.length = 0;
	splitter.continued = false;
	count = 0;
}

static void feed(const char *text)
{
	line_feed(&splitter, text, strlen(text), sink, &count);
}

static void expect(size_t index, const char *text, bool continued)
{
	ck_assert_uint_lt(index, count);
	ck_assert_str_eq(got[index].text, text);
	ck_assert_int_eq(got[index].continued, continued);
}

static void escaped(const char *raw, size_t length, const char *expected)
{
	char text[256];
	size_t written;

	ck_assert_uint_eq(lust_escape(text, sizeof(text), raw, length, &written), length);
	ck_assert_str_eq(text, expected);
	ck_assert_uint_eq(written, strlen(expected));
}

#define ESCAPED(raw, expected) escaped(raw, sizeof(raw) - 1, expected)

START_TEST(test_split)
{
	feed("one\ntw");
	ck_assert_uint_eq(count, 1);
	feed("o\n\n\r\nthree\r\nfour");
	ck_assert_uint_eq(count, 3);
	expect(0, "one", false);
	expect(1, "two", false);
	expect(2, "three", false);
	line_flush(&splitter, true, sink, &count);
	expect(3, "four", false);
	line_flush(&splitter, true, sink, &count);
	ck_assert_uint_eq(count, 4);
}
END_TEST

/* After a pause without a newline: what follows is marked as its continuation. */
START_TEST(test_early_flush)
{
	feed("loading");
	line_flush(&splitter, false, sink, &count);
	line_flush(&splitter, false, sink, &count);
	ck_assert_uint_eq(count, 1);
	feed(" done\nnext\n");
	ck_assert_uint_eq(count, 3);
	expect(0, "loading", false);
	expect(1, " done", true);
	expect(2, "next", false);
	feed("caf\xc3");
	line_flush(&splitter, false, sink, &count);
	feed("\xa9\n");
	expect(3, "caf", false);
	expect(4, "\xc3\xa9", true);
}
END_TEST

START_TEST(test_cut)
{
	static char big[3 * LINE_MAX_BYTES + 10];

	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\n';
	line_feed(&splitter, big, sizeof(big), sink, &count);
	ck_assert_uint_eq(count, 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(got[i].length, i < 3 ? LINE_MAX_BYTES : 9);
		ck_assert_int_eq(got[i].continued, i > 0);
	}
	feed("b\n");
	expect(4, "b", false);
}
END_TEST

/* Exactly as long as a line may be: one line, not two. */
START_TEST(test_cut_boundary)
{
	static char big[LINE_MAX_BYTES + 1];

	memset(big, 'a', LINE_MAX_BYTES);
	big[LINE_MAX_BYTES] = '\n';
	line_feed(&splitter, big, sizeof(big), sink, &count);
	ck_assert_uint_eq(count, 1);
	line_feed(&splitter, big, LINE_MAX_BYTES, sink, &count);
	feed("\n");
	ck_assert_uint_eq(count, 2);
}
END_TEST

START_TEST(test_cut_keeps_characters_whole)
{
	static char big[LINE_MAX_BYTES - 1];

	memset(big, 'a', sizeof(big));
	line_feed(&splitter, big, sizeof(big), sink, &count);
	feed("\xe2\x82\xac!\n"); /* the euro sign, over the edge */
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(got[0].length, LINE_MAX_BYTES - 1);
	expect(1, "\xe2\x82\xac!", true);
}
END_TEST

START_TEST(test_escaping_makes_longer)
{
	static char big[LINE_MAX_BYTES];

	memset(big, '\x01', sizeof(big));
	line_feed(&splitter, big, sizeof(big), sink, &count);
	feed("\n");
	ck_assert_uint_eq(count, 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(got[i].length, LINE_MAX_BYTES);
		ck_assert_int_eq(got[i].continued, i > 0);
		ck_assert_str_eq(got[i].text + LINE_MAX_BYTES - 4, "\\x01");
	}
}
END_TEST

START_TEST(test_escape)
{
	ESCAPED("plain \\ text", "plain \\ text");
	ESCAPED("a\tb\nc\rd", "a\\tb\\nc\\rd");
	ESCAPED("\0\x1b[31m\x7f", "\\x00\\x1b[31m\\x7f");
	ESCAPED("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	ESCAPED("\xc2\x9b", "\\xc2\\x9b");          /* CSI as one character */
	ESCAPED("\xe2\x80\xae", "\\xe2\\x80\\xae"); /* turns the direction of text */
	ESCAPED("\xe2\x80\xa8", "\\xe2\\x80\\xa8"); /* line separator */
}
END_TEST

START_TEST(test_bad_utf8)
{
	ESCAPED("\x80", "\\x80");
	ESCAPED("\xc0\xaf", "\\xc0\\xaf"); /* too long */
	ESCAPED("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	ESCAPED("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
	ESCAPED("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* surrogate */
	ESCAPED("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	ESCAPED("\xf5x", "\\xf5x");
	ESCAPED("\xe2\x82", "\\xe2\\x82"); /* cut off */
	ESCAPED("\xe2\x82x", "\\xe2\\x82x");
	ESCAPED("\xff\xfe", "\\xff\\xfe");
}
END_TEST

START_TEST(test_escape_small_room)
{
	char text[6];
	size_t written;

	ck_assert_uint_eq(lust_escape(text, sizeof(text), "ab\x01z", 4, &written), 2);
	ck_assert_str_eq(text, "ab");
	ck_assert_uint_eq(lust_escape(text, sizeof(text), "abc\xe2\x82\xac", 6, &written), 3);
	ck_assert_str_eq(text, "abc");
	ck_assert_uint_eq(lust_escape(text, sizeof(text), "ab\xe2\x82\xac", 5, &written), 5);
	ck_assert_uint_eq(written, 5);
	ck_assert_uint_eq(lust_escape(text, 1, "a", 1, &written), 0);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(lust_escape(text, 0, "a", 1, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("line");
	TCase *tc = tcase_create("line");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, reset, NULL);
	tcase_add_test(tc, test_split);
	tcase_add_test(tc, test_early_flush);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_cut_boundary);
	tcase_add_test(tc, test_cut_keeps_characters_whole);
	tcase_add_test(tc, test_escaping_makes_longer);
	tcase_add_test(tc, test_escape);
	tcase_add_test(tc, test_bad_utf8);
	tcase_add_test(tc, test_escape_small_room);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
