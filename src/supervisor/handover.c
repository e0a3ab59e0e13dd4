/*
 * handover.c: from the dispatcher of the old program to one of the new: it stops accepting, finishes what is on the
 * way, hands up what is left, exits; the next one gets that before its table.  At no time do two read one pair.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helpers.h"
#include "logging.h"
#include "upgrade.h"

/* Clients wait in the backlog meanwhile, and what is not TAKEN by then is handed up with its descriptor: waiting for
   it any longer would win nothing. */
#define QUIET_S 1.

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (s->upgrade->step != UPGRADE_ENDING || s->stopping)
		return;
	log_line(s, LEVEL_DEBUG, NULL, "dispatcher (pid %d) is asked to hand over", (int)s->dispatcher.pid);
	dispatcher_hand_over(s);
}

static double patience(const struct supervisor *s)
{
	uint32_t longest_ms = 0;

	for (const struct service *service = s->services; service != NULL; service = service->next)
		if (service->want != NULL && service->want->dispatch->take_timeout_ms > longest_ms)
			longest_ms = service->want->dispatch->take_timeout_ms;
	return longest_ms / 1000. < QUIET_S ? longest_ms / 1000. : QUIET_S;
}

void handover_begin(struct supervisor *s)
{
	/* A server from outside that is being let in must not find the door shut in its face. */
	struct link_message message = {.version = LINK_VERSION, .type = LINK_QUIESCE, .quiesce = {.door = 1}};

	dispatcher_send(s, &message, NULL, 0);
	ev_timer_init(&s->upgrade->handover, on_late, patience(s), 0.);
	ev_timer_start(s->loop, &s->upgrade->handover);
}

void handover_quiet(struct supervisor *s)
{
	if (!ev_is_active(&s->upgrade->handover))
		return;
	ev_timer_stop(s->loop, &s->upgrade->handover);
	on_late(s->loop, &s->upgrade->handover, 0);
}

static struct held *room(struct upgrade *upgrade)
{
	if (upgrade->held_count < upgrade->held_room)
		return &upgrade->held[upgrade->held_count];
	size_t wanted = upgrade->held_room == 0 ? 64 : upgrade->held_room * 2;
	struct held *grown =
		wanted > 2 * BOARD_LEDGER ? NULL : reallocarray(upgrade->held, wanted, sizeof(*grown));
	if (grown == NULL)
		return NULL;
	upgrade->held = grown;
	upgrade->held_room = wanted;
	return &grown[upgrade->held_count];
}

void handover_take(struct supervisor *s, const struct link_held *record, int fd)
{
	struct held *held = room(s->upgrade);

	if (held == NULL) {
		close(fd);
		dispatcher_kill(s, "hands up more connections than there is room for");
		return;
	}
	*held = (struct held){.record = *record, .fd = fd};
	s->upgrade->held_count++;
}

void handover_push(struct supervisor *s)
{
	const struct upgrade *upgrade = s->upgrade;

	for (size_t i = 0; i < upgrade->held_count; i++) {
		struct link_message message = {
			.version = LINK_VERSION, .type = LINK_HELD, .held = upgrade->held[i].record};
		dispatcher_send(s, &message, &upgrade->held[i].fd, 1);
	}
}

void handover_forget(struct supervisor *s)
{
	struct upgrade *upgrade = s->upgrade;

	for (size_t i = 0; i < upgrade->held_count; i++)
		dispatcher_close_fd(s, upgrade->held[i].fd);
	free(upgrade->held);
	upgrade->held = NULL;
	upgrade->held_count = upgrade->held_room = 0;
}
