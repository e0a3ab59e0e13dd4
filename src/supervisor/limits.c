/*
 * limits.c: how many open files the table needs, and getting them.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lifecycle.h"
#include "slots.h"

#define OWN_SUPERVISOR 64  /* pipes, locks, control clients */
#define OWN_DISPATCHER 128 /* the door's visitors, spare ones */
#define KEPT_SUPERVISED 5  /* both ends, output, exec-error, pidfile */
#define KEPT_EXTERNAL 3    /* both ends, lifeline */
#define NOFILE_MOST (1u << 20)

static uint64_t at_most(uint64_t number, uint64_t bound)
{
	return number < bound ? number : bound;
}

void limits_needed(const struct table *table, struct limits_needed *out)
{
	uint64_t listeners = 0, supervised = 0, external = 0;

	for (size_t i = 0; i < table->service_count; i++) {
		const struct table_service *service = &table->service[i];
		const struct table_dispatch *dispatch = service->dispatch;
		uint64_t own = service->has_server ? service->server->instances : 0;
		uint64_t others = dispatch->register_users.count + dispatch->register_groups.count > 0
					  ? dispatch->max_registered
					  : 0;
		listeners += service->listen_count;
		supervised += own;
		external += others;
	}
	/* While they roll, each has a newer one beside it. */
	supervised = at_most(2 * supervised, BOARD_SLOTS);
	external = at_most(external, BOARD_SLOTS);

	/* A reload binds the new listeners before it gives up the old ones; servers from outside are
	   bounded by max-registered, not expected to be that many.  Clients: as many as the dispatcher can
	   have a copy of; a reload may say acknowledge = done, and it cannot get more any more. */
	out->supervisor = OWN_SUPERVISOR + listeners + supervised * KEPT_SUPERVISED;
	out->dispatcher = OWN_DISPATCHER + listeners + supervised * KEPT_EXTERNAL;
	out->wanted = OWN_DISPATCHER + 2 * listeners + supervised * KEPT_SUPERVISED +
		      external * KEPT_EXTERNAL + BOARD_LEDGER;
}

static unsigned waiting_to_start(const struct supervisor *s)
{
	unsigned count = 0;

	for (const struct service *service = s->services; service != NULL; service = service->next)
		for (const struct server *server = service->servers; server != NULL; server = server->next)
			count += server->phase == PHASE_BACKOFF;
	return count;
}

unsigned limits_room(const struct supervisor *s)
{
	uint64_t own = OWN_SUPERVISOR, most = BOARD_SLOTS;
	unsigned dead;
	uint64_t used = slots_used(s, &dead) + (uint64_t)waiting_to_start(s);
	struct rlimit limit;

	for (size_t i = 0; i < s->table->service_count; i++)
		own += s->table->service[i].listen_count;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		most = at_most(most, limit.rlim_cur > own ? (limit.rlim_cur - own) / KEPT_SUPERVISED : 0);
	return most > used ? (unsigned)(most - used) : 0;
}

int limits_raise(const struct limits_needed *needed, char *problem, size_t size)
{
	uint64_t least = needed->supervisor > needed->dispatcher ? needed->supervisor : needed->dispatcher;
	uint64_t wanted = needed->wanted < NOFILE_MOST ? needed->wanted : NOFILE_MOST;
	struct rlimit limit;

	if (wanted < least)
		wanted = least;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		snprintf(problem, size, "getrlimit: %s", strerror(errno));
		return -1;
	}
	if (limit.rlim_cur >= wanted)
		return 0;
	/* Who may, raises the hard limit too; the kernel's fs.nr_open bounds it. */
	struct rlimit raised = {.rlim_cur = wanted,
				.rlim_max = limit.rlim_max < wanted ? wanted : limit.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		return 0;
	if (limit.rlim_max >= least) {
		raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
		if (raised.rlim_cur <= limit.rlim_cur || setrlimit(RLIMIT_NOFILE, &raised) == 0)
			return 0;
	}
	snprintf(problem, size,
		 "the table needs %llu open files, but RLIMIT_NOFILE allows %llu (raise the hard limit: "
		 "ulimit -Hn, or LimitNOFILE= in the unit)",
		 (unsigned long long)least, (unsigned long long)limit.rlim_max);
	return -1;
}
