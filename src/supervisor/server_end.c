/*
 * server_end.c: a server's end: what it died of, what is cleared away, what comes next.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "control_socket.h"
#include "lifecycle.h"
#include "logging.h"
#include "roll.h"
#include "server_pidfile.h"
#include "servers.h"
#include "services.h"
#include "slots.h"

/* The child wrote why it could not become the server; otherwise its status says all. */
static void note_exit(struct server *server, int status)
{
	struct child_failure failure;

	if (server->exec_error >= 0 && child_read_failure(server->exec_error, &failure))
		child_failure_text(&failure, server->last_exit, sizeof(server->last_exit));
	else if (!server->misbehaved)
		exit_text(status, server->last_exit);
	if (server->exec_error >= 0)
		close(server->exec_error);
	server->exec_error = -1;
	server->last_exit_s = (uint64_t)time(NULL);
}

void server_died(struct supervisor *s, struct server *server, int status)
{
	server->clean = !server->misbehaved && exit_clean(status, server->service->more->stop_signal);
	note_exit(server, status);
	if (server->retiring)
		log_line(s, LEVEL_INFO, server->service->name, "server %u (pid %d) ended: %s",
			 server->instance, (int)server->pid, server->last_exit);
	server->group = server->pid;
	server->pid = 0;
	server_phase(s, server, PHASE_KILLING, 0);
}

static void release(struct supervisor *s, struct server *server)
{
	if (server->slot != BOARD_NONE)
		runtime_dir_record(s, server->slot, 0, 0);
	slot_died(s, server);
	server->group = 0;
	server_pidfile_release(server);
}

static void decide(struct supervisor *s, struct server *server, pid_t pid)
{
	const struct table_server *want = server->service->want->server;
	const char *name = server->service->name;
	struct restart_input input = {.policy = want->restart,
				      .clean = server->clean,
				      .ran_ms = clock_ms() - server->started_ms,
				      .failures = server->failures,
				      .limit = want->restart_limit,
				      .delay_ms = want->restart_delay_ms,
				      .delay_max_ms = want->restart_delay_max_ms,
				      .reset_after_ms = want->restart_reset_after_ms};
	struct restart_verdict verdict = restart_decide(&input);

	server->failures = verdict.failures;
	switch (verdict.what) {
	case RESTART_WAIT:
		server->restarts++;
		server_phase(s, server, PHASE_BACKOFF, verdict.delay_ms > 0 ? verdict.delay_ms : 1);
		log_line(s, server->clean ? LEVEL_NOTICE : LEVEL_WARNING, name,
			 "server %u (pid %d) ended: %s; started again in %u ms", server->instance, (int)pid,
			 server->last_exit, verdict.delay_ms);
		break;
	case RESTART_STOPPED:
		server_phase(s, server, PHASE_STOPPED, 0);
		log_line(s, server->clean ? LEVEL_NOTICE : LEVEL_WARNING, name,
			 "server %u (pid %d) ended: %s; not started again (restart)", server->instance,
			 (int)pid, server->last_exit);
		break;
	case RESTART_FAILED:
		server_phase(s, server, PHASE_FAILED, 0);
		log_line(s, LEVEL_ERROR, name,
			 "server %u (pid %d) ended: %s; given up after %u times in a row (restart-limit): "
			 "`lust-inetd up %s` tries again",
			 server->instance, (int)pid, server->last_exit, verdict.failures, name);
		break;
	}
}

void server_ended(struct supervisor *s, struct server *server)
{
	struct service *service = server->service;
	pid_t pid = server->group;

	bool inherited = !server->retiring && !server->newcomer && roll_inherited(s, server);
	release(s, server);
	if (server->retiring || inherited || service->want == NULL) {
		server_remove(s, server);
		service_reconcile(s, service);
	} else if (server->newcomer) {
		roll_newcomer_ended(s, server);
	} else {
		decide(s, server, pid);
	}
	control_service_changed(s, service);
	service_sweep(s);
	stop_check(s);
}
