/*
 * permit.c: what the dispatcher may ask, and when.  A pure table: anything that is not in it ends the asker.
 *
 * SPDX-License-Identifier: ISC
 */
#include "helpers.h"

struct permission {
	enum link_type type;
	enum permit starting, loading, running, leaving;
};

/* ONCE: READY once in a dispatcher's life, COMMITTED once for each COMMIT (dispatcher.c counts). While it loads, no
   server is registered with it yet, but those that it was pushed may end. What it said just before it was asked to hand over still counts. */
static const struct permission permissions[] = {
	{LINK_READY, PERMIT_ONCE, PERMIT_NEVER, PERMIT_NEVER, PERMIT_NEVER},
	{LINK_COMMITTED, PERMIT_NEVER, PERMIT_ONCE, PERMIT_ONCE, PERMIT_ONCE},
	{LINK_REGISTERED, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_IDLE, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_SLOT_FREE, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_SETTLING, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_GONE, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_DEREGISTERED, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_KEEP, PERMIT_NEVER, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_QUIET, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_PONG, PERMIT_NEVER, PERMIT_ALWAYS, PERMIT_ALWAYS, PERMIT_ALWAYS},
	{LINK_HELD, PERMIT_NEVER, PERMIT_NEVER, PERMIT_NEVER, PERMIT_ALWAYS},
};

enum permit permit_request(enum link_type type, enum dispatcher_phase phase)
{
	for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
		if (permissions[i].type != type)
			continue;
		switch (phase) {
		case DISPATCHER_STARTING:
			return permissions[i].starting;
		case DISPATCHER_LOADING:
			return permissions[i].loading;
		case DISPATCHER_RUNNING:
			return permissions[i].running;
		case DISPATCHER_LEAVING:
			return permissions[i].leaving;
		case DISPATCHER_NONE:
		case DISPATCHER_ENDING:
			return PERMIT_NEVER;
		}
	}
	return PERMIT_NEVER;
}
