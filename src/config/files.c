/*
 * files.c: the files of a table, from the disk or as another program handed them over: `upgrade` puts in force what
 * was in force, not what lies on the disk by then.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "source.h"

static const struct table_file *files_find(const struct table_options *options, const char *path)
{
	for (size_t i = 0; i < options->file_count; i++)
		if (!strcmp(options->file[i].path, path))
			return &options->file[i];
	return NULL;
}

static int files_copy(const struct table_file *file, char **text, size_t *length, struct stat *status)
{
	*text = malloc(file->length + 1);
	if (!*text)
		return -ENOMEM;
	memcpy(*text, file->text, file->length);
	(*text)[file->length] = '\0';
	*length = file->length;
	/* Whether it has changed since is asked of the disk with these. */
	memset(status, 0, sizeof(*status));
	status->st_dev = file->device;
	status->st_ino = file->inode;
	status->st_size = file->size;
	status->st_mtim = file->modified;
	return 0;
}

int files_load(struct reader *reader, const char *path, bool plain, char **text, size_t *length,
	       struct stat *status)
{
	const struct table_file *file;
	int error;

	if (!reader->options->file) {
		progress_note(reader->options->progress, "reading", path);
		error = source_load(path, plain, text, length, status);
		progress_over(reader->options->progress);
		return error;
	}
	file = files_find(reader->options, path);
	return file ? files_copy(file, text, length, status) : -ENOENT;
}

static int files_by_name(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

const char **files_matches(struct reader *reader, const char *pattern, size_t *count)
{
	const struct table_options *options = reader->options;
	const char **path = arena_alloc(&reader->work, (options->file_count + 1) * sizeof(*path));

	*count = 0;
	for (size_t i = 0; i < options->file_count; i++) {
		const struct table_file *file = &options->file[i];

		/* One that is read as a table and as an env-file is there twice. */
		if (files_find(options, file->path) == file &&
		    !fnmatch(pattern, file->path, FNM_PATHNAME | FNM_PERIOD))
			path[(*count)++] = arena_strdup(&reader->work, file->path);
	}
	qsort(path, *count, sizeof(*path), files_by_name);
	return path;
}
