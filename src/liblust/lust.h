/*
 * lust.h: liblust, the Little Unix Server Toolkit.
 *
 *   application servers of lust-inetd     lust_server_*                        lust(3)
 *   descriptors and credentials           lust_send_*, lust_receive_*          lust_send_fd(3)
 *   being a daemon                        lust_daemon_*, lust_pidfile_*, ...   lust_daemon_open(3)
 *   what a service manager wants to hear  lust_notify*, lust_listen_*          lust_notify(3)
 *   the log                               lust_log*                            lust_log(3)
 *   settings                              lust_settings_*                      lust_settings_read(3)
 *   all of it as one program              lust_main*                           lust_main(3)
 *
 * What can fail returns a negative errno.  Nothing here prints, exits or starts a thread, but for the log
 * and lust_main(), whose work that is.  Handles are opaque and the caller's.  All zero is a good answer
 * in every struct of options, and NULL in its place; what is reserved is zero.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef LUST_H
#define LUST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LUST_BATCH_MAX 64 /* connections that one message can carry */

struct lust_server;

/* How to register.  All zero is a good answer; so is NULL in its place. */
struct lust_options {
	uint32_t capacity;         /* connections held at once; 0: no limit of its own */
	uint32_t batch;            /* 1 to LUST_BATCH_MAX connections a message; 0: 1 */
	unsigned explicit_take : 1; /* the server calls lust_server_take() itself */
	unsigned nonblocking : 1;   /* descriptors arrive with O_NONBLOCK set */
	unsigned no_local : 1;      /* leave `local` empty where it takes a getsockname(2) to know it */
	unsigned : 29;
	int32_t wait_ms;           /* for the daemon to answer; 0: 10 s, -1: for ever */
	const char *label;         /* shown by `lust-inetd status`; copied, 63 bytes at most */
	const char *runtime_dir;   /* of the daemon, for servers started by others; NULL: LUST_RUNTIME_DIR,
	                              else /run/lust-inetd */
	uint64_t reserved[4];      /* zero */
};

enum lust_kind {
	LUST_KIND_TCP = 1,
	LUST_KIND_UNIX = 2,
};

/* One connection.  The descriptor is the caller's: give it back with lust_server_close(), or
   close(2) it and say lust_server_done(). */
struct lust_connection {
	int fd;                    /* close-on-exec; blocking unless options.nonblocking */
	uint16_t kind;             /* enum lust_kind */
	uint16_t flags;            /* 0 in this version */
	uint64_t id;               /* names the connection to take, refuse and done */
	uint32_t listener;         /* position, from 0, of the address in the service's `listen` */
	uint32_t waited_us;        /* time in the backlog before accept, microseconds */
	struct sockaddr_storage peer, local;
	int32_t peer_pid;          /* Unix sockets only, else -1 */
	uint32_t peer_uid, peer_gid; /* Unix sockets only, else UINT32_MAX */
	uint64_t reserved[2];
};

/* Registers this process as a server of `service` (NULL: LUST_SERVICE), by LUST_FD or at the daemon's door, and waits for
   the answer.  0, -EACCES (refused: *server is set all the same, to be asked for the reason and freed), or, with
   *server NULL, -ENOENT and -ECONNREFUSED (no daemon), -ETIMEDOUT, -EINVAL (options or name), -EPROTO.
   Who came through the door outlives the daemon and finds the next one by itself, within receive. */
int lust_server_register(struct lust_server **server, const char *service, const struct lust_options *options);
const char *lust_server_reason(const struct lust_server *server); /* why it was refused, or ""; the handle's */

/* Readable when receive has something to say: for any loop.  Never changes; belongs to the handle. */
int lust_server_fd(const struct lust_server *server);

/* The next connection, or up to n.  timeout_ms: 0 does not wait, -1 waits for ever.  Their number; 0: time is up;
   -EINTR; -EACCES: registration withdrawn, or refused by a new daemon (receive again to go on trying);
   -ESHUTDOWN: drained, finish what you hold and exit.  With options.batch above 1: until 0 before waiting again, there
   or at lust_server_fd(): DONE is gathered then, and somebody has to be there to say it, 5 ms later at most. */
int lust_server_receive(struct lust_server *server, struct lust_connection *connection, int timeout_ms);
int lust_server_receive_many(struct lust_server *server, struct lust_connection *connections, unsigned n,
                             int timeout_ms);

