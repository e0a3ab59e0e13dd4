/*
 * apply.c: a checked table takes effect, at start and at reload.  First everything is made that can fail, beside what
 * is in force; then the two are swapped without a step that could fail.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_socket.h"
#include "helpers.h"
#include "listeners.h"
#include "logging.h"
#include "roll.h"
#include "services.h"
#include "slots.h"

struct planned {
	struct service *service;
	bool made;       /* by this plan */
	unsigned change; /* enum table_change */
	bool back;       /* not in the table in force */
	struct planned_listener {
		struct listener *listener; /* NULL: no IPv6 here, and that is fine */
		bool made;
		bool blocked; /* by a listener that this very table gives up: bound as soon as that is shut */
	} * listener;         /* one for each of want->listen */
};

struct plan {
	struct supervisor *s;
	struct table *table;
	struct planned *item;
	struct listener_set *existing;
	struct targets_plan *targets;
};

static void plan_free(struct plan *plan)
{
	for (size_t i = 0; plan->item != NULL && i < plan->table->service_count; i++)
		free(plan->item[i].listener);
	free(plan->item);
	listener_set_free(plan->existing);
	targets_plan_free(plan->targets);
}

/* Nothing of it was in force yet. */
static void plan_undo(struct plan *plan)
{
	struct supervisor *s = plan->s;

	for (size_t i = 0; plan->item != NULL && i < plan->table->service_count; i++) {
		struct planned *item = &plan->item[i];
		for (size_t n = 0; item->listener != NULL && n < plan->table->service[i].listen_count; n++) {
			struct listener *listener = item->listener[n].listener;
			if (!item->listener[n].made || listener == NULL)
				continue;
			listener_free(s, listener);
		}
		if (item->made)
			service_free(s, item->service);
	}
	plan_free(plan);
}

/* The service of this name that is still there: in force, or removed with servers that finish their work. */
static struct service *find_removed(struct supervisor *s, const char *name)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		if (service->want == NULL && strcmp(service->name, name) == 0)
			return service;
	return NULL;
}

static int plan_service(struct plan *plan, const struct table_pair *pair, struct service **by_place)
{
	struct planned *item = &plan->item[pair->after - plan->table->service];

	item->change = pair->change;
	item->back = pair->before == NULL;
	if (pair->before != NULL)
		item->service = by_place[pair->before - plan->s->table->service];
	else
		item->service = find_removed(plan->s, pair->after->name);
	if (item->service != NULL)
		return 0;
	item->service = service_new(plan->s, pair->after->name);
	item->made = item->service != NULL;
	return item->made ? 0 : -ENOMEM;
}

static int plan_reload_services(struct plan *plan)
{
	struct supervisor *s = plan->s;
	struct table_diff diff;
	struct service **by_place = calloc(s->table->service_count + 1, sizeof(struct service *));
	int result = by_place == NULL ? -ENOMEM : table_diff(s->table, plan->table, &diff);

	if (result == 0) {
		for (struct service *service = s->services; service != NULL; service = service->next)
			if (service->want != NULL)
				by_place[service->want - s->table->service] = service;
		for (size_t i = 0; result == 0 && i < diff.count; i++)
			if (diff.pair[i].after != NULL)
				result = plan_service(plan, &diff.pair[i], by_place);
		table_diff_free(&diff);
	}
	free(by_place);
	return result;
}

static int plan_services(struct plan *plan)
{
	if (plan->s->table != NULL)
		return plan_reload_services(plan);
	for (size_t i = 0; i < plan->table->service_count; i++) {
		struct table_pair pair = {.after = &plan->table->service[i]};
		int result = plan_service(plan, &pair, NULL);
		if (result < 0)
			return result;
	}
	return 0;
}

