/*
 * state_write.c: the writing half of state.h.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char state_head[] = "lust-inetd-state 1\n";

static bool make_room(struct state_writer *writer, size_t more)
{
	size_t room = writer->room;

	if (writer->failed)
		return false;
	while (room - writer->length < more)
		room = room < 4096 ? 4096 : room * 2;
	if (room == writer->room)
		return true;
	char *grown = room > STATE_MAX ? NULL : realloc(writer->text, room);
	if (grown == NULL) {
		writer->failed = true;
		return false;
	}
	writer->text = grown;
	writer->room = room;
	return true;
}

static void add(struct state_writer *writer, const char *text, size_t length)
{
	if (!make_room(writer, length))
		return;
	memcpy(writer->text + writer->length, text, length);
	writer->length += length;
}

static void add_format(struct state_writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add_format(struct state_writer *writer, const char *format, ...)
{
	char text[128];
	va_list list;

	va_start(list, format);
	int length = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (length < 0 || (size_t)length >= sizeof(text))
		writer->failed = true;
	else
		add(writer, text, (size_t)length);
}

void state_write_begin(struct state_writer *writer)
{
	*writer = (struct state_writer){0};
	add(writer, state_head, strlen(state_head));
}

void state_write_free(struct state_writer *writer)
{
	free(writer->text);
	free(writer->fd);
	*writer = (struct state_writer){0};
}

void state_record(struct state_writer *writer, const char *type)
{
	add(writer, type, strlen(type));
}

void state_end(struct state_writer *writer)
{
	add(writer, "\n", 1);
}

void state_number(struct state_writer *writer, const char *key, uint64_t number)
{
	add_format(writer, " %s=%llu", key, (unsigned long long)number);
}

static void remember(struct state_writer *writer, int fd)
{
	if (writer->fds == writer->fd_room) {
		size_t room = writer->fd_room == 0 ? 64 : writer->fd_room * 2;
		int *grown = reallocarray(writer->fd, room, sizeof(*grown));
		if (grown == NULL) {
			writer->failed = true;
			return;
		}
		writer->fd = grown;
		writer->fd_room = room;
	}
	writer->fd[writer->fds++] = fd;
}

void state_descriptor(struct state_writer *writer, const char *key, int fd)
{
	if (fd < 0)
		return;
	add_format(writer, " %s=fd:%d", key, fd);
	remember(writer, fd);
}

/* What is left as it is: no space, no '=', no ':' and nothing that ends a line. */
static bool is_plain(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       (byte != '\0' && strchr("/._-@+,", byte) != NULL);
}

void state_text(struct state_writer *writer, const char *key, const char *text, size_t length)
{
	static const char digit[] = "0123456789abcdef";

	add_format(writer, " %s=", key);
	if (length > STATE_MAX / 4 || !make_room(writer, 3 * length)) {
		writer->failed = true;
		return;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (is_plain(byte)) {
			writer->text[writer->length++] = (char)byte;
			continue;
		}
		writer->text[writer->length++] = '%';
		writer->text[writer->length++] = digit[byte >> 4];
		writer->text[writer->length++] = digit[byte & 15];
	}
}

static uint64_t unsigned_at(const void *at, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)at;
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return *(const uint32_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

static int64_t signed_at(const void *at, size_t size)
{
	return size == 4 ? *(const int32_t *)at : *(const int64_t *)at;
}

static void write_field(struct state_writer *writer, const struct state_field *field, const char *at)
{
	switch (field->kind) {
	case STATE_UNSIGNED:
		state_number(writer, field->key, unsigned_at(at, field->size));
		break;
	case STATE_SIGNED:
		add_format(writer, " %s=%lld", field->key, (long long)signed_at(at, field->size));
		break;
	case STATE_FD:
		state_descriptor(writer, field->key, *(const int *)(const void *)at);
		break;
	case STATE_TEXT:
		state_text(writer, field->key, at, strnlen(at, field->size));
		break;
	case STATE_STRING: {
		const char *text = *(const char *const *)(const void *)at;
		if (text != NULL)
			state_text(writer, field->key, text, strlen(text));
		break;
	}
	}
}

void state_struct(struct state_writer *writer, const struct state_field *field, const void *base)
{
	for (; field->key != NULL; field++)
		write_field(writer, field, (const char *)base + field->offset);
}
