/*
 * rig.h: a dispatcher in this process, with the test as its supervisor, its servers and its clients.  Nothing sleeps:
 * the loop is turned until a condition holds.
 */
#ifndef RIG_H
#define RIG_H

#define RIG_OPEN_MOST 4096 /* descriptors that a process can have, to the dispatcher under test */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include "board.h"
#include "channel.h"
#include "dispatcher.h"
#include "fd_message.h"
#include "wire.h"

struct rig {
	struct dispatcher *d;
	struct channel link; /* the supervisor's end */
	int board_fd, events[2];
	int listener, door; /* the supervisor's; -1: none */
	uint16_t port;
	char door_path[64];
	struct link_service service; /* to be changed before rig_table() */
	struct link_rule rule;
	bool with_rule;
	uint32_t generation, tables;
	struct link_message last; /* of the link */
	int last_fds[CHANNEL_FDS];
	unsigned last_count;
	unsigned slots_freed; /* SLOT_FREE messages, read or skipped */
};

struct rig_server {
	uint32_t slot, generation;
	int ours, theirs;                /* the supervisor's copies */
	int fd;                          /* the server's */
	union lust_wire_message message; /* last received */
	struct lust_message from;
};

void rig_open(struct rig *rig);
void rig_close(struct rig *rig);
/* The dispatcher dies without a word (its descriptors close); another one starts on the same board. */
void rig_kill(struct rig *rig);
void rig_revive(struct rig *rig);
/* Both, and the table for the new one. */
void rig_next(struct rig *rig, const struct rig_server *servers, unsigned count, unsigned flags);

void rig_say(struct rig *rig, const struct link_message *message, const int *fds, unsigned count);
/* BEGIN to COMMIT: the one service, its listener, its rule, and the kept servers. */
void rig_table(struct rig *rig, const struct rig_server *servers, unsigned count, unsigned flags);

/* SERVER, with both ends of its pair. */
void rig_say_server(struct rig *rig, const struct rig_server *server, unsigned flags);

/* Turns the loop once, without waiting, and checks the sums. */
void rig_turn(struct rig *rig);
/* The next message of that type on the link, others skipped. */
void rig_expect(struct rig *rig, enum link_type type);
/* The next event with that code, others skipped. */
struct event rig_event(struct rig *rig, enum event_code code);

/* A supervised server: slot, pair, HELLO answered. */
void rig_server(struct rig *rig, struct rig_server *server, uint32_t slot, uint32_t capacity, uint32_t batch);
void rig_server_pair(struct rig *rig, struct rig_server *server, uint32_t slot);
void rig_register(struct rig *rig, struct rig_server *server, uint32_t capacity, uint32_t batch,
		  uint32_t held, uint32_t last_batch, uint32_t flags);
/* The same after HELLO of a new dispatcher, and what it answers. */
void rig_register_again(struct rig *rig, struct rig_server *server, uint32_t capacity, uint32_t batch,
			uint32_t held, uint32_t last_batch);
void rig_server_close(struct rig_server *server);
/* The supervisor tells of its death.  True: its slot is free; false: what it had waits for room. */
bool rig_died(struct rig *rig, const struct rig_server *server);
/* The same with its process's end.  Closes what is its own. */
void rig_die(struct rig *rig, struct rig_server *server);
/* The next message to the server must be of that type. */
void rig_hear(struct rig *rig, struct rig_server *server, enum lust_wire_type type);
/* The next message is one connection, whose descriptor is closed: its id. */
uint64_t rig_hear_id(struct rig *rig, struct rig_server *server);
/* So many connections, whose descriptors are closed. */
void rig_hear_ids(struct rig *rig, struct rig_server *server, uint64_t *ids, unsigned count);
/* Of the last message: the first connection's id, and all descriptors closed. */
uint64_t rig_first_id(const struct rig_server *server);
void rig_drop_fds(struct rig_server *server);
/* Nothing lies in its pair, after some turns. */
void rig_hear_nothing(struct rig *rig, struct rig_server *server);
void rig_ids(struct rig_server *server, enum lust_wire_type type, const uint64_t *ids, uint32_t count);
void rig_word(struct rig_server *server, enum lust_wire_type type);

/* Like rig_ids() for one id, with a descriptor. */
void rig_refuse(struct rig_server *server, uint64_t id, int fd);

/* As an ordinary user, no descriptor can be sent any more (ETOOMANYREFS) until rig_flight_free(). */
struct rig_flight {
	int ends[2];
	rlim_t before;
};
bool rig_flight_fill(struct rig_flight *flight); /* false: this user cannot bring it on */
void rig_flight_free(struct rig_flight *flight);

int rig_connect(const struct rig *rig);
/* What the server writes into that connection comes to that client. */
bool rig_answered(int client, int fd);
struct board_reading rig_read(const struct rig *rig);
/* Turns until accepted (or pending ...) is as wanted. */
void rig_until_accepted(struct rig *rig, uint64_t accepted);
void rig_until_taken(struct rig *rig, uint64_t taken);

uint64_t rig_now_ms(void);
#define RIG_UNTIL(rig, condition)                                                                            \
	do {                                                                                                 \
		uint64_t rig_deadline_ = rig_now_ms() + 20000;                                               \
		while (!(condition)) {                                                                       \
			ck_assert_msg(rig_now_ms() < rig_deadline_, "in vain: %s", #condition);              \
			rig_turn(rig);                                                                       \
		}                                                                                            \
	} while (0)

#endif
