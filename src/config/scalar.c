/*
 * scalar.c: the words that are one value of a simple kind. What is not said has the default of the schema.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "reader.h"
#include "values.h"

enum scalar_kind {
	SCALAR_TIME,
	SCALAR_NUMBER,
	SCALAR_BOOL,
	SCALAR_CHOICE,
	SCALAR_OCTAL,
	SCALAR_NICE,
	SCALAR_SIGNAL
};

struct scalar {
	enum word_id id;
	enum scalar_kind kind;
	size_t offset;
	uint64_t least, most; /* times in ms */
	const char *range;    /* the same for people */
	const char *const *choice, *const *later;
};

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SERVICE(field) offsetof(struct service_build, service.field)
#define DISPATCH(field) offsetof(struct service_build, dispatch.field)
#define SERVER(field) offsetof(struct table_server, field)
#define DAYS_49 UINT64_C(4233600000)
#define TIME(id, field, least, least_text)                                                                   \
	{                                                                                                    \
		id, SCALAR_TIME, field, least, DAYS_49, least_text " to 49d", NULL, NULL                     \
	}
#define NUMBER(id, field, least, most)                                                                       \
	{                                                                                                    \
		id, SCALAR_NUMBER, field, least, most, #least " to " #most, NULL, NULL                       \
	}
#define CHOICE(id, field, names, later)                                                                      \
	{                                                                                                    \
		id, SCALAR_CHOICE, field, 0, 0, NULL, names, later                                           \
	}
#define PLAIN(id, kind, field)                                                                               \
	{                                                                                                    \
		id, kind, field, 0, 0, NULL, NULL, NULL                                                      \
	}

/* Choices stand in the order of their enums in table.h. */
static const struct scalar scalars[] = {
	CHOICE(W_LOG_LEVEL, offsetof(struct table, log_level),
	       NAMES("error", "warning", "notice", "info", "debug"), NULL),
	CHOICE(W_MODE, DISPATCH(mode), NAMES("connections"), NAMES("listener", "exec", "wait")),
	PLAIN(W_OPTIONAL, SCALAR_BOOL, SERVICE(optional)),
	CHOICE(W_BALANCE, DISPATCH(balance), NAMES("round-robin", "least-connections", "source-hash"), NULL),
	CHOICE(W_ACKNOWLEDGE, DISPATCH(acknowledge), NAMES("taken", "done"), NULL),
	TIME(W_TAKE_TIMEOUT, DISPATCH(take_timeout_ms), 1, "1ms"),
	NUMBER(W_WINDOW, DISPATCH(window), 1, 1024),
	CHOICE(W_OVERLOAD, DISPATCH(overload), NAMES("wait", "refuse"), NULL),
	NUMBER(W_MAX_REGISTERED, DISPATCH(max_registered), 0, 8192),
	PLAIN(W_ALLOW_ROOT, SCALAR_BOOL, DISPATCH(allow_root)),
	PLAIN(W_ALLOW_FOREIGN, SCALAR_BOOL, DISPATCH(allow_foreign)),
	CHOICE(W_START, SERVICE(start), NAMES("always", "external"), NAMES("on-demand")),
	TIME(W_DRAIN_TIMEOUT, DISPATCH(drain_timeout_ms), 0, "0"),
	PLAIN(W_UMASK, SCALAR_OCTAL, SERVER(umask)),
	PLAIN(W_NICE, SCALAR_NICE, SERVER(nice)),
	NUMBER(W_INSTANCES, SERVER(instances), 1, 8192),
	TIME(W_READY_TIMEOUT, SERVER(ready_timeout_ms), 1, "1ms"),
	PLAIN(W_STOP_SIGNAL, SCALAR_SIGNAL, SERVER(stop_signal)),
	TIME(W_STOP_TIMEOUT, SERVER(stop_timeout_ms), 0, "0"),
	CHOICE(W_RESTART, SERVER(restart), NAMES("always", "on-failure", "never"), NULL),
	TIME(W_RESTART_DELAY, SERVER(restart_delay_ms), 1, "1ms"),
	TIME(W_RESTART_DELAY_MAX, SERVER(restart_delay_max_ms), 1, "1ms"),
	NUMBER(W_RESTART_LIMIT, SERVER(restart_limit), 0, 1000000),
	TIME(W_RESTART_RESET_AFTER, SERVER(restart_reset_after_ms), 0, "0"),
};

#define SCALARS (sizeof(scalars) / sizeof(scalars[0]))

