/*
 * test_hand_over.c: a dispatcher leaves in peace: what it holds goes up, and the next one has it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

static struct rig rig;
static struct rig_server one, two;
static struct link_held held[8];
static int fds[8];
static unsigned count;

static void setup(void)
{
	rig_open(&rig);
	rig_table(&rig, NULL, 0, 0);
	count = 0;
}

static void teardown(void)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	rig_close(&rig);
}

/* Everything that it sends until its end. */
static void until_its_end(void)
{
	struct link_message message;
	int got[CHANNEL_FDS];
	unsigned carried;

	while (channel_receive(&rig.link, &message, got, &carried) == 1) {
		ck_assert_ptr_null(link_check_from_dispatcher(&message, sizeof(message), carried));
		if (message.type != LINK_HELD)
			continue;
		held[count] = message.held;
		fds[count++] = got[0];
	}
	rig_kill(&rig);
}

static void hand_over_now(void)
{
	rig_say(&rig, &(struct link_message){.type = LINK_HAND_OVER}, NULL, 0);
	ev_run(rig.d->loop, EVRUN_NOWAIT);
	until_its_end();
}

static void next_dispatcher(unsigned servers)
{
	struct rig_server both[2] = {one, two};

	rig_revive(&rig);
	for (unsigned i = 0; i < count; i++)
		rig_say(&rig, &(struct link_message){.type = LINK_HELD, .held = held[i]}, &fds[i], 1);
	rig_table(&rig, both, servers, 0);
}

static void register_again(struct rig_server *server, uint32_t holds, uint32_t last_batch)
{
	rig_register_again(&rig, server, 0, 1, holds, last_batch);
}

/* The copy is there again: with it the proof that nobody has touched the connection, and another server gets it. */
START_TEST(test_received_and_not_taken)
{
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	hand_over_now();
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(held[0].id, rig_first_id(&one));
	next_dispatcher(1);
	register_again(&one, 1, 1);
	rig_server(&rig, &two, 1, 0, 1);
	rig_drop_fds(&one);
	rig_die(&rig, &one);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert(rig_answered(client, two.from.fd[0]));
	rig_drop_fds(&two);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	ck_assert_uint_eq(rig_read(&rig).closed[CLOSED_TOUCHED], 0);
	close(client);
	rig_server_close(&two);
}
END_TEST

/* TAKEN under the id of the old dispatcher counts, and the copy is closed: the client sees the server's FIN. */
START_TEST(test_taken_afterwards)
{
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	uint64_t id = rig_first_id(&one);
	hand_over_now();
	next_dispatcher(1);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	count = 0;
	int fd = one.from.fd[0];
	rig_register_again(&rig, &one, 0, 1, 1, 1);
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	rig_until_taken(&rig, 1);
	close(fd);
	char byte;
	ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
	close(client);
	rig_server_close(&one);
}
END_TEST

/* Nobody had it: it is not lost, and goes to whoever comes. */
START_TEST(test_with_the_dispatcher_only)
{
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	uint64_t id = rig_hear_id(&rig, &one);
	rig_ids(&one, LUST_WIRE_REFUSED, &id, 1);
	rig_die(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).pending, 1);
	hand_over_now();
	ck_assert_uint_eq(count, 1);
	next_dispatcher(0);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	rig_server(&rig, &two, 1, 0, 1);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(LUST_ID_GENERATION(rig_first_id(&two)), 2);
	rig_drop_fds(&two);
	close(client);
	rig_server_close(&two);
}
END_TEST

/* What a server has taken is its own: there is nothing to hand up. */
START_TEST(test_taken_before)
{
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	uint64_t id = rig_hear_id(&rig, &one);
	/* Not read by the dispatcher before it is asked. */
	rig_ids(&one, LUST_WIRE_TAKEN, &id, 1);
	hand_over_now();
	ck_assert_uint_eq(count, 0);
	next_dispatcher(1);
	register_again(&one, 1, 1);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	close(client);
	rig_server_close(&one);
}
END_TEST

