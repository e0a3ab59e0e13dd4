/*
 * pause.c: `pause` and `resume`: addresses stay bound, servers keep what they hold, and get no new connection.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <time.h>

#include "helpers.h"
#include "logging.h"
#include "services.h"

static void tell(struct supervisor *s, const struct service *service, enum link_type type)
{
	struct link_message message = {
		.version = LINK_VERSION, .type = (uint16_t)type, .service = {.service = service->index}};

	/* Without a dispatcher the next one is told with its table. */
	dispatcher_send(s, &message, NULL, 0);
}

int service_pause(struct supervisor *s, struct service *service, uid_t by)
{
	if (service->paused)
		return 0;
	struct service_more *more = service_more(service);
	if (more == NULL)
		return -ENOMEM;
	service->paused = true;
	more->paused_by = by;
	more->paused_since_s = (uint64_t)time(NULL);
	tell(s, service, LINK_PAUSE);
	log_line(s, LEVEL_NOTICE, service->name, "paused (by uid %u)", (unsigned)by);
	return 0;
}

void service_resume(struct supervisor *s, struct service *service, uid_t by)
{
	if (!service->paused)
		return;
	service->paused = false;
	tell(s, service, LINK_RESUME);
	log_line(s, LEVEL_NOTICE, service->name, "resumed (by uid %u)", (unsigned)by);
}
