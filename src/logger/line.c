/*
 * line.c: see line.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "line.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the well-formed UTF-8 character at raw and its number; 0: there is none.  *lacks: more bytes could make it one. */
static size_t decode(const unsigned char *raw, size_t length, uint32_t *number, bool *lacks)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t bytes;

	*lacks = false;
	if (raw[0] < 0x80) {
		*number = raw[0];
		return 1;
	}
	if (raw[0] < 0xc2 || raw[0] > 0xf4)
		return 0;
	bytes = raw[0] < 0xe0 ? 2 : raw[0] < 0xf0 ? 3 : 4;
	*number = raw[0] & (0x7fu >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if (i == length) {
			*lacks = true;
			return 0;
		}
		if ((raw[i] & 0xc0) != 0x80)
			return 0;
		*number = *number << 6 | (raw[i] & 0x3fu);
	}
	if (*number < least[bytes] || *number > 0x10ffff || (*number >= 0xd800 && *number <= 0xdfff))
		return 0;
	return bytes;
}

static bool is_control(uint32_t number)
{
	return number < 0x20 || (number >= 0x7f && number <= 0x9f) ||
	       (number >= 0x2028 && number <= 0x202e) || (number >= 0x2066 && number <= 0x2069);
}

/* The escaped form of one byte. */
static size_t escape_byte(char out[5], unsigned char byte)
{
	static const char short_name[] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};

	out[0] = '\\';
	if (byte < sizeof(short_name) && short_name[byte] != '\0') {
		out[1] = short_name[byte];
		return 2;
	}
	return (size_t)snprintf(out, 5, "\\x%02x", byte);
}

size_t line_escape(char *out, size_t size, const char *raw, size_t length, size_t *written)
{
	const unsigned char *in = (const unsigned char *)raw;
	size_t used = 0, done = 0;

	while (used < length) {
		uint32_t number = 0;
		bool lacks;
		size_t bytes = decode(in + used, length - used, &number, &lacks), wide = 0;
		char piece[4 * 5];

		if (bytes > 0 && !is_control(number)) {
			wide = bytes;
			memcpy(piece, in + used, bytes);
		} else {
			if (bytes == 0)
				bytes = 1;
			for (size_t i = 0; i < bytes; i++)
				wide += escape_byte(piece + wide, in[used + i]);
		}
		if (done + wide >= size)
			break;
		memcpy(out + done, piece, wide);
		done += wide;
		used += bytes;
	}
	if (size > 0)
		out[done] = '\0';
	if (written)
		*written = done;
	return used;
}

/* Escaping makes lines longer: what does not fit goes on as further ones. */
static void give(const char *raw, size_t length, bool continued, line_sink *sink, void *context)
{
	char text[LINE_MAX_BYTES + 1];

	while (length > 0) {
		size_t written, used = line_escape(text, sizeof(text), raw, length, &written);

		sink(context, text, written, continued);
		continued = true;
		raw += used;
		length -= used;
	}
}

/* Bytes at the end that may be the beginning of a character whose rest has not come yet. */
static size_t unfinished(const char *raw, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		const unsigned char *at = (const unsigned char *)raw + length - back;
		uint32_t number;
		bool lacks;

		if ((*at & 0xc0) == 0x80)
			continue;
		return decode(at, back, &number, &lacks) == 0 && lacks ? back : 0;
	}
	return 0;
}

static void cut(struct line_splitter *splitter, line_sink *sink, void *context)
{
	size_t rest = unfinished(splitter->raw, splitter->length);

	give(splitter->raw, splitter->length - rest, splitter->continued, sink, context);
	memmove(splitter->raw, splitter->raw + splitter->length - rest, rest);
	splitter->length = rest;
	splitter->continued = true;
}

static void end_line(struct line_splitter *splitter, line_sink *sink, void *context)
{
	if (splitter->length > 0 && splitter->raw[splitter->length - 1] == '\r')
		splitter->length--;
	give(splitter->raw, splitter->length, splitter->continued, sink, context);
	splitter->length = 0;
	splitter->continued = false;
}

void line_feed(struct line_splitter *splitter, const char *data, size_t length, line_sink *sink,
	       void *context)
{
	while (length > 0) {
		const char *newline = memchr(data, '\n', length);
		size_t part = newline ? (size_t)(newline - data) : length;
		size_t room = sizeof(splitter->raw) - splitter->length;

		if (part > room) {
			part = room;
			newline = NULL;
		}
		memcpy(splitter->raw + splitter->length, data, part);
		splitter->length += part;
		data += part;
		length -= part;
		if (newline) {
			data++;
			length--;
			end_line(splitter, sink, context);
		} else if (length > 0) {
			cut(splitter, sink, context);
		}
	}
}

void line_flush(struct line_splitter *splitter, bool ends, line_sink *sink, void *context)
{
	if (ends)
		end_line(splitter, sink, context);
	else if (splitter->length > 0)
		cut(splitter, sink, context);
}
