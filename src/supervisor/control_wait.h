/*
 * control_wait.h: how long `up`, `down` and `roll` of a service may take, and what to say when they fail.  Pure:
 * reads the service, does nothing.  Whether they are done is service_progress()'s to say.
 */
#ifndef CONTROL_WAIT_H
#define CONTROL_WAIT_H

#include "supervisor.h"

#define CONTROL_WHY 400

/* By the service's own time-outs; 0: there is nothing to wait for. */
uint64_t control_wait_limit_ms(const struct service *service, enum control_command command);

/* Why it failed, or is not done yet. */
void control_wait_why(const struct service *service, enum control_command command, char why[CONTROL_WHY]);

/* After a roll: what the old servers still hold, as a line.  false: nothing. */
bool control_wait_leftover(const struct supervisor *supervisor, const struct service *service,
                           char text[CONTROL_WHY]);

#endif
