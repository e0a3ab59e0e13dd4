/*
 * connection.c: an entry of a CONNECTIONS message as the application sees it.
 *
 * SPDX-License-Identifier: ISC
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "server.h"

static void fill_address(struct sockaddr_storage *out, uint16_t family, const uint8_t ip[16], uint16_t port,
			 uint32_t scope)
{
	memset(out, 0, sizeof(*out));
	out->ss_family = family;
	if (family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)out;

		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, ip, sizeof(v4->sin_addr));
	} else if (family == AF_INET6) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

		v6->sin6_port = htons(port);
		v6->sin6_scope_id = scope;
		memcpy(&v6->sin6_addr, ip, sizeof(v6->sin6_addr));
	}
}

static void set_nonblocking(int fd, bool wanted)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || !!(flags & O_NONBLOCK) == wanted)
		return;
	fcntl(fd, F_SETFL, flags ^ O_NONBLOCK);
}

void lust_connection_fill(const struct lust_server *server, struct lust_connection *out,
			  const struct lust_waiting *from, bool nonblocking)
{
	const struct lust_wire_connection *entry = &from->entry;

	memset(out, 0, sizeof(*out));
	out->fd = from->fd;
	out->kind = entry->kind;
	out->id = entry->id;
	out->listener = entry->listener;
	out->waited_us = entry->waited_us;
	fill_address(&out->peer, entry->family, entry->peer, entry->peer_port, entry->peer_scope);
	if (entry->local_port) {
		fill_address(&out->local, entry->family, entry->local, entry->local_port, entry->local_scope);
	} else if (!server->no_local) {
		socklen_t length = sizeof(out->local);

		if (getsockname(from->fd, (struct sockaddr *)&out->local, &length) < 0)
			out->local.ss_family = entry->family;
	}
	out->peer_pid = -1;
	out->peer_uid = out->peer_gid = UINT32_MAX;
	if (entry->kind == LUST_WIRE_UNIX) {
		out->peer_pid = entry->peer_pid;
		out->peer_uid = entry->peer_uid;
		out->peer_gid = entry->peer_gid;
	}
	/* The daemon says when it is as this server asked for: nothing is left to look at. */
	if (!(entry->flags & LUST_WIRE_MODE_SET) || nonblocking != server->nonblocking)
		set_nonblocking(from->fd, nonblocking);
}
