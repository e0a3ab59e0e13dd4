/*
 * read.c: the main file, and the files that it includes.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reader.h"
#include "source.h"

struct file_key {
	dev_t device;
	ino_t inode;
};

/* Errors of directories that a pattern goes through; a missing one is only no match. */
static int read_glob_error;

static int read_note_glob_error(const char *path, int error)
{
	(void)path;
	if (error != ENOENT && error != ENOTDIR)
		read_glob_error = error;
	return 0;
}

void read_remember(struct reader *reader, const char *path, const struct stat *status, const char *text,
		   size_t length)
{
	struct table *table = reader->table;

	if (reader->only_service)
		return;
	table->file_read = arena_room(reader->arena, table->file_read, table->file_count, &reader->file_room,
				      sizeof(*table->file_read));
	table->file_read[table->file_count++] = (struct table_file){
		.path = arena_strdup(reader->arena, path),
		.device = status->st_dev,
		.inode = status->st_ino,
		.size = status->st_size,
		.modified = status->st_mtim,
		.text = arena_copy(reader->arena, text, length),
		.length = length,
	};
}

/* A file twice would set everything in it twice; this also ends every circle. */
static bool read_twice(struct reader *reader, struct place asked, const char *path, const struct stat *status)
{
	struct file_key *key = arena_alloc(&reader->work, sizeof(*key));
	struct place *first;
	void **slot;

	key->device = status->st_dev;
	key->inode = status->st_ino;
	slot = map_slot(&reader->files, key, sizeof(*key));
	first = *slot;
	if (!first) {
		*slot = first = arena_alloc(&reader->work, sizeof(*first));
		*first = asked;
		return false;
	}
	if (first->source)
		report_mistake(&reader->report, asked, NULL, "include", "%s is read twice, first in %s:%u",
			       path, first->source->path, first->line);
	else
		report_mistake(&reader->report, asked, NULL, "include", "%s is the table itself", path);
	return true;
}

static void read_statements(struct reader *reader, struct lexer *lexer, unsigned depth)
{
	struct parse_context context = {reader->parser, lexer, &reader->work, &reader->report};
	struct statement *statement;
	const char *pattern;

	while ((statement = text_next(lexer, &reader->scratch))) {
		const struct word *word = schema_find(SECTION_TOP, statement->name);
		struct place place = {lexer->source, statement->line};

		if (!word || word->id != W_INCLUDE || statement->kind != STATEMENT_CALL)
			statement_take(reader, lexer, statement);
		else if (!statement->bad && !parse_include(&context, statement, &pattern))
			read_include(reader, place, depth + 1, pattern);
		/* What was peeked at lies in the lexer, not in scratch. */
		arena_reset(&reader->scratch);
	}
}

static void read_file(struct reader *reader, struct place asked, unsigned depth, const char *path)
{
	struct source *source;
	struct stat status;
	struct lexer lexer;
	size_t length;
	int error;

	error = files_load(reader, path, depth > 0 || reader->options->regular, &reader->text[depth], &length,
			   &status);
	if (error) {
		report_mistake(&reader->report, asked, NULL, asked.source ? "include" : NULL, "%s: %s", path,
			       source_error(error));
		return;
	}
	if (!read_twice(reader, asked, path, &status)) {
		read_remember(reader, path, &status, reader->text[depth], length);
		source = arena_alloc(reader->arena, sizeof(*source));
		source->path = arena_strdup(reader->arena, path);
		source->index = reader->sources++;
		lexer_start(&lexer, source, reader->text[depth], length, &reader->report);
		read_statements(reader, &lexer, depth);
	}
	free(reader->text[depth]);
	reader->text[depth] = NULL;
}

/* PATTERN relative to the file that says it. The directory is a name, not a pattern. */
static const char *read_join(struct reader *reader, const char *file, const char *pattern, bool literal)
{
	const char *slash = strrchr(file, '/');
	char *joined, *at;

	if (*pattern == '/' || !slash)
		return pattern;
	at = joined = arena_alloc(&reader->work, (size_t)(slash - file) * 2 + strlen(pattern) + 2);
	for (const char *from = file; from <= slash; from++) {
		if (!literal && strchr("*?[\\", *from))
			*at++ = '\\';
		*at++ = *from;
	}
	memcpy(at, pattern, strlen(pattern) + 1);
	return joined;
}

static int read_by_name(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* The matches in the order of their names, whatever the locale says. */
static const char **read_matches(struct reader *reader, struct place place, const char *pattern,
				 size_t *count)
{
	const char **path = NULL;
	int answer;

	read_glob_error = 0;
	progress_note(reader->options->progress, "looking for", pattern);
	answer = glob(pattern, GLOB_NOSORT, read_note_glob_error, &reader->matches);
	progress_over(reader->options->progress);
	reader->matches_used = true;
	*count = answer ? 0 : reader->matches.gl_pathc;
	if (answer == GLOB_NOSPACE)
		longjmp(reader->no_memory, 1);
	if (read_glob_error)
		report_mistake(&reader->report, place, NULL, "include", "%s: %s", pattern,
			       strerror(read_glob_error));
	if (*count) {
		path = arena_alloc(&reader->work, *count * sizeof(*path));
		for (size_t i = 0; i < *count; i++)
			path[i] = arena_strdup(&reader->work, reader->matches.gl_pathv[i]);
		qsort(path, *count, sizeof(*path), read_by_name);
	}
	globfree(&reader->matches);
	reader->matches_used = false;
	return path;
}

void read_include(struct reader *reader, struct place place, unsigned depth, const char *pattern)
{
	bool literal = !strpbrk(pattern, "*?[");
	const char **path;
	size_t count;

	if (!*pattern) {
		report_mistake(&reader->report, place, NULL, "include", "the file's name is empty");
		return;
	}
	if (depth > INCLUDE_DEPTH) {
		report_mistake(&reader->report, place, NULL, "include", "more than %d files deep",
			       INCLUDE_DEPTH);
		return;
	}
	pattern = read_join(reader, place.source->path, pattern, literal);
	if (literal) {
		read_file(reader, place, depth, pattern);
		return;
	}
	if (reader->options->file)
		path = files_matches(reader, pattern, &count);
	else
		path = read_matches(reader, place, pattern, &count);
	for (size_t i = 0; i < count; i++)
		read_file(reader, place, depth, path[i]);
}

void read_table(struct reader *reader, const char *file)
{
	read_file(reader, (struct place){NULL, 0}, 0, file);
}
