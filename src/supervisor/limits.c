/*
 * limits.c: how many open files the table needs, and getting them.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor.h"

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
	uint64_t listeners = 0, supervised = 0, external = 0, window = 0;

	for (size_t i = 0; i < table->service_count; i++) {
		const struct table_service *service = &table->service[i];
		uint64_t own = service->has_server ? service->server.instances : 0;
		uint64_t others = service->register_users.count + service->register_groups.count > 0
					  ? service->max_registered
					  : 0;
		listeners += service->listen_count;
		supervised += own;
		external += others;
		window += (own + others) * service->window;
	}
	supervised = at_most(supervised, BOARD_SLOTS);
	external = at_most(external, BOARD_SLOTS);
	window = at_most(window, BOARD_LEDGER);

	/* A reload binds the new listeners before it gives up the old ones; servers from outside are
	   bounded by max-registered, not expected to be that many. */
	out->supervisor = OWN_SUPERVISOR + listeners + supervised * KEPT_SUPERVISED;
	out->dispatcher = OWN_DISPATCHER + listeners + supervised * KEPT_EXTERNAL;
	out->wanted = OWN_DISPATCHER + 2 * listeners + supervised * KEPT_SUPERVISED +
		      external * KEPT_EXTERNAL + window;
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
