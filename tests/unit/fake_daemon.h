/*
 * fake_daemon.h: the tests of liblust play the daemon at the other end of a socket pair.
 */
#ifndef FAKE_DAEMON_H
#define FAKE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "fd_message.h"
#include "lust.h"
#include "wire.h"

#define FAKE_GENERATION 7u

struct fake_daemon {
	int ours;   /* the daemon's end */
	int theirs; /* the server's, before lust_server_register() takes it over */
	uint32_t batch;
	union lust_wire_message heard;
	struct lust_message came;
};

/* A pair whose server's end is in LUST_FD; LUST_SERVICE is "web". */
void fake_open(struct fake_daemon *daemon);

/* fake_open(), HELLO and REGISTERED, then lust_server_register(); REGISTER was heard. */
struct lust_server *fake_register(struct fake_daemon *daemon, const struct lust_options *options);

void fake_hello(struct fake_daemon *daemon, uint32_t generation);
void fake_say(int socket, enum lust_wire_type type);
void fake_deny(int socket, const char *reason);

/* One message, well-formed and from this process. Waits generously. */
enum lust_wire_type fake_hear_any(struct fake_daemon *daemon);
/* ... of this type. */
void fake_hear(struct fake_daemon *daemon, enum lust_wire_type type);
void fake_hear_ids(struct fake_daemon *daemon, enum lust_wire_type type, unsigned count, const uint64_t *ids);
/* ... and nothing more lies in the pair. */
void fake_hear_nothing(const struct fake_daemon *daemon);

/* A TCP connection over loopback: returns the client's end, *accepted is the daemon's. */
int fake_client(int *accepted);

uint64_t fake_id(uint32_t generation, uint64_t number);

/* One CONNECTIONS message with `count` connections numbered from `first`; clients[] are their other ends.
   The daemon's copies are closed, or left in copies[] when that is not NULL. */
void fake_give(struct fake_daemon *daemon, uint64_t first, unsigned count, int *clients, int *copies);

/* Lowers RLIMIT_NOFILE. */
void fake_limit_fds(unsigned limit);

/* RUNTIME-DIR/register.sock in a directory of its own; LUST_FD is unset, LUST_SERVICE is "web". */
struct fake_door {
	char directory[64];
	int socket; /* listens */
};
void fake_door_make(struct fake_door *door);
void fake_door_listen(struct fake_door *door, int backlog); /* again, after fake_door_shut() */
void fake_door_shut(struct fake_door *door);                /* the file too */
void fake_door_remove(struct fake_door *door);

/* Accepts and hears the knock. */
int fake_visitor(struct fake_daemon *daemon, const struct fake_door *door);
void fake_deny_for_now(int socket, const char *reason);
/* PAIR at the lifeline, then the pair as with any server: HELLO comes first. */
void fake_give_pair(struct fake_daemon *daemon, int lifeline, uint32_t generation);

bool fake_readable(int fd);
/* Open descriptors of this process. */
unsigned fake_count_fds(void);

#endif
