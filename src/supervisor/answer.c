/*
 * answer.c: what the dispatcher tells and asks, after permit.c and link_check_from_dispatcher() let it through.  Slots
 * are believed only with their generation: what names an older one crossed our own message on its way.
 *
 * SPDX-License-Identifier: ISC
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"
#include "helpers.h"
#include "lifecycle.h"
#include "logging.h"
#include "roll.h"
#include "servers.h"
#include "services.h"
#include "slots.h"
#include "upgrade.h"

static void answer_ready(struct supervisor *s)
{
	s->dispatcher.phase = DISPATCHER_LOADING;
	if (s->dispatcher.exec_error >= 0)
		close(s->dispatcher.exec_error);
	s->dispatcher.exec_error = -1;
	handover_push(s);
	push_table(s);
}

/* Services that are on the board now count on from here. */
static void forget_fresh(struct supervisor *s)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		service->fresh = false;
}

static void answer_committed(struct supervisor *s, const struct link_message *message)
{
	if (message->commit.table != s->dispatcher.commits + 1) {
		dispatcher_kill(s, "COMMITTED for another table");
		return;
	}
	s->dispatcher.commits++;
	/* A table that crossed HAND_OVER on its way: it goes on handing over, and is due with that. */
	if (s->dispatcher.phase == DISPATCHER_LEAVING)
		return;
	s->dispatcher.phase = DISPATCHER_RUNNING;
	dispatcher_deadline(s);
	if (s->dispatcher.commits < s->dispatcher.pushes)
		return;
	forget_fresh(s);
	malloc_trim(0); /* a table on its way lies in the queues of the links, and a new one in memory beside the old */
	handover_forget(s);
	upgrade_succeeded(s);
	if (!s->running) {
		supervisor_started(s);
		return;
	}
	stop_dispatcher_ready(s);
	log_line(s, s->dispatcher.pushes > 1 ? LEVEL_INFO : LEVEL_NOTICE, NULL,
		 "dispatcher (pid %d) has the table", (int)s->dispatcher.pid);
}

/* The server alone: what becomes of its slot, the caller has seen to. */
static void remove_external(struct supervisor *s, struct server *server)
{
	struct service *service = server->service;

	server_remove(s, server);
	control_service_changed(s, service);
	service_sweep(s);
	stop_check(s);
}

static void answer_gone(struct supervisor *s, struct server *server)
{
	if (!server->external) {
		dispatcher_kill(s, "GONE for a supervised server");
		return;
	}
	slot_free(s, server->slot);
	remove_external(s, server);
}

/* The number and the pair stay taken until SLOT_FREE; the place that max-registered counts does not. */
static void answer_settling(struct supervisor *s, const struct link_slot *asked)
{
	struct slot *slot = slot_find(s, asked->slot, asked->generation);

	if (slot == NULL)
		return;
	struct server *server = slot->server;
	if (server != NULL && !server->external) {
		dispatcher_kill(s, "SETTLING for a living server");
		return;
	}
	slot->dead = slot->settling = true;
	slot->server = NULL;
	if (server == NULL)
		return;
	server->slot = BOARD_NONE;
	remove_external(s, server);
}

static void answer_slot_free(struct supervisor *s, const struct link_slot *asked)
{
	struct slot *slot = slot_find(s, asked->slot, asked->generation);

	if (slot == NULL)
		return;
	if (!slot->dead) {
		dispatcher_kill(s, "SLOT_FREE for a living server");
		return;
	}
	slot_free(s, asked->slot);
	service_sweep(s);
	roll_room_made(s);
	stop_check(s);
}

static void answer_about_server(struct supervisor *s, const struct link_message *message)
{
	struct server *server = slot_server(s, message->slot.slot, message->slot.generation);

	if (server == NULL)
		return;
	switch (message->type) {
	case LINK_REGISTERED:
		snprintf(server->label, sizeof(server->label), "%.*s", (int)sizeof(server->label) - 1,
			 message->slot.reason);
		server_registered(s, server);
		break;
	case LINK_IDLE:
		server_idle(s, server);
		break;
	case LINK_DEREGISTERED:
		if (server->external)
			dispatcher_kill(s, "DEREGISTERED for a server from outside");
		else
			server_left(s, server, message->slot.reason);
		break;
	case LINK_GONE:
		answer_gone(s, server);
		break;
	}
}

void answer_message(struct supervisor *s, const struct link_message *message, int *fds, unsigned count)
{
	switch ((enum link_type)message->type) {
	case LINK_KEEP:
		/* link_check_from_dispatcher() counted: both ends and the lifeline. */
		answer_keep(s, message, fds);
		return;
	case LINK_READY:
		answer_ready(s);
		break;
	case LINK_COMMITTED:
		answer_committed(s, message);
		break;
	case LINK_SLOT_FREE:
		answer_slot_free(s, &message->slot);
		break;
	case LINK_SETTLING:
		answer_settling(s, &message->slot);
		break;
	case LINK_QUIET:
		stop_quiet(s);
		handover_quiet(s);
		break;
	case LINK_HELD:
		/* link_check_from_dispatcher() counted: one. */
		handover_take(s, &message->held, fds[0]);
		return;
	case LINK_PONG:
		dispatcher_pong(s, message->ping.number);
		break;
	default:
		answer_about_server(s, message);
		break;
	}
	for (unsigned i = 0; i < count; i++)
		lust_close_unlingered(fds[i]);
}
