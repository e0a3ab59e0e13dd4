/*
 * test_generation.c: a new dispatcher, draining, and the daemon's end.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_daemon.h"

#define NEXT (FAKE_GENERATION + 1)

static struct fake_daemon lust_daemon;
static struct lust_connection connection;

static void end(struct lust_server *server)
{
	lust_server_free(server);
	close(lust_daemon.ours);
}

static void hear_register(uint32_t generation, uint32_t held, uint32_t last_batch, uint32_t flags)
{
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(lust_daemon.heard.reg.generation, generation);
	ck_assert_uint_eq(lust_daemon.heard.reg.held, held);
	ck_assert_uint_eq(lust_daemon.heard.reg.last_batch, last_batch);
	ck_assert_uint_eq(lust_daemon.heard.reg.flags, flags);
}

static void expect_end(struct lust_server *server, int expected)
{
	for (int i = 0; i < 3; i++) {
		ck_assert(fake_readable(lust_server_fd(server)));
		ck_assert_int_eq(lust_server_receive(server, &connection, -1), expected);
	}
	ck_assert_int_eq(lust_server_accept(server, NULL, NULL, 0), expected);
}

START_TEST(new_dispatcher_is_answered)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	uint64_t ids[3];
	int clients[3];

	for (unsigned i = 0; i < 3; i++)
		ids[i] = fake_id(FAKE_GENERATION, i + 1);
	fake_give(&lust_daemon, 1, 2, clients, NULL);
	fake_give(&lust_daemon, 3, 1, clients + 2, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, ids);
	fake_hello(&lust_daemon, NEXT);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	/* Old ones still come, and are told under their old ids. */
	ck_assert_int_eq(lust_server_receive_many(server, (struct lust_connection[8]){0}, 8, -1), 2);
	hear_register(NEXT, 3, 2, 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 2, ids + 1);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(lust_server_done(server, ids[i]), 0);
		fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &ids[i]);
	}
	fake_hello(&lust_daemon, NEXT + 1);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	hear_register(NEXT + 1, 0, 2, 0);
	end(server);
}
END_TEST

START_TEST(old_refused_goes_with_its_descriptor)
{
	struct lust_options options = {.explicit_take = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	int client;

	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hello(&lust_daemon, NEXT);
	ck_assert_int_eq(lust_server_receive(server, &(struct lust_connection){0}, 0), 0);
	hear_register(NEXT, 1, 1, 0);
	ck_assert_int_eq(lust_server_refuse(server, connection.id), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 1, &connection.id);
	ck_assert_uint_eq(lust_daemon.came.count, 1);
	ck_assert_int_eq(fcntl(connection.fd, F_GETFD),
			 lust_daemon.came.fd[0] == connection.fd ? FD_CLOEXEC : -1);
	ck_assert_int_eq(send(client, "x", 1, 0), 1);
	ck_assert_int_eq(recv(lust_daemon.came.fd[0], (char[1]){0}, 1, 0), 1);
	end(server);
}
END_TEST

/* The same dispatcher asks again: it has counted already, so what is over must still be said. */
START_TEST(hello_again_of_the_same_dispatcher)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_wire_header alive = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_ALIVE};
	unsigned words = 0;
	int client;

	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	while (lust_message_send(lust_daemon.theirs, &alive, sizeof(alive), NULL, 0, MSG_DONTWAIT) == 0)
		words++;
	fake_hello(&lust_daemon, FAKE_GENERATION);
	ck_assert_int_eq(lust_server_receive(server, &(struct lust_connection){0}, 0), 0);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	while (words--)
		fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	fake_hear(&lust_daemon, LUST_WIRE_DONE);
	end(server);
}
END_TEST

