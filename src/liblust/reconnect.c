/*
 * reconnect.c: a server that came through the door outlives the daemon.  It tries the door again by itself, step by
 * step, whenever receive is called: nothing here waits.  What it holds goes on meanwhile, and REGISTER counts it.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS 5000

static int look_at_root(dev_t *device, ino_t *inode)
{
	struct stat root;

	if (stat("/", &root) < 0)
		return -errno;
	*device = root.st_dev;
	*inode = root.st_ino;
	return 0;
}

int lust_reconnect_prepare(struct lust_server *server, const struct sockaddr_un *door)
{
	struct lust_reconnect *reconnect = &server->reconnect;
	struct epoll_event event = {.events = EPOLLIN};
	int result = look_at_root(&reconnect->root_device, &reconnect->root_inode);

	if (result < 0)
		return result;
	reconnect->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (reconnect->timer < 0 || epoll_ctl(server->watch, EPOLL_CTL_ADD, reconnect->timer, &event) < 0)
		return -errno;
	reconnect->door = *door;
	return 0;
}

int lust_reconnect_inherit(struct lust_server *child, const struct lust_server *parent)
{
	int result;

	if (parent->reconnect.timer < 0)
		return 0;
	result = lust_reconnect_prepare(child, &parent->reconnect.door);
	child->reconnect.root_device = parent->reconnect.root_device;
	child->reconnect.root_inode = parent->reconnect.root_inode;
	return result;
}

/* Milliseconds; -1: never. */
static void arm(struct lust_server *server, int64_t ms)
{
	struct itimerspec when = {0};

	if (ms >= 0) {
		when.it_value.tv_sec = ms / 1000;
		when.it_value.tv_nsec = ms % 1000 * 1000000 + 1; /* zero would disarm it */
	}
	(void)timerfd_settime(server->reconnect.timer, 0, &when, NULL);
}

static bool time_is_up(struct lust_server *server)
{
	uint64_t count;

	return read(server->reconnect.timer, &count, sizeof(count)) == sizeof(count);
}

static uint32_t any_number(void)
{
	struct timespec now;
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) == sizeof(number))
		return number;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)now.tv_nsec ^ (uint32_t)getpid();
}

/* Out of the epoll set first: a forked child may have duplicates, and then closing leaves it there. */
static void drop(struct lust_server *server, int *fd)
{
	if (*fd < 0)
		return;
	epoll_ctl(server->watch, EPOLL_CTL_DEL, *fd, NULL);
	close(*fd);
	*fd = -1;
}

static void detach(struct lust_server *server)
{
	/* For a daemon that lives and did not answer in time: the end of this visit, whoever else has a duplicate. */
	if (server->lifeline >= 0)
		shutdown(server->lifeline, SHUT_RDWR);
	drop(server, &server->lifeline);
	drop(server, &server->pair);
	server->watched = 0;
	server->blocked = false;
	server->due = 0;
	server->generation = 0;
	server->last_batch = 0;
	server->unaccounted = true;
}

/* All servers of a daemon lose it at the same moment: each waits for a time of its own. */
static void pause_then_knock(struct lust_server *server)
{
	struct lust_reconnect *reconnect = &server->reconnect;
	uint32_t half = reconnect->pause_ms / 2;

	detach(server);
	reconnect->step = LUST_STEP_PAUSE;
	arm(server, half + any_number() % (half + 1));
	reconnect->pause_ms *= 2;
	if (reconnect->pause_ms > LONGEST_PAUSE_MS)
		reconnect->pause_ms = LONGEST_PAUSE_MS;
}

/* What was refused and did not leave has nobody to go to any more. */
static void forget_daemon(struct lust_server *server)
{
	const struct lust_held *held;

	while ((held = lust_held_due(&server->held))) {
		if (held->state == LUST_HELD_REFUSE_DUE && held->fd >= 0)
			lust_close_unlingered(held->fd);
		lust_held_drop_due(&server->held);
	}
	lust_held_orphan(&server->held);
}

