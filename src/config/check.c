/*
 * check.c: what no single word shows: words that are missing, that have no effect together, that are odd.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "reader.h"

struct checking {
	struct reader *reader;
	const struct section *section;
	const struct effective *effective;
	const struct table_service *service;
};

static bool check_is_own(const struct checking *checking, enum word_id id)
{
	const struct setting *setting = checking->effective->of[id];

	return setting && !setting->from_defaults && !setting->bad;
}

static void check_no_effect(const struct checking *checking, enum word_id id, const char *because)
{
	if (check_is_own(checking, id))
		setting_mistake(checking->reader, checking->effective->title, checking->effective->of[id],
				"has no effect %s", because);
}

static void check_missing(const struct checking *checking, struct place place, const char *word,
			  const char *what)
{
	report_mistake(&checking->reader->report, place, checking->effective->title, word, "%s", what);
}

static void check_start(const struct checking *checking)
{
	const struct table_service *service = checking->service;
	const struct setting *start = checking->effective->of[W_START];
	bool start_is_bad = start && start->bad;

	if (service->has_server && service->start == START_EXTERNAL && start && !start_is_bad)
		report_mistake(&checking->reader->report, checking->section->server->place,
			       checking->effective->title, "server",
			       "has no effect with start = external (%s:%u): leave one of them out",
			       start->place.source->path, start->place.line);
	if (!service->has_server && service->start == START_ALWAYS && check_is_own(checking, W_START))
		setting_mistake(checking->reader, checking->effective->title,
				checking->effective->of[W_START],
				"nothing to start: server { } is missing (or start = external)");
}

static bool check_names_somebody(const struct setting *setting)
{
	return setting && (setting->count || setting->bad);
}

static void check_registration(const struct checking *checking)
{
	struct setting *const *of = checking->effective->of;
	const struct table_service *service = checking->service;
	const struct table_dispatch *dispatch = service->dispatch;
	static const char nobody[] = "without register-users or register-groups";

	if (!check_names_somebody(of[W_REGISTER_USERS]) && !check_names_somebody(of[W_REGISTER_GROUPS])) {
		check_no_effect(checking, W_MAX_REGISTERED, nobody);
		check_no_effect(checking, W_ALLOW_ROOT, nobody);
		check_no_effect(checking, W_ALLOW_FOREIGN, nobody);
		if (!service->has_server)
			report_warning(
				&checking->reader->report, checking->section->place, service->name, NULL,
				"nobody can serve it: no server { }, no register-users, no register-groups");
	}
	for (size_t i = 0; i < dispatch->register_users.count; i++)
		if (!dispatch->register_users.id[i] && !dispatch->allow_root)
			report_warning(&checking->reader->report, of[W_REGISTER_USERS]->place, service->name,
				       "register-users",
				       "root is refused all the same without allow-root = yes");
}

static void check_restart(const struct checking *checking)
{
	const struct table_server *server = checking->service->server;
	static const char never[] = "with restart = never";
	enum word_id blamed =
		check_is_own(checking, W_RESTART_DELAY_MAX) ? W_RESTART_DELAY_MAX : W_RESTART_DELAY;
	struct setting *setting = checking->effective->of[blamed];

	if (server->restart == RESTART_NEVER) {
		check_no_effect(checking, W_RESTART_DELAY, never);
		check_no_effect(checking, W_RESTART_DELAY_MAX, never);
		check_no_effect(checking, W_RESTART_LIMIT, never);
		check_no_effect(checking, W_RESTART_RESET_AFTER, never);
	} else if (server->restart_delay_max_ms < server->restart_delay_ms) {
		setting = setting ? setting : checking->effective->of[W_RESTART_DELAY_MAX];
		if (setting && !setting->bad)
			setting_mistake(checking->reader, checking->effective->title, setting,
					"restart-delay is %u ms, more than restart-delay-max, %u ms",
					server->restart_delay_ms, server->restart_delay_max_ms);
	}
}

static void check_identity(const struct checking *checking)
{
	struct reader *reader = checking->reader;
	struct setting *user = checking->effective->of[W_USER];
	const struct table_server *server = checking->service->server;
	const char *title;

	if (!reader->options->privileged)
		return;
	if (!user && server->command) {
		check_missing(checking, checking->section->server->place, "user",
			      "is missing: root runs this daemon, so the server's user must be said");
		return;
	}
	if (!user || user->bad || user->warned || !server->user_set)
		return;
	title = user->from_defaults ? "defaults" : checking->effective->title;
	user->warned = true;
	if (!server->uid)
		report_warning(&reader->report, user->place, title, "user", "the server runs as root%s",
			       server->chroot ? ", which can leave its chroot" : "");
	else if (reader->table->dispatcher_user_set && server->uid == reader->table->dispatcher_uid)
		report_warning(&reader->report, user->place, title, "user",
			       "%s is the dispatcher's user: such a server can signal the dispatcher",
			       reader->table->dispatcher_user);
}

static void check_server(const struct checking *checking)
{
	const struct setting *command = checking->effective->of[W_COMMAND];

	if (!command || (!command->count && !command->bad))
		check_missing(checking, command ? command->place : checking->section->server->place,
			      "command", "is missing: what shall be started?");
	check_identity(checking);
	check_restart(checking);
}

/* Whether a dead server has touched a connection, only TCP can prove. */
static void check_acknowledge(const struct checking *checking)
{
	const struct table_service *service = checking->service;
	struct setting *acknowledge = checking->effective->of[W_ACKNOWLEDGE];

	if (service->dispatch->acknowledge != ACKNOWLEDGE_DONE)
		return;
	for (size_t i = 0; i < service->listen_count; i++) {
		const struct table_listen *listen = &service->listen[i];

		if (listen->address.kind != ADDRESS_UNIX)
			continue;
		report_mistake(&checking->reader->report,
			       check_is_own(checking, W_ACKNOWLEDGE) ? acknowledge->place
								     : checking->section->place,
			       service->name, "acknowledge",
			       "done is for TCP only, and %s (%s:%u) is a Unix socket: nothing proves what a "
			       "dead server has done with its connections (use taken, or another service for "
			       "that address)",
			       listen->said, service->file, listen->line);
		return;
	}
}

