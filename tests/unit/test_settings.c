/*
 * test_settings.c: key = value, from file, defaults and overrides.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lust.h"
#include "suite.h"

static char path[64];
static struct lust_settings *settings;

static int read_bytes(const char *text, size_t length)
{
	FILE *file;
	int result;

	snprintf(path, sizeof(path), "/tmp/test_settings.%d", (int)getpid());
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, length, file), length);
	ck_assert_int_eq(fclose(file), 0);
	result = lust_settings_read(&settings, "test", path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_ptr_nonnull(settings);
	return result;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void release(void)
{
	lust_settings_free(settings);
	settings = NULL;
}

static void has(const char *key, const char *value)
{
	ck_assert_pstr_eq(lust_settings_get(settings, key), value);
}

START_TEST(reads)
{
	static const struct {
		const char *text, *key, *value;
	} cases[] = {
		{"a = b", "a", "b"},
		{"a=b\n", "a", "b"},
		{"  a\t=\t b c \r\n", "a", "b c"},
		{"a =", "a", ""},
		{"# x = y\n; z = w\n\na = b # comment", "a", "b"},
		{"a = http://host/#part;x", "a", "http://host/#part;x"},
		{"a = \"  spaces # and \\\"quotes\\\" \\\\ \" ; comment", "a",
		 "  spaces # and \"quotes\" \\ "},
		{"a = b = c", "a", "b = c"},
		{"[one]\na = 1\n[two]\na = 2", "one.a", "1"},
		{"[one]\na = 1\n[two] # comment\na = 2", "two.a", "2"},
		{"one.a = 1\n", "one.a", "1"},
		{"a = \\n", "a", "\\n"},
		{"", "a", NULL},
	};

	ck_assert_int_eq(read_text(cases[_i].text), 0);
	ck_assert_str_eq(lust_settings_problem(settings), "");
	has(cases[_i].key, cases[_i].value);
	ck_assert_str_eq(lust_settings_file(settings), path);
}
END_TEST

START_TEST(refuses)
{
	static const struct {
		const char *text, *told;
	} cases[] = {
		{"\na", ":2: expected KEY = VALUE, [SECTION] or a comment"},
		{"a b = c", ":1: a key is made of letters, digits, . _ and -"},
		{"= c", ":1: a key is made of letters, digits, . _ and -"},
		{"a = \"b", ":1: the quote is not closed on its line"},
		{"a = \"b\" c", ":1: something follows the closing quote"},
		{"[a", ":1: a section's name ends with ]"},
		{"[a] b = c", ":1: something follows the section's name"},
		{"[]", ":1: a section's name is made of letters, digits, . _ and -"},
		{"a = 1\nb = 2\na = 3", ":3: a: set already in line 1"},
		{"[s]\na = 1\n[s]\na = 2", ":4: s.a: set already in line 2"},
	};
	char told[256];

	ck_assert_int_eq(read_text(cases[_i].text), -EINVAL);
	snprintf(told, sizeof(told), "%s%s", path, cases[_i].told);
	ck_assert_ptr_nonnull(strstr(lust_settings_problem(settings), told));
}
END_TEST

START_TEST(tells_every_mistake)
{
	const char *problem;

	ck_assert_int_eq(read_text("a\nb = 1\nc\n"), -EINVAL);
	problem = lust_settings_problem(settings);
	ck_assert_ptr_nonnull(strstr(problem, ":1: "));
	ck_assert_ptr_nonnull(strstr(problem, "\n"));
	ck_assert_ptr_nonnull(strstr(problem, ":3: "));
	release();
	ck_assert_int_eq(read_bytes("a = \0b\n", 7), -EINVAL);
	ck_assert_ptr_nonnull(strstr(lust_settings_problem(settings), ":1: a NUL byte"));
}
END_TEST

START_TEST(the_file_itself)
{
	ck_assert_int_eq(lust_settings_read(&settings, "lust-there-is-no-such-program", NULL), 0);
	ck_assert_ptr_null(lust_settings_file(settings));
	release();
	ck_assert_int_eq(lust_settings_read(&settings, "x", "/nonexistent/x.conf"), -ENOENT);
	ck_assert_str_eq(lust_settings_problem(settings), "/nonexistent/x.conf: No such file or directory");
	release();
	ck_assert_int_eq(lust_settings_read(&settings, "x", "/"), -EISDIR);
	release();
	ck_assert_int_eq(lust_settings_read(&settings, "../x", NULL), -EINVAL);
	release();
	ck_assert_int_eq(lust_settings_read(&settings, "", NULL), -EINVAL);
}
END_TEST

START_TEST(layers)
{
	ck_assert_int_eq(read_text("both = file\nfile = file\n"), 0);
	ck_assert_int_eq(lust_settings_override(settings, "both", "override"), 0);
	ck_assert_int_eq(lust_settings_default(settings, "both", "default"), 0);
	ck_assert_int_eq(lust_settings_default(settings, "file", "default"), 0);
	ck_assert_int_eq(lust_settings_default(settings, "default", "default"), 0);
	has("both", "override");
	has("file", "file");
	has("default", "default");
	has("none", NULL);
	ck_assert_int_eq(lust_settings_override(settings, "both", "again"), 0);
	has("both", "again");
	ck_assert_int_eq(lust_settings_override(settings, "a b", "x"), -EINVAL);
	ck_assert_int_eq(lust_settings_default(settings, "", "x"), -EINVAL);
}
END_TEST

START_TEST(numbers)
{
	long long value = 77;

	ck_assert_int_eq(read_text("n = 42\nminus = -3\nword = 4x\nhuge = 99999999999999999999\nempty =\n"),
			 0);
	ck_assert_int_eq(lust_settings_number(settings, "n", 0, 42, &value), 0);
	ck_assert_int_eq(value, 42);
	ck_assert_int_eq(lust_settings_number(settings, "minus", -3, 0, &value), 0);
	ck_assert_int_eq(value, -3);
	ck_assert_int_eq(lust_settings_number(settings, "n", 0, 41, &value), -ERANGE);
	ck_assert_ptr_nonnull(
		strstr(lust_settings_problem(settings), ":1: n: \"42\" is not a number from 0 to 41"));
	ck_assert_int_eq(lust_settings_number(settings, "word", 0, 9, &value), -EINVAL);
	ck_assert_int_eq(lust_settings_number(settings, "empty", 0, 9, &value), -EINVAL);
	ck_assert_int_eq(lust_settings_number(settings, "huge", 0, 9, &value), -ERANGE);
	ck_assert_int_eq(lust_settings_number(settings, "none", 0, 9, &value), -ENOENT);
	ck_assert_int_eq(value, -3);
}
END_TEST

/* A server may ask for each connection: the text does not grow. */
START_TEST(a_problem_is_told_once)
{
	long long number;
	size_t length;

	ck_assert_int_eq(read_text("n = x\n"), 0);
	ck_assert_int_eq(lust_settings_number(settings, "n", 0, 1, &number), -EINVAL);
	length = strlen(lust_settings_problem(settings));
	ck_assert_int_eq(lust_settings_number(settings, "n", 0, 1, &number), -EINVAL);
	ck_assert_uint_eq(strlen(lust_settings_problem(settings)), length);
}
END_TEST

