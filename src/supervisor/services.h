/*
 * services.h: what should run against what runs: services, and how a table takes effect.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_SERVICES_H
#define SUPERVISOR_SERVICES_H

#include "supervisor.h"

/* ---- service.c: brings what runs in line with what the table wants ---- */
void service_reconcile(struct supervisor *, struct service *);
struct service *service_find(struct supervisor *, const char *name);
bool service_has_own(const struct service *);             /* servers that the daemon starts */
/* 0, or -EOPNOTSUPP: it has no servers of its own (start = external).  How far it got: service_progress(). */
int service_up(struct supervisor *, struct service *);
int service_down(struct supervisor *, struct service *);

/* ---- pause.c ---- */
int service_pause(struct supervisor *, struct service *, uid_t by); /* 0 or -ENOMEM; already so: nothing changes */
void service_resume(struct supervisor *, struct service *, uid_t by);

/* ---- service_progress.c: pure ---- */
enum service_progress { PROGRESS_DONE, PROGRESS_UNDER_WAY, PROGRESS_FAILED };
enum service_progress service_progress(const struct service *);
unsigned service_ready_count(const struct supervisor *, const struct service *); /* without stalled ones */
unsigned service_wanted(const struct service *);          /* servers that should run: 0 for external, or when down */
struct service *service_new(struct supervisor *, const char *name); /* not in the list yet; NULL: no memory, no index. The name stays the caller's */
struct service_more *service_more(struct service *);     /* it has one afterwards; NULL: no memory */
void service_learn(struct service *);                    /* from ->want: what outlasts the table */
void service_sweep(struct supervisor *);                  /* releases removed services that nothing names any more */
void service_free(struct supervisor *, struct service *);

/* ---- service_state.c: pure: what `status` calls it and why ---- */
enum control_service_state service_state(const struct supervisor *, const struct service *,
                                         const struct board_reading *, char reason[160], uint64_t *until_s);

/* ---- apply.c: a checked table takes effect, at start and at reload ---- */
/* 0: owns both afterwards.  -errno: nothing changed, the caller keeps both; what went wrong is in `problem`, or was
   told line by line (addresses at start), or is the errno's to say. */
int apply_table(struct supervisor *, struct table *, struct diagnostics *warnings, char *problem, size_t size);

/* ---- reload.c ---- */
/* One who wants the table read again: the number by which control_reloaded() tells the end. */
uint64_t reload_ask(struct supervisor *);
void reload_begin(struct supervisor *);                   /* for all who have asked: now, or after the one that reads */
bool reload_reads(const struct supervisor *);             /* a child does */
void reload_cancel(struct supervisor *);                  /* the daemon stops: nobody is told */
/* How many addresses are not bound; adds a line for each. */
unsigned reload_unbound(const struct supervisor *, struct diagnostics *diagnostics);

/* ---- reload_child.c ---- */
/* Forks one that reads the table; `done` is called once unless it is cancelled, not before this returns.  0 or -errno. */
int reload_child_start(struct supervisor *, double limit_s, reload_done *done);
void reload_child_ended(struct supervisor *, int status);
void reload_child_cancel(struct supervisor *);

#endif
