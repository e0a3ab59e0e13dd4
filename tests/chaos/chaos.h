/*
 * chaos.h: what the client pool and the application server of the chaos tests agree on.
 *
 * Every connection has a number, and its client's address is that number: no two connections of a run share an
 * address, so a line of the daemon's log, a record of a server and one of the pool that name the same address speak of
 * the same connection.  The server learns the number from the address, whether the client asks or not.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef CHAOS_H
#define CHAOS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define FIRST_NETWORK UINT32_C(0x7f100000) /* 127.16.0.0 */
#define FIRST_PORT 20000u
#define PORTS 40000u
#define LARGE_LENGTH (256u * 1024u)

static inline struct sockaddr_in address_of_number(uint64_t number)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	address.sin_addr.s_addr = htonl(FIRST_NETWORK + (uint32_t)(number / PORTS));
	address.sin_port = htons((uint16_t)(FIRST_PORT + number % PORTS));
	return address;
}

static inline uint64_t number_of_address(const struct sockaddr_in *address)
{
	uint32_t network = ntohl(address->sin_addr.s_addr) - FIRST_NETWORK;

	return (uint64_t)network * PORTS + ntohs(address->sin_port) - FIRST_PORT;
}

/* What a client asks, where it asks at all. */
struct request {
	uint64_t number;
	uint64_t check; /* ~number */
};

/* The head of an answer; `length` bytes follow, then the end of the stream. */
struct answer {
	uint64_t number;
	uint32_t length;
	uint32_t pid;
	uint64_t checksum; /* of what follows */
};

static inline uint32_t answer_length(uint64_t number, int large)
{
	return large ? LARGE_LENGTH : (uint32_t)(number * 7919 % 2000);
}

static inline uint8_t answer_byte(uint64_t number, uint32_t at)
{
	return (uint8_t)(number * 31 + at * 7 + (at >> 8));
}

#define CHECKSUM_START UINT64_C(14695981039346656037)

static inline uint64_t checksum_add(uint64_t sum, uint8_t byte)
{
	return (sum ^ byte) * UINT64_C(1099511628211);
}

/* How a connection ended, as its client saw it. */
enum outcome {
	OUTCOME_OK,      /* one whole correct answer and the end */
	OUTCOME_REFUSED, /* ECONNREFUSED */
	OUTCOME_CONNECT, /* another error of connect() */
	OUTCOME_EMPTY,   /* the end without an answer */
	OUTCOME_SHORT,   /* the end, or a reset, amid an answer */
	OUTCOME_RESET,   /* a reset without an answer */
	OUTCOME_WRONG,   /* an answer for another connection, or a damaged one */
	OUTCOME_TWICE,   /* more after the whole answer */
	OUTCOME_NO_END,  /* a whole answer and then a reset, or nothing for the time limit */
	OUTCOME_HUNG,    /* neither answer nor end within the time limit */
	OUTCOMES
};

/* A record of the pool, for every connection that it tried. */
struct pool_record {
	uint64_t number;
	uint32_t outcome; /* enum outcome */
	uint32_t target;  /* position on the command line */
	uint32_t pid;     /* who said that it answered; 0: nobody */
	uint32_t bytes;
	uint64_t began_us, ended_us; /* CLOCK_MONOTONIC */
};

/* What a server did with a connection.  Written before it does it, so that kill -9 leaves no deed without a word. */
enum deed {
	DEED_RECEIVED = 1, /* may touch it only after TAKEN */
	DEED_TAKES,        /* explicit_take: is about to say TAKEN */
	DEED_TAKEN,
	DEED_ANSWERS, /* the first byte of the answer is about to go */
	DEED_DONE,    /* everything was written; about to close */
	DEED_REFUSES,
	DEED_ALIEN, /* the request names another connection than the address */
	DEED_TAKE_FAILED,
	DEED_LEFT, /* the client was gone */
};

struct server_record {
	uint64_t number;
	uint64_t id;
	uint32_t pid;
	uint32_t deed; /* enum deed */
	uint64_t time_us;
};

_Static_assert(sizeof(struct request) == 16 && sizeof(struct answer) == 24, "no padding");
_Static_assert(sizeof(struct pool_record) == 40 && sizeof(struct server_record) == 32, "no padding");

static inline uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
