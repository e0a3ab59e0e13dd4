/*
 * values.h: the text of a value to what it means.  Pure: nothing is looked up.
 * All return 0, -EINVAL (not of this form) or -ERANGE (of this form, but too much).
 */
#ifndef VALUES_H
#define VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

int value_bool(const char *text, bool *value);

/* Digits only. */
int value_number(const char *text, uint64_t *value);

/* -N or N. */
int value_integer(const char *text, int *value);

/* Digits 0 to 7. */
int value_octal(const char *text, unsigned *value);

/* A number with ms s m h d behind it, several in a row ("1m30s") or none: seconds. In milliseconds. */
int value_time(const char *text, uint64_t *ms);

/* A number with K M G behind it, times 1024 each, or none. */
int value_size(const char *text, uint64_t *bytes);

/* "unlimited" or a size. */
int value_limit(const char *text, rlim_t *value);

/* "TERM", "SIGTERM", "15", "RTMIN+1". */
int value_signal(const char *text, int *number);

/* The position of text in names, or -1. */
int value_choice(const char *text, const char *const *names);

/* A service's name: [A-Za-z0-9][A-Za-z0-9._-]*, at most 63. */
bool value_is_name(const char *text, size_t length);

/* The name before the '=' of NAME=VALUE: how long it is, or 0 when it is none a shell would know. */
size_t value_env_name(const char *text);

#endif
