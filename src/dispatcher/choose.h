/*
 * choose.h: credits of a service's servers and the choice among them.  What a server may get is counted again only
 * when something about it has changed, before the next choice: no connection costs a look at all servers.
 */
#ifndef CHOOSE_H
#define CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "balance.h"
#include "rendezvous.h"

struct ledger_entry;
struct server;
struct service;

/* In a ring with its head, or alone. */
struct choose_link {
	struct choose_link *next, *previous;
	struct server *server;
};

/* Of a server. */
struct choice {
	uint32_t at;      /* its place in service->server, and in the tree */
	uint32_t number;  /* in the rendezvous, or RENDEZVOUS_NONE */
	uint32_t credits; /* as they were counted last */
	bool late;        /* it was seen to be, and not yet seen not to be */
	struct choose_link changed, among_late;
};

/* Of a service that has, or had, a server. */
struct choosing {
	struct balance balance;       /* by position; unless it is by source */
	struct rendezvous rendezvous; /* by name, where it is by source */
	uint8_t how;                  /* the `balance` that these were made for */
	uint32_t turn;                /* the position that is next */
	uint64_t prompt, late;        /* sums of credits */
	struct choose_link changed;   /* heads: to be counted again; late */
	struct choose_link among_late;
};

/* ---- for service.c, which keeps service->server ---- */
/* It is the last one of them. */
bool choose_join(struct service *service, struct server *server); /* false: no memory */
/* It is still among them; the last one gets its place. */
void choose_part(struct service *service, struct server *server);
void choose_free(struct choosing *choosing); /* or NULL */

/* Its credits or its load may be others. */
void choose_changed(struct server *server);
/* Those of all its servers, or `balance`.  false: no memory. */
bool choose_all_changed(struct service *service);

/* How many connections its servers may get.  Both count those that have changed again. */
uint64_t choose_gather(struct service *service);
bool choose_any(struct service *service); /* would that be more than 0? */
/* The server for this entry, its credit spent (handoff_join() is to follow); NULL: none may have it now. */
struct server *choose_server(struct service *service, const struct ledger_entry *entry);

/* For tests: NULL, or what is counted wrong. */
const char *choose_broken(const struct service *service);

#endif
