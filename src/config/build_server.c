/*
 * build_server.c: the words of server { } to struct table_server.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "reader.h"
#include "values.h"

/* The limits of struct table_server, in its order. */
static const struct {
	enum word_id id;
	int resource;
	bool time; /* in seconds */
} limits[TABLE_LIMITS] = {
	{W_RLIMIT_NOFILE, RLIMIT_NOFILE, false}, {W_RLIMIT_CORE, RLIMIT_CORE, false},
	{W_RLIMIT_AS, RLIMIT_AS, false},         {W_RLIMIT_CPU, RLIMIT_CPU, true},
	{W_RLIMIT_NPROC, RLIMIT_NPROC, false},   {W_RLIMIT_FSIZE, RLIMIT_FSIZE, false},
	{W_RLIMIT_STACK, RLIMIT_STACK, false},
};

static int build_limit_value(const char *text, bool time, rlim_t *value)
{
	uint64_t ms;
	int answer;

	if (!time || !strcmp(text, "unlimited"))
		return value_limit(text, value);
	answer = value_time(text, &ms);
	if (!answer)
		*value = (rlim_t)(ms / 1000 + (ms % 1000 != 0));
	return answer;
}

static void build_limit(struct reader *reader, const char *title, struct setting *setting, bool time,
			struct table_limit *limit)
{
	struct rlimit now;

	if (setting && !setting->bad && setting->count) {
		limit->set = !build_limit_value(setting->value[0], time, &limit->value);
		if (!limit->set)
			setting_mistake(reader, title, setting, "\"%.60s\" is no limit (%s, or unlimited)",
					setting->value[0], time ? "a time" : "a number, K, M or G behind it");
		else if (!reader->options->privileged && !getrlimit(limit->resource, &now) &&
			 limit->value > now.rlim_max)
			setting_mistake(reader, title, setting,
					"needs root: more than the limit of this daemon, %llu",
					(unsigned long long)now.rlim_max);
	} else if (!setting && limit->resource == RLIMIT_CORE) {
		limit->set = true; /* core files hold what clients sent: 0 unless asked for */
	}
}

static bool build_env_is_right(struct reader *reader, const char *title, struct setting *setting, unsigned at,
			       bool value)
{
	const char *entry = setting->value[at];
	size_t length = value_env_name(entry);

	if (!length || entry[length] != (value ? '=' : '\0')) {
		value_mistake(reader, title, setting, at, "\"%.60s\" is no %s", entry,
			      value ? "NAME=VALUE" : "name of a variable");
		return false;
	}
	if (!strncmp(entry, "LUST_", 5)) {
		value_mistake(reader, title, setting, at, "%.*s: names with LUST_ are set by lust-inetd",
			      (int)length, entry);
		return false;
	}
	return true;
}

/* A list of words as the table keeps it. */
static char **build_kept(struct reader *reader, const struct setting *setting)
{
	char **kept = arena_alloc(reader->arena, (setting->count + 1) * sizeof(*kept));

	for (unsigned i = 0; i < setting->count; i++)
		kept[i] = arena_strdup(reader->arena, setting->value[i]);
	return kept;
}

/* The entry is added, or takes the place of the one of the same name. */
static void build_env_put(char **env, size_t *count, const char *entry)
{
	size_t length = value_env_name(entry) + 1;

	for (size_t i = 0; i < *count; i++) {
		if (!strncmp(env[i], entry, length)) {
			env[i] = (char *)entry;
			return;
		}
	}
	env[(*count)++] = (char *)entry;
}

static size_t build_env_lines(const char **line)
{
	size_t count = 0;

	while (line && line[count])
		count++;
	return count;
}

/* env-file, then env over it. */
static void build_env(struct reader *reader, const struct effective *effective, struct table_server *server)
{
	struct setting *env = effective->of[W_ENV], *file = effective->of[W_ENV_FILE];
	unsigned files = file && !file->bad ? file->count : 0, own = env && !env->bad ? env->count : 0;
	const char ***lines = arena_alloc(&reader->scratch, (files + 1) * sizeof(*lines));
	size_t room = own + 1, count = 0;

	for (unsigned i = 0; i < files; i++) {
		lines[i] = env_file_read(reader, effective->title, file, i);
		room += build_env_lines(lines[i]);
	}
	server->env = arena_alloc(reader->arena, room * sizeof(*server->env));
	for (unsigned i = 0; i < files; i++)
		for (const char **line = lines[i]; line && *line; line++)
			build_env_put(server->env, &count, *line);
	for (unsigned i = 0; i < own; i++)
		if (build_env_is_right(reader, effective->title, env, i, true))
			build_env_put(server->env, &count, arena_strdup(reader->arena, env->value[i]));
}

static void build_pass_env(struct reader *reader, const struct effective *effective,
			   struct table_server *server)
{
	static char *none[] = {NULL};
	struct setting *pass = effective->of[W_PASS_ENV];

	server->pass_env = pass ? build_kept(reader, pass) : none;
	for (unsigned i = 0; pass && !pass->bad && i < pass->count; i++)
		build_env_is_right(reader, effective->title, pass, i, false);
}

static void build_command(struct reader *reader, const struct effective *effective,
			  struct table_server *server)
{
	struct setting *command = effective->of[W_COMMAND];

	server->command_origin = origin_of(command);
	if (!command || command->bad || !command->count)
		return;
	server->command = build_kept(reader, command);
	if (command->value[0][0] != '/')
		setting_mistake(reader, effective->title, command,
				"\"%s\" is no absolute path (/..., looked up inside chroot)",
				command->value[0]);
}

static void build_pidfile(struct reader *reader, const struct effective *effective,
			  struct table_server *server)
{
	struct setting *pidfile = effective->of[W_SERVER_PIDFILE];

	server->pidfile = build_path(reader, effective->title, pidfile);
	if (server->pidfile && strchr(server->pidfile, '%'))
		setting_mistake(reader, effective->title, pidfile,
				"no \"%%\" here (with several instances, .N goes before .pid)");
}

void build_server(struct reader *reader, const struct effective *effective, struct table_server *server)
{
	struct setting *const *of = effective->of;

	scalar_fill(reader, SECTION_SERVER, effective, server);
	build_command(reader, effective, server);
	server->directory = build_path(reader, effective->title, of[W_DIRECTORY]);
	if (!server->directory)
		server->directory = schema_by_id(W_DIRECTORY)->usual;
	server->chroot = build_path(reader, effective->title, of[W_CHROOT]);
	build_identity(reader, effective, server);
	build_env(reader, effective, server);
	build_pass_env(reader, effective, server);
	for (size_t i = 0; i < TABLE_LIMITS; i++) {
		server->limit[i].resource = limits[i].resource;
		build_limit(reader, effective->title, of[limits[i].id], limits[i].time, &server->limit[i]);
	}
	build_pidfile(reader, effective, server);
	build_log(reader, effective->title, of[W_SERVER_LOG], &server->log);
}
