/*
 * values.c: the text of a value to what it means.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "values.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "table.h"

int value_bool(const char *text, bool *value)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", NULL};
	int found = value_choice(text, words);

	if (found < 0)
		return -EINVAL;
	*value = found % 2;
	return 0;
}

/* The digits at *text, which is moved behind them. */
static int value_digits(const char **text, uint64_t *value)
{
	int answer = 0;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	for (*value = 0; **text >= '0' && **text <= '9'; ++*text) {
		if (__builtin_mul_overflow(*value, (uint64_t)10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(**text - '0'), value))
			answer = -ERANGE;
	}
	return answer;
}

int value_number(const char *text, uint64_t *value)
{
	int answer = value_digits(&text, value);

	return answer != -EINVAL && *text ? -EINVAL : answer;
}

int value_integer(const char *text, int *value)
{
	bool minus = *text == '-';
	uint64_t number;
	int answer = value_number(text + minus, &number);

	if (!answer && number > INT32_MAX)
		answer = -ERANGE;
	if (!answer)
		*value = minus ? -(int)number : (int)number;
	return answer;
}

int value_octal(const char *text, unsigned *value)
{
	unsigned sum = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '7')
			return -EINVAL;
		if (sum > 07777777)
			return -ERANGE;
		sum = sum * 8 + (unsigned)(*text - '0');
	}
	*value = sum;
	return 0;
}

/* The unit at *text in milliseconds, 0 when there is no such unit. No unit is only right at the end. */
static uint64_t value_unit(const char **text)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} unit[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

	if (!**text)
		return 1000;
	for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]); i++) {
		size_t length = strlen(unit[i].name);

		if (!strncmp(*text, unit[i].name, length)) {
			*text += length;
			return unit[i].ms;
		}
	}
	return 0;
}

int value_time(const char *text, uint64_t *ms)
{
	uint64_t sum = 0, number, unit;
	bool first = true;
	int answer = 0;

	do {
		int one = value_digits(&text, &number);

		if (one == -EINVAL || (!first && !*text))
			return -EINVAL; /* "1m30": 30 of what? */
		unit = value_unit(&text);
		if (!unit)
			return -EINVAL;
		if (one || __builtin_mul_overflow(number, unit, &number) ||
		    __builtin_add_overflow(sum, number, &sum))
			answer = -ERANGE;
		first = false;
	} while (*text);
	*ms = sum;
	return answer;
}

int value_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMG";
	const char *unit;
	int answer = value_digits(&text, bytes);

	if (answer == -EINVAL || !*text)
		return answer;
	unit = strchr(units, *text);
	if (!unit || text[1])
		return -EINVAL;
	for (const char *at = units; at <= unit; at++)
		if (__builtin_mul_overflow(*bytes, (uint64_t)1024, bytes))
			answer = -ERANGE;
	return answer;
}

int value_limit(const char *text, rlim_t *value)
{
	uint64_t bytes;
	int answer;

	if (!strcmp(text, "unlimited")) {
		*value = RLIM_INFINITY;
		return 0;
	}
	answer = value_size(text, &bytes);
	if (!answer && bytes >= RLIM_INFINITY)
		answer = -ERANGE;
	if (!answer)
		*value = (rlim_t)bytes;
	return answer;
}

static int value_realtime_signal(const char *text, int *number)
{
	uint64_t more = 0;

	if (strncasecmp(text, "RTMIN", 5))
		return -EINVAL;
	text += 5;
	if (*text && (*text != '+' || value_number(text + 1, &more)))
		return -EINVAL;
	if (more > (uint64_t)(SIGRTMAX - SIGRTMIN))
		return -ERANGE;
	*number = SIGRTMIN + (int)more;
	return 0;
}

int value_signal(const char *text, int *number)
{
	uint64_t plain;

	if (!value_number(text, &plain)) {
		if (plain < 1 || plain > (uint64_t)SIGRTMAX)
			return -ERANGE;
		*number = (int)plain;
		return 0;
	}
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (int signal_number = 1; signal_number < NSIG; signal_number++) {
		const char *name = sigabbrev_np(signal_number);

		if (name && !strcasecmp(name, text)) {
			*number = signal_number;
			return 0;
		}
	}
	return value_realtime_signal(text, number);
}

int value_choice(const char *text, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(text, names[i]))
			return i;
	return -1;
}

static bool value_is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool value_is_name(const char *text, size_t length)
{
	if (!length || length >= TABLE_NAME || !value_is_alphanumeric(text[0]))
		return false;
	for (size_t i = 1; i < length; i++)
		if (!value_is_alphanumeric(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
			return false;
	return true;
}

size_t value_env_name(const char *text)
{
	size_t length = 0;

	if (*text >= '0' && *text <= '9')
		return 0;
	while (value_is_alphanumeric(text[length]) || text[length] == '_')
		length++;
	return length;
}
