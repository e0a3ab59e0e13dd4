/*
 * service_set.c: what the table says of a service.  Ten thousand say the same, mostly: those share it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "dispatcher.h"

const struct service_set service_set_none;

static struct service_set *made(const struct link_service *record, const struct link_rule *rule, size_t count)
{
	struct service_set *set = calloc(1, sizeof(*set) + count * sizeof(set->rule[0]));
	if (!set)
		return NULL;
	set->balance = record->balance;
	set->acknowledge = record->acknowledge;
	set->overload = record->overload;
	set->allow_root = record->allow_root;
	set->allow_foreign = record->allow_foreign;
	set->window = record->window;
	set->take_timeout_ms = record->take_timeout_ms;
	set->max_registered = record->max_registered;
	set->supervised = record->supervised;
	set->rule_count = count;
	for (size_t i = 0; i < count; i++)
		set->rule[i] = (struct link_rule){.kind = rule[i].kind, .id = rule[i].id};
	return set;
}

static bool same_rules(const struct service_set *a, const struct service_set *b)
{
	if (a->rule_count != b->rule_count)
		return false;
	for (size_t i = 0; i < a->rule_count; i++)
		if (a->rule[i].kind != b->rule[i].kind || a->rule[i].id != b->rule[i].id)
			return false;
	return true;
}

static bool same(const struct service_set *a, const struct service_set *b)
{
	return a->balance == b->balance && a->acknowledge == b->acknowledge && a->overload == b->overload &&
	       a->allow_root == b->allow_root && a->allow_foreign == b->allow_foreign &&
	       a->window == b->window && a->take_timeout_ms == b->take_timeout_ms &&
	       a->max_registered == b->max_registered && a->supervised == b->supervised && same_rules(a, b);
}

/* Sets that differ mostly do so in these. */
static unsigned bucket(const struct service_set *set)
{
	uint32_t hash = set->window * 31u + set->take_timeout_ms * 17u + set->max_registered * 7u +
			set->supervised * 3u + set->balance;
	for (size_t i = 0; i < set->rule_count; i++)
		hash = hash * 31u + set->rule[i].id;
	return hash % SERVICE_SETS;
}

const struct service_set *service_set_take(struct dispatcher *d, const struct link_service *record,
					   const struct link_rule *rule, size_t count)
{
	struct service_set *new = made(record, rule, count);
	if (!new)
		return NULL;
	struct service_set **first = &d->set[bucket(new)];
	for (struct service_set *set = *first; set; set = set->next)
		if (same(set, new)) {
			free(new);
			set->users++;
			return set;
		}
	new->users = 1;
	new->next = *first;
	*first = new;
	return new;
}

void service_set_release(struct dispatcher *d, const struct service_set *set)
{
	if (set == &service_set_none)
		return;
	struct service_set **at = &d->set[bucket(set)];
	while (*at != set)
		at = &(*at)->next;
	struct service_set *mine = *at;
	if (--mine->users)
		return;
	*at = mine->next;
	free(mine);
}
