/*
 * state_read.c: the reading half of state.h.  Pure; believes nothing of what it reads.
 *
 * SPDX-License-Identifier: ISC
 */
#include "state.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong(struct state_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool state_wrong(struct state_reader *reader, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(reader->problem, sizeof(reader->problem), format, list);
	va_end(list);
	return false;
}

static int wrong(struct state_reader *reader, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(reader->problem, sizeof(reader->problem), format, list);
	va_end(list);
	return -EPROTO;
}

static int no_memory(struct state_reader *reader)
{
	wrong(reader, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

static int hex(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* In place: it only gets shorter.  -1: a '%' without its two digits. */
static ssize_t decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
		if (low < 0)
			return -1;
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return to - text;
}

/* Digits alone, no sign, no blank. */
static bool parse_unsigned(const char *text, uint64_t *number)
{
	uint64_t value = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || value > (UINT64_MAX - (uint64_t)(*text - '0')) / 10)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*number = value;
	return true;
}

static bool parse_signed(const char *text, int64_t *number)
{
	bool negative = *text == '-';
	uint64_t value;

	if (!parse_unsigned(text + negative, &value) || value > INT64_MAX)
		return false;
	*number = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

static bool parse_fd(const char *text, int *fd)
{
	uint64_t number;

	/* The standard three are never ours to hand on. */
	if (!parse_unsigned(text, &number) || number < 3 || number > INT_MAX)
		return false;
	*fd = (int)number;
	return true;
}

static int read_value(struct state_reader *reader, struct state_record *record, char *word)
{
	char *equals = strchr(word, '=');

	if (equals == NULL || equals == word)
		return wrong(reader, "record %s: \"%.40s\" is no KEY=VALUE", record->type, word);
	*equals = '\0';
	struct state_value *value = &record->value[record->count++];
	value->key = word;
	value->text = equals + 1;
	value->is_fd = strncmp(value->text, "fd:", 3) == 0;
	if (value->is_fd)
		value->text += 3;
	ssize_t length = decode(value->text);
	if (length < 0)
		return wrong(reader, "record %s: %s: bad %%XX", record->type, word);
	value->length = (size_t)length;
	if (!value->is_fd)
		return 0;
	if (!parse_fd(value->text, &reader->fd[reader->fds]))
		return wrong(reader, "record %s: %s: no descriptor", record->type, word);
	reader->fds++;
	return 0;
}

static size_t count_byte(const char *text, char byte)
{
	size_t count = 0;

	while ((text = strchr(text, byte)) != NULL) {
		count++;
		text++;
	}
	return count;
}

static int read_line(struct state_reader *reader, char *line)
{
	struct state_record *record = &reader->record[reader->count];
	char *rest = line;

	*record = (struct state_record){.type = strsep(&rest, " ")};
	if (record->type[0] == '\0')
		return wrong(reader, "a record without a type");
	reader->count++;
	if (rest == NULL)
		return 0;
	record->value = calloc(count_byte(rest, ' ') + 1, sizeof(*record->value));
	if (record->value == NULL)
		return no_memory(reader);
	for (char *word; (word = strsep(&rest, " ")) != NULL;) {
		int result = read_value(reader, record, word);
		if (result < 0)
			return result;
	}
	return 0;
}

static int check_head(struct state_reader *reader, const char *text, size_t length)
{
	static const char name[] = "lust-inetd-state ";
	const size_t head = strlen(state_head), stem = sizeof(name) - 1;
	const char *end = memchr(text, '\n', length);

	if (length >= head && memcmp(text, state_head, head) == 0)
		return 0;
	if (end == NULL || (size_t)(end - text) <= stem || memcmp(text, name, stem) != 0)
		return wrong(reader, "this is no state of lust-inetd");
	return wrong(
		reader,
		"state of version %.*s, this program knows %.*s: only a restart leads from one to the other",
		(int)((size_t)(end - text) - stem), text + stem, (int)(head - stem - 1), state_head + stem);
}

int state_parse(struct state_reader *reader, const char *text, size_t length)
{
	*reader = (struct state_reader){0};
	int result = check_head(reader, text, length);
	if (result < 0)
		return result;
	text += strlen(state_head);
	length -= strlen(state_head);
	if (length > 0 && (text[length - 1] != '\n' || memchr(text, '\0', length) != NULL))
		return wrong(reader, "the state is cut off");
	reader->text = malloc(length + 1);
	if (reader->text == NULL)
		return no_memory(reader);
	memcpy(reader->text, text, length);
	reader->text[length] = '\0';
	reader->record = calloc(count_byte(reader->text, '\n') + 1, sizeof(*reader->record));
	/* Every value may name one. */
	reader->fd = calloc(count_byte(reader->text, '=') + 1, sizeof(*reader->fd));
	if (reader->record == NULL || reader->fd == NULL)
		return no_memory(reader);
	char *rest = reader->text;
	for (char *line; result == 0 && (line = strsep(&rest, "\n")) != NULL && rest != NULL;)
		result = read_line(reader, line);
	return result;
}

void state_read_free(struct state_reader *reader)
{
	for (size_t i = 0; reader->record != NULL && i < reader->count; i++)
		free(reader->record[i].value);
	free(reader->record);
	free(reader->text);
	free(reader->fd);
	reader->record = NULL;
	reader->text = NULL;
	reader->fd = NULL;
	reader->count = reader->fds = 0;
}

const struct state_record *state_next(const struct state_reader *reader, const char *type,
				      const struct state_record *after)
{
	size_t i = after == NULL ? 0 : (size_t)(after - reader->record) + 1;

	for (; i < reader->count; i++)
		if (strcmp(reader->record[i].type, type) == 0)
			return &reader->record[i];
	return NULL;
}

const struct state_value *state_find(const struct state_record *record, const char *key)
{
	for (size_t i = 0; i < record->count; i++)
		if (strcmp(record->value[i].key, key) == 0)
			return &record->value[i];
	return NULL;
}

static bool bad_value(struct state_reader *reader, const struct state_record *record, const char *key)
{
	wrong(reader, "record %s: %s: missing, or out of range", record->type, key);
	return false;
}

bool state_get(struct state_reader *reader, const struct state_record *record, const char *key, uint64_t most,
	       uint64_t *number)
{
	const struct state_value *value = state_find(record, key);

	if (value == NULL || value->is_fd || !parse_unsigned(value->text, number) || *number > most)
		return bad_value(reader, record, key);
	return true;
}

static bool store_unsigned(const struct state_field *field, const char *text, void *at)
{
	uint64_t number, most = field->most;

	if (most == 0)
		most = field->size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * field->size) - 1;
	if (!parse_unsigned(text, &number) || number > most)
		return false;
	switch (field->size) {
	case 1:
		*(uint8_t *)at = (uint8_t)number;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)number;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)number;
		break;
	default:
		*(uint64_t *)at = number;
		break;
	}
	return true;
}

