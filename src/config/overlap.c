/*
 * overlap.c: no two sockets on one address, no two processes with one pidfile. By hash: a table may have 65536
 * addresses.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "reader.h"

/* Only sockets with the same one of these can be in each other's way. */
struct address_key {
	uint16_t kind, family, port, abstract;
	uint8_t ip[16];
};

struct bound {
	const struct table_service *service;
	const struct table_listen *listen;
	struct bound *next; /* same key, but another link */
};

/* What is bound on one family and port: a wildcard takes all of it. */
struct port_group {
	struct bound *first, *wildcard;
};

struct overlap {
	struct reader *reader;
	struct map addresses, groups, paths;
};

/* Where `listen` of a service stands. */
static struct place overlap_place(const struct reader *reader, const struct table_service *service)
{
	const struct section *section = reader->service[service - reader->table->service];

	for (unsigned i = 0; i < section->count; i++)
		if (section->setting[i].word->id == W_LISTEN)
			return section->setting[i].place;
	return section->place;
}

static void overlap_tell(struct overlap *overlap, const struct bound *first, const struct bound *second)
{
	struct place place = overlap_place(overlap->reader, second->service);

	place.line = second->listen->line;
	report_mistake(&overlap->reader->report, place, second->service->name, "listen",
		       "\"%.80s\" is taken by \"%.80s\" of %s in %s:%u", second->listen->said,
		       first->listen->said, first->service->name, first->service->file,
		       first->listen->line);
}

static struct bound *overlap_conflict(struct bound *bound, const struct address *address)
{
	for (; bound; bound = bound->next)
		if (address_overlaps(&bound->listen->address, address))
			return bound;
	return NULL;
}

static void overlap_unix(struct overlap *overlap, struct bound *bound)
{
	const struct address *address = &bound->listen->address;
	char *key = arena_alloc(&overlap->reader->scratch, address->path_length + 1u);
	void **slot;

	key[0] = (char)address->abstract;
	memcpy(key + 1, address->path, address->path_length);
	slot = map_slot(&overlap->addresses, key, address->path_length + 1u);
	if (*slot)
		overlap_tell(overlap, *slot, bound);
	else
		*slot = bound;
}

static bool overlap_is_wildcard(const struct address *address)
{
	static const uint8_t any[16];

	return !memcmp(address->ip, any, address->family == AF_INET ? 4 : 16);
}

/* The one that is in the way of an address, or NULL: then it is noted. */
static struct bound *overlap_ip(struct overlap *overlap, struct bound *bound)
{
	const struct address *address = &bound->listen->address;
	struct address_key *key = arena_alloc(&overlap->reader->scratch, sizeof(*key));
	struct port_group *group;
	struct bound *found;
	void **slot;

	*key = (struct address_key){.kind = address->kind, .family = address->family, .port = address->port};
	slot = map_slot(&overlap->groups, key, offsetof(struct address_key, ip));
	if (!*slot)
		*slot = arena_alloc(&overlap->reader->scratch, sizeof(*group));
	group = *slot;
	if (group->wildcard)
		return group->wildcard;
	if (overlap_is_wildcard(address)) {
		if (!group->first)
			group->first = group->wildcard = bound;
		return group->first == bound ? NULL : group->first;
	}
	memcpy(key->ip, address->ip, sizeof(key->ip));
	slot = map_slot(&overlap->addresses, key, sizeof(*key));
	found = overlap_conflict(*slot, address);
	if (found)
		return found;
	bound->next = *slot;
	*slot = bound;
	if (!group->first)
		group->first = bound;
	return NULL;
}

static void overlap_listen(struct overlap *overlap, const struct table_service *service)
{
	unsigned told = UINT32_MAX; /* both halves of a wildcard are one mistake */

	for (size_t i = 0; i < service->listen_count; i++) {
		struct bound *bound = arena_alloc(&overlap->reader->scratch, sizeof(*bound)), *other;

		bound->service = service;
		bound->listen = &service->listen[i];
		if (bound->listen->address.family == AF_UNIX) {
			overlap_unix(overlap, bound);
			continue;
		}
		other = overlap_ip(overlap, bound);
		if (other && bound->listen->position != told) {
			overlap_tell(overlap, other, bound);
			told = bound->listen->position;
		}
	}
}

/* Nothing but the daemon itself has the name "". */
static void overlap_pidfile(struct overlap *overlap, const char *path, struct place place,
			    const char *service)
{
	void **slot = map_slot(&overlap->paths, path, strlen(path));
	const char *other;

	if (!*slot) {
		*slot = (char *)service;
		return;
	}
	other = *slot;
	report_mistake(&overlap->reader->report, place, service, "pidfile", "%s is the pidfile of %s%s too",
		       path, *other ? "service " : "the daemon itself", other);
}

/* The first instance's is enough: ".N" goes before ".pid" for the others, and with several for the first too. */
static void overlap_service_pidfile(struct overlap *overlap, struct table_service *service)
{
	struct arena *scratch = &overlap->reader->scratch;
	const struct section *section = overlap->reader->service[service - overlap->reader->table->service];
	const char *path = service->server->pidfile;
	const char *suffix = "";
	size_t stem;

	if (!path)
		path = arena_format(scratch, "%s/%s.pid", overlap->reader->table->runtime_dir, service->name);
	if (service->server->instances < 2) {
		overlap_pidfile(overlap, path, section->server->place, service->name);
		return;
	}
	stem = strlen(path);
	if (stem > 4 && !strcmp(path + stem - 4, ".pid")) {
		stem -= 4;
		suffix = ".pid";
	}
	for (unsigned instance = 1; instance <= service->server->instances; instance++)
		overlap_pidfile(overlap,
				arena_format(scratch, "%.*s.%u%s", (int)stem, path, instance, suffix),
				section->server->place, service->name);
}

void overlap_check(struct reader *reader)
{
	const struct table *table = reader->table;
	struct arena *scratch = &reader->scratch;
	struct overlap overlap = {.reader = reader,
				  .addresses.arena = scratch,
				  .groups.arena = scratch,
				  .paths.arena = scratch};

	overlap_pidfile(&overlap, table->pidfile, (struct place){NULL, 0}, "");
	for (size_t i = 0; i < table->service_count; i++) {
		overlap_listen(&overlap, &table->service[i]);
		if (table->service[i].has_server)
			overlap_service_pidfile(&overlap, &table->service[i]);
	}
}
