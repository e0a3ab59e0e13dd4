/*
 * wire.h: the messages between lust-inetd and a registered server, over a SOCK_SEQPACKET pair
 * (and, for servers started by others, over the door).  lust-protocol(7) is this file in prose:
 * change both together.
 *
 * Numbers are in the host's byte order; every struct is free of padding.  Text is NUL-terminated
 * and NUL-filled.  Private to liblust and the daemon.
 */
#ifndef LUST_WIRE_H
#define LUST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define LUST_WIRE_VERSION 1
#define LUST_WIRE_BATCH 64 /* connections, ids and descriptors that one message carries at most */
#define LUST_WIRE_NAME 64  /* bytes of a name with its NUL */
#define LUST_WIRE_REASON 236
#define LUST_WIRE_HELD_MAX (UINT32_C(1) << 30)

/* id of a connection: generation of the dispatcher (16 bits), then a number never reused in it */
#define LUST_ID_GENERATION(id) ((uint16_t)((id) >> 48))
#define LUST_ID_NUMBER(id) ((id) & UINT64_C(0xffffffffffff))

enum lust_wire_type {
	/* from the daemon */
	LUST_WIRE_HELLO = 1,       /* lust_wire_hello: who I am; REGISTER, please */
	LUST_WIRE_REGISTERED = 2,  /* header: connections will come */
	LUST_WIRE_CONNECTIONS = 3, /* lust_wire_connections with as many descriptors */
	LUST_WIRE_DRAIN = 4,       /* header: no more will come; finish and exit */
	LUST_WIRE_DENIED = 5,      /* lust_wire_denied: final */
	LUST_WIRE_PAIR = 6,        /* header with one descriptor: answer of the door */

	/* from the server */
	LUST_WIRE_REGISTER = 65,   /* lust_wire_register: on the pair, and first word at the door */
	LUST_WIRE_TAKEN = 66,      /* lust_wire_ids: I am about to touch these */
	LUST_WIRE_DONE = 67,       /* lust_wire_ids: ended, their credit is free */
	LUST_WIRE_REFUSED = 68,    /* lust_wire_ids: to another server, with their descriptors; without any: they never came */
	LUST_WIRE_CAPACITY = 69,   /* lust_wire_capacity */
	LUST_WIRE_ALIVE = 70,      /* header */
	LUST_WIRE_DRAINING = 71,   /* header: send me no more */
	LUST_WIRE_CLONE = 72,      /* lust_wire_register with one descriptor, from a forked child: a knock at the door */
};

struct lust_wire_header {
	uint16_t version; /* LUST_WIRE_VERSION of the sender */
	uint16_t type;    /* enum lust_wire_type */
	uint32_t count;   /* entries or ids that follow; else 0 */
};

enum lust_wire_acknowledge {
	LUST_WIRE_ACK_TAKEN = 0,
	LUST_WIRE_ACK_DONE = 1,
};

struct lust_wire_hello {
	struct lust_wire_header header;
	uint32_t generation;  /* of the dispatcher; REGISTER repeats it */
	uint32_t slot;        /* the server's number, as `status` shows it */
	uint32_t acknowledge; /* enum lust_wire_acknowledge */
	uint32_t window;      /* connections not yet TAKEN at most */
	char service[LUST_WIRE_NAME];
};

enum lust_wire_register_flag {
	LUST_WIRE_NONBLOCKING = 1, /* wants descriptors with O_NONBLOCK */
	LUST_WIRE_DRAINED = 2,     /* registers only to account for what it holds: send no more */
};

struct lust_wire_register {
	struct lust_wire_header header;
	uint32_t generation; /* of the HELLO that it answers; 0 at the door */
	uint32_t capacity;   /* 0: no limit */
	uint32_t flags;      /* enum lust_wire_register_flag */
	uint32_t batch;      /* connections a message at most, 1 to 64; 0: 1 */
	uint32_t held;       /* connections received and not DONE, of an earlier daemon too; 2^30 at most */
	uint32_t last_batch; /* `batch` of the last CONNECTIONS message received from any generation; 0: none */
	char service[LUST_WIRE_NAME];
	char label[LUST_WIRE_NAME];
};

enum lust_wire_denied_flag {
	LUST_WIRE_PASSING = 1, /* for a reason that passes by itself: knock again in a moment */
};

struct lust_wire_denied {
	struct lust_wire_header header;
	char reason[LUST_WIRE_REASON];
	uint32_t flags;     /* enum lust_wire_denied_flag */
};

enum lust_wire_kind {
	LUST_WIRE_TCP = 1,
	LUST_WIRE_UNIX = 2,
};

enum lust_wire_connection_flag {
	LUST_WIRE_MODE_SET = 1, /* O_NONBLOCK is as REGISTER asked; without it a server has to look */
};

struct lust_wire_connection {
	uint64_t id;
	uint16_t kind;      /* enum lust_wire_kind */
	uint16_t flags;     /* enum lust_wire_connection_flag */
	uint32_t listener;  /* position in the service's `listen` */
	uint32_t waited_us;
	uint16_t family;    /* AF_INET, AF_INET6, AF_UNIX */
	uint16_t peer_port, local_port; /* local_port 0: not told, ask getsockname(2) */
	uint16_t reserved;
	uint8_t peer[16], local[16];    /* network order; IPv4 in the first four */
	uint32_t peer_scope, local_scope; /* IPv6 scope ids */
	int32_t peer_pid;   /* AF_UNIX only, else -1 */
	uint32_t peer_uid, peer_gid;
};

struct lust_wire_connections {
	struct lust_wire_header header;
	uint32_t batch;     /* counts this pair's CONNECTIONS messages, from 1, over all generations */
	uint32_t reserved;
	struct lust_wire_connection entry[LUST_WIRE_BATCH]; /* header.count of them are sent */
};

struct lust_wire_ids {
	struct lust_wire_header header;
	uint64_t id[LUST_WIRE_BATCH]; /* header.count of them are sent */
};

struct lust_wire_capacity {
	struct lust_wire_header header;
	uint32_t capacity;
	uint32_t reserved;
};

_Static_assert(sizeof(struct lust_wire_header) == 8, "wire");
_Static_assert(sizeof(struct lust_wire_hello) == 88, "wire");
_Static_assert(sizeof(struct lust_wire_register) == 160, "wire");
_Static_assert(sizeof(struct lust_wire_denied) == 248, "wire");
_Static_assert(sizeof(struct lust_wire_connection) == 80, "wire");
_Static_assert(offsetof(struct lust_wire_connections, entry) == 16, "wire");
_Static_assert(sizeof(struct lust_wire_ids) == 8 + 8 * LUST_WIRE_BATCH, "wire");

/* One checked message, either direction.  The union is what recvmsg(2) reads into. */
union lust_wire_message {
	struct lust_wire_header header;
	struct lust_wire_hello hello;
	struct lust_wire_register reg;
	struct lust_wire_denied denied;
	struct lust_wire_connections connections;
	struct lust_wire_ids ids;
	struct lust_wire_capacity capacity;
};

/*
 * Is this message whole and well-formed?  Looks at length, version, type (allowed from that
 * direction), count, NULs in text.  Returns NULL or, for the log and for DENIED, what is wrong
 * (static text).  A header version above ours is accepted when the known part is whole: newer
 * peers only append.
 */
const char *lust_wire_check_from_server(const union lust_wire_message *message, size_t length);
const char *lust_wire_check_from_daemon(const union lust_wire_message *message, size_t length);

/* Bytes to send for a message whose header is filled in. */
size_t lust_wire_length(const union lust_wire_message *message);

#endif
