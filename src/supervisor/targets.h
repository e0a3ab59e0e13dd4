/*
 * targets.h: the logs that the table names, opened by the supervisor, written by the logger.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef TARGETS_H
#define TARGETS_H

#include "supervisor.h"

struct log_target {
	enum logger_kind kind; /* LOGGER_NONE: a gap */
	char *path; /* of a FILE; owned */
	int fd;     /* of a FILE; -1: could not be opened */
	bool used;    /* by the table in force: opened again at USR1 */
	bool planned; /* opened by a plan that was not taken yet */
};

#endif
