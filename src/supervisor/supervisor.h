/*
 * supervisor.h: what the files of the privileged half share.  One process, one loop, one struct supervisor.
 * Every file here is one responsibility; who decides (restart.c, permit.c, service_state.c) does not act.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#include "board.h"
#include "channel.h"
#include "control.h"
#include "link.h"
#include "logger_link.h"
#include "table.h"

struct supervisor;
struct service;

/* One listening socket.  Keyed by kind, family and address: it outlives the service's other settings. */
struct listener {
	uint32_t index;             /* on the board and the link */
	const struct table_listen *want; /* of the table in force */
	int fd;                     /* -1: could not be bound yet */
	int error;                  /* errno of the last try */
	struct ev_timer retry;      /* running while fd is -1 */
	struct service *service;
	dev_t unix_device;          /* Unix sockets: what we may unlink */
	ino_t unix_inode;
	struct listener *next;      /* of the service */
	unsigned tries;             /* that failed in a row */
	uint64_t retry_ms;          /* CLOCK_MONOTONIC: when it is tried again; 0: not waiting */
	bool held_by_us;            /* by a listener that this table gives up: free when the dispatcher gave it up too */
	uint32_t pushed_to;         /* generation of the dispatcher that has the descriptor */
};

enum server_phase {
	PHASE_BACKOFF,    /* waits to be started again */
	PHASE_STARTING,   /* runs, not registered */
	PHASE_READY,
	PHASE_DRAINING,   /* DRAIN was sent */
	PHASE_STOPPING,   /* stop-signal was sent */
	PHASE_KILLING,    /* KILL was sent */
	PHASE_STOPPED,    /* by `down`, restart = never, or a clean end with on-failure */
	PHASE_FAILED,     /* restart-limit */
};

/* One server process: supervised, or from outside and kept for the dispatcher. */
struct server {
	uint32_t slot, generation;  /* slot BOARD_NONE: not running */
	struct service *service;
	unsigned instance;          /* 1..; 0: from outside */
	bool external;
	enum server_phase phase;
	uint64_t phase_since_ms;    /* CLOCK_MONOTONIC */
	uint64_t until_ms;          /* of backoff or a time-out; 0: none */
	pid_t pid;                  /* 0: none */
	pid_t group;                /* its process group while it is being emptied after the leader's end; 0: none */
	uid_t uid;
	gid_t gid;
	uint32_t source;            /* the logger's number of its output; 0: none */
	int exec_error;             /* reading end of the exec-error pipe; -1: it registered, or does not run */
	int pidfile_fd;             /* flocked; -1: none */
	char *pidfile_path;
	uint64_t started_ms;
	unsigned restarts;          /* since the service was started */
	unsigned failures;          /* in a row: the growing pause */
	char last_exit[96];         /* "exit 1", "SIGSEGV", "exec /srv/web: No such file or directory", "" */
	uint64_t last_exit_s;       /* wall clock */
	char last_line[128];
	char label[LINK_NAME];
	bool retiring;              /* do not start again: down, roll's old one, fewer instances, removed service, stop */
	bool misbehaved;            /* stopped for a fault of its own (ready-timeout, protocol): never a clean end */
	bool clean;                 /* its last end: exit 0, or by the stop-signal that it was sent */
	unsigned built;             /* service.generation that it was started with */
	unsigned patience;          /* looks at `group` so far */
	struct ev_timer timer;      /* whatever the phase waits for */
	struct server *next;        /* of the service */
};

struct service {
	uint32_t index;             /* on the board and the link */
	char name[TABLE_NAME];
	const struct table_service *want; /* of the table in force; NULL: removed, servers draining */
	unsigned generation;        /* counts changes of its server { } */
	bool fresh;                 /* its board counters must start at 0 with the next table */
	bool down;                  /* `down`: keep no instance */
	struct listener *listeners;
	struct server *servers;     /* running, waiting and ending ones */
	uint64_t state_since_s;     /* wall clock */
	enum control_service_state state; /* as last computed */
	struct service *next;       /* in the order of the table */
	uint32_t log_target;        /* the logger's index */
	int stop_signal;            /* of the last table that named it: what ends its servers */
	uint32_t stop_timeout_ms, drain_timeout_ms;
};

