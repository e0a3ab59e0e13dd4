/*
 * build_identity.c: user, group and groups of a server, as numbers.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <unistd.h>

#include "reader.h"

static void identity_name(struct table_server *server, const struct user *user)
{
	server->uid = user->uid;
	server->user_name = user->name;
	server->user_home = user->home;
	server->user_shell = user->shell;
}

static void identity_own_groups(struct reader *reader, struct table_server *server)
{
	int count = getgroups(0, NULL);
	gid_t *group;

	if (count <= 0)
		return;
	group = arena_alloc(reader->arena, (size_t)count * sizeof(*group));
	count = getgroups(count, group);
	if (count > 0)
		server->groups = (struct table_id_list){.id = group, .count = (size_t)count};
}

/* Without root nobody can become anybody else: what is said must be what we are. */
static void identity_unprivileged(struct reader *reader, const struct effective *effective,
				  struct table_server *server)
{
	struct setting *const *of = effective->of;
	static const char needs_root[] = "needs root: this daemon runs as user %u";
	struct user *user;
	gid_t gid;

	if (build_user(reader, effective->title, of[W_USER], &user)) {
		server->user_set = true;
		if (user->uid != geteuid())
			setting_mistake(reader, effective->title, of[W_USER], needs_root,
					(unsigned)geteuid());
	}
	if (build_group(reader, effective->title, of[W_GROUP], &gid) && gid != getegid())
		setting_mistake(reader, effective->title, of[W_GROUP], needs_root, (unsigned)geteuid());
	if (of[W_GROUPS] && !of[W_GROUPS]->bad)
		setting_mistake(reader, effective->title, of[W_GROUPS], needs_root, (unsigned)geteuid());
	if (of[W_CHROOT] && !of[W_CHROOT]->bad)
		setting_mistake(reader, effective->title, of[W_CHROOT], needs_root, (unsigned)geteuid());
	identity_name(server, resolve_self(&reader->resolver));
	server->gid = getegid();
	identity_own_groups(reader, server);
}

static void identity_privileged(struct reader *reader, const struct effective *effective,
				struct table_server *server)
{
	struct setting *const *of = effective->of;
	struct user *user = NULL;

	if (build_user(reader, effective->title, of[W_USER], &user)) {
		server->user_set = true;
		identity_name(server, user);
		server->gid = user->gid;
	}
	build_group(reader, effective->title, of[W_GROUP], &server->gid);
	if (of[W_GROUPS])
		server->groups = build_groups(reader, effective->title, of[W_GROUPS]);
	else if (user && user->found)
		server->groups = *resolve_user_groups(&reader->resolver, user, server->gid);
}

void build_identity(struct reader *reader, const struct effective *effective, struct table_server *server)
{
	server->user_name = server->user_home = server->user_shell = "";
	server->user_origin = origin_of(effective->of[W_USER]);
	if (reader->options->privileged)
		identity_privileged(reader, effective, server);
	else
		identity_unprivileged(reader, effective, server);
}
