/*
 * app.c: see app.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct connection {
	int fd;
	uint64_t sent;
};

const uint8_t *app_pattern(void)
{
	static uint8_t pattern[PATTERN_LENGTH];

	if (pattern[1] == 0)
		for (unsigned i = 0; i < PATTERN_LENGTH; i++)
			pattern[i] = (uint8_t)(i ^ i >> 8);
	return pattern;
}

bool app_mode_of(const char *word, enum app_mode *mode)
{
	static const char *const words[] = {[APP_ANSWER] = "answer", [APP_STREAM] = "stream", [APP_ECHO] = "echo"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(word, words[i]) == 0) {
			*mode = (enum app_mode)i;
			return true;
		}
	return false;
}

_Noreturn void app_fail(const char *what, int error)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(error));
	exit(1);
}

static void end(const struct app *app, struct connection *connection)
{
	epoll_ctl(app->loop, EPOLL_CTL_DEL, connection->fd, NULL);
	app->leave(connection->fd);
	free(connection);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void stream(const struct app *app, struct connection *connection)
{
	while (connection->sent < app->length) {
		size_t at = connection->sent % PATTERN_LENGTH, part = PATTERN_LENGTH - at;
		if (part > app->length - connection->sent)
			part = (size_t)(app->length - connection->sent);
		ssize_t sent = send(connection->fd, app_pattern() + at, part, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && would_block())
			return;
		if (sent < 0)
			break; /* the client sees a stream that is too short */
		connection->sent += (uint64_t)sent;
	}
	end(app, connection);
}

/* What the client has under way is less than a socket's buffer: it all goes back at once. */
static void echo(const struct app *app, struct connection *connection)
{
	uint8_t chunk[4096];
	ssize_t got = recv(connection->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (got < 0 && would_block())
		return;
	if (got <= 0 || send(connection->fd, chunk, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT) != got)
		end(app, connection);
}

void app_event(const struct app *app, const struct epoll_event *event)
{
	if (app->mode == APP_STREAM)
		stream(app, event->data.ptr);
	else
		echo(app, event->data.ptr);
}

void app_begin(const struct app *app, int fd)
{
	if (app->mode == APP_ANSWER) {
		/* A client that is gone already is the client's loss: it counts what it got. */
		(void)!send(fd, app_pattern(), ANSWER_LENGTH, MSG_NOSIGNAL | MSG_DONTWAIT);
		app->leave(fd);
		return;
	}
	struct connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		app_fail("connection", ENOMEM);
	connection->fd = fd;
	struct epoll_event event = {.events = app->mode == APP_STREAM ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(app->loop, EPOLL_CTL_ADD, fd, &event) < 0)
		app_fail("epoll_ctl", errno);
}
