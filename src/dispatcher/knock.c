/*
 * knock.c: one registration at the door, from the first word to the pair.  The connection it came by is its lifeline
 * afterwards.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher.h"
#include "fd_message.h"
#include "identity.h"

#define KNOCK_S 10.
#define KNOCKS_A_USER 16u

struct knock {
	struct dispatcher *dispatcher;
	int fd;           /* owned; -1: this one is free */
	int ours, theirs; /* owned, once it was let in; -1 */
	uint32_t ticket;  /* 0: no KEEP was sent */
	uint32_t service; /* once it was let in */
	struct identity identity;
	struct ev_io io;
	struct ev_timer timer;
};

static void knock_end(struct knock *knock)
{
	struct dispatcher *d = knock->dispatcher;
	ev_io_stop(d->loop, &knock->io);
	ev_timer_stop(d->loop, &knock->timer);
	/* The supervisor may not have been told yet: what waits in the queue of the link is closed after it. */
	int *owned[] = {&knock->fd, &knock->ours, &knock->theirs};
	for (unsigned i = 0; i < 3; i++) {
		d->other_fds -= *owned[i] >= 0;
		channel_close_after(&d->link, *owned[i]);
		*owned[i] = -1;
	}
	identity_free(&knock->identity);
	knock->ticket = 0;
}

static void report_refused(struct dispatcher *d, const struct identity *identity, uint32_t service,
			   enum event_refusal why)
{
	report(d, &(struct event){
			  .code = EVENT_REFUSED_REGISTRATION,
			  .number = why,
			  .service = service,
			  .slot = BOARD_NONE,
			  .pid = identity->pid,
			  .uid = identity->uid,
			  .gid = identity->gid,
		  });
}

/* The one text that a stranger may bring into an event: in the letters of service names, or nothing. */
static void copy_asked(char asked[LUST_WIRE_NAME], const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strnlen(name, LUST_WIRE_NAME - 1);
	if (strspn(name, letters) == length)
		memcpy(asked, name, length);
}

static void knock_refuse_unknown(struct knock *knock, const char *name)
{
	struct event event = {
		.code = EVENT_REFUSED_REGISTRATION,
		.number = REFUSAL_NO_SERVICE,
		.service = BOARD_NONE,
		.slot = BOARD_NONE,
		.pid = knock->identity.pid,
		.uid = knock->identity.uid,
		.gid = knock->identity.gid,
	};
	copy_asked(event.asked, name);
	report(knock->dispatcher, &event);
	say_denied(knock->fd, REFUSAL_NO_SERVICE);
	knock_end(knock);
}

static void knock_refuse(struct knock *knock, uint32_t service, enum event_refusal why)
{
	report_refused(knock->dispatcher, &knock->identity, service, why);
	say_denied(knock->fd, why);
	knock_end(knock);
}

static void wait_for_word(struct knock *knock)
{
	ev_timer_stop(knock->dispatcher->loop, &knock->timer);
	ev_timer_set(&knock->timer, KNOCK_S, 0.);
	ev_timer_start(knock->dispatcher->loop, &knock->timer);
}

/* Welcome: a pair, which the supervisor keeps a hold of, and counts. */
static void knock_admit(struct knock *knock, const struct service *service,
			const struct lust_wire_register *reg)
{
	struct dispatcher *d = knock->dispatcher;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		knock_refuse(knock, service->index, REFUSAL_BUSY);
		return;
	}
	knock->ours = pair[0];
	knock->theirs = pair[1];
	d->other_fds += 2;
	if (lust_allow_credentials(knock->ours) < 0) {
		knock_refuse(knock, service->index, REFUSAL_BUSY);
		return;
	}
	/* Not for a clone: it comes over a pair that is being read, whose server must not end under the reader. */
	if (ev_is_active(&knock->io))
		leave_returning(d, service, knock->identity.told_pid);
	ev_io_stop(d->loop, &knock->io);
	wait_for_word(knock); /* KEPT: a place at the door is not held for ever */
	knock->service = service->index;
	if (!++d->next_ticket)
		d->next_ticket = 1;
	knock->ticket = d->next_ticket;
	struct link_keep keep = {
		.ticket = knock->ticket,
		.service = knock->service,
		.pid = knock->identity.told_pid,
		.uid = knock->identity.told_uid,
		.gid = knock->identity.told_gid,
	};
	memcpy(keep.label, reg->label, sizeof(keep.label));
	tell_keep(d, &keep, (int[]){knock->ours, knock->theirs, knock->fd});
}