/* Who owns which number of the board.  A slot lives until the dispatcher says SLOT_FREE, often longer than its
   server: the pair stays with it for the next dispatcher. */
struct slot {
	bool used;
	bool dead;                  /* its server is gone; the dispatcher has to settle it */
	bool told;                  /* some dispatcher knows it */
	uint32_t generation;        /* counts its uses */
	int ours, theirs, lifeline; /* kept; -1: none */
	struct server *server;      /* NULL: dead */
	struct link_server record;  /* as it is pushed */
};

enum dispatcher_phase {
	DISPATCHER_NONE,     /* none runs; one is to start */
	DISPATCHER_STARTING, /* HELLO was sent */
	DISPATCHER_LOADING,  /* READY; its first table was pushed */
	DISPATCHER_RUNNING,  /* COMMITTED */
	DISPATCHER_ENDING,   /* SHUTDOWN or KILL was sent: nothing more goes to it */
};

struct supervisor {
	struct ev_loop *loop;       /* ev_loop_new: libev must not reap for us */
	struct table *table;        /* in force */
	const char *config_file;
	const char *runtime_dir_option; /* -r; NULL */
	bool privileged;            /* has CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT */
	bool foreground, verbose;
	uint64_t started_ms;
	uint32_t table_generation;  /* counts tables that were in force */
	struct service *services;
	struct rlimit nofile_at_start; /* what servers get */

	int runtime_dir_fd, lock_fd, door_fd, pidfile_fd;
	int board_fd;
	struct board *board;        /* mapped read-only */
	struct slot *slots;         /* BOARD_SLOTS of them */
	uint32_t slot_next;         /* where the search for a free one begins */
	uint8_t *service_used;      /* BOARD_SERVICES */
	uint8_t *listener_used;     /* BOARD_LISTENERS */
	uint32_t service_next, listener_next;

	/* dispatcher.c */
	struct {
		pid_t pid;
		uint32_t generation;
		enum dispatcher_phase phase;
		struct channel link;
		struct ev_io read, write;
		struct ev_timer deadline;  /* READY, COMMITTED or the end are due */
		struct ev_timer ping, again;
		uint64_t started_ms, ping_sent, ping_answered;
		unsigned pings_missed;     /* in a row */
		uint32_t pushes, commits;  /* tables pushed to this one, and COMMITTED by it */
		int exec_error;
		char ending[96];           /* why we kill it; "" */
		struct ev_timer later;     /* the kernel has no room for descriptors now */
		bool closed;               /* its end of the link is: it is dying, most likely */
		unsigned restarts, failures;
		char last_exit[96];
		int events[2];          /* the event pipe, both ends kept */
	} dispatcher;

	/* logger.c */
	struct {
		pid_t pid;
		bool ready;
		struct channel link;
		struct ev_io read, write;
		struct ev_timer again;
		uint32_t next_source;
		unsigned failures;
		uint64_t started_ms;
		int exec_error;
		bool ending;                /* its link was closed: it drains and exits */
		struct ev_timer later;      /* as the dispatcher's */
		struct log_target *target;  /* targets.c */
		size_t target_count;
		struct log_source *sources; /* sources.c */
		struct log_backlog *backlog; /* log.c: lines said while there was no logger */
	} logger;

	/* stopping */
	bool stopping, stop_now;
	struct ev_timer stop_timer;
	int exit_code;

	/* last reload, for status */
	uint64_t reload_s;
	bool reload_ok;
	struct diagnostics reload_problems; /* of a failed reload */
	struct diagnostics warnings;        /* of the table in force */