/* 0: *number holds it. What is wrong goes into what. */
static int scalar_number(const struct scalar *scalar, const char *text, uint64_t *number, char *what,
			 size_t size)
{
	bool time = scalar->kind == SCALAR_TIME;
	int answer = time ? value_time(text, number) : value_number(text, number);

	if (answer == -EINVAL)
		snprintf(what, size, "\"%.60s\" is no %s", text,
			 time ? "time (a number with ms, s, m, h or d; seconds without)" : "number");
	else if (answer || *number < scalar->least || *number > scalar->most)
		snprintf(what, size, "\"%.60s\" is out of range (%s)", text, scalar->range);
	else
		return 0;
	return -EINVAL;
}

/* "a, b or c" */
static void scalar_list(const char *const *names, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; names[i] && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s",
				       !i             ? ""
				       : names[i + 1] ? ", "
						      : " or ",
				       names[i]);
}

static int scalar_choice(const struct scalar *scalar, const char *text, uint64_t *number, char *what,
			 size_t size)
{
	int found = value_choice(text, scalar->choice);
	char list[160];

	if (found >= 0) {
		*number = (uint64_t)found;
		return 0;
	}
	scalar_list(scalar->choice, list, sizeof(list));
	if (scalar->later && value_choice(text, scalar->later) >= 0)
		snprintf(what, size, "%s is not supported yet (%s)", text, list);
	else
		snprintf(what, size, "\"%.60s\" is none of its values (%s)", text, list);
	return -EINVAL;
}

static int scalar_other(const struct scalar *scalar, const char *text, int *number, char *what, size_t size)
{
	unsigned octal;
	bool yes;
	int answer;

	switch (scalar->kind) {
	case SCALAR_BOOL:
		answer = value_bool(text, &yes);
		*number = !answer && yes;
		if (answer)
			snprintf(what, size, "\"%.60s\" is neither yes nor no", text);
		return answer;
	case SCALAR_OCTAL:
		answer = value_octal(text, &octal);
		if (!answer && octal > 0777)
			answer = -ERANGE;
		*number = answer ? 0 : (int)octal;
		if (answer)
			snprintf(what, size, "\"%.60s\" is no mask (octal, 0 to 777)", text);
		return answer;
	case SCALAR_NICE:
		answer = value_integer(text, number);
		if (answer || *number < -20 || *number > 19)
			snprintf(what, size, "\"%.60s\" is no priority (-20 to 19)", text);
		return answer || *number < -20 || *number > 19 ? -EINVAL : 0;
	default:
		answer = value_signal(text, number);
		if (answer)
			snprintf(what, size, "\"%.60s\" is no signal (TERM, INT, USR1, 15 ...)", text);
		return answer;
	}
}

static int scalar_store(const struct scalar *scalar, const char *text, void *base, char *what, size_t size)
{
	char *field = (char *)base + scalar->offset;
	uint64_t number = 0;
	int other = 0, answer;

	switch (scalar->kind) {
	case SCALAR_TIME:
	case SCALAR_NUMBER:
		answer = scalar_number(scalar, text, &number, what, size);
		if (!answer)
			memcpy(field, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
		return answer;
	case SCALAR_CHOICE:
		answer = scalar_choice(scalar, text, &number, what, size);
		if (!answer)
			memcpy(field, &(unsigned){(unsigned)number}, sizeof(unsigned));
		return answer;
	case SCALAR_BOOL:
		answer = scalar_other(scalar, text, &other, what, size);
		if (!answer)
			*(bool *)field = other;
		return answer;
	default:
		answer = scalar_other(scalar, text, &other, what, size);
		if (!answer)
			memcpy(field, &other, sizeof(other));
		return answer;
	}
}

_Static_assert(sizeof(unsigned) == sizeof(uint32_t) && sizeof(mode_t) == sizeof(int) &&
		       sizeof(enum table_mode) == sizeof(unsigned),
	       "scalar_store() writes all of them with four bytes");

void scalar_usual(enum section_kind section, void *base)
{
	char what[256];

	for (size_t i = 0; i < SCALARS; i++) {
		const struct word *word = schema_by_id(scalars[i].id);

		if (word->section == section && word->usual)
			scalar_store(&scalars[i], word->usual, base, what, sizeof(what));
	}
}

void scalar_fill(struct reader *reader, enum section_kind section, const struct effective *effective,
		 void *base)
{
	char what[256];

	for (size_t i = 0; i < SCALARS; i++) {
		struct setting *setting = effective->of[scalars[i].id];

		if (!setting || setting->bad || !setting->count || setting->word->section != section)
			continue;
		if (scalar_store(&scalars[i], setting->value[0], base, what, sizeof(what)))
			setting_mistake(reader, effective->title, setting, "%s", what);
	}
}
