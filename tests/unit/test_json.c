/*
 * test_json.c: the writer: commas, escapes, bytes that are no UTF-8.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static char *text;
static size_t size;
static struct json json;

static void begin(void)
{
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	json_begin(&json, out);
}

static void expect(const char *expected)
{
	ck_assert_int_eq(fclose(json.out), 0);
	ck_assert_str_eq(text, expected);
	free(text);
}

static void expect_string(const char *value, const char *expected)
{
	begin();
	json_string(&json, NULL, value);
	expect(expected);
}

START_TEST(test_structure)
{
	begin();
	json_object(&json, NULL);
	json_number(&json, "a", 1);
	json_array(&json, "b");
	json_array_end(&json);
	json_array(&json, "c");
	json_object(&json, NULL);
	json_object_end(&json);
	json_signed(&json, NULL, -1);
	json_array_end(&json);
	json_bool(&json, "d", true);
	json_seconds(&json, "e", 3001);
	json_seconds(&json, "f", 50);
	json_object(&json, "g");
	json_string(&json, "h", "");
	json_object_end(&json);
	json_object_end(&json);
	json_end(&json);
	expect("{\"a\": 1, \"b\": [], \"c\": [{}, -1], \"d\": true, \"e\": 3.001, \"f\": 0.050, \"g\": "
	       "{\"h\": "
	       "\"\"}}\n");
}
END_TEST

START_TEST(test_numbers)
{
	begin();
	json_number(&json, NULL, UINT64_MAX);
	expect("18446744073709551615");
	begin();
	json_signed(&json, NULL, INT64_MIN);
	expect("-9223372036854775808");
}
END_TEST

START_TEST(test_escapes)
{
	expect_string("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
	expect_string("\x01\n\t\x1b[31m\x7f", "\"\\u0001\\u000a\\u0009\\u001b[31m\\u007f\"");
	/* CSI of some terminals, as one character */
	expect_string("\xc2\x9b", "\"\\u009b\"");
}
END_TEST

START_TEST(test_utf8)
{
	expect_string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		      "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"");
	expect_string("\xff", "\"\\ufffd\"");
	expect_string("\x80x", "\"\\ufffdx\"");
	/* cut in the middle, by the end and by another character */
	expect_string("\xe2\x82", "\"\\ufffd\\ufffd\"");
	expect_string("\xc3\"", "\"\\ufffd\\\"\"");
	/* overlong '/', a surrogate, above U+10FFFF */
	expect_string("\xc0\xaf", "\"\\ufffd\\ufffd\"");
	expect_string("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"");
	expect_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
	expect_string("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	expect_string("\xf0\x80\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}
END_TEST

START_TEST(test_keys_are_escaped)
{
	begin();
	json_object(&json, NULL);
	json_bool(&json, "a\nb", false);
	json_object_end(&json);
	expect("{\"a\\u000ab\": false}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tests = tcase_create("json");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_structure);
	tcase_add_test(tests, test_numbers);
	tcase_add_test(tests, test_escapes);
	tcase_add_test(tests, test_utf8);
	tcase_add_test(tests, test_keys_are_escaped);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
