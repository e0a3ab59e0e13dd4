/*
 * app.h: the application that is measured: the same code behind the direct server (direct.c) and on liblust (server.c),
 * so that what differs between the two is how a connection comes.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef BENCH_APP_H
#define BENCH_APP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define ANSWER_LENGTH 128
#define PATTERN_LENGTH 65536

enum app_mode {
	APP_ANSWER, /* 128 bytes, then the end */
	APP_STREAM, /* app.length bytes, then the end */
	APP_ECHO,   /* what comes goes back, until the client ends */
};

struct app {
	enum app_mode mode;
	uint64_t length;
	int loop; /* the epoll set; data.ptr NULL in it is not the application's */
	void (*leave)(int fd); /* closes; the descriptor is in no epoll set any more */
};

/* What every byte on the wire is: byte i of a stream is pattern[i % PATTERN_LENGTH]. */
const uint8_t *app_pattern(void);

/* answer, stream or echo. */
bool app_mode_of(const char *word, enum app_mode *mode);

/* A new connection, and what epoll said of an old one. */
void app_begin(const struct app *app, int fd);
void app_event(const struct app *app, const struct epoll_event *event);

_Noreturn void app_fail(const char *what, int error);

#endif
