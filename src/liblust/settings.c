/*
 * settings.c: what was set where, and what it means.
 *
 * SPDX-License-Identifier: ISC
 */
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "escape.h"

bool lust_settings_key_is_valid(const char *key)
{
	static const char usable[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	return key[0] != '\0' && key[strspn(key, usable)] == '\0';
}

void lust_settings_complain(struct lust_settings *settings, unsigned line, const char *format, ...)
{
	const char *before = settings->problem ? settings->problem : "";
	char text[1024], safe[4 * sizeof(text)], place[32] = "", *all;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	/* It may be shown on a terminal, and quotes what somebody wrote. */
	lust_escape(safe, sizeof(safe), text, strlen(text), NULL);
	if (line > 0)
		snprintf(place, sizeof(place), ":%u", line);
	/* Without memory the mistake is still told by the return value. */
	if (asprintf(&all, "%s%s%s%s%s%s", before, before[0] ? "\n" : "", line > 0 ? settings->file : "",
		     place, line > 0 ? ": " : "", safe) < 0)
		return;
	free(settings->problem);
	settings->problem = all;
}

static struct lust_setting *find(const struct lust_settings *settings, const char *key,
				 enum lust_settings_layer layer)
{
	struct lust_setting *setting = settings->first;

	while (setting && (setting->layer != layer || strcmp(setting->key, key) != 0))
		setting = setting->next;
	return setting;
}

static const struct lust_setting *strongest(const struct lust_settings *settings, const char *key)
{
	const struct lust_setting *setting = NULL;

	for (int layer = LUST_SETTINGS_OVERRIDE; !setting && layer >= LUST_SETTINGS_DEFAULT; layer--)
		setting = find(settings, key, (enum lust_settings_layer)layer);
	return setting;
}

static int replace_value(struct lust_setting *setting, unsigned line, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(setting->value);
	setting->value = copy;
	setting->line = line;
	return 0;
}

int lust_settings_put(struct lust_settings *settings, enum lust_settings_layer layer, unsigned line,
		      const char *key, const char *value)
{
	struct lust_setting *setting = find(settings, key, layer), **at = &settings->first;

	if (setting)
		return replace_value(setting, line, value);
	setting = calloc(1, sizeof(*setting));
	if (!setting)
		return -ENOMEM;
	*setting = (struct lust_setting){
		.layer = layer, .line = line, .key = strdup(key), .value = strdup(value)};
	if (!setting->key || !setting->value) {
		free(setting->key);
		free(setting->value);
		free(setting);
		return -ENOMEM;
	}
	while (*at)
		at = &(*at)->next;
	*at = setting;
	return 0;
}

static int put_checked(struct lust_settings *settings, enum lust_settings_layer layer, const char *key,
		       const char *value)
{
	return lust_settings_key_is_valid(key) ? lust_settings_put(settings, layer, 0, key, value) : -EINVAL;
}

int lust_settings_default(struct lust_settings *settings, const char *key, const char *value)
{
	return put_checked(settings, LUST_SETTINGS_DEFAULT, key, value);
}

int lust_settings_override(struct lust_settings *settings, const char *key, const char *value)
{
	return put_checked(settings, LUST_SETTINGS_OVERRIDE, key, value);
}

const char *lust_settings_file(const struct lust_settings *settings)
{
	return settings->file;
}

const char *lust_settings_problem(const struct lust_settings *settings)
{
	return settings->problem ? settings->problem : "";
}

const char *lust_settings_get(const struct lust_settings *settings, const char *key)
{
	const struct lust_setting *setting = strongest(settings, key);

	return setting ? setting->value : NULL;
}

static int wrong(struct lust_settings *settings, const struct lust_setting *setting, int error,
		 const char *right)
{
	static const char *const layer[] = {"default", "file", "command line"};

	/* In the place of what was wrong before: a server may ask again and again. */
	free(settings->problem);
	settings->problem = NULL;
	lust_settings_complain(settings, setting->line, "%s%s%s: \"%.200s\" is not %s", setting->key,
			       setting->line ? "" : " of the ", setting->line ? "" : layer[setting->layer],
			       setting->value, right);
	return error;
}

int lust_settings_number(struct lust_settings *settings, const char *key, long long minimum,
			 long long maximum, long long *value)
{
	const struct lust_setting *setting = strongest(settings, key);
	char *end, right[80];
	long long number;

	if (!setting)
		return -ENOENT;
	snprintf(right, sizeof(right), "a number from %lld to %lld", minimum, maximum);
	errno = 0;
	number = strtoll(setting->value, &end, 10);
	if (end == setting->value || *end)
		return wrong(settings, setting, -EINVAL, right);
	if (errno || number < minimum || number > maximum)
		return wrong(settings, setting, -ERANGE, right);
	*value = number;
	return 0;
}

int lust_settings_boolean(struct lust_settings *settings, const char *key, int *value)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
	const struct lust_setting *setting = strongest(settings, key);

	if (!setting)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcasecmp(setting->value, words[i]) == 0) {
			*value = i % 2;
			return 0;
		}
	}
	return wrong(settings, setting, -EINVAL, "yes or no");
}

/* Milliseconds of a unit; 0: there is no such. */
static uint64_t unit_ms(const char *text)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(text, units[i].name) == 0)
			return units[i].ms;
	}
	return 0;
}

int lust_settings_time(struct lust_settings *settings, const char *key, uint64_t *ms)
{
	const struct lust_setting *setting = strongest(settings, key);
	unsigned long long number;
	uint64_t unit;
	char *end;

	if (!setting)
		return -ENOENT;
	errno = 0;
	number = strtoull(setting->value, &end, 10);
	unit = setting->value[0] >= '0' && setting->value[0] <= '9' ? unit_ms(end) : 0;
	if (unit == 0)
		return wrong(settings, setting, -EINVAL, "a time such as 250ms, 5s, 2m, 1h or 1d");
	if (errno || number > UINT64_MAX / unit)
		return wrong(settings, setting, -ERANGE, "a time that fits");
	*ms = number * unit;
	return 0;
}

static bool is_among(const char *key, const char *const *known, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(key, known[i]) == 0)
			return true;
	}
	return false;
}

const char *lust_settings_unknown(const struct lust_settings *settings, const char *const *known,
				  size_t count, unsigned *line)
{
	for (const struct lust_setting *setting = settings->first; setting; setting = setting->next) {
		if (setting->layer != LUST_SETTINGS_FILE || is_among(setting->key, known, count))
			continue;
		if (line)
			*line = setting->line;
		return setting->key;
	}
	return NULL;
}

void lust_settings_free(struct lust_settings *settings)
{
	if (!settings)
		return;
	for (struct lust_setting *setting = settings->first, *next; setting; setting = next) {
		next = setting->next;
		free(setting->key);
		free(setting->value);
		free(setting);
	}
	free(settings->file);
	free(settings->problem);
	free(settings);
}
