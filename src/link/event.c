/*
 * event.c: see event.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "event.h"

static const char *const refusal_text[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = "",
	[REFUSAL_GARBAGE] = "malformed message; lust-protocol(7) tells what a server may send",
	[REFUSAL_NO_SERVICE] = "no service of that name takes servers from outside; "
			       "name one that has register-users or register-groups",
	[REFUSAL_NOT_LISTED] = "its user is in neither register-users nor register-groups of this service; "
			       "add it there or run the server as a user who is",
	[REFUSAL_ROOT] = "uid 0 may not register; run the server as another user or set allow-root = yes in "
			 "the service",
	[REFUSAL_NAMESPACE] = "it runs in a foreign pid or user namespace; "
			      "set allow-foreign-namespace = yes in the service to let it in",
	[REFUSAL_TOO_MANY] = "this service has as many servers from outside as max-registered allows; "
			     "raise it or end one of them",
	[REFUSAL_WRONG_PID] = "the message came from another process than the one that registered; "
			      "a forked child must register for itself (lust_server_clone)",
	[REFUSAL_WRONG_UID] = "the message came from another user than the one that registered; "
			      "change the user before registering",
	[REFUSAL_DESCRIPTORS] = "descriptors came with a message that takes none",
	[REFUSAL_WRONG_SERVICE] = "it registers for another service than the one that it was started for; "
				  "use the name in LUST_SERVICE",
	[REFUSAL_NO_CREDENTIALS] = "the message carried no credentials of its sender",
	[REFUSAL_TIMEOUT] = "it connected and said nothing in time; the first message must be REGISTER",
	[REFUSAL_BUSY] = "too many registrations at once; try again in a moment",
	[REFUSAL_STOPPING] =
		"the daemon is stopping or the service is being removed; register again once it is back",
	[REFUSAL_LATE] = "the supervisor did not answer in time; register again once it does",
};

const char *event_refusal_text(enum event_refusal refusal)
{
	if ((unsigned)refusal >= REFUSAL_COUNT || !refusal_text[refusal])
		return "";
	return refusal_text[refusal];
}