/* What a dead dispatcher had no room for is not told to its successor: REGISTER counts without it. */
START_TEST(queue_of_a_dead_dispatcher)
{
	struct lust_options options = {.explicit_take = 1, .batch = 3};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_wire_header alive = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_ALIVE};
	struct lust_connection connections[3];
	unsigned words = 0;
	int clients[3];

	fake_give(&lust_daemon, 1, 3, clients, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 3, -1), 3);
	while (lust_message_send(lust_daemon.theirs, &alive, sizeof(alive), NULL, 0, MSG_DONTWAIT) == 0)
		words++;
	ck_assert_int_eq(lust_server_close(server, connections[0].fd), 0);
	ck_assert_int_eq(lust_server_refuse(server, connections[1].id), 0);
	fake_hello(&lust_daemon, NEXT);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	/* REGISTER found no room either; what is over by now needs no word of its own. */
	ck_assert_int_eq(lust_server_close(server, connections[2].fd), 0);
	while (words--)
		fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	hear_register(NEXT, 1, 1, 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 1, &connections[1].id);
	ck_assert_uint_eq(lust_daemon.came.count, 1);
	fake_hear_nothing(&lust_daemon);
	end(server);
}
END_TEST

START_TEST(drain_lets_the_queue_come)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	int clients[2];

	fake_give(&lust_daemon, 1, 1, clients, NULL);
	fake_give(&lust_daemon, 2, 1, clients + 1, NULL);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
		fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	}
	expect_end(server, -ESHUTDOWN);

	/* The application only closes now; a new dispatcher gets its answer all the same. */
	fake_hello(&lust_daemon, NEXT);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DONE);
	hear_register(NEXT, 1, 2, LUST_WIRE_DRAINED);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	expect_end(server, -ESHUTDOWN);
	end(server);
}
END_TEST

START_TEST(connections_after_drain_are_refused)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	uint64_t id = fake_id(FAKE_GENERATION, 1);
	unsigned before;
	int client;

	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	expect_end(server, -ESHUTDOWN);
	fake_give(&lust_daemon, 1, 1, &client, NULL);
	before = fake_count_fds();
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), -ESHUTDOWN);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 1, &id);
	ck_assert_uint_eq(lust_daemon.came.count, 1);
	lust_message_close_from(&lust_daemon.came, 0);
	ck_assert_uint_eq(fake_count_fds(), before);
	end(server);
}
END_TEST

START_TEST(drain_asked_by_the_server)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	int client;

	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_drain(server), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DRAINING);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	expect_end(server, -ESHUTDOWN);
	end(server);
}
END_TEST

START_TEST(drain_asked_of_a_dispatcher_that_died)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);

	ck_assert_int_eq(lust_server_drain(server), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DRAINING);
	fake_hello(&lust_daemon, NEXT);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), -ESHUTDOWN);
	hear_register(NEXT, 0, 0, LUST_WIRE_DRAINED);
	expect_end(server, -ESHUTDOWN);
	end(server);
}
END_TEST

START_TEST(denied_later)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);

	fake_deny(lust_daemon.ours, "the service is gone");
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	expect_end(server, -EACCES);
	ck_assert_str_eq(lust_server_reason(server), "the service is gone");
	end(server);
}
END_TEST

START_TEST(daemon_is_gone)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_connection last;
	int clients[2];

	fake_give(&lust_daemon, 1, 1, clients, NULL);
	fake_give(&lust_daemon, 2, 1, clients + 1, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	/* TAKEN was not read: our next recvmsg() says ECONNRESET.  Nobody else can answer what lies in the
	   pair. */
	close(lust_daemon.ours);
	ck_assert_int_eq(lust_server_receive(server, &last, -1), 1);
	expect_end(server, -ESHUTDOWN);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	ck_assert_int_eq(lust_server_close(server, last.fd), 0);
	ck_assert_int_eq(lust_server_set_capacity(server, 1), 0);
	lust_server_free(server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("generation");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(all, 60);
	tcase_add_test(all, new_dispatcher_is_answered);
	tcase_add_test(all, old_refused_goes_with_its_descriptor);
	tcase_add_test(all, hello_again_of_the_same_dispatcher);
	tcase_add_test(all, queue_of_a_dead_dispatcher);
	tcase_add_test(all, drain_lets_the_queue_come);
	tcase_add_test(all, connections_after_drain_are_refused);
	tcase_add_test(all, drain_asked_by_the_server);
	tcase_add_test(all, drain_asked_of_a_dispatcher_that_died);
	tcase_add_test(all, denied_later);
	tcase_add_test(all, daemon_is_gone);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
