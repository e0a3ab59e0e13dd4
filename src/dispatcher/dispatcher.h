/*
 * dispatcher.h: what the files of the unprivileged half share.  One process, one loop, one struct dispatcher.
 * Every file is one responsibility; who decides (admission, balance, credit, identity, untouched) does not act and
 * has a header of its own.
 */
#ifndef DISPATCHER_H
#define DISPATCHER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "channel.h"
#include "choose.h"
#include "eager.h"
#include "event.h"
#include "ledger.h"
#include "linger.h"
#include "link.h"
#include "lust.h"
#include "waited.h"
#include "wire.h"

#define DOOR_KNOCKS 64   /* half-done registrations at once */
#define IN_HAND_MOST 64u /* connections that exist nowhere but here: what our death may cost */

struct dispatcher;
struct service;
struct server;
struct staging;
struct knock;

/* One listening socket; which service it feeds is a property that a reload may change.  There may be ten thousand that
   no client ever comes to. */
struct listener {
	struct service *service;
	struct listener *next; /* of the service */
	struct opened *opened; /* NULL: its service could not take anybody yet */
	int fd;                /* owned */
	uint16_t index, position;
};

/* What it takes to accept. */
struct opened {
	struct ev_io accept;
	struct dispatcher *dispatcher;
	struct listener *listener;
	struct waited waited;
	struct address address; /* as the kernel says it; a path is not kept */
	struct eager eager;
	bool shut; /* by the supervisor, at the daemon's stop */
};

/* What the table in force says of a service; shared by all of which it says the same. */
struct service_set {
	struct service_set *next; /* of its bucket */
	uint32_t users;
	uint8_t balance, acknowledge, overload; /* enum link_balance ... */
	bool allow_root, allow_foreign;
	uint16_t window;
	uint32_t take_timeout_ms, max_registered, supervised;
	size_t rule_count;
	struct link_rule rule[]; /* their `service` says nothing */
};

struct service {
	const struct service_set *set;
	struct listener *listeners;
	struct server **server;     /* owned array, in no order */
	struct choosing *choosing;  /* owned; NULL: it never had a server */
	uint32_t index;
	uint32_t server_count, server_room, nonblocking_servers;
	uint32_t registered, expected; /* of the servers that are not cut: did they say REGISTER? */
	uint32_t settling;             /* of the servers: died, and what they had waits for room elsewhere */
	struct ledger_list queue; /* taken back from a server: go before new ones */
	struct linger_caution caution;
	uint64_t lonely_since_us; /* no server runs and none is expected; 0: there is one */
	uint64_t shut_until_us;   /* accept failed: not before */
	bool paused;
	bool removed;             /* not in the table in force */
	bool starved;             /* wants to hear of every credit that comes back */
	bool failed;              /* EVENT_ACCEPT_FAILED was said */
	char name[];              /* no table has named it yet: "" */
};

/* How a server ended. */
enum death_kind {
	DEATH_NONE,
	DEATH_DEAD,  /* the process, and all that could hold its descriptors */
	DEATH_ALIVE, /* it left, but lives: what it has received stays with it */
};

enum server_owed { OWED_HELLO = 1, OWED_REGISTERED = 2, OWED_DRAIN = 4 };

