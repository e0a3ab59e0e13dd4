/*
 * control_rights.c: the decision behind every request on control.sock.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_rights.h"

#include <string.h>

const char *control_check_request(const struct control_request *request, size_t length)
{
	if (length != sizeof(*request))
		return "request of a wrong size";
	if (request->version != CONTROL_VERSION)
		return "request of another version";
	if (request->command < CONTROL_STATUS || request->command > CONTROL_UPGRADE)
		return "unknown request";
	if (request->flags & ~(uint32_t)(CONTROL_NOW | CONTROL_ONE | CONTROL_ASK))
		return "unknown flag in the request";
	if (!memchr(request->service, 0, sizeof(request->service)))
		return "service name without end";
	if ((request->flags & CONTROL_ONE) && request->service[0] == '\0')
		return "empty service name";
	if (request->command == CONTROL_SHOW && !(request->flags & CONTROL_ONE))
		return "show wants a service";
	return NULL;
}

static bool list_has(const struct table_id_list *list, uint32_t id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->id[i] == id)
			return true;
	return false;
}

static bool listed(const struct control_peer *peer, const struct table_id_list *users,
		   const struct table_id_list *groups)
{
	if (list_has(users, peer->uid) || list_has(groups, peer->gid))
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (list_has(groups, peer->groups[i]))
			return true;
	return false;
}

bool control_is_owner(uid_t uid, uid_t own_uid)
{
	return uid == 0 || uid == own_uid;
}

static bool only_looks(enum control_command command)
{
	return command == CONTROL_STATUS || command == CONTROL_LIST || command == CONTROL_VERSION_ASKED;
}

bool control_permitted(const struct control_peer *peer, const struct control_rules *rules,
		       enum control_command command)
{
	if (control_is_owner(peer->uid, rules->own_uid) ||
	    listed(peer, rules->admin_users, rules->admin_groups))
		return true;
	if (!only_looks(command))
		return false;
	return !rules->status_restricted || listed(peer, rules->status_users, rules->status_groups);
}

bool control_has_room(bool owner, unsigned clients, unsigned of_this_user)
{
	if (owner)
		return clients < CONTROL_CLIENTS + CONTROL_CLIENTS_SPARE;
	return clients < CONTROL_CLIENTS && of_this_user < CONTROL_CLIENTS_OF_USER;
}
