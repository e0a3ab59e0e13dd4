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
	const struct table_listen *want; /* of the table in force */
	struct service *service;
	struct listener *next;      /* of the service */
	struct listener_more *more; /* owned; NULL: an ordinary one, bound at once */
	int fd;                     /* -1: could not be bound yet */
	uint16_t index;             /* on the board and the link */
	bool pushed;                /* this dispatcher has the descriptor */
};

/* What only Unix sockets have, and those that could not be bound at once. */
struct listener_more {
	struct listener *listener;
	dev_t unix_device;          /* Unix sockets: what we may unlink */
	ino_t unix_inode;
	int error;                  /* errno of the last try; 0: bound */
	unsigned tries;             /* that failed in a row */
	uint64_t retry_ms;          /* CLOCK_MONOTONIC: when it is tried again; 0: not waiting */
	struct ev_timer retry;      /* running while fd is -1 */
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
	bool newcomer;              /* comes up beside the current server of its instance: roll.h */
	bool replaced;              /* retiring, and a newer one has its place */
	bool misbehaved;            /* stopped for a fault of its own (ready-timeout, protocol): never a clean end */
	bool clean;                 /* its last end: exit 0, or by the stop-signal that it was sent */
	unsigned built;             /* service.generation that it was started with */
	unsigned patience;          /* looks at `group` so far */
	struct ev_timer timer;      /* whatever the phase waits for */
	struct server *next;        /* of the service */
};

/* There may be ten thousand that nobody serves. */
struct service {
	const char *name;           /* the table's, or that of ->more */
	const struct table_service *want; /* of the table in force; NULL: removed, servers draining */
	struct listener *listeners;
	struct server *servers;     /* running, waiting and ending ones */
	struct service *next;       /* in the order of the table */
	struct service_more *more;  /* owned; NULL: it never had a server, and is not paused */
	uint32_t index;             /* on the board and the link */
	uint32_t generation;        /* counts changes of its server { }, and rolls */
	uint32_t log_target;        /* the logger's index */
	uint32_t state_since_s;     /* wall clock */
	uint8_t state;              /* enum control_service_state, as last computed */
	bool log_told;              /* the logger knows it, and this target */
	bool pushed;                /* this dispatcher has it as it is */
	bool fresh;                 /* its board counters must start at 0 with the next table */
	bool down;                  /* `down`: keep no instance; lasts as long as the table names the service */
	bool paused;                /* by `pause`; as long */
};

/* What one has that has servers, or is paused. */
struct service_more {
	char name[TABLE_NAME];      /* of a removed one */
	uid_t paused_by;            /* who asked */
	uint64_t paused_since_s;    /* wall clock */
	unsigned roll_failed;       /* the generation of which a newcomer did not come up; 0: none.  Which, and why: */
	unsigned roll_instance;
	char roll_exit[96], roll_line[128]; /* as of struct server */
	bool roll_waits;            /* for room, of which servers that are leaving will make some */
	int stop_signal;            /* of the last table that named it: what ends its servers */
	uint32_t stop_timeout_ms, drain_timeout_ms;
};

/* Who owns which number of the board.  A slot lives until the dispatcher says SLOT_FREE, often longer than its
   server: the pair stays with it for the next dispatcher. */
struct slot {
	bool used;
	bool dead;                  /* its server is gone; the dispatcher has to settle it */
	bool told;                  /* some dispatcher knows it */
	bool settling;              /* this dispatcher does so, as others have room for what the server had */
	unsigned waited;            /* PINGs since this dispatcher was told of the death */
	uint32_t generation;        /* counts its uses */
	int ours, theirs, lifeline; /* kept; -1: none */
	struct server *server;      /* NULL: dead */
	struct link_server record;  /* as it is pushed */
};

/* Numbers go round among the first `high` of them: one rests before it means something else, and the board's pages that
   are ever written stay about as many as are used at once. */
struct index_turn {
	uint32_t next, high;
};

enum dispatcher_phase {
	DISPATCHER_NONE,     /* none runs; one is to start */
	DISPATCHER_STARTING, /* HELLO was sent */
	DISPATCHER_LOADING,  /* READY; its first table was pushed */
	DISPATCHER_RUNNING,  /* COMMITTED */
	DISPATCHER_LEAVING,  /* HAND_OVER was sent: it hands up what it holds, and exits */
	DISPATCHER_ENDING,   /* SHUTDOWN or KILL was sent: nothing more goes to it */
};

/* The table and what was said about it, both for the taker.  NULL: it has mistakes, or it was not read to the end. */
typedef void reload_done(struct supervisor *, struct table *, struct diagnostics *, bool is_read);

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
	struct upgrade *upgrade;    /* upgrade.h; owned */

	int runtime_dir_fd, lock_fd, door_fd, pidfile_fd;
	int board_fd;
	struct board *board;        /* mapped read-only */
	struct slot *slots;         /* BOARD_SLOTS of them */
	struct index_turn slot_turn;
	uint8_t *service_used;      /* BOARD_SERVICES */
	uint8_t *listener_used;     /* BOARD_LISTENERS */
	struct index_turn service_turn, listener_turn;

	/* dispatcher.c */
	struct {
		pid_t pid;
		uint32_t generation;
		uint32_t epoch;            /* its generation counts from here: another one for every daemon */
		enum dispatcher_phase phase;
		struct channel link;
		struct ev_io read, write;
		struct ev_timer deadline;  /* READY, COMMITTED or the end are due */
		struct ev_timer ping, again;
		uint64_t started_ms, ping_sent, ping_answered;
		uint64_t mark_sent, mark_reached; /* dispatcher_mark() */
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
		bool replaced;              /* the same, and a new one follows at once */
		struct ev_timer later;      /* as the dispatcher's */
		struct ev_timer ping;       /* READY and PONGs are due */
		uint64_t ping_sent, ping_answered;
		unsigned pings_missed;      /* in a row */
		bool killed;                /* by us, with a line that says why */
		int theirs;                 /* a copy of its end: what it has not received is taken back */
		struct log_target *target;  /* targets.c */
		size_t target_count;
		struct log_source *sources; /* sources.c */
		struct log_backlog *backlog; /* log.c: lines said while there was no logger */
		uint64_t lost_lines;        /* log.c: dropped, to be said; not in the backlog */
		bool line_queued;           /* one was behind when it was sent */
		bool table_waits;           /* names of services are on their way, in the link's queue */
	} logger;

	/* stopping */
	bool stopping, stop_now;
	struct ev_timer stop_timer;
	int exit_code;

	/* reload.c, reload_child.c */
	struct {
		pid_t pid;                 /* of the child that reads the table; 0: none does */
		struct reading *reading;   /* what it fills; owned */
		struct ev_timer deadline;
		double limit_s;
		reload_done *done;
		uint64_t asked, reads;     /* how often it was asked for; up to which of these the child reads */
	} reload;

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
	int start_pipe;             /* lust_daemon_detach()'s verdict: -1 when told */

	struct ev_signal sigusr2;
	bool running;               /* the first COMMITTED came: servers may start, lines go to the log */
	struct ev_timer push_again; /* a listener was bound late: one push for all of them */
	pid_t *inherited;           /* reap.c: children that we had before we were lust-inetd; 0: ended */
	size_t inherited_count;
	unsigned strays;            /* that got KILL in this look */
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

static inline uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
