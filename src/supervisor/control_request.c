/*
 * control_request.c: judges each request, does it, and makes the records of its answer.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_client.h"
#include "control_rights.h"
#include "helpers.h"
#include "lifecycle.h"
#include "services.h"
#include "upgrade.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_LIMIT_MS 30000u /* longer than a dispatcher is given before it is replaced */

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static const char *const command_name[] = {
	[CONTROL_STATUS] = "status", [CONTROL_LIST] = "list",     [CONTROL_VERSION_ASKED] = "version",
	[CONTROL_STOP] = "stop",     [CONTROL_RELOAD] = "reload", [CONTROL_UP] = "up",
	[CONTROL_DOWN] = "down",     [CONTROL_ROLL] = "roll",     [CONTROL_SHOW] = "show --running",
	[CONTROL_PAUSE] = "pause",   [CONTROL_RESUME] = "resume",
	[CONTROL_UPGRADE] = "upgrade",
};

const char *request_command_name(enum control_command command)
{
	return command_name[command];
}

/* The supplementary groups that the peer had when it connected: how many, or -errno. *groups is the caller's. */
static ssize_t peer_groups(int fd, gid_t **groups)
{
	socklen_t size = 64 * sizeof(gid_t);

	for (;;) {
		gid_t *bigger = realloc(*groups, size);

		if (!bigger)
			return -ENOMEM;
		*groups = bigger;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, *groups, &size) == 0)
			return (ssize_t)(size / sizeof(gid_t));
		/* ERANGE has set the size that is needed. */
		if (errno != ERANGE)
			return -errno;
	}
}

static bool permitted(const struct control_client *client)
{
	const struct table *table = client->supervisor->table;
	const struct control_rules rules = {geteuid(),
					    &table->admin_users,
					    &table->admin_groups,
					    &table->status_users,
					    &table->status_groups,
					    table->status_restricted};
	struct ucred credentials;
	struct control_peer peer;
	socklen_t size = sizeof(credentials);
	gid_t *groups = NULL;
	ssize_t count;
	bool yes;

	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	count = peer_groups(client->fd, &groups);
	peer = (struct control_peer){credentials.uid, credentials.gid, groups, count > 0 ? (size_t)count : 0};
	yes = control_permitted(&peer, &rules, client->request.command);
	free(groups);
	return yes;
}

/* The service that the request names, or NULL after it was answered. */
static struct service *named_service(struct control_client *client)
{
	struct service *service = service_find(client->supervisor, client->request.service);

	if (service && service->want)
		return service;
	client_answer(client, 64, "unknown service \"%s\"", client->request.service);
	return NULL;
}

static void do_status(struct control_client *client)
{
	const bool one = client->request.flags & CONTROL_ONE;

	if (one && !named_service(client))
		return;
	status_begin(&client->status, one ? client->request.service : NULL);
	client_answer(client, 0, "%s", "");
}

static void do_version(struct control_client *client)
{
	status_daemon(client->supervisor, &client->out);
	client->out_waits = true;
	client_answer(client, 0, "%s", "");
}

static void do_show(struct control_client *client)
{
	const bool reveal = control_is_owner(client->uid, geteuid());
	const struct service *service = named_service(client);
	size_t size;
	FILE *stream;

	if (!service)
		return;
	stream = open_memstream(&client->text, &size);
	if (!stream) {
		client_answer(client, 1, "show: %s", strerror(errno));
		return;
	}
	int result = table_show(stream, client->supervisor->table, service->want, reveal);
	if (fclose(stream) != 0 || result < 0) {
		client_answer(client, 1, "show: %s", strerror(ENOMEM));
		return;
	}
	client->text_at = client->text;
	client_answer(client, 0, "%s", "");
}

/* Nothing is changed before the first table is in force, and nothing after the end has begun. */
bool request_is_settled(struct control_client *client)
{
	if (client->supervisor->running && !client->supervisor->stopping)
		return true;
	client_answer(client, 1, "the daemon is %s",
		      client->supervisor->stopping ? "stopping" : "still starting; try again");
	return false;
}

void request_at_mark(struct control_client *client)
{
	client->mark = dispatcher_mark(client->supervisor);
	client_wait(client, MARK_LIMIT_MS);
	request_marked(client);
}

static void do_reload(struct control_client *client)
{
	if (!request_is_settled(client))
		return;
	/* Answered by request_reloaded(): reading ends by itself, with or without the table. */
	client->reload = reload_ask(client->supervisor);
	client_wait(client, 0);
	reload_begin(client->supervisor);
}

void request_reloaded(struct control_client *client, uint64_t number, int code,
		      const struct diagnostics *diagnostics)
{
	if (client->phase != CLIENT_WAITING || !client->reload || client->reload > number)
		return;
	client->reload = 0;
	for (size_t i = 0; i < diagnostics->count; i++)
		/* Without memory the line is missing; what it is about happens all the same. */
		(void)diagnostics_add(&client->lines, diagnostics->item[i].severity,
				      diagnostics->item[i].text);
	if (code == 0)
		request_at_mark(client);
	else
		client_answer(client, code, "reload: the old table stays in force");
}

