/*
 * table.c: the order in which a table is read, and who frees it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader.h"
#include "region.h"

/* Of commands that only want to know where the daemon is: they wait for no pipe, and leave what is in it alone. */
static const struct table_options only_regular = {.regular = true};

static void reader_release(struct reader *reader)
{
	for (size_t i = 0; i <= INCLUDE_DEPTH; i++)
		free(reader->text[i]);
	if (reader->matches_used)
		globfree(&reader->matches);
	parser_free(reader->parser);
	reader->arena->no_memory = NULL; /* a table that is read allocates nothing more */
	arena_free(&reader->scratch);
	arena_free(&reader->work);
	free(reader);
}

static struct table *table_new_in(struct region *region)
{
	struct table *table = region_take(region, sizeof(*table));
	struct arena *arena = table ? region_take(region, sizeof(*arena)) : NULL;

	if (!arena)
		return NULL;
	arena->region = region;
	table->arena = arena;
	return table;
}

static struct table *table_new(void)
{
	struct table *table = calloc(1, sizeof(*table));
	struct arena *arena = calloc(1, sizeof(*arena));

	if (!table || !arena) {
		free(table);
		free(arena);
		return NULL;
	}
	table->arena = arena;
	return table;
}

void table_free(struct table *table)
{
	const struct arena *arena = table ? table->arena : NULL;

	if (!table)
		return;
	if (arena->region) {
		region_free(arena->region);
		return;
	}
	arena_free(table->arena);
	free(table->arena);
	free(table);
}

static struct reader *reader_new(struct table *table, const struct table_options *options)
{
	struct reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->parser = parser_new();
	if (!reader->parser) {
		free(reader);
		return NULL;
	}
	reader->table = table;
	reader->arena = table->arena;
	reader->options = options;
	reader->arena->no_memory = reader->scratch.no_memory = reader->work.no_memory = &reader->no_memory;
	reader->report.arena = &reader->work;
	reader->names.arena = reader->files.arena = reader->env_files.arena = &reader->work;
	resolver_start(&reader->resolver, reader->arena, options->progress);
	return reader;
}

/* The values of defaults { } are judged once, even if no service takes them. */
static void reader_judge_defaults(struct reader *reader)
{
	struct table_service *nobody;
	struct effective effective = {.title = "defaults"};

	if (!reader->defaults)
		return;
	nobody = arena_alloc(&reader->scratch, sizeof(*nobody));
	memcpy(effective.of, reader->inherited, sizeof(effective.of));
	build_service(reader, reader->defaults, &effective, nobody);
}

static void reader_build(struct reader *reader)
{
	struct table *table = reader->table;
	struct effective effective;

	build_top(reader);
	scalar_usual(SECTION_SERVICE, &reader->usual);
	reader->usual.service.server = arena_alloc(reader->arena, sizeof(*reader->usual.service.server));
	scalar_usual(SECTION_SERVER, reader->usual.service.server);
	inherit_defaults(reader);
	reader_judge_defaults(reader);
	table->service = arena_alloc(reader->arena, reader->service_count * sizeof(*table->service));
	for (size_t i = 0; i < reader->service_count; i++) {
		struct table_service *service = &table->service[table->service_count++];

		inherit_into(reader, reader->service[i], &effective);
		build_service(reader, reader->service[i], &effective, service);
		check_service(reader, reader->service[i], &effective, service);
	}
	check_table(reader);
}

/* False: no memory. */
static bool reader_run(struct reader *reader, const char *file)
{
	if (setjmp(reader->no_memory))
		return false;
	reader->table->file = arena_strdup(reader->arena, file);
	read_table(reader, reader->table->file);
	if (!reader->only_runtime_dir && !reader->only_service && reader->table->file_count)
		reader_build(reader);
	return true;
}

/* The table is filled and right, or false. */
static bool table_fill(struct table *table, const char *file, const struct table_options *options,
		       struct diagnostics *diagnostics)
{
	struct reader *reader = table ? reader_new(table, options) : NULL;
	bool right = false;

