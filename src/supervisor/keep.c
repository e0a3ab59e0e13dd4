/*
 * keep.c: KEEP: a server from outside passed the door; hold its pair for the next dispatcher and give it a slot.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helpers.h"
#include "servers.h"
#include "slots.h"

#define REGISTER_MS 10000 /* it has knocked already: REGISTER on the pair is the next word */

static bool is_pair_end(int fd)
{
	int type, domain;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

static struct service *service_by_index(struct supervisor *s, uint32_t index)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		if (service->index == index && service->want != NULL)
			return service;
	return NULL;
}

static unsigned count_external(const struct service *service)
{
	unsigned count = 0;

	for (const struct server *server = service->servers; server != NULL; server = server->next)
		count += server->external;
	return count;
}

/* Takes the descriptors when it succeeds. */
static int keep(struct supervisor *s, const struct link_keep *asked, const int *fds, struct server **kept)
{
	struct service *service = service_by_index(s, asked->service);

	if (s->stopping)
		return -ESHUTDOWN;
	if (service == NULL)
		return -ENOENT;
	if (count_external(service) >= service->want->dispatch->max_registered)
		return -EUSERS;
	struct server *server = server_new(s, service, 0);
	if (server == NULL)
		return -ENOMEM;
	server->external = true;
	server->pid = asked->pid;
	server->uid = asked->uid;
	server->gid = asked->gid;
	server->started_ms = clock_ms();
	snprintf(server->label, sizeof(server->label), "%s", asked->label);
	int result = slot_take(s, server, fds[0], fds[1], fds[2]);
	if (result < 0) {
		server_remove(s, server);
		return result;
	}
	s->slots[server->slot].told = true;
	server_phase(s, server, PHASE_STARTING, REGISTER_MS);
	*kept = server;
	return 0;
}

void answer_keep(struct supervisor *s, const struct link_message *message, int *fds)
{
	struct link_message answer = {
		.version = LINK_VERSION, .type = LINK_KEPT, .kept = {.ticket = message->keep.ticket}};
	struct server *server = NULL;

	if (!is_pair_end(fds[0]) || !is_pair_end(fds[1]) || !is_pair_end(fds[2])) {
		dispatcher_kill(s, "KEEP with something else than sockets");
		answer.kept.error = -EPROTO;
	} else {
		answer.kept.error = keep(s, &message->keep, fds, &server);
	}
	if (server != NULL) {
		answer.kept.slot = server->slot;
		answer.kept.generation = server->generation;
	} else {
		for (unsigned i = 0; i < 3; i++)
			lust_close_unlingered(fds[i]);
	}
	dispatcher_send(s, &answer, NULL, 0);
}
