/*
 * short_forms.c: short forms of numbers, times and names.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "short_forms.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define COLUMNS 80u

const char *format_duration(char text[FORMAT_SHORT], uint64_t seconds)
{
	if (seconds < 100)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 "s", seconds);
	else if (seconds < UINT64_C(100) * 60)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 "m", seconds / 60);
	else if (seconds < UINT64_C(48) * 3600)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 "h", seconds / 3600);
	else
		snprintf(text, FORMAT_SHORT, "%" PRIu64 "d", seconds / 86400);
	return text;
}

const char *format_time(char text[FORMAT_SHORT], uint64_t us)
{
	if (us < 1000)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 "us", us);
	else if (us < 10000)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 ".%" PRIu64 "ms", us / 1000, us / 100 % 10);
	else if (us < 1000000)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 "ms", us / 1000);
	else if (us < 10000000)
		snprintf(text, FORMAT_SHORT, "%" PRIu64 ".%" PRIu64 "s", us / 1000000, us / 100000 % 10);
	else
		format_duration(text, us / 1000000);
	return text;
}

const char *format_count(char text[FORMAT_SHORT], uint64_t count, unsigned width)
{
	static const char unit[] = "kMGTPE";

	if (snprintf(text, FORMAT_SHORT, "%" PRIu64, count) <= (int)width)
		return text;
	for (const char *letter = unit; *letter; letter++) {
		count /= 1000;
		if (snprintf(text, FORMAT_SHORT, "%" PRIu64 "%c", count, *letter) <= (int)width)
			break;
	}
	return text;
}

const char *format_ordinal(char text[FORMAT_SHORT], uint64_t number)
{
	const char *ending = "th";

	if (number / 10 % 10 != 1) {
		switch (number % 10) {
		case 1:
			ending = "st";
			break;
		case 2:
			ending = "nd";
			break;
		case 3:
			ending = "rd";
			break;
		default:
			break;
		}
	}
	snprintf(text, FORMAT_SHORT, "%" PRIu64 "%s", number, ending);
	return text;
}

const char *format_clock(char text[FORMAT_SHORT], uint64_t moment_s, uint64_t now_s)
{
	struct tm moment, now;
	time_t at = (time_t)moment_s, today = (time_t)now_s;

	if (!localtime_r(&at, &moment) || !localtime_r(&today, &now)) {
		snprintf(text, FORMAT_SHORT, "%" PRIu64, moment_s);
		return text;
	}
	strftime(text, FORMAT_SHORT,
		 moment.tm_year == now.tm_year && moment.tm_yday == now.tm_yday ? "%H:%M" : "%Y-%m-%d",
		 &moment);
	return text;
}

static bool continues(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

static size_t characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += !continues(*text);
	return count;
}

/* Up to `count` characters. The byte after them. */
static const char *skip(const char *text, size_t count)
{
	for (; *text; text++)
		if (!continues(*text) && count-- == 0)
			break;
	return text;
}

static size_t append(char *text, size_t size, size_t at, const char *from, const char *end)
{
	for (; from < end && at + 1 < size; from++) {
		unsigned char byte = (unsigned char)*from;

		text[at++] = byte < 0x20 || byte == 0x7f ? '?' : *from;
	}
	text[at] = '\0';
	return at;
}

const char *format_cut(char *text, size_t size, unsigned width, const char *from)
{
	size_t length = characters(from), head, at;

	if (length <= width) {
		append(text, size, 0, from, from + strlen(from));
		return text;
	}
	/* Names that look alike mostly differ at the end: keep a third of it. */
	head = width - 1 - width / 3;
	at = append(text, size, 0, from, skip(from, head));
	at = append(text, size, at, "~", &"~"[1]);
	append(text, size, at, skip(from, length - width / 3), from + strlen(from));
	return text;
}

void format_wrap(FILE *out, unsigned indent, const char *words)
{
	unsigned column = 0;

	while (*words) {
		size_t bytes, length = 0;

		words += strspn(words, " ");
		bytes = strcspn(words, " ");
		for (size_t i = 0; i < bytes; i++)
			length += !continues(words[i]);
		if (bytes == 0)
			break;
		if (column > 0 && column + 1 + length > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0)
			column = (unsigned)fprintf(out, "%*s", (int)indent, "");
		else
			column += (unsigned)fprintf(out, " ");
		for (size_t i = 0; i < bytes; i++) {
			unsigned char byte = (unsigned char)words[i];

			fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, out);
		}
		column += (unsigned)length;
		words += bytes;
	}
	fputc('\n', out);
}