/* Shaped like accept4(2), but returns a negative errno.  It waits.  flags: SOCK_NONBLOCK, SOCK_CLOEXEC (always set). */
int lust_server_accept(struct lust_server *server, struct sockaddr *addr, socklen_t *addrlen, int flags);

/* explicit_take only, else -EINVAL; -ENOENT: not held.  take: from now on this server answers for it; -EAGAIN: again when
   lust_server_fd() is readable.  refuse, before that: to another server, and closed; -ESTALE: its daemon is gone, it stays
   yours. */
int lust_server_take(struct lust_server *server, uint64_t id);
int lust_server_refuse(struct lust_server *server, uint64_t id);

/* Ends a connection: shutdown, close and DONE, in the order that `acknowledge` wants.  Out of an epoll set with it
   before: the daemon may still have a copy.  done: for a descriptor that was given away or closed already.  -EBADF, -ENOENT:
   no connection of this handle, and nothing has happened. */
int lust_server_close(struct lust_server *server, int fd);
int lust_server_done(struct lust_server *server, uint64_t id);

int lust_server_set_capacity(struct lust_server *server, uint32_t capacity); /* 0: no limit of its own */
int lust_server_alive(struct lust_server *server);                           /* for services with `watchdog` */
int lust_server_drain(struct lust_server *server); /* no more, please; what is on its way comes, then -ESHUTDOWN */

/* In a forked child: a registration of its own; 0 or as register.  There the parent's handle can only be freed. */
int lust_server_clone(struct lust_server *server, struct lust_server **clone);

/* Deregisters.  Connections that the application received stay open and its own.  NULL is fine. */
void lust_server_free(struct lust_server *server);

/* ==== Descriptors and credentials over a Unix socket: lust_send_fd(3) ==== */

/* One descriptor.  send: 0 or -errno; it stays the caller's.  receive: the descriptor, close-on-exec and the
   caller's, or -ECONNRESET (end of file), -ENOMSG (none came), -EMFILE (no room for it).  Surplus is closed. */
int lust_send_fd(int socket, int fd);
int lust_receive_fd(int socket);

