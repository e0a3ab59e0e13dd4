/*
 * started.c: who started this process.  Each of the signs can be missing, none can be there by chance: being a child of pid 1,
 * or having some socket as standard input, is none by itself.
 *
 * SPDX-License-Identifier: ISC
 */
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lust.h"

static bool names_this_process(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long number;

	if (!text || text[0] < '1' || text[0] > '9')
		return false;
	number = strtol(text, &end, 10);
	return *end == '\0' && number == (long)getpid();
}

/* Not the nameless pair that sshd and others use for a remote command's standard input. */
static bool is_service_socket(int fd)
{
	struct sockaddr_storage name = {0};
	socklen_t length = sizeof(name);

	if (lust_fd_kind(fd) <= LUST_FD_OTHER || lust_fd_kind(fd) > LUST_FD_LISTENER ||
	    getsockname(fd, (struct sockaddr *)&name, &length) < 0)
		return false;
	return name.ss_family != AF_UNIX || length > offsetof(struct sockaddr_un, sun_path);
}

/* The variable alone may be inherited from a server that started us for something else. */
static bool has_pair(void)
{
	const char *text = getenv("LUST_FD");
	char *end;
	long number = text && text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;

	return number >= 0 && number <= INT_MAX && *end == '\0' &&
	       lust_fd_kind((int)number) == LUST_FD_PACKETS;
}

enum lust_starter lust_started_by(void)
{
	if (has_pair())
		return LUST_STARTED_BY_LUST_INETD;
	/* systemd with Accept=yes and StandardInput=socket speaks as inetd does. */
	if (is_service_socket(STDIN_FILENO))
		return LUST_STARTED_BY_INETD;
	/* The variables are inherited, so that a shell in a service has them too: a pid says whose they are. */
	if (names_this_process("LISTEN_PID") || names_this_process("SYSTEMD_EXEC_PID") ||
	    (getenv("NOTIFY_SOCKET") && !getenv("SYSTEMD_EXEC_PID")))
		return LUST_STARTED_BY_SYSTEMD;
	return getppid() == 1 ? LUST_STARTED_BY_INIT : LUST_STARTED_BY_HAND;
}
