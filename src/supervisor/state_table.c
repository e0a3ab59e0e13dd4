/*
 * state_table.c: the table in force, as the files that it was read from: an upgrade is no reload.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "upgrade.h"

static void save_file(struct state_writer *out, const struct table_file *file)
{
	state_record(out, "file");
	state_text(out, "path", file->path, strlen(file->path));
	state_number(out, "device", file->device);
	state_number(out, "inode", file->inode);
	state_number(out, "size", (uint64_t)file->size);
	state_number(out, "seconds", (uint64_t)file->modified.tv_sec);
	state_number(out, "nanoseconds", (uint64_t)file->modified.tv_nsec);
	state_text(out, "text", file->text, file->length);
	state_end(out);
}

void state_save_table(const struct supervisor *s, struct state_writer *out)
{
	for (size_t i = 0; i < s->table->file_count; i++)
		save_file(out, &s->table->file_read[i]);
	for (size_t i = 0; i < s->reload_problems.count; i++) {
		const struct diagnostic *one = &s->reload_problems.item[i];
		state_record(out, "problem");
		state_number(out, "mistake", one->severity == MISTAKE);
		state_text(out, "text", one->text, strlen(one->text));
		state_end(out);
	}
}

static bool load_file(struct state_reader *in, const struct state_record *record, struct table_file *file)
{
	uint64_t device, inode, size, seconds, nanoseconds;
	const struct state_value *path = state_find(record, "path"), *text = state_find(record, "text");

	if (path == NULL || text == NULL || !state_get(in, record, "device", UINT64_MAX, &device) ||
	    !state_get(in, record, "inode", UINT64_MAX, &inode) ||
	    !state_get(in, record, "size", INT64_MAX, &size) ||
	    !state_get(in, record, "seconds", UINT64_MAX, &seconds) ||
	    !state_get(in, record, "nanoseconds", 999999999, &nanoseconds))
		return state_wrong(in, "record file: a value is missing or wrong");
	*file = (struct table_file){.path = path->text,
				    .device = device,
				    .inode = inode,
				    .size = (off_t)size,
				    .modified = {.tv_sec = (time_t)seconds, .tv_nsec = (long)nanoseconds},
				    .text = text->text,
				    .length = text->length};
	return true;
}

static bool load_table(struct supervisor *s, struct state_reader *in, struct diagnostics *mistakes)
{
	struct table_options options = {.privileged = s->privileged, .runtime_dir = s->runtime_dir_option};
	size_t count = 0;

	struct table_file *file = calloc(in->count + 1, sizeof(*file));
	if (file == NULL)
		return state_wrong(in, "%s", strerror(ENOMEM));
	for (const struct state_record *record = NULL; (record = state_next(in, "file", record)) != NULL;)
		if (!load_file(in, record, &file[count++])) {
			free(file);
			return false;
		}
	options.file = file;
	options.file_count = count;
	s->table = table_read(s->config_file, &options, mistakes);
	free(file);
	if (s->table == NULL)
		return state_wrong(in, "the table in force has %zu mistake%s for this program",
				   mistakes->mistakes, mistakes->mistakes == 1 ? "" : "s");
	s->warnings = *mistakes;
	*mistakes = (struct diagnostics){0};
	return true;
}

static bool load_problems(struct supervisor *s, struct state_reader *in)
{
	struct diagnostics *to = &s->reload_problems;

	for (const struct state_record *record = NULL;
	     (record = state_next(in, "problem", record)) != NULL;) {
		uint64_t mistake;
		const struct state_value *text = state_find(record, "text");
		if (text == NULL || !state_get(in, record, "mistake", 1, &mistake))
			return state_wrong(in, "record problem: a value is missing");
		if (diagnostics_add(to, mistake ? MISTAKE : WARNING, text->text) < 0)
			return state_wrong(in, "%s", strerror(ENOMEM));
	}
	return true;
}

bool state_load_table(struct supervisor *s, struct state_reader *in, struct diagnostics *mistakes)
{
	return load_table(s, in, mistakes) && load_problems(s, in);
}
