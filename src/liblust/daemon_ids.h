/*
 * daemon_ids.h: who a daemon is to be, looked up while /etc can be reached.  Private to liblust.
 */
#ifndef LUST_DAEMON_IDS_H
#define LUST_DAEMON_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lust.h"

struct lust_ids {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned */
	size_t groups_count;
};

/* 0, or -errno with *what naming what could not be found: "user", "group" or "groups".  Released with
   lust_ids_free(). */
int lust_ids_find(struct lust_ids *ids, const struct lust_daemon_options *options, const char **what);
void lust_ids_free(struct lust_ids *ids);

#endif