struct server {
	struct dispatcher *dispatcher;
	struct service *service;
	uint32_t slot, generation, instance;
	bool external;
	int32_t pid;
	uint32_t uid, gid;
	int ours, theirs;            /* owned */
	int lifeline, pidfd;         /* owned; -1: none */
	unsigned owed;               /* messages that wait for room in the pair */
	bool kept;                   /* it worked with an earlier dispatcher */
	bool registered;             /* said REGISTER to this dispatcher */
	bool accounted;              /* `active` is known: a kept server's is not before its REGISTER */
	bool draining;               /* gets no more */
	bool drain_asked, idle_told; /* by the supervisor; IDLE was answered */
	bool stalled, asked;         /* asked: HELLO was sent to see whether it lives */
	bool blocked;                /* its pair took no more: until a sign of life or the next retry */
	bool resting;                /* it refused a connection: until a DONE or the next retry */
	bool cut;                    /* left or broke the protocol: not listened to any more */
	bool settling;               /* died: what it said last was read, and what it had goes to others */
	uint32_t given;              /* so many of them went */
	enum link_type answer;       /* then the supervisor is told; or 0 */
	enum death_kind going;       /* settled at the end of this turn */
	enum event_refusal denied;   /* said as the last word, behind which nothing is withdrawn */
	bool nonblocking;
	uint32_t capacity, batch, active;
	uint32_t inherited;        /* of the active ones: with an id of an earlier dispatcher, and not in `held` */
	uint32_t last_batch;       /* number of the last CONNECTIONS message */
	struct ledger_list staged; /* joined the batch of this turn */
	struct ledger_list sent;   /* in the pair or received, not TAKEN */
	struct ledger_list held;   /* of the active ones: kept until DONE */
	struct choice choice;
	uint64_t life_us;          /* last sign of life */
	uint64_t looked_us;        /* when stall_late() asked the kernel, and what it heard */
	bool unreceived;
	struct ev_io read, lifeline_watch, pidfd_watch;
	struct eager eager;
	struct ev_timer stall, leave;
};

/* Numbers of services or slots, each once. */
struct dirty {
	bool *listed;
	uint32_t *number;
	uint32_t count;
};

/* What the last dispatcher had given to the server of one slot. */
struct inherited {
	struct ledger_list sent; /* not TAKEN */
	struct ledger_list held; /* TAKEN, and kept until DONE */
};

#define SERVICE_SETS 256u

#define REPORT_BURST 10u
#define REPORT_WINDOW_MS 5000u

struct report_limit {
	uint64_t window_ms; /* when it began */
	uint32_t said, suppressed;
};

struct dispatcher {
	struct ev_loop *loop;
	struct board *board;
	struct ledger ledger;
	uint32_t generation;
	uint32_t held_most; /* that a server can say to hold */
	struct inherited *inherited; /* for each slot; until the first COMMIT */
	struct ledger_list stray; /* what it had accepted and not sent; as long */
	bool committed, quiesced, quiet_told;
	bool door_shut; /* QUIET waits for those who stand there */
	int exit_code;
	uint64_t now_us;  /* CLOCK_MONOTONIC, of this turn */
	uint32_t in_hand; /* accepted in this turn, or out of a queue, and not handed over */
	uint32_t queued;  /* in the queues of all services */
	uint32_t settling; /* servers of all services */

	struct channel link;
	struct ev_io link_read, link_write;
	struct ev_timer link_later; /* in place of link_write: the kernel has no room, the socket does */
	struct staging *staging;    /* between BEGIN and COMMIT */

	int events; /* writing end of the event pipe */
	struct report_limit report[EVENT_CODES];
	uint64_t events_dropped;
	struct ev_timer report_timer;

	struct service *service[BOARD_SERVICES]; /* removed ones included */
	uint32_t services_high;                  /* from here on there was none yet */
	struct service_set *set[SERVICE_SETS];   /* by what they say */
	struct server *server[BOARD_SLOTS];
	struct listener *listener[BOARD_LISTENERS];
	uint32_t listener_count;
	uint32_t other_fds; /* of servers, and of knocks at the door */
	struct dirty dirty_services, dirty_servers;

	struct linger_clock linger;
	struct ev_prepare prepare;
	struct ev_check check;
	struct ev_timer retry; /* blocked servers, shut listeners */
	struct ev_timer sweep; /* while some queue holds connections */
	int spare;             /* released to answer one client when descriptors ran out; -1: released */

	int door;
	struct ev_io door_watch;
	struct ev_timer door_pause;
	struct knock *knock; /* DOOR_KNOCKS of them, owned */
	uint32_t next_ticket;
};

/* ---- dispatcher.c: made and unmade ---- */

struct dispatcher_parts {
	int link, board, events, door; /* owned afterwards; door -1: none */
	uint32_t generation;
	uint32_t open_most; /* descriptors that a process can have open; 0: not known */
};
struct dispatcher *dispatcher_new(const struct dispatcher_parts *parts); /* NULL with errno */
void dispatcher_free(struct dispatcher *);
/* Ends the loop after this turn. */
void dispatcher_stop(struct dispatcher *, int exit_code);

