/*
 * listener.c: accepting, as long as some server has a credit for it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admission.h"
#include "clock.h"
#include "credit.h"
#include "dispatcher.h"

#define ACCEPT_MAX 64u
#define SHUT_US UINT64_C(100000) /* after a failure to accept */

struct listener *listener_new(struct dispatcher *d, const struct link_listener *record, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	if (!listener)
		return NULL;
	listener->index = (uint16_t)record->listener;
	listener->position = (uint16_t)record->position;
	listener->fd = fd;
	d->listener[listener->index] = listener;
	d->listener_count++;
	return listener;
}

void listener_feed(struct dispatcher *d, struct listener *listener, struct service *service)
{
	if (listener->service) {
		struct listener **at = &listener->service->listeners;
		while (*at != listener)
			at = &(*at)->next;
		*at = listener->next;
		turn_service(d, listener->service);
	}
	listener->service = service;
	if (!service)
		return;
	listener->next = service->listeners;
	service->listeners = listener;
	turn_service(d, service);
}

void listener_free(struct dispatcher *d, struct listener *listener)
{
	if (listener->opened)
		ev_io_stop(d->loop, &listener->opened->accept);
	listener_feed(d, listener, NULL);
	close(listener->fd);
	d->listener[listener->index] = NULL;
	d->listener_count--;
	free(listener->opened);
	free(listener);
}

static bool learn_address(int fd, struct address *address)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
	    address_from_sockaddr(address, (const struct sockaddr *)&name, length) < 0)
		return false;
	if (address->kind == ADDRESS_UNIX)
		address->path = NULL;
	return true;
}

/* False: not now. */
static bool open_listener(struct dispatcher *d, struct listener *listener)
{
	if (listener->opened)
		return true;
	struct opened *opened = calloc(1, sizeof(*opened));
	if (!opened || !learn_address(listener->fd, &opened->address)) {
		free(opened);
		return false;
	}
	/* accept4 must not wait for a client that left between the event and the call. */
	int flags = fcntl(listener->fd, F_GETFL);
	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(listener->fd, F_SETFL, flags | O_NONBLOCK);
	opened->dispatcher = d;
	opened->listener = listener;
	ev_io_init(&opened->accept, listener_ready, listener->fd, EV_READ);
	opened->accept.data = opened;
	listener->opened = opened;
	return true;
}

static bool ledger_full(const struct dispatcher *d)
{
	return d->ledger.free == LEDGER_NONE && d->ledger.high == BOARD_LEDGER;
}

/* How many more may be kept until DONE. */
static uint32_t left_to_keep(struct dispatcher *d)
{
	uint32_t most = credit_keep(atomic_load_explicit(&d->board->fds_limit, memory_order_relaxed),
				    turn_own_fds(d));
	atomic_store_explicit(&d->board->held_full, d->ledger.held >= most, memory_order_relaxed);
	return d->ledger.held < most ? most - d->ledger.held : 0;
}

static uint64_t credits(struct dispatcher *d, struct service *service, bool to_choose)
{
	uint64_t of_servers = to_choose ? choose_gather(service) : choose_any(service);
	if (service->set->acknowledge != LINK_ACK_DONE)
		return of_servers;
	uint32_t left = left_to_keep(d);
	return of_servers < left ? of_servers : left;
}

/* Without to_choose the credits are only none or some. */
static struct admission_service look(struct dispatcher *d, struct service *service, bool to_choose)
{
	return (struct admission_service){
		.credits = credits(d, service, to_choose),
		.registered = service->registered,
		.expected = service->expected,
		.overload = (enum link_overload)service->set->overload,
		.closed = service->removed || d->quiesced || !d->committed ||
			  service->shut_until_us > d->now_us || ledger_full(d),
		.paused = service->paused,
		.waiting = service->queue.count || service->settling,
	};
}

void listener_update(struct dispatcher *d, struct service *service)
{
	if (service->shut_until_us && service->shut_until_us <= d->now_us)
		service->shut_until_us = 0;
	struct admission_service state = look(d, service, false);
	bool open = admission_gate(&state) != GATE_WAIT;
	for (struct listener *listener = service->listeners; listener; listener = listener->next) {
		if (open && !open_listener(d, listener))
			service->shut_until_us = d->now_us + SHUT_US;
		struct opened *opened = listener->opened;
		if (opened && open && !opened->shut)
			ev_io_start(d->loop, &opened->accept);
		else if (opened)
			ev_io_stop(d->loop, &opened->accept);
	}
	service->starved = !state.credits || state.waiting || ledger_full(d);
	bool kept_full = service->set->acknowledge == LINK_ACK_DONE && !left_to_keep(d);
	if (service->shut_until_us || ledger_full(d) || kept_full)
		turn_retry(d);

	board_count *since = &d->board->brief[service->index].full_since_ms;
	bool full = state.registered && !state.credits && !state.closed && !state.paused;
	if (!full)
		atomic_store_explicit(since, 0, memory_order_relaxed);
	else if (!atomic_load_explicit(since, memory_order_relaxed))
		atomic_store_explicit(since, d->now_us / 1000, memory_order_relaxed);
}

/* From before accept4() to the ledger: a connection that dies with us in between is not lost without a word. */
static void mark_accepting(struct dispatcher *d, uint32_t mark)
{
	atomic_store_explicit(&d->board->accepting, mark, memory_order_release);
}

