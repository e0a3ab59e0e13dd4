/*
 * push.c: the state as records, BEGIN to COMMIT: to a new dispatcher the whole of it, with every kept socket; to one
 * that has it the services that have changed, with their new sockets.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>
#include <string.h>

#include "helpers.h"
#include "slots.h"

static struct link_message record_of(enum link_type type)
{
	return (struct link_message){.version = LINK_VERSION, .type = (uint16_t)type};
}

void push_forget(struct supervisor *s)
{
	for (struct service *service = s->services; service != NULL; service = service->next) {
		service->pushed = false;
		for (struct listener *listener = service->listeners; listener != NULL;
		     listener = listener->next)
			listener->pushed = false;
	}
}

/* Does this dispatcher have it as it is, with all its sockets? */
static bool is_known(const struct service *service)
{
	for (const struct listener *listener = service->listeners; listener != NULL;
	     listener = listener->next)
		if (listener->fd >= 0 && !listener->pushed)
			return false;
	return service->pushed;
}

/* A removed service is named once more, as gone: to a new dispatcher without address and rules, for the servers that still
   finish what they hold. */
static bool named(const struct supervisor *s, const struct service *service, bool whole)
{
	if (!whole)
		return !is_known(service);
	return service->want != NULL || slot_of_service(s, service->index);
}

static unsigned count_listeners(const struct service *service)
{
	unsigned count = 0;

	for (const struct listener *listener = service->listeners; listener != NULL;
	     listener = listener->next)
		count += listener->fd >= 0;
	return count;
}

static void push_begin(struct supervisor *s, bool whole)
{
	struct link_message message = record_of(LINK_BEGIN);

	message.begin.table = s->dispatcher.pushes;
	message.begin.partial = !whole;
	for (const struct service *service = s->services; service != NULL; service = service->next) {
		if (!named(s, service, whole))
			continue;
		message.begin.services++;
		message.begin.listeners += count_listeners(service);
	}
	for (uint32_t i = 0; whole && i < BOARD_SLOTS; i++)
		message.begin.servers += s->slots[i].used;
	dispatcher_send(s, &message, NULL, 0);
}

/* Of the services of a table that were pushed already, the last one that sent its rules. */
struct pushed_rules {
	const struct table_dispatch *dispatch; /* NULL: none yet */
	uint32_t service;
};

static void push_service(struct supervisor *s, struct service *service, const struct pushed_rules *rules)
{
	const struct table_service *want = service->want;
	struct link_message message = record_of(LINK_SERVICE);

	message.service.service = service->index;
	message.service.fresh = service->fresh;
	message.service.window = 1;
	message.service.gone = want == NULL;
	snprintf(message.service.name, sizeof(message.service.name), "%s", service->name);
	if (want != NULL) {
		const struct table_dispatch *dispatch = want->dispatch;
		/* The enums of table.h and link.h are in the same order. */
		message.service.balance = (uint8_t)dispatch->balance;
		message.service.acknowledge = (uint8_t)dispatch->acknowledge;
		message.service.overload = (uint8_t)dispatch->overload;
		message.service.allow_root = dispatch->allow_root;
		message.service.allow_foreign = dispatch->allow_foreign;
		message.service.window = (uint16_t)dispatch->window;
		message.service.take_timeout_ms = dispatch->take_timeout_ms;
		message.service.max_registered = dispatch->max_registered;
		message.service.paused = service->paused;
		if (dispatch == rules->dispatch)
			message.service.rules_as = rules->service + 1;
		/* Also when it is down: then what was taken back waits for `up`, as those in the backlog do. */
		message.service.supervised =
			want->start == START_EXTERNAL || !want->has_server ? 0 : want->server->instances;
	}
	service->pushed = true;
	dispatcher_send(s, &message, NULL, 0);
}

static void push_ids(struct supervisor *s, const struct service *service, enum link_rule_kind kind,
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

/* Most services have those of the one before them. */
static void push_rules(struct supervisor *s, const struct service *service, struct pushed_rules *rules)
{
	const struct table_dispatch *dispatch = service->want->dispatch;

	if (dispatch == rules->dispatch)
		return;
	push_ids(s, service, LINK_RULE_UID, &dispatch->register_users);
	push_ids(s, service, LINK_RULE_GID, &dispatch->register_groups);
	*rules = (struct pushed_rules){dispatch, service->index};
}

static void push_listener(struct supervisor *s, struct listener *listener)
{
	struct link_message message = record_of(LINK_LISTENER);

	if (listener->fd < 0)
		return;
	message.listener.listener = listener->index;
	message.listener.service = listener->service->index;
	message.listener.position = listener->want->position;
	/* An unchanged one is known there already, under the same index. */
	dispatcher_send(s, &message, &listener->fd, listener->pushed ? 0 : 1);
	listener->pushed = true;
}

static void push_slot(struct supervisor *s, struct slot *slot)
{
	struct link_message message = record_of(LINK_SERVER);
	int fds[3] = {slot->ours, slot->theirs, slot->lifeline};

	message.server = slot->record;
	if (slot->dead)
		message.server.flags |= LINK_SERVER_DEAD;
	else if (slot->server->phase >= PHASE_DRAINING && slot->server->phase <= PHASE_KILLING)
		message.server.flags |= LINK_SERVER_DRAINING; /* it ends: nothing new may go to it */
	slot->told = true;
	slot->settling = false;
	slot->waited = 0;
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
	struct pushed_rules rules = {0};

	if (s->dispatcher.phase != DISPATCHER_RUNNING && s->dispatcher.phase != DISPATCHER_LOADING)
		return;
	ev_timer_stop(s->loop, &s->push_again);
	bool first = s->dispatcher.pushes == 0;
	s->dispatcher.pushes++;
	push_begin(s, first);
	for (struct service *service = s->services; service != NULL; service = service->next) {
		if (!named(s, service, first))
			continue;
		push_service(s, service, &rules);
		if (service->want == NULL)
			continue;
		push_rules(s, service, &rules);
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