	/* control.c */
	int control_fd;
	struct ev_io control_watch;
	struct ev_timer control_pause; /* no descriptor left: accepts again after it */
	struct control_client *clients;
	unsigned client_count;

	struct ev_signal sigchld, sigterm, sigint, sighup, sigusr1;
	int start_pipe;             /* `start` waits on the other end: -1 when told */

	struct ev_signal sigusr2;
	bool running;               /* the first COMMITTED came: servers may start, lines go to the log */
	struct ev_timer push_again; /* a listener was bound late: one push for all of them */
	struct ev_timer group_watch; /* reap.c: groups that are not empty yet */
	enum stop_step { STOP_NOT, STOP_QUIESCE, STOP_SERVERS, STOP_DISPATCHER, STOP_LOGGER, STOP_DONE } stop_step;
	int groups_fd;              /* orphans.c: RUNTIME-DIR/groups */
	char *notify_socket;
	/* What changes only at a restart: of the first table, owned. */
	char *runtime_dir, *pidfile, *jail;
	uid_t helper_uid;
	gid_t helper_gid;
	double starts_turn;         /* ev_now of the loop turn that starts are counted in */
	unsigned starts_in_turn;
};

/* ---- run.c: the one visible order of the privileged half ---- */

struct run_options {
	const char *config_file, *runtime_dir;
	bool verbose, daemonize;
};
/* `run` and `start`.  Returns the exit code. */
int supervisor_run(const struct run_options *options);
/* The first COMMITTED: `start` returns, servers are started. */
void supervisor_started(struct supervisor *);

/* ---- daemonize.c ---- */
/* In the parent: waits for the child's exit code and returns it in *code, 1.  In the child: 0, *pipe set.  -errno. */
int daemonize(int *pipe, int *code);
/* Tells the waiting parent, once. Afterwards nothing is written to the terminal any more. */
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
/* Raises the soft limit of open files.  0, or -1 with one line in `problem` that names both numbers. */
int limits_raise(const struct limits_needed *, char *problem, size_t size);

