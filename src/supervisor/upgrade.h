/*
 * upgrade.h: the programs on disk take over from the ones that run: same pid, same sockets, same servers.
 *
 *   ask   upgrade.c        opens the program on disk and asks it, in a child, whether it can read the state (--try-state)
 *   go    upgrade_exec.c   when nothing is half way: writes the state, execs in place
 *   load  restore.c        the new program: state_load.c makes a supervisor of the state; if it cannot, it execs the
 *                          old program, which kept itself open
 *   end   handover.c       the old dispatcher hands up what it holds and exits; a new one starts as after a death
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef UPGRADE_H
#define UPGRADE_H

#include <ev.h>

#include "state.h"
#include "supervisor.h"

#define UPGRADE_VARIABLE "LUST_INETD_RESTORE" /* PID:FD, for the process that was replaced alone */
#define UPGRADE_SAID 16384                    /* bytes that are kept of what the other program said */

enum upgrade_step {
	UPGRADE_NOT,
	UPGRADE_TRYING,   /* the program on disk is asked */
	UPGRADE_SETTLING, /* it can; something is still half way */
	UPGRADE_GO,       /* the loop was ended for it */
	UPGRADE_ENDING,   /* this is the new program: dispatcher and logger are being replaced */
};

struct upgrade {
	enum upgrade_step step;
	char *path;               /* of the program on disk, as it was started */
	int self;                 /* the program that runs, kept open; -1: impossible */
	char **arguments;         /* as they were given; owned, one block behind them */
	char *runtime_dir_option; /* a restored -r; owned */

	int program; /* the one on disk, tried and then run; -1 */
	pid_t pid;   /* of the child that tries; 0: none, or reaped */
	int status;  /* of that child */
	int answer;  /* reading end of what it says; -1: at its end */
	char said[UPGRADE_SAID];
	size_t said_length;
	struct ev_io answer_watch;
	struct ev_timer timer; /* the child's deadline; then, looks whether all is settled */
	uint64_t since_ms;     /* of the step */
	char from[32], to[32]; /* versions */

	uint32_t old_dispatcher;  /* its generation; 0: none ran */
	struct ev_timer handover; /* QUIET is due */
	struct held *held;        /* what the last dispatcher handed up; owned */
	size_t held_count, held_room;
};

/* One connection that a dispatcher handed up. */
struct held {
	struct link_held record;
	int fd;
};

/* ---- upgrade_self.c ---- */
int upgrade_blank(struct supervisor *); /* s->upgrade, with nothing in it.  0 or -ENOMEM */
int upgrade_open(struct supervisor *);  /* at start: which program this is.  0 or -ENOMEM */
void upgrade_close(struct supervisor *);
char **upgrade_arguments(void); /* argv as it was given, one block, or NULL */

/* ---- upgrade.c ---- */
void upgrade_begin(struct supervisor *); /* SIGUSR2, `upgrade`: who waits for it is told the end */
void upgrade_fail(struct supervisor *, const char *why); /* told to all; the daemon goes on as it is */
void upgrade_child_ended(struct supervisor *, pid_t, int status); /* any child that is nobody else's */
void upgrade_go_on(struct supervisor *);     /* no table is being read any more */
void upgrade_took_over(struct supervisor *); /* this is the new program; its dispatcher is due */
void upgrade_succeeded(struct supervisor *); /* the new dispatcher has the table */

/* ---- upgrade_settle.c ---- */
void upgrade_settle(struct supervisor *); /* goes as soon as nothing is half way */
bool upgrade_settled(struct supervisor *);

/* ---- upgrade_judge.c: pure ---- */
/* What the other program said at its end.  NULL, or why it cannot; its version. */
const char *upgrade_judge(int status, char *said, char version[32]);

/* ---- upgrade_exec.c ---- */
/* After the loop has ended: was it for an upgrade?  Then this returns only if that failed. */
bool upgrade_exec(struct supervisor *);
/* A sealed memfd with this text, or -errno. */
int upgrade_memfd(const char *text, size_t length);
/* Does not return: `program` goes on in this process.  Else -errno, and everything is close-on-exec again. */
int upgrade_become(int program, char **arguments, int state, const int *fds, size_t count);

/* ---- restore.c ---- */
int restore_try(const char *fd); /* --try-state FD: says "ok VERSION", or why not.  The exit code */
bool restore_run(int *code);     /* is this process a replaced one?  Then it goes on; *code at its end */

/* ---- state_fields.c: what is saved of each struct ---- */
extern const struct state_field state_daemon_fields[], state_dispatcher_fields[], state_logger_fields[],
	state_service_fields[], state_service_more_fields[], state_listener_fields[],
	state_listener_more_fields[], state_server_fields[], state_slot_fields[],
	state_target_fields[], state_source_fields[], state_client_fields[];

/* ---- state_save.c and state_load.c ---- */
void state_save(struct supervisor *, struct state_writer *); /* writer->failed: no memory */
/* A supervisor whose loop was not run yet: nothing has happened but in memory.  NULL with reader->problem set;
   *mistakes: those of the table, the caller's to free. */
struct supervisor *state_load(struct state_reader *, struct diagnostics *mistakes);

/* ---- state_table.c ---- */
void state_save_table(const struct supervisor *, struct state_writer *);
bool state_load_table(struct supervisor *, struct state_reader *, struct diagnostics *mistakes);

/* ---- handover.c ---- */
void handover_begin(struct supervisor *);
void handover_quiet(struct supervisor *);                                  /* QUIET came */
void handover_take(struct supervisor *, const struct link_held *, int fd); /* HELD: owns the descriptor */
void handover_push(struct supervisor *);   /* to a new dispatcher, before its table */
void handover_forget(struct supervisor *); /* that dispatcher has them, or nobody will */

#endif