/* What is quoted from a file may be shown on a terminal; a long value does not hide what would be right. */
START_TEST(a_problem_is_safe_to_show)
{
	char text[2000] = "b = ";
	long long value;

	memset(text + 4, 'x', sizeof(text) - 5);
	ck_assert_int_eq(read_text("a = \033[31m\a1\n"), 0);
	ck_assert_int_eq(lust_settings_number(settings, "a", 0, 9, &value), -EINVAL);
	ck_assert_ptr_nonnull(
		strstr(lust_settings_problem(settings), ":1: a: \"\\x1b[31m\\x071\" is not a number"));
	release();
	ck_assert_int_eq(read_text(text), 0);
	ck_assert_int_eq(lust_settings_number(settings, "b", 0, 9, &value), -EINVAL);
	ck_assert_ptr_nonnull(strstr(lust_settings_problem(settings), "is not a number from 0 to 9"));
}
END_TEST

START_TEST(booleans_and_times)
{
	static const struct {
		const char *key;
		uint64_t ms;
	} times[] = {{"bare", 7000}, {"ms", 250},    {"s", 5000},
		     {"m", 120000},  {"h", 3600000}, {"d", 86400000}};
	uint64_t ms;
	int on;

	ck_assert_int_eq(read_text("yes = Yes\noff = off\nno = maybe\nbare = 7\nms = 250ms\ns = 5s\nm = 2m\n"
				   "h = 1h\nd = 1d\nbad = 5 s\nminus = -5s\nbig = 999999999999999999d\n"),
			 0);
	ck_assert_int_eq(lust_settings_boolean(settings, "yes", &on), 0);
	ck_assert_int_eq(on, 1);
	ck_assert_int_eq(lust_settings_boolean(settings, "off", &on), 0);
	ck_assert_int_eq(on, 0);
	ck_assert_int_eq(lust_settings_boolean(settings, "no", &on), -EINVAL);
	ck_assert_int_eq(lust_settings_boolean(settings, "none", &on), -ENOENT);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		ck_assert_int_eq(lust_settings_time(settings, times[i].key, &ms), 0);
		ck_assert_uint_eq(ms, times[i].ms);
	}
	ck_assert_int_eq(lust_settings_time(settings, "bad", &ms), -EINVAL);
	ck_assert_int_eq(lust_settings_time(settings, "minus", &ms), -EINVAL);
	ck_assert_int_eq(lust_settings_time(settings, "big", &ms), -ERANGE);
}
END_TEST

START_TEST(unknown_keys)
{
	static const char *const known[] = {"a", "b"};
	unsigned line = 0;

	ck_assert_int_eq(read_text("a = 1\nb = 2\nc = 3\n"), 0);
	ck_assert_int_eq(lust_settings_default(settings, "d", "4"), 0);
	ck_assert_str_eq(lust_settings_unknown(settings, known, 2, &line), "c");
	ck_assert_uint_eq(line, 3);
	ck_assert_str_eq(lust_settings_unknown(settings, known, 1, NULL), "b");
	release();
	ck_assert_int_eq(read_text("b = 1\n"), 0);
	ck_assert_ptr_null(lust_settings_unknown(settings, known, 2, NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("settings");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, NULL, release);
	tcase_add_loop_test(all, reads, 0, 13);
	tcase_add_loop_test(all, refuses, 0, 10);
	tcase_add_test(all, tells_every_mistake);
	tcase_add_test(all, the_file_itself);
	tcase_add_test(all, layers);
	tcase_add_test(all, numbers);
	tcase_add_test(all, a_problem_is_told_once);
	tcase_add_test(all, a_problem_is_safe_to_show);
	tcase_add_test(all, booleans_and_times);
	tcase_add_test(all, unknown_keys);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
