/*
 * control.h: what lust-inetd's commands ask a running daemon, over control.sock (SOCK_SEQPACKET).  One
 * request of fixed size a connection; the answer is a row of records of fixed size, the last one
 * CONTROL_RESULT.  The daemon sends numbers; the command line makes the words and the JSON.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdint.h>

#include "board.h"

#define CONTROL_VERSION 1
#define CONTROL_NAME 64
#define CONTROL_TEXT 1024

enum control_command {
	CONTROL_STATUS = 1, CONTROL_LIST, CONTROL_VERSION_ASKED, /* for everybody or status-users/-groups */
	CONTROL_STOP, CONTROL_RELOAD, CONTROL_UP, CONTROL_DOWN, CONTROL_ROLL, /* root, own user, admin-users/-groups */
	CONTROL_SHOW,          /* as those; `env` values only to root and the own user */
	CONTROL_PAUSE, CONTROL_RESUME, /* as those */
	CONTROL_UPGRADE,       /* as stop */
};

enum control_flag {
	CONTROL_NOW = 1,       /* stop --now */
	CONTROL_ASK = 4,       /* stop: only whether the asker may */
	CONTROL_ONE = 2,       /* only .service (up, down, roll, pause, resume: a pattern as of fnmatch(3)); else all */
};

struct control_request {
	uint16_t version;      /* CONTROL_VERSION */
	uint16_t command;      /* enum control_command */
	uint32_t flags;        /* enum control_flag */
	char service[CONTROL_NAME];
	uint64_t reserved[4];
};

enum control_record_type {
	CONTROL_RESULT = 1,    /* result: the last one */
	CONTROL_LINE,          /* line: print on standard error (diagnostics) */
	CONTROL_DAEMON,        /* status: first record */
	CONTROL_PROBLEM,       /* line: an entry of last_reload.errors */
	CONTROL_WARNING,       /* line: an entry of warnings */
	CONTROL_SERVICE,       /* one a service */
	CONTROL_LISTENER,      /* follow their service */
	CONTROL_SERVER,        /* follow their service */
	CONTROL_OUTPUT,        /* line: print on standard output (list, show) */
};

struct control_result {
	int32_t code;          /* exit code of the command */
	uint32_t more;         /* 0 */
	char text[CONTROL_TEXT]; /* "" or one line for standard error */
};

struct control_line {
	char text[CONTROL_TEXT];
};

struct control_daemon {
	char version[32];
	char config[512];
	int32_t pid;
	uint32_t config_changed; /* the file on disk is not what was read */
	uint64_t time_s, uptime_ms, config_changed_s;
	uint32_t generation;     /* of the table */
	uint32_t reload_ok;
	uint64_t reload_s;       /* 0: never */
	int32_t dispatcher_pid;  /* 0: none now */
	uint32_t dispatcher_restarts, dispatcher_fds, dispatcher_fds_limit;
	uint64_t dispatcher_uptime_ms;
	char dispatcher_last_exit[96];
};

/* In this order from bad to good. */
enum control_service_state {
	SERVICE_FAILED, SERVICE_STOPPED, SERVICE_PAUSED, SERVICE_LIMITED, SERVICE_FULL, SERVICE_DEGRADED,
	SERVICE_STARTING, SERVICE_WAITING, SERVICE_READY
};

struct control_service {
	char name[CONTROL_NAME];
	uint32_t mode;         /* 0: connections */
	uint32_t state;        /* enum control_service_state */
	char reason[160];
	uint64_t state_s, until_s; /* since when, wall clock seconds; until when, 0: unknown */
	uint32_t generation, wanted, ready;
	uint32_t listeners, servers; /* records that follow */
	uint64_t per_s_10, per_s_60;
	struct board_reading connections;
	struct board_percentiles latency, waited;
};

struct control_listener {
	char said[128], name[CONTROL_NAME], address[ADDRESS_TEXT], error[128];
	uint32_t bound, backlog;
	uint64_t retry_s;      /* seconds from now */
	uint64_t waiting, dropped;
};

enum control_server_state {
	SERVER_FAILED, SERVER_BACKOFF, SERVER_STALLED, SERVER_STOPPED, SERVER_STARTING, SERVER_DRAINING, SERVER_READY
};

struct control_server {
	uint32_t slot, instance, generation, state; /* enum control_server_state */
	int32_t pid;
	uint32_t uid, supervised;
	uint32_t capacity, pending, active;
	char label[CONTROL_NAME], last_exit[96], last_line[128];
	uint64_t state_s, until_s, taken, refused, stalls, restarts, uptime_ms, last_exit_s;
};

struct control_record {
	uint16_t version, type; /* enum control_record_type */
	uint32_t reserved;
	union {
		struct control_result result;
		struct control_line line;
		struct control_daemon daemon;
		struct control_service service;
		struct control_listener listener;
		struct control_server server;
	};
};

#endif
