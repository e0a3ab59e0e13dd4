/*
 * control_rights.h: who may ask the daemon what.  Pure: what the kernel says of the peer and what the table
 * allows come in as plain data.
 */
#ifndef CONTROL_RIGHTS_H
#define CONTROL_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "control.h"
#include "table.h"

#define CONTROL_CLIENTS 64u         /* at once, of all users */
#define CONTROL_CLIENTS_OF_USER 16u /* at once, of one user other than root and the daemon's own */
#define CONTROL_CLIENTS_SPARE 16u   /* more, for root and the daemon's own user: nobody can lock them out */

struct control_peer {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary ones */
	size_t group_count;
};

struct control_rules {
	uid_t own_uid; /* the daemon's */
	const struct table_id_list *admin_users, *admin_groups, *status_users, *status_groups;
	bool status_restricted;
};

/* NULL, or what is wrong with a request (static text). */
const char *control_check_request(const struct control_request *request, size_t length);

/* May this peer ask for this?  Who may administrate may also look. */
bool control_permitted(const struct control_peer *peer, const struct control_rules *rules,
		       enum control_command command);

/* Root and the daemon's own user: they see `env` values and always find a place. */
bool control_is_owner(uid_t uid, uid_t own_uid);

/* Is there room for one more client? */
bool control_has_room(bool owner, unsigned clients, unsigned of_this_user);

#endif