/* ---- turn.c: what happens once a loop turn ---- */
void turn_start(struct dispatcher *);
void turn_service(struct dispatcher *, const struct service *); /* look at it at the end of this turn */
void turn_server(struct dispatcher *, struct server *); /* the same; and it may have got or lost credits */
void turn_retry(struct dispatcher *);             /* look at all that is blocked, in a moment */
void turn_end(struct dispatcher *);               /* the end of a turn, as the loop brings it about */
uint32_t turn_own_fds(const struct dispatcher *); /* open descriptors that are no clients' */
void turn_hand_over(struct dispatcher *);           /* at once, what joined the batches of this turn */

/* ---- tell.c: messages to the supervisor ---- */
void tell_ready(struct dispatcher *);
void tell_committed(struct dispatcher *, uint32_t table);
void tell_slot(struct dispatcher *, enum link_type, uint32_t slot, uint32_t generation);
void tell_registered(struct dispatcher *, const struct server *, const char *label);
void tell_deregistered(struct dispatcher *, const struct server *, const char *reason);
void tell_keep(struct dispatcher *, const struct link_keep *, const int fds[3]);
void tell_held(struct dispatcher *, const struct link_held *, int fd);
void tell_quiet(struct dispatcher *);
void tell_pong(struct dispatcher *, uint64_t number);

/* ---- answer.c: messages from the supervisor ---- */
/* Owns the descriptors. */
void answer_message(struct dispatcher *, const struct link_message *, int *fds, unsigned count);
void answer_link(struct ev_loop *, struct ev_io *, int);
void answer_link_later(struct ev_loop *, struct ev_timer *, int);
void answer_link_watch(struct dispatcher *); /* for what waits in its queue */

/* ---- table.c: staging between BEGIN and COMMIT; apply.c: the swap ---- */
struct staged_listener {
	struct link_listener record;
	int fd; /* -1: the one that is known */
};
struct staged_server {
	struct link_server record;
	int ours, theirs, lifeline;
};
struct staging {
	struct link_begin begin;
	struct link_service *service;
	struct link_rule *rule; /* in the order of arrival */
	struct staged_listener *listener;
	struct staged_server *server;
	size_t services, rules, listeners, servers;
	size_t service_room, rule_room, listener_room, server_room;
};
int staging_begin(struct dispatcher *, const struct link_begin *);
int staging_service(struct dispatcher *, const struct link_service *);
int staging_rule(struct dispatcher *, const struct link_rule *);
int staging_listener(struct dispatcher *, const struct link_listener *, int fd);
int staging_server(struct dispatcher *, const struct link_server *, const int *fds, unsigned count);
void staging_drop(struct dispatcher *);
/* Whole and consistent?  NULL, or what is wrong. */
const char *staging_check(const struct dispatcher *, uint32_t table);
/* 0 or -errno: then this dispatcher must end. */
int apply_staging(struct dispatcher *);
int apply_server(struct dispatcher *, struct staged_server *); /* owns the descriptors afterwards */

/* ---- service_set.c ---- */
extern const struct service_set service_set_none; /* of one that no table has named yet */
/* NULL: no memory. */
const struct service_set *service_set_take(struct dispatcher *, const struct link_service *,
					   const struct link_rule *, size_t count);
void service_set_release(struct dispatcher *, const struct service_set *);

/* ---- service.c ---- */
/* The one of this number, under this name from now on: what pointed to it is moved.  NULL: no memory. */
struct service *service_named(struct dispatcher *, uint32_t index, const char *name);
/* The first one, or the one behind `after`; NULL: none. */
struct service *service_next(const struct dispatcher *, const struct service *after);
void service_free_if_gone(struct dispatcher *, struct service *); /* removed, and nothing left of it */
struct service *service_by_name(const struct dispatcher *, const char *name);
bool service_add_server(struct service *, struct server *);
void service_drop_server(struct service *, struct server *);
/* Before and after what it is changes: -1 and 1. */
void service_count_server(struct service *, const struct server *, int by);
void service_reset_counters(struct dispatcher *, uint32_t index);
struct board_service *service_board(const struct dispatcher *, const struct service *);

