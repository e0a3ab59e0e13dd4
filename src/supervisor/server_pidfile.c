/*
 * server_pidfile.c: see server_pidfile.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "lust.h"
#include "server_pidfile.h"

/* "/run/web.pid" with several instances: "/run/web.2.pid". */
static char *path_of(const struct supervisor *s, const struct server *server)
{
	const struct table_server *want = server->service->want->server;
	char *path = NULL;
	char number[16] = "";
	int length;

	if (want->instances > 1)
		snprintf(number, sizeof(number), ".%u", server->instance);
	if (want->pidfile == NULL) {
		length = asprintf(&path, "%s/%s%s.pid", s->runtime_dir, server->service->name, number);
	} else {
		size_t stem = strlen(want->pidfile);
		bool suffixed = stem > 4 && strcmp(want->pidfile + stem - 4, ".pid") == 0;
		if (suffixed)
			stem -= 4;
		length =
			asprintf(&path, "%.*s%s%s", (int)stem, want->pidfile, number, suffixed ? ".pid" : "");
	}
	return length < 0 ? NULL : path;
}

/* The lock is ours already: another server of this service has the file. */
static struct server *holder_of(const struct service *service, const char *path)
{
	for (struct server *server = service->servers; server != NULL; server = server->next)
		if (server->pidfile_fd >= 0 && strcmp(server->pidfile_path, path) == 0)
			return server;
	return NULL;
}

static void move(struct server *from, struct server *to)
{
	free(to->pidfile_path);
	to->pidfile_fd = from->pidfile_fd;
	to->pidfile_path = from->pidfile_path;
	from->pidfile_fd = -1;
	from->pidfile_path = NULL;
}

static int open_new(struct server *server, char *path, char *problem, size_t size)
{
	pid_t holder = 0;

	free(server->pidfile_path);
	server->pidfile_path = path;
	int fd = lust_pidfile_open(path, &holder);
	if (fd >= 0) {
		server->pidfile_fd = fd;
		return 0;
	}
	if (fd == -EWOULDBLOCK)
		snprintf(problem, size, "pidfile %s: held by pid %d", path, (int)holder);
	else
		snprintf(problem, size, "pidfile %s: %s", path, strerror(-fd));
	return fd;
}

int server_pidfile_take(struct supervisor *s, struct server *server, char *problem, size_t size)
{
	char *path = path_of(s, server);

	if (path == NULL)
		return -ENOMEM;
	struct server *holder = holder_of(server->service, path);
	if (holder == NULL)
		return open_new(server, path, problem, size);
	free(path);
	/* Until it has registered, the one that serves is the one that the file names. */
	if (!server->newcomer || holder->replaced)
		move(holder, server);
	return 0;
}

void server_pidfile_write(struct supervisor *s, const struct server *server)
{
	int result = server->pidfile_fd < 0 ? 0 : lust_pidfile_write(server->pidfile_fd, server->pid);

	if (result < 0)
		log_line(s, LEVEL_WARNING, server->service->name, "cannot write %s: %s", server->pidfile_path,
			 strerror(-result));
}

void server_pidfile_hand_on(struct supervisor *s, struct server *from, struct server *to)
{
	if (to->pidfile_fd >= 0 || from->pidfile_fd < 0)
		return;
	move(from, to);
	server_pidfile_write(s, to);
}

void server_pidfile_release(struct server *server)
{
	if (server->pidfile_fd >= 0)
		lust_pidfile_close(server->pidfile_fd, server->pidfile_path);
	server->pidfile_fd = -1;
}
