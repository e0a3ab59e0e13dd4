/*
 * listener_set.c: the listeners that exist, sorted by address, to be claimed by a new table.  An address that stays
 * keeps its socket, whatever service it feeds.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdlib.h>
#include <string.h>

#include "listeners.h"

struct listener_set {
	size_t count;
	struct entry {
		struct listener *listener;
		bool claimed;
	} entry[];
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

int address_order(const struct address *a, const struct address *b)
{
	int order = ORDER(a->kind, b->kind);

	if (order == 0)
		order = ORDER(a->family, b->family);
	if (order != 0)
		return order;
	if (a->kind == ADDRESS_UNIX) {
		order = ORDER(a->abstract, b->abstract);
		if (order == 0)
			order = ORDER(a->path_length, b->path_length);
		if (order != 0 || a->path_length == 0)
			return order;
		return memcmp(a->path, b->path, a->path_length);
	}
	order = ORDER(a->port, b->port);
	if (order == 0)
		order = ORDER(a->scope, b->scope);
	return order != 0 ? order : memcmp(a->ip, b->ip, a->family == AF_INET6 ? 16 : 4);
}

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return address_order(&x->listener->want->address, &y->listener->want->address);
}

struct listener_set *listener_set_new(const struct supervisor *s)
{
	size_t count = 0;

	for (const struct service *service = s->services; service != NULL; service = service->next)
		for (const struct listener *listener = service->listeners; listener != NULL;
		     listener = listener->next)
			count++;
	struct listener_set *set = calloc(1, sizeof(*set) + count * sizeof(set->entry[0]));
	if (set == NULL)
		return NULL;
	for (const struct service *service = s->services; service != NULL; service = service->next)
		for (struct listener *listener = service->listeners; listener != NULL;
		     listener = listener->next)
			set->entry[set->count++].listener = listener;
	qsort(set->entry, set->count, sizeof(set->entry[0]), compare);
	return set;
}

void listener_set_free(struct listener_set *set)
{
	free(set);
}

struct listener *listener_set_claim(struct listener_set *set, const struct address *address)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = address_order(address, &set->entry[middle].listener->want->address);
		if (order == 0) {
			/* A checked table names no address twice. */
			if (set->entry[middle].claimed)
				return NULL;
			set->entry[middle].claimed = true;
			return set->entry[middle].listener;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool listener_set_blocks(const struct listener_set *set, const struct address *address)
{
	for (size_t i = 0; i < set->count; i++)
		if (!set->entry[i].claimed && set->entry[i].listener->fd >= 0 &&
		    address_overlaps(&set->entry[i].listener->want->address, address))
			return true;
	return false;
}

struct listener *listener_set_unclaimed(struct listener_set *set, size_t *at)
{
	while (*at < set->count) {
		struct entry *entry = &set->entry[(*at)++];
		if (!entry->claimed)
			return entry->listener;
	}
	return NULL;
}
