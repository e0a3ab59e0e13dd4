/*
 * main.h: what the files of lust_main() share.  Private to liblust.
 *
 *   main.c           one visible order, from the settings to the end
 *   main_command.c   the command line, and the commands to a daemon that runs already
 *   main_sources.c   where connections come from: lust-inetd, inherited sockets, or listeners of our own
 *   main_listen.c    those listeners
 *   main_loop.c      waiting: connections, signals, watchdog
 */
#ifndef LUST_MAIN_H
#define LUST_MAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lust.h"

#define LUST_MAIN_LISTENERS 64

enum lust_main_exit { /* LSB, init scripts */
		      LUST_EXIT_FAILED = 1,
		      LUST_EXIT_USAGE = 2,
		      LUST_EXIT_NOT_PERMITTED = 4,
		      LUST_EXIT_NOT_CONFIGURED = 6,
		      LUST_EXIT_NOT_RUNNING = 7,
		      /* `status` alone */
		      LUST_STATUS_DEAD = 1,
		      LUST_STATUS_STOPPED = 3,
		      LUST_STATUS_UNKNOWN = 4,
};

enum lust_main_command {
	LUST_COMMAND_NONE,
	LUST_COMMAND_START,
	LUST_COMMAND_STOP,
	LUST_COMMAND_RESTART,
	LUST_COMMAND_STATUS,
	LUST_COMMAND_RELOAD,
	LUST_COMMAND_RUN,
	LUST_COMMAND_HELP,
	LUST_COMMAND_VERSION,
};

struct lust_listener {
	int fd;       /* owned */
	char *path;   /* of a Unix socket that we made; owned; NULL: nothing to remove */
	dev_t device; /* of that socket: what else is there by then stays */
	ino_t inode;
};

struct lust_main {
	struct lust_run run; /* first: what the program sees */
	char **argv;         /* for the settings that are read again */
	int argc;
	char *file;         /* -c, absolute, since the working directory changes; owned; NULL */
	const char **known; /* keys that may be set; the array is owned */
	size_t known_count;
	enum lust_main_command command;
	char *pidfile; /* owned */
	int umask;     /* -1: as it is usual */
	struct lust_daemon *daemon;
	struct lust_server *server; /* NULL: not under lust-inetd */
	struct lust_listener listener[LUST_MAIN_LISTENERS];
	unsigned listeners, turn;
	int input;       /* what inetd left as standard input; owned; -1: nothing, or adopted */
	int connection;  /* the one that we were started for; -1: none, or given out */
	bool single;     /* and nothing comes after it */
	bool short_told; /* that descriptors or memory are short */
	int signals, epoll, notify, stream; /* -1: none */
	uint64_t watchdog_ms;               /* half of what was asked for; 0: none */
	int64_t watchdog_due;
	bool stopping;
	bool hook_failed; /* inside lust_daemon_open(): told already */
	int code;
};

/* ---- main_command.c ---- */
/* 0, or an exit code after a line on standard error. */
int lust_main_parse(struct lust_main *m);
/* (Re)reads the file, puts defaults below and the command line above it, and tells each mistake.  0 with *settings, which is the
   caller's, or -errno.  forgiving: what is right counts, whatever else is wrong. */
int lust_main_settings(struct lust_main *m, struct lust_settings **settings, bool forgiving);
/* 0 with *level as said (0: not said), or -EINVAL after a line. */
int lust_main_log_level(const struct lust_settings *settings, int *level);
void lust_main_help(const struct lust_main *m);
/* stop, status, reload: the exit code. */
int lust_main_control(struct lust_main *m);

/* ---- main_sources.c ---- */
/* Under inetd all three standard streams are the client: puts its socket aside and /dev/null in their place, and lets the log go
   to syslog from here on.  Nothing under others. */
void lust_sources_leave_client(struct lust_main *m);
/* What the starter left, or listeners of our own; before anything is closed or given up.  0 or -errno after a line. */
int lust_sources_open(struct lust_main *m);
/* Registers with lust-inetd, if that is who started us; after the jail. */
int lust_sources_register(struct lust_main *m);
void lust_sources_close(struct lust_main *m);
/* In the process that only waited: the sockets' files are the daemon's. */
void lust_sources_forget(struct lust_main *m);
/* Descriptors that must stay open: their number. */
unsigned lust_sources_list(const struct lust_main *m, int fds[LUST_MAIN_LISTENERS + 2]);
/* One that is there, without waiting: 1, 0 or -errno. */
int lust_sources_receive(struct lust_main *m, struct lust_connection *connection);

/* ---- main_listen.c ---- */
/* What the setting `listen`, or the program, names.  0 or -errno after a line. */
int lust_listen_open(struct lust_main *m);
/* fd is the program's from here on, made non-blocking; path: of a Unix socket to remove at the end, or NULL.  0 or -errno. */
int lust_listener_add(struct lust_main *m, int fd, const char *path);
/* The socket's file, if it is still ours. */
void lust_listener_remove(const struct lust_listener *listener);

/* ---- main_loop.c ---- */
int lust_loop_open(struct lust_main *m); /* 0 or -errno */
void lust_loop_close(struct lust_main *m);
void lust_main_tell(const struct lust_main *m, const char *state); /* the service manager, if there is one */

#endif
