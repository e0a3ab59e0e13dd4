/*
 * test_text.c: the cutter: statements, lines, and every way in which text can be broken.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static struct arena arena;
static jmp_buf no_memory;
static struct report report;
static struct lexer lexer;
static char *text;
static const struct source source = {"t.conf", 0};

static void setup(void)
{
	arena = (struct arena){.no_memory = &no_memory};
	report = (struct report){.arena = &arena};
}

static void teardown(void)
{
	arena_free(&arena);
	free(text);
	text = NULL;
}

static void begin_bytes(const char *bytes, size_t length)
{
	free(text);
	text = malloc(length + 1);
	ck_assert_ptr_nonnull(text);
	memcpy(text, bytes, length);
	text[length] = '\0';
	lexer_start(&lexer, &source, text, length, &report);
}

static void begin(const char *string)
{
	begin_bytes(string, strlen(string));
}

/* Cuts it all; the number of statements. */
static unsigned cut(const char *string)
{
	unsigned count = 0;

	begin(string);
	while (text_next(&lexer, &arena))
		count++;
	return count;
}

/* There is exactly one mistake, and it is this one. */
static void only(const char *wanted)
{
	for (size_t i = 0; i < report.count; i++)
		if (!strstr(report.finding[i].text, wanted) || report.count != 1)
			ck_abort_msg("%zu findings, one of them: %s", report.count, report.finding[i].text);
	ck_assert_msg(report.count == 1, "nothing found, wanted: %s", wanted);
}

