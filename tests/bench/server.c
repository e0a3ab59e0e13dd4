/*
 * server.c: the application on liblust, one process, raw epoll.
 *
 *     bench-server [-m answer|stream|echo] [-b BYTES]
 *
 * SPDX-License-Identifier: ISC
 */
#include "app.h"

#include <errno.h>
#include <lust.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EVENTS 64

static struct lust_server *server;

static void leave(int fd)
{
	int result = lust_server_close(server, fd);

	if (result < 0)
		app_fail("lust_server_close", -result);
}

/* false: the daemon wants no more of us. */
static bool receive(const struct app *app)
{
	struct lust_connection connections[LUST_BATCH_MAX];
	int count = 0;

	do {
		count = lust_server_receive_many(server, connections, LUST_BATCH_MAX, 0);
		for (int i = 0; i < count; i++)
			app_begin(app, connections[i].fd);
	} while (count > 0);
	if (count == -ESHUTDOWN)
		return false;
	if (count < 0 && count != -EINTR)
		app_fail("receive", -count);
	return true;
}

static void serve(const struct app *app)
{
	struct epoll_event events[EVENTS];
	bool wanted = true;

	while (wanted) {
		int count = epoll_wait(app->loop, events, EVENTS, -1);
		if (count < 0 && errno != EINTR)
			app_fail("epoll_wait", errno);
		for (int i = 0; i < count; i++)
			if (events[i].data.ptr)
				app_event(app, &events[i]);
			else
				wanted = receive(app);
	}
}

int main(int argc, char **argv)
{
	struct app app = {.mode = APP_ANSWER, .leave = leave};
	int option = 0;

	while ((option = getopt(argc, argv, "m:b:")) != -1)
		if (option == 'b')
			app.length = strtoull(optarg, NULL, 10);
		else if (option != 'm' || !app_mode_of(optarg, &app.mode))
			return 2;
	app.loop = epoll_create1(EPOLL_CLOEXEC);
	if (app.loop < 0)
		app_fail("epoll_create1", errno);
	int result = lust_server_register(&server, NULL, &(struct lust_options){.batch = LUST_BATCH_MAX, .no_local = 1});
	if (result < 0)
		app_fail("register", -result);
	struct epoll_event event = {.events = EPOLLIN};
	if (epoll_ctl(app.loop, EPOLL_CTL_ADD, lust_server_fd(server), &event) < 0)
		app_fail("epoll_ctl", errno);
	serve(&app);
	lust_server_free(server);
	return 0;
}
