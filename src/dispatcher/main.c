/*
 * main.c: lust-dispatcher, the unprivileged half: accepts connections and hands them over.  Started by the supervisor
 * alone, with the link as descriptor 3.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef SANITIZED
#include <sanitizer/lsan_interface.h>
#endif

#include "confine.h"
#include "dispatcher.h"

#define LINK_FD 3
#define HELLO_MS 10000
#define MMAP_THRESHOLD (128 * 1024)

#ifdef SANITIZED
/* LeakSanitizer lists the threads in /proc and fails without: no leak check in the jail, which has none. */
int __lsan_is_turned_off(void)
{
	return access("/proc/self/task", R_OK) < 0;
}
#endif

static int fail(const char *what, int error)
{
	fprintf(stderr, "lust-dispatcher: %s: %s\n", what, strerror(-error));
	return 1;
}

/* Only the supervisor ends us, over the link: what the terminal or a service manager sends to all is its to hear. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* No process has more descriptors than this, whatever its limit is.  From inside the jail it cannot be read; 0: unknown. */
static uint32_t read_open_most(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/fs/nr_open", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	unsigned long number = length > 0 ? strtoul(text, NULL, 10) : 0;
	return number < UINT32_MAX ? (uint32_t)number : 0;
}

/* The first message.  0 or -errno. */
static int receive_hello(struct link_hello *hello, struct dispatcher_parts *parts)
{
	struct channel channel;
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count = 0;
	struct pollfd wait = {.fd = LINK_FD, .events = POLLIN};

	channel_init(&channel, LINK_FD, sizeof(message));
	if (poll(&wait, 1, HELLO_MS) != 1)
		return -ETIMEDOUT;
	int result = channel_receive(&channel, &message, fds, &count);
	if (result != 1)
		return result ? result : -ETIMEDOUT;
	if (link_check_from_supervisor(&message, sizeof(message), count) || message.type != LINK_HELLO ||
	    count < 2)
		return -EPROTO;
	*hello = message.hello;
	*parts = (struct dispatcher_parts){
		.link = LINK_FD,
		.board = fds[0],
		.events = fds[1],
		.door = count > 2 ? fds[2] : -1,
		.generation = message.hello.generation,
		.open_most = read_open_most(),
	};
	return 0;
}

/* Jail, user, capabilities: in the order in which each is still permitted. */
static int confine(const struct link_hello *hello)
{
	int error = confine_files(hello->nofile);
	if (error)
		return fail("RLIMIT_NOFILE", error);
	if (!hello->unprivileged) {
		error = lust_jail(hello->jail);
		if (error)
			return fail(hello->jail, error);
	}
	error = confine_bounding_set();
	if (error && !hello->unprivileged)
		return fail("bounding set", error);
	if (!hello->unprivileged) {
		error = lust_drop_privileges(hello->uid, hello->gid, NULL, 0);
		if (error)
			return fail("dropping privileges", error);
	}
	error = confine_process();
	return error ? fail("confinement", error) : 0;
}

int main(void)
{
	struct link_hello hello;
	struct dispatcher_parts parts;

	ignore_signals();
	/* Fixed, so that what a table took on its way is given back. */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	(void)close_range(LINK_FD + 1, ~0U, 0);
	int error = receive_hello(&hello, &parts);
	if (error)
		return fail("the link (started by hand?)", error);
	if (confine(&hello))
		return 1;
	struct dispatcher *d = dispatcher_new(&parts);
	if (!d)
		return fail("start", -errno);
	tell_ready(d);
#ifndef SANITIZED
	error = confine_system_calls();
	if (error)
		return fail("seccomp", error);
#endif
	ev_run(d->loop, 0);
	int exit_code = d->exit_code;
	(void)channel_flush(&d->link);
	dispatcher_free(d);
	return exit_code;
}
