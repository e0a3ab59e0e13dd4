/*
 * settings_read.c: key = value lines with sections.
 *
 * SPDX-License-Identifier: ISC
 */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACES " \t\r\v\f"
#define KEY_MAX_BYTES 256

struct reader {
	struct lust_settings *settings;
	char section[KEY_MAX_BYTES]; /* "": none */
	unsigned line;
	int result;
};

static void mistake(struct reader *reader, const char *what)
{
	lust_settings_complain(reader->settings, reader->line, "%s", what);
	reader->result = -EINVAL;
}

/* Cuts both ends, in place. */
static char *trim(char *text)
{
	char *end;

	text += strspn(text, SPACES);
	end = text + strlen(text);
	while (end > text && strchr(SPACES, end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* A comment begins a line or follows a space, so that http://host/#part stays whole. */
static void cut_comment(char *text)
{
	for (char *at = text; *at; at++) {
		if ((*at == '#' || *at == ';') && (at == text || strchr(SPACES, at[-1]))) {
			*at = '\0';
			return;
		}
	}
}

/* After the opening quote: \" and \\ stand for themselves.  What follows the closing one, or NULL without one. */
static char *unquote(char *text)
{
	char *out = text;

	for (; *text && *text != '"'; text++) {
		if (*text == '\\' && (text[1] == '"' || text[1] == '\\'))
			text++;
		*out++ = *text;
	}
	if (!*text)
		return NULL;
	*out = '\0';
	return text + 1;
}

/* NULL after a mistake was told. */
static char *read_value(struct reader *reader, char *text)
{
	char *rest;

	text += strspn(text, SPACES);
	if (*text != '"') {
		cut_comment(text);
		return trim(text);
	}
	rest = unquote(++text);
	if (!rest) {
		mistake(reader, "the quote is not closed on its line");
		return NULL;
	}
	cut_comment(rest);
	if (*trim(rest)) {
		mistake(reader, "something follows the closing quote (\\\" is a quote inside of quotes)");
		return NULL;
	}
	return text;
}

static void read_section(struct reader *reader, char *text)
{
	char *end = strchr(text, ']'), *name;

	if (!end) {
		mistake(reader, "a section's name ends with ]");
		return;
	}
	cut_comment(end + 1);
	if (*trim(end + 1)) {
		mistake(reader, "something follows the section's name");
		return;
	}
	*end = '\0';
	name = trim(text + 1);
	if (!lust_settings_key_is_valid(name) || strlen(name) >= sizeof(reader->section)) {
		mistake(reader, "a section's name is made of letters, digits, . _ and -");
		return;
	}
	strcpy(reader->section, name);
}

/* The same key twice in one file is a mistake: one of the two was not meant. */
static bool is_new(struct reader *reader, const char *key)
{
	for (const struct lust_setting *setting = reader->settings->first; setting; setting = setting->next) {
		if (setting->layer != LUST_SETTINGS_FILE || strcmp(setting->key, key) != 0)
			continue;
		lust_settings_complain(reader->settings, reader->line, "%s: set already in line %u", key,
				       setting->line);
		reader->result = -EINVAL;
		return false;
	}
	return true;
}

static void read_setting(struct reader *reader, char *text)
{
	char *equals = strchr(text, '='), *name, *value, key[2 * KEY_MAX_BYTES + 2];

	if (!equals) {
		mistake(reader, "expected KEY = VALUE, [SECTION] or a comment");
		return;
	}
	*equals = '\0';
	name = trim(text);
	if (!lust_settings_key_is_valid(name) || strlen(name) >= KEY_MAX_BYTES) {
		mistake(reader, "a key is made of letters, digits, . _ and -");
		return;
	}
	value = read_value(reader, equals + 1);
	if (!value)
		return;
	snprintf(key, sizeof(key), "%s%s%s", reader->section, reader->section[0] ? "." : "", name);
	if (is_new(reader, key) &&
	    lust_settings_put(reader->settings, LUST_SETTINGS_FILE, reader->line, key, value) < 0)
		reader->result = -ENOMEM;
}

static void read_line(struct reader *reader, char *text, size_t length)
{
	if (memchr(text, '\0', length)) {
		mistake(reader, "a NUL byte: this is no text");
		return;
	}
	if (length > 0 && text[length - 1] == '\n')
		text[length - 1] = '\0';
	text += strspn(text, SPACES);
	if (*text == '\0' || *text == '#' || *text == ';')
		return;
	if (*text == '[')
		read_section(reader, text);
	else
		read_setting(reader, text);
}

static int read_stream(struct lust_settings *settings, FILE *stream)
{
	struct reader reader = {.settings = settings};
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&line, &room, stream)) > 0 && reader.result != -ENOMEM) {
		reader.line++;
		read_line(&reader, line, (size_t)length);
	}
	if (ferror(stream) && reader.result == 0)
		reader.result = errno ? -errno : -EIO; /* a directory: EISDIR */
	free(line);
	return reader.result;
}

static int open_and_read(struct lust_settings *settings, const char *path, bool may_lack)
{
	FILE *stream = fopen(path, "re");
	int result;

	if (!stream && errno == ENOENT && may_lack)
		return 0;
	settings->file = strdup(path);
	if (!settings->file) {
		result = -ENOMEM;
	} else if (!stream) {
		result = -errno;
		lust_settings_complain(settings, 0, "%s: %s", path, strerror(errno));
	} else {
		result = read_stream(settings, stream);
		if (result < 0 && result != -EINVAL)
			lust_settings_complain(settings, 0, "%s: %s", path, strerror(-result));
	}
	if (stream)
		fclose(stream);
	return result;
}

int lust_settings_read(struct lust_settings **out, const char *name, const char *path)
{
	struct lust_settings *settings = calloc(1, sizeof(*settings));
	char *usual = NULL;
	int result;

	*out = settings;
	if (!settings)
		return -ENOMEM;
	if (!path && (name[0] == '\0' || strchr(name, '/')))
		return -EINVAL;
	if (!path && asprintf(&usual, "/etc/%s.conf", name) < 0) {
		usual = NULL;
		result = -ENOMEM;
	} else {
		result = open_and_read(settings, path ? path : usual, !path);
	}
	free(usual);
	if (result == -ENOMEM) {
		lust_settings_free(settings);
		*out = NULL;
	}
	return result;
}
