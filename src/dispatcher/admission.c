/*
 * admission.c: see admission.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "admission.h"

enum admission_gate admission_gate(const struct admission_service *service)
{
	if (service->closed)
		return GATE_WAIT;
	/* The overload rule is for every client that no server would get now, whatever the reason. */
	if (service->paused)
		return service->overload == LINK_OVERLOAD_REFUSE ? GATE_REFUSE : GATE_WAIT;
	if (service->credits && !service->waiting)
		return GATE_OPEN;
	/* Servers that are just starting (or saying again who they are, to a new dispatcher) are no overload. */
	if (service->overload == LINK_OVERLOAD_REFUSE && !service->credits &&
	    (service->registered || !service->expected))
		return GATE_REFUSE;
	return GATE_WAIT;
}

enum board_denied admission_judge(const struct admission_client *client)
{
	return client->gate == GATE_REFUSE ? DENIED_OVERLOAD : DENIED_COUNT;
}
