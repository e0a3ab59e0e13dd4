/*
 * schema.c: every word of the table.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "table.h"

#define LATER(name, section)                                                                                 \
	{                                                                                                    \
		name, section, WORD_LATER, WORD_NONE, NULL                                                   \
	}

const struct word schema_word[] = {
	{"runtime-dir", SECTION_TOP, WORD_ONE, W_RUNTIME_DIR, NULL},
	{"pidfile", SECTION_TOP, WORD_ONE, W_PIDFILE, NULL},
	{"log", SECTION_TOP, WORD_ONE, W_LOG, NULL},
	{"log-level", SECTION_TOP, WORD_ONE, W_LOG_LEVEL, "info"},
	{"admin-users", SECTION_TOP, WORD_LIST, W_ADMIN_USERS, NULL},
	{"admin-groups", SECTION_TOP, WORD_LIST, W_ADMIN_GROUPS, NULL},
	{"status-users", SECTION_TOP, WORD_LIST, W_STATUS_USERS, NULL},
	{"status-groups", SECTION_TOP, WORD_LIST, W_STATUS_GROUPS, NULL},
	{"include", SECTION_TOP, WORD_CALL, W_INCLUDE, NULL},
	{"dispatcher", SECTION_TOP, WORD_SECTION, W_DISPATCHER, NULL},
	{"defaults", SECTION_TOP, WORD_SECTION, W_DEFAULTS, NULL},
	{"service", SECTION_TOP, WORD_TITLED, W_SERVICE, NULL},

	{"user", SECTION_DISPATCHER, WORD_ONE, W_DISPATCHER_USER, NULL},
	{"group", SECTION_DISPATCHER, WORD_ONE, W_DISPATCHER_GROUP, NULL},
	{"chroot", SECTION_DISPATCHER, WORD_ONE, W_DISPATCHER_CHROOT, NULL},

	{"mode", SECTION_SERVICE, WORD_ONE, W_MODE, "connections"},
	{"listen", SECTION_SERVICE, WORD_LIST, W_LISTEN, NULL},
	{"optional", SECTION_SERVICE, WORD_ONE, W_OPTIONAL, "no"},
	{"balance", SECTION_SERVICE, WORD_ONE, W_BALANCE, "round-robin"},
	{"acknowledge", SECTION_SERVICE, WORD_ONE, W_ACKNOWLEDGE, "taken"},
	{"take-timeout", SECTION_SERVICE, WORD_ONE, W_TAKE_TIMEOUT, "5s"},
	{"window", SECTION_SERVICE, WORD_ONE, W_WINDOW, "64"},
	{"overload", SECTION_SERVICE, WORD_ONE, W_OVERLOAD, "wait"},
	{"register-users", SECTION_SERVICE, WORD_LIST, W_REGISTER_USERS, NULL},
	{"register-groups", SECTION_SERVICE, WORD_LIST, W_REGISTER_GROUPS, NULL},
	{"max-registered", SECTION_SERVICE, WORD_ONE, W_MAX_REGISTERED, "256"},
	{"allow-root", SECTION_SERVICE, WORD_ONE, W_ALLOW_ROOT, "no"},
	{"allow-foreign-namespace", SECTION_SERVICE, WORD_ONE, W_ALLOW_FOREIGN, "no"},
	{"start", SECTION_SERVICE, WORD_ONE, W_START, NULL},
	{"drain-timeout", SECTION_SERVICE, WORD_ONE, W_DRAIN_TIMEOUT, "30s"},
	{"server", SECTION_SERVICE, WORD_SECTION, W_SERVER, NULL},
	LATER("builtin", SECTION_SERVICE),
	LATER("socket", SECTION_SERVICE),
	LATER("only-from", SECTION_SERVICE),
	LATER("no-access", SECTION_SERVICE),
	LATER("access-times", SECTION_SERVICE),
	LATER("max-load", SECTION_SERVICE),
	LATER("max-connections", SECTION_SERVICE),
	LATER("per-source", SECTION_SERVICE),
	LATER("per-source-prefix4", SECTION_SERVICE),
	LATER("per-source-prefix6", SECTION_SERVICE),
	LATER("rate", SECTION_SERVICE),
	LATER("rate-per-source", SECTION_SERVICE),
	LATER("banner", SECTION_SERVICE),
	LATER("banner-denied", SECTION_SERVICE),
	LATER("banner-overload", SECTION_SERVICE),
	LATER("log-connections", SECTION_SERVICE),
	LATER("idle-stop", SECTION_SERVICE),

	{"command", SECTION_SERVER, WORD_LIST, W_COMMAND, NULL},
	{"directory", SECTION_SERVER, WORD_ONE, W_DIRECTORY, "/"},
	{"user", SECTION_SERVER, WORD_ONE, W_USER, NULL},
	{"group", SECTION_SERVER, WORD_ONE, W_GROUP, NULL},
	{"groups", SECTION_SERVER, WORD_LIST, W_GROUPS, NULL},
	{"chroot", SECTION_SERVER, WORD_ONE, W_CHROOT, NULL},
	{"env", SECTION_SERVER, WORD_LIST, W_ENV, NULL},
	{"env-file", SECTION_SERVER, WORD_LIST, W_ENV_FILE, NULL},
	{"pass-env", SECTION_SERVER, WORD_LIST, W_PASS_ENV, NULL},
	{"umask", SECTION_SERVER, WORD_ONE, W_UMASK, "022"},
	{"nice", SECTION_SERVER, WORD_ONE, W_NICE, "0"},
	{"instances", SECTION_SERVER, WORD_ONE, W_INSTANCES, "1"},
	{"ready-timeout", SECTION_SERVER, WORD_ONE, W_READY_TIMEOUT, "30s"},
	{"stop-signal", SECTION_SERVER, WORD_ONE, W_STOP_SIGNAL, "TERM"},
	{"stop-timeout", SECTION_SERVER, WORD_ONE, W_STOP_TIMEOUT, "10s"},
	{"restart", SECTION_SERVER, WORD_ONE, W_RESTART, "always"},
	{"restart-delay", SECTION_SERVER, WORD_ONE, W_RESTART_DELAY, "100ms"},
	{"restart-delay-max", SECTION_SERVER, WORD_ONE, W_RESTART_DELAY_MAX, "30s"},
	{"restart-limit", SECTION_SERVER, WORD_ONE, W_RESTART_LIMIT, "0"},
	{"restart-reset-after", SECTION_SERVER, WORD_ONE, W_RESTART_RESET_AFTER, "10s"},
	{"rlimit-nofile", SECTION_SERVER, WORD_ONE, W_RLIMIT_NOFILE, NULL},
	{"rlimit-core", SECTION_SERVER, WORD_ONE, W_RLIMIT_CORE, "0"},
	{"rlimit-as", SECTION_SERVER, WORD_ONE, W_RLIMIT_AS, NULL},
	{"rlimit-cpu", SECTION_SERVER, WORD_ONE, W_RLIMIT_CPU, NULL},
	{"rlimit-nproc", SECTION_SERVER, WORD_ONE, W_RLIMIT_NPROC, NULL},
	{"rlimit-fsize", SECTION_SERVER, WORD_ONE, W_RLIMIT_FSIZE, NULL},
	{"rlimit-stack", SECTION_SERVER, WORD_ONE, W_RLIMIT_STACK, NULL},
	{"pidfile", SECTION_SERVER, WORD_ONE, W_SERVER_PIDFILE, NULL},
	{"log", SECTION_SERVER, WORD_ONE, W_SERVER_LOG, NULL},
	LATER("cpu-affinity", SECTION_SERVER),
	LATER("oom-score-adjust", SECTION_SERVER),
	LATER("max-instances", SECTION_SERVER),
	LATER("spare", SECTION_SERVER),
	LATER("ready", SECTION_SERVER),
	LATER("watchdog", SECTION_SERVER),
	LATER("max-requests", SECTION_SERVER),
	LATER("max-age", SECTION_SERVER),
	LATER("run-time-limit", SECTION_SERVER),
	LATER("no-new-privileges", SECTION_SERVER),
	LATER("capabilities", SECTION_SERVER),
	LATER("seccomp", SECTION_SERVER),
	LATER("private-tmp", SECTION_SERVER),
	LATER("private-network", SECTION_SERVER),
	LATER("private-pids", SECTION_SERVER),
	LATER("read-only", SECTION_SERVER),
	LATER("check-jail", SECTION_SERVER),
	LATER("memory-max", SECTION_SERVER),
	LATER("pids-max", SECTION_SERVER),
	LATER("cpu-max", SECTION_SERVER),
	LATER("error-output", SECTION_SERVER),

	LATER("backlog", SECTION_SOCKET),
	LATER("nodelay", SECTION_SOCKET),
	LATER("keepalive", SECTION_SOCKET),
	LATER("defer-accept", SECTION_SOCKET),
	LATER("fast-open", SECTION_SOCKET),
	LATER("freebind", SECTION_SOCKET),
	LATER("transparent", SECTION_SOCKET),
	LATER("device", SECTION_SOCKET),
	LATER("mark", SECTION_SOCKET),
	LATER("priority", SECTION_SOCKET),
	LATER("tos", SECTION_SOCKET),
	LATER("receive-buffer", SECTION_SOCKET),
	LATER("send-buffer", SECTION_SOCKET),
	LATER("owner", SECTION_SOCKET),
	LATER("permissions", SECTION_SOCKET),
};

const size_t schema_count = sizeof(schema_word) / sizeof(schema_word[0]);

const struct word *schema_find(enum section_kind section, const char *name)
{
	for (size_t i = 0; i < schema_count; i++)
		if (schema_word[i].section == section && !strcmp(schema_word[i].name, name))
			return &schema_word[i];
	return NULL;
}

const struct word *schema_by_id(enum word_id id)
{
	static const struct word *word[WORD_COUNT + 1];

	if (!word[0])
		for (size_t i = schema_count; i-- > 0;)
			word[schema_word[i].id] = &schema_word[i];
	return word[id];
}

const char *schema_section_name(enum section_kind section)
{
	static const char *const name[SECTION_KINDS] = {
		[SECTION_TOP] = "the top level",   [SECTION_DISPATCHER] = "dispatcher { }",
		[SECTION_SERVICE] = "service { }", [SECTION_SERVER] = "server { }",
		[SECTION_SOCKET] = "socket { }",
	};

	return name[section];
}

/* The sections that have the word, "server { } or dispatcher { }". False: none has. */
static bool schema_elsewhere(const char *name, char *text, size_t size)
{
	/* The likeliest first. */
	static const enum section_kind order[] = {SECTION_SERVER, SECTION_DISPATCHER, SECTION_SERVICE,
						  SECTION_SOCKET, SECTION_TOP};
	const struct word *word;
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && at < size; i++) {
		word = schema_find(order[i], name);
		if (!word)
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%s%s", at ? " or " : "",
				       schema_section_name(order[i]),
				       word->kind == WORD_LATER ? " (not supported yet)" : "");
	}
	return at > 0;
}

void schema_explain(enum section_kind section, const char *name, char *text, size_t size)
{
	const char *names[sizeof(schema_word) / sizeof(schema_word[0])];
	const char *nearest;
	char sections[160];
	size_t count = 0;

	if (schema_elsewhere(name, sections, sizeof(sections))) {
		snprintf(text, size, "%s belongs in %s", name, sections);
		return;
	}
	for (size_t i = 0; i < schema_count; i++)
		if (schema_word[i].section == section)
			names[count++] = schema_word[i].name;
	nearest = nearest_name(name, names, count);
	if (nearest) {
		snprintf(text, size, "unknown word (did you mean %s?)", nearest);
		return;
	}
	for (size_t i = 0; i < schema_count; i++)
		names[i] = schema_word[i].name;
	nearest = nearest_name(name, names, schema_count);
	if (nearest && schema_elsewhere(nearest, sections, sizeof(sections)))
		snprintf(text, size, "unknown word (did you mean %s, which belongs in %s?)", nearest,
			 sections);
	else
		snprintf(text, size, "unknown word in %s", schema_section_name(section));
}
