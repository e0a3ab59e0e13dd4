/*
 * choose.c: see choose.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>

#include "dispatcher.h"

#define OUTSIDE UINT32_C(0x80000000) /* servers without an instance are told apart by slot */
#define SCATTER UINT32_C(0x9e3779b1) /* odd: slots that count up do so in another order */
#define LATE UINT32_C(0x80000000)    /* of a rank: behind all that are not */
#define LATE_LOOKS 4u                /* at so many in a turn, whether they still are */

/* ---- rings ---- */

static void ring_init(struct choose_link *link, struct server *server)
{
	*link = (struct choose_link){.next = link, .previous = link, .server = server};
}

static bool ring_alone(const struct choose_link *link)
{
	return link->next == link;
}

static void ring_remove(struct choose_link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	link->next = link->previous = link;
}

static void ring_append(struct choose_link *head, struct choose_link *link)
{
	link->previous = head->previous;
	link->next = head;
	head->previous->next = link;
	head->previous = link;
}

/* ---- counting ---- */

static bool by_source(const struct choosing *choosing)
{
	return choosing->how == LINK_SOURCE_HASH;
}

/* Its lower half is the same after a restart.  While one server replaces another, two have one instance. */
static uint64_t name_of(const struct server *server)
{
	uint32_t name = server->instance ? server->instance : OUTSIDE | server->slot * SCATTER;
	return (uint64_t)server->slot << 32 | name;
}

static void set_rank(struct choosing *choosing, struct server *server, uint32_t rank)
{
	struct choice *choice = &server->choice;
	if (!by_source(choosing)) {
		balance_set(&choosing->balance, choice->at, rank);
		return;
	}
	if (choice->number == RENDEZVOUS_NONE)
		choice->number = rendezvous_add(&choosing->rendezvous, name_of(server));
	rendezvous_set(&choosing->rendezvous, choice->number, rank);
}

static uint32_t rank_of(const struct choosing *choosing, const struct server *server)
{
	if (!server->choice.credits)
		return BALANCE_NEVER;
	uint64_t load = 0;
	if (choosing->how == LINK_LEAST_CONNECTIONS)
		load = (uint64_t)server_pending(server) + server->active;
	if (load >= LATE - 1)
		load = LATE - 2;
	return (uint32_t)load | (server->choice.late ? LATE : 0);
}

static uint64_t *sum_of(struct choosing *choosing, const struct choice *choice)
{
	return choice->late ? &choosing->late : &choosing->prompt;
}

static void count(struct choosing *choosing, struct server *server, uint32_t credits, bool late)
{
	struct choice *choice = &server->choice;
	*sum_of(choosing, choice) -= choice->credits;
	if (late && !choice->late)
		ring_append(&choosing->among_late, &choice->among_late);
	else if (!late && choice->late)
		ring_remove(&choice->among_late);
	choice->credits = credits;
	choice->late = late;
	*sum_of(choosing, choice) += credits;
	set_rank(choosing, server, rank_of(choosing, server));
}

static void count_changed(struct choosing *choosing)
{
	while (!ring_alone(&choosing->changed)) {
		struct server *server = choosing->changed.next->server;
		ring_remove(&server->choice.changed);
		count(choosing, server, server_credits(server),
		      server->choice.late && stall_late(server->dispatcher, server));
	}
}

/* A message ends it, and that is a change; without one only a look tells, which costs a call: at a few, in turn. */
static void look_at_late(struct choosing *choosing)
{
	for (unsigned i = 0; i < LATE_LOOKS && !ring_alone(&choosing->among_late); i++) {
		struct server *server = choosing->among_late.next->server;
		ring_remove(&server->choice.among_late);
		ring_append(&choosing->among_late, &server->choice.among_late);
		if (!stall_late(server->dispatcher, server))
			count(choosing, server, server->choice.credits, false);
	}
}

void choose_changed(struct server *server)
{
	if (ring_alone(&server->choice.changed))
		ring_append(&server->service->choosing->changed, &server->choice.changed);
}

static bool reserve(struct choosing *choosing, uint32_t servers)
{
	return balance_reserve(&choosing->balance, servers) &&
	       (!by_source(choosing) || rendezvous_reserve(&choosing->rendezvous, servers));
}

bool choose_all_changed(struct service *service)
{
	struct choosing *choosing = service->choosing;
	if (!choosing)
		return true;
	bool other = choosing->how != service->set->balance;
	choosing->how = service->set->balance;
	if (other)
		rendezvous_free(&choosing->rendezvous);
	for (uint32_t i = 0; i < service->server_count; i++) {
		if (other)
			service->server[i]->choice.number = RENDEZVOUS_NONE;
		choose_changed(service->server[i]);
	}
	return reserve(choosing, service->server_count);
}

/* ---- coming and going ---- */

static struct choosing *choosing_new(const struct service *service)
{
	struct choosing *choosing = calloc(1, sizeof(*choosing));
	if (!choosing)
		return NULL;
	choosing->how = service->set->balance;
	choosing->rendezvous = (struct rendezvous)RENDEZVOUS_EMPTY;
	ring_init(&choosing->changed, NULL);
	ring_init(&choosing->among_late, NULL);
	return choosing;
}

