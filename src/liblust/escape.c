/*
 * escape.c: see escape.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "escape.h"

#include <stdbool.h>
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

size_t lust_escape(char *out, size_t size, const char *raw, size_t length, size_t *written)
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

size_t lust_escape_unfinished(const char *raw, size_t length)
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
