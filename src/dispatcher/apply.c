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
static void apply_acknowledge(struct dispatcher *d, struct service *service, uint8_t acknowledge)
{
	if (service->set.acknowledge == acknowledge)
		return;
	service->set.acknowledge = acknowledge;
	for (uint32_t i = 0; i < service->server_count; i++) {
		struct server *server = service->server[i];
		if (acknowledge == LINK_ACK_TAKEN)
			settle_release(d, server);
		server->owed |= OWED_HELLO;
		turn_server(d, server);
	}
}

/* Services of the staged table, new and known ones; when it is a whole one, every other is `removed`. */
static int apply_services(struct dispatcher *d)
{
	const struct staging *staging = d->staging;
	for (struct service *service = d->services; service && !staging->begin.partial;
	     service = service->next)
		service->removed = true;
	for (size_t i = 0; i < staging->services; i++) {
		const struct link_service *record = &staging->service[i];
		struct service *service = d->service[record->service];
		if (record->gone && staging->begin.partial) {
			if (service)
				service->removed = true;
			continue;
		}
		if (!service)
			service = service_new(d, record->service);
		if (!service)
			return -ENOMEM;
		apply_acknowledge(d, service, record->acknowledge);
		service->set = *record;
		if (!choose_all_changed(service))
			return -ENOMEM;
		service->removed = record->gone;
		service->rule_count = 0;
		if (record->fresh)
			service_reset_counters(d, record->service);
	}
	return 0;
}

static int apply_rule(struct dispatcher *d, const struct link_rule *rule)
{
	struct service *service = d->service[rule->service];
	if (!service)
		return -EPROTO;
	struct link_rule *rules = reallocarray(service->rule, service->rule_count + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	rules[service->rule_count++] = *rule;
	service->rule = rules;
	return 0;
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
		service = service_new(d, record->service);
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
	for (struct service *service = d->services; service && !staging->begin.partial;
	     service = service->next)
		turn_service(d, service);
	for (size_t i = 0; i < staging->services && staging->begin.partial; i++)
		if (d->service[staging->service[i].service])
			turn_service(d, d->service[staging->service[i].service]);
}

int apply_staging(struct dispatcher *d)
{
	int error = apply_services(d);
	for (size_t i = 0; i < d->staging->rules && !error; i++)
		error = apply_rule(d, &d->staging->rule[i]);
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
