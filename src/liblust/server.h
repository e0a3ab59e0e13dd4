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
#include <sys/un.h>

#include "fd_message.h"
#include "held.h"
#include "lust.h"
#include "wire.h"

enum lust_phase {
	LUST_PHASE_KNOCKING, /* no answer to REGISTER yet */
	LUST_PHASE_REGISTERED,
	LUST_PHASE_LOST,    /* the daemon is gone, and its door is tried again */
	LUST_PHASE_DRAINED, /* no more will come; what is held is still told of */
	LUST_PHASE_DENIED,
	LUST_PHASE_GONE, /* the daemon is, for good: nobody is left to tell */
};

/* Where a server in LUST_PHASE_LOST stands. */
enum lust_step {
	LUST_STEP_PAUSE,        /* no pair, no lifeline */
	LUST_STEP_ANSWER,       /* knocked: PAIR is awaited at the lifeline */
	LUST_STEP_REGISTRATION, /* HELLO and REGISTERED are awaited at the pair */
};

/* DONE that waits for others of its kind. */
struct lust_gather {
	int timer;      /* timerfd, in the epoll set, so that somebody who waits there says them in time; -1: none yet */
	bool armed;     /* runs, though nothing may be waiting any more */
	bool waiting;   /* the queue holds nothing but gathered DONE */
	int64_t end_ns; /* armed: when it fires */
	uint32_t count; /* armed: how many it gathered */
	uint32_t rest;  /* so many go at once before it is tried again */
};

struct lust_reconnect {
	int timer; /* timerfd, in the epoll set: the end of a pause, or of the patience with a door; -1: for LUST_FD */
	struct sockaddr_un door;
	dev_t root_device; /* the root directory when it registered */
	ino_t root_inode;
	enum lust_step step;
	uint32_t pause_ms; /* the next one at most */
	bool refused;      /* the application is to be told */
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
	uint64_t wire; /* the daemon's id; entry.id is the application's */
	struct lust_wire_connection entry;
};

/* A message is read only while fewer than LUST_BATCH_MAX wait, and brings as many at most. */
#define LUST_WAITING_MAX (2 * LUST_BATCH_MAX)

struct lust_server {
	pthread_mutex_t lock;
	pid_t owner; /* in a forked child the handle can only be freed */
	int pair;
	int lifeline; /* -1 when lust-inetd started this process */
	int watch; /* epoll, what lust_server_fd() returns: holds pair, nudge and more, so that any may change */
	int nudge; /* eventfd, readable while there is something to say that the pair does not show */
	bool nudged;
	uint32_t watched; /* epoll events asked of the pair */

	char service[LUST_WIRE_NAME], label[LUST_WIRE_NAME];
	char reason[LUST_WIRE_REASON];
	uint32_t capacity, batch;
	bool explicit_take, nonblocking, no_local;
	int32_t wait_ms;

	enum lust_phase phase;
	uint32_t generation; /* of the last HELLO */
	uint32_t acknowledge; /* of the last HELLO */
	bool unaccounted;    /* a new dispatcher does not know yet how many we hold */
	uint32_t last_batch;
	unsigned due; /* enum lust_due */
	bool blocked; /* the pair had no room: wait for it */
	bool drain_asked;
	bool denied_for_now; /* DENIED said that its reason passes */
	struct lust_reconnect reconnect;
	struct lust_gather gather;

	struct lust_held_table held;
	uint64_t clashes; /* ids that had to be replaced */
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
void lust_connection_fill(const struct lust_server *server, struct lust_connection *out,
			  const struct lust_waiting *from, bool nonblocking);

/* ---- acknowledge.c ---- */
/* Sends what is due.  0, or -EAGAIN while the pair has no room.  Locked. */
int lust_flush(struct lust_server *server);
/* TAKEN, ids.header.count of them, after what was due before and is not gathered. 0 or -EAGAIN.  Locked. */
int lust_say_taken(struct lust_server *server, struct lust_wire_ids *ids);
/* REGISTER or CLONE of this handle. */
void lust_fill_register(const struct lust_server *server, enum lust_wire_type type,
			struct lust_wire_register *reg);

/* ---- gather.c: all locked ---- */
/* A DONE was queued.  True: it may wait, and the timer runs. */
bool lust_gather(struct lust_server *server);
/* The phase or what is held has changed: may what waits go on waiting? */
bool lust_gather_may_wait(const struct lust_server *server);
/* What waits has waited for long enough, or there is more to say than that. */
bool lust_gather_is_over(struct lust_server *server);

/* ---- deadline.c ---- */
/* Milliseconds of CLOCK_MONOTONIC; LUST_NEVER: no limit. */
#define LUST_NEVER INT64_MAX
int64_t lust_deadline(int timeout_ms);                       /* -1: never */
int lust_remaining(int64_t deadline);                        /* for poll(2) */
int lust_wait_ready(int fd, int64_t deadline, short events); /* 0, -ETIMEDOUT, -EINTR */

/* ---- reconnect.c: all locked ---- */
/* Before the registration: where the door is.  0 or -errno. */
int lust_reconnect_prepare(struct lust_server *server, const struct sockaddr_un *door);
int lust_reconnect_inherit(struct lust_server *child, const struct lust_server *parent);
/* The pair has ended: LUST_PHASE_LOST, or GONE for those who do not come back. */
void lust_reconnect_begin(struct lust_server *server);
void lust_reconnect_step(struct lust_server *server);   /* in LUST_PHASE_LOST: what needs no waiting */
void lust_reconnect_denied(struct lust_server *server); /* the reason is set: later again */
void lust_reconnect_end(struct lust_server *server);    /* registered, or drained */
void lust_reconnect_give_up(struct lust_server *server);

/* ---- register.c ---- */
/* One message at the lifeline: 0 with the pair attached, 1: there is none yet, -EACCES with the reason, or another
   error. */
int lust_hear_lifeline(struct lust_server *server);
void lust_note_denied(struct lust_server *server, const struct lust_wire_denied *denied);
/* Waits at the lifeline for PAIR and attaches what it brings.  0, -EACCES with the reason, -ECONNRESET,
   -ETIMEDOUT ... */
int lust_await_pair(struct lust_server *server, int64_t deadline);
/* HELLO, REGISTER and the answer.  0, -EACCES, -ETIMEDOUT, -ECONNREFUSED, -EPROTO. */
int lust_await_registration(struct lust_server *server, int64_t deadline);

#endif
