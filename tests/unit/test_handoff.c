/*
 * test_handoff.c: real connections through a whole dispatcher: accept on credit, hand over, TAKEN, DONE, REFUSED.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

static struct rig rig;
static struct rig_server one, two;
static int clients[256];

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

static void connect_clients(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		clients[i] = rig_connect(&rig);
}

static void close_clients(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(clients[i]);
}

static void closed_by_us(int client)
{
	char byte;
	RIG_UNTIL(&rig, recv(client, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
}

/* What stops one by one is the credit, not the backlog: with more credits the rest comes at once. */
START_TEST(test_all_at_once_after_few_credits)
{
	union lust_wire_message more = {.capacity = {.capacity = 64}};
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 1, 64);
	connect_clients(12);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t id = rig_hear_id(&rig, &one);
		rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
		if (i < 3)
			rig_ids(&one, LUST_WIRE_DONE, &id, 1);
	}
	more.header = (struct lust_wire_header){.version = LUST_WIRE_VERSION, .type = LUST_WIRE_CAPACITY};
	ck_assert_int_eq(lust_message_send(one.fd, &more, lust_wire_length(&more), NULL, 0, 0), 0);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(one.message.header.count, 8);
	rig_drop_fds(&one);
	rig_server_close(&one);
	close_clients(12);
}
END_TEST

START_TEST(test_one_connection)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	const struct lust_wire_connection *entry = &one.message.connections.entry[0];
	ck_assert_uint_eq(one.message.connections.batch, 1);
	ck_assert_uint_eq(entry->kind, LUST_WIRE_TCP);
	ck_assert_uint_eq(entry->family, AF_INET);
	ck_assert_uint_eq(entry->peer[0], 127);
	ck_assert_uint_eq(entry->local_port, rig.port);
	ck_assert_uint_ne(entry->peer_port, 0);
	ck_assert_uint_eq(LUST_ID_GENERATION(entry->id), 1);
	ck_assert_int_eq(fcntl(one.from.fd[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_uint_eq(rig_read(&rig).pending, 1);

	uint64_t id = entry->id;
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	ck_assert(rig_answered(clients[0], one.from.fd[0]));
	/* The dispatcher's copy is closed: the server's close is the last. */
	rig_drop_fds(&one);
	closed_by_us(clients[0]);
	rig_ids(&one, LUST_WIRE_DONE, &id, 1);
	RIG_UNTIL(&rig, rig_read(&rig).done == 1);
	ck_assert_uint_eq(rig_read(&rig).active, 0);
	ck_assert_uint_eq(atomic_load(&rig.d->board->ledger_used), 0);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_batches)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 16);
	connect_clients(40);
	unsigned got = 0;
	uint64_t ids[64];
	uint32_t batch = 0;
	while (got < 40) {
		rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
		ck_assert_uint_le(one.message.header.count, 16);
		ck_assert_uint_eq(one.message.connections.batch, ++batch);
		for (unsigned i = 0; i < one.message.header.count; i++)
			ids[got++] = one.message.connections.entry[i].id;
		rig_drop_fds(&one);
	}
	ck_assert_uint_lt(batch, 40);
	rig_ids(&one, LUST_WIRE_TAKEN, ids, 40);
	rig_ids(&one, LUST_WIRE_DONE, ids, 40);
	RIG_UNTIL(&rig, rig_read(&rig).done == 40);
	close_clients(40);
	rig_server_close(&one);
}
END_TEST

/* No more is accepted than there are credits: the others wait in the backlog. */
START_TEST(test_window_and_capacity)
{
	rig.service.window = 3;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 5, 64);
	connect_clients(8);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(one.message.header.count, 3);
	uint64_t ids[8];
	for (unsigned i = 0; i < 3; i++)
		ids[i] = one.message.connections.entry[i].id;
	rig_drop_fds(&one);
	rig_hear_nothing(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).accepted, 3);
	ck_assert_uint_ne(rig_read(&rig).full_since_ms, 0);

	rig_ids(&one, LUST_WIRE_TAKEN, ids, 3);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS); /* capacity leaves two */
	ck_assert_uint_eq(one.message.header.count, 2);
	for (unsigned i = 0; i < 2; i++)
		ids[3 + i] = one.message.connections.entry[i].id;
	rig_drop_fds(&one);
	rig_hear_nothing(&rig, &one);

	rig_ids(&one, LUST_WIRE_TAKEN, ids + 3, 2);
	rig_ids(&one, LUST_WIRE_DONE, ids, 1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(one.message.header.count, 1);
	rig_drop_fds(&one);

	union lust_wire_message more = {0};
	more.capacity = (struct lust_wire_capacity){{LUST_WIRE_VERSION, LUST_WIRE_CAPACITY, 0}, 0, 0};
	lust_message_send(one.fd, &more, lust_wire_length(&more), NULL, 0, 0);
	rig_until_accepted(&rig, 8);
	RIG_UNTIL(&rig, rig_read(&rig).full_since_ms == 0 || rig_read(&rig).pending == 3);
	close_clients(8);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_overload_refuses)
{
	rig.service.overload = LINK_OVERLOAD_REFUSE;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 1, 1);
	connect_clients(3);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	rig_until_accepted(&rig, 3);
	ck_assert_uint_eq(rig_read(&rig).denied[DENIED_OVERLOAD], 2);
	struct event event = rig_event(&rig, EVENT_DENIED);
	ck_assert_uint_eq(event.number, DENIED_OVERLOAD);
	ck_assert_uint_eq(event.family, AF_INET);
	rig_drop_fds(&one);
	close_clients(3);
	rig_server_close(&one);
}
END_TEST