static int claim_listeners(struct plan *plan)
{
	for (size_t i = 0; i < plan->table->service_count; i++) {
		const struct table_service *want = &plan->table->service[i];
		plan->item[i].listener = calloc(want->listen_count + 1, sizeof(struct planned_listener));
		if (plan->item[i].listener == NULL)
			return -ENOMEM;
		for (size_t n = 0; n < want->listen_count; n++)
			plan->item[i].listener[n].listener =
				listener_set_claim(plan->existing, &want->listen[n].address);
	}
	return 0;
}

static bool is_blocked(const struct plan *plan, const struct listener *listener)
{
	return listener_error(listener) == EADDRINUSE && listener_set_blocks(plan->existing, &listener->want->address);
}

/* One that could not be bound: told, and judged.  At start it is an error unless the service is optional. */
static int judge_unbound(struct plan *plan, const struct table_service *service,
			 const struct listener *listener)
{
	bool fatal = plan->s->table == NULL && !service->optional;

	listener_say_unbound(plan->s, fatal ? LEVEL_ERROR : LEVEL_WARNING, service->name, listener);
	return fatal ? -listener_error(listener) : 0;
}

/* One of the table in force, too, that could not be bound yet: whoever reloads may have made room for it. */
static void open_again(struct plan *plan, struct planned_listener *planned)
{
	planned->listener->more->tries = 0;
	listener_retry_now(plan->s, planned->listener);
	planned->blocked = planned->listener->fd < 0 && is_blocked(plan, planned->listener);
}

static int open_new(struct plan *plan, const struct table_service *want, struct planned *item, size_t n)
{
	struct listener *listener = listener_new(plan->s, &want->listen[n], item->service);

	if (listener == NULL)
		return -ENOMEM;
	int fd = listen_open(listener);
	if (fd < 0 && listen_may_lack(listener->want, -fd)) {
		listener_free(plan->s, listener);
		return 0;
	}
	item->listener[n] = (struct planned_listener){.listener = listener, .made = true};
	if (fd >= 0) {
		listener->fd = fd;
		return 0;
	}
	if (listener_more(listener) == NULL)
		return -ENOMEM;
	listener->more->error = -fd;
	item->listener[n].blocked = is_blocked(plan, listener);
	return item->listener[n].blocked ? 0 : judge_unbound(plan, want, listener);
}

static int open_one(struct plan *plan, const struct table_service *want, struct planned *item, size_t n)
{
	struct planned_listener *planned = &item->listener[n];

	if (planned->listener == NULL)
		return open_new(plan, want, item, n);
	if (planned->listener->fd < 0)
		open_again(plan, planned);
	return 0;
}

/* All of them, so that every address that cannot be bound is told at once. */
static int open_listeners(struct plan *plan)
{
	int result = 0;

	for (size_t i = 0; i < plan->table->service_count; i++) {
		const struct table_service *want = &plan->table->service[i];
		for (size_t n = 0; n < want->listen_count; n++) {
			int one = open_one(plan, want, &plan->item[i], n);
			if (one < 0 && result == 0)
				result = one;
		}
	}
	return result;
}

static int plan_make(struct plan *plan, char *problem, size_t size)
{
	int result = targets_plan(plan->s, plan->table, &plan->targets, problem, size);

	if (result < 0)
		return result;
	plan->item = calloc(plan->table->service_count + 1, sizeof(*plan->item));
	plan->existing = listener_set_new(plan->s);
	if (plan->item == NULL || plan->existing == NULL)
		return -ENOMEM;
	if ((result = plan_services(plan)) < 0 || (result = claim_listeners(plan)) < 0)
		return result;
	return open_listeners(plan);
}

/* ---- from here on nothing fails ---- */

static void close_unclaimed(struct plan *plan)
{
	struct listener *listener;
	size_t at = 0;

	while ((listener = listener_set_unclaimed(plan->existing, &at)) != NULL) {
		listener_free(plan->s, listener);
	}
	for (struct service *service = plan->s->services; service != NULL; service = service->next)
		service->listeners = NULL;
}

