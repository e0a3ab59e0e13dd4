/*
 * fuzz_text.c: what is read out of small texts that others wrote: addresses, /proc/PID/stat, servers' lines, the
 * dispatcher's events.  The first byte says which.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "event_text.h"
#include "format.h"
#include "fuzz.h"
#include "lifecycle.h"
#include "line.h"

#define BYTES 20000

static void addresses(const char *text)
{
	struct address address, again;
	struct sockaddr_storage storage;
	char said[ADDRESS_TEXT];

	if (address_parse_ip(text, &address) < 0)
		return;
	socklen_t length = address_to_sockaddr(&address, &storage);
	address_format(&address, said);
	FUZZ_CHECK(strlen(said) < sizeof(said));
	FUZZ_CHECK(address_from_sockaddr(&again, (struct sockaddr *)&storage, length) == 0);
	FUZZ_CHECK(address_overlaps(&address, &address));
}

static void process_stat(const char *text)
{
	pid_t group = 0, session = 0;
	uint64_t start = 0;

	if (orphans_parse_stat(text, &group, &session, &start))
		FUZZ_CHECK(strchr(text, ')') != NULL);
}

static void check_line(void *context, const char *text, size_t length, bool continued)
{
	size_t *total = context;

	(void)continued;
	FUZZ_CHECK(length > 0 && length <= LINE_MAX_BYTES && strlen(text) == length);
	for (size_t i = 0; i < length; i++)
		FUZZ_CHECK((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
	*total += length;

	char out[FORMAT_BYTES];
	struct entry entry = {.time_us = 1, .level = LEVEL_INFO, .name = "web", .pid = 1, .text = text};
	FUZZ_CHECK(format_file(&entry, out, sizeof(out)) <= sizeof(out));
	FUZZ_CHECK(format_syslog(&entry, 1, out, sizeof(out)) <= sizeof(out));
	FUZZ_CHECK(format_journal(&entry, out, sizeof(out)) <= sizeof(out));
}

/* In pieces, as they come out of a pipe. */
static void lines(struct input *input)
{
	struct line_splitter *splitter = calloc(1, sizeof(*splitter));
	size_t total = 0;

	FUZZ_CHECK(splitter != NULL);
	while (input->left) {
		size_t piece = (size_t)input_byte(input) * 64 + 1;
		if (piece > input->left)
			piece = input->left;
		line_feed(splitter, (const char *)input->at, piece, check_line, &total);
		input->at += piece;
		input->left -= piece;
		if (piece % 7 == 0)
			line_flush(splitter, false, check_line, &total);
	}
	line_flush(splitter, true, check_line, &total);
	free(splitter);
}

static void events(struct input *input)
{
	struct event event;
	char text[LINE_MAX_BYTES];

	input_copy(input, &event, sizeof(event));
	if (!event_known(&event))
		return;
	(void)event_level(&event);
	FUZZ_CHECK(event_text(&event, text, sizeof(text)) == text);
	FUZZ_CHECK(memchr(text, '\0', sizeof(text)) != NULL);
	for (const char *at = text; *at; at++)
		FUZZ_CHECK((unsigned char)*at >= ' ' && *at != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	char text[BYTES + 1];

	if (size > BYTES)
		return -1;
	switch (input_below(&input, 4)) {
	case 0:
		memcpy(text, input.at, input.left);
		text[input.left] = '\0';
		addresses(text);
		break;
	case 1:
		memcpy(text, input.at, input.left);
		text[input.left] = '\0';
		process_stat(text);
		break;
	case 2:
		lines(&input);
		break;
	default:
		events(&input);
		break;
	}
	return 0;
}
