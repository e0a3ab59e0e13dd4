/*
 * control_client.c: reads one request, sends records as fast as the client takes them and not faster, and ends
 * whoever makes no progress.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_client.h"

#include "control_rights.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_S 10.0   /* without progress for so long: closed */
#define RECORDS_A_TURN 32 /* of one client; then the others have their turn */

/* Whoever pushes descriptors here gets rid of them: the kernel installs a few, each is closed. */
static void close_pushed(struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		size_t count;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
			lust_close_unlingered(fd);
		}
	}
}

/* Bytes of the next message, 0 at the end of file, or -errno. A longer message than a request shows its length. */
static ssize_t receive(int fd, struct control_request *request)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec vector = {request, sizeof(*request)};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);

	if (length < 0)
		return -errno;
	close_pushed(&message);
	return length;
}

static void client_read(struct control_client *client)
{
	struct control_request extra;
	struct control_request *request = client->phase == CLIENT_READING ? &client->request : &extra;
	ssize_t length = receive(client->fd, request);
	const char *wrong;

	if (length == -EAGAIN || length == -EINTR)
		return;
	/* One request a connection: while it waits for the answer, anything else from it means that it is gone. */
	if (length <= 0 || client->phase != CLIENT_READING) {
		client_free(client);
		return;
	}
	wrong = control_check_request(request, (size_t)length);
	if (wrong)
		client_answer(client, 64, "%s", wrong);
	else
		request_handle(client);
}

/* 1 sent, 0 not now, negative: the client is gone or there is no memory. */
static int send_next(struct control_client *client)
{
	int got;

	if (!client->out_waits) {
		got = request_next_record(client, &client->out);
		if (got <= 0)
			return got == 0 ? -ESHUTDOWN : got;
		client->out_waits = true;
	}
	if (send(client->fd, &client->out, sizeof(client->out), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
	client->out_waits = false;
	return 1;
}

static void client_write(struct control_client *client)
{
	bool progress = false;
	int sent = 1;

	for (unsigned i = 0; i < RECORDS_A_TURN && sent > 0; i++) {
		sent = send_next(client);
		progress |= sent > 0;
	}
	if (sent < 0) {
		client_free(client);
		return;
	}
	if (progress)
		ev_timer_again(client->supervisor->loop, &client->deadline);
}

static void on_io(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct control_client *client = watcher->data;

	(void)loop;
	if (events & EV_WRITE)
		client_write(client);
	else
		client_read(client);
}

static void on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct control_client *client = timer->data;

	(void)loop;
	(void)events;
	if (client->phase == CLIENT_WAITING)
		request_wait_ended(client);
	else
		client_free(client);
}

static void watch(struct control_client *client, int events)
{
	ev_io_stop(client->supervisor->loop, &client->io);
	ev_io_set(&client->io, client->fd, events);
	ev_io_start(client->supervisor->loop, &client->io);
}

static void set_deadline(struct control_client *client, double seconds)
{
	ev_timer_stop(client->supervisor->loop, &client->deadline);
	client->deadline.repeat = seconds;
	if (seconds > 0)
		ev_timer_again(client->supervisor->loop, &client->deadline);
}

struct control_client *client_new(struct supervisor *supervisor, int fd, uid_t uid)
{
	struct control_client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		return NULL;
	}
	client->supervisor = supervisor;
	client->fd = fd;
	client->uid = uid;
	client->status.part = STATUS_END;
	ev_init(&client->io, on_io);
	ev_init(&client->deadline, on_deadline);
	client->io.data = client->deadline.data = client;
	/* Dispatcher, logger and the death of servers come first in every turn of the loop. */
	ev_set_priority(&client->io, EV_MINPRI);
	client->next = supervisor->clients;
	supervisor->clients = client;
	supervisor->client_count++;
	watch(client, EV_READ);
	set_deadline(client, PROGRESS_S);
	return client;
}

void client_free(struct control_client *client)
{
	struct supervisor *supervisor = client->supervisor;
	struct control_client **place = &supervisor->clients;

	while (*place != client)
		place = &(*place)->next;
	*place = client->next;
	supervisor->client_count--;
	ev_io_stop(supervisor->loop, &client->io);
	ev_timer_stop(supervisor->loop, &client->deadline);
	close(client->fd);
	status_end(&client->status);
	diagnostics_free(&client->lines);
	free(client->text);
	free(client);
}

void client_answer(struct control_client *client, int code, const char *format, ...)
{
	va_list arguments;

	client->result.code = code;
	va_start(arguments, format);
	vsnprintf(client->result.text, sizeof(client->result.text), format, arguments);
	va_end(arguments);
	client->phase = CLIENT_ANSWERING;
	watch(client, EV_WRITE);
	set_deadline(client, PROGRESS_S);
}

void client_hold(struct control_client *client, bool hold)
{
	if (client->phase != CLIENT_READING)
		return;
	if (hold)
		ev_io_stop(client->supervisor->loop, &client->io);
	else
		watch(client, EV_READ);
}

void client_wait(struct control_client *client, uint64_t limit_ms)
{
	client->phase = CLIENT_WAITING;
	watch(client, EV_READ);
	set_deadline(client, (double)limit_ms / 1000);
}