/* What stood in its way is shut; unless somebody else is quicker, it is bound now. */
static void open_unblocked(struct supervisor *s, struct listener *listener)
{
	listener_retry_now(s, listener);
	if (listener->fd < 0)
		listener_say_unbound(s, LEVEL_WARNING, listener->service->name, listener);
}

static void take_listeners(struct plan *plan, struct planned *item, const struct table_service *want)
{
	struct listener **last = &item->service->listeners;

	for (size_t n = 0; n < want->listen_count; n++) {
		struct listener *listener = item->listener[n].listener;
		if (listener == NULL)
			continue;
		listener->want = &want->listen[n];
		listener->service = item->service;
		listener->next = NULL;
		*last = listener;
		last = &listener->next;
		if (item->listener[n].blocked)
			open_unblocked(plan->s, listener);
		if (listener->fd < 0 && !ev_is_active(&listener->more->retry))
			listener_retry_later(plan->s, listener);
	}
}

static void take_service(struct plan *plan, struct planned *item, const struct table_service *want)
{
	struct service *service = item->service;

	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a plan without all its services was given up */
	service->want = want;
	service->name = want->name;
	if (item->change != CHANGE_NONE || item->back)
		service->pushed = false;
	if ((item->change & CHANGE_SERVER) != 0)
		service->generation++;
	if (service->generation == 0)
		service->generation = 1;
	roll_retry(service);
	service_learn(service);
	take_listeners(plan, item, want);
}

/* The table that it is from goes.  One that never had a server goes with it: service_sweep(). */
static void keep_name(struct service *service)
{
	if (service->more == NULL)
		return;
	if (service->name != service->more->name)
		snprintf(service->more->name, sizeof(service->more->name), "%s", service->name);
	service->name = service->more->name;
}

/* In the order of the table; removed ones that still have servers follow. */
static void order_services(struct plan *plan)
{
	struct service *rest = plan->s->services, **last = &plan->s->services;

	for (struct service *service = rest; service != NULL; service = service->next)
		service->want = NULL;
	for (size_t i = 0; i < plan->table->service_count; i++)
		take_service(plan, &plan->item[i], &plan->table->service[i]);
	struct service *removed = NULL, **removed_last = &removed;
	for (struct service *service = rest, *next; service != NULL; service = next) {
		next = service->next;
		if (service->want != NULL)
			continue;
		service->pushed = false;
		/* A service of this name that comes later is another one. */
		service->down = false;
		service->paused = false;
		keep_name(service);
		*removed_last = service;
		removed_last = &service->next;
	}
	*removed_last = NULL;
	for (size_t i = 0; i < plan->table->service_count; i++) {
		*last = plan->item[i].service;
		last = &plan->item[i].service->next;
	}
	*last = removed;
}

static void take_effect(struct supervisor *s)
{
	for (struct service *service = s->services; service != NULL; service = service->next) {
		uint32_t target = service->want != NULL && service->want->has_server
					  ? target_of(s, &service->want->server->log)
					  : LOGGER_DAEMON;
		if (target != service->log_target)
			service->log_told = false;
		service->log_target = target;
	}
	logger_push_services(s);
	targets_release(s);
	push_table(s);
	for (struct service *service = s->services; service != NULL; service = service->next) {
		service_reconcile(s, service);
		control_service_changed(s, service);
	}
	service_sweep(s);
}

int apply_table(struct supervisor *s, struct table *table, struct diagnostics *warnings, char *problem,
		size_t size)
{
	struct plan plan = {.s = s, .table = table};

	problem[0] = '\0';
	int result = plan_make(&plan, problem, size);

	if (result < 0) {
		plan_undo(&plan);
		return result;
	}
	targets_take(s, plan.targets);
	close_unclaimed(&plan);
	order_services(&plan);
	struct table *before = s->table;
	diagnostics_free(&s->warnings);
	s->table = table;
	s->warnings = *warnings;
	*warnings = (struct diagnostics){0};
	s->table_generation++;
	plan_free(&plan);
	take_effect(s);
	table_free(before);
	return 0;
}
