/*
 * daemon.c: a whole daemon in thirty lines: says what the setting `greeting` says, and how many it has greeted.
 *
 *   alone               daemon start | stop | status | reload | restart    (port 7007, /etc/daemon.conf)
 *   under lust-inetd    server { command = {"/usr/libexec/lust-inetd/examples/daemon"} }
 *   under inetd         7007 stream tcp nowait nobody /usr/libexec/lust-inetd/examples/daemon daemon run
 *   under systemd       systemd-socket-activate -l 7007 /usr/libexec/lust-inetd/examples/daemon
 *
 * SPDX-License-Identifier: ISC
 */
#include <lust.h>
#include <stdio.h>

static unsigned greeted;

static void serve(struct lust_run *run, const struct lust_connection *connection)
{
	dprintf(connection->fd, "%s, number %u\n", lust_settings_get(run->settings, "greeting"), ++greeted);
}

static int reload(struct lust_run *run)
{
	lust_log(LUST_LOG_NOTICE, "greeting with \"%s\"", lust_settings_get(run->settings, "greeting"));
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const listen[] = {"7007", NULL}, *const defaults[] = {"greeting", "hello", NULL};
	static const struct lust_program program = {.name = "daemon",
						    .version = "1",
						    .listen = listen,
						    .defaults = defaults,
						    .serve = serve,
						    .reload = reload};

	return lust_main(&program, argc, argv);
}
