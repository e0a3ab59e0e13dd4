/*
 * orders.c: what the supervisor says, and the answers.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "escape.h"
#include "logger.h"

#define MESSAGES_A_TURN                                                                                      \
	1024 /* more than a socket holds: what was said before an event was reported is known by then */
#define TARGETS (BOARD_SERVICES + 1)

static bool ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static const char *check_target(const struct logger_target *target, unsigned fds)
{
	if (target->target >= TARGETS)
		return "TARGET: index out of range";
	if (target->kind < LOGGER_SYSLOG || target->kind > LOGGER_FILE)
		return "TARGET: unknown kind";
	if (fds > 1 || (fds == 0 && (target->kind == LOGGER_FILE || target->kind == LOGGER_STDERR)))
		return "TARGET: needs its descriptor";
	return NULL;
}

const char *orders_check(const struct logger_message *message, unsigned fds)
{
	if (message->version != LOGGER_VERSION)
		return "message of another version of lust-inetd";
	switch (message->type) {
	case LOGGER_HELLO:
		if (fds != 1)
			return "HELLO: needs the event pipe";
		return ended(message->hello.jail, sizeof(message->hello.jail))
			       ? NULL
			       : "HELLO: jail without its end";
	case LOGGER_TARGET:
		return check_target(&message->target, fds);
	case LOGGER_FORGET:
		return fds == 0 && message->target.target != LOGGER_DAEMON && message->target.target < TARGETS
			       ? NULL
			       : "FORGET: index out of range";
	case LOGGER_SERVICE:
		if (fds != 0 || message->service.service >= BOARD_SERVICES)
			return "SERVICE: index out of range";
		return ended(message->service.name, LOGGER_NAME) ? NULL : "SERVICE: name without its end";
	case LOGGER_SOURCE:
		if (fds != 1)
			return "SOURCE: needs its pipe";
		return ended(message->source.name, LOGGER_NAME) ? NULL : "SOURCE: name without its end";
	case LOGGER_TEXT:
		if (fds != 0 || !ended(message->line.name, LOGGER_NAME) ||
		    !ended(message->line.text, LOGGER_LINE))
			return "TEXT: without its end";
		return message->line.level <= LEVEL_DEBUG ? NULL : "TEXT: unknown level";
	case LOGGER_LEVEL:
		return fds == 0 && message->level <= LEVEL_DEBUG ? NULL : "LEVEL: unknown level";
	case LOGGER_PING:
		return fds == 0 ? NULL : "PING: takes no descriptor";
	}
	return "a type that the supervisor does not send";
}

static void text(struct logger *logger, const struct logger_line *line)
{
	char safe[LOGGER_LINE * 4];
	struct entry entry = {
		.time_us = now_us(),
		.level = (enum logger_level)line->level,
		.name = line->name,
		.text = safe,
	};

	if (line->level > logger->level)
		return;
	lust_escape(safe, sizeof(safe), line->text, strlen(line->text), NULL);
	output_put(logger, line->target, &entry);
}

static void pong(struct logger *logger, uint64_t number)
{
	struct logger_message answer = {.version = LOGGER_VERSION, .type = LOGGER_PONG, .ping = number};

	orders_tell(logger, &answer);
}

/* A checked message; owns its descriptor. */
static void obey(struct logger *logger, const struct logger_message *message, int fd)
{
	switch (message->type) {
	case LOGGER_TARGET:
		output_target(logger, message->target.target, (enum logger_kind)message->target.kind, fd);
		logger->has_target = logger->has_target || message->target.target == LOGGER_DAEMON;
		break;
	case LOGGER_FORGET:
		output_forget(logger, message->target.target);
		break;
	case LOGGER_SERVICE:
		if (names_tell(&logger->names, message->service.service, message->service.name,
			       message->service.target) < 0)
			output_say(logger, LEVEL_ERROR, "no memory for the name of %s",
				   message->service.name);
		break;
	case LOGGER_SOURCE:
		source_add(logger, &message->source, fd);
		break;
	case LOGGER_TEXT:
		text(logger, &message->line);
		break;
	case LOGGER_LEVEL:
		logger->level = (enum logger_level)message->level;
		logger->has_level = true;
		break;
	case LOGGER_PING:
		pong(logger, message->ping);
		break;
	}
	if (logger->has_level && logger->has_target)
		events_start(logger);
}

