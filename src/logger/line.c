/*
 * line.c: see line.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "line.h"

#include <string.h>

#include "escape.h"

/* Escaping makes lines longer: what does not fit goes on as further ones. */
static void give(const char *raw, size_t length, bool continued, line_sink *sink, void *context)
{
	char text[LINE_MAX_BYTES + 1];

	while (length > 0) {
		size_t written, used = lust_escape(text, sizeof(text), raw, length, &written);

		sink(context, text, written, continued);
		continued = true;
		raw += used;
		length -= used;
	}
}

static void cut(struct line_splitter *splitter, line_sink *sink, void *context)
{
	size_t rest = lust_escape_unfinished(splitter->raw, splitter->length);

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
