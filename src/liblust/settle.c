/*
 * settle.c: what becomes of a received connection, and the words that a server says of itself.  Any thread
 * may call these.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <unistd.h>

#include "server.h"

/* The application has it and it is not over. */
static struct lust_held *find_given(const struct lust_server *server, uint64_t id)
{
	struct lust_held *held = lust_held_by_id(&server->held, id);

	return held && (held->state == LUST_HELD_UNTAKEN || held->state == LUST_HELD_TAKEN) ? held : NULL;
}

/* What every call ends with: says what is due and brings lust_server_fd() up to date. */
static void speak(struct lust_server *server)
{
	lust_flush(server);
	/* A drained application calls receive no more; a new dispatcher must still get its answer. */
	if (server->phase == LUST_PHASE_DRAINED) {
		while (lust_pump(server) > 0)
			;
	}
	lust_handle_refresh(server);
}

static void settle(struct lust_server *server, struct lust_held *held)
{
	/* Until it has REGISTER a new dispatcher discards all else, and REGISTER counts what is left. */
	if (server->unaccounted)
		lust_held_remove(&server->held, held);
	else
		lust_held_queue(&server->held, held, LUST_HELD_DONE_DUE);
	if (!lust_gather(server))
		speak(server);
}

int lust_server_take(struct lust_server *server, uint64_t id)
{
	struct lust_wire_ids ids = {.header.count = 1};
	struct lust_held *held;
	int result = 0;

	if (!server->explicit_take)
		return -EINVAL;
	pthread_mutex_lock(&server->lock);
	held = find_given(server, id);
	if (!held) {
		result = -ENOENT;
	} else if (held->state == LUST_HELD_UNTAKEN) {
		ids.id[0] = held->wire;
		result = lust_say_taken(server, &ids);
		if (result == 0)
			held->state = LUST_HELD_TAKEN;
		lust_handle_refresh(server);
	}
	pthread_mutex_unlock(&server->lock);
	return result;
}

int lust_server_refuse(struct lust_server *server, uint64_t id)
{
	struct lust_held *held;
	int result = 0;

	if (!server->explicit_take)
		return -EINVAL;
	pthread_mutex_lock(&server->lock);
	held = find_given(server, id);
	if (!held) {
		result = -ENOENT;
	} else if (held->state == LUST_HELD_TAKEN) {
		result = -EINVAL;
	} else if (held->orphan) {
		result = -ESTALE;
	} else {
		lust_held_queue(&server->held, held, LUST_HELD_REFUSE_DUE);
		speak(server);
	}
	pthread_mutex_unlock(&server->lock);
	return result;
}

int lust_server_done(struct lust_server *server, uint64_t id)
{
	struct lust_held *held;

	pthread_mutex_lock(&server->lock);
	held = find_given(server, id);
	if (held)
		settle(server, held);
	pthread_mutex_unlock(&server->lock);
	return held ? 0 : -ENOENT;
}

int lust_server_close(struct lust_server *server, int fd)
{
	struct lust_wire_ids ids = {.header.count = 1};
	struct lust_held *held;
	uint64_t id;

	pthread_mutex_lock(&server->lock);
	held = lust_held_by_fd(&server->held, fd);
	if (!held || held->state == LUST_HELD_WAITING) {
		pthread_mutex_unlock(&server->lock);
		return -EBADF;
	}
	id = held->id;
	ids.id[0] = held->wire;
	if (held->state == LUST_HELD_UNTAKEN && lust_say_taken(server, &ids) == 0)
		held->state = LUST_HELD_TAKEN;
	lust_held_forget_fd(&server->held, held);
	pthread_mutex_unlock(&server->lock);

	/*
	 * The dispatcher may not have read TAKEN yet, and while it has its copy our close() sends nothing:
	 * shutdown() does. SHUT_WR only: after SHUT_RD the kernel answers what the client still sends with
	 * a reset, which can destroy the answer before the client has read it.  Not under the lock: with
	 * SO_LINGER, close() can take seconds.
	 */
	shutdown(fd, SHUT_WR);
	close(fd);
	return lust_server_done(server, id);
}

static int say_later(struct lust_server *server, enum lust_due word)
{
	pthread_mutex_lock(&server->lock);
	server->due |= word;
	if (word == LUST_DUE_DRAINING) {
		server->drain_asked = true;
		if (server->phase == LUST_PHASE_LOST)
			lust_reconnect_give_up(server);
	}
	speak(server);
	pthread_mutex_unlock(&server->lock);
	return 0;
}

int lust_server_set_capacity(struct lust_server *server, uint32_t capacity)
{
	pthread_mutex_lock(&server->lock);
	server->capacity = capacity;
	pthread_mutex_unlock(&server->lock);
	return say_later(server, LUST_DUE_CAPACITY);
}

int lust_server_alive(struct lust_server *server)
{
	return say_later(server, LUST_DUE_ALIVE);
}

int lust_server_drain(struct lust_server *server)
{
	return say_later(server, LUST_DUE_DRAINING);
}
