/*
 * sources.c: what servers print.  The supervisor keeps each reading end until the logger has read it to its end,
 * so that a logger's death costs no server a SIGPIPE; it never reads there itself.
 *
 * SPDX-License-Identifier: ISC
 */
#include "logging.h"
#include "sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "roll.h"

static void push(struct supervisor *s, const struct log_source *source)
{
	struct logger_message message = {.version = LOGGER_VERSION,
					 .type = LOGGER_SOURCE,
					 .source = {.source = source->number,
						    .target = source->target,
						    .instance = source->instance,
						    .generation = source->generation,
						    .pid = source->pid}};

	memcpy(message.source.name, source->name, sizeof(source->name));
	logger_send(s, &message, source->fd);
}

void logger_source(struct supervisor *s, struct server *server, int reading_end)
{
	struct log_source *source = calloc(1, sizeof(*source));

	if (source == NULL) {
		log_line(s, LEVEL_ERROR, server->service->name,
			 "no memory for the output of server %u: it is lost", server->instance);
		close(reading_end);
		return;
	}
	source->number = ++s->logger.next_source;
	source->target = server->service->want != NULL ? target_of(s, &server->service->want->server->log)
						       : LOGGER_DAEMON;
	source->instance = server->instance;
	source->generation = server->built;
	source->pid = server->pid;
	source->fd = reading_end;
	source->server = server;
	snprintf(source->name, sizeof(source->name), "%s", server->service->name);
	source->next = s->logger.sources;
	s->logger.sources = source;
	server->source = source->number;
	push(s, source);
}

void sources_push(struct supervisor *s)
{
	for (const struct log_source *source = s->logger.sources; source != NULL; source = source->next)
		push(s, source);
}

void sources_answer(struct supervisor *s, const struct logger_message *message)
{
	struct log_source **at = &s->logger.sources;

	while (*at != NULL && (*at)->number != message->source.source)
		at = &(*at)->next;
	struct log_source *source = *at;
	if (source == NULL)
		return;
	/* A restarted server prints into a newer source: its old one's last words are no longer its last. */
	if (source->server != NULL && source->server->source == source->number &&
	    message->source.last[0] != '\0')
		snprintf(source->server->last_line, sizeof(source->server->last_line), "%.*s",
			 (int)sizeof(message->source.last) - 1, message->source.last);
	if (message->type != LOGGER_SOURCE_END)
		return;
	struct server *server = source->server;
	*at = source->next;
	logger_close_fd(s, source->fd);
	free(source);
	targets_release(s);
	if (server != NULL)
		roll_last_words(s, server);
}

bool sources_use(const struct supervisor *s, uint32_t target)
{
	for (const struct log_source *source = s->logger.sources; source != NULL; source = source->next)
		if (source->target == target)
			return true;
	return false;
}

void sources_forget(struct supervisor *s, const struct server *server)
{
	for (struct log_source *source = s->logger.sources; source != NULL; source = source->next)
		if (source->server == server)
			source->server = NULL;
}

bool sources_pending(const struct supervisor *s, const struct server *server)
{
	for (const struct log_source *source = s->logger.sources; source != NULL; source = source->next)
		if (source->server == server)
			return true;
	return false;
}

void sources_free(struct supervisor *s)
{
	while (s->logger.sources != NULL) {
		struct log_source *source = s->logger.sources;
		s->logger.sources = source->next;
		close(source->fd);
		free(source);
	}
}
