/*
 * test_settle.c: take, refuse, close and done; a pair without room; threads.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_daemon.h"

static struct fake_daemon lust_daemon;

static void end(struct lust_server *server)
{
	lust_server_free(server);
	close(lust_daemon.ours);
}

START_TEST(explicit_take)
{
	struct lust_options options = {.explicit_take = 1, .batch = 4};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection connections[4];
	uint64_t ids[4];
	int clients[4];

	fake_give(&lust_daemon, 1, 4, clients, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 3, -1), 3);
	for (unsigned i = 0; i < 4; i++)
		ids[i] = fake_id(FAKE_GENERATION, i + 1);
	fake_hear_nothing(&lust_daemon);

	ck_assert_int_eq(lust_server_take(server, ids[1]), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &ids[1]);
	ck_assert_int_eq(lust_server_take(server, ids[1]), 0);
	fake_hear_nothing(&lust_daemon);
	ck_assert_int_eq(lust_server_refuse(server, ids[1]), -EINVAL);

	ck_assert_int_eq(lust_server_refuse(server, ids[0]), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 1, &ids[0]);
	ck_assert_uint_eq(lust_daemon.came.count, 1);
	close(lust_daemon.came.fd[0]);
	ck_assert_int_eq(fcntl(connections[0].fd, F_GETFD), -1);
	ck_assert_int_eq(lust_server_refuse(server, ids[0]), -ENOENT);
	ck_assert_int_eq(lust_server_close(server, connections[0].fd), -EBADF);

	/* Closing without having taken says both. */
	ck_assert_int_eq(lust_server_close(server, connections[2].fd), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &ids[2]);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &ids[2]);

	/* What was not returned yet is nobody's to settle. */
	ck_assert_int_eq(lust_server_take(server, ids[3]), -ENOENT);
	ck_assert_int_eq(lust_server_refuse(server, ids[3]), -ENOENT);
	ck_assert_int_eq(lust_server_done(server, ids[3]), -ENOENT);
	end(server);
}
END_TEST

START_TEST(done_without_having_taken)
{
	struct lust_options options = {.explicit_take = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	uint64_t id = fake_id(FAKE_GENERATION, 1);
	struct lust_connection connection;
	int client;

	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	close(connection.fd);
	ck_assert_int_eq(lust_server_done(server, id), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &id);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &id);
	end(server);
}
END_TEST

START_TEST(take_and_refuse_need_explicit_take)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);

	ck_assert_int_eq(lust_server_take(server, 1), -EINVAL);
	ck_assert_int_eq(lust_server_refuse(server, 1), -EINVAL);
	ck_assert_int_eq(lust_server_done(server, 1), -ENOENT);
	ck_assert_int_eq(lust_server_close(server, 0), -EBADF);
	ck_assert_int_eq(fcntl(0, F_GETFD), 0);
	end(server);
}
END_TEST

/* The application closes by itself; the number comes again before it says done. */
START_TEST(descriptor_number_comes_again)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_connection first, second;
	int clients[2];

	fake_give(&lust_daemon, 1, 1, clients, NULL);
	ck_assert_int_eq(lust_server_receive(server, &first, -1), 1);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	fake_give(&lust_daemon, 2, 1, clients + 1, NULL);
	close(first.fd);
	ck_assert_int_eq(lust_server_receive(server, &second, -1), 1);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	ck_assert_int_eq(second.fd, first.fd);
	ck_assert_int_eq(lust_server_done(server, first.id), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &first.id);
	ck_assert_int_eq(lust_server_close(server, second.fd), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &second.id);
	end(server);
}
END_TEST

START_TEST(words_about_itself)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);

	ck_assert_int_eq(lust_server_set_capacity(server, 9), 0);
	fake_hear(&lust_daemon, LUST_WIRE_CAPACITY);
	ck_assert_uint_eq(lust_daemon.heard.capacity.capacity, 9);
	ck_assert_int_eq(lust_server_alive(server), 0);
	fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	fake_hello(&lust_daemon, FAKE_GENERATION + 1);
	ck_assert_int_eq(lust_server_receive(server, &(struct lust_connection){0}, 0), 0);
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(lust_daemon.heard.reg.capacity, 9);
	end(server);
}
END_TEST