/* Servers that are just starting are waited for, even by a service that refuses. */
START_TEST(test_refusing_waits_for_the_start)
{
	rig.service.overload = LINK_OVERLOAD_REFUSE;
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	connect_clients(1);
	rig_hear_nothing(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).accepted, 0);
	rig_register(&rig, &one, 0, 1, 0, 0, 0);
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_refused_goes_to_another)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_server(&rig, &two, 1, 0, 1);
	rig_ids(&one, LUST_WIRE_REFUSED, &id, 1);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_ne(rig_first_id(&two), id);
	ck_assert(rig_answered(clients[0], two.from.fd[0]));
	ck_assert_uint_eq(rig_read(&rig).redispatched, 1);
	ck_assert_uint_eq(atomic_load(&rig.d->board->servers[0].refused), 1);
	/* The old id means nothing any more. */
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	(void)rig_event(&rig, EVENT_UNKNOWN_ID);
	ck_assert_uint_eq(rig_read(&rig).taken, 0);
	rig_drop_fds(&two);
	close_clients(1);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* With its descriptor, as always when the server has it: the copy is enough, the duplicate closes. */
START_TEST(test_refused_with_descriptor)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	rig_refuse(&one, rig_first_id(&one), one.from.fd[0]);
	rig_drop_fds(&one);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t id = rig_first_id(&one);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	/* Nobody else holds it: the client sees the end. */
	rig_drop_fds(&one);
	char byte;
	ck_assert_int_eq(recv(clients[0], &byte, 1, 0), 0);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

/* Without: its descriptor did not reach the server, and the log says so. */
START_TEST(test_refused_truncated)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_REFUSED, &id, 1);
	struct event event = rig_event(&rig, EVENT_TRUNCATED);
	ck_assert_uint_eq(event.slot, 0);
	ck_assert_uint_eq(event.number, 1);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

