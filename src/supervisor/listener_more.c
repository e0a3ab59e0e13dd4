/*
 * listener_more.c: a listener's memory: little for all of them, more for those that need it.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdlib.h>

#include "helpers.h"
#include "listeners.h"
#include "slots.h"

struct listener *listener_new(struct supervisor *s, const struct table_listen *want, struct service *service)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		return NULL;
	uint32_t index = index_take(s->listener_used, BOARD_LISTENERS, &s->listener_turn);
	if (index == BOARD_NONE) {
		free(listener);
		return NULL;
	}
	listener->index = (uint16_t)index;
	listener->want = want;
	listener->service = service;
	listener->fd = -1;
	return listener;
}

struct listener_more *listener_more(struct listener *listener)
{
	if (listener->more == NULL) {
		listener->more = calloc(1, sizeof(*listener->more));
		if (listener->more != NULL)
			listener->more->listener = listener;
	}
	return listener->more;
}

int listener_error(const struct listener *listener)
{
	return listener->more != NULL ? listener->more->error : 0;
}

void listener_free(struct supervisor *s, struct listener *listener)
{
	listen_close(s, listener);
	s->listener_used[listener->index] = 0;
	free(listener->more);
	free(listener);
}
