/*
 * board.h: the one sealed memfd that supervisor and dispatcher share: counters, latency buckets, servers as
 * the dispatcher sees them, and the ledger of connections that it has a copy of: not yet TAKEN or, with
 * `acknowledge = done`, not yet DONE.  The dispatcher writes; the
 * supervisor reads numbers that it does not trust.  It outlives dispatchers, so a new one knows what the
 * dead one held.  The file is sparse: only what is used takes memory, and a page that is only read is used, too.  So
 * what is said of every service is small (struct board_brief), and tells whether there is more to read; of the slots,
 * the first slots_high were ever used.
 *
 * Each event changes exactly one counter.  What is pending or active is not stored per service: it is the
 * difference, so that the sums of lust-inetd(8) hold in every answer.  All counters only grow but `taken`, which
 * falls by one when a connection goes back from active to pending.  So a reader must read first where a connection
 * ends (done, died, lost, denied, closed), then `taken`, then `accepted`: what was added up before can only have
 * come out of what is read after it, however often connections went to and fro meanwhile.  board_read_service() does.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define BOARD_MAGIC UINT32_C(0x6c757374)
#define BOARD_VERSION 2
#define BOARD_SERVICES 32768u
#define BOARD_LISTENERS 65536u /* indexes only: nothing is stored per listener */
#define BOARD_SLOTS 8192u
#define BOARD_LEDGER 65536u
#define BOARD_NONE UINT32_MAX  /* no service, no slot */

typedef _Atomic uint64_t board_count;

enum board_denied {
	DENIED_ADDRESS, DENIED_TIME, DENIED_LOAD, DENIED_PER_SOURCE, DENIED_RATE, DENIED_SOURCE_RATE,
	DENIED_MAX_CONNECTIONS, DENIED_OVERLOAD, DENIED_COUNT
};
enum board_closed { CLOSED_CLIENT_LEFT, CLOSED_TOUCHED, CLOSED_NO_SERVER, CLOSED_SHUTDOWN, CLOSED_COUNT };

struct board_brief {
	_Atomic uint32_t since_s; /* wall clock, when the counters started */
	_Atomic uint32_t counted; /* 0: its counters and its latency were never written: all of them are 0 */
	board_count full_since_ms; /* CLOCK_MONOTONIC; 0: some server has a free credit, or there is none at all */
};

struct board_service {
	board_count accepted, taken, done, died, lost;
	board_count denied[DENIED_COUNT];
	board_count closed[CLOSED_COUNT];
	board_count redispatched; /* in no sum */
};

/* Log-linear buckets: 4 for each power of two of microseconds, from 1 us to over an hour. */
#define BOARD_BUCKETS 128u
#define BOARD_WINDOWS 8u     /* of 10 s each, used in turn; the last minute is read */
#define BOARD_WINDOW_MS 10000u

struct board_window {
	board_count epoch;       /* CLOCK_MONOTONIC ms / BOARD_WINDOW_MS; another one: the window is stale */
	_Atomic uint32_t accepted;
	_Atomic uint32_t max_us;
	_Atomic uint32_t bucket[BOARD_BUCKETS];
};

struct board_latency {
	struct board_window taken[BOARD_WINDOWS];  /* accept to TAKEN */
	struct board_window waited[BOARD_WINDOWS]; /* in the backlog */
};

enum board_server_state {
	BOARD_SERVER_NONE = 0,
	BOARD_SERVER_STARTING, /* not registered with this dispatcher yet */
	BOARD_SERVER_READY,
	BOARD_SERVER_DRAINING,
	BOARD_SERVER_STALLED,
};

struct board_server {
	_Atomic uint32_t state;      /* enum board_server_state */
	_Atomic uint32_t generation; /* of the slot */
	_Atomic uint32_t service;
	_Atomic uint32_t capacity, pending, active;
	_Atomic uint32_t last_batch; /* number of the last CONNECTIONS message sent */
	_Atomic int32_t pid;
	board_count taken, refused, stalls;
	board_count state_since_ms;  /* CLOCK_MONOTONIC */
};

enum ledger_state {
	LEDGER_FREE = 0,
	LEDGER_ACCEPTED,  /* with the dispatcher only */
	LEDGER_SENDING,   /* in a batch that sendmsg may or may not have taken */
	LEDGER_SENT,      /* in the pair, or received by the server and not TAKEN */
	LEDGER_HELD,      /* TAKEN, and kept until DONE */
};

