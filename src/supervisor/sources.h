/*
 * sources.h: what one server prints, kept by the supervisor until the logger has read it to its end.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SOURCES_H
#define SOURCES_H

#include "supervisor.h"

struct log_source {
	uint32_t number;
	uint32_t target;
	uint32_t instance;
	uint32_t generation; /* of the service, that the server was started with */
	pid_t pid;
	int fd;
	char name[LOGGER_NAME];
	struct server *server; /* NULL: gone; its last words may still be read */
	struct log_source *next;
};

#endif
