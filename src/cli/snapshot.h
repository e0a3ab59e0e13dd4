/*
 * snapshot.h: everything that a daemon answered to `status`, in memory.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "control.h"

struct snapshot_service {
	struct control_service service;
	struct control_listener *listener;
	size_t listeners;
	struct control_server *server;
	size_t servers;
};

struct snapshot {
	struct control_daemon daemon;
	char **problem; /* of the last reload */
	size_t problems;
	char **warning; /* of the table in force */
	size_t warnings;
	struct snapshot_service *service;
	size_t services;
};

/* Adds a record; records that do not belong to `status` are passed over.  0, -ENOMEM, or -EPROTO for a listener or
   server before any service. */
int snapshot_add(struct snapshot *snapshot, const struct control_record *record);
void snapshot_free(struct snapshot *snapshot);

/* Worst first; the table's order among equals. */
void snapshot_sort(struct snapshot *snapshot);

/* Does somebody have to look at it? */
bool snapshot_in_trouble(const struct snapshot_service *service);
bool snapshot_server_in_trouble(const struct control_server *server);

/* Any service, the last reload, or no dispatcher. */
bool snapshot_any_trouble(const struct snapshot *snapshot);

#endif
