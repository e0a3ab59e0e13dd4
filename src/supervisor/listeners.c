/*
 * listeners.c: addresses that could not be bound are tried again; and what the kernel tells of those that are.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "helpers.h"
#include "listeners.h"
#include "logging.h"

#define RETRY_FIRST_MS 250u
#define RETRY_MOST_MS 60000u

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	struct listener_more *more = timer->data;

	listener_retry_now(ev_userdata(loop), more->listener);
}

static void wait_for(struct supervisor *s, struct listener_more *more, uint64_t pause_ms)
{
	ev_timer_stop(s->loop, &more->retry);
	ev_timer_init(&more->retry, on_retry, (double)pause_ms / 1000., 0.);
	more->retry.data = more;
	ev_timer_start(s->loop, &more->retry);
}

void listener_retry_later(struct supervisor *s, struct listener *listener)
{
	struct listener_more *more = listener->more; /* it has failed: so there is one */
	uint32_t pause = RETRY_FIRST_MS;

	for (unsigned i = 0; i < more->tries && pause < RETRY_MOST_MS; i++)
		pause *= 2;
	if (pause > RETRY_MOST_MS)
		pause = RETRY_MOST_MS;
	more->tries++;
	more->retry_ms = clock_ms() + pause;
	wait_for(s, more, pause);
}

void listener_retry_on(struct supervisor *s, struct listener *listener)
{
	uint64_t now = clock_ms();
	struct listener_more *more = listener->more;

	if (listener->fd < 0)
		wait_for(s, more, more->retry_ms > now ? more->retry_ms - now : 1);
}

void listener_retry_now(struct supervisor *s, struct listener *listener)
{
	char text[ADDRESS_TEXT];

	if (listener->fd >= 0 || s->stopping)
		return;
	struct listener_more *more = listener->more;
	int result = listen_open(listener);
	if (result < 0) {
		more->error = -result;
		listener_retry_later(s, listener);
		return;
	}
	listener->fd = result;
	more->error = 0;
	more->tries = 0;
	more->retry_ms = 0;
	listener->pushed = false;
	ev_timer_stop(s->loop, &more->retry);
	log_line(s, LEVEL_NOTICE, listener->service->name, "listens on %s now",
		 address_format(&listener->want->address, text));
	push_soon(s);
}

void listener_say_unbound(struct supervisor *s, enum logger_level level, const char *service,
			  const struct listener *listener)
{
	const struct address *address = &listener->want->address;
	int error = listener_error(listener);
	const char *hint = listen_hint(error, address);
	char text[ADDRESS_TEXT];

	log_line(s, level, service, "cannot listen on %s: %s%s%s%s%s", address_format(address, text),
		 strerror(error), hint[0] != '\0' ? " (" : "", hint, hint[0] != '\0' ? ")" : "",
		 level == LEVEL_ERROR ? "" : "; it is tried again");
}

static struct listen_queue tcp_queue(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return (struct listen_queue){0};
	/* Of a listening socket the kernel reports its queue here, and the bound of it. */
	return (struct listen_queue){.waiting = info.tcpi_unacked, .backlog = info.tcpi_sacked};
}

struct listen_queue listen_queue(const struct listener *listener, struct unix_queues *queues)
{
	if (listener->fd < 0)
		return (struct listen_queue){0};
	if (listener->want->address.kind == ADDRESS_TCP)
		return tcp_queue(listener->fd);
	const struct unix_queue *queue = unix_queue_of(queues, listener->fd);
	if (queue == NULL)
		return (struct listen_queue){0};
	return (struct listen_queue){.waiting = queue->waiting, .backlog = queue->backlog};
}

uint64_t listen_dropped(const struct listener *listener)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(memory);

	if (listener->fd < 0 || getsockopt(listener->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0)
		return 0;
	return memory[SK_MEMINFO_DROPS];
}
