/*
 * arrival.c: what is known of a connection right after accept: who it is, and how long it waited.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatcher.h"

/* The time since the handshake: nothing was sent yet. */
static uint64_t ask_waited(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return 0;
	return (uint64_t)info.tcpi_last_data_sent * 1000;
}

static uint32_t waited_us(struct waited *waited, int fd, uint64_t accepted_us)
{
	if (waited_must_ask(waited, accepted_us))
		waited_learn(waited, accepted_us, ask_waited(fd));
	return waited->said_us > UINT32_MAX ? UINT32_MAX : (uint32_t)waited->said_us;
}

static void describe_unix(struct lust_wire_connection *wire, int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	wire->kind = LUST_WIRE_UNIX;
	wire->family = AF_UNIX;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return;
	wire->peer_pid = peer.pid;
	wire->peer_uid = peer.uid;
	wire->peer_gid = peer.gid;
}

static bool is_wildcard(const struct address *address)
{
	static const uint8_t any[16];
	return memcmp(address->ip, any, sizeof(any)) == 0;
}

void arrival_describe(struct opened *opened, int fd, uint64_t accepted_us,
		      const struct sockaddr_storage *peer, socklen_t length,
		      struct lust_wire_connection *wire)
{
	*wire = (struct lust_wire_connection){
		.kind = LUST_WIRE_TCP,
		.listener = opened->listener->position,
		.peer_pid = -1,
		.peer_uid = UINT32_MAX,
		.peer_gid = UINT32_MAX,
	};
	if (opened->address.kind == ADDRESS_UNIX) {
		describe_unix(wire, fd);
		return;
	}
	wire->waited_us = waited_us(&opened->waited, fd, accepted_us);
	struct address from = {0};
	if (address_from_sockaddr(&from, (const struct sockaddr *)peer, length) < 0)
		from.family = opened->address.family;
	wire->family = from.family;
	wire->peer_port = from.port;
	wire->peer_scope = from.scope;
	memcpy(wire->peer, from.ip, sizeof(wire->peer));
	if (is_wildcard(&opened->address))
		return;
	wire->local_port = opened->address.port;
	wire->local_scope = opened->address.scope;
	memcpy(wire->local, opened->address.ip, sizeof(wire->local));
}

void arrival_rebuild(int fd, const struct board_entry *shared, struct lust_wire_connection *wire)
{
	uint64_t id = wire->id;
	*wire = (struct lust_wire_connection){
		.id = id,
		.kind = LUST_WIRE_TCP,
		.listener = shared->listener,
		.family = shared->family,
		.peer_port = shared->port,
		.peer_pid = -1,
		.peer_uid = UINT32_MAX,
		.peer_gid = UINT32_MAX,
	};
	memcpy(wire->peer, shared->ip, sizeof(wire->peer));
	if (shared->family == AF_UNIX)
		describe_unix(wire, fd);
}
