/*
 * test_answer.c: slots, and what the dispatcher may do with them: pushed records, late and wrong answers, KEEP.  The
 * dispatcher is the other end of a pair and a child that only waits to be killed.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "logging.h"
#include "servers.h"
#include "services.h"
#include "slots.h"
#include "suite.h"
#include "upgrade.h"

static struct supervisor *s;
static struct table table;
static struct table_server want_server;
static struct table_service want;
static struct table_dispatch want_dispatch;
static struct service *service;
static struct channel dispatcher; /* its side */

static void setup(void)
{
	int ends[2];

	s = calloc(1, sizeof(*s));
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(upgrade_blank(s), 0);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	ev_set_userdata(s->loop, s);
	s->running = true; /* lines are kept, not printed */
	s->table = &table;
	s->logger.link.fd = -1;
	s->groups_fd = -1;
	ck_assert_int_eq(slots_init(s), 0);
	want_server = (struct table_server){0};
	want_dispatch = (struct table_dispatch){.max_registered = 2, .window = 64};
	want = (struct table_service){.server = &want_server,
				      .name = "web",
				      .dispatch = &want_dispatch,
				      .start = START_EXTERNAL};
	service = service_new(s, "web");
	ck_assert_ptr_nonnull(service);
	service->want = &want;
	s->services = service;

	ck_assert_int_eq(channel_pair(ends), 0);
	channel_init(&dispatcher, ends[1], sizeof(struct link_message));
	channel_init(&s->dispatcher.link, ends[0], sizeof(struct link_message));
	s->dispatcher.exec_error = -1;
	s->dispatcher.generation = 1;
	s->dispatcher.phase = DISPATCHER_STARTING;
	s->dispatcher.pid = fork();
	if (s->dispatcher.pid == 0)
		for (;;)
			pause();
}

/* In the order of run.c: slots know their servers, services own them. */
static void free_all(void)
{
	slots_release(s);
	service_free(s, service);
	slots_free(s);
	upgrade_close(s);
}

static void teardown(void)
{
	kill(s->dispatcher.pid, SIGKILL);
	waitpid(s->dispatcher.pid, NULL, 0);
	free_all();
	channel_close(&s->dispatcher.link);
	channel_close(&dispatcher);
	log_free(s);
	ev_loop_destroy(s->loop);
	free(s);
}

static void say(enum link_type type, uint32_t slot, uint32_t generation)
{
	struct link_message message = {.version = LINK_VERSION, .type = (uint16_t)type};

	message.slot.slot = slot;
	message.slot.generation = generation;
	answer_message(s, &message, NULL, 0);
}

static void ready(void)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_READY};

	answer_message(s, &message, NULL, 0);
}

static void committed(void)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_COMMITTED};

	message.commit.table = s->dispatcher.pushes;
	answer_message(s, &message, NULL, 0);
}

/* The next one that the dispatcher is told. */
static struct link_message heard(unsigned *fd_count)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;

	ck_assert_int_eq(channel_receive(&dispatcher, &message, fds, &count), 1);
	ck_assert_ptr_null(link_check_from_supervisor(&message, sizeof(message), count));
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	*fd_count = count;
	return message;
}

#define ck_heard(wanted, wanted_fds)                                                                         \
	do {                                                                                                 \
		unsigned got;                                                                                \
		ck_assert_int_eq(heard(&got).type, (wanted));                                                \
		ck_assert_uint_eq(got, (wanted_fds));                                                        \
	} while (0)

static void ck_silence(void)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;

	ck_assert_int_eq(channel_receive(&dispatcher, &message, fds, &count), 0);
}

static struct server *running(void)
{
	int pair[2];
	struct server *server = server_new(s, service, 1);

	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(slot_take(s, server, pair[0], pair[1], -1), 0);
	server->phase = PHASE_STARTING;
	return server;
}

