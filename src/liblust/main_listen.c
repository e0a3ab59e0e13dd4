/*
 * main_listen.c: listeners that a lust_main() program makes itself, standing alone.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "main.h"
#include "unix_leftover.h"

#define BACKLOG 4096

int lust_listener_add(struct lust_main *m, int fd, const char *path)
{
	struct lust_listener listener = {.fd = fd};
	int flags = fcntl(fd, F_GETFL);
	struct stat status;

	if (m->listeners == LUST_MAIN_LISTENERS)
		return -E2BIG;
	/* A client that gives up between the wakeup and accept(2) must not stop us. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	if (path) {
		if (lstat(path, &status) < 0)
			return -errno;
		listener.device = status.st_dev;
		listener.inode = status.st_ino;
		listener.path = strdup(path);
		if (!listener.path)
			return -ENOMEM;
	}
	m->listener[m->listeners++] = listener;
	return 0;
}

/* From a jail, or without the right, it stays: the next start takes it for what it is. */
void lust_listener_remove(const struct lust_listener *listener)
{
	struct stat now;

	if (listener->path && lstat(listener->path, &now) == 0 && now.st_dev == listener->device &&
	    now.st_ino == listener->inode)
		(void)unlink(listener->path);
}

static int failed(const char *address, const char *what, int error)
{
	lust_log(LUST_LOG_ERROR, "listen %s: %s: %s", address, what, strerror(-error));
	return error;
}

/* 1; 0 when there is no such family here (no IPv6, or none that is switched on); or -errno after a line. */
static int listen_at(struct lust_main *m, const char *said, const struct sockaddr *address, socklen_t length,
		     const char *path)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, result = 1;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : failed(said, "socket", -errno);
	if (address->sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, address, length) < 0 || listen(fd, BACKLOG) < 0) {
		bool off = address->sa_family == AF_INET6 && errno == EADDRNOTAVAIL;

		result = off ? 0 : failed(said, "bind", -errno);
	} else {
		int added = lust_listener_add(m, fd, path);

		result = added < 0 ? failed(said, "listen", added) : 1;
	}
	if (result <= 0)
		close(fd);
	return result;
}

static int listen_unix(struct lust_main *m, const char *said, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result;

	if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
		return failed(said, "no absolute path, or too long", -EINVAL);
	strcpy(address.sun_path, path);
	result = lust_unix_leftover_remove(&address);
	if (result < 0)
		return failed(said, path, result);
	result = listen_at(m, said, (const struct sockaddr *)&address, sizeof(address), path);
	return result == 0 ? failed(said, "socket", -EAFNOSUPPORT) : result < 0 ? result : 0;
}

/* "7", ":7", "*:7", "127.0.0.1:7", "[::1]:7", "localhost:7".  host "" is every address. */
static int split(const char *said, char host[256], const char **port)
{
	const char *colon = strrchr(said, ':'), *from = said, *to = colon;

	*port = colon ? colon + 1 : said;
	host[0] = '\0';
	if (!colon)
		return **port ? 0 : -EINVAL;
	if (said[0] == '[') {
		from++;
		to--;
		if (to < from || *to != ']')
			return -EINVAL;
	} else if (memchr(said, ':', (size_t)(colon - said))) {
		return -EINVAL; /* an IPv6 address without brackets */
	}
	if (to - from >= 256 || !**port)
		return -EINVAL;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	if (strcmp(host, "*") == 0)
		host[0] = '\0';
	return 0;
}

static int listen_inet(struct lust_main *m, const char *said)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found, *at;
	char host[256];
	const char *port;
	int result = split(said, host, &port), bound = 0;

	if (result < 0)
		return failed(said, "expected PORT, *:PORT, ADDRESS:PORT, [IPV6]:PORT or unix:/PATH", result);
	result = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (result != 0) {
		lust_log(LUST_LOG_ERROR, "listen %s: %s", said, gai_strerror(result));
		return -EINVAL;
	}
	result = 0;
	for (at = found; at && result >= 0; at = at->ai_next) {
		result = listen_at(m, said, at->ai_addr, at->ai_addrlen, NULL);
		bound += result > 0;
	}
	freeaddrinfo(found);
	if (result < 0)
		return result;
	/* Without IPv6 the other half of a wildcard does. */
	return bound > 0 ? 0 : failed(said, "bind", -EADDRNOTAVAIL);
}

static int listen_said(struct lust_main *m, const char *said)
{
	return strncmp(said, "unix:", 5) == 0 ? listen_unix(m, said, said + 5) : listen_inet(m, said);
}

static int listen_setting(struct lust_main *m, const char *setting)
{
	char *copy = strdup(setting), *rest = NULL;
	int result = copy ? 0 : -ENOMEM;

	for (char *word = copy ? strtok_r(copy, " \t,", &rest) : NULL; word && result == 0;
	     word = strtok_r(NULL, " \t,", &rest))
		result = listen_said(m, word);
	free(copy);
	return result;
}

static int listen_all(struct lust_main *m)
{
	const char *setting = lust_settings_get(m->run.settings, "listen");
	int result = 0;

	if (setting)
		return listen_setting(m, setting);
	for (const char *const *said = m->run.program->listen; said && *said && result == 0; said++)
		result = listen_said(m, *said);
	return result;
}

int lust_listen_open(struct lust_main *m)
{
	int result = listen_all(m);

	/* A program with a loop of its own may have other work. */
	if (result < 0 || m->listeners > 0 || m->run.program->run)
		return result;
	lust_log(LUST_LOG_ERROR, "listen: there is no address to listen at (listen = PORT in the settings)");
	return -EINVAL;
}