void lust_reconnect_begin(struct lust_server *server)
{
	switch (server->phase) {
	case LUST_PHASE_DENIED:
	case LUST_PHASE_GONE:
		return;
	case LUST_PHASE_LOST: /* the next one died too, before it was done with us */
		pause_then_knock(server);
		return;
	case LUST_PHASE_REGISTERED:
		if (server->reconnect.timer < 0 || server->drain_asked)
			break;
		server->phase = LUST_PHASE_LOST;
		server->reconnect.pause_ms = FIRST_PAUSE_MS;
		forget_daemon(server);
		pause_then_knock(server);
		return;
	case LUST_PHASE_KNOCKING:
	case LUST_PHASE_DRAINED:
		break;
	}
	server->phase = LUST_PHASE_GONE;
}

void lust_reconnect_end(struct lust_server *server)
{
	if (server->reconnect.timer < 0)
		return;
	arm(server, -1);
	server->reconnect.refused = false;
	server->reason[0] = '\0';
}

void lust_reconnect_give_up(struct lust_server *server)
{
	detach(server);
	lust_reconnect_end(server);
	server->phase = LUST_PHASE_GONE;
}

void lust_reconnect_denied(struct lust_server *server)
{
	server->reconnect.refused = !server->denied_for_now;
	pause_then_knock(server);
}

static int knock(struct lust_server *server)
{
	const struct sockaddr_un *door = &server->reconnect.door;
	struct epoll_event event = {.events = EPOLLIN};
	struct lust_wire_register reg;
	int result;

	server->lifeline = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->lifeline < 0)
		return -errno;
	/* A full backlog is EAGAIN, and no attempt stays behind. */
	if (connect(server->lifeline, (const struct sockaddr *)door, sizeof(*door)) < 0 ||
	    epoll_ctl(server->watch, EPOLL_CTL_ADD, server->lifeline, &event) < 0)
		return -errno;
	lust_fill_register(server, LUST_WIRE_REGISTER, &reg);
	result = lust_message_send(server->lifeline, &reg, sizeof(reg), NULL, 0, MSG_DONTWAIT);
	return result == -EPIPE ? 0 : result; /* the answer, if any, can still be read */
}

/* Since it registered, it went where the name of the door leads nowhere: no daemon can be found from there. */
static bool walled_in(const struct lust_server *server, int error)
{
	dev_t device = 0;
	ino_t inode = 0;

	if (error != -ENOENT && error != -ENOTDIR)
		return false;
	return look_at_root(&device, &inode) == 0 &&
	       (device != server->reconnect.root_device || inode != server->reconnect.root_inode);
}

static void step_knock(struct lust_server *server)
{
	int result = knock(server);

	if (result == 0) {
		server->reconnect.step = LUST_STEP_ANSWER;
		arm(server, server->wait_ms);
	} else if (walled_in(server, result)) {
		lust_reconnect_give_up(server);
	} else {
		pause_then_knock(server);
	}
}

static void step_answer(struct lust_server *server, bool up)
{
	int result = lust_hear_lifeline(server);

	if (result == 0) {
		epoll_ctl(server->watch, EPOLL_CTL_DEL, server->lifeline, NULL);
		server->reconnect.step = LUST_STEP_REGISTRATION;
		arm(server, server->wait_ms);
	} else if (result == -EACCES) {
		lust_reconnect_denied(server);
	} else if (result < 0 || up) {
		pause_then_knock(server);
	}
}

void lust_reconnect_step(struct lust_server *server)
{
	bool up = time_is_up(server);

	switch (server->reconnect.step) {
	case LUST_STEP_PAUSE:
		if (up)
			step_knock(server);
		break;
	case LUST_STEP_ANSWER:
		step_answer(server, up);
		break;
	case LUST_STEP_REGISTRATION:
		if (up)
			pause_then_knock(server);
		break;
	}
}
