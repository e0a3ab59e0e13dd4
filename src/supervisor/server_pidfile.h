/*
 * server_pidfile.h: pidfiles of servers.  The supervisor opens, locks, writes and removes them.  Where two servers of one
 * instance run, the file is the one's that serves: it is handed on, never removed and made again.
 */
#ifndef SERVER_PIDFILE_H
#define SERVER_PIDFILE_H

#include <stddef.h>

#include "supervisor.h"

/* Before a start.  0 with the file locked, or with none because the server in whose place it comes up has it still;
   -errno with words. */
int server_pidfile_take(struct supervisor *, struct server *, char *problem, size_t size);
void server_pidfile_write(struct supervisor *, const struct server *); /* server->pid, if it has the file */
/* The newcomer has its place now, and the file with it, unless it has one of its own. */
void server_pidfile_hand_on(struct supervisor *, struct server *from, struct server *to);
void server_pidfile_release(struct server *);                          /* removes it */

#endif
