/*
 * link.h: the one channel between supervisor and dispatcher: a SOCK_SEQPACKET pair, messages of one
 * fixed size, each descriptor tied to its record.  The supervisor pushes the whole state, BEGIN ...
 * COMMIT, to a new dispatcher, after every reload the services that have changed; between those, single changes.  The
 * supervisor answers the dispatcher's few requests from a permit table (supervisor/permit.c).
 *
 * Services, listeners and slots are named by index into the board (board.h), given out by the
 * supervisor alone.
 */
#ifndef LINK_H
#define LINK_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"

#define LINK_VERSION 2
#define LINK_FDS 3     /* descriptors a message at most */
#define LINK_NAME 64
#define LINK_PATH 108
#define LINK_TEXT 160

enum link_type {
	/* supervisor to dispatcher; in brackets the descriptors */
	LINK_HELLO = 1,      /* hello [board, event pipe, door or -]: once, first */
	LINK_BEGIN = 2,      /* begin: a table or a part of one follows; nothing takes effect before COMMIT */
	LINK_SERVICE = 3,    /* service */
	LINK_RULE = 4,       /* rule: who may register from outside */
	LINK_LISTENER = 5,   /* listener [socket]; without a descriptor: the one you have under this index */
	LINK_SERVER = 6,     /* server [ours, theirs, lifeline or nothing]: in a table or alone */
	LINK_COMMIT = 7,     /* commit; answered by COMMITTED.  Services, listeners that were not named are gone; when BEGIN
	                        said partial, only the listeners of services that were named */
	LINK_SERVER_DIED = 8,/* slot: process group or process is gone; answered by SLOT_FREE, or first by SETTLING */
	LINK_DRAIN = 9,      /* slot: give it no more, tell it so; answered by IDLE, at once or when it is */
	LINK_QUIESCE = 10,   /* quiesce: accept no more, for all services; answered by QUIET when nothing is pending */
	LINK_KEPT = 11,      /* kept: answer to KEEP */
	LINK_PING = 12,      /* ping: answered by PONG */
	LINK_FORGET = 13,    /* slot: free it without ceremony (after a QUIET, or an external one that we drop) */
	LINK_SHUTDOWN = 14,  /* nothing: close what is pending with a log line, then exit 0 */
	LINK_PAUSE = 15,     /* service: its clients wait, or are refused, as `overload` says, until RESUME (also inside a
	                        table: service.paused) */
	LINK_RESUME = 16,
	LINK_HAND_OVER = 17, /* nothing: send up, as HELD, every connection that you have a descriptor of, then exit 0 */

	/* dispatcher to supervisor */
	LINK_READY = 65,     /* nothing: jailed, dropped, ready for a table; once */
	LINK_COMMITTED = 66, /* commit */
	LINK_REGISTERED = 67,/* slot: this server is registered and ready */
	LINK_IDLE = 68,      /* slot: a draining server holds nothing any more */
	LINK_SLOT_FREE = 69, /* slot: I hold nothing of it */
	LINK_KEEP = 70,      /* keep [ours, theirs, lifeline]: hold these for me, give me a slot */
	LINK_GONE = 71,      /* slot: a server from outside went away; answered by FORGET's effect: none */
	LINK_QUIET = 72,     /* nothing */
	LINK_PONG = 73,      /* ping */
	LINK_HELD = 75,      /* held [connection]: of the ledger, after HAND_OVER; in the other direction to the next
	                        dispatcher, before its first table */
	LINK_SETTLING = 76,  /* slot: its server is dead and some of what it had waits for room elsewhere; SLOT_FREE follows,
	                        whenever that is.  After SERVER_DIED, or in place of GONE */
	LINK_DEREGISTERED = 74, /* slot: a supervised server closed or broke its pair, or broke the protocol */
};

enum link_balance { LINK_ROUND_ROBIN = 0, LINK_LEAST_CONNECTIONS = 1, LINK_SOURCE_HASH = 2 };
enum link_acknowledge { LINK_ACK_TAKEN = 0, LINK_ACK_DONE = 1 };
enum link_overload { LINK_OVERLOAD_WAIT = 0, LINK_OVERLOAD_REFUSE = 1 };

struct link_hello {
	uint32_t generation;   /* of the dispatcher, not 0; counts from another number in every daemon, as servers
	                          from outside bring ids of earlier ones; ids have its low 16 bits */
	uint8_t unprivileged;  /* skip jail and setuid */
	uint8_t recovering;    /* the board holds what a dead dispatcher left: settle it before READY's table */
	uint8_t pad[2];
	uint32_t uid, gid;
	uint64_t nofile;       /* soft limit to set */
	char jail[LINK_PATH];
};