static void knock_judge(struct knock *knock, const struct lust_wire_register *reg)
{
	struct dispatcher *d = knock->dispatcher;
	const struct service *service = service_by_name(d, reg->service);
	if (!service) {
		knock_refuse_unknown(knock, reg->service);
		return;
	}
	struct identity_rules rules = {
		.rule = service->set->rule,
		.count = service->set->rule_count,
		.allow_root = service->set->allow_root,
		.allow_foreign = service->set->allow_foreign,
	};
	enum event_refusal why = identity_judge(&knock->identity, &rules);
	if (!why && d->quiesced)
		why = REFUSAL_STOPPING;
	/* A supervisor that does not read: the descriptors of those who wait for it would use up ours. */
	if (!why && channel_pending(&d->link))
		why = REFUSAL_BUSY;
	if (why)
		knock_refuse(knock, service->index, why);
	else
		knock_admit(knock, service, reg);
}

static void remember_sender(struct identity *identity, const struct lust_message *from)
{
	identity->told = from->has_credentials;
	identity->told_pid = from->credentials.pid;
	identity->told_uid = from->credentials.uid;
	identity->told_gid = from->credentials.gid;
}

static void knock_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	struct knock *knock = watcher->data;
	union lust_wire_message message;
	struct lust_message from;
	int result = lust_message_receive(knock->fd, &message, sizeof(message), &from, 0, MSG_DONTWAIT);
	if (result == -EAGAIN || result == -EINTR)
		return;
	if (result <= 0) { /* left without a word */
		knock_end(knock);
		return;
	}
	remember_sender(&knock->identity, &from);
	if (lust_wire_check_from_server(&message, from.length) || message.header.type != LUST_WIRE_REGISTER)
		knock_refuse(knock, BOARD_NONE, REFUSAL_GARBAGE);
	else if (from.surplus || from.truncated)
		knock_refuse(knock, BOARD_NONE, REFUSAL_DESCRIPTORS);
	else
		knock_judge(knock, &message.reg);
}

static void knock_time_up(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	struct knock *knock = watcher->data;
	if (knock->ticket)
		knock_refuse(knock, knock->service, REFUSAL_LATE);
	else
		knock_refuse(knock, BOARD_NONE, REFUSAL_TIMEOUT);
}

/* A close() with something unread would reach the client as a reset, before the answer. */
static void throw_away_unread(int fd)
{
	union lust_wire_message message;
	struct lust_message from;
	(void)lust_message_receive(fd, &message, sizeof(message), &from, 0, MSG_DONTWAIT);
}

/* A free place, with the identity of who holds the other end; NULL: refused and closed. */
static struct knock *knock_new(struct dispatcher *d, int fd)
{
	struct identity identity = {0};
	struct knock *place = NULL;
	unsigned same_user = 0;
	if (identity_read(fd, &identity) < 0) {
		close(fd);
		return NULL;
	}
	for (unsigned i = 0; i < DOOR_KNOCKS; i++) {
		if (d->knock[i].fd < 0)
			place = &d->knock[i];
		else if (d->knock[i].identity.uid == identity.uid)
			same_user++;
	}
	/* One user's crowd leaves room for the others. */
	if (!place || same_user >= KNOCKS_A_USER) {
		report_refused(d, &identity, BOARD_NONE, REFUSAL_BUSY);
		throw_away_unread(fd);
		say_denied(fd, REFUSAL_BUSY);
		identity_free(&identity);
		close(fd);
		return NULL;
	}
	place->fd = fd;
	d->other_fds++;
	place->identity = identity;
	ev_io_init(&place->io, knock_ready, fd, EV_READ);
	ev_timer_init(&place->timer, knock_time_up, KNOCK_S, 0.);
	place->io.data = place->timer.data = place;
	return place;
}

void knock_begin(struct dispatcher *d, int fd)
{
	struct knock *knock = knock_new(d, fd);
	if (!knock)
		return;
	ev_io_start(d->loop, &knock->io);
	wait_for_word(knock);
}

