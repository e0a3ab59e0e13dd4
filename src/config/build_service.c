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
					 unsigned position, const struct listen_word *word, const char *said)
{
	struct table_listen *listen;

	reader->listen = arena_room(&reader->scratch, reader->listen, reader->listen_count,
				    &reader->listen_room, sizeof(*reader->listen));
	listen = &reader->listen[reader->listen_count++];
	*listen = (struct table_listen){
		.address = word->address,
		.said = said,
		.line = setting->line[position],
		.position = (uint16_t)position,
		.name_length = (uint8_t)word->name_length,
	};
	return listen;
}

static void build_listen_word(struct reader *reader, const char *title, struct setting *setting,
			      unsigned position)
{
	const char *said;
	struct listen_word word;
	struct table_listen *second;
	char why[LISTEN_WHY];

	said = arena_strdup(reader->arena, setting->value[position]);
	if (listen_parse(said, resolve_port, &reader->resolver, &word, why)) {
		value_mistake(reader, title, setting, position, "\"%.100s\": %s", said, why);
		return;
	}
	build_socket(reader, setting, position, &word, said);
	if (word.both) {
		second = build_socket(reader, setting, position, &word, said);
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
	service->listen_count = (uint32_t)reader->listen_count;
	service->listen = arena_alloc(reader->arena, service->listen_count * sizeof(*service->listen));
	if (service->listen_count)
		memcpy(service->listen, reader->listen, service->listen_count * sizeof(*service->listen));
}

/* Most say what the one before them says. */
static const struct table_dispatch *build_shared(struct reader *reader, const struct table_dispatch *dispatch)
{
	struct table_dispatch *kept;

	if (reader->dispatch && table_same_dispatch(reader->dispatch, dispatch))
		return reader->dispatch;
	kept = arena_alloc(reader->arena, sizeof(*kept));
	*kept = *dispatch;
	reader->dispatch = kept;
	return kept;
}

void build_service(struct reader *reader, const struct section *section, const struct effective *effective,
		   struct table_service *service)
{
	struct setting *const *of = effective->of;
	struct service_build build = reader->usual;

	build.service.name = arena_strdup(reader->arena, section->title);
	build.service.file = section->place.source->path;
	build.service.line = section->place.line;
	build.service.has_server = section->server != NULL;
	build.service.start = section->server ? START_ALWAYS : START_EXTERNAL;
	scalar_fill(reader, SECTION_SERVICE, effective, &build);
	/* `start = always` in defaults { } is meant for those that have something to start. */
	if (!section->server && of[W_START] && of[W_START]->from_defaults)
		build.service.start = START_EXTERNAL;
	build_listen(reader, effective->title, of[W_LISTEN], &build.service);
	build.dispatch.register_users = build_users(reader, effective->title, of[W_REGISTER_USERS]);
	build.dispatch.register_groups = build_groups(reader, effective->title, of[W_REGISTER_GROUPS]);
	build.service.dispatch = build_shared(reader, &build.dispatch);
	*service = build.service;
	if (service->has_server) {
		service->server = arena_alloc(reader->arena, sizeof(*service->server));
		*service->server = *reader->usual.service.server;
		build_server(reader, effective, service->server);
	}
}
