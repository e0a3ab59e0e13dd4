/*
 * admission.h: may the next client of a service come in, must it wait in the backlog, or is it turned away?
 * Pure: no descriptor, no loop.  Two steps, because waiting is only possible before accept: the gate looks at the
 * service, admission_judge at the client.
 */
#ifndef ADMISSION_H
#define ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "link.h"

enum admission_gate {
	GATE_OPEN,   /* accept and hand over */
	GATE_WAIT,   /* leave it in the backlog */
	GATE_REFUSE, /* accept and answer by the overload rule */
};

struct admission_service {
	uint64_t credits;    /* of all its servers */
	uint32_t registered; /* servers that are registered */
	uint32_t expected;   /* servers that run and are not registered yet */
	enum link_overload overload;
	bool closed;  /* nothing is accepted now: quiesced, removed, or for want of descriptors */
	bool paused;  /* by `pause`: no server gets a new one */
	bool waiting; /* connections taken back from a server go first */
};

enum admission_gate admission_gate(const struct admission_service *service);

/* What is known of one client after accept. */
struct admission_client {
	enum admission_gate gate;
};

/* DENIED_COUNT: come in; else why not. */
enum board_denied admission_judge(const struct admission_client *client);

#endif
