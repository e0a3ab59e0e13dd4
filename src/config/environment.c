/*
 * environment.c: a server's environment.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "environment.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct environment {
	char **entry;
	size_t count, room;
	bool failed;
};

/* Takes over `entry`; NULL is no memory. */
static void environment_put(struct environment *environment, char *entry)
{
	const char *sign = entry ? strchr(entry, '=') : NULL;
	size_t length = sign ? (size_t)(sign - entry) + 1 : 0;

	if (!length) {
		environment->failed = true;
		free(entry);
		return;
	}
	for (size_t i = 0; i < environment->count; i++) {
		if (!strncmp(environment->entry[i], entry, length)) {
			free(environment->entry[i]);
			environment->entry[i] = entry;
			return;
		}
	}
	environment->entry[environment->count++] = entry;
}

static void environment_set(struct environment *environment, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void environment_set(struct environment *environment, const char *name, const char *format, ...)
{
	char *value = NULL, *entry = NULL;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&value, format, arguments);
	va_end(arguments);
	if (length >= 0 && asprintf(&entry, "%s=%s", name, value) < 0)
		entry = NULL;
	if (length >= 0)
		free(value);
	environment_put(environment, entry);
}

static void environment_pass(struct environment *environment, const char *name, char **own)
{
	size_t length = strlen(name);

	for (; own && *own; own++)
		if (!strncmp(*own, name, length) && (*own)[length] == '=')
			environment_put(environment, strdup(*own));
}

static size_t environment_count(char *const *list)
{
	size_t count = 0;

	while (list && list[count])
		count++;
	return count;
}

static void environment_user(struct environment *environment, const struct table_server *server)
{
	environment_set(environment, "PATH", "%s", USUAL_PATH);
	if (*server->user_home)
		environment_set(environment, "HOME", "%s", server->user_home);
	if (*server->user_name) {
		environment_set(environment, "USER", "%s", server->user_name);
		environment_set(environment, "LOGNAME", "%s", server->user_name);
	}
	if (*server->user_shell)
		environment_set(environment, "SHELL", "%s", server->user_shell);
}

char **environment_build(const struct table_service *service, unsigned instance, char **own_environ)
{
	const struct table_server *server = service->server;
	struct environment environment = {0};

	/* five of the user, TZ, three of ours, and the NULL */
	environment.room = 10 + environment_count(server->pass_env) + environment_count(server->env);
	environment.entry = calloc(environment.room, sizeof(*environment.entry));
	if (!environment.entry)
		return NULL;
	environment_user(&environment, server);
	environment_pass(&environment, "TZ", own_environ);
	for (char **name = server->pass_env; name && *name; name++)
		environment_pass(&environment, *name, own_environ);
	for (char **entry = server->env; entry && *entry; entry++)
		environment_put(&environment, strdup(*entry));
	environment_set(&environment, "LUST_SERVICE", "%s", service->name);
	environment_set(&environment, "LUST_INSTANCE", "%u", instance);
	environment_set(&environment, "LUST_FD", "%d", ENVIRONMENT_FD);
	if (environment.failed) {
		environment_free(environment.entry);
		return NULL;
	}
	return environment.entry;
}

void environment_free(char **environment)
{
	for (char **entry = environment; entry && *entry; entry++)
		free(*entry);
	free(environment);
}
