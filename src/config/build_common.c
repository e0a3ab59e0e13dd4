/*
 * build_common.c: kinds of values that more than one section has.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "reader.h"
#include "values.h"

struct origin origin_of(const struct setting *setting)
{
	if (!setting)
		return (struct origin){0};
	return (struct origin){setting->place.source->path, setting->place.line, setting->from_defaults};
}

/* In the table's arena.  NULL: not said, or told to be wrong. */
const char *build_path(struct reader *reader, const char *title, struct setting *setting)
{
	if (!setting || setting->bad || !setting->count)
		return NULL;
	if (setting->value[0][0] == '/')
		return arena_strdup(reader->arena, setting->value[0]);
	setting_mistake(reader, title, setting, "\"%s\" is no absolute path (/...)", setting->value[0]);
	return NULL;
}

void build_log(struct reader *reader, const char *title, struct setting *setting, struct table_log *log)
{
	static const char *const kinds[] = {"syslog", "stderr", "journal", NULL};
	int found;

	*log = (struct table_log){LOG_DEFAULT, NULL};
	if (!setting || setting->bad || !setting->count)
		return;
	found = value_choice(setting->value[0], kinds);
	if (found >= 0) {
		log->kind = (enum table_log_kind)(LOG_SYSLOG + found);
	} else if (setting->value[0][0] == '/') {
		*log = (struct table_log){LOG_PATH, arena_strdup(reader->arena, setting->value[0])};
	} else {
		setting_mistake(reader, title, setting,
				"\"%s\" is no log (syslog, stderr, journal or an absolute path)",
				setting->value[0]);
	}
}

static bool build_lookup_failed(struct reader *reader, const char *title, struct setting *setting,
				unsigned at, const char *kind, int error)
{
	const char *name = setting->value[at];

	if (!*name)
		value_mistake(reader, title, setting, at, "an empty name (a %s's name or number)", kind);
	else if (error)
		value_mistake(reader, title, setting, at, "the %s \"%s\" cannot be looked up: %s", kind, name,
			      strerror(error));
	else
		value_mistake(reader, title, setting, at, "there is no %s \"%s\"", kind, name);
	return false;
}

static bool build_find_user(struct reader *reader, const char *title, struct setting *setting, unsigned at,
			    struct user **user)
{
	*user = resolve_user(&reader->resolver, setting->value[at]);
	return (*user)->found || build_lookup_failed(reader, title, setting, at, "user", (*user)->error);
}

static bool build_find_group(struct reader *reader, const char *title, struct setting *setting, unsigned at,
			     gid_t *gid)
{
	const struct group_entry *group = resolve_group(&reader->resolver, setting->value[at]);

	*gid = group->gid;
	return group->found || build_lookup_failed(reader, title, setting, at, "group", group->error);
}

bool build_user(struct reader *reader, const char *title, struct setting *setting, struct user **user)
{
	return setting && !setting->bad && setting->count && build_find_user(reader, title, setting, 0, user);
}

bool build_group(struct reader *reader, const char *title, struct setting *setting, gid_t *gid)
{
	return setting && !setting->bad && setting->count && build_find_group(reader, title, setting, 0, gid);
}

static void build_add_id(struct table_id_list *list, uint32_t id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->id[i] == id)
			return;
	list->id[list->count++] = id;
}

/* Looked up once for all services that inherit the setting. */
static struct table_id_list build_ids(struct reader *reader, const char *title, struct setting *setting,
				      bool (*find)(struct reader *, const char *, struct setting *, unsigned,
						   uint32_t *))
{
	struct table_id_list *list;
	uint32_t id;

	if (!setting || setting->bad || !setting->count)
		return (struct table_id_list){NULL, 0};
	if (setting->ids)
		return *setting->ids;
	list = arena_alloc(&reader->work, sizeof(*list));
	list->id = arena_alloc(reader->arena, setting->count * sizeof(*list->id));
	for (unsigned i = 0; i < setting->count; i++)
		if (find(reader, title, setting, i, &id))
			build_add_id(list, id);
	setting->ids = list;
	return *list;
}

static bool build_find_uid(struct reader *reader, const char *title, struct setting *setting, unsigned at,
			   uint32_t *id)
{
	struct user *user;
	bool found = build_find_user(reader, title, setting, at, &user);

	*id = user->uid;
	return found;
}

struct table_id_list build_users(struct reader *reader, const char *title, struct setting *setting)
{
	return build_ids(reader, title, setting, build_find_uid);
}

struct table_id_list build_groups(struct reader *reader, const char *title, struct setting *setting)
{
	return build_ids(reader, title, setting, build_find_group);
}
