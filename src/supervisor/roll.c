/*
 * roll.c: replaces the servers of a service one after another, as roll_plan.c decides.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control_socket.h"
#include "lifecycle.h"
#include "logging.h"
#include "roll.h"
#include "server_pidfile.h"
#include "servers.h"
#include "services.h"
#include "slots.h"

#define LAST_WORDS_MS                                                                                        \
	500u /* the logger reads what a newcomer printed within that, unless it is in trouble itself */

/* The current server of a newcomer's place. */
static struct server *current_of(const struct server *newcomer)
{
	for (struct server *server = newcomer->service->servers; server != NULL; server = server->next)
		if (!server->external && server->instance == newcomer->instance && !server->newcomer &&
		    !server->retiring)
			return server;
	return NULL;
}

static void give_up(struct supervisor *s, struct service *service, const struct server *newcomer,
		    const char *exit, const char *line)
{
	const struct server *current = current_of(newcomer);

	service->more->roll_failed = service->generation;
	service->more->roll_instance = newcomer->instance;
	snprintf(service->more->roll_exit, sizeof(service->more->roll_exit), "%s", exit);
	snprintf(service->more->roll_line, sizeof(service->more->roll_line), "%s", line);
	log_line(s, LEVEL_ERROR, service->name,
		 "server %u: the new one, generation %u, did not come up: %s%s%s; pid %d serves on: the next "
		 "roll or reload tries again",
		 newcomer->instance, service->generation, exit, line[0] != '\0' ? "; it said: " : "", line,
		 current != NULL ? (int)current->pid : 0);
}

static bool start_newcomer(struct supervisor *s, struct service *service, const struct server *current)
{
	struct server *newcomer = server_new(s, service, current->instance);

	if (newcomer == NULL)
		return false;
	newcomer->newcomer = true;
	newcomer->built = service->generation;
	server_start_soon(s, newcomer);
	return true;
}

static void refresh(struct supervisor *s, struct service *service, struct server *current)
{
	current->built = service->generation;
	server_start_soon(s, current);
}

static void do_place(struct supervisor *s, struct service *service, struct roll_view *view,
		     const struct roll_place *place)
{
	switch (roll_decide(view, place)) {
	case ROLL_KEEP:
		break;
	case ROLL_REFRESH:
		refresh(s, service, place->current);
		break;
	case ROLL_RESTART:
		server_stop(s, place->current, true);
		break;
	case ROLL_CALL_OFF:
		server_stop(s, place->newcomer, true);
		break;
	case ROLL_START:
		if (!start_newcomer(s, service, place->current)) {
			give_up(s, service, place->current, strerror(ENOMEM), "");
			view->given_up = true;
			break;
		}
		view->coming++;
		view->room--;
		break;
	}
}

/* For the first place that waits for its newcomer. */
static void give_up_stuck(struct supervisor *s, struct service *service)
{
	for (const struct server *server = service->servers; server != NULL; server = server->next)
		if (!server->external && server->built != service->generation) {
			give_up(s, service, server,
				"no free slot, or too few open files, for one more server", "");
			break;
		}
}

void roll_on(struct supervisor *s, struct service *service)
{
	struct roll_view view;
	struct roll_place place;
	unsigned dead;

	if (service->more == NULL)
		return; /* nothing to roll */
	service->more->roll_waits = false;
	roll_view(service, &view);
	if (view.outdated == 0 && view.coming == 0)
		return;
	view.room = limits_room(s);
	(void)slots_used(s, &dead);
	view.leaving += dead;
	if (roll_is_stuck(&view)) {
		give_up_stuck(s, service);
		view.given_up = true;
	}
	service->more->roll_waits = view.room == 0;
	for (struct server *at = service->servers; roll_place(at, &place); at = place.next)
		do_place(s, service, &view, &place);
}

int service_roll(struct supervisor *s, struct service *service)
{
	if (!service_has_own(service))
		return -EOPNOTSUPP;
	if (service->down)
		return -ESHUTDOWN;
	service->generation++;
	service_reconcile(s, service);
	control_service_changed(s, service);
	return 0;
}

void roll_retry(struct service *service)
{
	if (service->more != NULL)
		service->more->roll_failed = 0;
}

void roll_take_over(struct supervisor *s, struct server *newcomer)
{
	struct server *current = current_of(newcomer);

	newcomer->newcomer = false;
	/* Everybody is being stopped: nobody takes another's place any more. */
	if (current == NULL || s->stopping)
		return;
	log_line(s, LEVEL_INFO, newcomer->service->name,
		 "server %u: pid %d, generation %u, has taken over; pid %d, generation %u, finishes what it "
		 "holds",
		 newcomer->instance, (int)newcomer->pid, newcomer->built, (int)current->pid, current->built);
	server_pidfile_hand_on(s, current, newcomer);
	current->replaced = true;
	server_stop(s, current, true);
}

void roll_refused(struct supervisor *s, struct server *newcomer)
{
	newcomer->retiring = true;
	/* Of an older generation: it is being called off anyway. */
	if (newcomer->built == newcomer->service->generation)
		give_up(s, newcomer->service, newcomer, newcomer->last_exit, newcomer->last_line);
	service_reconcile(s, newcomer->service);
}

/* Frees it. */
static void conclude(struct supervisor *s, struct server *newcomer)
{
	struct service *service = newcomer->service;

	if (!newcomer->retiring && !s->stopping && newcomer->built == service->generation)
		give_up(s, service, newcomer, newcomer->last_exit, newcomer->last_line);
	server_remove(s, newcomer);
	service_reconcile(s, service);
}

void roll_newcomer_ended(struct supervisor *s, struct server *newcomer)
{
	if (sources_pending(s, newcomer))
		server_phase(s, newcomer, PHASE_KILLING, LAST_WORDS_MS);
	else
		conclude(s, newcomer);
}

void roll_last_words(struct supervisor *s, struct server *server)
{
	struct service *service = server->service;

	if (!server->newcomer || server->phase != PHASE_KILLING || server->pid != 0 || server->group != 0)
		return;
	conclude(s, server);
	control_service_changed(s, service);
	service_sweep(s);
	stop_check(s);
}

bool roll_inherited(struct supervisor *s, struct server *current)
{
	struct roll_place place;
	struct server *at = current->service->servers;

	while (roll_place(at, &place) && place.current != current)
		at = place.next;
	/* One that has ended itself is only waited for because of what it said. */
	if (place.newcomer == NULL || place.newcomer->phase == PHASE_KILLING)
		return false;
	log_line(s, LEVEL_WARNING, current->service->name,
		 "server %u ended: %s; the new one that is coming up has its place", current->instance,
		 current->last_exit);
	server_pidfile_hand_on(s, current, place.newcomer);
	place.newcomer->newcomer = false;
	return true;
}

void roll_room_made(struct supervisor *s)
{
	if (s->stopping)
		return;
	for (struct service *service = s->services; service != NULL; service = service->next)
		if (service->more != NULL && service->more->roll_waits)
			roll_on(s, service);
}