static bool store_signed(const struct state_field *field, const char *text, void *at)
{
	int64_t number;

	if (!parse_signed(text, &number))
		return false;
	if (field->size != 4) {
		*(int64_t *)at = number;
		return true;
	}
	if (number < INT32_MIN || number > INT32_MAX)
		return false;
	*(int32_t *)at = (int32_t)number;
	return true;
}

static bool store_text(const struct state_field *field, const struct state_value *value, void *at)
{
	if (value->length >= field->size || strlen(value->text) != value->length)
		return false;
	memset(at, 0, field->size);
	memcpy(at, value->text, value->length);
	return true;
}

static bool store(const struct state_field *field, const struct state_value *value, void *at)
{
	if (value->is_fd != (field->kind == STATE_FD))
		return false;
	switch (field->kind) {
	case STATE_UNSIGNED:
		return store_unsigned(field, value->text, at);
	case STATE_SIGNED:
		return store_signed(field, value->text, at);
	case STATE_FD:
		return parse_fd(value->text, at);
	case STATE_TEXT:
		return store_text(field, value, at);
	case STATE_STRING:
		if (strlen(value->text) != value->length)
			return false;
		free(*(char **)at);
		*(char **)at = strdup(value->text);
		return *(char **)at != NULL;
	}
	return false;
}

bool state_fill(struct state_reader *reader, const struct state_record *record,
		const struct state_field *field, void *base)
{
	for (; field->key != NULL; field++) {
		const struct state_value *value = state_find(record, field->key);
		if (value != NULL && !store(field, value, (char *)base + field->offset))
			return bad_value(reader, record, field->key);
	}
	return true;
}