struct lust_credentials {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* They come with every message once the receiver has allowed them: on a listener before listen(2), on a pair before
   the other end exists elsewhere; what was sent earlier has none: -ENOMSG.  NULL sends one's own.  Root may say any:
   decide by uid and gid, never by pid. */
int lust_allow_credentials(int socket);
int lust_send_credentials(int socket, const struct lust_credentials *credentials);
int lust_receive_credentials(int socket, struct lust_credentials *credentials);

#define LUST_FDS_MAX 252 /* descriptors in one packet: the kernel takes 253, musl 252 */

/* Data, descriptors and credentials as one message, so that nothing can come between them. */
struct lust_packet {
	/* to send, or room for what comes */
	void *data;
	size_t size;     /* at least 1 */
	int *fds;        /* sent, they stay the caller's; received, they are the caller's, close-on-exec */
	unsigned fds_size;
	unsigned send_credentials : 1; /* `credentials`, or one's own when its pid is 0 */
	/* received */
	unsigned has_credentials : 1;  /* `credentials` is set; its pid is 0 when nobody vouches for it */
	unsigned surplus : 1;          /* more descriptors than room came: those were closed */
	unsigned truncated : 1;        /* the kernel could not install all (MSG_CTRUNC) */
	unsigned : 28;
	struct lust_credentials credentials;
	size_t length;      /* of the message: above `size` when a datagram or packet was cut */
	unsigned fds_count;
	int pidfd;          /* the sender's, the caller's to close; -1: none (lust_allow_pidfd()) */
	uint64_t reserved[2];
};

/* flags: MSG_DONTWAIT or 0.  send: the bytes that went (on a stream perhaps not all, the descriptors with
   the first of them), or -errno.  receive: 1, 0 at the end of file, or -errno. */
ssize_t lust_send_packet(int socket, const struct lust_packet *packet, int flags);
int lust_receive_packet(int socket, struct lust_packet *packet, int flags);

/* Linux 6.5, else -ENOPROTOOPT.  allow: the sender's pidfd comes with every message.  peer: a pidfd,
   close-on-exec and the caller's, of the process that connected. */
int lust_allow_pidfd(int socket);
int lust_peer_pidfd(int socket);

enum lust_fd_kind {
	LUST_FD_OTHER = 0,     /* a terminal, a device, an epoll set, ... */
	LUST_FD_STREAM = 1,    /* a stream socket that does not listen */
	LUST_FD_DATAGRAM = 2,
	LUST_FD_PACKETS = 3,   /* SOCK_SEQPACKET */
	LUST_FD_LISTENER = 4,  /* accept(2) works */
	LUST_FD_FILE = 5,
	LUST_FD_DIRECTORY = 6,
	LUST_FD_PIPE = 7,
};
int lust_fd_kind(int fd); /* enum lust_fd_kind, or -errno */

/* ==== Being a daemon: lust_daemon_open(3) ==== */

/* The directory becomes the root; only what is open outside stays within reach.  0 or -errno. */
int lust_jail(const char *directory);

/* Groups, gid and uid, all three of each, and the proof that there is no way back.  0, or -errno; after -EPERM exit. */
int lust_drop_privileges(uid_t uid, gid_t gid, const gid_t *groups, size_t count);

/* Locked with flock(2) as long as it is open, so that a leftover is no trap.  open: the close-on-exec descriptor, the
   caller's, or -errno; -EWOULDBLOCK: somebody holds it, *holder (may be NULL) is the pid inside, or 0.  close: removes
   the file if it is still the locked one.  read: the pid of who holds the lock; 0: nobody; -ENOENT: no file. */
int lust_pidfile_open(const char *path, pid_t *holder);
int lust_pidfile_write(int fd, pid_t pid);
int lust_pidfile_close(int fd, const char *path);
pid_t lust_pidfile_read(const char *path);

struct lust_signal {
	int number;
	pid_t pid;  /* of the sender; 0: the kernel */
	uid_t uid;
	int status; /* SIGCHLD: as waitid(2) says */
};

/* open: blocks them (before any thread is started) and returns a close-on-exec signalfd(2), the caller's, or -errno.
   next: 1 with *signal filled in, 0 when none waits, or -errno. */
int lust_signals_open(const int *signals, size_t count);
int lust_signals_next(int fd, struct lust_signal *signal);

/* Every disposition the default one, nothing blocked: for a forked child that is about to exec.  0 or -errno. */
int lust_signals_reset(void);

/* Who started this process, from its descriptors and its environment. */
enum lust_starter {
	LUST_STARTED_BY_HAND = 0,
	LUST_STARTED_BY_LUST_INETD = 1, /* LUST_FD is a packet socket */
	LUST_STARTED_BY_INETD = 2,      /* standard input is a socket with a name */
	LUST_STARTED_BY_SYSTEMD = 3,    /* LISTEN_PID or SYSTEMD_EXEC_PID is this process, or NOTIFY_SOCKET */
	LUST_STARTED_BY_INIT = 4,       /* the parent is pid 1 */
};
enum lust_starter lust_started_by(void);

enum lust_detach {
	LUST_DETACH_AUTO = 0, /* when started by hand */
	LUST_DETACH_YES = 1,
	LUST_DETACH_NO = 2,
};

#define LUST_STREAM_NULL 0  /* /dev/null */
#define LUST_STREAM_KEEP -1 /* as it is */

struct lust_signal_action {
	int number;
	void (*handler)(int); /* or SIG_IGN, SIG_DFL */
};

/* The daemon context of PEP 3143.  Strings and arrays are used during lust_daemon_open() only. */
struct lust_daemon_options {
	int detach;               /* enum lust_detach */
	const char *directory;    /* to work in, as seen inside `chroot`; NULL: "/" */
	const char *chroot;       /* NULL: none */
	const char *user, *group; /* names or numbers, looked up before the jail.  user NULL: the real ids,
	                             which gives set-uid up; group NULL: the user's */
	const gid_t *groups;      /* supplementary ones; NULL: of the user's entry; without `user`, as they are */
	size_t groups_count;
	const char *pidfile;      /* NULL: none; held until lust_daemon_close() */
	const int *preserve;      /* stay open, beside the standard three and that of the log */
	size_t preserve_count;
	int streams[3];           /* standard input, output, error: LUST_STREAM_... or a descriptor */
	const struct lust_signal_action *signals; /* NULL: TTIN, TTOU and TSTP are ignored */
	size_t signals_count;
	mode_t umask;             /* counts with set_umask; else 022 */
	unsigned set_umask : 1;
	unsigned core_dumps : 1;  /* allowed; else RLIMIT_CORE is 0 and the process is not dumpable */
	unsigned keep_fds : 1;    /* close nothing */
	unsigned : 29;
	int (*before_jail)(void *), (*before_drop)(void *); /* a negative errno fails the open */
	void *argument;           /* theirs */
	uint64_t reserved[4];
};

struct lust_daemon;

/* Becomes a daemon: names; /dev/null, pidfile; core dumps, umask; fork, setsid, fork; pid; signals; descriptors;
   streams; before_jail; jail; before_drop; groups, gid, uid; directory.  0 in the daemon; 1 in the process that
   called, when it detached: it is to exit with lust_daemon_code(), nothing else; or -errno, and lust_daemon_problem()
   names the step.  *daemon is NULL before the first call, and set afterwards but for -ENOMEM.  Before any thread. */
int lust_daemon_open(struct lust_daemon **daemon, const struct lust_daemon_options *options);

/* The verdict for who waits.  0: it works; standard error leaves, too.  Another code is told by lust_daemon_close(),
   when the pidfile is free again; no verdict is 1. */
int lust_daemon_ready(struct lust_daemon *daemon, int code);
int lust_daemon_code(const struct lust_daemon *daemon);
const char *lust_daemon_problem(const struct lust_daemon *daemon); /* "chroot /x: Operation not permitted"; "" */
int lust_daemon_is_open(const struct lust_daemon *daemon);         /* NULL is not */

/* Removes the pidfile (from a jail: empties it).  NULL is fine.  For the daemon itself, not its forked children. */
void lust_daemon_close(struct lust_daemon *daemon);

/* The detaching alone.  1 in the caller, with the verdict in *code; 0 in the daemon, with *verdict for
   lust_daemon_tell(), which closes it; or -errno. */
int lust_daemon_detach(int *verdict, int *code);
int lust_daemon_tell(int verdict, int code);

/* ==== What a service manager wants to hear: lust_notify(3) ==== */

/* "READY=1", "STATUS=...", one a line.  1: told; 0: there is no NOTIFY_SOCKET; or -errno. */
int lust_notify(const char *state);

/* In two steps, for a jail: a close-on-exec descriptor, the caller's, to `path` (NULL: NOTIFY_SOCKET; -ENOENT without
   it), and what is told there: 1 or -errno, -EAGAIN when the manager does not read. */
int lust_notify_open(const char *path);
int lust_notify_to(int notify, const char *state);

/* Microseconds within which WATCHDOG=1 is due (send it at half of that); 0: nobody waits for it. */
uint64_t lust_notify_watchdog(void);

/* Descriptors that were passed to this process, from 3 on, made close-on-exec: their number, or -errno.  Ask before
   lust_daemon_open(), which may change the pid. */
#define LUST_LISTEN_FDS_START 3
int lust_listen_fds(void);
const char *lust_listen_name(unsigned position, char name[256]); /* of LISTEN_FDNAMES, from 0; "" */

/* ==== The log: lust_log(3) ==== */

enum lust_log_level { /* numbers of syslog(3), names of lust-inetd.conf(5) */
	LUST_LOG_ERROR = 3,
	LUST_LOG_WARNING = 4,
	LUST_LOG_NOTICE = 5,
	LUST_LOG_INFO = 6,
	LUST_LOG_DEBUG = 7,
};

struct lust_log_options {
	const char *name;      /* of the program; NULL: as it was called */
	const char *target;    /* "stderr", "syslog", "journal" or an absolute path; NULL: the journal when
	                          standard error is connected to it (JOURNAL_STREAM), else standard error */
	int level;             /* the lowest that is told; 0: LUST_LOG_INFO */
	unsigned redirect : 1; /* standard output and error go to the log too.  To syslog through a process of
	                          its own, so before any thread is started */
	unsigned : 31;
	uint64_t reserved[2];
};

/* The process's.  Before open and after close, lines go to standard error.  open replaces what was open; reopen: a
   file that was renamed away.  Both: 0, or -errno and nothing has changed.  One thread opens, reopens and closes. */
int lust_log_open(const struct lust_log_options *options);
int lust_log_reopen(void);
void lust_log_close(void);
void lust_log_level(int level);
int lust_log_level_of(const char *name); /* "warning": 4; -EINVAL */

/* One line a call, whole, from any thread; escaped, cut at 8 KiB.  %m is understood, errno left alone. */
void lust_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lust_vlog(int level, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

/* ==== Settings, /etc/NAME.conf: lust_settings_read(3) ==== */

/* KEY = VALUE lines; a key of a [SECTION] is named SECTION.KEY.  The file wins over defaults, overrides over the file. */
struct lust_settings;

/* path NULL: /etc/NAME.conf, which may be missing: lust_settings_file() is NULL then.  0; -EINVAL: lust_settings_problem()
   tells every mistake, the rest was read; or -errno of the file.  *settings is set but for -ENOMEM. */
int lust_settings_read(struct lust_settings **settings, const char *name, const char *path);
const char *lust_settings_file(const struct lust_settings *settings);
int lust_settings_default(struct lust_settings *settings, const char *key, const char *value);
int lust_settings_override(struct lust_settings *settings, const char *key, const char *value);

/* NULL: not set anywhere.  Valid as long as the handle, and until the key is set again. */
const char *lust_settings_get(const struct lust_settings *settings, const char *key);

/* 0; -ENOENT: not set; -EINVAL, -ERANGE: lust_settings_problem() says where.  *value is changed with 0 only. */
int lust_settings_number(struct lust_settings *settings, const char *key, long long minimum,
                         long long maximum, long long *value);
int lust_settings_boolean(struct lust_settings *settings, const char *key, int *value); /* yes no true false on off 1 0 */
int lust_settings_time(struct lust_settings *settings, const char *key, uint64_t *ms);  /* 250ms 5s 2m 1h 1d, or seconds */

/* Of the last call that failed: "FILE:LINE: ..." lines; "" when none did. */
const char *lust_settings_problem(const struct lust_settings *settings);

/* The first key of the file that is not in `known`, and its line in *line (may be NULL); NULL: all are. */
const char *lust_settings_unknown(const struct lust_settings *settings, const char *const *known,
                                  size_t count, unsigned *line);
void lust_settings_free(struct lust_settings *settings);

/* ==== A whole daemon: lust_main(3) ==== */

struct lust_program;

/* What the hooks may ask for; owned by lust_main(). */
struct lust_run {
	const struct lust_program *program;
	struct lust_settings *settings; /* another handle after a reload */
	enum lust_starter starter;
	void *data;                     /* the program's own */
	uint64_t reserved[4];
};

/* Lists end with NULL.  Hooks may be NULL, return 0 or a negative errno, and run in this order. */
struct lust_program {
	const char *name, *version;
	const char *const *listen;   /* standing alone: "7", "*:7", "127.0.0.1:7", "[::1]:7", "unix:/PATH" */
	const char *const *defaults; /* of the settings: key, value, key, value ... */
	const char *const *known;    /* further keys that may be set */
	uint32_t capacity;           /* of a `run`, as in struct lust_options */
	int (*before_daemon)(struct lust_run *); /* what it opens is closed again */
	int (*before_jail)(struct lust_run *);
	int (*before_drop)(struct lust_run *);
	int (*start)(struct lust_run *);
	/* One of both.  serve: for each connection, which lust_main() closes.  run: a loop of the program's own, until
	   lust_main_receive() says -ESHUTDOWN. */
	void (*serve)(struct lust_run *, const struct lust_connection *);
	int (*run)(struct lust_run *);
	int (*reload)(struct lust_run *); /* SIGHUP: the file was read again and has no mistake */
	void (*shutdown)(struct lust_run *);
	uint64_t reserved[4];
};

/* NAME [-c FILE] [-o KEY=VALUE]... start|stop|restart|status|reload|run.  Started by lust-inetd, inetd or
   systemd no command is needed.  Returns the exit code, as the LSB has it. */
int lust_main(const struct lust_program *program, int argc, char **argv);

/* For `run`.  receive: as lust_server_receive(); -EMFILE, -ENFILE: again when some are closed.  It feeds the watchdog:
   call it at least that often.  close: of what it gave.  fd: readable when receive has something to say. */
int lust_main_receive(struct lust_run *run, struct lust_connection *connection, int timeout_ms);
int lust_main_close(struct lust_run *run, const struct lust_connection *connection);
int lust_main_fd(const struct lust_run *run);

#ifdef __cplusplus
}
#endif

#endif
