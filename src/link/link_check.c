/*
 * link_check.c: judges a message of the link by itself (end of link.h).  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "board.h"
#include "link.h"

static bool ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static const char *check_hello(const struct link_hello *hello)
{
	if (hello->generation == 0)
		return "HELLO: generation 0";
	if (hello->unprivileged > 1 || hello->recovering > 1)
		return "HELLO: a flag that is neither 0 nor 1";
	if (hello->nofile == 0)
		return "HELLO: no descriptors allowed";
	if (!ended(hello->jail, sizeof(hello->jail)))
		return "HELLO: jail without its end";
	if (!hello->unprivileged && hello->jail[0] != '/')
		return "HELLO: jail is not an absolute path";
	return NULL;
}

static const char *check_begin(const struct link_begin *begin)
{
	if (begin->services > BOARD_SERVICES || begin->listeners > BOARD_LISTENERS ||
	    begin->servers > BOARD_SLOTS)
		return "BEGIN: more than the board has room for";
	if (begin->partial > 1)
		return "BEGIN: a flag that is neither 0 nor 1";
	return NULL;
}

static const char *check_service(const struct link_service *service)
{
	if (service->service >= BOARD_SERVICES)
		return "SERVICE: index out of range";
	if (service->name[0] == '\0' || !ended(service->name, sizeof(service->name)))
		return "SERVICE: name empty or without its end";
	if (service->balance > LINK_SOURCE_HASH || service->acknowledge > LINK_ACK_DONE ||
	    service->overload > LINK_OVERLOAD_REFUSE)
		return "SERVICE: unknown balance, acknowledge or overload";
	if (service->fresh > 1 || service->paused > 1 || service->allow_root > 1 ||
	    service->allow_foreign > 1 || service->gone > 1)
		return "SERVICE: a flag that is neither 0 nor 1";
	if (service->rules_as > BOARD_SERVICES)
		return "SERVICE: rules of an index out of range";
	if (service->window == 0)
		return "SERVICE: window 0";
	return NULL;
}

static const char *check_rule(const struct link_rule *rule)
{
	if (rule->service >= BOARD_SERVICES)
		return "RULE: index out of range";
	if (rule->kind != LINK_RULE_UID && rule->kind != LINK_RULE_GID)
		return "RULE: unknown kind";
	return NULL;
}

static const char *check_listener(const struct link_listener *listener)
{
	if (listener->listener >= BOARD_LISTENERS || listener->service >= BOARD_SERVICES)
		return "LISTENER: index out of range";
	if (listener->position >= BOARD_LISTENERS)
		return "LISTENER: position out of range";
	return NULL;
}

static const char *check_server(const struct link_server *server, unsigned fds)
{
	unsigned known = LINK_SERVER_EXTERNAL | LINK_SERVER_DRAINING | LINK_SERVER_DEAD;

	if (server->slot >= BOARD_SLOTS || server->service >= BOARD_SERVICES)
		return "SERVER: index out of range";
	if (server->flags & ~known)
		return "SERVER: unknown flag";
	if (!ended(server->label, sizeof(server->label)))
		return "SERVER: label without its end";
	if (fds != (server->flags & LINK_SERVER_EXTERNAL ? 3u : 2u))
		return "SERVER: needs both ends of its pair, and a lifeline when it is from outside";
	return NULL;
}

static const char *check_slot(const struct link_slot *slot)
{
	if (slot->slot >= BOARD_SLOTS)
		return "slot out of range";
	if (!ended(slot->reason, sizeof(slot->reason)))
		return "reason without its end";
	return NULL;
}

static const char *check_keep(const struct link_keep *keep)
{
	if (keep->service >= BOARD_SERVICES)
		return "KEEP: index out of range";
	if (keep->pid < 0)
		return "KEEP: negative pid";
	if (!ended(keep->label, sizeof(keep->label)))
		return "KEEP: label without its end";
	return NULL;
}

static const char *check_kept(const struct link_kept *kept)
{
	if (kept->error > 0)
		return "KEPT: positive error";
	if (kept->error == 0 && kept->slot >= BOARD_SLOTS)
		return "KEPT: slot out of range";
	return NULL;
}

static const char *check_frame(const struct link_message *message, size_t length)
{
	if (length != sizeof(*message))
		return "message of a wrong size";
	if (message->version != LINK_VERSION)
		return "message of another version of lust-inetd";
	return NULL;
}

/* Descriptors that a message may carry, by type; SERVER's depend on its flags. */
static const char *check_fds(uint16_t type, unsigned fds)
{
	unsigned least = 0, most = 0;

	switch (type) {
	case LINK_HELLO:
		least = 2;
		most = 3;
		break;
	case LINK_LISTENER:
		most = 1;
		break;
	case LINK_HELD:
		least = most = 1;
		break;
	case LINK_SERVER:
		least = 2;
		most = 3;
		break;
	case LINK_KEEP:
		least = most = 3;
		break;
	}
	if (fds < least)
		return "a descriptor is missing";
	return fds > most ? "more descriptors than the message takes" : NULL;
}

const char *link_check_from_supervisor(const struct link_message *message, size_t length, unsigned fds)
{
	const char *wrong = check_frame(message, length);

	if (!wrong)
		wrong = check_fds(message->type, fds);
	if (wrong)
		return wrong;
	switch (message->type) {
	case LINK_HELLO:
		return check_hello(&message->hello);
	case LINK_BEGIN:
		return check_begin(&message->begin);
	case LINK_SERVICE:
		return check_service(&message->service);
	case LINK_RULE:
		return check_rule(&message->rule);
	case LINK_LISTENER:
		return check_listener(&message->listener);
	case LINK_SERVER:
		return check_server(&message->server, fds);
	case LINK_SERVER_DIED:
	case LINK_DRAIN:
	case LINK_FORGET:
		return check_slot(&message->slot);
	case LINK_KEPT:
		return check_kept(&message->kept);
	case LINK_PAUSE:
	case LINK_RESUME:
		return message->service.service < BOARD_SERVICES ? NULL : "PAUSE, RESUME: index out of range";
	case LINK_HELD:
		return message->held.index < BOARD_LEDGER ? NULL : "HELD: index out of range";
	case LINK_COMMIT:
	case LINK_HAND_OVER:
	case LINK_QUIESCE:
	case LINK_PING:
	case LINK_SHUTDOWN:
		return NULL;
	}
	return "a type that the supervisor does not send";
}

const char *link_check_from_dispatcher(const struct link_message *message, size_t length, unsigned fds)
{
	const char *wrong = check_frame(message, length);

	if (!wrong)
		wrong = check_fds(message->type, fds);
	if (wrong)
		return wrong;
	switch (message->type) {
	case LINK_REGISTERED:
	case LINK_IDLE:
	case LINK_SLOT_FREE:
	case LINK_SETTLING:
	case LINK_GONE:
	case LINK_DEREGISTERED:
		return check_slot(&message->slot);
	case LINK_KEEP:
		return check_keep(&message->keep);
	case LINK_HELD:
		return message->held.index < BOARD_LEDGER ? NULL : "HELD: index out of range";
	case LINK_READY:
	case LINK_COMMITTED:
	case LINK_QUIET:
	case LINK_PONG:
		return NULL;
	}
	return "a type that the dispatcher does not send";
}
