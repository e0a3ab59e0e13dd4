/*
 * build_service.c: a service's words to struct table_service.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <netinet/in.h>
#include <string.h>

#include "listen.h"
#include "reader.h"

static struct table_listen *build_socket(struct reader *reader, const struct setting *setting,
					 unsigned position, const struct listen_word *word, const char *name)
{
	struct table_listen *listen;

	reader->listen = arena_room(&reader->scratch, reader->listen, reader->listen_count,
				    &reader->listen_room, sizeof(*reader->listen));
	listen = &reader->listen[reader->listen_count++];
	*listen = (struct table_listen){
		.said = setting->value[position],
		.name = name,
		.address = word->address,
		.position = position,
		.origin = origin_of(setting),
	};
	listen->origin.line = setting->line[position];
	return listen;
}

static void build_listen_word(struct reader *reader, const char *title, struct setting *setting,
			      unsigned position)
{
	const char *said = setting->value[position], *name = "";
	struct listen_word word;
	struct table_listen *second;
	char why[LISTEN_WHY];

	if (listen_parse(said, resolve_port, &reader->resolver, &word, why)) {
		value_mistake(reader, title, setting, position, "\"%.100s\": %s", said, why);
		return;
	}
	if (word.name_length)
		name = arena_copy(reader->arena, said, word.name_length);
	build_socket(reader, setting, position, &word, name);
	if (word.both) {
		second = build_socket(reader, setting, position, &word, name);
		second->address.family = AF_INET6;
		second->v6_may_lack = true;
	}
}

/* How many there are shows only at the end: they are collected, then copied. */
static void build_listen(struct reader *reader, const char *title, struct setting *setting,
			 struct table_service *service)
{
	reader->listen_count = 0;
	for (unsigned i = 0; setting && i < setting->count; i++)
		build_listen_word(reader, title, setting, i);
	service->listen_count = reader->listen_count;
	service->listen = arena_alloc(reader->arena, service->listen_count * sizeof(*service->listen));
	if (service->listen_count)
		memcpy(service->listen, reader->listen, service->listen_count * sizeof(*service->listen));
}

/* For `show`: what was said, in the order of the schema. */
static void build_settings(struct reader *reader, const struct effective *effective,
			   struct table_service *service)
{
	struct table_settings *settings = arena_alloc(reader->arena, sizeof(*settings));

	for (int id = 0; id < WORD_COUNT; id++)
		settings->count += effective->of[id] != NULL;
	settings->setting = arena_alloc(reader->arena, settings->count * sizeof(struct setting *));
	settings->count = 0;
	for (int id = 0; id < WORD_COUNT; id++)
		if (effective->of[id])
			settings->setting[settings->count++] = effective->of[id];
	service->settings = settings;
}

void build_service(struct reader *reader, const struct section *section, const struct effective *effective,
		   struct table_service *service)
{
	struct setting *const *of = effective->of;

	*service = reader->usual;
	/* A name that is no name was told, and its service is not here. */
	memcpy(service->name, section->title, strlen(section->title));
	service->origin = (struct origin){section->place.source->path, section->place.line, false};
	service->has_server = section->server != NULL;
	service->start = section->server ? START_ALWAYS : START_EXTERNAL;
	scalar_fill(reader, SECTION_SERVICE, effective, service);
	/* `start = always` in defaults { } is meant for those that have something to start. */
	if (!section->server && of[W_START] && of[W_START]->from_defaults)
		service->start = START_EXTERNAL;
	build_listen(reader, effective->title, of[W_LISTEN], service);
	service->register_users = build_users(reader, effective->title, of[W_REGISTER_USERS]);
	service->register_groups = build_groups(reader, effective->title, of[W_REGISTER_GROUPS]);
	if (service->has_server) {
		service->server = arena_alloc(reader->arena, sizeof(*service->server));
		*service->server = *reader->usual.server;
		build_server(reader, effective, service->server);
	}
	build_settings(reader, effective, service);
}