/* Fills the server's way to the daemon. */
static unsigned fill(struct lust_server *server)
{
	unsigned before = 0;

	for (;;) {
		struct lust_wire_header alive = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_ALIVE};

		if (lust_message_send(lust_daemon.theirs, &alive, sizeof(alive), NULL, 0, MSG_DONTWAIT) ==
		    -EAGAIN)
			break;
		before++;
	}
	ck_assert_int_eq(lust_server_alive(server), 0);
	return before;
}

static void empty(unsigned count)
{
	while (count--)
		fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
}

enum { MANY = 150 };

/* Nothing blocks while there is no room, and nothing is lost. */
START_TEST(done_waits_for_room)
{
	struct lust_options options = {.batch = 50};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection connections[MANY];
	int clients[MANY];
	unsigned words;

	for (unsigned i = 0; i < MANY; i += 50) {
		fake_give(&lust_daemon, i + 1, 50, clients + i, NULL);
		ck_assert_int_eq(lust_server_receive_many(server, connections + i, 50, -1), 50);
		fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	}
	words = fill(server);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(lust_server_close(server, connections[i].fd), 0);
	ck_assert(!fake_readable(lust_server_fd(server)));
	empty(words);
	ck_assert(fake_readable(lust_server_fd(server)));
	ck_assert_int_eq(lust_server_receive(server, connections, 0), 0);
	ck_assert(!fake_readable(lust_server_fd(server)));
	fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	for (unsigned i = 0; i < MANY;) {
		fake_hear(&lust_daemon, LUST_WIRE_DONE);
		for (unsigned j = 0; j < lust_daemon.heard.header.count; j++, i++)
			ck_assert_uint_eq(lust_daemon.heard.ids.id[j], fake_id(FAKE_GENERATION, i + 1));
	}
	fake_hear_nothing(&lust_daemon);
	end(server);
}
END_TEST

/* A connection is not given before TAKEN could be said, and its waiting does not spin. */
START_TEST(taken_waits_for_room)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_connection connection;
	unsigned words = fill(server);
	uint64_t ids[2] = {fake_id(FAKE_GENERATION, 1), fake_id(FAKE_GENERATION, 2)};
	int clients[2];

	fake_give(&lust_daemon, 1, 1, clients, NULL);
	fake_give(&lust_daemon, 2, 1, clients + 1, NULL);
	ck_assert(fake_readable(lust_server_fd(server)));
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	ck_assert(!fake_readable(lust_server_fd(server)));
	ck_assert_int_eq(lust_server_receive(server, &connection, 10), 0);
	empty(words);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(fake_readable(lust_server_fd(server)));
		ck_assert_int_eq(lust_server_receive(server, &connection, 0), 1);
		if (i == 0)
			fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
		fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &ids[i]);
	}
	ck_assert(!fake_readable(lust_server_fd(server)));
	end(server);
}
END_TEST

START_TEST(take_without_room)
{
	struct lust_options options = {.explicit_take = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection connection;
	unsigned words = fill(server);
	int client;

	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 1);
	ck_assert_int_eq(lust_server_take(server, connection.id), -EAGAIN);
	empty(words);
	ck_assert_int_eq(lust_server_take(server, connection.id), 0);
	fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &connection.id);
	end(server);
}
END_TEST

/* Neither word finds room: both are said in their order when there is some, however the connection ended. */
START_TEST(done_without_having_taken_waits_for_room)
{
	struct lust_options options = {.explicit_take = 1, .batch = 2};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection connections[2];
	uint64_t ids[2] = {fake_id(FAKE_GENERATION, 1), fake_id(FAKE_GENERATION, 2)};
	int clients[2];

	fake_give(&lust_daemon, 1, 2, clients, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 2, -1), 2);
	unsigned words = fill(server);
	close(connections[0].fd);
	ck_assert_int_eq(lust_server_done(server, connections[0].id), 0);
	ck_assert_int_eq(lust_server_close(server, connections[1].fd), 0);
	ck_assert(!fake_readable(lust_server_fd(server)));
	empty(words);
	ck_assert_int_eq(lust_server_receive(server, connections, 0), 0);
	fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 2, ids);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 2, ids);
	fake_hear_nothing(&lust_daemon);
	end(server);
}
END_TEST

static void *wait_for_connection(void *argument)
{
	struct lust_connection connection;

	return (void *)(intptr_t)lust_server_receive(argument, &connection, 20000);
}