void choose_free(struct choosing *choosing)
{
	if (!choosing)
		return;
	balance_free(&choosing->balance);
	rendezvous_free(&choosing->rendezvous);
	free(choosing);
}

bool choose_join(struct service *service, struct server *server)
{
	struct choice *choice = &server->choice;
	if (!service->choosing)
		service->choosing = choosing_new(service);
	if (!service->choosing || !reserve(service->choosing, service->server_count))
		return false;
	*choice = (struct choice){.at = service->server_count - 1, .number = RENDEZVOUS_NONE};
	ring_init(&choice->changed, server);
	ring_init(&choice->among_late, server);
	choose_changed(server);
	return true;
}

void choose_part(struct service *service, struct server *server)
{
	struct choosing *choosing = service->choosing;
	struct choice *choice = &server->choice;
	struct server *last = service->server[service->server_count - 1];
	count(choosing, server, 0, false);
	ring_remove(&choice->changed);
	if (choice->number != RENDEZVOUS_NONE)
		rendezvous_remove(&choosing->rendezvous, choice->number);
	balance_set(&choosing->balance, last->choice.at, BALANCE_NEVER);
	last->choice.at = choice->at;
	if (last != server)
		set_rank(choosing, last, rank_of(choosing, last));
}

/* ---- choosing ---- */

/* Late ones count only when nobody else has a credit: a stopped server must not swallow a window of clients. */
uint64_t choose_gather(struct service *service)
{
	struct choosing *choosing = service->choosing;
	if (!choosing)
		return 0;
	count_changed(choosing);
	look_at_late(choosing);
	return choosing->prompt ? choosing->prompt : choosing->late;
}

bool choose_any(struct service *service)
{
	if (!service->choosing)
		return false;
	count_changed(service->choosing);
	return service->choosing->prompt || service->choosing->late;
}

static struct server *pick(const struct service *service, const struct ledger_entry *entry)
{
	const struct choosing *choosing = service->choosing;
	if (!by_source(choosing)) {
		uint32_t at = balance_choose(&choosing->balance, choosing->turn);
		return at == BALANCE_NOBODY ? NULL : service->server[at];
	}
	uint64_t client = rendezvous_client(entry->wire.peer, sizeof(entry->wire.peer));
	uint32_t number = rendezvous_choose(&choosing->rendezvous, client);
	if (number == RENDEZVOUS_NONE)
		return NULL;
	uint64_t name = choosing->rendezvous.node[number].name;
	return service->server[0]->dispatcher->server[name >> 32];
}

/* Whoever would be chosen is looked at, and nobody else: it may have fallen silent since it was counted. */
static struct server *pick_prompt(const struct service *service, const struct ledger_entry *entry)
{
	struct server *server;
	while ((server = pick(service, entry)) && !server->choice.late &&
	       stall_late(server->dispatcher, server))
		count(service->choosing, server, server->choice.credits, true);
	return server;
}

/* So that a whole turn's connections are given away without counting any server again. */
static void spend(struct choosing *choosing, struct server *server)
{
	struct choice *choice = &server->choice;
	(*sum_of(choosing, choice))--;
	if (!--choice->credits)
		set_rank(choosing, server, BALANCE_NEVER);
	else if (choosing->how == LINK_LEAST_CONNECTIONS)
		set_rank(choosing, server, balance_rank(&choosing->balance, choice->at) + 1);
}

/* The one that refused it, if there is another. */
static struct server *avoided(const struct service *service, const struct ledger_entry *entry)
{
	if (entry->avoid == BOARD_NONE || service->registered < 2)
		return NULL;
	struct server *server = service->server[0]->dispatcher->server[entry->avoid];
	return server && server->service == service ? server : NULL;
}

struct server *choose_server(struct service *service, const struct ledger_entry *entry)
{
	struct choosing *choosing = service->choosing;
	if (!choosing || !service->server_count)
		return NULL;
	struct server *refuser = avoided(service, entry);
	if (refuser)
		set_rank(choosing, refuser, BALANCE_NEVER);
	struct server *server = pick_prompt(service, entry);
	if (refuser)
		set_rank(choosing, refuser, rank_of(choosing, refuser));
	if (!server)
		return NULL;
	spend(choosing, server);
	choosing->turn = server->choice.at + 1 < service->server_count ? server->choice.at + 1 : 0;
	return server;
}

/* ---- for tests ---- */

const char *choose_broken(const struct service *service)
{
	const struct choosing *choosing = service->choosing;
	uint64_t prompt = 0, late = 0;
	for (uint32_t i = 0; i < service->server_count; i++) {
		const struct server *server = service->server[i];
		const struct choice *choice = &server->choice;
		*(choice->late ? &late : &prompt) += choice->credits;
		if (choice->at != i)
			return "a server is at another place than it knows";
		if (!ring_alone(&choice->changed))
			continue;
		if (choice->credits != server_credits(server))
			return "a server's credits have changed unseen";
		uint32_t rank = by_source(choosing) ? choosing->rendezvous.node[choice->number].rank
						    : balance_rank(&choosing->balance, i);
		if (rank != rank_of(choosing, server))
			return "a server has another rank than its load";
	}
	return !choosing || (choosing->prompt == prompt && choosing->late == late)
		       ? NULL
		       : "a sum of credits is wrong";
}
