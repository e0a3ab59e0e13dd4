/*
 * server.h: the handle, and what the files of the registering half share.  Private to liblust.
 *
 * The mutex guards everything that can change after registration.  Nothing blocks while it is held: the
 * pair is used with MSG_DONTWAIT only (O_NONBLOCK would belong to the open file, which the daemon shares).
 */
#ifndef LUST_SERVER_H
#define LUST_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fd_message.h"
#include "held.h"
#include "lust.h"
#include "wire.h"

enum lust_phase {
	LUST_PHASE_KNOCKING, /* no answer to REGISTER yet */
	LUST_PHASE_REGISTERED,
	LUST_PHASE_DRAINED, /* no more will come; what is held is still told of */
	LUST_PHASE_DENIED,
	LUST_PHASE_GONE, /* the daemon is: nobody is left to tell */
};

/* Messages without a queue of their own that could not be sent yet. */
enum lust_due {
	LUST_DUE_REGISTER = 1,
	LUST_DUE_CAPACITY = 2,
	LUST_DUE_ALIVE = 4,
	LUST_DUE_DRAINING = 8,
};

/* Received, not yet given to the application. */
struct lust_waiting {
	int fd;
	struct lust_wire_connection entry;
};

/* A message is read only while fewer than LUST_BATCH_MAX wait, and brings as many at most. */
#define LUST_WAITING_MAX (2 * LUST_BATCH_MAX)

struct lust_server {
	pthread_mutex_t lock;
	pid_t owner; /* in a forked child the handle can only be freed */
	int pair;
	int lifeline; /* -1 when lust-inetd started this process */
	int watch; /* epoll, what lust_server_fd() returns: holds pair and nudge, so that either may change */
	int nudge; /* eventfd, readable while there is something to say that the pair does not show */
	bool nudged;
	uint32_t watched; /* epoll events asked of the pair */

	char service[LUST_WIRE_NAME], label[LUST_WIRE_NAME];
	char reason[LUST_WIRE_REASON];
	uint32_t capacity, batch;
	bool explicit_take, nonblocking;
	int32_t wait_ms;

	enum lust_phase phase;
	uint32_t generation; /* of the last HELLO */
	bool unaccounted;    /* a new dispatcher does not know yet how many we hold */
	uint32_t last_batch;
	unsigned due; /* enum lust_due */
	bool blocked; /* the pair had no room: wait for it */
	bool drain_asked;

	struct lust_held_table held;
	struct lust_waiting waiting[LUST_WAITING_MAX]; /* a ring */
	unsigned waiting_first, waiting_count;
};

/* ---- handle.c ---- */
struct lust_server *lust_handle_new(void);                    /* NULL with errno set */
int lust_handle_attach(struct lust_server *server, int pair); /* the handle's, also on failure: 0 or -errno */
void lust_handle_refresh(
	struct lust_server *server); /* makes lust_server_fd() tell the truth again; locked */
static inline bool lust_handle_ended(const struct lust_server *server)
{
	return server->phase >= LUST_PHASE_DRAINED;
}

/* ---- receive.c ---- */
/* Reads and deals with one message: 1; 0 when there is none; -ENOMEM, -EPROTO, or what recvmsg said. Locked. */
int lust_pump(struct lust_server *server);

/* ---- connection.c ---- */
/* Fills in what the application sees, and makes O_NONBLOCK what it asked for. */
void lust_connection_fill(struct lust_connection *out, const struct lust_waiting *from, bool nonblocking);

/* ---- acknowledge.c ---- */
/* Sends what is due.  0, or -EAGAIN while the pair has no room.  Locked. */
int lust_flush(struct lust_server *server);
/* TAKEN, ids.header.count of them, after what was due before. 0 or -EAGAIN.  Locked. */
int lust_say_taken(struct lust_server *server, struct lust_wire_ids *ids);
/* REGISTER or CLONE of this handle. */
void lust_fill_register(const struct lust_server *server, enum lust_wire_type type,
			struct lust_wire_register *reg);

/* ---- deadline.c ---- */
/* Milliseconds of CLOCK_MONOTONIC; LUST_NEVER: no limit. */
#define LUST_NEVER INT64_MAX
int64_t lust_deadline(int timeout_ms);                       /* -1: never */
int lust_remaining(int64_t deadline);                        /* for poll(2) */
int lust_wait_ready(int fd, int64_t deadline, short events); /* 0, -ETIMEDOUT, -EINTR */

/* ---- register.c ---- */
/* Waits at the lifeline for PAIR and attaches what it brings.  0, -EACCES with the reason, -ECONNRESET,
   -ETIMEDOUT ... */
int lust_await_pair(struct lust_server *server, int64_t deadline);
/* HELLO, REGISTER and the answer.  0, -EACCES, -ETIMEDOUT, -ECONNREFUSED, -EPROTO. */
int lust_await_registration(struct lust_server *server, int64_t deadline);

#endif
