/*
 * service_names.h: what the services are called, and where lines about them go.  There may be ten thousand: their names lie one
 * behind the other.
 */
#ifndef SERVICE_NAMES_H
#define SERVICE_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names {
	struct named {
		uint32_t at; /* in text; 0: not told, and text begins with "" */
		uint32_t target;
	} *service;          /* BOARD_SERVICES */
	char *text;
	size_t length, room;
	size_t left;         /* bytes of names that nobody has any more */
};

/* 0 or -ENOMEM. */
int names_init(struct names *names);
void names_free(struct names *names);

/* 0; -ENOMEM: it has the target, and the name that it had. */
int names_tell(struct names *names, uint32_t service, const char *name, uint32_t target);

/* Until the next names_tell(). */
const char *names_of(const struct names *names, uint32_t service);
uint32_t names_target(const struct names *names, uint32_t service);

#endif
