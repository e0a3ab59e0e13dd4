/*
 * control_servers.c: up, down and roll: done to all services that are meant, and answered when the last one is done, or
 * at the first that fails.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_client.h"
#include "control_wait.h"
#include "roll.h"
#include "services.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The lines that follow a roll. */
static void add_leftovers(struct control_client *client)
{
	char line[CONTROL_WHY];
	size_t size;
	FILE *stream = client->text ? NULL : open_memstream(&client->text, &size);

	/* Only words: without memory the roll is done all the same. */
	if (!stream)
		return;
	for (const struct service *service = client->supervisor->services; service; service = service->next)
		if (request_means(client, service) &&
		    control_wait_leftover(client->supervisor, service, line))
			fprintf(stream, "%s\n", line);
	if (fclose(stream) == 0)
		client->text_at = client->text;
}

/* How far it got; an opposite command that came in between has ended it. */
static enum service_progress progress_of(const struct control_client *client, const struct service *service)
{
	const bool named = strcmp(client->request.service, service->name) == 0;
	const enum control_command command = client->request.command;

	if (!service_has_own(service) || (command == CONTROL_ROLL && service->down && !named))
		return PROGRESS_DONE;
	if (service->down != (command == CONTROL_DOWN))
		return PROGRESS_FAILED;
	return service_progress(service);
}

/* Goes through the services from the first undone one on, as far as they are done. */
static void advance(struct control_client *client)
{
	struct service *service = client->supervisor->services;
	char why[CONTROL_WHY];

	if (client->undone[0]) {
		struct service *undone = service_find(client->supervisor, client->undone);

		if (undone)
			service = undone;
	}
	for (; service; service = service->next) {
		if (!request_means(client, service))
			continue;
		switch (progress_of(client, service)) {
		case PROGRESS_DONE:
			continue;
		case PROGRESS_FAILED:
			control_wait_why(service, client->request.command, why);
			client_answer(client, 1, "%s", why);
			return;
		case PROGRESS_UNDER_WAY:
			status_copy_text(client->undone, sizeof(client->undone), service->name);
			return;
		}
	}
	/* No connection goes to an old one any more when the dispatcher has heard of its DRAIN. */
	if (client->request.command == CONTROL_ROLL)
		request_at_mark(client);
	else
		client_answer(client, 0, "%s", "");
}

static int change_service(struct supervisor *supervisor, struct service *service,
			  enum control_command command)
{
	switch (command) {
	case CONTROL_UP:
		return service_up(supervisor, service);
	case CONTROL_DOWN:
		return service_down(supervisor, service);
	default:
		return service_roll(supervisor, service);
	}
}

static const char *refusal(int error)
{
	if (error == -EOPNOTSUPP)
		return "its servers are started by others (start = external)";
	if (error == -ESHUTDOWN)
		return "it is down: `lust-inetd up` starts its servers";
	return strerror(-error);
}

/* All services that are meant: their longest limit in *limit_ms.  false after it was answered. */
static bool change_services(struct control_client *client, uint64_t *limit_ms)
{
	struct supervisor *supervisor = client->supervisor;
	const enum control_command command = client->request.command;
	unsigned count = 0;

	for (struct service *service = supervisor->services, *next; service; service = next) {
		uint64_t limit = control_wait_limit_ms(service, command);
		int error;

		next = service->next;
		if (!request_means(client, service))
			continue;
		count++;
		if (limit > *limit_ms)
			*limit_ms = limit;
		error = change_service(supervisor, service, command);
		/* A pattern passes over services that have nothing to change; a name does not. */
		if (error == 0 || strcmp(client->request.service, service->name) != 0)
			continue;
		client_answer(client, 1, "%s: %s: %s", request_command_name(command), service->name,
			      refusal(error));
		return false;
	}
	if (count || !(client->request.flags & CONTROL_ONE))
		return true;
	client_answer(client, 64, "unknown service \"%s\"", client->request.service);
	return false;
}

void servers_change(struct control_client *client)
{
	uint64_t limit_ms = 0;

	if (!request_is_settled(client) || !change_services(client, &limit_ms))
		return;
	client_wait(client, limit_ms);
	advance(client);
}

void servers_marked(struct control_client *client)
{
	add_leftovers(client);
	client_answer(client, 0, "%s", "");
}

void servers_wait_ended(struct control_client *client)
{
	const struct service *service = service_find(client->supervisor, client->undone);
	char why[CONTROL_WHY];

	if (service && service->want) {
		control_wait_why(service, client->request.command, why);
		client_answer(client, 1, "%s", why);
	} else {
		advance(client);
	}
}

void request_service_changed(struct control_client *client, struct service *service)
{
	char why[CONTROL_WHY];

	if (client->phase != CLIENT_WAITING || client->mark || client->reload ||
	    client->request.command == CONTROL_STOP || client->request.command == CONTROL_UPGRADE)
		return;
	if (!service->want && strcmp(service->name, client->undone) == 0)
		client_answer(client, 1, "%s: the table has lost it meanwhile", service->name);
	if (!request_means(client, service))
		return;
	if (progress_of(client, service) == PROGRESS_FAILED) {
		control_wait_why(service, client->request.command, why);
		client_answer(client, 1, "%s", why);
	} else if (strcmp(service->name, client->undone) == 0) {
		advance(client);
	}
}
