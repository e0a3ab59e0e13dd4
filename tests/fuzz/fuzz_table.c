/*
 * fuzz_table.c: the table: cutter, parser, values, checks.  A line "%%" parts the input into the table, a file
 * "more.conf" for its include, and a file "env" for its env-file.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "table.h"

#define BYTES 32768
#define FILES 3

static char path[FILES][PATH_MAX];
static FILE *nowhere;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const name[FILES] = {"table.conf", "more.conf", "env"};

	(void)argc;
	(void)argv;
	nowhere = fopen("/dev/null", "we");
	FUZZ_CHECK(nowhere != NULL);
	for (unsigned i = 0; i < FILES; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s", fuzz_directory(), name[i]);
	return 0;
}

static void write_file(const char *file, const void *data, size_t size)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(write(fd, data, size) == (ssize_t)size);
	close(fd);
}

static void write_files(const char *data, size_t size)
{
	for (unsigned i = 0; i < FILES; i++) {
		const char *mark = i + 1 < FILES && size ? memmem(data, size, "\n%%\n", 4) : NULL;
		size_t length = mark ? (size_t)(mark - data) : size;

		write_file(path[i], data, length);
		data += mark ? length + 4 : length;
		size -= mark ? length + 4 : length;
	}
}

/* Each is one line that says where. */
static void check_diagnostics(const struct diagnostics *diagnostics)
{
	size_t mistakes = 0;

	for (size_t i = 0; i < diagnostics->count; i++) {
		const char *text = diagnostics->item[i].text;
		FUZZ_CHECK(text[0] != '\0');
		for (; *text; text++)
			FUZZ_CHECK((unsigned char)*text >= ' ' && *text != 0x7f);
		mistakes += diagnostics->item[i].severity == MISTAKE;
	}
	FUZZ_CHECK(mistakes == diagnostics->mistakes);
	FUZZ_CHECK(mistakes + diagnostics->warnings == diagnostics->count);
}

static void use(const struct table *table)
{
	struct table_diff diff;

	for (size_t i = 0; i < table->service_count; i++) {
		FUZZ_CHECK(table_find(table, table->service[i].name) == &table->service[i]);
		FUZZ_CHECK(table_show(nowhere, table, &table->service[i], true) == 0);
	}
	/* A reload of what has not changed changes nothing. */
	FUZZ_CHECK(table_diff(table, table, &diff) == 0);
	for (size_t i = 0; i < diff.count; i++)
		FUZZ_CHECK(diff.pair[i].change == CHANGE_NONE && diff.pair[i].before && diff.pair[i].after);
	FUZZ_CHECK(!diff.needs_restart);
	table_diff_free(&diff);
	FUZZ_CHECK(!table_changed_on_disk(table, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diagnostics diagnostics;

	if (size > BYTES)
		return -1;
	write_files((const char *)data, size);
	for (int privileged = 0; privileged < 2; privileged++) {
		const struct table_options options = {.privileged = privileged, .runtime_dir = NULL};
		unsigned before = fuzz_count_fds();
		struct table *table = table_read(path[0], &options, &diagnostics);

		FUZZ_CHECK((table == NULL) == (diagnostics.mistakes > 0));
		check_diagnostics(&diagnostics);
		if (table)
			use(table);
		table_free(table);
		diagnostics_free(&diagnostics);
		fuzz_check_fds(before);
	}
	free(table_runtime_dir(path[0]));
	return 0;
}
