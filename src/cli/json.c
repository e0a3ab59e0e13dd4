/*
 * json.c: a streaming writer of JSON (RFC 8259).
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "json.h"

#include <inttypes.h>

/* Bytes of the UTF-8 character at `text`, 0 when it is none: overlong forms, surrogates and what is above
   U+10FFFF are none. */
static unsigned utf8_length(const unsigned char *text)
{
	unsigned length;
	uint32_t code;

	if (text[0] < 0x80)
		return 1;
	if (text[0] >= 0xc2 && text[0] <= 0xdf)
		length = 2;
	else if ((text[0] & 0xf0) == 0xe0)
		length = 3;
	else if (text[0] >= 0xf0 && text[0] <= 0xf4)
		length = 4;
	else
		return 0;
	code = text[0] & (0xffu >> (length + 1));
	for (unsigned i = 1; i < length; i++) {
		/* The NUL at the end stops this, too. */
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff)))
		return 0;
	if (length == 4 && (code < 0x10000 || code > 0x10ffff))
		return 0;
	return length;
}

/* One character; returns its bytes. */
static unsigned put_character(FILE *out, const unsigned char *text)
{
	unsigned length = utf8_length(text);

	if (length == 0) {
		fputs("\\ufffd", out);
		return 1;
	}
	if (text[0] == '"' || text[0] == '\\')
		fprintf(out, "\\%c", text[0]);
	else if (text[0] < 0x20 || text[0] == 0x7f)
		fprintf(out, "\\u%04x", text[0]);
	else if (text[0] == 0xc2 && text[1] < 0xa0)
		fprintf(out, "\\u%04x", text[1]); /* control characters, too, to some terminals */
	else
		fwrite(text, 1, length, out);
	return length;
}

static void put_string(FILE *out, const char *value)
{
	const unsigned char *text = (const unsigned char *)value;

	fputc('"', out);
	while (*text)
		text += put_character(out, text);
	fputc('"', out);
}

static void before_value(struct json *json, const char *key)
{
	if (json->follows)
		fputs(", ", json->out);
	json->follows = true;
	if (!key)
		return;
	put_string(json->out, key);
	fputs(": ", json->out);
}

static void open_with(struct json *json, const char *key, char bracket)
{
	before_value(json, key);
	fputc(bracket, json->out);
	json->follows = false;
}

static void close_with(struct json *json, char bracket)
{
	fputc(bracket, json->out);
	json->follows = true;
}

void json_begin(struct json *json, FILE *out)
{
	json->out = out;
	json->follows = false;
}

void json_end(struct json *json)
{
	fputc('\n', json->out);
}

void json_object(struct json *json, const char *key)
{
	open_with(json, key, '{');
}

void json_object_end(struct json *json)
{
	close_with(json, '}');
}

void json_array(struct json *json, const char *key)
{
	open_with(json, key, '[');
}

void json_array_end(struct json *json)
{
	close_with(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
	before_value(json, key);
	put_string(json->out, value);
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	before_value(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
	before_value(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void json_seconds(struct json *json, const char *key, uint64_t ms)
{
	before_value(json, key);
	fprintf(json->out, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000));
}

void json_bool(struct json *json, const char *key, bool value)
{
	before_value(json, key);
	fputs(value ? "true" : "false", json->out);
}