struct board_entry {
	_Atomic uint32_t state;     /* enum ledger_state */
	uint32_t service;
	uint32_t slot;
	uint32_t batch;             /* of the server that it was sent to */
	uint64_t id;
	uint64_t accepted_us;       /* CLOCK_MONOTONIC */
	uint16_t family, port;      /* peer, for the log */
	uint32_t listener;
	uint8_t ip[16];
};

struct board {
	uint32_t magic, version;
	_Atomic uint32_t generation;  /* of the dispatcher that writes */
	_Atomic uint32_t ledger_used; /* entries not free */
	board_count started_ms;       /* CLOCK_MONOTONIC, of this dispatcher */
	board_count turn_ms;          /* when the running loop turn began; 0 while it waits */
	board_count events_dropped;   /* the event pipe was full */
	_Atomic uint32_t fds, fds_limit;
	_Atomic uint32_t accepting;   /* service + 1 while a connection of it is in no ledger entry yet; else 0 */
	_Atomic uint32_t held_full;   /* 1: no room to keep more connections until DONE */
	_Atomic uint32_t slots_high;  /* servers from here on were never written */
	_Atomic uint32_t reserved[13]; /* zero */

	_Alignas(4096) struct board_brief brief[BOARD_SERVICES];
	_Alignas(4096) struct board_service services[BOARD_SERVICES];
	_Alignas(4096) struct board_server servers[BOARD_SLOTS];
	_Alignas(4096) struct board_entry ledger[BOARD_LEDGER];
	_Alignas(4096) struct board_latency latency[BOARD_SERVICES];
};

/* A new board: the descriptor (close-on-exec, sealed against every change of size, mode 0600), or -errno. */
int board_create(void);

/* Maps it.  Checks size, seals, magic and version.  NULL with errno set.  Unmap with board_unmap(). */
struct board *board_map(int fd, bool writable);
void board_unmap(struct board *board);

/* A consistent copy: out->accepted is never less than what flowed out of it. */
struct board_reading {
	uint64_t since_s, accepted, pending, taken, active, done, died, lost, redispatched;
	uint64_t denied[DENIED_COUNT], closed[CLOSED_COUNT];
	uint64_t full_since_ms;
};
void board_read_service(const struct board *board, uint32_t service, struct board_reading *out);

/* All at 0, but what is pending and active now. */
void board_reset_service(struct board *board, uint32_t service, uint64_t pending, uint64_t active,
                         uint32_t since_s);

/* Before any other of a service's counters is written, this was called, perhaps with 0. */
static inline void board_count_accepted(struct board *board, uint32_t service, uint64_t by)
{
	if (!atomic_load_explicit(&board->brief[service].counted, memory_order_relaxed))
		atomic_store_explicit(&board->brief[service].counted, 1, memory_order_release);
	atomic_fetch_add_explicit(&board->services[service].accepted, by, memory_order_release);
}

static inline bool board_counted(const struct board *board, uint32_t service)
{
	return atomic_load_explicit(&board->brief[service].counted, memory_order_acquire) != 0;
}

/* Adds a measurement to the window of now. */
void board_measure(struct board_window windows[BOARD_WINDOWS], uint64_t now_ms, uint64_t us);

/* Counts an accepted connection in the window of now, for board_rate(). */
void board_accepted(struct board_window windows[BOARD_WINDOWS], uint64_t now_ms);

struct board_percentiles {
	uint64_t count, p50_us, p99_us, max_us;
};

/* Over the windows that began within the last `seconds`. */
void board_percentiles(const struct board_window windows[BOARD_WINDOWS], uint64_t now_ms, unsigned seconds,
                       struct board_percentiles *out);

/* Accepted connections a second over the last `seconds` (10 or 60), from the `taken` windows' accepted. */
uint64_t board_rate(const struct board_window windows[BOARD_WINDOWS], uint64_t now_ms, unsigned seconds);

/* Which bucket a time falls into, and the largest time of a bucket. */
unsigned board_bucket(uint64_t us);
uint64_t board_bucket_limit(unsigned bucket);

#endif