	if (!reader || !reader_run(reader, file) || report_deliver(&reader->report, diagnostics))
		report_single(diagnostics, file, "no memory to read it");
	else
		right = !diagnostics->mistakes;
	if (reader)
		reader_release(reader);
	return right;
}

struct table *table_read(const char *file, const struct table_options *options,
			 struct diagnostics *diagnostics)
{
	struct table *table = table_new();

	if (table_fill(table, file, options, diagnostics))
		return table;
	table_free(table);
	return NULL;
}

struct table *table_read_in(struct region *region, const char *file, const struct table_options *options,
			    struct diagnostics *diagnostics)
{
	struct table *table = table_new_in(region);

	return table_fill(table, file, options, diagnostics) ? table : NULL;
}

/* As in reader_build(), for one. */
static bool reader_find_words(struct reader *reader, const char *file, const char *name,
			      struct effective *effective)
{
	const struct section *section;

	if (!reader_run(reader, file))
		return false;
	if (setjmp(reader->no_memory))
		return false;
	section = map_get(&reader->names, name, strlen(name));
	if (!section)
		return false;
	inherit_defaults(reader);
	inherit_into(reader, section, effective);
	return true;
}

struct reader *reader_open_words(const char *file, const struct table_options *options, const char *service,
				 struct effective *effective)
{
	struct table *table = table_new();
	struct reader *reader = table ? reader_new(table, options) : NULL;

	if (!reader) {
		table_free(table);
		return NULL;
	}
	reader->only_service = service;
	if (reader_find_words(reader, file, service, effective))
		return reader;
	reader_close_words(reader);
	return NULL;
}

void reader_close_words(struct reader *reader)
{
	struct table *table = reader->table;

	reader_release(reader);
	table_free(table);
}

char *table_runtime_dir(const char *file)
{
	struct table *table = table_new();
	struct reader *reader = table ? reader_new(table, &only_regular) : NULL;
	char *path = NULL;

	if (reader) {
		reader->only_runtime_dir = true;
		if (reader_run(reader, file) && reader->top.count && reader->top.setting[0].count &&
		    reader->top.setting[0].value[0][0] == '/')
			path = strdup(reader->top.setting[0].value[0]);
		reader_release(reader);
	}
	table_free(table);
	return path;
}

char *table_default_runtime_dir(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;
	int length;

	if (!geteuid())
		return strdup("/run/lust-inetd");
	if (base && *base == '/')
		length = asprintf(&path, "%s/lust-inetd", base);
	else
		length = asprintf(&path, "/tmp/lust-inetd-%u", (unsigned)geteuid());
	return length < 0 ? NULL : path;
}

bool table_changed_on_disk(const struct table *table, struct timespec *when)
{
	struct timespec latest = {0, 0};
	bool changed = false;

	for (size_t i = 0; i < table->file_count; i++) {
		const struct table_file *file = &table->file_read[i];
		struct stat now;

		if (stat(file->path, &now)) {
			changed = true; /* gone: since when, nothing tells */
			continue;
		}
		if (now.st_dev == file->device && now.st_ino == file->inode && now.st_size == file->size &&
		    now.st_mtim.tv_sec == file->modified.tv_sec &&
		    now.st_mtim.tv_nsec == file->modified.tv_nsec)
			continue;
		changed = true;
		if (now.st_mtim.tv_sec > latest.tv_sec ||
		    (now.st_mtim.tv_sec == latest.tv_sec && now.st_mtim.tv_nsec > latest.tv_nsec))
			latest = now.st_mtim;
	}
	if (changed && when)
		*when = latest;
	return changed;
}

const struct table_service *table_find(const struct table *table, const char *name)
{
	for (size_t i = 0; i < table->service_count; i++)
		if (!strcmp(table->service[i].name, name))
			return &table->service[i];
	return NULL;
}
