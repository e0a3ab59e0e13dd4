/*
 * test_arguments.c: what a command line means, and what it must not mean.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

#define MAX_WORDS 12

static char *words[MAX_WORDS + 1];
static struct arguments arguments;

/* Words are separated by one space; two spaces make an empty word. */
static int parse(const char *line)
{
	static char copy[512];
	char *rest = copy;
	int count = 0;

	ck_assert(strlen(line) < sizeof(copy));
	strncpy(copy, line, sizeof(copy) - 1);
	memset(words, 0, sizeof(words));
	while (rest && count < MAX_WORDS)
		words[count++] = strsep(&rest, " ");
	return arguments_parse(&arguments, count, words);
}

START_TEST(test_options_before_and_after)
{
	ck_assert_int_eq(parse("lust-inetd -c a.conf -r/run/x -v status web --json"), 0);
	ck_assert_int_eq(arguments.command, COMMAND_STATUS);
	ck_assert_str_eq(arguments.config, "a.conf");
	ck_assert_str_eq(arguments.runtime_dir, "/run/x");
	ck_assert(arguments.verbose);
	ck_assert_uint_eq(arguments.options, OPTION_JSON);
	ck_assert_uint_eq(arguments.words, 1);
	ck_assert_str_eq(arguments.word[0], "web");

	ck_assert_int_eq(parse("lust-inetd status --problems web -c a.conf"), 0);
	ck_assert_uint_eq(arguments.options, OPTION_PROBLEMS);
	ck_assert_str_eq(arguments.config, "a.conf");
	ck_assert_str_eq(arguments.word[0], "web");

	ck_assert_int_eq(parse("lust-inetd -vr /run/x run"), 0);
	ck_assert(arguments.verbose);
	ck_assert_str_eq(arguments.runtime_dir, "/run/x");
}
END_TEST

START_TEST(test_words_in_order)
{
	ck_assert_int_eq(parse("lust-inetd -v up one -c f two three"), 0);
	ck_assert_uint_eq(arguments.words, 3);
	ck_assert_str_eq(arguments.word[0], "one");
	ck_assert_str_eq(arguments.word[1], "two");
	ck_assert_str_eq(arguments.word[2], "three");
	ck_assert_int_eq(parse("lust-inetd up -- -odd"), 0);
	ck_assert_str_eq(arguments.word[0], "-odd");
}
END_TEST

/* An empty variable, or a service in the wrong place, never stops everything. */
START_TEST(test_daemon_commands_take_no_service)
{
	static const char *const line[] = {"lust-inetd stop web", "lust-inetd restart web --now",
					   "lust-inetd start web"};

	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(parse(line[i]), EXIT_USAGE);
		ck_assert_ptr_nonnull(strstr(arguments.problem, "up, down, roll"));
	}
	ck_assert_int_eq(parse("lust-inetd stop "), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(arguments.problem, "empty"));
	ck_assert_int_eq(parse("lust-inetd down "), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd down"), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(arguments.problem, "--all"));
	ck_assert_int_eq(parse("lust-inetd down web --all"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd down --all"), 0);
	ck_assert_uint_eq(arguments.options, OPTION_ALL);
	ck_assert_int_eq(parse("lust-inetd stop --now"), 0);
	ck_assert_uint_eq(arguments.options, OPTION_NOW);
}
END_TEST

START_TEST(test_number_of_words)
{
	ck_assert_int_eq(parse("lust-inetd"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd -v"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd show"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd show a b"), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(arguments.problem, "\"b\""));
	ck_assert_int_eq(parse("lust-inetd list a"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd reload a"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd check"), 0);
	ck_assert_int_eq(parse("lust-inetd check f --strict"), 0);
	ck_assert_str_eq(arguments.word[0], "f");
}
END_TEST

START_TEST(test_unknown)
{
	ck_assert_int_eq(parse("lust-inetd statsu"), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(arguments.problem, "\"status\""));
	ck_assert_int_eq(parse("lust-inetd status --jsno"), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(arguments.problem, "\"--json\""));
	ck_assert_int_eq(parse("lust-inetd -x status"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd list --json"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd --json status"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd help statsu"), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(arguments.problem, "\"status\""));
}
END_TEST

START_TEST(test_option_values)
{
	ck_assert_int_eq(parse("lust-inetd status -c"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd -c  status"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd -c a -c b status"), EXIT_USAGE);
	ck_assert_int_eq(parse("lust-inetd -r a status -r b"), EXIT_USAGE);
}
END_TEST

START_TEST(test_help_and_version)
{
	ck_assert_int_eq(parse("lust-inetd --help"), 0);
	ck_assert_int_eq(arguments.command, COMMAND_HELP);
	ck_assert_uint_eq(arguments.words, 0);
	ck_assert_int_eq(parse("lust-inetd up web --help"), 0);
	ck_assert_int_eq(arguments.command, COMMAND_HELP);
	ck_assert_uint_eq(arguments.words, 1);
	ck_assert_str_eq(arguments.word[0], "up");
	ck_assert_int_eq(parse("lust-inetd --version"), 0);
	ck_assert_int_eq(arguments.command, COMMAND_VERSION);
	ck_assert(arguments.only_own_version);
	ck_assert_int_eq(parse("lust-inetd version"), 0);
	ck_assert(!arguments.only_own_version);
	ck_assert_int_eq(parse("lust-inetd help roll"), 0);
	ck_assert_str_eq(arguments.word[0], "roll");
}
END_TEST

START_TEST(test_later_commands)
{
	static const char *const line[] = {"lust-inetd log -f web", "lust-inetd check-jail /srv",
					   "lust-inetd import a b"};

	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
		ck_assert_int_eq(parse(line[i]), 0);
		ck_assert_int_eq(arguments.command, COMMAND_LATER);
	}
	ck_assert_str_eq(arguments.name, "import");
}
END_TEST

START_TEST(test_names_are_complete)
{
	for (size_t i = 0; command_names[i]; i++) {
		words[0] = (char *)"lust-inetd";
		words[1] = (char *)"help";
		words[2] = (char *)command_names[i];
		ck_assert_int_eq(arguments_parse(&arguments, 3, words), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arguments");
	TCase *tests = tcase_create("arguments");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, test_options_before_and_after);
	tcase_add_test(tests, test_words_in_order);
	tcase_add_test(tests, test_daemon_commands_take_no_service);
	tcase_add_test(tests, test_number_of_words);
	tcase_add_test(tests, test_unknown);
	tcase_add_test(tests, test_option_values);
	tcase_add_test(tests, test_help_and_version);
	tcase_add_test(tests, test_later_commands);
	tcase_add_test(tests, test_names_are_complete);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
