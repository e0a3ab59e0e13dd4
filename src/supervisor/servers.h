/*
 * servers.h: the life of one application server, and the pure rules of its end and its next start.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_SERVERS_H
#define SUPERVISOR_SERVERS_H

#include "supervisor.h"

/* ---- server.c: one server's life; server_end.c: its end; spawn.c: the deed of starting; child.c: after fork ---- */
struct server *server_new(struct supervisor *, struct service *, unsigned instance);
void server_phase(struct supervisor *, struct server *, enum server_phase, uint32_t timeout_ms); /* 0: no time-out */
void server_start(struct supervisor *, struct server *);
void server_start_soon(struct supervisor *, struct server *); /* as for the first time; by its timer */
bool server_is_at_rest(const struct server *);
bool server_hangs(const struct server *);                 /* KILL was sent long ago, and it still does not end */
void server_stop(struct supervisor *, struct server *, bool drain); /* DRAIN, signal, KILL; sets retiring */
void server_misbehaved(struct supervisor *, struct server *, const char *why); /* ends it; restarted as the policy says */
void server_registered(struct supervisor *, struct server *);
void server_idle(struct supervisor *, struct server *);
void server_left(struct supervisor *, struct server *, const char *reason); /* DEREGISTERED */
void server_died(struct supervisor *, struct server *, int status); /* its leader was reaped, its group got KILL */
void server_ended(struct supervisor *, struct server *);  /* and the group is empty */
void server_remove(struct supervisor *, struct server *);
struct server *server_by_pid(struct supervisor *, pid_t);
int spawn_server(struct supervisor *, struct server *, char *problem, size_t size); /* 0 or -errno with words */

/* ---- exit_text.c: pure ---- */
const char *exit_text(int status, char text[96]);         /* "exit 1", "SIGSEGV", "SIGABRT, core dumped" */
bool exit_clean(int status, int stop_signal);             /* exit 0, or by its own stop-signal */

/* ---- restart.c: pure ---- */
struct restart_input {
	enum table_restart policy;
	bool clean;              /* exit 0, or ended by its own stop-signal */
	uint64_t ran_ms;
	unsigned failures, limit;
	uint32_t delay_ms, delay_max_ms, reset_after_ms;
};
struct restart_verdict {
	enum { RESTART_WAIT, RESTART_STOPPED, RESTART_FAILED } what;
	uint32_t delay_ms;
	unsigned failures;       /* the new count */
};
struct restart_verdict restart_decide(const struct restart_input *);

#endif