START_TEST(statements_and_lines)
{
	struct statement *one, *two;

	begin("# comment\n\na = 1 // x\n/* two\nlines */ service \"web\" {\n  b += {\"x\", # in a list\n "
	      "'y'}\n}\n");
	one = text_next(&lexer, &arena);
	ck_assert_str_eq(one->name, "a");
	ck_assert_uint_eq(one->line, 3);
	ck_assert_int_eq(one->kind, STATEMENT_SET);
	two = text_next(&lexer, &arena);
	ck_assert_str_eq(two->name, "service");
	ck_assert_str_eq(two->title, "web");
	ck_assert_uint_eq(two->line, 5);
	ck_assert_int_eq(two->kind, STATEMENT_SECTION);
	ck_assert_str_eq(two->child->name, "b");
	ck_assert_uint_eq(two->child->line, 6);
	ck_assert_int_eq(two->child->kind, STATEMENT_ADD);
	ck_assert_ptr_null(two->child->next);
	ck_assert_ptr_null(text_next(&lexer, &arena));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(comments_are_blanked_and_lines_stay)
{
	begin("a = {1, # x }\n 2 /* } \n */ }");
	ck_assert_ptr_nonnull(text_next(&lexer, &arena));
	ck_assert_ptr_null(text_next(&lexer, &arena));
	ck_assert_ptr_null(strchr(text, '#'));
	ck_assert_ptr_null(strstr(text, "/*"));
	ck_assert_ptr_nonnull(strchr(strchr(text, '\n') + 1, '\n'));
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(signs_in_quotes_and_words)
{
	ck_assert_uint_eq(cut("a = \"} # // /* { \\\" '\" b = '\\' } ${X} \" #' c = http://x//y"), 3);
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

static const struct {
	const char *text;
	const char *wanted;
	unsigned statements;
} broken[] = {
	{"a = 1\nservice \"x\" {\n b = 2\n", "t.conf:2: x: this { is not closed", 2},
	{"service \"x\" {\n b = 2\nservice \"y\" { }\n", "t.conf:1: x: this { is not closed", 2},
	{"service \"x\" { l = {\"1\",\n \"2\"\n}\nservice \"y\" { }", "t.conf:1: x: this { is not closed", 2},
	{"a = 1\nb = \"x\nc = 1\n", "t.conf:2: b: this quote is not closed", 2},
	{"a = 1\n/* b = 1\n\n", "t.conf:2: this /* is not closed", 1},
	{"a = 1\n}\nb = 2", "t.conf:2: unexpected \"}\"", 2},
	{"a = *:80", "t.conf:1: a: a star outside quotes", 1},
	{"a = b+c", "\"+\" outside quotes", 1},
	{"a = \"x${HOME}\"", "would be replaced from the environment", 1},
	{"a = ${HOME} b = 1", "would be replaced from the environment", 2},
	{"a = 1, 2", "several values need braces", 1},
	{"a 1\nb = 2", "t.conf:1: a: no \"=\" behind it", 1},
	{"service \"x\" {\n balance y\n server { }\n}", "t.conf:2: x: balance: no \"=\" behind it", 1},
	{"a =\n}", "no value behind", 1},
	{"\"a\" = 1", "words of the table have no quotes", 0},
	{"e = {A=1, B=2}", "in the list that opens in line 1", 1},
	{"a = \"\\400\"", "no byte", 1},
	{"a = \"\\8\"", "no byte", 1},
	{"a = \"\\0\"", "NUL byte", 1},
	{"a = \"\\x00\"", "NUL byte", 1},
	{"a = \"\\xg\"", "hexadecimal", 1},
	{"a = \x01", "control character", 1},
	{"include(\"x\"", "this ( is not closed", 1},
	{"a { b { c { d { e { f { g { h { i { j { k { } } } } } } } } } } } x = 1", "nested too deeply", 2},
};

START_TEST(mistakes)
{
	unsigned count = cut(broken[_i].text);

	if (!strcmp(broken[_i].text, "a =\n}")) {
		ck_assert_uint_eq(report.count, 2); /* the value and the brace */
		return;
	}
	only(broken[_i].wanted);
	ck_assert_uint_eq(count, broken[_i].statements);
}
END_TEST

START_TEST(nul_byte_is_told_once_with_its_line)
{
	begin_bytes("a = 1\nb = \0\0 2\n", 16);
	while (text_next(&lexer, &arena))
		;
	only("t.conf:2: a NUL byte");
}
END_TEST

START_TEST(escapes_that_are_right)
{
	ck_assert_uint_eq(cut("a = \"\\1\\377\\x41\\n\\\\\\\"\\\n\" b = 'a\\b'"), 2);
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(goes_on_after_a_mistake_in_a_section)
{
	struct statement *section;

	begin("service \"x\" { a = *1 b = 2 ; c = 3 }");
	section = text_next(&lexer, &arena);
	ck_assert_uint_eq(report.count, 2);
	ck_assert(section->child->bad);
	ck_assert_str_eq(section->child->next->name, "b");
	ck_assert(!section->child->next->bad);
	ck_assert_str_eq(section->child->next->next->name, "c");
}
END_TEST

START_TEST(byte_order_mark_and_carriage_returns)
{
	ck_assert_uint_eq(cut("\xef\xbb\xbf"
			      "a = 1\r\nb = 2\r\n"),
			  2);
	ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(every_cut_of_a_text_ends)
{
	static const char whole[] =
		"service \"x\" { a = {\"1\", '2' /* c */} server { b += c } } include(\"y\") # z";
	char part[sizeof(whole)];

	for (size_t length = 0; length < sizeof(whole); length++) {
		memcpy(part, whole, length);
		part[length] = '\0';
		cut(part);
	}
	for (size_t start = 0; start < sizeof(whole); start++)
		cut(whole + start);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *tests = tcase_create("text");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, statements_and_lines);
	tcase_add_test(tests, comments_are_blanked_and_lines_stay);
	tcase_add_test(tests, signs_in_quotes_and_words);
	tcase_add_loop_test(tests, mistakes, 0, sizeof(broken) / sizeof(broken[0]));
	tcase_add_test(tests, nul_byte_is_told_once_with_its_line);
	tcase_add_test(tests, escapes_that_are_right);
	tcase_add_test(tests, goes_on_after_a_mistake_in_a_section);
	tcase_add_test(tests, byte_order_mark_and_carriage_returns);
	tcase_add_test(tests, every_cut_of_a_text_ends);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
