/*
 * listen.h: what a value of `listen` means.  Pure but for the look-up of a port's name, which the caller brings.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "address.h"

struct listen_word {
	size_t name_length;     /* NAME= stands at the start of the text; 0: no name */
	struct address address; /* of the first socket; a path is that in the text */
	bool both;              /* a wildcard of both families: address is 0.0.0.0, and [::] comes with it */
};

/* The TCP port of a name of /etc/services, or 0. */
typedef unsigned (*listen_port_lookup)(void *context, const char *name);

#define LISTEN_WHY 160

/* 0, or -EINVAL and what is wrong in why. */
int listen_parse(const char *text, listen_port_lookup lookup, void *context, struct listen_word *out,
		 char why[LISTEN_WHY]);

#endif