/* In the very turn in which everything goes up, a server is heard for another reason: its REFUSED is the next one's. */
START_TEST(test_refused_meanwhile)
{
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
	ev_feed_event(rig.d->loop, &rig.d->server[0]->read, EV_READ);
	hand_over(rig.d);
	rig_refuse(&one, rig_first_id(&one), one.from.fd[0]);
	rig_drop_fds(&one);
	ev_invoke_pending(rig.d->loop);
	until_its_end();
	ck_assert_uint_eq(count, 1);
	next_dispatcher(1);
	register_again(&one, 0, 1);
	rig_hear_id(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	ck_assert_uint_eq(rig_read(&rig).pending, 1);
	close(client);
	rig_server_close(&one);
}
END_TEST

/* What it was given before counts against take-timeout for the next dispatcher as well. */
START_TEST(test_stalls_afterwards)
{
	rig.service.take_timeout_ms = 50;
	rig.service.fresh = 0;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	rig_hear_id(&rig, &one);
	hand_over_now();
	next_dispatcher(1);
	register_again(&one, 1, 1);
	rig_hear(&rig, &one, LUST_WIRE_HELLO); /* half-way it is asked */
	rig_event(&rig, EVENT_STALLED);
	ck_assert(rig.d->server[0]->stalled);
	close(client);
	rig_server_close(&one);
}
END_TEST

/* With acknowledge = done the copy is kept over the dispatchers: until DONE by its id, or until the server dies. */
static void take_two(int client[2], uint64_t id[2], int fd[2])
{
	rig.service.acknowledge = LINK_ACK_DONE;
	rig_table(&rig, NULL, 0, 0);
	rig_server(&rig, &one, 0, 0, 1);
	for (unsigned i = 0; i < 2; i++) {
		client[i] = rig_connect(&rig);
		rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
		id[i] = rig_first_id(&one);
		fd[i] = one.from.fd[0];
	}
	rig_ids(&one, LUST_WIRE_TAKEN, id, 2);
	rig_until_taken(&rig, 2);
	hand_over_now();
	ck_assert_uint_eq(count, 2);
	next_dispatcher(1);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	count = 0;
}

START_TEST(test_kept_until_done)
{
	int client[2], fd[2];
	uint64_t id[2];
	char byte;

	take_two(client, id, fd);
	ck_assert_uint_eq(rig.d->ledger.held, 2);
	/* DONE before REGISTER, as one that lay in the pair; and after it. */
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	close(fd[0]);
	rig_ids(&one, LUST_WIRE_DONE, &id[0], 1);
	rig_register(&rig, &one, 0, 1, 1, 2, 0);
	rig_hear(&rig, &one, LUST_WIRE_REGISTERED);
	ck_assert_uint_eq(rig.d->ledger.held, 1);
	ck_assert_int_eq(recv(client[0], &byte, 1, 0), 0);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	close(fd[1]);
	rig_ids(&one, LUST_WIRE_DONE, &id[1], 1);
	RIG_UNTIL(&rig, rig_read(&rig).active == 0);
	ck_assert_int_eq(recv(client[1], &byte, 1, 0), 0);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	ck_assert_uint_eq(rig.d->ledger.held, 0);
	close(client[0]);
	close(client[1]);
	rig_server_close(&one);
}
END_TEST

START_TEST(test_kept_until_death)
{
	int client[2], fd[2];
	uint64_t id[2];
	char byte;

	take_two(client, id, fd);
	register_again(&one, 2, 2);
	rig_server(&rig, &two, 1, 0, 2);
	ck_assert_int_eq(write(fd[0], "x", 1), 1); /* touched: that one dies with its server */
	close(fd[0]);
	close(fd[1]);
	rig_die(&rig, &one);
	rig_hear_id(&rig, &two);
	ck_assert_int_eq(recv(client[0], &byte, 1, 0), 1);
	ck_assert_int_eq(recv(client[0], &byte, 1, 0), 0);
	ck_assert_uint_eq(rig_read(&rig).died, 1);
	ck_assert_uint_eq(rig_read(&rig).pending, 1);
	ck_assert_uint_eq(rig_read(&rig).lost, 0);
	close(client[0]);
	close(client[1]);
	rig_server_close(&two);
}
END_TEST

/* Its numbers say that something has ended, and not what: no copy may keep a client waiting. */
START_TEST(test_kept_and_ended_unseen)
{
	int client[2], fd[2];
	uint64_t id[2];
	char byte;

	take_two(client, id, fd);
	close(fd[0]);
	register_again(&one, 1, 2);
	ck_assert_uint_eq(rig.d->ledger.held, 0);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	ck_assert_uint_eq(rig_read(&rig).done, 1);
	ck_assert_int_eq(recv(client[0], &byte, 1, 0), 0);
	rig_ids(&one, LUST_WIRE_DONE, &id[1], 1);
	RIG_UNTIL(&rig, rig_read(&rig).active == 0);
	close(fd[1]);
	close(client[0]);
	close(client[1]);
	rig_server_close(&one);
}
END_TEST

/* A reload lets go of copies that an earlier dispatcher had made: the DONE of their older ids counts all the same. */
START_TEST(test_kept_and_reloaded)
{
	int client[2], fd[2];
	uint64_t id[2];
	char byte;

	take_two(client, id, fd);
	register_again(&one, 2, 2);
	rig.service.acknowledge = LINK_ACK_TAKEN;
	rig.service.fresh = 0;
	rig_table(&rig, NULL, 0, 0);
	rig_hear(&rig, &one, LUST_WIRE_HELLO);
	ck_assert_uint_eq(rig.d->ledger.held, 0);
	ck_assert_uint_eq(rig_read(&rig).active, 2);
	for (unsigned i = 0; i < 2; i++) {
		close(fd[i]);
		ck_assert_int_eq(recv(client[i], &byte, 1, 0), 0);
		rig_ids(&one, LUST_WIRE_DONE, &id[i], 1);
		close(client[i]);
	}
	RIG_UNTIL(&rig, rig_read(&rig).active == 0);
	ck_assert_uint_eq(rig_read(&rig).done, 2);
	rig_server_close(&one);
}
END_TEST

/* A server with `acknowledge = done` that is handed over with one of each: kept, not TAKEN, and of a former daemon. */
static void one_of_each(int client[2], uint64_t id[3], int fd[2])
{
	rig.service.acknowledge = LINK_ACK_DONE;
	rig_server_pair(&rig, &one, 0);
	rig_table(&rig, &one, 1, 0);
	rig_register_again(&rig, &one, 0, 1, 1, 0);
	id[2] = (uint64_t)77 << 48 | 5;
	for (unsigned i = 0; i < 2; i++) {
		client[i] = rig_connect(&rig);
		rig_hear(&rig, &one, LUST_WIRE_CONNECTIONS);
		id[i] = rig_first_id(&one);
		fd[i] = one.from.fd[0];
	}
	rig_ids(&one, LUST_WIRE_TAKEN, id, 1);
	rig_until_taken(&rig, 2);
	hand_over_now();
	ck_assert_uint_eq(count, 2);
	rig.service.fresh = 0;
	next_dispatcher(1);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	count = 0;
}

static void ck_sums(uint64_t pending, uint64_t active, uint64_t done, uint64_t died)
{
	struct board_reading reading = rig_read(&rig);

	ck_assert_uint_eq(reading.accepted, 3);
	ck_assert_uint_eq(reading.pending, pending);
	ck_assert_uint_eq(reading.active, active);
	ck_assert_uint_eq(reading.done, done);
	ck_assert_uint_eq(reading.died, died);
	ck_assert_uint_eq(reading.lost, 0);
}

START_TEST(test_each_is_done)
{
	int client[2], fd[2];
	uint64_t id[3];
	char byte;

	one_of_each(client, id, fd);
	register_again(&one, 3, 2);
	ck_sums(1, 2, 0, 0);
	rig_ids(&one, LUST_WIRE_TAKEN, &id[1], 1);
	RIG_UNTIL(&rig, rig_read(&rig).active == 3);
	ck_assert_uint_eq(rig.d->ledger.held, 2);
	rig_ids(&one, LUST_WIRE_DONE, &id[2], 1);
	RIG_UNTIL(&rig, rig_read(&rig).active == 2);
	ck_assert_uint_eq(rig.d->ledger.held, 2);
	for (unsigned i = 0; i < 2; i++) {
		close(fd[i]);
		rig_ids(&one, LUST_WIRE_DONE, &id[i], 1);
		RIG_UNTIL(&rig, rig_read(&rig).done == i + 2);
		ck_assert_int_eq(recv(client[i], &byte, 1, 0), 0);
		close(client[i]);
	}
	ck_sums(0, 0, 3, 0);
	ck_assert_uint_eq(rig.d->ledger.fds, 0);
	rig_server_close(&one);
}
END_TEST

/* Two have a copy, which nobody touched: another server gets them.  Of the third there never was one. */
START_TEST(test_each_dies)
{
	int client[2], fd[2];
	uint64_t id[3];

	one_of_each(client, id, fd);
	register_again(&one, 3, 2);
	rig_server(&rig, &two, 1, 0, 2);
	close(fd[0]);
	close(fd[1]);
	rig_die(&rig, &one);
	rig_hear(&rig, &two, LUST_WIRE_CONNECTIONS);
	ck_assert_uint_eq(two.message.header.count, 2);
	rig_drop_fds(&two);
	ck_sums(2, 0, 0, 1);
	close(client[0]);
	close(client[1]);
	rig_server_close(&two);
}
END_TEST

/* Two have ended, nobody knows which: none is kept any more, and the one that is not TAKEN still can be. */
START_TEST(test_each_ended_unseen)
{
	int client[2], fd[2];
	uint64_t id[3];
	char byte;

	one_of_each(client, id, fd);
	close(fd[0]);
	register_again(&one, 1, 2);
	ck_assert_uint_eq(rig.d->ledger.held, 0);
	ck_assert_int_eq(recv(client[0], &byte, 1, 0), 0);
	ck_sums(1, 0, 2, 0);
	close(fd[1]);
	rig_ids(&one, LUST_WIRE_TAKEN, &id[1], 1);
	rig_ids(&one, LUST_WIRE_DONE, &id[1], 1);
	RIG_UNTIL(&rig, rig_read(&rig).done == 3);
	ck_assert_int_eq(recv(client[1], &byte, 1, 0), 0);
	ck_sums(0, 0, 3, 0);
	close(client[0]);
	close(client[1]);
	rig_server_close(&one);
}
END_TEST

/* It brings more than the dispatchers knew of: that changes nothing for what is kept. */
START_TEST(test_each_and_more)
{
	int client[2], fd[2];
	uint64_t id[3], older = (uint64_t)76 << 48 | 9;
	char byte;

	one_of_each(client, id, fd);
	register_again(&one, 4, 2);
	ck_assert_uint_eq(rig.d->ledger.held, 1);
	ck_assert_uint_eq(rig_read(&rig).accepted, 4);
	ck_assert_uint_eq(rig_read(&rig).active, 3);
	rig_ids(&one, LUST_WIRE_DONE, &older, 1);
	rig_ids(&one, LUST_WIRE_DONE, &id[2], 1);
	RIG_UNTIL(&rig, rig_read(&rig).active == 1);
	rig_ids(&one, LUST_WIRE_DONE, &older, 1); /* none of that kind is left */
	rig_hear_nothing(&rig, &one);
	ck_assert_uint_eq(rig_read(&rig).active, 1);
	close(fd[0]);
	rig_ids(&one, LUST_WIRE_DONE, &id[0], 1);
	RIG_UNTIL(&rig, rig_read(&rig).active == 0);
	ck_assert_int_eq(recv(client[0], &byte, 1, 0), 0);
	close(fd[1]);
	close(client[0]);
	close(client[1]);
	rig_server_close(&one);
}
END_TEST

/* Only what the board still has under this very id, and only connections. */
START_TEST(test_nonsense_is_not_taken_over)
{
	rig_server(&rig, &one, 0, 0, 1);
	int client = rig_connect(&rig), pair[2];
	rig_until_accepted(&rig, 1);
	rig_hear_id(&rig, &one);
	hand_over_now();
	rig_revive(&rig);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	struct link_held wrong[] = {
		held[0], {held[0].index, 0, held[0].id + 1}, {held[0].index + 1, 0, held[0].id}};
	for (unsigned i = 0; i < 3; i++)
		rig_say(&rig, &(struct link_message){.type = LINK_HELD, .held = wrong[i]},
			i == 0 ? &pair[0] : &fds[0], 1);
	rig_turn(&rig);
	ck_assert_uint_eq(rig.d->ledger.fds, 0);
	close(pair[0]);
	char byte;
	ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0); /* its copy was closed */
	close(pair[1]);
	rig_say(&rig, &(struct link_message){.type = LINK_HELD, .held = held[0]}, &fds[0], 1);
	rig_turn(&rig);
	ck_assert_uint_eq(rig.d->ledger.fds, 1);
	close(client);
	rig_server_close(&one);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_received_and_not_taken,
		test_taken_afterwards,
		test_with_the_dispatcher_only,
		test_taken_before,
		test_nonsense_is_not_taken_over,
		test_kept_until_done,
		test_kept_until_death,
		test_kept_and_ended_unseen,
		test_kept_and_reloaded,
		test_each_is_done,
		test_each_dies,
		test_each_ended_unseen,
		test_each_and_more,
		test_refused_meanwhile,
		test_stalls_afterwards,
	};
	return suite_run_tests("hand_over", tests, sizeof(tests) / sizeof(*tests), setup, teardown);
}
