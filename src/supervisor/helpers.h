/*
 * helpers.h: dispatcher and logger as child processes; what the dispatcher is told, and what it may ask.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_HELPERS_H
#define SUPERVISOR_HELPERS_H

#include "supervisor.h"

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
/* How many of these count when the last one got as far as to work: clients wait for the next, and it is no hopeless case. */
unsigned helper_failures(unsigned failures, bool worked);

/* ---- dispatcher.c: start, watch, replace the dispatcher ---- */
int dispatcher_start(struct supervisor *);
void dispatcher_ended(struct supervisor *, int status); /* from the reaper: waitid's status as waitpid's */
void dispatcher_send(struct supervisor *, const struct link_message *, const int *fds, unsigned count); /* nothing before its table */
bool dispatcher_usable(const struct supervisor *);      /* has a table */
bool dispatcher_pushed(const struct supervisor *);      /* was pushed one: single changes may follow */
void dispatcher_kill(struct supervisor *, const char *why);
void dispatcher_adopt(struct supervisor *);             /* one that an earlier program started: link.fd */
void dispatcher_hand_over(struct supervisor *);         /* HAND_OVER, KILL when it takes too long */
void dispatcher_shutdown(struct supervisor *);          /* SHUTDOWN, KILL when it takes too long */
void dispatcher_deadline(struct supervisor *);          /* (re)arms or stops the one of COMMITTED */
void dispatcher_close_fd(struct supervisor *, int fd);  /* after what is queued was sent */

/* ---- ping.c: does the dispatcher live, and how far is it ---- */
/* Who waits until everything that was sent to the dispatcher up to now is done: the number to wait for. */
uint64_t dispatcher_mark(struct supervisor *);
bool dispatcher_reached(const struct supervisor *, uint64_t mark); /* it is; or the one that had to do it is gone */
void ping_init(struct supervisor *);                    /* the timer, with a new dispatcher */
void ping_start(struct supervisor *);                   /* it has its table; runs already: nothing changes */
void ping_stop(struct supervisor *);                    /* it is ending */
void ping_reach(struct supervisor *, uint64_t mark);    /* everything up to there is done, or will not be */
void dispatcher_pong(struct supervisor *, uint64_t number);

/* ---- push.c: the table and the kept sockets, BEGIN to COMMIT ---- */
void push_forget(struct supervisor *); /* a new dispatcher: it has nothing yet */
void push_table(struct supervisor *);
void push_soon(struct supervisor *);                    /* the same, in the next loop turn, once */
void push_server(struct supervisor *, const struct server *); /* SERVER, alone */

/* ---- permit.c and answer.c: what the dispatcher may ask, and the answers ---- */
enum permit { PERMIT_NEVER, PERMIT_ONCE, PERMIT_ALWAYS };
enum permit permit_request(enum link_type, enum dispatcher_phase);
void answer_message(struct supervisor *, const struct link_message *, int *fds, unsigned count);

/* ---- keep.c ---- */
void answer_keep(struct supervisor *, const struct link_message *, int *fds);

#endif
