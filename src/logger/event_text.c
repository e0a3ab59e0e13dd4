/*
 * event_text.c: see event_text.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "event_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "wire.h"

#define ID "%u:%" PRIu64
#define ID_OF(event) (unsigned)LUST_ID_GENERATION((event)->id), LUST_ID_NUMBER((event)->id)

typedef void writer(const struct event *event, char *text, size_t size);

/* "10.0.0.7:4431", "[::1]:80", "a local client" */
static const char *client(const struct event *event, char text[ADDRESS_TEXT])
{
	struct address address = {.kind = ADDRESS_TCP, .family = event->family, .port = event->port};

	if (event->family != AF_INET && event->family != AF_INET6)
		return event->family == AF_UNIX ? "a local client" : "an unknown client";
	memcpy(address.ip, event->ip, sizeof(address.ip));
	return address_format(&address, text) + strlen("tcp:");
}

/* "server 2 (pid 812)", "a server from outside (pid 812)" */
static const char *server(const struct event *event, char text[64])
{
	char pid[24] = "";

	if (event->pid > 0)
		snprintf(pid, sizeof(pid), " (pid %d)", event->pid);
	if (event->instance > 0)
		snprintf(text, 64, "server %u%s", event->instance, pid);
	else
		snprintf(text, 64, "a server from outside%s", pid);
	return text;
}

static const char *error_text(const struct event *event)
{
	const char *text = strerrordesc_np(event->error);

	return text ? text : "unknown error";
}

static void started(const struct event *event, char *text, size_t size)
{
	snprintf(text, size, "dispatcher started, generation %" PRIu64, event->number);
}

static void registered(const struct event *event, char *text, size_t size)
{
	char who[64], capacity[48] = "no limit of its own", brings[64] = "";

	if (event->number > 0)
		snprintf(capacity, sizeof(capacity), "capacity %" PRIu64, event->number);
	if (event->id > 0)
		snprintf(brings, sizeof(brings), ", holds %" PRIu64 " connections of an earlier daemon",
			 event->id);
	snprintf(text, size, "%s registered, uid %u, gid %u, %s%s", server(event, who), event->uid,
		 event->gid, capacity, brings);
}

static void refused_registration(const struct event *event, char *text, size_t size)
{
	const char *why = event_refusal_text((enum event_refusal)event->number);
	int length = (int)strnlen(event->asked, sizeof(event->asked));

	snprintf(text, size, "registration of pid %d, uid %u, gid %u%s%.*s%s refused: %s", event->pid,
		 event->uid, event->gid, length > 0 ? " for \"" : "", length, event->asked,
		 length > 0 ? "\"" : "", why);
}

static void server_gone(const struct event *event, char *text, size_t size)
{
	char who[64];

	if (event->number > 0)
		snprintf(text, size, "%s is gone; %" PRIu64 " of its connections went to others",
			 server(event, who), event->number);
	else
		snprintf(text, size, "%s is gone", server(event, who));
}

static void protocol(const struct event *event, char *text, size_t size)
{
	char who[64];

	snprintf(text, size, "%s broke the protocol and is cut off: %s", server(event, who),
		 event_refusal_text((enum event_refusal)event->number));
}

static void unknown_id(const struct event *event, char *text, size_t size)
{
	char who[64];

	snprintf(text, size, "%s answered for a connection that it does not hold; that was passed over",
		 server(event, who));
}

static void stalled(const struct event *event, char *text, size_t size)
{
	char who[64];

	snprintf(text, size,
		 "%s is stalled: no sign of life for take-timeout; %" PRIu64
		 " connections that it had not received go to others",
		 server(event, who), event->number);
}

static void recovered(const struct event *event, char *text, size_t size)
{
	char who[64];

	snprintf(text, size, "%s is no longer stalled", server(event, who));
}

static void lost(const struct event *event, char *text, size_t size)
{
	char from[ADDRESS_TEXT];

	if (event->id == 0)
		snprintf(text, size,
			 "the dispatcher was killed in accept: the connection that it was about to get, "
			 "if there was one, is lost");
	else
		snprintf(text, size,
			 "connection " ID " from %s lost: the dispatcher was killed while it held it",
			 ID_OF(event), client(event, from));
}

static void closed_touched(const struct event *event, char *text, size_t size)
{
	char from[ADDRESS_TEXT], pid[24] = "";

	if (event->pid > 0)
		snprintf(pid, sizeof(pid), " (pid %d)", event->pid);
	snprintf(text, size,
		 "connection " ID " from %s closed: its server%s died after it had begun to serve it",
		 ID_OF(event), client(event, from), pid);
}

static void closed_no_server(const struct event *event, char *text, size_t size)
{
	char from[ADDRESS_TEXT];

	snprintf(text, size, "connection " ID " from %s closed: no server is left to take it", ID_OF(event),
		 client(event, from));
}

static void closed_shutdown(const struct event *event, char *text, size_t size)
{
	char from[ADDRESS_TEXT];

	snprintf(text, size, "connection " ID " from %s closed: the daemon stops and no server had taken it",
		 ID_OF(event), client(event, from));
}

static void closed_client_left(const struct event *event, char *text, size_t size)
{
	char from[ADDRESS_TEXT];

	snprintf(text, size, "connection " ID " from %s closed: the client %s", ID_OF(event),
		 client(event, from),
		 event->slot == BOARD_NONE ? "left before a server took it"
					   : "had left when its server died");
}

