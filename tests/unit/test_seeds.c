/*
 * test_seeds.c: the fuzzer of the table learns its words from two files of its corpus.  A word that the schema gets has to
 * be added to them.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"
#include "table_files.h"
#include "text.h"

#define SEED_ROOM 16384

static char seed[SEED_ROOM];

/* The table, the file for its include and the one for its env-file: parted by lines "%%". */
static void load_seed(const char *name, char *part[3])
{
	char path[1024];
	FILE *file;
	size_t length;

	snprintf(path, sizeof(path), FUZZ_CORPUS "/table/%s", name);
	file = fopen(path, "r");
	ck_assert_msg(file != NULL, "%s is missing", path);
	length = fread(seed, 1, sizeof(seed) - 1, file);
	fclose(file);
	ck_assert_uint_lt(length, sizeof(seed) - 1);
	seed[length] = '\0';
	part[0] = seed;
	for (unsigned i = 1; i < 3; i++) {
		part[i] = strstr(part[i - 1], "\n%%\n");
		ck_assert_ptr_nonnull(part[i]);
		part[i][1] = '\0';
		part[i] += 4;
	}
}

static enum section_kind section_of(const char *name, enum section_kind around)
{
	if (strcmp(name, "dispatcher") == 0)
		return SECTION_DISPATCHER;
	if (strcmp(name, "server") == 0)
		return SECTION_SERVER;
	if (strcmp(name, "socket") == 0)
		return SECTION_SOCKET;
	return strcmp(name, "service") == 0 || strcmp(name, "defaults") == 0 ? SECTION_SERVICE : around;
}

static void mark(const struct statement *statement, enum section_kind section, bool *seen)
{
	for (; statement; statement = statement->next) {
		const struct word *word = schema_find(section, statement->name);

		if (word)
			seen[word - schema_word] = true;
		mark(statement->child, section_of(statement->name, section), seen);
	}
}

static void check_words(const char *name, bool later_too)
{
	static const struct source source = {"seed", 0};
	jmp_buf no_memory;
	struct arena arena = {.no_memory = &no_memory};
	struct report report = {.arena = &arena};
	struct lexer lexer;
	struct statement *statement;
	bool *seen = calloc(schema_count, sizeof(*seen));
	char *part[3];

	ck_assert_ptr_nonnull(seen);
	load_seed(name, part);
	lexer_start(&lexer, &source, part[0], strlen(part[0]), &report);
	while ((statement = text_next(&lexer, &arena)))
		mark(statement, SECTION_TOP, seen);
	for (size_t i = 0; i < schema_count; i++)
		ck_assert_msg(seen[i] || (schema_word[i].kind == WORD_LATER && !later_too),
			      "tests/fuzz/corpus/table/%s lacks %s of %s", name, schema_word[i].name,
			      schema_section_name(schema_word[i].section));
	arena_free(&arena);
	free(seen);
}

START_TEST(one_seed_holds_every_word)
{
	check_words("every-word", true);
}
END_TEST

/* Without a mistake, or the fuzzer would start from a table that is never built. */
START_TEST(one_seed_is_right)
{
	struct table *table;
	char *part[3];

	check_words("every-word-of-this-release", false);
	load_seed("every-word-of-this-release", part);
	table_file("t.conf", part[0]);
	table_file("more.conf", part[1]);
	table_file("env", part[2]);
	table = table_files_read(true);
	ck_assert_msg(table != NULL, "%s", table_said_all());
	ck_assert_uint_eq(table->service_count, 2);
	table_free(table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seeds");
	TCase *tests = tcase_create("seeds");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, table_files_setup, table_files_teardown);
	tcase_add_test(tests, one_seed_holds_every_word);
	tcase_add_test(tests, one_seed_is_right);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
