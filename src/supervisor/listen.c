/*
 * listen.c: one listening socket: bind, listen, give up.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helpers.h"
#include "listeners.h"
#include "unix_leftover.h"

#define BACKLOG 4096
#define UNIX_UMASK 0111 /* everybody may connect: permissions 0666 */

static const char *unix_path(const struct address *address)
{
	return address->kind == ADDRESS_UNIX && !address->abstract ? address->path : NULL;
}

static int bind_unix(int fd, const struct address *address, const struct sockaddr *to, socklen_t length)
{
	/* By umask, not by chmod afterwards: that would follow a link which somebody put in the socket's place. */
	mode_t before = umask(UNIX_UMASK);
	int result = bind(fd, to, length) < 0 ? -errno : 0;
	if (result == -EADDRINUSE && unix_path(address) != NULL &&
	    lust_unix_leftover_remove((const struct sockaddr_un *)(const void *)to) == 0)
		result = bind(fd, to, length) < 0 ? -errno : 0;
	umask(before);
	return result;
}

static int bind_tcp(int fd, const struct address *address, const struct sockaddr *to, socklen_t length)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	/* [::] never takes IPv4, whatever net.ipv6.bindv6only says. */
	if (address->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	return bind(fd, to, length) < 0 ? -errno : 0;
}

static int bind_and_listen(struct listener *listener, int fd)
{
	const struct address *address = &listener->want->address;
	struct sockaddr_storage to;
	socklen_t length = address_to_sockaddr(address, &to);
	struct stat info;
	int result;

	if (address->kind == ADDRESS_UNIX)
		result = bind_unix(fd, address, (struct sockaddr *)&to, length);
	else
		result = bind_tcp(fd, address, (struct sockaddr *)&to, length);
	if (result == 0 && unix_path(address) != NULL && lstat(unix_path(address), &info) == 0) {
		listener->more->unix_device = info.st_dev;
		listener->more->unix_inode = info.st_ino;
	}
	if (result == 0 && listen(fd, BACKLOG) < 0)
		result = -errno;
	return result;
}

/* Only what we made: somebody else may have put a socket of their own there since. */
static void unlink_own(struct listener *listener)
{
	const char *path = unix_path(&listener->want->address);
	struct listener_more *more = listener->more;
	struct stat info;

	if (path == NULL || more == NULL)
		return;
	if (more->unix_inode != 0 && lstat(path, &info) == 0 && info.st_dev == more->unix_device &&
	    info.st_ino == more->unix_inode)
		unlink(path);
	more->unix_inode = 0;
}

int listen_open(struct listener *listener)
{
	const struct address *address = &listener->want->address;
	if (address->kind == ADDRESS_UNIX && listener_more(listener) == NULL)
		return -ENOMEM;
	int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	int result = bind_and_listen(listener, fd);
	if (result < 0) {
		close(fd);
		unlink_own(listener);
		return result;
	}
	return fd;
}

void listen_close(struct supervisor *s, struct listener *listener)
{
	if (listener->more != NULL)
		ev_timer_stop(s->loop, &listener->more->retry);
	if (listener->fd < 0)
		return;
	unlink_own(listener);
	/* The dispatcher holds a copy, and so does a child on its way to exec: shutdown(2) is for all of them, and frees
	   the port for whom comes next.  It fails only where nobody listens. */
	(void)shutdown(listener->fd, SHUT_RDWR);
	dispatcher_close_fd(s, listener->fd);
	listener->fd = -1;
}

bool listen_may_lack(const struct table_listen *want, int error)
{
	return want->v6_may_lack && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

const char *listen_hint(int error, const struct address *address)
{
	bool is_unix = address->kind == ADDRESS_UNIX;

	switch (error) {
	case EADDRINUSE:
		return is_unix ? "another program listens there: `ss -xlp` names it"
			       : "another program has the port: `ss -ltnp` names it";
	case EADDRNOTAVAIL:
		return "no interface has this address; `optional = yes` waits for it";
	case EACCES:
		return is_unix ? "this user may not write to its directory"
			       : "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	case ENOENT:
		return is_unix ? "its directory does not exist" : "";
	case EAFNOSUPPORT:
		return "this kernel has no such address family";
	default:
		return "";
	}
}
