/*
 * settings.h: the handle of settings.  Private to liblust: settings_read.c fills it from a file, settings.c keeps and tells
 * values.
 */
#ifndef LUST_SETTINGS_H
#define LUST_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lust.h"

/* In the order of strength. */
enum lust_settings_layer { LUST_SETTINGS_DEFAULT, LUST_SETTINGS_FILE, LUST_SETTINGS_OVERRIDE };

struct lust_setting {
	enum lust_settings_layer layer;
	unsigned line; /* of the file; 0: not from it */
	char *key, *value;
	struct lust_setting *next;
};

struct lust_settings {
	struct lust_setting *first; /* in the order of arrival */
	char *file;                 /* NULL: there was none */
	char *problem;              /* NULL: none */
};

/* A copy of both is kept.  0 or -ENOMEM. */
int lust_settings_put(struct lust_settings *settings, enum lust_settings_layer layer, unsigned line,
		      const char *key, const char *value);
/* Adds a line to what lust_settings_problem() tells. */
void lust_settings_complain(struct lust_settings *settings, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* [A-Za-z0-9._-]+ */
bool lust_settings_key_is_valid(const char *key);

#endif
