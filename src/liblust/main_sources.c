/*
 * main_sources.c: where a lust_main() program's connections come from.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "main.h"

/* ---- what is there already ---- */

/* A listener (wait, Accept=no) or the one connection that we were started for (nowait, Accept=yes). */
static int adopt(struct lust_main *m, int fd)
{
	switch (lust_fd_kind(fd)) {
	case LUST_FD_LISTENER:
		return lust_listener_add(m, fd, NULL);
	case LUST_FD_STREAM:
		if (m->single)
			break;
		m->connection = fd;
		m->single = true;
		return 0;
	default:
		break;
	}
	lust_log(LUST_LOG_ERROR, "descriptor %d is no stream socket that could be served", fd);
	return -ENOTSOCK;
}

static int adopt_listen_fds(struct lust_main *m, int count)
{
	int result = 0;

	for (int i = 0; result == 0 && i < count; i++)
		result = adopt(m, LUST_LISTEN_FDS_START + i);
	return result;
}

void lust_sources_leave_client(struct lust_main *m)
{
	const struct lust_log_options options = {.name = m->run.program->name, .target = "syslog"};
	int null;

	if (m->run.starter != LUST_STARTED_BY_INETD || m->input >= 0)
		return;
	m->input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	null = open("/dev/null", O_RDWR | O_NOCTTY | O_CLOEXEC);
	for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
		/* Better nothing than a client that reads along. */
		if (null < 0 || dup2(null, stream) < 0)
			close(stream);
	}
	if (null > STDERR_FILENO)
		close(null);
	(void)lust_log_open(&options);
}

static int adopt_input(struct lust_main *m)
{
	int fd = m->input, result = fd < 0 ? -EMFILE : adopt(m, fd);

	m->input = -1;
	if (result < 0 && fd >= 0)
		close(fd);
	return result;
}

/* ---- what it comes to ---- */

int lust_sources_open(struct lust_main *m)
{
	int count = lust_listen_fds();

	if (count < 0) {
		lust_log(LUST_LOG_ERROR, "LISTEN_FDS: %s", strerror(-count));
		return count;
	}
	if (count > 0)
		return adopt_listen_fds(m, count);
	switch (m->run.starter) {
	case LUST_STARTED_BY_LUST_INETD:
		return 0; /* in the jail, by its pair */
	case LUST_STARTED_BY_INETD:
		return adopt_input(m);
	default:
		return lust_listen_open(m);
	}
}

/* ---- lust-inetd ---- */

int lust_sources_register(struct lust_main *m)
{
	struct lust_options options = {.capacity = m->run.program->run ? m->run.program->capacity : 1};
	int result;

	if (m->run.starter != LUST_STARTED_BY_LUST_INETD)
		return 0;
	result = lust_server_register(&m->server, NULL, &options);
	if (result == -EACCES)
		lust_log(LUST_LOG_ERROR, "lust-inetd refused: %s", lust_server_reason(m->server));
	else if (result < 0)
		lust_log(LUST_LOG_ERROR, "cannot register with lust-inetd: %s", strerror(-result));
	return result;
}

/* The pair is the server's once it is registered; until then, LUST_FD. */
static int pair_of_environment(void)
{
	const char *text = getenv("LUST_FD");

	return text ? (int)strtol(text, NULL, 10) : -1;
}

unsigned lust_sources_list(const struct lust_main *m, int fds[LUST_MAIN_LISTENERS + 2])
{
	unsigned count = 0;

	for (unsigned i = 0; i < m->listeners; i++)
		fds[count++] = m->listener[i].fd;
	if (m->connection >= 0)
		fds[count++] = m->connection;
	if (m->run.starter == LUST_STARTED_BY_LUST_INETD && pair_of_environment() >= 0)
		fds[count++] = pair_of_environment();
	return count;
}

void lust_sources_close(struct lust_main *m)
{
	lust_server_free(m->server);
	m->server = NULL;
	for (unsigned i = 0; i < m->listeners; i++) {
		lust_listener_remove(&m->listener[i]);
		free(m->listener[i].path);
		close(m->listener[i].fd);
	}
	m->listeners = 0;
	if (m->connection >= 0)
		close(m->connection);
	if (m->input >= 0)
		close(m->input);
	m->connection = m->input = -1;
}

void lust_sources_forget(struct lust_main *m)
{
	for (unsigned i = 0; i < m->listeners; i++) {
		free(m->listener[i].path);
		m->listener[i].path = NULL;
	}
}

/* ---- receiving ---- */

static void fill(struct lust_connection *connection, int fd, unsigned position)
{
	socklen_t length = sizeof(connection->peer);
	struct ucred who;

	*connection = (struct lust_connection){.fd = fd,
					       .listener = position,
					       .peer_pid = -1,
					       .peer_uid = UINT32_MAX,
					       .peer_gid = UINT32_MAX};
	(void)getpeername(fd, (struct sockaddr *)&connection->peer, &length);
	length = sizeof(connection->local);
	(void)getsockname(fd, (struct sockaddr *)&connection->local, &length);
	connection->kind = connection->local.ss_family == AF_UNIX ? LUST_KIND_UNIX : LUST_KIND_TCP;
	length = sizeof(who);
	if (connection->kind == LUST_KIND_UNIX &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0) {
		connection->peer_pid = who.pid;
		connection->peer_uid = who.uid;
		connection->peer_gid = who.gid;
	}
}

/* Errors of one client, or of the moment: accept(2) says that they are to be passed over. */
static bool passes(int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

static int accept_any(struct lust_main *m, struct lust_connection *connection)
{
	for (unsigned i = 0; i < m->listeners; i++) {
		unsigned position = (m->turn + i) % m->listeners;
		int fd = accept4(m->listener[position].fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			m->turn = position + 1; /* a busy one does not starve the others */
			fill(connection, fd, position);
			return 1;
		}
		if (!passes(errno))
			return -errno;
	}
	return 0;
}

int lust_sources_receive(struct lust_main *m, struct lust_connection *connection)
{
	int fd = m->connection;

	if (m->server)
		return lust_server_receive(m->server, connection, 0);
	if (fd >= 0) {
		(void)epoll_ctl(m->epoll, EPOLL_CTL_DEL, fd, NULL);
		m->connection = -1;
		fill(connection, fd, 0);
		return 1;
	}
	return m->single && m->listeners == 0 ? -ESHUTDOWN : accept_any(m, connection);
}
