/*
 * wire.c: what can be judged of a message without knowing its sender's state.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "wire.h"

#include <stdbool.h>
#include <string.h>

size_t lust_wire_length(const union lust_wire_message *message)
{
	uint32_t count = message->header.count;

	switch ((enum lust_wire_type)message->header.type) {
	case LUST_WIRE_HELLO:
		return sizeof(struct lust_wire_hello);
	case LUST_WIRE_CONNECTIONS:
		if (count > LUST_WIRE_BATCH)
			return 0;
		return offsetof(struct lust_wire_connections, entry) +
		       count * sizeof(struct lust_wire_connection);
	case LUST_WIRE_DENIED:
		return sizeof(struct lust_wire_denied);
	case LUST_WIRE_REGISTER:
	case LUST_WIRE_CLONE:
		return sizeof(struct lust_wire_register);
	case LUST_WIRE_TAKEN:
	case LUST_WIRE_DONE:
	case LUST_WIRE_REFUSED:
		if (count > LUST_WIRE_BATCH)
			return 0;
		return offsetof(struct lust_wire_ids, id) + count * sizeof(uint64_t);
	case LUST_WIRE_CAPACITY:
		return sizeof(struct lust_wire_capacity);
	case LUST_WIRE_REGISTERED:
	case LUST_WIRE_DRAIN:
	case LUST_WIRE_PAIR:
	case LUST_WIRE_ALIVE:
	case LUST_WIRE_DRAINING:
		return sizeof(struct lust_wire_header);
	}
	return 0;
}

/* NUL-terminated and NUL-filled: nothing of the sender's memory travels behind the text. */
static bool text_is_clean(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == size)
		return false;
	for (size_t i = length; i < size; i++) {
		if (text[i])
			return false;
	}
	return true;
}

/* What is the same for all: header, length, count. `lists`: entries or ids follow. */
static const char *check_shape(const union lust_wire_message *message, size_t length, bool lists)
{
	size_t known;

	if (lists && (message->header.count == 0 || message->header.count > LUST_WIRE_BATCH))
		return "count is not between 1 and 64";
	if (!lists && message->header.count != 0)
		return "count is not 0";
	known = lust_wire_length(message);
	if (length < known)
		return "message is too short for its type";
	/* A newer peer may have appended something. */
	if (length > known && message->header.version <= LUST_WIRE_VERSION)
		return "message is too long for its type";
	return NULL;
}

static const char *check_header(const union lust_wire_message *message, size_t length)
{
	if (length < sizeof(struct lust_wire_header))
		return "message is shorter than its header";
	if (message->header.version == 0)
		return "version is 0";
	return NULL;
}

static const char *check_register(const struct lust_wire_register *reg)
{
	if (!text_is_clean(reg->service, sizeof(reg->service)) || !reg->service[0])
		return "service is empty or not filled with NULs";
	if (!text_is_clean(reg->label, sizeof(reg->label)))
		return "label is not filled with NULs";
	if (reg->batch > LUST_WIRE_BATCH)
		return "batch is above 64";
	if (reg->held > LUST_WIRE_HELD_MAX)
		return "held is above 1073741824";
	if (reg->header.version <= LUST_WIRE_VERSION &&
	    reg->flags & ~(uint32_t)(LUST_WIRE_NONBLOCKING | LUST_WIRE_DRAINED))
		return "unknown flags";
	return NULL;
}

const char *lust_wire_check_from_server(const union lust_wire_message *message, size_t length)
{
	const char *wrong = check_header(message, length);

	if (wrong)
		return wrong;
	switch (message->header.type) {
	case LUST_WIRE_REGISTER:
	case LUST_WIRE_CLONE:
		wrong = check_shape(message, length, false);
		return wrong ? wrong : check_register(&message->reg);
	case LUST_WIRE_TAKEN:
	case LUST_WIRE_DONE:
	case LUST_WIRE_REFUSED:
		return check_shape(message, length, true);
	case LUST_WIRE_CAPACITY:
	case LUST_WIRE_ALIVE:
	case LUST_WIRE_DRAINING:
		return check_shape(message, length, false);
	default:
		return "unknown message type";
	}
}

static const char *check_connections(const struct lust_wire_connections *connections)
{
	for (uint32_t i = 0; i < connections->header.count; i++) {
		uint16_t kind = connections->entry[i].kind;

		if (kind != LUST_WIRE_TCP && kind != LUST_WIRE_UNIX)
			return "unknown kind of connection";
	}
	return NULL;
}

static const char *check_hello(const struct lust_wire_hello *hello)
{
	if (!text_is_clean(hello->service, sizeof(hello->service)))
		return "service is not filled with NULs";
	if (hello->acknowledge > LUST_WIRE_ACK_DONE)
		return "unknown acknowledge";
	return NULL;
}

const char *lust_wire_check_from_daemon(const union lust_wire_message *message, size_t length)
{
	const char *wrong = check_header(message, length);

	if (wrong)
		return wrong;
	switch (message->header.type) {
	case LUST_WIRE_HELLO:
		wrong = check_shape(message, length, false);
		return wrong ? wrong : check_hello(&message->hello);
	case LUST_WIRE_CONNECTIONS:
		wrong = check_shape(message, length, true);
		return wrong ? wrong : check_connections(&message->connections);
	case LUST_WIRE_DENIED:
		wrong = check_shape(message, length, false);
		if (!wrong && !text_is_clean(message->denied.reason, sizeof(message->denied.reason)))
			wrong = "reason is not filled with NULs";
		return wrong;
	case LUST_WIRE_REGISTERED:
	case LUST_WIRE_DRAIN:
	case LUST_WIRE_PAIR:
		return check_shape(message, length, false);
	default:
		/* What a newer daemon says beyond our words is for newer servers. */
		return message->header.version > LUST_WIRE_VERSION &&
				       message->header.type < LUST_WIRE_REGISTER
			       ? NULL
			       : "unknown message type";
	}
}