/* ---- requeue.c: connections taken back, until another server has them ---- */
void requeue(struct dispatcher *, struct service *, uint32_t index); /* in no list; gets a new id */
void requeue_append(struct dispatcher *, struct service *, uint32_t index);       /* as it is */
void requeue_remove(struct dispatcher *, struct service *, uint32_t index);       /* out of its queue */
void requeue_close(struct dispatcher *, struct service *, enum board_closed why); /* all */
void requeue_watch(struct dispatcher *, struct service *); /* something waits: now and then it is looked at */
void requeue_unsent(struct dispatcher *, struct server *);           /* its staged ones, as they are */
void requeue_pump(struct dispatcher *, struct service *);
void requeue_sweep(struct ev_loop *, struct ev_timer *, int);

/* ---- settle.c: how a connection leaves the ledger ---- */
/* From server->sent to what is active: with `acknowledge = done` to server->held, else out of the ledger. */
void settle_taken(struct dispatcher *, struct server *, uint32_t index);
void settle_done(struct dispatcher *, struct server *); /* one without an entry, of this dispatcher */
void settle_done_inherited(struct dispatcher *, struct server *, uint32_t count);
void settle_done_held(struct dispatcher *, struct server *, uint32_t index);
void settle_died(struct dispatcher *, struct server *); /* all its active ones, none of them held */
void settle_died_held(struct dispatcher *, struct server *, uint32_t index, enum board_closed why);
void settle_returned(struct dispatcher *, struct server *); /* one that was held was requeued */
void settle_release(struct dispatcher *, struct server *);  /* of what is held, only the number is kept */
void settle_brought(struct dispatcher *, struct server *,
		    uint32_t count); /* it holds them, and nobody here ever gave it */
void settle_closed(struct dispatcher *, uint32_t index, enum board_closed why, uint32_t slot);
void settle_lost(struct dispatcher *, uint32_t index);

/* ---- listener.c ---- */
struct listener *listener_new(struct dispatcher *, const struct link_listener *, int fd);
void listener_feed(struct dispatcher *, struct listener *, struct service *); /* NULL: nobody */
void listener_free(struct dispatcher *, struct listener *);
void listener_update(struct dispatcher *, struct service *); /* watchers on or off, full_since */
void listener_ready(struct ev_loop *, struct ev_io *, int);

/* ---- arrival.c: what is known of a connection right after accept ---- */
void arrival_describe(struct opened *, int fd, uint64_t accepted_us, const struct sockaddr_storage *peer,
		      socklen_t length, struct lust_wire_connection *wire);
/* The same from what the board still knows of it. */
void arrival_rebuild(int fd, const struct board_entry *, struct lust_wire_connection *wire);

/* ---- handoff.c ---- */
void handoff_join(struct dispatcher *, struct server *, uint32_t index); /* the batch of this turn */
void handoff_flush(struct dispatcher *, struct server *);

/* ---- say.c: short messages to a server ---- */
void say_owed(struct dispatcher *, struct server *, unsigned which); /* as far as the pair takes them */
void say_pair(const struct server *);                                /* at the door: its end */
void say_denied(int fd, enum event_refusal why);

/* ---- server.c ---- */
struct server *server_new(struct dispatcher *, const struct link_server *, struct service *, int ours,
			  int theirs, int lifeline); /* owns the descriptors unless it is NULL */
void server_free(struct server *);                   /* settled before */
void server_unwatch(struct server *);                /* what this turn brought it is not heard any more, either */
struct server *server_find(const struct dispatcher *, uint32_t slot, uint32_t generation);
uint32_t server_entry(const struct dispatcher *, const struct server *,
		      uint64_t id); /* in ->sent or ->held; or LEDGER_NONE */
uint32_t server_pending(const struct server *);
uint32_t server_credits(const struct server *);
void server_publish(struct server *); /* to the board */
void server_drain(struct dispatcher *, struct server *);
void server_check_idle(struct dispatcher *, struct server *);

/* ---- acknowledge.c: messages from servers; register.c: REGISTER ---- */
void acknowledge_ready(struct ev_loop *, struct ev_io *, int);
unsigned acknowledge_read(struct dispatcher *, struct server *,
			  unsigned most); /* up to so many messages; how many there were */
