/*
 * test_gather.c: DONE for many connections at once, and where it must not wait.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_daemon.h"
#include "suite.h"

enum { LIMIT_MS = 60000, MOST = LUST_BATCH_MAX };

static struct fake_daemon lust_daemon;
static struct lust_connection connection[MOST];
static uint64_t id[MOST];
static int client[MOST];

/* TAKEN was heard. */
static struct lust_server *register_and_give(const struct lust_options *options, unsigned count)
{
	struct lust_server *server = fake_register(&lust_daemon, options);

	fake_give(&lust_daemon, 1, count, client, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connection, MOST, -1), (int)count);
	for (unsigned i = 0; i < count; i++)
		id[i] = connection[i].id;
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, count, id);
	return server;
}

static void close_them(struct lust_server *server, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++)
		ck_assert_int_eq(lust_server_close(server, connection[i].fd), 0);
}

static void end(struct lust_server *server, unsigned count)
{
	lust_server_free(server);
	for (unsigned i = 0; i < count; i++)
		close(client[i]);
	close(lust_daemon.ours);
}

/* The application has nothing more to do and waits in its loop. */
static void wait_in_loop(struct lust_server *server)
{
	struct pollfd look = {.fd = lust_server_fd(server), .events = POLLIN};

	ck_assert_int_eq(poll(&look, 1, LIMIT_MS), 1);
	ck_assert_int_eq(lust_server_receive_many(server, connection, MOST, 0), 0);
}

START_TEST(said_when_the_loop_waits)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 4);

	close_them(server, 0, 2);
	ck_assert_int_eq(lust_server_receive_many(server, connection + 4, 1, 0), 0);
	close_them(server, 2, 2);
	wait_in_loop(server);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 4, id);
	fake_hear_nothing(&lust_daemon);
	ck_assert(!fake_readable(lust_server_fd(server)));

	/* And once more: the timer starts again. */
	fake_give(&lust_daemon, 5, 1, client + 4, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connection, 1, -1), 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &connection[0].id);
	close_them(server, 0, 1);
	id[0] = connection[0].id;
	wait_in_loop(server);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	end(server, 5);
}
END_TEST

START_TEST(said_at_once_where_few_come)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 3);

	close_them(server, 0, 1);
	wait_in_loop(server);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	/* The timer woke us for one: so it is not set for the next. */
	close_them(server, 1, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 1);
	close_them(server, 2, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 2);
	end(server, 3);
}
END_TEST

START_TEST(said_before_receive_waits)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 1);

	close_them(server, 0, 1);
	ck_assert_int_eq(lust_server_receive(server, connection, 1), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	end(server, 1);
}
END_TEST

START_TEST(said_when_a_message_is_full)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, MOST);

	close_them(server, 0, MOST);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, MOST, id);
	end(server, MOST);
}
END_TEST

/* With half of them free, the daemon may have given away the other half. */
START_TEST(said_at_once_while_credits_are_out)
{
	struct lust_server *server =
		register_and_give(&(struct lust_options){.batch = 64, .capacity = 4}, 4);

	for (unsigned i = 0; i < 2; i++) {
		close_them(server, i, 1);
		fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + i);
	}
	close_them(server, 2, 2);
	wait_in_loop(server);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 2, id + 2);
	end(server, 4);
}
END_TEST

/* Those that were on their way fill the places of what is over: the daemon has no credit before it hears of that. */
START_TEST(said_at_once_when_more_come)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64, .capacity = 4}, 2);

	close_them(server, 0, 1);
	fake_hear_nothing(&lust_daemon);
	fake_give(&lust_daemon, 3, 2, client + 2, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connection + 2, 2, 0), 2);
	for (unsigned i = 2; i < 4; i++)
		id[i] = connection[i].id;
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 2, id + 2);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	end(server, 4);
}
END_TEST

