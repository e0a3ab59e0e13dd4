/*
 * spawn.c: everything that a new server needs, then fork(2).  What was made is undone when a later step fails.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "environment.h"
#include "lifecycle.h"
#include "logging.h"
#include "lust.h"
#include "server_pidfile.h"
#include "servers.h"
#include "slots.h"

struct parts {
	int ours, theirs; /* the slot's as soon as there is one */
	int output[2], error[2];
	int null;
	char **environment;
	char *seen_command, *seen_directory;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void parts_free(struct parts *parts)
{
	close_fd(&parts->ours);
	close_fd(&parts->theirs);
	close_fd(&parts->output[0]);
	close_fd(&parts->output[1]);
	close_fd(&parts->error[0]);
	close_fd(&parts->error[1]);
	close_fd(&parts->null);
	environment_free(parts->environment);
	free(parts->seen_command);
	free(parts->seen_directory);
}

static int make_pair(struct parts *parts)
{
	int ends[2], result;

	/* Never O_NONBLOCK: that belongs to the open file, which the server shares with us. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	parts->ours = ends[0];
	parts->theirs = ends[1];
	result = lust_allow_credentials(ends[0]);
	return result;
}

static int make_pipes(const struct server *server, struct parts *parts)
{
	if (pipe2(parts->output, O_CLOEXEC) < 0 || pipe2(parts->error, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(parts->output[0], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(parts->error[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	/* Else a server of another user could not open /dev/stdout and /dev/stderr. */
	if (server->uid != geteuid() && fchown(parts->output[1], server->uid, server->gid) < 0)
		return -errno;
	parts->null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	return parts->null < 0 ? -errno : 0;
}

static char *join(const char *chroot, const char *path)
{
	char *joined = NULL;

	if (asprintf(&joined, "%s%s", chroot != NULL ? chroot : "", path) < 0)
		return NULL;
	return joined;
}

static int make_texts(struct supervisor *s, const struct server *server, struct parts *parts)
{
	const struct table_service *want = server->service->want;
	const char *chroot = s->privileged ? want->server->chroot : NULL;

	parts->environment = environment_build(want, server->instance, environ);
	parts->seen_command = join(chroot, want->server->command[0]);
	parts->seen_directory = join(chroot, want->server->directory);
	return parts->environment == NULL || parts->seen_command == NULL || parts->seen_directory == NULL
		       ? -ENOMEM
		       : 0;
}

static void fill_plan(struct supervisor *s, const struct server *server, const struct parts *parts,
		      struct child_plan *plan)
{
	const struct table_server *want = server->service->want->server;

	*plan = (struct child_plan){
		.arguments = want->command,
		.environment = parts->environment,
		.chroot = s->privileged ? want->chroot : NULL,
		.directory = want->directory,
		.drop = s->privileged && want->user_set,
		.uid = want->uid,
		.gid = want->gid,
		.groups = want->groups.id,
		.group_count = want->groups.count,
		.umask = want->umask,
		.nice = want->nice,
		.limit = want->limit,
		.nofile_at_start = s->nofile_at_start,
		.null = parts->null,
		.output = parts->output[1],
		.pair = s->slots[server->slot].theirs,
		.error = parts->error[1],
		.parent = getpid(),
		.seen_command = parts->seen_command,
		.seen_directory = parts->seen_directory,
	};
}

static pid_t fork_child(const struct child_plan *plan)
{
	sigset_t all, before;

	/* No handler of ours may run in the child: it would write into our loop's wake-up. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		child_run(plan);
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid < 0 ? -error : pid;
}

/* Everything up to the fork.  Afterwards the pair belongs to the slot. */
static int make_parts(struct supervisor *s, struct server *server, struct parts *parts)
{
	int result = make_texts(s, server, parts);

	if (result == 0)
		result = make_pair(parts);
	if (result == 0)
		result = make_pipes(server, parts);
	if (result == 0)
		result = slot_take(s, server, parts->ours, parts->theirs, -1);
	if (result == 0)
		parts->ours = parts->theirs = -1;
	return result;
}

static void started(struct supervisor *s, struct server *server, struct parts *parts, pid_t pid)
{
	server->pid = pid;
	s->slots[server->slot].record.pid = pid;
	server->exec_error = parts->error[0];
	parts->error[0] = -1;
	logger_source(s, server, parts->output[0]);
	parts->output[0] = -1;
	runtime_dir_record(s, server->slot, pid, server->uid);
	server_pidfile_write(s, server);
}

int spawn_server(struct supervisor *s, struct server *server, char *problem, size_t size)
{
	const struct table_server *want = server->service->want->server;
	struct parts parts = {.ours = -1, .theirs = -1, .output = {-1, -1}, .error = {-1, -1}, .null = -1};
	struct child_plan plan;

	server->uid = s->privileged && want->user_set ? want->uid : geteuid();
	server->gid = s->privileged && want->user_set ? want->gid : getegid();
	char why[96] = "";
	int result = server_pidfile_take(s, server, why, sizeof(why));
	if (result == 0)
		result = make_parts(s, server, &parts);
	if (result == 0) {
		fill_plan(s, server, &parts, &plan);
		result = fork_child(&plan);
	}
	if (result > 0) {
		started(s, server, &parts, result);
		result = 0;
	} else {
		if (why[0] == '\0')
			snprintf(why, sizeof(why), "%s",
				 result == -ENOSPC ? "no free slot for one more server" : strerror(-result));
		snprintf(problem, size, "%s", why);
		if (server->slot != BOARD_NONE)
			slot_free(s, server->slot);
		server_pidfile_release(server);
	}
	parts_free(&parts);
	return result;
}