/* ---- log.c: the supervisor's own lines: to the logger, to standard error without it ---- */
void log_line(struct supervisor *, enum logger_level, const char *service, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void log_flush_backlog(struct supervisor *); /* the logger is ready: what was said without it */
void log_free(struct supervisor *);

/* ---- listen.c ---- */
/* Binds and listens.  fd, or -errno. Unix: EADDRINUSE asks connect() first; records what may be unlinked. */
int listen_open(struct listener *);
void listen_close(struct supervisor *, struct listener *); /* unlinks a Unix path that is still ours */
void listen_shut(struct listener *);               /* the daemon stops: no copy of it accepts any more */
const char *listen_hint(int error, const struct address *); /* who could help; "" when nothing is known */
bool listen_may_lack(const struct table_listen *, int error); /* no IPv6 here, and that is fine */

/* ---- listeners.c: the ones that could not be bound yet; numbers for status ---- */
void listener_retry_later(struct supervisor *, struct listener *);
void listener_retry_now(struct supervisor *, struct listener *);
uint64_t listen_waiting(const struct listener *);  /* clients in the backlog */
uint64_t listen_dropped(const struct listener *);  /* SO_MEMINFO drops */
uint32_t listen_backlog(const struct listener *);

/* ---- slots.c: who owns which number of the board ---- */
int slots_init(struct supervisor *);
void slots_release(struct supervisor *); /* all of them, while their servers still exist */
void slots_free(struct supervisor *);
/* A slot with a pair; server->slot and ->generation are set.  0, -ENOSPC: all used. The descriptors are the slot's from now on. */
int slot_take(struct supervisor *, struct server *, int ours, int theirs, int lifeline);
void slot_died(struct supervisor *, struct server *);     /* tells the dispatcher; free after its SLOT_FREE */
void slot_free(struct supervisor *, uint32_t slot);
struct slot *slot_find(struct supervisor *, uint32_t slot, uint32_t generation); /* NULL: stale or unused */
struct server *slot_server(struct supervisor *, uint32_t slot, uint32_t generation); /* NULL: stale, dead or unused */
/* What the dispatcher says of a running server; NULL: nothing. */
const struct board_server *slot_board(const struct supervisor *, const struct server *);
bool server_stalled(const struct supervisor *, const struct server *);
bool slot_of_service(const struct supervisor *, uint32_t service); /* does any slot still name it? */
/* Indexes of services and listeners: BOARD_NONE when all are used. */
uint32_t index_take(uint8_t *used, uint32_t size, uint32_t *next);

/* ---- helper.c: dispatcher and logger as processes ---- */
/* Forks and execs PROGRAM of $(pkglibexecdir) with `link` as descriptor 3.  The pid, or -errno. *exec_error: the pipe
   for helper_exec_failure(). */
pid_t helper_spawn(struct supervisor *, const char *program, int link, int *exec_error);
/* What kept it from running, into text; false: it ran.  Closes the pipe. */
bool helper_exec_failure(int *exec_error, const char *program, char *text, size_t size);
/* Watches for writing, or by the timer when the kernel said that waiting for room does not help. */
void helper_watch(struct ev_loop *, struct channel *, struct ev_io *write, struct ev_timer *later);
/* Pause before the next try of something that died young so many times: 0, 100 ms, ... 5 s. */
uint32_t helper_pause_ms(unsigned failures);

/* ---- dispatcher.c: start, watch, replace the dispatcher ---- */
int dispatcher_start(struct supervisor *);
void dispatcher_ended(struct supervisor *, int status); /* from the reaper: waitid's status as waitpid's */
void dispatcher_send(struct supervisor *, const struct link_message *, const int *fds, unsigned count); /* nothing before its table */
bool dispatcher_usable(const struct supervisor *);      /* has a table */
bool dispatcher_pushed(const struct supervisor *);      /* was pushed one: single changes may follow */
void dispatcher_kill(struct supervisor *, const char *why);
void dispatcher_shutdown(struct supervisor *);          /* SHUTDOWN, KILL when it takes too long */
void dispatcher_deadline(struct supervisor *);          /* (re)arms or stops the one of COMMITTED */
void dispatcher_close_fd(struct supervisor *, int fd);  /* after what is queued was sent */

/* ---- push.c: the table and the kept sockets, BEGIN to COMMIT ---- */
void push_table(struct supervisor *);
void push_soon(struct supervisor *);                    /* the same, in the next loop turn, once */
void push_server(struct supervisor *, const struct server *); /* SERVER, alone */

/* ---- permit.c and answer.c: what the dispatcher may ask, and the answers ---- */
enum permit { PERMIT_NEVER, PERMIT_ONCE, PERMIT_ALWAYS };
enum permit permit_request(enum link_type, enum dispatcher_phase);
void answer_message(struct supervisor *, const struct link_message *, int *fds, unsigned count);
/* ---- keep.c ---- */
void answer_keep(struct supervisor *, const struct link_message *, int *fds);

/* ---- logger.c ---- */
int logger_start(struct supervisor *);
void logger_ended(struct supervisor *, int status);
void logger_push(struct supervisor *);                    /* level, targets, services, sources */
void logger_push_services(struct supervisor *);           /* after a reload */
void logger_send(struct supervisor *, const struct logger_message *, int fd); /* nothing without a logger; fd -1: none */
void logger_close_fd(struct supervisor *, int fd);        /* after what is queued was sent */
void logger_finish(struct supervisor *);                  /* the daemon stops: it drains and exits */
/* ---- targets.c: the logs that the table names ---- */
int targets_apply(struct supervisor *, const struct table *, char *problem, size_t size); /* opens new ones; 0 or -errno: the daemon's own */
uint32_t target_of(const struct supervisor *, const struct table_log *);
void targets_push(struct supervisor *);
void logger_reopen(struct supervisor *);                  /* USR1 */
void targets_free(struct supervisor *);
/* ---- sources.c: what servers print ---- */
void logger_source(struct supervisor *, struct server *, int reading_end); /* a new server's output; owns the descriptor */
void sources_push(struct supervisor *);
void sources_answer(struct supervisor *, const struct logger_message *);   /* LAST, SOURCE_END */
void sources_forget(struct supervisor *, const struct server *);
void sources_free(struct supervisor *);

/* ---- server.c: one server's life; server_end.c: its end; spawn.c: the deed of starting; child.c: after fork ---- */
struct server *server_new(struct supervisor *, struct service *, unsigned instance);
void server_phase(struct supervisor *, struct server *, enum server_phase, uint32_t timeout_ms); /* 0: no time-out */
void server_start(struct supervisor *, struct server *);
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

/* ---- service.c: brings what runs in line with what the table wants ---- */
void service_reconcile(struct supervisor *, struct service *);
struct service *service_find(struct supervisor *, const char *name);
/* 0, or -EOPNOTSUPP: it has no servers of its own (start = external).  How far it got: service_progress(). */
int service_up(struct supervisor *, struct service *);
int service_down(struct supervisor *, struct service *);
int service_roll(struct supervisor *, struct service *);  /* plain: stops with drain, starts again, one after another */
/* ---- service_progress.c: pure ---- */
enum service_progress { PROGRESS_DONE, PROGRESS_UNDER_WAY, PROGRESS_FAILED };
enum service_progress service_progress(const struct service *);
unsigned service_ready_count(const struct supervisor *, const struct service *); /* without stalled ones */
unsigned service_wanted(const struct service *);          /* servers that should run: 0 for external, or when down */
struct service *service_new(struct supervisor *, const char *name); /* not in the list yet; NULL: no memory, no index */
void service_sweep(struct supervisor *);                  /* releases removed services that nothing names any more */
void service_free(struct supervisor *, struct service *);

/* ---- service_state.c: pure: what `status` calls it and why ---- */
enum control_service_state service_state(const struct supervisor *, const struct service *,
                                         const struct board_reading *, char reason[160], uint64_t *until_s);

/* ---- listener_set.c: the listeners that exist, to be claimed by address ---- */
struct listener_set;
struct listener_set *listener_set_new(const struct supervisor *); /* NULL: no memory */
void listener_set_free(struct listener_set *);
struct listener *listener_set_claim(struct listener_set *, const struct address *); /* once; NULL: none */
bool listener_set_blocks(const struct listener_set *, const struct address *); /* does an unclaimed one hold this address? */
struct listener *listener_set_unclaimed(struct listener_set *, size_t *at); /* one after another; NULL: no more */
int address_order(const struct address *, const struct address *);

/* ---- apply.c: a checked table takes effect, at start and at reload ---- */
int apply_table(struct supervisor *, struct table *, struct diagnostics *warnings); /* owns both after; >0: so many addresses unbound; <0: nothing changed, the caller keeps both */

/* ---- reload.c ---- */
/* 0, 1 or 78; *diagnostics for the asker, who frees it. */
int reload_table(struct supervisor *, struct diagnostics *diagnostics);

/* ---- stop.c ---- */
void stop_begin(struct supervisor *, bool now);
void stop_quiet(struct supervisor *);                    /* QUIET came */
void stop_check(struct supervisor *);                    /* is everybody gone? then the loop ends */

/* ---- reap.c ---- */
void reap_start(struct supervisor *);
void reap_strays(void);                                  /* at the very end: kills what is left of our children */

/* ---- signals.c ---- */
void signals_block(void);                                /* before everything */
void signals_start(struct supervisor *);

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

/* ---- control.c (socket, requests, rights) and status.c (records) ---- */
int control_open(struct supervisor *);
void control_close(struct supervisor *);
/* Later answers, for stop, up, down and roll, which wait: */
void control_service_changed(struct supervisor *, struct service *);
void control_stopping(struct supervisor *);

static inline uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