static void count_accepted(struct dispatcher *d, const struct service *service)
{
	uint32_t index = service->index;
	board_count_accepted(d->board, index, 1);
	board_accepted(d->board->latency[index].taken, d->now_us / 1000);
}

static void report_accept(struct dispatcher *d, struct service *service, enum event_code code, int error)
{
	service->failed = code == EVENT_ACCEPT_FAILED;
	report(d, &(struct event){.code = (uint16_t)code,
				  .service = service->index,
				  .slot = BOARD_NONE,
				  .error = error});
}

/* One client gets its answer with the descriptor kept for it: the overload rule promises one. */
static void refuse_with_spare(struct dispatcher *d, struct service *service, int listener)
{
	if (d->spare < 0)
		return;
	close(d->spare);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		count_accepted(d, service);
		atomic_fetch_add_explicit(&service_board(d, service)->denied[DENIED_OVERLOAD], 1,
					  memory_order_release);
		close(fd);
	}
	d->spare = fcntl(d->link.fd, F_DUPFD_CLOEXEC, 3);
}

/* True: go on accepting. */
static bool accept_failed(struct dispatcher *d, struct opened *opened, int error)
{
	struct service *service = opened->listener->service;
	switch (error) {
	case EAGAIN:
		return false;
	case EINVAL: /* it listens no more */
		opened->shut = true;
		ev_io_stop(d->loop, &opened->accept);
		return false;
	case EINTR:
	case ECONNABORTED: /* these are the client's, who left before we came */
	case EPROTO:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOPROTOOPT:
	case EPERM:
		return true;
	default:
		break;
	}
	if (service->set->overload == LINK_OVERLOAD_REFUSE && (error == EMFILE || error == ENFILE))
		refuse_with_spare(d, service, opened->listener->fd);
	if (!service->failed)
		report_accept(d, service, EVENT_ACCEPT_FAILED, error);
	service->shut_until_us = d->now_us + SHUT_US;
	turn_service(d, service);
	return false;
}

static void deny(struct dispatcher *d, struct service *service, int fd, const struct sockaddr_storage *peer,
		 socklen_t length, enum board_denied why)
{
	struct address address = {0};
	struct event event = {
		.code = EVENT_DENIED, .number = why, .service = service->index, .slot = BOARD_NONE};
	if (address_from_sockaddr(&address, (const struct sockaddr *)peer, length) == 0) {
		event.family = address.family;
		event.port = address.port;
		memcpy(event.ip, address.ip, sizeof(event.ip));
	}
	count_accepted(d, service);
	atomic_fetch_add_explicit(&service_board(d, service)->denied[why], 1, memory_order_release);
	report(d, &event);
	close(fd);
}

static void admit(struct dispatcher *d, struct service *service, int fd,
		  const struct lust_wire_connection *wire, uint64_t accepted_us)
{
	uint32_t index = ledger_add(&d->ledger, service->index, fd, wire, accepted_us);
	mark_accepting(d, 0);
	d->in_hand++;
	count_accepted(d, service);
	if (index == LEDGER_NONE) { /* the gate looks at this; an answer all the same */
		atomic_fetch_add_explicit(&service_board(d, service)->denied[DENIED_OVERLOAD], 1,
					  memory_order_release);
		close(fd);
		return;
	}
	struct ledger_entry *entry = &d->ledger.entry[index];
	entry->nonblocking = service->nonblocking_servers == service->server_count;
	board_measure(d->board->latency[service->index].waited, d->now_us / 1000, wire->waited_us);
	struct server *server = choose_server(service, entry);
	if (server)
		handoff_join(d, server, index);
	else
		requeue_append(d, service, index);
}

void listener_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	struct opened *opened = watcher->data;
	struct dispatcher *d = opened->dispatcher;
	struct service *service = opened->listener->service;
	uint64_t accepted_us = clock_us();
	struct admission_service state = look(d, service, true);

	bool all = eager_begin(&opened->eager);
	unsigned n;

	for (n = 0; n < (all ? ACCEPT_MAX : 1); n++) {
		/* Other listeners were here in this turn: our death must not cost more than one batch. */
		if (d->in_hand && d->in_hand + d->queued >= IN_HAND_MOST) {
			turn_hand_over(d);
			state = look(d, service, true);
		}
		enum admission_gate gate = admission_gate(&state);
		if (gate == GATE_WAIT) {
			all = false; /* nothing was looked for in vain */
			break;
		}
		bool nonblocking = service->nonblocking_servers == service->server_count;
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		mark_accepting(d, service->index + 1);
		int fd = accept4(watcher->fd, (struct sockaddr *)&peer, &length,
				 SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0));
		if (fd < 0) {
			mark_accepting(d, 0);
			if (!accept_failed(d, opened, errno))
				break;
			continue;
		}
		if (service->failed)
			report_accept(d, service, EVENT_ACCEPT_AGAIN, 0);
		enum board_denied why = admission_judge(&(struct admission_client){.gate = gate});
		if (why != DENIED_COUNT) {
			deny(d, service, fd, &peer, length, why);
			mark_accepting(d, 0);
			continue;
		}
		struct lust_wire_connection wire;
		arrival_describe(opened, fd, accepted_us, &peer, length, &wire);
		admit(d, service, fd, &wire, accepted_us);
		state.credits--;
	}
	eager_end(&opened->eager, all, n);
	if (!state.credits || ledger_full(d))
		turn_service(d, service);
}
