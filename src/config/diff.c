/*
 * diff.c: what is different between two tables. Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_list(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b))
			return false;
	return *a == *b;
}

static bool same_ids(const struct table_id_list *a, const struct table_id_list *b)
{
	return a->count == b->count && (!a->count || !memcmp(a->id, b->id, a->count * sizeof(*a->id)));
}

static bool same_log(const struct table_log *a, const struct table_log *b)
{
	return a->kind == b->kind && same_text(a->path, b->path);
}

static bool same_limits(const struct table_server *a, const struct table_server *b)
{
	for (size_t i = 0; i < TABLE_LIMITS; i++)
		if (a->limit[i].set != b->limit[i].set || a->limit[i].resource != b->limit[i].resource ||
		    a->limit[i].value != b->limit[i].value)
			return false;
	return true;
}

static bool same_identity(const struct table_server *a, const struct table_server *b)
{
	return a->uid == b->uid && a->gid == b->gid && same_text(a->user_name, b->user_name) &&
	       same_text(a->user_home, b->user_home) && same_text(a->user_shell, b->user_shell) &&
	       same_ids(&a->groups, &b->groups);
}

static bool same_supervision(const struct table_server *a, const struct table_server *b)
{
	return a->ready_timeout_ms == b->ready_timeout_ms && a->stop_signal == b->stop_signal &&
	       a->stop_timeout_ms == b->stop_timeout_ms && a->restart == b->restart &&
	       a->restart_delay_ms == b->restart_delay_ms &&
	       a->restart_delay_max_ms == b->restart_delay_max_ms &&
	       a->restart_reset_after_ms == b->restart_reset_after_ms && a->restart_limit == b->restart_limit;
}

/* All but `instances`. */
static bool same_server(const struct table_server *a, const struct table_server *b)
{
	return same_list(a->command, b->command) && same_text(a->directory, b->directory) &&
	       same_text(a->chroot, b->chroot) && same_identity(a, b) && same_list(a->env, b->env) &&
	       same_list(a->pass_env, b->pass_env) && a->umask == b->umask && a->nice == b->nice &&
	       same_supervision(a, b) && same_limits(a, b) && same_text(a->pidfile, b->pidfile) &&
	       same_log(&a->log, &b->log);
}

bool table_same_dispatch(const struct table_dispatch *a, const struct table_dispatch *b)
{
	return a->mode == b->mode && a->balance == b->balance && a->acknowledge == b->acknowledge &&
	       a->overload == b->overload && a->take_timeout_ms == b->take_timeout_ms &&
	       a->drain_timeout_ms == b->drain_timeout_ms && a->window == b->window &&
	       a->max_registered == b->max_registered && a->allow_root == b->allow_root &&
	       a->allow_foreign == b->allow_foreign && same_ids(&a->register_users, &b->register_users) &&
	       same_ids(&a->register_groups, &b->register_groups);
}

static bool same_listen(const struct table_service *a, const struct table_service *b)
{
	if (a->listen_count != b->listen_count || a->optional != b->optional)
		return false;
	for (size_t i = 0; i < a->listen_count; i++)
		if (!address_equal(&a->listen[i].address, &b->listen[i].address) ||
		    strcmp(a->listen[i].said, b->listen[i].said) != 0 ||
		    a->listen[i].v6_may_lack != b->listen[i].v6_may_lack)
			return false;
	return true;
}

static unsigned diff_service(const struct table_service *a, const struct table_service *b)
{
	unsigned change = CHANGE_NONE;

	if (!table_same_dispatch(a->dispatch, b->dispatch))
		change |= CHANGE_DISPATCH;
	if (!same_listen(a, b))
		change |= CHANGE_LISTEN;
	if (a->has_server != b->has_server || a->start != b->start)
		return change | CHANGE_SERVER | CHANGE_DISPATCH;
	if (!a->has_server)
		return change;
	if (!same_server(a->server, b->server))
		change |= CHANGE_SERVER;
	if (a->server->instances != b->server->instances)
		change |= CHANGE_COUNT;
	return change;
}

static int diff_by_name(const void *one, const void *other)
{
	const struct table_service *const *a = one, *const *b = other;

	return strcmp((*a)->name, (*b)->name);
}

/* Pointers to a table's services in the order of their names; NULL: no memory. */
static const struct table_service **diff_sorted(const struct table *table)
{
	const struct table_service **sorted = calloc(table->service_count + 1, sizeof(*sorted));

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < table->service_count; i++)
		sorted[i] = &table->service[i];
	qsort(sorted, table->service_count, sizeof(*sorted), diff_by_name);
	return sorted;
}

/* In the order of the new table, then what is gone in the order of the old one. */
static void diff_pairs(const struct table *before, const struct table *after,
		       const struct table_service **old, const struct table_service **new,
		       struct table_diff *diff)
{
	for (size_t i = 0; i < after->service_count; i++) {
		const struct table_service *service = &after->service[i], **found;

		found = bsearch(&service, old, before->service_count, sizeof(*old), diff_by_name);
		diff->pair[diff->count++] = (struct table_pair){
			found ? *found : NULL, service, found ? diff_service(*found, service) : CHANGE_NONE};
	}
	for (size_t i = 0; i < before->service_count; i++) {
		const struct table_service *service = &before->service[i];

		if (!bsearch(&service, new, after->service_count, sizeof(*new), diff_by_name))
			diff->pair[diff->count++] = (struct table_pair){service, NULL, CHANGE_NONE};
	}
}

bool table_needs_restart(const struct table *a, const struct table *b)
{
	return !same_text(a->runtime_dir, b->runtime_dir) || !same_text(a->pidfile, b->pidfile) ||
	       a->dispatcher_uid != b->dispatcher_uid || a->dispatcher_gid != b->dispatcher_gid ||
	       !same_text(a->dispatcher_chroot, b->dispatcher_chroot);
}

int table_diff(const struct table *before, const struct table *after, struct table_diff *diff)
{
	const struct table_service **old = diff_sorted(before), **new = diff_sorted(after);

	*diff = (struct table_diff){.needs_restart = table_needs_restart(before, after)};
	diff->pair = calloc(before->service_count + after->service_count + 1, sizeof(*diff->pair));
	if (old && new && diff->pair)
		diff_pairs(before, after, old, new, diff);
	else
		table_diff_free(diff);
	free(old);
	free(new);
	return diff->pair ? 0 : -ENOMEM;
}

void table_diff_free(struct table_diff *diff)
{
	free(diff->pair);
	diff->pair = NULL;
	diff->count = 0;
}
