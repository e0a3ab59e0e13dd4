/*
 * service_progress.c: how far `up`, `down`, `roll` or a reload got with a service.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "roll.h"
#include "services.h"

static enum service_progress progress_of(const struct service *service, const struct server *server)
{
	if (server->newcomer)
		return PROGRESS_UNDER_WAY;
	switch (server->phase) {
	case PHASE_READY:
		return server->built == service->generation ? PROGRESS_DONE : PROGRESS_UNDER_WAY;
	case PHASE_STOPPED:
	case PHASE_FAILED:
		return PROGRESS_FAILED;
	case PHASE_BACKOFF:
		return server->failures > 0 ? PROGRESS_FAILED : PROGRESS_UNDER_WAY;
	case PHASE_STARTING:
	case PHASE_DRAINING:
	case PHASE_STOPPING:
	case PHASE_KILLING:
		break;
	}
	return PROGRESS_UNDER_WAY;
}

/* Everybody has to be gone. */
static enum service_progress progress_down(const struct service *service)
{
	for (const struct server *server = service->servers; server != NULL; server = server->next)
		if (!server->external)
			return PROGRESS_UNDER_WAY;
	return PROGRESS_DONE;
}

enum service_progress service_progress(const struct service *service)
{
	enum service_progress worst = PROGRESS_DONE;
	unsigned count = 0;

	if (service->down)
		return progress_down(service);
	if (roll_is_held(service))
		return PROGRESS_FAILED;
	for (const struct server *server = service->servers; server != NULL; server = server->next) {
		/* Nobody waits for those that only finish what they hold. */
		if (server->external || server->retiring)
			continue;
		enum service_progress progress = progress_of(service, server);
		count += !server->newcomer;
		if (progress > worst)
			worst = progress;
	}
	return worst == PROGRESS_DONE && count < service_wanted(service) ? PROGRESS_UNDER_WAY : worst;
}