void check_service(struct reader *reader, const struct section *section, const struct effective *effective,
		   const struct table_service *service)
{
	struct checking checking = {reader, section, effective, service};
	const struct setting *listen = effective->of[W_LISTEN];

	if (!listen || (!listen->count && !listen->bad))
		check_missing(&checking, listen ? listen->place : section->place, "listen",
			      "is missing: a service has at least one address");
	check_acknowledge(&checking);
	check_start(&checking);
	check_registration(&checking);
	if (service->has_server && service->start != START_EXTERNAL)
		check_server(&checking);
}

/* More than the daemon has room for: told at the service that is one too many. */
static void check_room(struct reader *reader)
{
	const struct table *table = reader->table;
	size_t listeners = 0, servers = 0;
	bool listeners_told = false, servers_told = false;

	for (size_t i = 0; i < table->service_count; i++) {
		const struct table_service *service = &table->service[i];

		listeners += service->listen_count;
		servers += service->has_server ? service->server->instances : 0;
		if (listeners > TABLE_LISTENERS_MAX && !listeners_told)
			report_mistake(&reader->report, reader->service[i]->place, service->name, "listen",
				       "more than %u addresses in the table", TABLE_LISTENERS_MAX);
		if (servers > TABLE_SERVERS_MAX && !servers_told)
			report_warning(
				&reader->report, reader->service[i]->place, service->name, "instances",
				"more than %u servers in the table: the daemon has no room for all at once",
				TABLE_SERVERS_MAX);
		listeners_told = listeners > TABLE_LISTENERS_MAX;
		servers_told = servers > TABLE_SERVERS_MAX;
	}
}

void check_table(struct reader *reader)
{
	struct setting *listen = reader->inherited[W_LISTEN];

	if (listen)
		setting_mistake(reader, "defaults", listen,
				"an address is of one service only (not of defaults { })");
	check_room(reader);
	overlap_check(reader);
}