START_TEST(said_at_once_by_who_works_one_by_one)
{
	struct lust_server *server = register_and_give(NULL, 1);

	close_them(server, 0, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	end(server, 1);
}
END_TEST

START_TEST(said_at_once_where_a_copy_is_kept)
{
	struct lust_wire_hello hello = {
		.header = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_HELLO},
		.generation = FAKE_GENERATION,
		.acknowledge = LUST_WIRE_ACK_DONE,
		.window = 64,
		.service = "web",
	};
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 2);

	close_them(server, 0, 1);
	ck_assert_int_eq(lust_message_send(lust_daemon.ours, &hello, sizeof(hello), NULL, 0, 0), 0);
	ck_assert_int_eq(lust_server_receive(server, connection + 2, 0), 0);
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	close_them(server, 1, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 1);
	end(server, 2);
}
END_TEST

START_TEST(said_when_it_drains)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 2);

	close_them(server, 0, 1);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	ck_assert_int_eq(lust_server_receive(server, connection + 2, 0), -ESHUTDOWN);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	close_them(server, 1, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 1);
	end(server, 2);
}
END_TEST

START_TEST(said_when_it_asks_to_drain)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 2);

	close_them(server, 0, 1);
	ck_assert_int_eq(lust_server_drain(server), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DRAINING);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	close_them(server, 1, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 1);
	end(server, 2);
}
END_TEST

START_TEST(said_when_the_handle_goes)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 1);

	close_them(server, 0, 1);
	lust_server_free(server);
	fake_hear(&lust_daemon, LUST_WIRE_DRAINING);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	close(client[0]);
	close(lust_daemon.ours);
}
END_TEST

static void *wait_for_connection(void *server)
{
	static struct lust_connection next;

	return (void *)(intptr_t)lust_server_receive(server, &next, LIMIT_MS);
}

/* One thread waits, another one closes: the first says it. */
START_TEST(said_by_another_thread)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 2);
	pthread_t receiver;
	void *result;

	ck_assert_int_eq(pthread_create(&receiver, NULL, wait_for_connection, server), 0);
	close_them(server, 0, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	close_them(server, 1, 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 1);
	fake_give(&lust_daemon, 3, 1, client + 2, NULL);
	ck_assert_int_eq(pthread_join(receiver, &result), 0);
	ck_assert_int_eq((intptr_t)result, 1);
	end(server, 3);
}
END_TEST

/* A forked child says nothing of what its parent has gathered, and the parent says it all the same. */
START_TEST(not_said_by_a_child)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 1);
	int status = 0;

	close_them(server, 0, 1);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		lust_server_free(server);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	wait_in_loop(server);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id);
	end(server, 1);
}
END_TEST

/* A new dispatcher knows nothing of it: REGISTER says how many are left. */
START_TEST(dropped_for_a_new_dispatcher)
{
	struct lust_server *server = register_and_give(&(struct lust_options){.batch = 64}, 2);

	close_them(server, 0, 1);
	fake_hello(&lust_daemon, FAKE_GENERATION + 1);
	ck_assert_int_eq(lust_server_receive(server, connection + 2, 0), 0);
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(lust_daemon.heard.reg.held, 1);
	fake_hear_nothing(&lust_daemon);
	close_them(server, 1, 1);
	wait_in_loop(server);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, id + 1);
	end(server, 2);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		said_when_the_loop_waits,
		said_at_once_where_few_come,
		said_before_receive_waits,
		said_when_a_message_is_full,
		said_at_once_while_credits_are_out,
		said_at_once_when_more_come,
		said_at_once_by_who_works_one_by_one,
		said_at_once_where_a_copy_is_kept,
		said_when_it_drains,
		said_when_it_asks_to_drain,
		said_when_the_handle_goes,
		said_by_another_thread,
		not_said_by_a_child,
		dropped_for_a_new_dispatcher,
	};
	Suite *suite = suite_create("gather");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(all, tests[i]);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
