/*
 * register.c: a server says who it is, in answer to HELLO.  Said again, it is a sign of life with new numbers.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "dispatcher.h"

static void set_nonblocking(struct server *server, bool nonblocking)
{
	server->service->nonblocking_servers += nonblocking;
	server->service->nonblocking_servers -= server->nonblocking;
	server->nonblocking = nonblocking;
}

static void first_time(struct dispatcher *d, struct server *server, const struct lust_wire_register *reg)
{
	recover_account(d, server, reg->held, reg->last_batch);
	service_count_server(server->service, server, -1);
	server->registered = true;
	service_count_server(server->service, server, 1);
	stall_watch(server); /* what an earlier dispatcher gave it, and it did not take */
	if (reg->flags & LUST_WIRE_DRAINED)
		server->draining = true; /* it knows that no more will come */
	if (!server->draining)
		tell_registered(d, server, reg->label);
	if (!server->kept)
		report(d, &(struct event){
				  .code = EVENT_REGISTERED,
				  .id = reg->held,
				  .number = server->capacity,
				  .service = server->service->index,
				  .slot = server->slot,
				  .pid = server->pid,
				  .uid = server->uid,
				  .gid = server->gid,
				  .instance = server->instance,
			  });
}

void register_server(struct dispatcher *d, struct server *server, const struct lust_wire_register *reg)
{
	if (reg->generation != d->generation)
		return; /* the answer to an earlier dispatcher */
	if (strcmp(reg->service, server->service->name) != 0) {
		leave_cut(d, server, REFUSAL_WRONG_SERVICE);
		return;
	}
	if (reg->held > d->held_most) {
		leave_cut(d, server, REFUSAL_GARBAGE);
		return;
	}
	server->capacity = reg->capacity;
	server->batch = reg->batch ? reg->batch : 1;
	set_nonblocking(server, reg->flags & LUST_WIRE_NONBLOCKING);
	if (!server->registered)
		first_time(d, server, reg);
	if (!server->draining)
		server->owed |= OWED_REGISTERED;
	turn_server(d, server);
	turn_service(d, server->service);
}
