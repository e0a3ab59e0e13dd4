/*
 * service_names.c: see service_names.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "service_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

#define ROOM 4096

int names_init(struct names *names)
{
	*names = (struct names){.service = calloc(BOARD_SERVICES, sizeof(*names->service)),
				.text = calloc(1, ROOM),
				.length = 1,
				.room = ROOM};
	return names->service && names->text ? 0 : -ENOMEM;
}

void names_free(struct names *names)
{
	free(names->service);
	free(names->text);
	*names = (struct names){0};
}

/* Into a block of this size, without what nobody has any more. */
static int names_move(struct names *names, size_t room)
{
	char *text = malloc(room);
	size_t length = 1;

	if (!text)
		return -ENOMEM;
	text[0] = '\0';
	for (uint32_t i = 0; i < BOARD_SERVICES; i++) {
		const char *name = names_of(names, i);
		size_t size = strlen(name) + 1;

		if (!names->service[i].at)
			continue;
		memcpy(text + length, name, size);
		names->service[i].at = (uint32_t)length;
		length += size;
	}
	free(names->text);
	names->text = text;
	names->length = length;
	names->room = room;
	names->left = 0;
	return 0;
}

int names_tell(struct names *names, uint32_t service, const char *name, uint32_t target)
{
	struct named *named = &names->service[service];
	const char *before = names_of(names, service);
	size_t size = strlen(name) + 1;

	named->target = target;
	if (strcmp(before, name) == 0)
		return 0;
	if (names->room - names->length < size) {
		size_t needed = names->length - names->left + size;
		int error = names_move(names, needed + needed / 4 + ROOM);

		if (error)
			return error;
		before = names_of(names, service);
	}
	if (named->at)
		names->left += strlen(before) + 1;
	named->at = (uint32_t)names->length;
	memcpy(names->text + names->length, name, size);
	names->length += size;
	return 0;
}

const char *names_of(const struct names *names, uint32_t service)
{
	return names->text + names->service[service].at;
}

uint32_t names_target(const struct names *names, uint32_t service)
{
	return names->service[service].target;
}