/* ETOOMANYREFS: the server counts as full; the connection waits. */
START_TEST(test_too_many_in_flight)
{
	struct rig_flight flight;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	if (rig_flight_fill(&flight)) {
		rig_until_accepted(&rig, 1);
		rig_hear_nothing(&rig, &one);
		ck_assert_uint_eq(rig_read(&rig).pending, 1);
	}
	rig_flight_free(&flight);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert(rig_answered(clients[0], one.from.fd[0]));
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

/* The only server gets it again, but not at once: no spinning. */
START_TEST(test_refused_by_the_only_one)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_REFUSED, &id, 1);
	RIG_UNTIL(&rig, rig_read(&rig).redispatched == 1);
	rig_hear_nothing(&rig, &one);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ck_assert(rig_answered(clients[0], one.from.fd[0]));
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_wrong_ids)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t ids[4] = {rig_first_id(&one), rig_first_id(&one), 1, UINT64_MAX};
	rig_ids(&one, LUST_WIRE_TAKEN, ids, 4);
	rig_ids(&one, LUST_WIRE_DONE, ids, 4);
	RIG_UNTIL(&rig, rig_read(&rig).done == 1);
	rig_hear_nothing(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).taken, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 0);
	/* DONE without TAKEN is both. */
	rig_drop_fds(&one);
	close_clients(1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ids[0] = rig_first_id(&one);
	rig_ids(&one, LUST_WIRE_DONE, ids, 1);
	RIG_UNTIL(&rig, rig_read(&rig).done == 2);
	rig_drop_fds(&one);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

/* The last close of a lingering socket waits; the dispatcher must not. */
START_TEST(test_linger)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t id = rig_first_id(&one);
	int fd = one.from.fd[0];
	struct linger linger = {.l_onoff = 1, .l_linger = 600};
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	char junk[65536] = {0};
	while (write(fd, junk, sizeof(junk)) > 0)
		;
	rig_drop_fds(&one);
	uint64_t began = rig_now_ms();
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	ck_assert_uint_lt(rig_now_ms() - began, 5000);
	close_clients(1);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_nonblocking)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	rig_register(&rig, &one, 0, 1, 0, 0, LUST_WIRE_NONBLOCKING);
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	rig_server(&rig, &two, 1, 0, 1);
	connect_clients(2);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_int_ne(fcntl(one.from.fd[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(two.from.fd[0], F_GETFL) & O_NONBLOCK, 0);
	rig_drop_fds(&one);
	rig_drop_fds(&two);
	close_clients(2);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* Trap 6: a pair is full after some messages.  The others go to another server, nothing is lost. */
START_TEST(test_full_pair)
{
	enum { CLIENTS = 200 };
	static int many[CLIENTS];
	int small = 16384;
	rig.service.window = 1000;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	ck_assert_int_eq(setsockopt(one.ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		many[i] = rig_connect(&rig);
		rig_turn(&rig);
	}
	RIG_UNTIL(&rig, rig.d->server[0]->blocked);
	uint32_t in_pair = rig.d->server[0]->sent.count;
	ck_assert_uint_lt(in_pair, CLIENTS);
	rig_server(&rig, &two, 1, 0, 64);
	unsigned got = 0;
	while (got < CLIENTS - in_pair) {
		rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
		got += two.message.header.count;
		rig_drop_fds(&two);
	}
	struct board_reading reading = rig_read(&rig);
	ck_assert_uint_eq(reading.pending, reading.accepted);
	for (unsigned i = 0; i < CLIENTS; i++)
		close(many[i]);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

/* Trap 9: no descriptor left.  Said once; clients wait in the backlog until there is one. */
START_TEST(test_no_descriptors)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	connect_clients(2);
	struct rlimit before, none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	struct event event = rig_event(&rig, EVENT_ACCEPT_FAILED);
	ck_assert_int_eq(event.error, EMFILE);
	for (unsigned i = 0; i < 20; i++)
		rig_turn(&rig);
	ck_assert(!ev_is_active(&rig.d->listener[0]->opened->accept));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	rig_event(&rig, EVENT_ACCEPT_AGAIN);
	rig_until_accepted(&rig, 2);
	close_clients(2);
	rig_server_close(&one);
}
END_TEST

static unsigned accepted_and_not_sent(void)
{
	unsigned count = 0;
	for (uint32_t i = 0; i < rig.d->ledger.high; i++)
		count += ledger_state(&rig.d->ledger, i) == LEDGER_ACCEPTED;
	return count;
}

/* What a dispatcher's death costs: one batch, however many listeners are ready in a turn. */
START_TEST(test_one_batch_in_hand)
{
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 64);
	rig_server(&rig, &two, 1, 0, 64);
	connect_clients(100);
	for (unsigned i = 0; i < 2; i++) {
		listener_ready(rig.d->loop, &rig.d->listener[0]->opened->accept, EV_READ);
		ck_assert_uint_le(accepted_and_not_sent(), 64);
	}
	ck_assert_uint_eq(rig_read(&rig).accepted, 100);
	rig_turn(&rig);
	ck_assert_uint_eq(accepted_and_not_sent(), 0);
	close_clients(100);
	rig_server_close(&one);
	rig_server_close(&two);
}
END_TEST

static Suite *suite(void)
{
	const TTest *const tests[] = {
		test_one_connection,
		test_all_at_once_after_few_credits,
		test_batches,
		test_window_and_capacity,
		test_overload_refuses,
		test_refusing_waits_for_the_start,
		test_refused_goes_to_another,
		test_refused_by_the_only_one,
		test_wrong_ids,
		test_linger,
		test_refused_with_descriptor,
		test_refused_truncated,
		test_too_many_in_flight,
		test_nonblocking,
		test_full_pair,
		test_one_batch_in_hand,
	};
	Suite *all = suite_create("handoff");
	TCase *tcase = tcase_create("loopback");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(all, tcase);
	TCase *limits = tcase_create("limits");
	tcase_set_tags(limits, "rlimit"); /* valgrind keeps RLIMIT_NOFILE to itself */
	tcase_add_checked_fixture(limits, setup, teardown);
	tcase_set_timeout(limits, 60);
	tcase_add_test(limits, test_no_descriptors);
	suite_add_tcase(all, limits);
	return all;
}

int main(void)
{
	return suite_run(suite());
}
