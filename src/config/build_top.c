/*
 * build_top.c: the words of the top level and of dispatcher { }.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"

#define SOCKET_PATH_MAX 107
#define LONGEST_SOCKET "/register.sock"

static void build_runtime_dir(struct reader *reader, const struct effective *top)
{
	struct table *table = reader->table;
	struct setting *setting = top->of[W_RUNTIME_DIR];
	const char *path = build_path(reader, NULL, setting);
	char *usual;

	table->runtime_dir_set = path != NULL;
	if (reader->options->runtime_dir) {
		path = reader->options->runtime_dir;
		setting = NULL;
	}
	if (!path) {
		usual = table_default_runtime_dir();
		if (!usual)
			longjmp(reader->no_memory, 1);
		path = arena_strdup(reader->arena, usual);
		free(usual);
	}
	table->runtime_dir = arena_strdup(reader->arena, path);
	if (strlen(path) + strlen(LONGEST_SOCKET) > SOCKET_PATH_MAX)
		report_mistake(&reader->report, setting ? setting->place : (struct place){NULL, 0}, NULL,
			       "runtime-dir", "%s is too long for the sockets in it (at most %zu bytes)",
			       path, SOCKET_PATH_MAX - strlen(LONGEST_SOCKET));
}

static void build_daemon_pidfile(struct reader *reader, const struct effective *top)
{
	struct table *table = reader->table;
	const char *path = build_path(reader, NULL, top->of[W_PIDFILE]);

	if (path)
		table->pidfile = arena_strdup(reader->arena, path);
	else if (reader->options->privileged)
		table->pidfile = arena_strdup(reader->arena, "/run/lust-inetd.pid");
	else
		table->pidfile = arena_format(reader->arena, "%s/lust-inetd.pid", table->runtime_dir);
}

static void build_dispatcher_user(struct reader *reader, const struct user *user)
{
	struct table *table = reader->table;

	table->dispatcher_uid = user->uid;
	table->dispatcher_gid = user->gid;
	table->dispatcher_user = *user->name ? arena_strdup(reader->arena, user->name)
					     : arena_format(reader->arena, "%u", (unsigned)user->uid);
}

static void build_dispatcher_usual(struct reader *reader)
{
	const struct user *user = resolve_user(&reader->resolver, "lust");

	if (!user->found)
		user = resolve_user(&reader->resolver, "nobody");
	if (!user->found)
		report_mistake(&reader->report, (struct place){NULL, 0}, "dispatcher", "user",
			       "there is neither a user lust nor nobody (say which: dispatcher { user = "
			       "\"NAME\" })");
	else
		build_dispatcher_user(reader, user);
}

static void build_dispatcher_unprivileged(struct reader *reader, const struct effective *effective)
{
	static const enum word_id words[] = {W_DISPATCHER_USER, W_DISPATCHER_GROUP, W_DISPATCHER_CHROOT};
	struct setting *setting;
	struct user *user;
	gid_t gid;

	build_dispatcher_user(reader, resolve_self(&reader->resolver));
	reader->table->dispatcher_gid = getegid();
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		setting = effective->of[words[i]];
		if (!setting ||
		    (words[i] == W_DISPATCHER_USER && build_user(reader, effective->title, setting, &user) &&
		     user->uid == geteuid()))
			continue;
		if (words[i] == W_DISPATCHER_GROUP && build_group(reader, effective->title, setting, &gid) &&
		    gid == getegid())
			continue;
		if (!setting->bad)
			setting_mistake(reader, effective->title, setting,
					"needs root: this daemon runs as user %u", (unsigned)geteuid());
	}
}

static void build_dispatcher_privileged(struct reader *reader, const struct effective *effective)
{
	struct setting *setting = effective->of[W_DISPATCHER_USER];
	struct user *user;

	if (!setting) {
		build_dispatcher_usual(reader);
	} else if (build_user(reader, effective->title, setting, &user)) {
		reader->table->dispatcher_user_set = true;
		build_dispatcher_user(reader, user);
		if (!user->uid)
			setting_mistake(reader, effective->title, setting,
					"the dispatcher must not be root (a user of its own, such as lust)");
	}
	build_group(reader, effective->title, effective->of[W_DISPATCHER_GROUP],
		    &reader->table->dispatcher_gid);
}

static void build_dispatcher(struct reader *reader)
{
	struct effective effective = {.title = "dispatcher"};
	struct table *table = reader->table;
	const char *path;

	for (unsigned i = 0; reader->dispatcher && i < reader->dispatcher->count; i++) {
		struct setting *setting = &reader->dispatcher->setting[i];

		effective.of[setting->word->id] = setting;
	}
	if (reader->options->privileged)
		build_dispatcher_privileged(reader, &effective);
	else
		build_dispatcher_unprivileged(reader, &effective);
	path = build_path(reader, effective.title, effective.of[W_DISPATCHER_CHROOT]);
	table->dispatcher_chroot = path ? arena_strdup(reader->arena, path)
					: arena_format(reader->arena, "%s/empty", table->runtime_dir);
}

void build_top(struct reader *reader)
{
	struct effective top = {.title = NULL};
	struct table *table = reader->table;

	for (unsigned i = 0; i < reader->top.count; i++)
		top.of[reader->top.setting[i].word->id] = &reader->top.setting[i];
	build_runtime_dir(reader, &top);
	build_daemon_pidfile(reader, &top);
	build_log(reader, NULL, top.of[W_LOG], &table->log);
	scalar_usual(SECTION_TOP, table);
	scalar_fill(reader, SECTION_TOP, &top, table);
	table->admin_users = build_users(reader, NULL, top.of[W_ADMIN_USERS]);
	table->admin_groups = build_groups(reader, NULL, top.of[W_ADMIN_GROUPS]);
	table->status_users = build_users(reader, NULL, top.of[W_STATUS_USERS]);
	table->status_groups = build_groups(reader, NULL, top.of[W_STATUS_GROUPS]);
	table->status_restricted = top.of[W_STATUS_USERS] || top.of[W_STATUS_GROUPS];
	build_dispatcher(reader);
}
