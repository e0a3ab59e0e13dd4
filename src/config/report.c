/*
 * report.c: collects, sorts and delivers diagnostics.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

static void report_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static size_t report_append(char *line, size_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static size_t report_append(char *line, size_t at, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line + at, LINE_MAX_BYTES - at, format, arguments);
	va_end(arguments);
	if (length < 0)
		return at;
	return (size_t)length < LINE_MAX_BYTES - at ? at + (size_t)length : LINE_MAX_BYTES - 1;
}

static void report_add(struct report *report, enum severity severity, struct place place, const char *service,
		       const char *word, const char *what)
{
	char line[LINE_MAX_BYTES];
	struct finding *finding;
	size_t at = 0;

	line[0] = '\0';
	if (place.source)
		at = report_append(line, at, "%s:%u: ", place.source->path, place.line);
	if (severity == WARNING)
		at = report_append(line, at, "warning: ");
	if (service)
		at = report_append(line, at, "%s: ", service);
	if (word)
		at = report_append(line, at, "%s: ", word);
	report_append(line, at, "%s", what);
	report_clean(line);
	report->finding =
		arena_room(report->arena, report->finding, report->count, &report->room, sizeof(*finding));
	finding = &report->finding[report->count];
	*finding = (struct finding){severity, place, report->count, arena_strdup(report->arena, line)};
	report->count++;
	report->mistakes += severity == MISTAKE;
}

void report_mistake(struct report *report, struct place place, const char *service, const char *word,
		    const char *format, ...)
{
	char what[LINE_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	report_add(report, MISTAKE, place, service, word, what);
}

void report_warning(struct report *report, struct place place, const char *service, const char *word,
		    const char *format, ...)
{
	char what[LINE_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	report_add(report, WARNING, place, service, word, what);
}

static int compare(size_t a, size_t b)
{
	return a < b ? -1 : a > b;
}

static int report_order(const void *one, const void *other)
{
	const struct finding *a = one, *b = other;
	int order;

	order = compare(a->place.source ? a->place.source->index + 1 : 0,
			b->place.source ? b->place.source->index + 1 : 0);
	if (!order)
		order = compare(a->place.line, b->place.line);
	return order ? order : compare(a->number, b->number);
}

int report_deliver(struct report *report, struct diagnostics *out)
{
	*out = (struct diagnostics){0};
	if (!report->count)
		return 0;
	qsort(report->finding, report->count, sizeof(*report->finding), report_order);
	out->item = calloc(report->count, sizeof(*out->item));
	if (!out->item)
		return -ENOMEM;
	for (size_t i = 0; i < report->count; i++) {
		const struct finding *finding = &report->finding[i];

		out->item[i].severity = finding->severity;
		out->item[i].text = strdup(finding->text);
		if (!out->item[i].text) {
			diagnostics_free(out);
			return -ENOMEM;
		}
		out->count++;
		if (finding->severity == MISTAKE)
			out->mistakes++;
		else
			out->warnings++;
	}
	return 0;
}

void report_single(struct diagnostics *out, const char *file, const char *what)
{
	char line[LINE_MAX_BYTES];

	*out = (struct diagnostics){0};
	snprintf(line, sizeof(line), "%s: %s", file, what);
	report_clean(line);
	out->mistakes = 1;
	out->item = calloc(1, sizeof(*out->item));
	if (!out->item)
		return;
	out->item[0].severity = MISTAKE;
	out->item[0].text = strdup(line);
	if (out->item[0].text)
		out->count = 1;
}

void diagnostics_free(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		free(diagnostics->item[i].text);
	free(diagnostics->item);
	*diagnostics = (struct diagnostics){0};
}

int diagnostics_add(struct diagnostics *diagnostics, enum severity severity, const char *text)
{
	struct diagnostic *grown = reallocarray(diagnostics->item, diagnostics->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	diagnostics->item = grown;
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	diagnostics->item[diagnostics->count++] = (struct diagnostic){.severity = severity, .text = copy};
	if (severity == MISTAKE)
		diagnostics->mistakes++;
	else
		diagnostics->warnings++;
	return 0;
}
