/*
 * target.c: see target.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct target_record {
	struct target_record *next;
	size_t length, done;
	char bytes[];
};

void target_init(struct target *target, enum logger_kind kind, int fd, bool owned, pid_t daemon)
{
	*target = (struct target){.kind = kind, .fd = fd, .owned = owned, .daemon = daemon};
	target->last = &target->first;
	target->way = fd >= 0 ? deliver_way(fd) : DELIVER_FILE;
}

void target_replace(struct target *target, enum logger_kind kind, int fd, bool owned)
{
	if (target->owned && target->fd >= 0)
		close(target->fd);
	target->kind = kind;
	target->fd = fd;
	target->owned = owned;
	target->way = fd >= 0 ? deliver_way(fd) : DELIVER_FILE;
	target->torn = false;
	if (target->first)
		target->first->done = 0; /* half a line in the old file is a whole one in the new */
}

static void drop_first(struct target *target)
{
	struct target_record *record = target->first;

	target->first = record->next;
	if (!target->first)
		target->last = &target->first;
	target->queued -= record->length;
	free(record);
}

void target_close(struct target *target)
{
	while (target->first)
		drop_first(target);
	if (target->owned && target->fd >= 0)
		close(target->fd);
	target->fd = -1;
}

static void count_drop(struct target *target, int error)
{
	target->dropped++;
	target->error = error;
}

/* Notes a failure in the middle of a line, so that the next one does not stick to it. */
static int try(struct target *target, const char *bytes, size_t length, size_t *done)
{
	int result;

	if (target->fd < 0)
		return -ENOTCONN;
	if (target->torn) {
		size_t newline = 0;

		result = deliver(target->fd, target->way, "\n", 1, &newline);
		if (result < 0)
			return result;
		target->torn = false;
	}
	result = deliver(target->fd, target->way, bytes, length, done);
	if (result < 0 && result != -EAGAIN && *done > 0)
		target->torn = true;
	return result;
}

static void enqueue(struct target *target, const char *bytes, size_t length, size_t done)
{
	struct target_record *record = NULL;

	if (target->queued + length <= TARGET_QUEUE)
		record = malloc(sizeof(*record) + length);
	if (!record) {
		/* Not the rest of a line that has begun: the target must not get half of it. */
		if (done > 0)
			target->torn = true;
		count_drop(target, 0);
		return;
	}
	record->next = NULL;
	record->length = length;
	record->done = done;
	memcpy(record->bytes, bytes, length);
	*target->last = record;
	target->last = &record->next;
	target->queued += length;
}

static size_t format(const struct target *target, const struct entry *entry, char out[FORMAT_BYTES])
{
	if (target->kind == LOGGER_SYSLOG)
		return format_syslog(entry, target->daemon, out, FORMAT_BYTES);
	if (target->kind == LOGGER_JOURNAL)
		return format_journal(entry, out, FORMAT_BYTES);
	return format_file(entry, out, FORMAT_BYTES);
}

static void put_bytes(struct target *target, const char *bytes, size_t length)
{
	size_t done = 0;
	int result = -EAGAIN;

	if (!target->first)
		result = try(target, bytes, length, &done);
	if (result == -EAGAIN)
		enqueue(target, bytes, length, done);
	else if (result < 0)
		count_drop(target, -result);
}

/* The line about dropped lines goes out before any other, and only when it gets through. */
static void tell_dropped(struct target *target, uint64_t now_us)
{
	char text[160], bytes[FORMAT_BYTES];
	struct entry entry = {.time_us = now_us, .level = LEVEL_WARNING, .name = "", .text = text};
	size_t length, done = 0;
	int result;

	if (target->error != 0 && strerrordesc_np(target->error))
		snprintf(text, sizeof(text), "%" PRIu64 " lines dropped: the log could not be written: %s",
			 target->dropped, strerrordesc_np(target->error));
	else
		snprintf(text, sizeof(text),
			 "%" PRIu64 " lines dropped: they came faster than the log takes them",
			 target->dropped);
	length = format(target, &entry, bytes);
	result = try(target, bytes, length, &done);
	if (result < 0 && (result != -EAGAIN || done == 0))
		return;
	if (result == -EAGAIN)
		enqueue(target, bytes, length, done);
	target->dropped = 0;
	target->error = 0;
}

void target_put(struct target *target, const struct entry *entry)
{
	char bytes[FORMAT_BYTES];

	if (target->dropped > 0 && !target->first)
		tell_dropped(target, entry->time_us);
	if (target->dropped > 0 && !target->first) {
		target->dropped++; /* it still fails; keep the order, keep the reason */
		return;
	}
	put_bytes(target, bytes, format(target, entry, bytes));
}

void target_retry(struct target *target, uint64_t now_us)
{
	while (target->first) {
		struct target_record *record = target->first;
		int result = try(target, record->bytes, record->length, &record->done);

		if (result == -EAGAIN)
			return;
		if (result < 0)
			count_drop(target, -result);
		drop_first(target);
	}
	if (target->dropped > 0)
		tell_dropped(target, now_us);
}

bool target_waiting(const struct target *target)
{
	return target->fd >= 0 && (target->first != NULL || target->dropped > 0);
}
