/*
 * env_file.c: files of NAME=VALUE lines. Their mistakes are told with their own name and line.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "source.h"
#include "values.h"

struct env_file {
	const char **line; /* NULL: could not be read */
};

/* Without the blanks at both ends. */
static char *env_file_trim(char *line)
{
	size_t length;

	while (*line == ' ' || *line == '\t')
		line++;
	length = strlen(line);
	while (length && strchr(" \t\r", line[length - 1]))
		line[--length] = '\0';
	return line;
}

/* VALUE may stand in quotes of one kind, for spaces at its ends. */
static void env_file_unquote(char *value)
{
	size_t length = strlen(value);

	if (length < 2 || (*value != '"' && *value != '\'') || value[length - 1] != *value)
		return;
	memmove(value, value + 1, length - 2);
	value[length - 2] = '\0';
}

static const char *env_file_line(struct reader *reader, struct place place, char *line)
{
	size_t length = value_env_name(line);

	if (!length || line[length] != '=') {
		report_mistake(&reader->report, place, NULL, NULL, "no NAME=VALUE (comments start with #)");
		return NULL;
	}
	if (!strncmp(line, "LUST_", 5)) {
		report_mistake(&reader->report, place, NULL, NULL,
			       "%.*s: names with LUST_ are set by lust-inetd", (int)length, line);
		return NULL;
	}
	env_file_unquote(line + length + 1);
	return arena_strdup(reader->arena, line);
}

static const char **env_file_lines(struct reader *reader, const char *path, char *text, size_t length)
{
	struct source *source = arena_alloc(reader->arena, sizeof(*source));
	struct place place = {source, 0};
	const char **lines = NULL;
	size_t count = 0, room = 0;
	char *rest = text, *line;

	source->path = path;
	source->index = reader->sources++;
	if (memchr(text, '\0', length))
		report_mistake(&reader->report, (struct place){source, 1}, NULL, NULL,
			       "a NUL byte (this file is plain text)");
	while ((line = strsep(&rest, "\n"))) {
		place.line++;
		line = env_file_trim(line);
		if (!*line || *line == '#')
			continue;
		lines = arena_room(reader->arena, lines, count, &room, sizeof(*lines));
		lines[count] = env_file_line(reader, place, line);
		count += lines[count] != NULL;
	}
	lines = arena_room(reader->arena, lines, count, &room, sizeof(*lines));
	lines[count] = NULL;
	return lines;
}

static const char *env_file_path(struct reader *reader, const struct setting *setting, const char *path)
{
	const char *file = setting->place.source->path, *slash = strrchr(file, '/');

	if (*path == '/' || !slash)
		return path;
	return arena_format(reader->arena, "%.*s/%s", (int)(slash - file), file, path);
}

const char **env_file_read(struct reader *reader, const char *title, struct setting *setting, unsigned at)
{
	const char *path = setting->value[at];
	struct env_file *file;
	struct stat status;
	size_t length;
	void **slot;
	int error;

	path = env_file_path(reader, setting, path);
	slot = map_slot(&reader->env_files, path, strlen(path));
	file = *slot;
	if (file)
		return file->line;
	file = *slot = arena_alloc(reader->arena, sizeof(*file));
	error = files_load(reader, path, true, &reader->text[0], &length, &status);
	if (error) {
		value_mistake(reader, title, setting, at, "%s: %s", path, source_error(error));
		return NULL;
	}
	read_remember(reader, path, &status, reader->text[0], length);
	file->line = env_file_lines(reader, path, reader->text[0], length);
	free(reader->text[0]);
	reader->text[0] = NULL;
	return file->line;
}
