/*
 * lust.h: liblust, the Little Unix Server Toolkit: the half that application servers of
 * lust-inetd need.  See lust(3); the wire underneath is described in lust-protocol(7).
 *
 * Every function that can fail returns a negative errno.  Nothing here prints, exits, installs
 * a signal handler or starts a thread.  Handles are opaque and owned by the caller.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef LUST_H
#define LUST_H

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
	unsigned : 30;
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

/*
 * Registers this process as a server of `service` (NULL: LUST_SERVICE) and waits for the answer.
 * A server that lust-inetd started finds its pair in LUST_FD; any other knocks at the door,
 * RUNTIME-DIR/register.sock.  0, or -EACCES (refused; lust_server_reason() says why), -ENOENT
 * and -ECONNREFUSED (no daemon), -ETIMEDOUT, -EINVAL (options or name), -EPROTO.
 * On -EACCES *server is set all the same, to be asked for the reason and freed; after any other
 * failure it is NULL.
 */
int lust_server_register(struct lust_server **server, const char *service, const struct lust_options *options);

/* Readable when lust_server_receive() has something to say.  For poll, epoll or any loop; the
   number never changes and belongs to the handle. */
int lust_server_fd(const struct lust_server *server);

/*
 * The next connection.  timeout_ms: 0 does not wait, -1 waits for ever.  1 with *connection
 * filled; 0 when the time is up; -EINTR; -EACCES (registration withdrawn; see reason);
 * -ESHUTDOWN (drained: finish what you hold and exit).  A lost dispatcher is no error.
 * With options.batch above 1: receive until 0 before waiting again.
 */
int lust_server_receive(struct lust_server *server, struct lust_connection *connection, int timeout_ms);

/* The same for up to n connections at once: their number, 0 or an error as above. */
int lust_server_receive_many(struct lust_server *server, struct lust_connection *connections, unsigned n,
                             int timeout_ms);

/* Shaped like accept4(2): waits, returns the descriptor or a negative errno.  flags: SOCK_NONBLOCK,
   SOCK_CLOEXEC (always set).  addr and addrlen may be NULL. */
int lust_server_accept(struct lust_server *server, struct sockaddr *addr, socklen_t *addrlen, int flags);

/* explicit_take only: from now on this server answers for the connection. */
int lust_server_take(struct lust_server *server, uint64_t id);

/* Back to the daemon, for another server; closes the descriptor.  Only before TAKEN, so only with
   explicit_take: otherwise -EINVAL. */
int lust_server_refuse(struct lust_server *server, uint64_t id);

/* Ends a received connection: shutdown, close and DONE, in the order that `acknowledge` wants.  Take
   the descriptor out of an epoll set before: the daemon may still have its copy, and then closing does not. */
int lust_server_close(struct lust_server *server, int fd);

/* DONE for a connection whose descriptor was given away or already closed. */
int lust_server_done(struct lust_server *server, uint64_t id);

/* Says a new capacity; 0 takes the limit away. */
int lust_server_set_capacity(struct lust_server *server, uint32_t capacity);

/* A sign of life, for services with `watchdog`. */
int lust_server_alive(struct lust_server *server);

/* In a child forked from a registered server: a registration of the child's own. The parent's
   handle must not be used in the child after it, except with lust_server_free(). */
int lust_server_clone(struct lust_server *server, struct lust_server **clone);

/* Asks for no more connections.  What is already on its way still comes; then receive says
   -ESHUTDOWN. */
int lust_server_drain(struct lust_server *server);

/* Why the daemon refused; "" when it did not.  Owned by the handle. */
const char *lust_server_reason(const struct lust_server *server);

/* Deregisters and releases the handle and what it holds; connections that the application
   received stay open.  NULL is fine. */
void lust_server_free(struct lust_server *server);

/* Descriptors and credentials over a Unix socket, one at a time: 0 or the descriptor, else -errno.
   A received descriptor is close-on-exec and the caller's; surplus ones are closed; -EMFILE when the
   kernel could not install it (MSG_CTRUNC), -ENOMSG when the message carried none. */
int lust_send_fd(int socket, int fd);
int lust_receive_fd(int socket);

struct lust_credentials {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* Credentials travel with every message of a socket once its receiver allowed them. Do that before
   the other end exists: earlier messages arrive as pid 0. NULL sends one's own. */
int lust_allow_credentials(int socket);
int lust_send_credentials(int socket, const struct lust_credentials *credentials);
int lust_receive_credentials(int socket, struct lust_credentials *credentials);

/* Confines this process to a directory: chdir, chroot, chdir("/").  Nothing outside stays reachable but open
   descriptors: close those first.  0 or -errno. */
int lust_jail(const char *directory);

/* Supplementary groups, gid and uid, in this order, all three ids of each; then proves that there is no way back.
   0, or -errno; -EPERM also when the proof fails: exit then.  Without privilege it succeeds only when
   nothing has to change. */
int lust_drop_privileges(uid_t uid, gid_t gid, const gid_t *groups, size_t count);

/*
 * Pidfiles are locked (flock(2)) as long as their descriptor is open, so a leftover is never mistaken for a living
 * process.  open: the locked, close-on-exec descriptor of a regular file (never through a symbolic link), or -errno;
 * -EWOULDBLOCK: somebody holds it, *holder (may be NULL) is the pid inside, or 0.
 * close: removes the file when it is still the one that is locked, then closes.
 * read: the pid of the process that holds the lock; 0 when nobody does; -errno (-ENOENT: no file).
 */
int lust_pidfile_open(const char *path, pid_t *holder);
int lust_pidfile_write(int fd, pid_t pid);
int lust_pidfile_close(int fd, const char *path);
pid_t lust_pidfile_read(const char *path);

#ifdef __cplusplus
}
#endif

#endif
