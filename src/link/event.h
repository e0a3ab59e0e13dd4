/*
 * event.h: what the dispatcher reports to the logger: fixed-size records over a pipe that the supervisor
 * made and keeps.  Never text from outside: codes and numbers; the logger makes the words.
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdint.h>

#include "board.h"

enum event_code {
	EVENT_STARTED = 1,        /* number: generation */
	EVENT_REGISTERED,         /* slot pid uid gid; number: capacity; id: connections of an earlier daemon that it holds */
	EVENT_REFUSED_REGISTRATION, /* service (or BOARD_NONE) pid uid gid; number: enum event_refusal */
	EVENT_SERVER_GONE,        /* slot pid; number: connections given to others */
	EVENT_PROTOCOL,           /* slot pid; number: enum event_refusal: a server broke the protocol, it is cut off */
	EVENT_UNKNOWN_ID,         /* slot pid: TAKEN, DONE or REFUSED for an id that it does not hold; passed over */
	EVENT_STALLED,            /* slot pid; number: connections taken back */
	EVENT_RECOVERED,          /* slot pid: a stalled server gave a sign of life */
	EVENT_LOST,               /* id service address: only after kill -9 of a dispatcher */
	EVENT_CLOSED_TOUCHED,     /* id service slot address: its server died after it had begun; counted as closed or,
	                             when it was TAKEN, as died */
	EVENT_CLOSED_NO_SERVER,   /* id service address */
	EVENT_CLOSED_SHUTDOWN,    /* id service address */
	EVENT_CLOSED_CLIENT_LEFT, /* id service address; with a slot: found when its server died */
	EVENT_DENIED,             /* service address; number: enum board_denied */
	EVENT_ACCEPT_FAILED,      /* service; error: accept4's; said once until it works again */
	EVENT_ACCEPT_AGAIN,       /* service */
	EVENT_SEND_FAILED,        /* slot; error */
	EVENT_TRUNCATED,          /* slot: the server could not take descriptors (its RLIMIT_NOFILE); number: how many */
	EVENT_SUPPRESSED,         /* number: how many of `code2` were not said (rate limit) */
	EVENT_DROPPED,            /* number: how many events the full pipe swallowed */
	EVENT_CODES
};

enum event_refusal {
	REFUSAL_NONE = 0,
	REFUSAL_GARBAGE,        /* malformed message */
	REFUSAL_NO_SERVICE,     /* no service of that name takes servers from outside */
	REFUSAL_NOT_LISTED,     /* neither register-users nor register-groups names it */
	REFUSAL_ROOT,           /* uid 0 without allow-root */
	REFUSAL_NAMESPACE,      /* pid 0 or overflow uid without allow-foreign-namespace */
	REFUSAL_TOO_MANY,       /* max-registered */
	REFUSAL_WRONG_PID,      /* a message from another process than the registered one */
	REFUSAL_WRONG_UID,
	REFUSAL_DESCRIPTORS,    /* descriptors where none belong */
	REFUSAL_WRONG_SERVICE,  /* REGISTER names another service than the pair is for */
	REFUSAL_NO_CREDENTIALS,
	REFUSAL_TIMEOUT,        /* connected to the door and said nothing */
	REFUSAL_BUSY,           /* no room at the door, or no slot */
	REFUSAL_STOPPING,
	REFUSAL_LATE,           /* the supervisor did not answer KEEP */
	REFUSAL_COUNT
};

struct event {
	uint64_t time_us;       /* CLOCK_REALTIME */
	uint64_t id;
	uint64_t number;
	uint16_t code;          /* enum event_code */
	uint16_t code2;         /* EVENT_SUPPRESSED */
	int32_t error;          /* errno, positive, or 0 */
	uint32_t service;       /* index or BOARD_NONE */
	uint32_t slot;          /* or BOARD_NONE */
	int32_t pid;
	uint32_t uid, gid;
	uint16_t family, port;  /* of a client; family 0: none */
	uint8_t ip[16];
	uint32_t instance;      /* of the server; 0: from outside or none */
	uint32_t reserved;
	char asked[64];         /* a name in the letters of service names that no service has, or "" */
};

_Static_assert(sizeof(struct event) == 144, "less than PIPE_BUF: written whole or not at all");

/* Words for a refusal, for the server (DENIED) and for the log; "" for an unknown one. */
const char *event_refusal_text(enum event_refusal refusal);

#endif