static bool open_fd(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(a_table_from_begin_to_commit)
{
	running();
	ready();
	ck_heard(LINK_BEGIN, 0);
	ck_heard(LINK_SERVICE, 0);
	ck_heard(LINK_SERVER, 2);
	ck_heard(LINK_COMMIT, 0);
	ck_silence();
	ck_assert_int_eq(s->dispatcher.phase, DISPATCHER_LOADING);
	committed();
	ck_assert(dispatcher_usable(s));
	ck_assert(!service->fresh);
	/* A reload says nothing of servers, and nothing of what has not changed. */
	push_table(s);
	ck_heard(LINK_BEGIN, 0);
	ck_heard(LINK_COMMIT, 0);
	service->pushed = false;
	push_table(s);
	ck_heard(LINK_BEGIN, 0);
	ck_heard(LINK_SERVICE, 0);
	ck_heard(LINK_COMMIT, 0);
	ck_silence();
}
END_TEST

/* To each dispatcher: it would keep the service for good after its last server's end. */
START_TEST(a_removed_service_with_servers_is_gone)
{
	const struct table_service *before = service->want;

	running();
	service->want = NULL;
	for (unsigned generation = 1; generation <= 2; generation++) {
		s->dispatcher.generation = generation;
		push_forget(s);
		s->dispatcher.phase = DISPATCHER_STARTING;
		s->dispatcher.pushes = s->dispatcher.commits = 0;
		ready();
		ck_heard(LINK_BEGIN, 0);
		unsigned count;
		ck_assert_uint_eq(heard(&count).service.gone, 1);
		ck_heard(LINK_SERVER, 2);
		ck_heard(LINK_COMMIT, 0);
		committed();
	}
	service->want = before;
}
END_TEST

START_TEST(a_listener_s_descriptor_goes_once_to_each_dispatcher)
{
	struct table_listen word = {.said = "x",
				    .address = {.kind = ADDRESS_TCP, .family = AF_INET, .port = 80}};
	struct listener listener = {.want = &word, .service = service, .fd = open("/dev/null", O_RDONLY)};

	service->listeners = &listener;
	for (unsigned generation = 1; generation <= 2; generation++) {
		s->dispatcher.generation = generation;
		push_forget(s);
		s->dispatcher.phase = DISPATCHER_STARTING;
		s->dispatcher.pushes = s->dispatcher.commits = 0;
		ready();
		ck_heard(LINK_BEGIN, 0);
		ck_heard(LINK_SERVICE, 0);
		ck_heard(LINK_LISTENER, 1);
		ck_heard(LINK_COMMIT, 0);
		committed();
		service->pushed = false; /* it has changed */
		push_table(s);
		ck_heard(LINK_BEGIN, 0);
		ck_heard(LINK_SERVICE, 0);
		ck_heard(LINK_LISTENER, 0);
		ck_heard(LINK_COMMIT, 0);
		committed();
		listener.pushed = false; /* it was bound again */
		push_table(s);
		ck_heard(LINK_BEGIN, 0);
		ck_heard(LINK_SERVICE, 0);
		ck_heard(LINK_LISTENER, 1);
		ck_heard(LINK_COMMIT, 0);
		committed();
	}
	service->listeners = NULL;
	close(listener.fd);
}
END_TEST

START_TEST(what_no_dispatcher_knew_is_free_at_once)
{
	struct server *server = running();
	uint32_t slot = server->slot, generation = server->generation;
	int ours = s->slots[slot].ours;

	slot_died(s, server);
	ck_assert_ptr_null(slot_find(s, slot, generation));
	ck_assert(!open_fd(ours));
	server_remove(s, server);
}
END_TEST

START_TEST(a_dead_server_s_slot_waits_for_slot_free)
{
	struct server *server = running();
	uint32_t slot = server->slot, generation = server->generation;
	int ours = s->slots[slot].ours, theirs = s->slots[slot].theirs;
	unsigned fds;

	ready();
	committed();
	for (unsigned i = 0; i < 4; i++)
		heard(&fds);
	slot_died(s, server);
	server_remove(s, server);
	ck_heard(LINK_SERVER_DIED, 0);
	ck_assert(open_fd(ours) && open_fd(theirs));
	ck_assert_ptr_null(slot_server(s, slot, generation));
	/* The next dispatcher has to settle it. */
	s->dispatcher.phase = DISPATCHER_STARTING;
	s->dispatcher.pushes = s->dispatcher.commits = 0;
	ready();
	heard(&fds);
	heard(&fds);
	struct link_message message = heard(&fds);
	ck_assert_int_eq(message.type, LINK_SERVER);
	ck_assert_uint_eq(message.server.flags, LINK_SERVER_DEAD);
	say(LINK_SLOT_FREE, slot, generation);
	ck_assert(!open_fd(ours) && !open_fd(theirs));
	ck_assert_str_eq(s->dispatcher.ending, "");
}
END_TEST

/* SLOT_FREE has an end; a new dispatcher has it anew. */
START_TEST(a_dead_server_is_settled_in_time)
{
	unsigned ticks = 0;

	ready();
	committed();
	slot_died(s, running());
	ck_assert(slots_settled(s));
	struct server *server = running();
	push_server(s, server);
	uint32_t slot = server->slot, generation = server->generation;
	slot_died(s, server);
	while (slots_settled(s))
		ck_assert_uint_lt(ticks++, 60);
	ck_assert_uint_ge(ticks, 5);
	say(LINK_SLOT_FREE, slot, generation);
	ck_assert(slots_settled(s));
}
END_TEST

/* It waits for room, however long: but that dispatcher alone has said so. */
START_TEST(a_settling_slot_is_waited_for)
{
	ready();
	committed();
	struct server *server = running();
	push_server(s, server);
	uint32_t slot = server->slot, generation = server->generation;
	slot_died(s, server);
	say(LINK_SETTLING, slot, generation);
	for (unsigned i = 0; i < 60; i++)
		ck_assert(slots_settled(s));
	ck_assert_ptr_nonnull(slot_find(s, slot, generation));
	s->dispatcher.phase = DISPATCHER_STARTING;
	s->dispatcher.pushes = s->dispatcher.commits = 0;
	ready();
	committed();
	unsigned ticks = 0;
	while (slots_settled(s))
		ck_assert_uint_lt(ticks++, 60);
	say(LINK_SETTLING, slot, generation);
	ck_assert(slots_settled(s));
	say(LINK_SLOT_FREE, slot, generation);
	ck_assert_ptr_null(slot_find(s, slot, generation));
	ck_assert_str_eq(s->dispatcher.ending, "");
}
END_TEST

/* The next one from there may come at once: the pair alone is still taken. */
START_TEST(a_settling_server_from_outside_is_gone)
{
	struct server *server = running();
	uint32_t slot = server->slot, generation = server->generation;

	server->external = true;
	ready();
	committed();
	say(LINK_SETTLING, slot, generation);
	ck_assert_ptr_null(service->servers);
	ck_assert_ptr_nonnull(slot_find(s, slot, generation));
	ck_assert_ptr_null(slot_server(s, slot, generation));
	say(LINK_SLOT_FREE, slot, generation);
	ck_assert_ptr_null(slot_find(s, slot, generation));
	ck_assert_str_eq(s->dispatcher.ending, "");
}
END_TEST

START_TEST(a_slot_comes_back_with_another_generation)
{
	struct server *server = running();
	uint32_t slot = server->slot, generation = server->generation;

	slot_died(s, server);
	s->slot_turn.next = slot;
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(slot_take(s, server, pair[0], pair[1], -1), 0);
	ck_assert_uint_eq(server->slot, slot);
	ck_assert_uint_eq(server->generation, generation + 1);
	ready();
	committed();
	/* Late words about the old one mean nothing. */
	server->phase = PHASE_READY;
	say(LINK_SLOT_FREE, slot, generation);
	say(LINK_GONE, slot, generation);
	say(LINK_DEREGISTERED, slot, generation);
	ck_assert_ptr_eq(slot_server(s, slot, generation + 1), server);
	ck_assert_int_eq(server->phase, PHASE_READY);
	ck_assert_str_eq(s->dispatcher.ending, "");
}
END_TEST

static void ck_killed(void)
{
	int status;

	ck_assert_str_ne(s->dispatcher.ending, "");
	ck_assert_int_eq(waitpid(s->dispatcher.pid, &status, 0), s->dispatcher.pid);
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
	ck_assert_int_eq(s->dispatcher.phase, DISPATCHER_ENDING);
	s->dispatcher.pid = fork();
	if (s->dispatcher.pid == 0)
		for (;;)
			pause();
}

START_TEST(slot_free_for_a_living_server)
{
	struct server *server = running();

	ready();
	committed();
	say(LINK_SLOT_FREE, server->slot, server->generation);
	ck_killed();
	ck_assert_ptr_eq(slot_server(s, server->slot, server->generation), server);
}
END_TEST

START_TEST(settling_for_a_living_server)
{
	struct server *server = running();

	ready();
	committed();
	say(LINK_SETTLING, server->slot, server->generation);
	ck_killed();
	ck_assert_ptr_eq(slot_server(s, server->slot, server->generation), server);
}
END_TEST

START_TEST(gone_for_a_supervised_server)
{
	struct server *server = running();

	ready();
	committed();
	say(LINK_GONE, server->slot, server->generation);
	ck_killed();
}
END_TEST

START_TEST(committed_for_another_table)
{
	struct link_message message = {.version = LINK_VERSION, .type = LINK_COMMITTED};

	ready();
	message.commit.table = 17;
	answer_message(s, &message, NULL, 0);
	ck_killed();
}
END_TEST

static void fill_keep(struct link_message *message, int fds[3], int *other)
{
	int pair[2];

	*message = (struct link_message){.version = LINK_VERSION, .type = LINK_KEEP};
	message->keep =
		(struct link_keep){.ticket = 5, .service = service->index, .pid = 77, .uid = 33, .gid = 34};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fds[2] = pair[0];
	*other = pair[1];
}

/* The error that was answered. */
static int keep_one(uint32_t index)
{
	struct link_message message;
	int fds[3], other;
	unsigned count;

	fill_keep(&message, fds, &other);
	message.keep.service = index;
	answer_message(s, &message, fds, 3);
	struct link_message answer = heard(&count);
	ck_assert_int_eq(answer.type, LINK_KEPT);
	ck_assert_uint_eq(answer.kept.ticket, 5);
	ck_assert_int_eq(open_fd(fds[0]), answer.kept.error == 0);
	close(other);
	return answer.kept.error;
}

static void hear_table(void)
{
	unsigned fds;

	ready();
	committed();
	while (heard(&fds).type != LINK_COMMIT)
		continue;
}

START_TEST(kept_up_to_max_registered)
{
	hear_table();
	ck_assert_int_eq(keep_one(service->index), 0);
	ck_assert_int_eq(keep_one(service->index), 0);
	ck_assert_int_eq(keep_one(service->index), -EUSERS);
	struct server *server = service->servers;
	ck_assert(server->external);
	ck_assert_int_eq(server->pid, 77);
	ck_assert_uint_eq(server->uid, 33);
	int lifeline = s->slots[server->slot].lifeline;
	ck_assert(open_fd(lifeline));
	say(LINK_GONE, server->slot, server->generation);
	ck_assert(!open_fd(lifeline));
	ck_assert_int_eq(keep_one(service->index), 0);
}
END_TEST

START_TEST(kept_only_for_what_the_table_names)
{
	hear_table();
	ck_assert_int_eq(keep_one(service->index + 1), -ENOENT);
	service->want = NULL;
	ck_assert_int_eq(keep_one(service->index), -ENOENT);
	service->want = &want;
	s->stopping = true;
	ck_assert_int_eq(keep_one(service->index), -ESHUTDOWN);
}
END_TEST

START_TEST(keep_with_something_else_than_pairs)
{
	struct link_message message;
	int fds[3], other;

	hear_table();
	fill_keep(&message, fds, &other);
	close(fds[1]);
	fds[1] = open("/dev/null", O_RDONLY);
	answer_message(s, &message, fds, 3);
	ck_killed();
	ck_assert(!open_fd(fds[0]) && !open_fd(fds[1]) && !open_fd(fds[2]));
	ck_assert_ptr_null(service->servers);
	close(other);
}
END_TEST

/* What the old dispatcher hands up goes to the next one before its table, and is kept until that one has it. */
START_TEST(handed_up_and_handed_on)
{
	struct link_message message = {
		.version = LINK_VERSION, .type = LINK_HELD, .held = {.index = 7, .id = 8}};
	int fd = dup(STDIN_FILENO);
	unsigned count;

	s->dispatcher.phase = DISPATCHER_LEAVING;
	answer_message(s, &message, &fd, 1);
	ck_assert_uint_eq(s->upgrade->held_count, 1);
	for (unsigned tries = 0; tries < 2; tries++) { /* the first one of these dies before its COMMITTED */
		s->dispatcher.phase = DISPATCHER_LOADING;
		s->dispatcher.pushes = s->dispatcher.commits = 0;
		ready();
		struct link_message next = heard(&count);
		ck_assert_int_eq(next.type, LINK_HELD);
		ck_assert_uint_eq(count, 1);
		ck_assert_uint_eq(next.held.index, 7);
		ck_assert_uint_eq(next.held.id, 8);
		ck_heard(LINK_BEGIN, 0);
		ck_heard(LINK_SERVICE, 0);
		ck_heard(LINK_COMMIT, 0);
		ck_assert(open_fd(fd));
	}
	committed();
	ck_assert_uint_eq(s->upgrade->held_count, 0);
	ck_assert(!open_fd(fd));
}
END_TEST

/* A reload while the old dispatcher comes to rest: its COMMITTED may come when it hands over already. */
START_TEST(committed_while_it_hands_over)
{
	struct link_message message = {
		.version = LINK_VERSION, .type = LINK_HELD, .held = {.index = 7, .id = 8}};
	int fd = dup(STDIN_FILENO);

	hear_table();
	push_table(s);
	dispatcher_hand_over(s);
	answer_message(s, &message, &fd, 1);
	committed();
	ck_assert_int_eq(s->dispatcher.phase, DISPATCHER_LEAVING);
	ck_assert(ev_is_active(&s->dispatcher.deadline));
	ck_assert_uint_eq(s->upgrade->held_count, 1);
	ck_assert(open_fd(fd));
	ck_assert_int_eq(permit_request(LINK_HELD, s->dispatcher.phase), PERMIT_ALWAYS);
}
END_TEST

/* The next dispatcher must not take a server that is being ended for a healthy one. */
START_TEST(servers_that_end_are_pushed_as_draining)
{
	static const struct {
		enum server_phase phase;
		uint32_t flags;
	} all[] = {{PHASE_STARTING, 0},
		   {PHASE_READY, 0},
		   {PHASE_DRAINING, LINK_SERVER_DRAINING},
		   {PHASE_STOPPING, LINK_SERVER_DRAINING},
		   {PHASE_KILLING, LINK_SERVER_DRAINING}};
	struct server *server = running();
	unsigned count;

	ready();
	for (unsigned i = 0; i < 4; i++)
		heard(&count);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		server->phase = all[i].phase;
		push_server(s, server);
		struct link_message next = heard(&count);
		ck_assert_int_eq(next.type, LINK_SERVER);
		ck_assert_uint_eq(next.server.flags, all[i].flags);
	}
}
END_TEST