static void do_stop(struct control_client *client)
{
	if (client->request.flags & CONTROL_ASK) {
		client_answer(client, 0, "%s", "");
		return;
	}
	/* Answered by control_close(), when everything else is gone. */
	client_wait(client, 0);
	stop_begin(client->supervisor, client->request.flags & CONTROL_NOW);
}

static void do_upgrade(struct control_client *client)
{
	if (!request_is_settled(client))
		return;
	/* Answered by upgrade.c, in this program or in the next one. */
	client_wait(client, 0);
	upgrade_begin(client->supervisor);
}

bool request_means(const struct control_client *client, const struct service *service)
{
	if (!service->want)
		return false;
	return !(client->request.flags & CONTROL_ONE) ||
	       fnmatch(client->request.service, service->name, 0) == 0;
}

static void do_pause(struct control_client *client)
{
	struct supervisor *supervisor = client->supervisor;
	unsigned count = 0;
	int result = 0;

	if (!request_is_settled(client))
		return;
	for (struct service *service = supervisor->services; service; service = service->next) {
		if (!request_means(client, service))
			continue;
		count++;
		if (client->request.command == CONTROL_RESUME)
			service_resume(supervisor, service, client->uid);
		else if (result == 0)
			result = service_pause(supervisor, service, client->uid);
	}
	if (result < 0)
		client_answer(client, 1, "pause: %s", strerror(-result));
	else if (count || !(client->request.flags & CONTROL_ONE))
		request_at_mark(client);
	else
		client_answer(client, 64, "unknown service \"%s\"", client->request.service);
}

void request_handle(struct control_client *client)
{
	if (!permitted(client)) {
		client_answer(client, 4, "not permitted: %s is for root, the daemon's own user and %s",
			      command_name[client->request.command],
			      client->request.command <= CONTROL_VERSION_ASKED
				      ? "those in admin-users, admin-groups, status-users or status-groups"
				      : "those in admin-users or admin-groups");
		return;
	}
	switch ((enum control_command)client->request.command) {
	case CONTROL_STATUS:
		do_status(client);
		return;
	case CONTROL_LIST:
		status_begin_list(&client->status);
		client_answer(client, 0, "%s", "");
		return;
	case CONTROL_VERSION_ASKED:
		do_version(client);
		return;
	case CONTROL_STOP:
		do_stop(client);
		return;
	case CONTROL_RELOAD:
		do_reload(client);
		return;
	case CONTROL_SHOW:
		do_show(client);
		return;
	case CONTROL_UPGRADE:
		do_upgrade(client);
		return;
	case CONTROL_UP:
	case CONTROL_DOWN:
	case CONTROL_ROLL:
		servers_change(client);
		return;
	case CONTROL_PAUSE:
	case CONTROL_RESUME:
		do_pause(client);
		return;
	}
}

/* The new table is in force; which of its addresses are not bound is known now. */
static void answer_reload(struct control_client *client)
{
	if (reload_unbound(client->supervisor, &client->lines) > 0)
		client_answer(client, 1,
			      "reload: the new table is in force, but not every address could be bound yet");
	else
		client_answer(client, 0, "%s", "");
}

void request_marked(struct control_client *client)
{
	if (client->phase != CLIENT_WAITING || !client->mark ||
	    !dispatcher_reached(client->supervisor, client->mark))
		return;
	if (client->request.command == CONTROL_RELOAD)
		answer_reload(client);
	else if (client->request.command == CONTROL_ROLL)
		servers_marked(client);
	else
		client_answer(client, 0, "%s", "");
}

void request_wait_ended(struct control_client *client)
{
	if (client->mark)
		client_answer(client, 1, "%s: the dispatcher has not done it yet",
			      command_name[client->request.command]);
	else
		servers_wait_ended(client);
}

/* The next line of `text`; it is cut up in place. */
static int next_text(struct control_client *client, struct control_record *record)
{
	char *line = client->text_at, *end;

	if (!line || !*line)
		return 0;
	end = strchrnul(line, '\n');
	client->text_at = *end ? end + 1 : end;
	*end = '\0';
	status_line(record, CONTROL_OUTPUT, line);
	return 1;
}

int request_next_record(struct control_client *client, struct control_record *record)
{
	int got = status_next(client->supervisor, &client->status, record);

	if (got)
		return got;
	if (client->line < client->lines.count) {
		status_line(record, CONTROL_LINE, client->lines.item[client->line++].text);
		return 1;
	}
	if (next_text(client, record))
		return 1;
	if (client->answered)
		return 0;
	client->answered = true;
	memset(record, 0, sizeof(*record));
	record->version = CONTROL_VERSION;
	record->type = CONTROL_RESULT;
	record->result = client->result;
	return 1;
}
