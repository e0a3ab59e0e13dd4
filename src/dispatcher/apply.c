/*
 * apply.c: COMMIT: the staged table becomes the one in force.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dispatcher.h"

/* Servers are told; and with `taken` nothing that a server has taken may go to another any more. */
static void tell_acknowledge(struct dispatcher *d, struct service *service)
{
	for (uint32_t i = 0; i < service->server_count; i++) {
		struct server *server = service->server[i];
		if (server->settling) /* goes by what was in force when it died */
			continue;
		if (service->set->acknowledge == LINK_ACK_TAKEN)
			settle_release(d, server);
		server->owed |= OWED_HELLO;
		turn_server(d, server);
	}
}

static int by_service(const void *one, const void *other)
{
	const struct link_rule *a = one, *b = other;
	if (a->service != b->service)
		return a->service < b->service ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* The rules of a service: a part of those of all, which are sorted. */
static const struct link_rule *rules_of(const struct staging *staging, uint32_t service, size_t *count)
{
	size_t low = 0, high = staging->rules;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (staging->rule[middle].service < service)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < staging->rules && staging->rule[low + *count].service == service;)
		++*count;
	return staging->rules ? staging->rule + low : NULL;
}

static int apply_service(struct dispatcher *d, const struct link_service *record)
{
	struct service *service = service_named(d, record->service, record->name);
	size_t count;
	uint32_t whose = record->rules_as ? record->rules_as - 1 : record->service;
	const struct link_rule *rule = rules_of(d->staging, whose, &count);
	const struct service_set *set = service ? service_set_take(d, record, rule, count) : NULL;
	if (!set)
		return -ENOMEM;
	bool told = service->set->acknowledge == set->acknowledge;
	service_set_release(d, service->set);
	service->set = set;
	if (!choose_all_changed(service))
		return -ENOMEM;
	service->paused = record->paused;
	service->removed = record->gone;
	if (!told)
		tell_acknowledge(d, service);
	if (record->fresh)
		service_reset_counters(d, record->service);
	return 0;
}

/* Services of the staged table, new and known ones; when it is a whole one, every other is `removed`. */
static int apply_services(struct dispatcher *d)
{
	const struct staging *staging = d->staging;
	int error = 0;
	for (struct service *service = service_next(d, NULL); service && !staging->begin.partial;
	     service = service_next(d, service))
		service->removed = true;
	if (staging->rules)
		qsort(staging->rule, staging->rules, sizeof(*staging->rule), by_service);
	for (size_t i = 0; i < staging->services && !error; i++) {
		const struct link_service *record = &staging->service[i];
		struct service *known = d->service[record->service];
		if (!record->gone || !staging->begin.partial)
			error = apply_service(d, record);
		else if (known)
			known->removed = true;
	}
	return error;
}

static int apply_listener(struct dispatcher *d, struct staged_listener *staged)
{
	struct service *service = d->service[staged->record.service];
	struct listener *listener = d->listener[staged->record.listener];
	if (!service)
		return -EPROTO;
	if (staged->fd >= 0) { /* another socket under this number */
		if (listener)
			listener_free(d, listener);
		listener = listener_new(d, &staged->record, staged->fd);
		if (!listener)
			return -ENOMEM;
		staged->fd = -1; /* the listener's now */
	}
	listener->position = (uint16_t)staged->record.position;
	if (listener->service != service)
		listener_feed(d, listener, service);
	return 0;
}

/* What the staged table does not name: anywhere, or of the services that it does name. */
static void sweep_listeners(struct dispatcher *d, const bool *named)
{
	const struct staging *staging = d->staging;
	if (!staging->begin.partial) {
		for (uint32_t index = 0; index < BOARD_LISTENERS; index++)
			if (d->listener[index] && !named[index])
				listener_free(d, d->listener[index]);
		return;
	}
	for (size_t i = 0; i < staging->services; i++) {
		struct service *service = d->service[staging->service[i].service];
		struct listener *next = service ? service->listeners : NULL;
		for (struct listener *listener = next; listener; listener = next) {
			next = listener->next;
			if (!named[listener->index])
				listener_free(d, listener);
		}
	}
}

static int apply_listeners(struct dispatcher *d)
{
	struct staging *staging = d->staging;
	bool *named = calloc(BOARD_LISTENERS, sizeof(*named));
	if (!named)
		return -ENOMEM;
	int error = 0;
	for (size_t i = 0; i < staging->listeners && !error; i++) {
		named[staging->listener[i].record.listener] = true;
		error = apply_listener(d, &staging->listener[i]);
	}
	if (!error)
		sweep_listeners(d, named);
	free(named);
	return error;
}

int apply_server(struct dispatcher *d, struct staged_server *staged)
{
	const struct link_server *record = &staged->record;
	int ours = staged->ours, theirs = staged->theirs, lifeline = staged->lifeline;
	struct service *service = d->service[record->service];
	/* Servers may outlive their service; they drain. */
	if (!service)
		service = service_named(d, record->service, "");
	struct server *server = NULL;
	if (service && !d->server[record->slot])
		server = server_new(d, record, service, ours, theirs, lifeline);
	if (!server) {
		close(ours);
		close(theirs);
		if (lifeline >= 0)
			close(lifeline);
		return service ? -EPROTO : -ENOMEM;
	}
	recover_server(d, server);
	/* The supervisor has kept its pair, and the dispatcher that asked for it died before it heard so. */
	if (server->external && !server->kept)
		say_pair(server);
	if (record->flags & LINK_SERVER_DEAD) {
		death_settle(d, server, DEATH_DEAD, LINK_SLOT_FREE);
		return 0;
	}
	if (server->kept)
		(void)withdraw(d, server);
	if (record->flags & LINK_SERVER_DRAINING) {
		server->drain_asked = true;
		server_drain(d, server);
	}
	return 0;
}

static int apply_servers(struct dispatcher *d)
{
	struct staging *staging = d->staging;
	int error = 0;
	size_t done = 0;
	while (done < staging->servers && !error)
		error = apply_server(d, &staging->server[done++]);
	/* What is not applied is still the staging's to close. */
	for (size_t i = done; i < staging->servers; i++)
		staging->server[i - done] = staging->server[i];
	staging->servers -= done;
	return error;
}

/* Whoever may have changed is looked at. */
static void turn_applied(struct dispatcher *d)
{
	const struct staging *staging = d->staging;
	for (struct service *service = service_next(d, NULL); service && !staging->begin.partial;
	     service = service_next(d, service))
		turn_service(d, service);
	for (size_t i = 0; i < staging->services && staging->begin.partial; i++)
		if (d->service[staging->service[i].service])
			turn_service(d, d->service[staging->service[i].service]);
}

int apply_staging(struct dispatcher *d)
{
	int error = apply_services(d);
	if (!error)
		error = apply_listeners(d);
	if (!error)
		error = apply_servers(d);
	if (error)
		return error;
	if (!d->committed)
		recover_end(d);
	d->committed = true;
	turn_applied(d);
	door_start(d);
	return 0;
}
