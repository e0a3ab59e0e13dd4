/*
 * control.c: control.sock: the socket, who is let in, and the later answers.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "control_client.h"
#include "control_rights.h"
#include "control_socket.h"
#include "logging.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define ACCEPTS_A_TURN 8
#define ACCEPT_PAUSE_S 1.0 /* when there is no descriptor left */

static unsigned clients_of(const struct supervisor *supervisor, uid_t uid)
{
	unsigned count = 0;

	for (const struct control_client *client = supervisor->clients; client; client = client->next)
		count += client->uid == uid;
	return count;
}

/* The one word for whom there is no room: sent if it goes at once. */
static void turn_away(int fd)
{
	struct control_record record = {.version = CONTROL_VERSION, .type = CONTROL_RESULT};

	record.result.code = 4;
	status_copy_text(record.result.text, sizeof(record.result.text),
			 "cannot tell: too many others ask the daemon; try again");
	/* Whether it arrives makes no difference to the daemon. */
	(void)!send(fd, &record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void admit(struct supervisor *supervisor, int fd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	bool owner;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
		close(fd);
		return;
	}
	owner = control_is_owner(credentials.uid, geteuid());
	if (!control_has_room(owner, supervisor->client_count, clients_of(supervisor, credentials.uid))) {
		turn_away(fd);
		return;
	}
	if (!client_new(supervisor, fd, credentials.uid))
		log_line(supervisor, LEVEL_ERROR, NULL, "control.sock: %s", strerror(ENOMEM));
}

static void on_accept(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct supervisor *supervisor = watcher->data;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(supervisor, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_line(supervisor, LEVEL_ERROR, NULL, "control.sock: %s", strerror(errno));
			ev_io_stop(loop, watcher);
			ev_timer_again(loop, &supervisor->control_pause);
		}
		return;
	}
}

static void on_pause_over(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct supervisor *supervisor = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &supervisor->control_watch);
}

static int control_path(const struct supervisor *supervisor, struct sockaddr_un *address)
{
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/control.sock",
			  supervisor->runtime_dir);
	return length < (int)sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

static int make_socket(const struct supervisor *supervisor, struct sockaddr_un *address)
{
	int fd, error, zero = 0;

	error = control_path(supervisor, address);
	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Where the kernel is older, descriptors are received and closed. */
	(void)!setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &zero, sizeof(zero));
	/* The daemon holds the directory's lock: whatever is there is of a dead one. */
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		goto fail;
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		goto fail;
	/* Open to all: every request is judged by itself. */
	if (chmod(address->sun_path, 0666) == 0 && listen(fd, 64) == 0)
		return fd;
	error = -errno;
	(void)unlink(address->sun_path); /* ours, and of no use */
	close(fd);
	return error;
fail:
	error = -errno;
	close(fd);
	return error;
}

int control_open(struct supervisor *supervisor)
{
	struct sockaddr_un address;
	int fd = make_socket(supervisor, &address);

	if (fd < 0) {
		log_line(supervisor, LEVEL_ERROR, NULL, "%s/control.sock: %s", supervisor->runtime_dir,
			 fd == -ENAMETOOLONG ? "the path is too long for a socket (a shorter runtime-dir)"
					     : strerror(-fd));
		return fd;
	}
	supervisor->control_fd = fd;
	control_watch(supervisor);
	return 0;
}

void control_watch(struct supervisor *supervisor)
{
	ev_timer_init(&supervisor->control_pause, on_pause_over, 0., ACCEPT_PAUSE_S);
	supervisor->control_pause.data = supervisor;
	ev_io_init(&supervisor->control_watch, on_accept, supervisor->control_fd, EV_READ);
	supervisor->control_watch.data = supervisor;
	ev_set_priority(&supervisor->control_watch, EV_MINPRI);
	ev_io_start(supervisor->loop, &supervisor->control_watch);
}

void control_hold(struct supervisor *supervisor, bool hold)
{
	ev_timer_stop(supervisor->loop, &supervisor->control_pause);
	if (hold)
		ev_io_stop(supervisor->loop, &supervisor->control_watch);
	else
		ev_io_start(supervisor->loop, &supervisor->control_watch);
	for (struct control_client *client = supervisor->clients; client; client = client->next)
		client_hold(client, hold);
}

bool control_answering(const struct supervisor *supervisor)
{
	for (const struct control_client *client = supervisor->clients; client; client = client->next)
		if (client->phase == CLIENT_ANSWERING)
			return true;
	return false;
}

/* The daemon ends: `stop` has its answer, and after it the end of file, which says that the daemon is gone. */
static void tell_end(struct control_client *client)
{
	struct control_record record = {.version = CONTROL_VERSION, .type = CONTROL_RESULT};

	if (client->phase == CLIENT_ANSWERING)
		return;
	if (client->phase == CLIENT_READING || client->request.command != CONTROL_STOP) {
		record.result.code = client->phase == CLIENT_READING ? 3 : 1;
		status_copy_text(record.result.text, sizeof(record.result.text),
				 "the daemon has just stopped");
	}
	(void)!send(client->fd, &record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void control_close(struct supervisor *supervisor)
{
	struct sockaddr_un address;

	if (supervisor->control_fd < 0)
		return;
	ev_io_stop(supervisor->loop, &supervisor->control_watch);
	ev_timer_stop(supervisor->loop, &supervisor->control_pause);
	while (supervisor->clients) {
		tell_end(supervisor->clients);
		client_free(supervisor->clients);
	}
	close(supervisor->control_fd);
	supervisor->control_fd = -1;
	if (control_path(supervisor, &address) == 0)
		unlink(address.sun_path);
}

void control_service_changed(struct supervisor *supervisor, struct service *service)
{
	for (struct control_client *client = supervisor->clients; client; client = client->next)
		request_service_changed(client, service);
}

void control_marked(struct supervisor *supervisor)
{
	for (struct control_client *client = supervisor->clients; client; client = client->next)
		request_marked(client);
}

void control_reloaded(struct supervisor *supervisor, uint64_t number, int code,
		      const struct diagnostics *diagnostics)
{
	for (struct control_client *client = supervisor->clients; client; client = client->next)
		request_reloaded(client, number, code, diagnostics);
}

void control_stopping(struct supervisor *supervisor)
{
	for (struct control_client *client = supervisor->clients; client; client = client->next)
		if (client->phase == CLIENT_WAITING && client->request.command != CONTROL_STOP)
			client_answer(client, 1, "the daemon is stopping");
}