static bool is_packet_socket(int fd)
{
	int domain = 0, type = 0;
	socklen_t length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
		return false;
	length = sizeof(int);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && domain == AF_UNIX &&
	       type == SOCK_SEQPACKET;
}

/* A forked child asks over its parent's pair; the socket that it sends is what it would have knocked with. */
void knock_clone(struct dispatcher *d, struct server *server, const struct lust_wire_register *reg, int fd,
		 const struct lust_credentials *sender)
{
	if (!is_packet_socket(fd)) {
		struct identity identity = {.pid = sender->pid, .uid = sender->uid, .gid = sender->gid};
		report_refused(d, &identity, server->service->index, REFUSAL_DESCRIPTORS);
		lust_close_unlingered(fd);
		return;
	}
	struct knock *knock = knock_new(d, fd);
	if (!knock)
		return;
	knock->identity.told = true;
	knock->identity.told_pid = sender->pid;
	knock->identity.told_uid = sender->uid;
	knock->identity.told_gid = sender->gid;
	if (strcmp(reg->service, server->service->name) != 0)
		knock_refuse(knock, server->service->index, REFUSAL_WRONG_SERVICE);
	else
		knock_judge(knock, reg);
}

static enum event_refusal kept_refusal(int error)
{
	switch (error) {
	case 0:
		return REFUSAL_NONE;
	case -EUSERS:
		return REFUSAL_TOO_MANY;
	case -ENOENT:
		return REFUSAL_NO_SERVICE;
	default:
		return REFUSAL_BUSY;
	}
}

static struct server *knock_serve(struct knock *knock, const struct link_kept *kept)
{
	struct dispatcher *d = knock->dispatcher;
	struct service *service = d->service[knock->service];
	struct link_server record = {
		.slot = kept->slot,
		.generation = kept->generation,
		.service = knock->service,
		.flags = LINK_SERVER_EXTERNAL,
		.pid = knock->identity.told_pid,
		.uid = knock->identity.told_uid,
		.gid = knock->identity.told_gid,
	};
	if (!service || service->removed || kept->slot >= BOARD_SLOTS || d->server[kept->slot])
		return NULL;
	struct server *server = server_new(d, &record, service, knock->ours, knock->theirs, knock->fd);
	if (!server)
		return NULL;
	recover_server(d, server);
	knock->fd = knock->ours = knock->theirs = -1; /* the server's now, which counts them itself */
	d->other_fds -= 3;
	return server;
}

void knock_kept(struct dispatcher *d, const struct link_kept *kept)
{
	struct knock *knock = NULL;
	for (unsigned i = 0; i < DOOR_KNOCKS; i++)
		if (kept->ticket && d->knock[i].ticket == kept->ticket)
			knock = &d->knock[i];
	if (!knock) {
		if (!kept->error)
			tell_slot(d, LINK_GONE, kept->slot, kept->generation);
		return;
	}
	enum event_refusal why = kept_refusal(kept->error);
	if (why) {
		knock_refuse(knock, knock->service, why);
		return;
	}
	struct server *server = knock_serve(knock, kept);
	if (!server) {
		tell_slot(d, LINK_GONE, kept->slot, kept->generation);
		knock_refuse(knock, knock->service, REFUSAL_STOPPING);
		return;
	}
	say_pair(server);
	knock_end(knock);
}

int knocks_open(struct dispatcher *d)
{
	d->knock = calloc(DOOR_KNOCKS, sizeof(*d->knock));
	if (!d->knock)
		return -ENOMEM;
	for (unsigned i = 0; i < DOOR_KNOCKS; i++) {
		struct knock *knock = &d->knock[i];
		knock->dispatcher = d;
		knock->fd = knock->ours = knock->theirs = -1;
	}
	return 0;
}

bool knocks_busy(const struct dispatcher *d)
{
	for (unsigned i = 0; i < DOOR_KNOCKS; i++)
		if (d->knock[i].fd >= 0)
			return true;
	return false;
}

void knocks_close(struct dispatcher *d)
{
	for (unsigned i = 0; d->knock && i < DOOR_KNOCKS; i++)
		if (d->knock[i].fd >= 0)
			knock_end(&d->knock[i]);
	free(d->knock);
	d->knock = NULL;
}