void register_server(struct dispatcher *, struct server *, const struct lust_wire_register *);

/* ---- leave.c: the end of a server that is not (only) a death.  None of these frees it at once ---- */
void leave_cut(struct dispatcher *, struct server *, enum event_refusal); /* it broke the protocol */
void leave_closed(struct dispatcher *, struct server *);                  /* it closed its pair */
void leave_watch(struct dispatcher *, struct server *); /* lifeline and pidfd of one from outside */
/* This process knocks, so it lives: registrations that it gave up before need no further proof, nor a place. */
void leave_returning(struct dispatcher *, const struct service *, int32_t pid);

/* ---- withdraw.c ---- */
/* Takes back what the server has not received; how many connections. */
uint32_t withdraw(struct dispatcher *, struct server *);
/* Of a dead one, so many at most: fewer only when nothing lies in its pair any more. */
uint32_t withdraw_most(struct dispatcher *, struct server *, uint32_t most);
/* The batch that lies first in its pair; UINT32_MAX: none does. */
uint32_t withdraw_first(const struct server *);

/* ---- stall.c ---- */
void stall_watch(struct server *);
void stall_timer(struct ev_loop *, struct ev_timer *, int);
/* It has not received what was sent a moment ago: others are preferred, long before it counts as stalled. */
bool stall_late(const struct dispatcher *, struct server *);
void stall_life(struct dispatcher *, struct server *); /* a sign of life */

/* ---- death.c ---- */
/*
 * Settles and frees it.  answer: what the supervisor is told, or 0.  With an answer, a dead one may wait for room at
 * other servers: the supervisor hears SETTLING now and SLOT_FREE in the end.
 */
void death_settle(struct dispatcher *, struct server *, enum death_kind, enum link_type answer);
void death_pump(struct dispatcher *, struct service *); /* as far as there is room now */
/* Their clients may have left; lonely: nobody will ever have room. */
void death_sweep(struct dispatcher *, struct service *, bool lonely);

/* ---- recover.c ---- */
void recover_begin(struct dispatcher *); /* right after HELLO */
void recover_server(struct dispatcher *,
		    struct server *); /* a kept one: takes over what the board says of it */
void recover_account(struct dispatcher *, struct server *, uint32_t held, uint32_t last_batch);
/* HELD: a connection that the last dispatcher handed up; owns the descriptor. */
void recover_held(struct dispatcher *, const struct link_held *, int fd);
/* The descriptor of an entry that had none, as a server gives it; false: that is no connection. */
bool recover_descriptor(struct dispatcher *, uint32_t index, int fd);
void recover_end(struct dispatcher *); /* after the first COMMIT */

/* ---- hand_over.c ---- */
/* Sends up all descriptors of connections and ends the loop: another dispatcher goes on from the board. */
void hand_over(struct dispatcher *);

/* ---- door.c and knock.c ---- */
void door_start(struct dispatcher *);
void door_stop(struct dispatcher *); /* who comes waits in the backlog */
bool knocks_busy(const struct dispatcher *);
void knock_begin(struct dispatcher *, int fd);
void knock_clone(struct dispatcher *, struct server *, const struct lust_wire_register *, int fd,
		 const struct lust_credentials *);
void knock_kept(struct dispatcher *, const struct link_kept *);
int knocks_open(struct dispatcher *);
void knocks_close(struct dispatcher *);

/* ---- report.c ---- */
bool report_permit(struct report_limit *, uint64_t now_ms); /* pure */
void report(struct dispatcher *, struct event *);           /* .code and what belongs to it is set */
void report_server(struct dispatcher *, enum event_code, const struct server *, uint64_t number, int error);
void report_entry(struct dispatcher *, enum event_code, uint32_t index, uint32_t slot);
void report_timer(struct ev_loop *, struct ev_timer *, int);

/* ---- invariant.c: for tests: NULL, or which sum is wrong ---- */
const char *invariant_broken(const struct dispatcher *);
void invariant_assert(const struct dispatcher *); /* a line and the end, with --enable-invariants after every turn */

#endif
