/*
 * push.c: the whole state as records, BEGIN to COMMIT: to a new dispatcher with every kept socket, after a reload
 * with the new ones only.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>
#include <string.h>

#include "supervisor.h"

static struct link_message record_of(enum link_type type)
{
	return (struct link_message){.version = LINK_VERSION, .type = (uint16_t)type};
}

/* A removed service is named once more to a new dispatcher, without address and rules, for the servers that still
   finish what they hold; a dispatcher that knew it learns from its absence that it is gone. */
static bool named(const struct supervisor *s, const struct service *service, bool with_servers)
{
	return service->want != NULL || (with_servers && slot_of_service(s, service->index));
}

static unsigned count_listeners(const struct service *service)
{
	unsigned count = 0;

	for (const struct listener *listener = service->listeners; listener != NULL;
	     listener = listener->next)
		count += listener->fd >= 0;
	return count;
}

static void push_begin(struct supervisor *s, bool with_servers)
{
	struct link_message message = record_of(LINK_BEGIN);

	message.begin.table = s->dispatcher.pushes;
	for (const struct service *service = s->services; service != NULL; service = service->next) {
		message.begin.services += named(s, service, with_servers);
		message.begin.listeners += count_listeners(service);
	}
	for (uint32_t i = 0; with_servers && i < BOARD_SLOTS; i++)
		message.begin.servers += s->slots[i].used;
	dispatcher_send(s, &message, NULL, 0);
}

static void push_service(struct supervisor *s, struct service *service)
{
	const struct table_service *want = service->want;
	struct link_message message = record_of(LINK_SERVICE);

	message.service.service = service->index;
	message.service.fresh = service->fresh;
	message.service.window = 1;
	snprintf(message.service.name, sizeof(message.service.name), "%s", service->name);
	if (want != NULL) {
		/* The enums of table.h and link.h are in the same order. */
		message.service.balance = (uint8_t)want->balance;
		message.service.acknowledge = (uint8_t)want->acknowledge;
		message.service.overload = (uint8_t)want->overload;
		message.service.allow_root = want->allow_root;
		message.service.allow_foreign = want->allow_foreign;
		message.service.window = (uint16_t)want->window;
		message.service.take_timeout_ms = want->take_timeout_ms;
		message.service.max_registered = want->max_registered;
		message.service.supervised = service_wanted(service);
	}
	dispatcher_send(s, &message, NULL, 0);
}

static void push_rules(struct supervisor *s, const struct service *service, enum link_rule_kind kind,
		       const struct table_id_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct link_message message = record_of(LINK_RULE);
		message.rule.service = service->index;
		message.rule.kind = kind;
		message.rule.id = list->id[i];
		dispatcher_send(s, &message, NULL, 0);
	}
}

static void push_listener(struct supervisor *s, struct listener *listener)
{
	struct link_message message = record_of(LINK_LISTENER);

	if (listener->fd < 0)
		return;
	message.listener.listener = listener->index;
	message.listener.service = listener->service->index;
	message.listener.position = listener->want->position;
	message.listener.address = listener->want->address;
	/* An unchanged one is known there already, under the same index. */
	bool known = listener->pushed_to == s->dispatcher.generation;
	dispatcher_send(s, &message, &listener->fd, known ? 0 : 1);
	listener->pushed_to = s->dispatcher.generation;
}

static void push_slot(struct supervisor *s, struct slot *slot)
{
	struct link_message message = record_of(LINK_SERVER);
	int fds[3] = {slot->ours, slot->theirs, slot->lifeline};

	message.server = slot->record;
	if (slot->dead)
		message.server.flags |= LINK_SERVER_DEAD;
	else if (slot->server->phase == PHASE_DRAINING)
		message.server.flags |= LINK_SERVER_DRAINING;
	slot->told = true;
	dispatcher_send(s, &message, fds, slot->lifeline >= 0 ? 3 : 2);
}

void push_server(struct supervisor *s, const struct server *server)
{
	struct slot *slot = slot_find(s, server->slot, server->generation);

	if (slot != NULL && dispatcher_pushed(s))
		push_slot(s, slot);
}

void push_table(struct supervisor *s)
{
	struct link_message commit = record_of(LINK_COMMIT);

	if (s->dispatcher.phase != DISPATCHER_RUNNING && s->dispatcher.phase != DISPATCHER_LOADING)
		return;
	bool first = s->dispatcher.pushes == 0;
	s->dispatcher.pushes++;
	push_begin(s, first);
	for (struct service *service = s->services; service != NULL; service = service->next) {
		if (!named(s, service, first))
			continue;
		push_service(s, service);
		if (service->want == NULL)
			continue;
		push_rules(s, service, LINK_RULE_UID, &service->want->register_users);
		push_rules(s, service, LINK_RULE_GID, &service->want->register_groups);
		for (struct listener *listener = service->listeners; listener != NULL;
		     listener = listener->next)
			push_listener(s, listener);
	}
	for (uint32_t i = 0; first && i < BOARD_SLOTS; i++)
		if (s->slots[i].used)
			push_slot(s, &s->slots[i]);
	commit.commit.table = s->dispatcher.pushes;
	dispatcher_send(s, &commit, NULL, 0);
	dispatcher_deadline(s);
}

static void on_push(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	push_table(ev_userdata(loop));
}

void push_soon(struct supervisor *s)
{
	if (ev_is_active(&s->push_again))
		return;
	ev_timer_init(&s->push_again, on_push, 0., 0.);
	ev_timer_start(s->loop, &s->push_again);
}
