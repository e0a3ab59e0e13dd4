/*
 * client.h: one process of the load generator. See load.c.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdint.h>

/* Of 64 steps an octave: a value is known to 1.6 %. */
#define HISTOGRAM_STEPS 64
#define HISTOGRAM_SIZE (42 * HISTOGRAM_STEPS)

enum client_error {
	ERROR_CONNECT, /* refused, unreachable, out of ports */
	ERROR_RESET,   /* ended other than by an end of file */
	ERROR_SHORT,   /* fewer bytes than the answer has */
	ERROR_WRONG,   /* other bytes, or more */
	ERROR_TIMEOUT, /* no end within the limit */
	ERROR_KINDS
};

enum client_mode {
	CLIENT_ANSWERS, /* connect, read 128 bytes and the end, again and again */
	CLIENT_STREAM,  /* each connection reads `bytes` and the end, once */
	CLIENT_ROUNDS,  /* connections that stay: 64 bytes there and back, again and again */
};

struct client {
	enum client_mode mode;
	uint16_t port;
	unsigned at_once;
	uint64_t duration_ns; /* no new one begins later; 0: `count` decides */
	uint64_t count;
	uint64_t bytes;
};

struct result {
	uint64_t begun;      /* connections */
	uint64_t finished;   /* with the whole right answer: connections; bytes of a stream; rounds */
	uint64_t in_time;    /* of these, before duration_ns was over */
	uint64_t elapsed_ns; /* until the last one, the limit, or duration_ns */
	uint64_t errors[ERROR_KINDS];
	uint64_t histogram[HISTOGRAM_SIZE]; /* of what finished, ns: a connection from connect to its end; a round */
};

uint64_t histogram_value(unsigned step); /* the middle of a step, ns */

uint64_t client_now(void);
void client_run(const struct client *client, struct result *result);

#endif