/* One thread waits for connections when another one's DONE finds no room: the first sends it. */
START_TEST(waiting_thread_sends_for_others)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_connection connection;
	pthread_t receiver;
	unsigned words;
	int clients[2];
	void *result;

	fake_give(&lust_daemon, 1, 1, clients, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	ck_assert_int_eq(pthread_create(&receiver, NULL, wait_for_connection, server), 0);
	words = fill(server);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	empty(words);
	fake_hear(&lust_daemon, LUST_WIRE_ALIVE);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &connection.id);
	fake_give(&lust_daemon, 2, 1, clients + 1, NULL);
	ck_assert_int_eq(pthread_join(receiver, &result), 0);
	ck_assert_int_eq((intptr_t)result, 1);
	end(server);
}
END_TEST

enum { WORKERS = 4, ROUNDS = 100 };

static int handed[2]; /* a pipe of descriptors to the workers */

static void *close_what_comes(void *argument)
{
	int fd;

	while (read(handed[0], &fd, sizeof(fd)) == sizeof(fd))
		ck_assert_int_eq(lust_server_close(argument, fd), 0);
	return NULL;
}

START_TEST(workers_close)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_connection connection;
	pthread_t worker[WORKERS];
	unsigned taken = 0, done = 0, before = fake_count_fds();
	int clients[ROUNDS];

	ck_assert_int_eq(pipe2(handed, O_CLOEXEC), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_create(&worker[i], NULL, close_what_comes, server), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		fake_give(&lust_daemon, i + 1, 1, &clients[i], NULL);
		ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
		ck_assert_int_eq(write(handed[1], &connection.fd, sizeof(int)), sizeof(int));
	}
	close(handed[1]);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_join(worker[i], NULL), 0);
	while (done < ROUNDS) {
		enum lust_wire_type type = fake_hear_any(&lust_daemon);

		if (type == LUST_WIRE_TAKEN) {
			taken++;
			continue;
		}
		ck_assert_uint_eq(type, LUST_WIRE_DONE);
		done += lust_daemon.heard.header.count;
		ck_assert_uint_le(done, taken);
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		close(clients[i]);
	close(handed[0]);
	ck_assert_uint_eq(fake_count_fds(), before);
	end(server);
}
END_TEST

/* Refused after an own close(2): the dispatcher's copy is what is left. */
START_TEST(refuse_closed)
{
	struct lust_options options = {.explicit_take = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	uint64_t id = fake_id(FAKE_GENERATION, 1);
	struct lust_connection connection;
	int client;

	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	close(connection.fd);
	ck_assert_int_eq(lust_server_refuse(server, id), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 1, &id);
	ck_assert_uint_eq(lust_daemon.came.count, 0);
	end(server);
}
END_TEST

/* What was received and not returned goes to other servers when the handle goes. */
START_TEST(free_gives_back)
{
	struct lust_options options = {.batch = 3};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	uint64_t ids[] = {fake_id(FAKE_GENERATION, 2), fake_id(FAKE_GENERATION, 3)};
	uint64_t unread = fake_id(FAKE_GENERATION, 4);
	struct lust_connection connection;
	unsigned before;
	int clients[4];

	fake_give(&lust_daemon, 1, 3, clients, NULL);
	fake_give(&lust_daemon, 4, 1, clients + 3, NULL);
	before = fake_count_fds();
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	lust_server_free(server);
	fake_hear(&lust_daemon, LUST_WIRE_DRAINING);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 2, ids);
	ck_assert_uint_eq(lust_daemon.came.count, 2);
	lust_message_close_from(&lust_daemon.came, 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 1, &unread);
	ck_assert_uint_eq(lust_daemon.came.count, 1);
	lust_message_close_from(&lust_daemon.came, 0);
	/* The application's stays open; the handle had three of its own. */
	ck_assert_int_eq(fcntl(connection.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(fake_count_fds(), before + 1 - 3);
	lust_server_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("settle");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(all, 60);
	tcase_add_test(all, explicit_take);
	tcase_add_test(all, done_without_having_taken);
	tcase_add_test(all, take_and_refuse_need_explicit_take);
	tcase_add_test(all, descriptor_number_comes_again);
	tcase_add_test(all, words_about_itself);
	tcase_add_test(all, done_waits_for_room);
	tcase_add_test(all, taken_waits_for_room);
	tcase_add_test(all, take_without_room);
	tcase_add_test(all, done_without_having_taken_waits_for_room);
	tcase_add_test(all, waiting_thread_sends_for_others);
	tcase_add_test(all, workers_close);
	tcase_add_test(all, free_gives_back);
	tcase_add_test(all, refuse_closed);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
