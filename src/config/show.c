/*
 * show.c: the effective settings of a service, as one would write them, and what its servers are given.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "environment.h"
#include "reader.h"
#include "values.h"

struct showing {
	FILE *out;
	const struct table *table;
	const struct table_service *service;
	const struct effective *effective;
	bool reveal;
};

static void show_quoted(FILE *out, const char *text, size_t length)
{
	fputc('"', out);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c == 0x7f)
			fprintf(out, "\\%03o", c);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* Quotes only where the table needs them. */
static void show_value(FILE *out, const char *text)
{
	if (*text &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@") ==
		    strlen(text) &&
	    strncmp(text, "//", 2) != 0)
		fputs(text, out);
	else
		show_quoted(out, text, strlen(text));
}

static void show_origin(FILE *out, const struct setting *setting)
{
	if (setting)
		fprintf(out, "    # %s:%u%s\n", setting->place.source->path, setting->place.line,
			setting->from_defaults ? " (defaults)" : "");
	else
		fputs("    # default\n", out);
}

/* Of two entries with one name the later one holds. */
static bool show_is_overridden(const struct setting *setting, unsigned at)
{
	size_t length = value_env_name(setting->value[at]);

	if (setting->word->id != W_ENV)
		return false;
	for (unsigned i = at + 1; i < setting->count; i++)
		if (!strncmp(setting->value[i], setting->value[at], length + 1))
			return true;
	return false;
}

static void show_list(const struct showing *showing, const struct setting *setting)
{
	bool first = true, hide = setting->word->id == W_ENV && !showing->reveal;

	fputc('{', showing->out);
	for (unsigned i = 0; i < setting->count; i++) {
		if (show_is_overridden(setting, i))
			continue;
		if (!first)
			fputs(", ", showing->out);
		first = false;
		if (hide)
			fprintf(showing->out, "\"%.*s=hidden\"", (int)value_env_name(setting->value[i]),
				setting->value[i]);
		else
			show_quoted(showing->out, setting->value[i], strlen(setting->value[i]));
	}
	fputc('}', showing->out);
}

static void show_ids(const struct showing *showing, const char *word, const struct table_id_list *list)
{
	fprintf(showing->out, "%s = {", word);
	for (size_t i = 0; i < list->count; i++)
		fprintf(showing->out, "%s%u", i ? ", " : "", list->id[i]);
	fputc('}', showing->out);
	show_origin(showing->out, NULL);
}

static void show_pidfile(const struct showing *showing)
{
	fputs("pidfile = ", showing->out);
	fprintf(showing->out, "%s/%s%s.pid", showing->table->runtime_dir, showing->service->name,
		showing->service->server->instances > 1 ? ".N" : "");
	show_origin(showing->out, NULL);
}

/* What holds when nothing is said and the schema has no fixed word for it. */
static void show_derived(const struct showing *showing, const struct word *word)
{
	const struct table_server *server = showing->service->server;

	switch (word->id) {
	case W_START:
		fprintf(showing->out, "start = %s",
			showing->service->start == START_ALWAYS ? "always" : "external");
		show_origin(showing->out, NULL);
		break;
	case W_USER:
		fprintf(showing->out, "user = %u", (unsigned)server->uid);
		show_origin(showing->out, NULL);
		break;
	case W_GROUP:
		fprintf(showing->out, "group = %u", (unsigned)server->gid);
		show_origin(showing->out, NULL);
		break;
	case W_GROUPS:
		show_ids(showing, word->name, &server->groups);
		break;
	case W_SERVER_PIDFILE:
		show_pidfile(showing);
		break;
	default:
		break;
	}
}

static void show_word(const struct showing *showing, const struct word *word)
{
	const struct setting *setting = showing->effective->of[word->id];

	/* `start = always` of defaults { } does not hold where there is nothing to start. */
	if (word->id == W_START && setting && setting->from_defaults && !showing->service->has_server)
		setting = NULL;
	if (setting && word->kind == WORD_LIST) {
		fprintf(showing->out, "%s = ", word->name);
		show_list(showing, setting);
		show_origin(showing->out, setting);
	} else if ((setting && setting->count) || word->usual) {
		fprintf(showing->out, "%s = ", word->name);
		show_value(showing->out, setting ? setting->value[0] : word->usual);
		show_origin(showing->out, setting);
	} else {
		show_derived(showing, word);
	}
}

static void show_words(const struct showing *showing, enum section_kind section)
{
	for (size_t i = 0; i < schema_count; i++)
		if (schema_word[i].section == section &&
		    (schema_word[i].kind == WORD_ONE || schema_word[i].kind == WORD_LIST))
			show_word(showing, &schema_word[i]);
}

static bool show_is_secret(const struct table_server *server, const char *entry, size_t length)
{
	for (char **own = server->env; own && *own; own++)
		if (!strncmp(*own, entry, length + 1))
			return true;
	for (char **name = server->pass_env; name && *name; name++)
		if (strlen(*name) == length && !strncmp(*name, entry, length))
			return true;
	return false;
}

static void show_environment(const struct showing *showing)
{
	char **environment = environment_build(showing->service, 1, environ);

	fputs("\n# environment of instance 1\n", showing->out);
	for (char **entry = environment; entry && *entry; entry++) {
		size_t length = strcspn(*entry, "=");

		if (!showing->reveal && show_is_secret(showing->service->server, *entry, length))
			fprintf(showing->out, "%.*s=hidden\n", (int)length, *entry);
		else
			fprintf(showing->out, "%s\n", *entry);
	}
	environment_free(environment);
}

static void show_service(const struct showing *showing)
{
	const struct table_service *service = showing->service;

	fputs("service = ", showing->out);
	show_value(showing->out, service->name);
	fprintf(showing->out, "    # %s:%u\n", service->file, service->line);
	show_words(showing, SECTION_SERVICE);
	if (!service->has_server)
		return;
	fputs("\n# server { }\n", showing->out);
	show_words(showing, SECTION_SERVER);
	show_environment(showing);
	fprintf(showing->out, "\n# descriptors\n0  /dev/null\n1  the log\n2  the log\n%d  LUST_FD\n",
		ENVIRONMENT_FD);
}

int table_show(FILE *out, const struct table *table, const struct table_service *service, bool reveal)
{
	struct table_options options = {.file = table->file_read, .file_count = table->file_count};
	struct effective effective;
	struct reader *reader = reader_open_words(table->file, &options, service->name, &effective);

	if (!reader)
		return -ENOMEM;
	show_service(&(struct showing){out, table, service, &effective, reveal});
	reader_close_words(reader);
	return 0;
}
