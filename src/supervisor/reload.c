/*
 * reload.c: reads the table again: all of it takes effect, or nothing.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lifecycle.h"
#include "listeners.h"
#include "logging.h"
#include "services.h"

static void add(struct diagnostics *to, enum severity severity, const char *text)
{
	/* Without memory the line is missing; what it is about happens all the same. */
	(void)diagnostics_add(to, severity, text);
}

static void copy(struct diagnostics *to, const struct diagnostics *from)
{
	*to = (struct diagnostics){0};
	for (size_t i = 0; i < from->count; i++)
		add(to, from->item[i].severity, from->item[i].text);
}

static void tell_begin(struct supervisor *s)
{
	char text[64];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
		 (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	notify_send(s, text);
}

/* `status` shows the first one: a reason, not a warning that came before it. */
static void keep_problems(struct supervisor *s, const struct diagnostics *from)
{
	s->reload_problems = (struct diagnostics){0};
	for (size_t i = 0; i < from->count; i++)
		if (from->item[i].severity == MISTAKE)
			add(&s->reload_problems, MISTAKE, from->item[i].text);
	for (size_t i = 0; i < from->count; i++)
		if (from->item[i].severity != MISTAKE)
			add(&s->reload_problems, from->item[i].severity, from->item[i].text);
}

static int refused(struct supervisor *s, const struct diagnostics *diagnostics)
{
	s->reload_ok = false;
	keep_problems(s, diagnostics);
	for (size_t i = 0; i < diagnostics->count; i++)
		log_line(s, diagnostics->item[i].severity == MISTAKE ? LEVEL_ERROR : LEVEL_WARNING, NULL,
			 "%s", diagnostics->item[i].text);
	log_line(s, LEVEL_ERROR, NULL, "reload failed: %zu mistake%s; the old table stays in force",
		 diagnostics->mistakes, diagnostics->mistakes == 1 ? "" : "s");
	return 78;
}

/* What has to be there before the new table may take effect. */
static int prepare(struct supervisor *s, const struct table *table, struct diagnostics *diagnostics)
{
	struct limits_needed needed;
	char problem[LOGGER_LINE];

	limits_needed(table, &needed);
	if (limits_raise(&needed, problem, sizeof(problem)) < 0) {
		add(diagnostics, MISTAKE, problem);
		return -1;
	}
	if (table_needs_restart(s->table, table))
		add(diagnostics, WARNING,
		    "warning: runtime-dir, pidfile and dispatcher { } change only at a restart: the old ones "
		    "stay in force");
	return 0;
}

static int take(struct supervisor *s, struct table *table, struct diagnostics *diagnostics)
{
	struct diagnostics warnings;
	char problem[LOGGER_LINE];

	copy(&warnings, diagnostics);
	int result = apply_table(s, table, &warnings, problem, sizeof(problem));
	if (result < 0) {
		diagnostics_free(&warnings);
		table_free(table);
		add(diagnostics, MISTAKE,
		    problem[0] != '\0'  ? problem
		    : result == -ENOMEM ? "no memory for the new table"
					: strerror(-result));
		return refused(s, diagnostics);
	}
	s->reload_ok = true;
	for (size_t i = 0; i < diagnostics->count; i++)
		log_line(s, LEVEL_WARNING, NULL, "%s", diagnostics->item[i].text);
	log_line(s, LEVEL_NOTICE, NULL, "reloaded %s", s->config_file);
	return 0;
}

int reload_table(struct supervisor *s, struct diagnostics *diagnostics)
{
	struct table_options options = {.privileged = s->privileged, .runtime_dir = s->runtime_dir_option};
	int code;

	*diagnostics = (struct diagnostics){0};
	if (s->stopping || !s->running) {
		add(diagnostics, MISTAKE, s->stopping ? "the daemon is stopping" : "the daemon is starting");
		return 1;
	}
	tell_begin(s);
	diagnostics_free(&s->reload_problems);
	s->reload_problems = (struct diagnostics){0};
	s->reload_s = (uint64_t)time(NULL);
	struct table *table = table_read(s->config_file, &options, diagnostics);
	if (table == NULL) {
		code = refused(s, diagnostics);
	} else if (prepare(s, table, diagnostics) < 0) {
		table_free(table);
		code = refused(s, diagnostics);
	} else {
		code = take(s, table, diagnostics);
	}
	notify_send(s, "READY=1\n");
	return code;
}

unsigned reload_unbound(const struct supervisor *s, struct diagnostics *diagnostics)
{
	unsigned count = 0;

	for (const struct service *service = s->services; service != NULL; service = service->next)
		for (const struct listener *one = service->listeners; one != NULL; one = one->next) {
			char address[ADDRESS_TEXT], text[512];
			if (one->fd >= 0 || service->want == NULL)
				continue;
			int error = listener_error(one);
			const char *hint = listen_hint(error, &one->want->address);
			snprintf(text, sizeof(text),
				 "%s:%u: warning: %s: listen: cannot listen on %s: %s%s%s; it is tried again",
				 service->want->file, one->want->line, service->name,
				 address_format(&one->want->address, address), strerror(error),
				 hint[0] != '\0' ? "; " : "", hint);
			add(diagnostics, WARNING, text);
			count++;
		}
	return count;
}
