/*
 * table.c: a table on its way, between BEGIN and COMMIT.  Nothing of it is in force.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dispatcher.h"

/* Room for one more; arrays double. */
static int grow(void **array, size_t *room, size_t used, size_t size)
{
	if (used < *room)
		return 0;
	size_t more = *room ? *room * 2 : 16;
	void *bigger = reallocarray(*array, more, size);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*room = more;
	return 0;
}

int staging_begin(struct dispatcher *d, const struct link_begin *begin)
{
	staging_drop(d);
	d->staging = calloc(1, sizeof(*d->staging));
	if (!d->staging)
		return -ENOMEM;
	d->staging->begin = *begin;
	return 0;
}

int staging_service(struct dispatcher *d, const struct link_service *service)
{
	struct staging *staging = d->staging;
	if (!staging)
		return -EPROTO;
	int error =
		grow((void **)&staging->service, &staging->service_room, staging->services, sizeof(*service));
	if (!error)
		staging->service[staging->services++] = *service;
	return error;
}

int staging_rule(struct dispatcher *d, const struct link_rule *rule)
{
	struct staging *staging = d->staging;
	if (!staging)
		return -EPROTO;
	int error = grow((void **)&staging->rule, &staging->rule_room, staging->rules, sizeof(*rule));
	if (!error)
		staging->rule[staging->rules++] = *rule;
	return error;
}

int staging_listener(struct dispatcher *d, const struct link_listener *listener, int fd)
{
	struct staging *staging = d->staging;
	int error = -EPROTO;
	if (staging)
		error = grow((void **)&staging->listener, &staging->listener_room, staging->listeners,
			     sizeof(*staging->listener));
	if (error) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	staging->listener[staging->listeners++] = (struct staged_listener){*listener, fd};
	return 0;
}

int staging_server(struct dispatcher *d, const struct link_server *server, const int *fds, unsigned count)
{
	struct staging *staging = d->staging;
	int error = -EPROTO;
	if (staging && count >= 2)
		error = grow((void **)&staging->server, &staging->server_room, staging->servers,
			     sizeof(*staging->server));
	if (error) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		return error;
	}
	staging->server[staging->servers++] = (struct staged_server){
		.record = *server,
		.ours = fds[0],
		.theirs = fds[1],
		.lifeline = count > 2 ? fds[2] : -1,
	};
	return 0;
}

void staging_drop(struct dispatcher *d)
{
	struct staging *staging = d->staging;
	if (!staging)
		return;
	for (size_t i = 0; i < staging->listeners; i++)
		if (staging->listener[i].fd >= 0)
			close(staging->listener[i].fd);
	for (size_t i = 0; i < staging->servers; i++) {
		close(staging->server[i].ours);
		close(staging->server[i].theirs);
		if (staging->server[i].lifeline >= 0)
			close(staging->server[i].lifeline);
	}
	free(staging->service);
	free(staging->rule);
	free(staging->listener);
	free(staging->server);
	free(staging);
	d->staging = NULL;
}

const char *staging_check(const struct dispatcher *d, uint32_t table)
{
	const struct staging *staging = d->staging;
	if (!staging || staging->begin.table != table)
		return "COMMIT without its BEGIN";
	if (staging->services != staging->begin.services || staging->listeners != staging->begin.listeners ||
	    staging->servers != staging->begin.servers)
		return "not as many records as BEGIN said";
	if (staging->begin.partial && !d->committed)
		return "a part of a table without the whole before it";
	for (size_t i = 0; i < staging->listeners; i++) {
		const struct staged_listener *listener = &staging->listener[i];
		if (listener->fd < 0 && !d->listener[listener->record.listener])
			return "listener without a socket";
	}
	return NULL;
}