struct link_begin {
	uint32_t table;        /* generation of the table */
	uint32_t services, listeners, servers; /* how many records follow */
	uint32_t partial;      /* 1: services that are not named stay as they are; not the first table */
};

struct link_service {
	uint32_t service;      /* index */
	uint32_t fresh;        /* 1: the index is new or used again: its counters start at 0 */
	char name[LINK_NAME];
	uint8_t balance, acknowledge, overload, paused;
	uint8_t allow_root, allow_foreign;
	uint16_t window;
	uint32_t take_timeout_ms;
	uint32_t max_registered; /* from outside */
	uint32_t supervised;     /* servers that the supervisor keeps: 0 for start = external */
	uint32_t gone;           /* 1: not in the table any more; in a whole one: but some of its servers are there */
	uint32_t rules_as;       /* no RULE follows: they are those of this service of the same table; plus 1; 0: its own */
};

enum link_rule_kind { LINK_RULE_UID = 1, LINK_RULE_GID = 2 };

struct link_rule {
	uint32_t service;
	uint32_t kind;         /* enum link_rule_kind */
	uint32_t id;
};

struct link_listener {
	uint32_t listener;     /* index */
	uint32_t service;
	uint32_t position;     /* in the service's `listen`: lust_connection.listener */
};

enum link_server_flag {
	LINK_SERVER_EXTERNAL = 1, /* from outside: a lifeline comes along */
	LINK_SERVER_DRAINING = 2, /* say DRAIN again after HELLO */
	LINK_SERVER_DEAD = 4,     /* died while no dispatcher was there: settle it, then SLOT_FREE */
};

struct link_server {
	uint32_t slot;
	uint32_t generation;   /* of the slot: counts its uses */
	uint32_t service;
	uint32_t instance;     /* 1.. for supervised ones; 0 for others */
	uint32_t flags;        /* enum link_server_flag */
	int32_t pid;
	uint32_t uid, gid;     /* that SCM_CREDENTIALS must show */
	uint32_t last_batch;   /* unused by the supervisor: 0 */
	char label[LINK_NAME];
};

struct link_slot {
	uint32_t slot;
	uint32_t generation;
	uint32_t capacity;     /* REGISTERED */
	int32_t error;
	char reason[LINK_TEXT]; /* DEREGISTERED: why; REGISTERED: the label that it gave itself */
};

struct link_keep {
	uint32_t ticket;       /* the dispatcher's, repeated in KEPT */
	uint32_t service;
	int32_t pid;
	uint32_t uid, gid;
	char label[LINK_NAME];
};

struct link_kept {
	uint32_t ticket;
	uint32_t slot;
	uint32_t generation;
	int32_t error;         /* 0, or a negative errno: no slot (-ENOSPC), too many (-EUSERS), no such service (-ENOENT) */
};

struct link_quiesce {
	uint32_t door;         /* 1: nobody new at the door either, and who stands there is finished with first */
};

struct link_held {
	uint32_t index;        /* of the board's ledger */
	uint32_t reserved;
	uint64_t id;           /* that the entry must still have */
};

struct link_ping {
	uint64_t number;
};

struct link_message {
	uint16_t version;      /* LINK_VERSION */
	uint16_t type;         /* enum link_type */
	uint32_t reserved;
	union {
		struct link_hello hello;
		struct link_begin begin;
		struct link_service service; /* PAUSE and RESUME use .service only */
		struct link_rule rule;
		struct link_listener listener;
		struct link_server server;
		struct link_begin commit;    /* COMMIT, COMMITTED: .table */
		struct link_slot slot;
		struct link_keep keep;
		struct link_kept kept;
		struct link_ping ping;
		struct link_held held;
		struct link_quiesce quiesce;
		char fixed[248];
	};
};

_Static_assert(sizeof(struct link_message) == 256, "every message of the link has this size");

/* Looks at what can be judged without state: size, version, type allowed from that side, number of
   descriptors, ranges of enums and indexes, NULs in text.  NULL, or what is wrong (static text). */
const char *link_check_from_supervisor(const struct link_message *message, size_t length, unsigned fds);
const char *link_check_from_dispatcher(const struct link_message *message, size_t length, unsigned fds);

#endif