START_TEST(registered_and_what_a_late_one_means)
{
	struct server *server = running();

	want.start = START_ALWAYS;
	want.has_server = true;
	want.server->instances = 1;
	hear_table();
	say(LINK_REGISTERED, server->slot, server->generation);
	ck_assert_int_eq(server->phase, PHASE_READY);
	server->phase = PHASE_STOPPING;
	say(LINK_REGISTERED, server->slot, server->generation);
	ck_assert_int_eq(server->phase, PHASE_STOPPING);
	say(LINK_IDLE, server->slot, server->generation);
	ck_assert_int_eq(server->phase, PHASE_STOPPING);
	server->phase = PHASE_READY;
}
END_TEST

/* Its REGISTERED may be on the way, and clients are with it already: only the dispatcher knows that it holds none. */
START_TEST(a_starting_server_is_drained)
{
	struct server *server = running();

	server->pid = fork();
	if (server->pid == 0)
		for (;;)
			pause();
	want_dispatch.drain_timeout_ms = service->more->drain_timeout_ms = 30000;
	service->more->stop_signal = SIGKILL; /* the others have a handler here, of the test program's */
	service->more->stop_timeout_ms = 10000;
	ready();
	for (unsigned i = 0; i < 4; i++) {
		unsigned fds;
		heard(&fds);
	}
	server_stop(s, server, true);
	ck_heard(LINK_DRAIN, 0);
	ck_assert_int_eq(server->phase, PHASE_DRAINING);
	say(LINK_REGISTERED, server->slot, server->generation);
	ck_assert_int_eq(server->phase, PHASE_DRAINING);
	ck_assert_int_eq(waitpid(server->pid, NULL, WNOHANG), 0);
	say(LINK_IDLE, server->slot, server->generation);
	ck_assert_int_eq(server->phase, PHASE_STOPPING);
	ck_assert_int_eq(waitpid(server->pid, NULL, 0), server->pid);
	server->pid = 0;
}
END_TEST