static void denied(const struct event *event, char *text, size_t size)
{
	static const char *const why[DENIED_COUNT] = {
		[DENIED_ADDRESS] = "its address is not allowed (only-from, no-access)",
		[DENIED_TIME] = "outside of access-times",
		[DENIED_LOAD] = "the machine's load is above max-load",
		[DENIED_PER_SOURCE] = "its address holds as many connections as per-source allows",
		[DENIED_RATE] = "more connections than rate allows",
		[DENIED_SOURCE_RATE] = "more connections from its address than rate-per-source allows",
		[DENIED_MAX_CONNECTIONS] = "the service holds as many connections as max-connections allows",
		[DENIED_OVERLOAD] =
			"all servers are busy (overload = refuse); raise instances or the servers' capacity",
	};
	char from[ADDRESS_TEXT];

	snprintf(text, size, "connection from %s denied: %s", client(event, from),
		 event->number < DENIED_COUNT ? why[event->number] : "unknown reason");
}

static void accept_failed(const struct event *event, char *text, size_t size)
{
	snprintf(text, size, "cannot accept connections: %s; clients wait until it works again",
		 error_text(event));
}

static void accept_again(const struct event *event, char *text, size_t size)
{
	(void)event;
	snprintf(text, size, "accepting connections works again");
}

static void send_failed(const struct event *event, char *text, size_t size)
{
	char who[64];

	snprintf(text, size, "cannot hand connections to %s: %s", server(event, who), error_text(event));
}

static void truncated(const struct event *event, char *text, size_t size)
{
	char who[64];

	snprintf(text, size,
		 "%s could not take %" PRIu64 " descriptors; raise its rlimit-nofile or lower its capacity",
		 server(event, who), event->number);
}

static void suppressed(const struct event *event, char *text, size_t size);

static void dropped(const struct event *event, char *text, size_t size)
{
	snprintf(text, size,
		 "%" PRIu64 " events of the dispatcher were not logged: they came faster than the log takes",
		 event->number);
}

static const struct {
	enum logger_level level;
	writer *write;
	const char *several; /* for EVENT_SUPPRESSED */
} words[EVENT_CODES] = {
	[EVENT_STARTED] = {LEVEL_NOTICE, started, "starts of a dispatcher"},
	[EVENT_REGISTERED] = {LEVEL_INFO, registered, "registrations"},
	[EVENT_REFUSED_REGISTRATION] = {LEVEL_WARNING, refused_registration, "refused registrations"},
	[EVENT_SERVER_GONE] = {LEVEL_NOTICE, server_gone, "servers that went away"},
	[EVENT_PROTOCOL] = {LEVEL_WARNING, protocol, "servers that broke the protocol"},
	[EVENT_UNKNOWN_ID] = {LEVEL_WARNING, unknown_id,
			      "answers for connections that a server does not hold"},
	[EVENT_STALLED] = {LEVEL_WARNING, stalled, "stalled servers"},
	[EVENT_RECOVERED] = {LEVEL_NOTICE, recovered, "servers no longer stalled"},
	[EVENT_LOST] = {LEVEL_ERROR, lost, "lost connections"},
	[EVENT_CLOSED_TOUCHED] = {LEVEL_WARNING, closed_touched,
				  "connections closed because their server died"},
	[EVENT_CLOSED_NO_SERVER] = {LEVEL_WARNING, closed_no_server,
				    "connections closed for want of a server"},
	[EVENT_CLOSED_SHUTDOWN] = {LEVEL_NOTICE, closed_shutdown, "connections closed at the daemon's stop"},
	[EVENT_CLOSED_CLIENT_LEFT] = {LEVEL_INFO, closed_client_left, "connections whose client left"},
	[EVENT_DENIED] = {LEVEL_NOTICE, denied, "denied connections"},
	[EVENT_ACCEPT_FAILED] = {LEVEL_ERROR, accept_failed, "failures to accept"},
	[EVENT_ACCEPT_AGAIN] = {LEVEL_NOTICE, accept_again, "recoveries of accepting"},
	[EVENT_SEND_FAILED] = {LEVEL_WARNING, send_failed, "failures to hand over"},
	[EVENT_TRUNCATED] = {LEVEL_WARNING, truncated, "servers out of descriptors"},
	[EVENT_SUPPRESSED] = {LEVEL_NOTICE, suppressed, "counts of events"},
	[EVENT_DROPPED] = {LEVEL_WARNING, dropped, "counts of dropped events"},
};

static void suppressed(const struct event *event, char *text, size_t size)
{
	snprintf(text, size, "%" PRIu64 " more %s, not logged one by one", event->number,
		 words[event->code2].several);
}

/* The one text in an event.  It comes from a jailed program that a stranger may have taken over. */
static bool asked_is_clean(const struct event *event)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strnlen(event->asked, sizeof(event->asked));

	for (size_t i = 0; i < length; i++)
		if (!strchr(letters, event->asked[i]))
			return false;
	return true;
}

bool event_known(const struct event *event)
{
	if (event->code >= EVENT_CODES || !words[event->code].write || !asked_is_clean(event))
		return false;
	return event->code != EVENT_SUPPRESSED || (event->code2 < EVENT_CODES && words[event->code2].several);
}

enum logger_level event_level(const struct event *event)
{
	return words[event->code == EVENT_SUPPRESSED ? event->code2 : event->code].level;
}

const char *event_text(const struct event *event, char *text, size_t size)
{
	words[event->code].write(event, text, size);
	return text;
}
