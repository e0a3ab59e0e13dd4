/*
 * roll_plan.c: what a roll does next, and what is said of it.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>

#include "roll.h"
#include "servers.h"

static bool is_at_rest(enum server_phase phase)
{
	return phase == PHASE_BACKOFF || phase == PHASE_STOPPED || phase == PHASE_FAILED;
}

bool roll_place(struct server *first, struct roll_place *place)
{
	struct server *server = first;

	*place = (struct roll_place){0};
	if (first == NULL || first->external)
		return false;
	/* The list is in the order of instances. */
	for (; server != NULL && !server->external && server->instance == first->instance;
	     server = server->next) {
		if (server->newcomer && server->retiring)
			place->clearing = true;
		else if (server->newcomer)
			place->newcomer = server;
		else if (!server->retiring)
			place->current = server;
	}
	place->next = server;
	return true;
}

void roll_view(const struct service *service, struct roll_view *view)
{
	*view = (struct roll_view){.generation = service->generation,
				   .given_up = service->more != NULL && service->more->roll_failed != 0 &&
					       service->more->roll_failed == service->generation};

	for (const struct server *server = service->servers; server != NULL; server = server->next) {
		if (server->external)
			continue;
		if (server->retiring) {
			view->leaving++;
		} else if (server->newcomer) {
			view->coming++;
		} else {
			view->places++;
			view->outdated += server->built != service->generation;
			view->renewed += server->built == service->generation && server->phase == PHASE_READY;
		}
	}
}

/* The first newcomer shows that the settings work; then a quarter of the places at a time. */
static unsigned width(const struct roll_view *view)
{
	unsigned quarter = view->places / 4;

	if (view->renewed == 0 || quarter < 1)
		return 1;
	return quarter < ROLL_WIDTH ? quarter : ROLL_WIDTH;
}

static enum roll_deed decide_newcomer(const struct roll_view *view, const struct server *newcomer)
{
	if (view->given_up)
		return ROLL_CALL_OFF;
	/* One that has not been started yet will be with the newest settings. */
	if (newcomer->built != view->generation && newcomer->phase != PHASE_BACKOFF)
		return ROLL_CALL_OFF;
	return ROLL_KEEP;
}

enum roll_deed roll_decide(const struct roll_view *view, const struct roll_place *place)
{
	const struct server *current = place->current;

	if (place->newcomer != NULL)
		return decide_newcomer(view, place->newcomer);
	if (current == NULL || current->built == view->generation)
		return ROLL_KEEP;
	if (is_at_rest(current->phase))
		return ROLL_REFRESH;
	if (current->phase == PHASE_STARTING)
		return ROLL_RESTART;
	/* What is being ended for a fault of its own comes back with the new settings anyway. */
	if (current->phase == PHASE_STOPPING || current->phase == PHASE_KILLING)
		return ROLL_KEEP;
	if (view->given_up || place->clearing || view->coming >= width(view) || view->room == 0)
		return ROLL_KEEP;
	return ROLL_START;
}

bool roll_is_stuck(const struct roll_view *view)
{
	return !view->given_up && view->outdated > 0 && view->room == 0 && view->coming == 0 &&
	       view->leaving == 0;
}

bool roll_is_held(const struct service *service)
{
	struct roll_view view;

	roll_view(service, &view);
	return view.given_up && view.outdated > 0;
}

void roll_reason(const struct service *service, char reason[160])
{
	snprintf(reason, 160,
		 "server %u: the new one did not come up: %.57s; the old one serves on until the next roll "
		 "or reload",
		 service->more->roll_instance, service->more->roll_exit);
}

void roll_why(const struct service *service, char why[ROLL_WORDS])
{
	struct roll_view view;

	roll_view(service, &view);
	snprintf(why, ROLL_WORDS,
		 "%s: server %u: the new one did not come up: %s%s%s; %u of %u go on as they were",
		 service->name, service->more->roll_instance, service->more->roll_exit,
		 service->more->roll_line[0] != '\0' ? "; it said: " : "", service->more->roll_line, view.outdated,
		 view.places);
}