START_TEST(numbers_rest_before_they_are_used_again)
{
	uint8_t used[4] = {0};
	struct index_turn turn = {0};

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(index_take(used, 4, &turn), i);
	ck_assert_uint_eq(index_take(used, 4, &turn), BOARD_NONE);
	used[1] = used[2] = 0;
	ck_assert_uint_eq(index_take(used, 4, &turn), 1);
	used[1] = 0;
	ck_assert_uint_eq(index_take(used, 4, &turn), 2);
}
END_TEST

/* However often they change, about as many numbers as are used at once are ever touched. */
START_TEST(numbers_stay_low)
{
	static uint8_t used[10000];
	struct index_turn turn = {0};
	uint32_t index[100], highest = 0;

	for (uint32_t i = 0; i < 100; i++)
		index[i] = index_take(used, 10000, &turn);
	for (uint32_t i = 1; i < 100000; i++) {
		uint32_t *one = &index[i * 7 % 100];
		used[*one] = 0;
		*one = index_take(used, 10000, &turn);
		ck_assert_uint_ne(*one, BOARD_NONE);
		highest = *one > highest ? *one : highest;
	}
	ck_assert_uint_lt(highest, 100 + 2 * 32);
	/* Numbers that somebody else has set are passed over; all are given out in the end. */
	turn = (struct index_turn){0};
	memset(used, 1, 5000);
	for (uint32_t i = 5000; i < 10000; i++)
		ck_assert_uint_eq(index_take(used, 10000, &turn), i);
	ck_assert_uint_eq(index_take(used, 10000, &turn), BOARD_NONE);
	used[17] = 0;
	ck_assert_uint_eq(index_take(used, 10000, &turn), 17);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("answer");
	TCase *tests = tcase_create("answer");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_table_from_begin_to_commit);
	tcase_add_test(tests, a_removed_service_with_servers_is_gone);
	tcase_add_test(tests, a_listener_s_descriptor_goes_once_to_each_dispatcher);
	tcase_add_test(tests, what_no_dispatcher_knew_is_free_at_once);
	tcase_add_test(tests, a_dead_server_s_slot_waits_for_slot_free);
	tcase_add_test(tests, a_dead_server_is_settled_in_time);
	tcase_add_test(tests, a_settling_slot_is_waited_for);
	tcase_add_test(tests, a_settling_server_from_outside_is_gone);
	tcase_add_test(tests, a_slot_comes_back_with_another_generation);
	tcase_add_test(tests, slot_free_for_a_living_server);
	tcase_add_test(tests, settling_for_a_living_server);
	tcase_add_test(tests, gone_for_a_supervised_server);
	tcase_add_test(tests, committed_for_another_table);
	tcase_add_test(tests, kept_up_to_max_registered);
	tcase_add_test(tests, kept_only_for_what_the_table_names);
	tcase_add_test(tests, keep_with_something_else_than_pairs);
	tcase_add_test(tests, handed_up_and_handed_on);
	tcase_add_test(tests, committed_while_it_hands_over);
	tcase_add_test(tests, servers_that_end_are_pushed_as_draining);
	tcase_add_test(tests, registered_and_what_a_late_one_means);
	tcase_add_test(tests, a_starting_server_is_drained);
	tcase_add_test(tests, numbers_rest_before_they_are_used_again);
	tcase_add_test(tests, numbers_stay_low);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
