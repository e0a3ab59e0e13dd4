/*
 * daemon.h: the running daemon, asked over control.sock.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "arguments.h"
#include "control.h"

enum daemon_found {
	DAEMON_ANSWERS,
	DAEMON_NOT_RUNNING,
	DAEMON_DEAD,    /* not running, but it left its socket or pidfile behind */
	DAEMON_UNKNOWN, /* cannot tell, or not permitted to ask */
};

struct daemon_connection {
	int fd;
	int pidfd;         /* of the daemon; -1: the kernel would not say */
	uid_t uid;         /* of the daemon; (uid_t)-1: unknown */
	bool waits;        /* for an answer that takes as long as servers do */
	char *runtime_dir; /* owned */
	char problem[320]; /* unless it answers: one line that says why */
};

/* The table that commands mean: -c or the default. */
const char *daemon_config(const struct arguments *arguments);

/* Opens a connection.  Close it in every case. */
enum daemon_found daemon_connect(struct daemon_connection *connection, const struct arguments *arguments);
void daemon_close(struct daemon_connection *connection);

/* Sends the one request of this connection.  service: NULL for all.  false after a message. */
bool daemon_send(struct daemon_connection *connection, enum control_command command, uint32_t flags,
		 const char *service);

/*
 * Reads the answer to its end: lines go to standard output and error, other records to `handle`, the result's text to
 * standard error.  Returns the exit code.  handle may be NULL; less than 0 from it ends the reading: no memory.
 */
typedef int daemon_handler(const struct control_record *record, void *data);
int daemon_answer(struct daemon_connection *connection, daemon_handler *handle, void *data);
/* A handler: CONTROL_OUTPUT lines to standard output. */
int daemon_print_line(const struct control_record *record, void *data);

/* All of it: connect, send, read, close.  Says that nothing runs, too. */
int daemon_ask(const struct arguments *arguments, enum control_command command, uint32_t flags,
	       const char *service, daemon_handler *handle, void *data);

/* After `stop` was answered: waits until the process is gone.  false: it is still there after a long time. */
bool daemon_wait_gone(const struct daemon_connection *connection);

#endif
