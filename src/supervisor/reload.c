/*
 * reload.c: the table is read again, by a child process: all of it takes effect, or nothing.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_socket.h"
#include "lifecycle.h"
#include "listeners.h"
#include "logging.h"
#include "services.h"
#include "upgrade.h"

#define READ_S 30.

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

/* Nothing is known of the table: no mistake was found in it, and none denied. */
static int unread(struct supervisor *s, const struct diagnostics *diagnostics)
{
	s->reload_ok = false;
	keep_problems(s, diagnostics);
	for (size_t i = 0; i < diagnostics->count; i++)
		log_line(s, LEVEL_ERROR, NULL, "%s", diagnostics->item[i].text);
	log_line(s, LEVEL_ERROR, NULL,
		 "reload failed: the table could not be read; the old one stays in force");
	return 1;
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

/* Of the child: read to the end, or not. */
static int judge(struct supervisor *s, struct table *table, struct diagnostics *diagnostics, bool is_read)
{
	if (!is_read)
		return unread(s, diagnostics);
	if (table == NULL)
		return refused(s, diagnostics);
	if (prepare(s, table, diagnostics) < 0) {
		table_free(table);
		return refused(s, diagnostics);
	}
	return take(s, table, diagnostics);
}

static void on_read(struct supervisor *s, struct table *table, struct diagnostics *diagnostics, bool is_read)
{
	s->reload_s = (uint64_t)time(NULL);
	diagnostics_free(&s->reload_problems);
	int code = judge(s, table, diagnostics, is_read);
	notify_send(s, "READY=1\n");
	control_reloaded(s, s->reload.reads, code, diagnostics);
	diagnostics_free(diagnostics);
	if (s->reload.asked > s->reload.reads)
		reload_begin(s);
	else
		upgrade_go_on(s);
}

uint64_t reload_ask(struct supervisor *s)
{
	return ++s->reload.asked;
}

void reload_begin(struct supervisor *s)
{
	struct diagnostics diagnostics = {0};
	char text[512];

	/* Who asks while the child reads may have changed what it has read already: once more, after this one. */
	if (s->reload.pid != 0)
		return;
	s->reload.reads = s->reload.asked;
	tell_begin(s);
	int result = reload_child_start(s, READ_S, on_read);
	if (result == 0)
		return;
	snprintf(text, sizeof(text), "%s: no process can be started to read it: %s", s->config_file,
		 strerror(-result));
	add(&diagnostics, MISTAKE, text);
	on_read(s, NULL, &diagnostics, false);
}

bool reload_reads(const struct supervisor *s)
{
	return s->reload.pid != 0;
}

void reload_cancel(struct supervisor *s)
{
	if (s->reload.pid == 0)
		return;
	reload_child_cancel(s);
	log_line(s, LEVEL_NOTICE, NULL, "the reload is given up");
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
