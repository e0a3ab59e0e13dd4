/*
 * listeners.h: listening sockets: bound once, kept, claimed by address.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_LISTENERS_H
#define SUPERVISOR_LISTENERS_H

#include "supervisor.h"

/* ---- listen.c ---- */
/* Binds and listens.  fd, or -errno. Unix: EADDRINUSE asks connect() first; records what may be unlinked. */
int listen_open(struct listener *);
void listen_close(struct supervisor *, struct listener *); /* shut; unlinks a Unix path that is still ours */
const char *listen_hint(int error, const struct address *); /* who could help; "" when nothing is known */
bool listen_may_lack(const struct table_listen *, int error); /* no IPv6 here, and that is fine */

/* ---- listener_more.c: made, released ---- */
struct listener *listener_new(struct supervisor *, const struct table_listen *, struct service *); /* NULL: no memory, no index */
struct listener_more *listener_more(struct listener *); /* it has one afterwards; NULL: no memory */
int listener_error(const struct listener *);            /* errno of the last try to bind it */
void listener_free(struct supervisor *, struct listener *); /* shut, and taken out of its service's list before */

/* ---- listeners.c: the ones that could not be bound yet; numbers for status ---- */
void listener_retry_later(struct supervisor *, struct listener *);
void listener_retry_on(struct supervisor *, struct listener *); /* by its retry_ms, after `upgrade` */
void listener_retry_now(struct supervisor *, struct listener *);
void listener_say_unbound(struct supervisor *, enum logger_level, const char *service, const struct listener *);
uint64_t listen_dropped(const struct listener *); /* SO_MEMINFO drops */

/* Clients in the backlog, and how many may be there; 0 and 0: the kernel does not tell. */
struct listen_queue {
	uint32_t waiting, backlog;
};
struct unix_queues;
struct listen_queue listen_queue(const struct listener *, struct unix_queues *);

/* ---- unix_queue.c ---- */
struct unix_queue {
	uint32_t inode, waiting, backlog;
};
/* Of all Unix sockets that listen, sorted; all 0: not yet read. */
struct unix_queues {
	struct unix_queue *queue; /* owned */
	size_t count, room;
	bool read;
};
/* NULL: the kernel does not tell.  Reads them the first time. */
const struct unix_queue *unix_queue_of(struct unix_queues *, int fd);
void unix_queues_drop(struct unix_queues *);

/* ---- listener_set.c: the listeners that exist, to be claimed by address ---- */
struct listener_set;
struct listener_set *listener_set_new(const struct supervisor *); /* NULL: no memory */
void listener_set_free(struct listener_set *);
struct listener *listener_set_claim(struct listener_set *, const struct address *); /* once; NULL: none */
bool listener_set_blocks(const struct listener_set *, const struct address *); /* does an unclaimed one hold this address? */
struct listener *listener_set_unclaimed(struct listener_set *, size_t *at); /* one after another; NULL: no more */
int address_order(const struct address *, const struct address *);

#endif