static void give_up(struct logger *logger, int code)
{
	logger->exit_code = code;
	ev_break(logger->loop, EVBREAK_ALL);
}

/* One message: false when there is none, or the link is over. */
static bool receive_one(struct logger *logger)
{
	struct logger_message message;
	int fds[CHANNEL_FDS];
	unsigned count;
	int result = channel_receive(&logger->link, &message, fds, &count);
	const char *wrong;

	if (result == -EMFILE) {
		output_say(logger, LEVEL_ERROR,
			   "the logger is out of descriptors: the output of a server is not read; raise its "
			   "limit of open files");
		return true;
	}
	if (result <= 0) {
		if (result < 0)
			give_up(logger, result == -EPROTO ? LOGGER_EXIT_PROTOCOL : 0);
		return false;
	}
	wrong = orders_check(&message, count);
	if (!wrong && message.type == LOGGER_HELLO)
		wrong = "HELLO: a second one";
	if (!wrong) {
		obey(logger, &message, count > 0 ? fds[0] : -1);
		return true;
	}
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	output_say(logger, LEVEL_ERROR, "the logger does not understand the supervisor: %s", wrong);
	give_up(logger, LOGGER_EXIT_PROTOCOL);
	return false;
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int revents)
{
	(void)loop;
	(void)revents;
	for (int i = 0; i < MESSAGES_A_TURN; i++)
		if (!receive_one(watcher->data))
			return;
}

/* Watches for writing exactly while that helps. */
static void flush(struct logger *logger)
{
	int result = channel_flush(&logger->link);

	if (result < 0)
		ev_break(logger->loop, EVBREAK_ALL);
	ev_io_stop(logger->loop, &logger->link_write);
	ev_timer_stop(logger->loop, &logger->link_again);
	if (result < 0 || !channel_pending(&logger->link))
		return;
	if (channel_stuck(&logger->link))
		ev_timer_again(logger->loop, &logger->link_again);
	else
		ev_io_start(logger->loop, &logger->link_write);
}

static void on_writable(struct ev_loop *loop, struct ev_io *watcher, int revents)
{
	(void)loop;
	(void)revents;
	flush(watcher->data);
}

static void on_again(struct ev_loop *loop, struct ev_timer *watcher, int revents)
{
	(void)loop;
	(void)revents;
	flush(watcher->data);
}

void orders_tell(struct logger *logger, const struct logger_message *message)
{
	/* A lost link shows at its reading end, and a lost SOURCE_END only costs the supervisor a last line. */
	if (channel_send(&logger->link, message, NULL, 0) == 0 && channel_pending(&logger->link) &&
	    !ev_is_active(&logger->link_write) && !ev_is_active(&logger->link_again))
		flush(logger);
}

int orders_hello(struct logger *logger, struct logger_hello *hello)
{
	struct pollfd readable = {.fd = logger->link.fd, .events = POLLIN};
	struct logger_message message;
	int fds[CHANNEL_FDS];
	unsigned count;
	int result;

	do {
		if (poll(&readable, 1, -1) < 0 && errno != EINTR)
			return -errno;
		result = channel_receive(&logger->link, &message, fds, &count);
	} while (result == 0);
	if (result < 0)
		return result;
	if (orders_check(&message, count) || message.type != LOGGER_HELLO) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		return -EPROTO;
	}
	*hello = message.hello;
	events_init(logger, fds[0]);
	return 0;
}

void orders_start(struct logger *logger)
{
	struct logger_message ready = {.version = LOGGER_VERSION, .type = LOGGER_READY};

	ev_io_init(&logger->link_read, on_readable, logger->link.fd, EV_READ);
	logger->link_read.data = logger;
	/* A flood of lines must not keep the supervisor waiting, and events want the newest names. */
	ev_set_priority(&logger->link_read, 2);
	ev_io_start(logger->loop, &logger->link_read);
	ev_io_init(&logger->link_write, on_writable, logger->link.fd, EV_WRITE);
	logger->link_write.data = logger;
	ev_timer_init(&logger->link_again, on_again, 0.01, 0.01);
	logger->link_again.data = logger;
	orders_tell(logger, &ready);
}
