/*
 * upgrade_settle.c: the moment for going: no table under way to the dispatcher, nothing queued on the links, nobody in
 * the middle of an answer.  Requests that come meanwhile wait in their sockets for the new program.
 *
 * SPDX-License-Identifier: ISC
 */
#include "control_client.h"
#include "control_socket.h"
#include "helpers.h"
#include "logging.h"
#include "services.h"
#include "upgrade.h"

#define LOOK_S 0.01
#define PATIENCE_MS 10000u
#define MANNERS_MS 2000u /* for who reads slowly: an asker, the logger */

static bool dispatcher_settled(const struct supervisor *s)
{
	if (s->dispatcher.pid == 0)
		return true;
	return dispatcher_usable(s) && !s->dispatcher.closed &&
	       s->dispatcher.commits == s->dispatcher.pushes && !channel_pending(&s->dispatcher.link) &&
	       !ev_is_active(&s->push_again);
}

static bool logger_settled(const struct supervisor *s)
{
	return s->logger.ready && !channel_pending(&s->logger.link) && !log_waits(s);
}

bool upgrade_settled(struct supervisor *s)
{
	bool impatient = clock_ms() - s->upgrade->since_ms > MANNERS_MS;

	if (!dispatcher_settled(s) || reload_reads(s))
		return false;
	return impatient ? s->logger.pid == 0 || s->logger.ready : logger_settled(s) && !control_answering(s);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	struct supervisor *s = ev_userdata(loop);

	if (upgrade_settled(s)) {
		ev_timer_stop(loop, timer);
		s->upgrade->step = UPGRADE_GO;
		ev_break(loop, EVBREAK_ALL);
	} else if (clock_ms() - s->upgrade->since_ms > PATIENCE_MS) {
		upgrade_fail(s, reload_reads(s) ? "a reload that came meanwhile is not done"
						: "dispatcher and logger do not come to rest");
	}
}

void upgrade_settle(struct supervisor *s)
{
	if (s->upgrade->step != UPGRADE_SETTLING) {
		s->upgrade->step = UPGRADE_SETTLING;
		s->upgrade->since_ms = clock_ms();
		control_hold(s, true);
	}
	ev_timer_stop(s->loop, &s->upgrade->timer);
	ev_timer_init(&s->upgrade->timer, on_look, 0., LOOK_S);
	ev_timer_start(s->loop, &s->upgrade->timer);
}
