/*
 * lifecycle.h: the privileged half as a process: how it begins, what it needs, what it leaves, how it ends.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_LIFECYCLE_H
#define SUPERVISOR_LIFECYCLE_H

#include "supervisor.h"

/* ---- run.c: the one visible order of the privileged half ---- */

struct run_options {
	const char *config_file, *runtime_dir;
	bool verbose, daemonize;
};
/* `run` and `start`.  Returns the exit code. */
int supervisor_run(const struct run_options *options);
/* Nothing in it yet, every descriptor -1; NULL: no memory. */
struct supervisor *supervisor_blank(void);
/* One that an earlier program left to us: to its end, and away with it.  The exit code. */
int supervisor_go_on(struct supervisor *);
/* The first COMMITTED: `start` returns, servers are started. */
void supervisor_started(struct supervisor *);

/* ---- daemonize.c ---- */
/* In the caller: waits for the daemon's exit code and returns it in *code, 1.  In the daemon: 0, *told set.  -errno. */
int daemonize(int *told, int *code);
/* Tells the waiting caller, once. Afterwards nothing is written to the terminal any more. */
void daemonize_tell(struct supervisor *, int code);
void daemonize_standard_fds(bool foreground); /* opens what of 0, 1, 2 is closed; closes everything above */

/* ---- privilege.c ---- */
bool privilege_full(void); /* CAP_SETUID, CAP_SETGID and CAP_SYS_CHROOT, asked of the kernel */

/* ---- limits.c ---- */
struct limits_needed {
	uint64_t supervisor, dispatcher; /* descriptors without which the table cannot work */
	uint64_t wanted;                 /* with everybody registered that may, and full windows */
};
void limits_needed(const struct table *, struct limits_needed *); /* pure */
/* How many servers could be started beside those that run or wait to be started: slots, open files. */
unsigned limits_room(const struct supervisor *);
/* Raises the soft limit of open files.  0, or -1 with one line in `problem` that names both numbers. */
int limits_raise(const struct limits_needed *, char *problem, size_t size);

/* ---- stop.c ---- */
void stop_begin(struct supervisor *, bool now);
void stop_quiet(struct supervisor *);                    /* QUIET came */
void stop_dispatcher_ready(struct supervisor *);         /* COMMITTED came, during a stop */
bool stop_needs_dispatcher(const struct supervisor *);   /* one that ends during a stop is replaced */
void stop_check(struct supervisor *);                    /* is everybody gone? then the loop ends */

/* ---- reap.c ---- */
void reap_start(struct supervisor *);
void reap_all(struct supervisor *);                      /* who has died by now */
void reap_inherit(struct supervisor *);                  /* first: who is our child already, and none of our business */
int reap_inherited(struct supervisor *, pid_t);          /* one of those; 0 or -ENOMEM */
void reap_strays(struct supervisor *);                   /* at the very end: kills what servers left to us */

/* ---- signals.c ---- */
void signals_block(void);                                /* before everything */
void signals_end(bool at_once);                          /* TERM and INT end it at once, or are blocked as before */
void signals_start(struct supervisor *);
void signals_unblock(void);

/* ---- runtime_dir.c ---- */
/* Makes, checks owner and mode, locks.  0; 1: another daemon runs, *holder is its pid (0: unknown); -1 after one clear line. */
int runtime_dir_open(struct supervisor *, pid_t *holder);
int runtime_dir_jail(struct supervisor *);               /* the dispatcher's: made, verified.  0 or -1 after one line */
int runtime_dir_door(struct supervisor *);               /* register.sock.  0 or -1 after one line */
void runtime_dir_close(struct supervisor *);

/* ---- orphans.c: groups of running servers, for the next start ---- */
void orphans_end(struct supervisor *);                   /* what a dead daemon left, under the lock */
void runtime_dir_record(struct supervisor *, uint32_t slot, pid_t, uid_t); /* pid 0: gone */
/* Of a line of /proc/PID/stat: process group, session and start time.  false: not such a line, or a dead process. */
bool orphans_parse_stat(const char *line, pid_t *group, pid_t *session, uint64_t *start);

/* ---- notify.c: sd_notify without libsystemd ---- */
void notify_open(struct supervisor *);                   /* takes NOTIFY_SOCKET out of the environment */
void notify_send(struct supervisor *, const char *state);

#endif
