/*
 * event_text.h: events of the dispatcher in words.  Pure.
 */
#ifndef EVENT_TEXT_H
#define EVENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "event.h"
#include "logger_link.h"

/* Is it one that this program knows, with nothing in it that must not stand in a log? */
bool event_known(const struct event *event);

/* How much it matters: what a person must act on is an error or a warning. */
enum logger_level event_level(const struct event *event);

/* The sentence, without the service's name, which stands before it. Returns text. */
const char *event_text(const struct event *event, char *text, size_t size);

#endif
