/*
 * table_files.c: see table_files.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "table_files.h"

#include <check.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char table_directory[64];
struct diagnostics table_said;

void table_files_setup(void)
{
	snprintf(table_directory, sizeof(table_directory), "/tmp/lust-table-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(table_directory));
}

static int table_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

void table_files_teardown(void)
{
	diagnostics_free(&table_said);
	nftw(table_directory, table_remove, 8, FTW_DEPTH | FTW_PHYS);
}

void table_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", table_directory, name);
	for (char *slash = path + strlen(table_directory) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

struct table *table_files_read(bool privileged)
{
	struct table_options options = {.privileged = privileged, .runtime_dir = "/run/t"};
	char path[128];

	diagnostics_free(&table_said);
	snprintf(path, sizeof(path), "%s/t.conf", table_directory);
	return table_read(path, &options, &table_said);
}

struct table *table_of(const char *text)
{
	table_file("t.conf", text);
	return table_files_read(false);
}

const char *table_said_all(void)
{
	static char all[8192];
	size_t length = strlen(table_directory) + 1, at = 0;

	all[0] = '\0';
	for (size_t i = 0; i < table_said.count; i++) {
		const char *from = table_said.item[i].text, *name;

		while ((name = strstr(from, table_directory)) && at < sizeof(all)) {
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%.*s", (int)(name - from), from);
			from = name + length;
		}
		if (at < sizeof(all))
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%s\n", from);
	}
	return all;
}

bool table_said_has(const char *text)
{
	return strstr(table_said_all(), text) != NULL;
}
