/*
 * test_server.c: registering with the pair of LUST_FD, and receiving.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fake_daemon.h"

static struct fake_daemon lust_daemon;

static void end(struct lust_server *server)
{
	lust_server_free(server);
	close(lust_daemon.ours);
}

START_TEST(register_says_all)
{
	struct lust_options options = {.capacity = 5, .batch = 8, .nonblocking = 1, .label = "blue"};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	const struct lust_wire_register *reg = &lust_daemon.heard.reg;

	ck_assert_uint_eq(reg->generation, FAKE_GENERATION);
	ck_assert_uint_eq(reg->capacity, 5);
	ck_assert_uint_eq(reg->batch, 8);
	ck_assert_uint_eq(reg->flags, LUST_WIRE_NONBLOCKING);
	ck_assert_uint_eq(reg->held, 0);
	ck_assert_uint_eq(reg->last_batch, 0);
	ck_assert_str_eq(reg->service, "web");
	ck_assert_str_eq(reg->label, "blue");
	ck_assert_int_eq(fcntl(lust_daemon.theirs, F_GETFD), FD_CLOEXEC);
	ck_assert_str_eq(lust_server_reason(server), "");
	ck_assert(!fake_readable(lust_server_fd(server)));
	end(server);
	ck_assert_int_eq(fcntl(lust_daemon.theirs, F_GETFD), -1);
}
END_TEST

START_TEST(register_denied)
{
	struct lust_server *server;

	fake_open(&lust_daemon);
	fake_hello(&lust_daemon, 1);
	fake_deny(lust_daemon.ours, "service \"web\" is full");
	ck_assert_int_eq(lust_server_register(&server, NULL, NULL), -EACCES);
	ck_assert_str_eq(lust_server_reason(server), "service \"web\" is full");
	end(server);
}
END_TEST

static void expect_failure(int expected, const char *service, const struct lust_options *options)
{
	struct lust_server *server = (struct lust_server *)&server;

	ck_assert_int_eq(lust_server_register(&server, service, options), expected);
	ck_assert_ptr_null(server);
}

START_TEST(register_without_daemon)
{
	unsigned before = fake_count_fds();

	fake_open(&lust_daemon);
	expect_failure(-ETIMEDOUT, NULL, &(struct lust_options){.wait_ms = 20});
	close(lust_daemon.ours);
	fake_open(&lust_daemon);
	close(lust_daemon.ours);
	expect_failure(-ECONNREFUSED, NULL, NULL);
	fake_open(&lust_daemon);
	ck_assert_int_eq(send(lust_daemon.ours, "garbage", 7, 0), 7);
	expect_failure(-EPROTO, NULL, NULL);
	close(lust_daemon.ours);
	ck_assert_uint_eq(fake_count_fds(), before);
}
END_TEST

START_TEST(register_with_bad_arguments)
{
	static const char *const names[] = {
		"",    ".x",  "a b",
		"a/b", "a\n", "0123456789012345678901234567890123456789012345678901234567890123"};

	fake_open(&lust_daemon);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		expect_failure(-EINVAL, names[i], NULL);
	expect_failure(-EINVAL, NULL, &(struct lust_options){.batch = LUST_BATCH_MAX + 1});
	expect_failure(-EINVAL, NULL, &(struct lust_options){.wait_ms = -2});
	expect_failure(-EINVAL, NULL, &(struct lust_options){.reserved = {0, 0, 0, 1}});
	unsetenv("LUST_SERVICE");
	expect_failure(-EINVAL, NULL, NULL);
	/* None of these touched the pair. */
	ck_assert_int_eq(fcntl(lust_daemon.theirs, F_GETFD), 0);
}
END_TEST

START_TEST(register_with_bad_descriptor)
{
	static const char *const numbers[] = {"",   "x", "3x", " 3", "-1", "99999", "99999999999999999999",
					      "0x3"};
	char number[16];
	int stream[2];

	fake_open(&lust_daemon);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		setenv("LUST_FD", numbers[i], 1);
		expect_failure(-EBADF, NULL, NULL);
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	snprintf(number, sizeof(number), "%d", stream[0]);
	setenv("LUST_FD", number, 1);
	expect_failure(-EBADF, NULL, NULL);
	ck_assert_int_eq(fcntl(stream[0], F_GETFD), 0);
}
END_TEST

START_TEST(register_twice)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);

	/* The number is still in the environment, as it is in a forked child. */
	expect_failure(-EBUSY, NULL, NULL);
	fake_hear_nothing(&lust_daemon);
	end(server);
}
END_TEST

START_TEST(receive_one)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	uint64_t id = fake_id(FAKE_GENERATION, 1);
	struct lust_connection connection;
	struct sockaddr_in *peer = (struct sockaddr_in *)&connection.peer;
	int client, copy;
	char byte;

	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	ck_assert_int_eq(lust_server_receive(server, &connection, 5), 0);
	fake_give(&lust_daemon, 1, 1, &client, &copy);
	ck_assert(fake_readable(lust_server_fd(server)));
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &id);
	ck_assert(!fake_readable(lust_server_fd(server)));
	ck_assert_uint_eq(connection.id, id);
	ck_assert_uint_eq(connection.kind, LUST_KIND_TCP);
	ck_assert_uint_eq(connection.listener, 2);
	ck_assert_uint_eq(connection.waited_us, 99);
	ck_assert_int_eq(peer->sin_family, AF_INET);
	ck_assert_uint_eq(ntohs(peer->sin_port), 4711);
	ck_assert_uint_eq(ntohl(peer->sin_addr.s_addr), INADDR_LOOPBACK + 8);
	ck_assert_int_ne(((struct sockaddr_in *)&connection.local)->sin_port, 0);
	ck_assert_int_eq(connection.peer_pid, -1);
	ck_assert_uint_eq(connection.peer_uid, UINT32_MAX);
	ck_assert_int_eq(fcntl(connection.fd, F_GETFD), FD_CLOEXEC);
	ck_assert(!(fcntl(connection.fd, F_GETFL) & O_NONBLOCK));

	/* The client sees its end although the daemon has not closed its copy. */
	ck_assert_int_eq(send(connection.fd, "x", 1, 0), 1);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &id);
	ck_assert_int_eq(recv(client, &byte, 1, 0), 1);
	ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
	ck_assert_int_eq(fcntl(connection.fd, F_GETFD), -1);
	ck_assert_int_eq(lust_server_close(server, connection.fd), -EBADF);
	ck_assert_int_eq(lust_server_done(server, id), -ENOENT);
	fake_hear_nothing(&lust_daemon);
	close(client);
	close(copy);
	end(server);
}
END_TEST

static void give_as(uint64_t number, uint16_t flags, int accepted)
{
	struct lust_wire_connections message = {
		.header = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_CONNECTIONS, .count = 1},
		.batch = ++lust_daemon.batch,
		.entry = {{.id = fake_id(FAKE_GENERATION, number), .kind = LUST_WIRE_TCP, .flags = flags,
			   .family = AF_INET}},
	};

	ck_assert_int_eq(lust_message_send(lust_daemon.ours, &message,
					   lust_wire_length((const union lust_wire_message *)&message),
					   &accepted, 1, 0),
			 0);
	close(accepted);
}

/* What the daemon says of O_NONBLOCK is believed, what it does not say is looked at. */
START_TEST(the_mode_is_told)
{
	struct lust_options options = {.nonblocking = 1, .no_local = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	static const uint16_t flags[] = {LUST_WIRE_MODE_SET, 0};
	struct lust_connection connection;

	for (unsigned i = 0; i < 2; i++) {
		int accepted, client = fake_client(&accepted);

		ck_assert(!(fcntl(accepted, F_GETFL) & O_NONBLOCK));
		give_as(i + 1, flags[i], accepted);
		ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
		ck_assert_int_eq(!!(fcntl(connection.fd, F_GETFL) & O_NONBLOCK), !flags[i]);
		ck_assert_int_eq(connection.local.ss_family, AF_UNSPEC);
		ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
		close(client);
	}
	end(server);

	/* accept(2)'s own flag goes beyond what was registered. */
	server = fake_register(&lust_daemon, NULL);
	int accepted, client = fake_client(&accepted);
	lust_daemon.batch = 0;
	give_as(3, LUST_WIRE_MODE_SET, accepted);
	int fd = lust_server_accept(server, NULL, NULL, SOCK_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(lust_server_close(server, fd), 0);
	close(client);
	end(server);
}
END_TEST

START_TEST(receive_one_of_a_batch)
{
	struct lust_options options = {.batch = 4, .nonblocking = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection connection;
	int clients[3];

	fake_give(&lust_daemon, 1, 3, clients, NULL);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t id = fake_id(FAKE_GENERATION, i + 1);

		/* Also when the pair is empty and the rest waits in the handle. */
		ck_assert(fake_readable(lust_server_fd(server)));
		ck_assert_int_eq(lust_server_receive(server, &connection, 0), 1);
		ck_assert_uint_eq(connection.id, id);
		ck_assert(fcntl(connection.fd, F_GETFL) & O_NONBLOCK);
		fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &id);
	}
	ck_assert(!fake_readable(lust_server_fd(server)));
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	end(server);
}
END_TEST

START_TEST(receive_many_says_taken_once)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_connection connections[8];
	uint64_t ids[6];
	int clients[6];

	for (unsigned i = 0; i < 6; i++)
		ids[i] = fake_id(FAKE_GENERATION, i + 1);
	fake_give(&lust_daemon, 1, 1, clients, NULL);
	fake_give(&lust_daemon, 2, 2, clients + 1, NULL);
	fake_give(&lust_daemon, 4, 3, clients + 3, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 0, 0), -EINVAL);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 5, 0), 5);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 5, ids);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 8, -1), 1);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, ids + 5);
	end(server);
}
END_TEST

START_TEST(accept_like_accept4)
{
	struct lust_options options = {.explicit_take = 1};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int clients[2], fd;

	ck_assert_int_eq(lust_server_accept(server, NULL, NULL, O_APPEND), -EINVAL);
	fake_give(&lust_daemon, 1, 2, clients, NULL);
	fd = lust_server_accept(server, (struct sockaddr *)&address, &length, SOCK_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	length = 2;
	fd = lust_server_accept(server, (struct sockaddr *)&address, &length, 0);
	ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
	ck_assert(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	ck_assert_int_eq(lust_server_close(server, fd), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DONE);
	end(server);
}
END_TEST

START_TEST(unix_clients_have_names)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_wire_connections message = {
		.header = {.version = LUST_WIRE_VERSION, .type = LUST_WIRE_CONNECTIONS, .count = 1},
		.batch = 1,
	};
	struct lust_connection connection;
	int ends[2];

	message.entry[0] = (struct lust_wire_connection){.id = 1,
							 .kind = LUST_WIRE_UNIX,
							 .family = AF_UNIX,
							 .peer_pid = 12,
							 .peer_uid = 34,
							 .peer_gid = 56};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(lust_message_send(lust_daemon.ours, &message, 16 + 80, ends, 1, 0), 0);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	ck_assert_uint_eq(connection.kind, LUST_KIND_UNIX);
	ck_assert_int_eq(connection.peer_pid, 12);
	ck_assert_uint_eq(connection.peer_uid, 34);
	ck_assert_uint_eq(connection.peer_gid, 56);
	ck_assert_int_eq(connection.peer.ss_family, AF_UNIX);
	ck_assert_int_eq(connection.local.ss_family, AF_UNIX);
	end(server);
}
END_TEST

/* The second lowest number that is free. */
static int room_for_two(void)
{
	int first = dup(0), second = dup(0);

	close(first);
	close(second);
	return second;
}

/* Only the first descriptors fit below RLIMIT_NOFILE: the others go back by id. */
START_TEST(truncated_descriptors_are_refused)
{
	struct lust_options options = {.batch = 5};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection connections[5];
	struct rlimit limit;
	uint64_t ids[5];
	int clients[5];

	for (unsigned i = 0; i < 5; i++)
		ids[i] = fake_id(FAKE_GENERATION, i + 1);
	fake_give(&lust_daemon, 1, 5, clients, NULL);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	fake_limit_fds((unsigned)room_for_two() + 1);
	ck_assert_int_eq(lust_server_receive_many(server, connections, 5, -1), 2);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(connections[0].id, ids[0]);
	ck_assert_uint_eq(connections[1].id, ids[1]);
	fake_hear_ids(&lust_daemon, LUST_WIRE_REFUSED, 3, ids + 2);
	ck_assert_uint_eq(lust_daemon.came.count, 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 2, ids);
	end(server);
}
END_TEST

/* Two connections under one name would be settled one for the other. */
START_TEST(an_id_twice)
{
	struct lust_options options = {.batch = 4};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	struct lust_connection got[4];
	int client[3];
	unsigned before;

	fake_give(&lust_daemon, 1, 2, client, NULL);
	ck_assert_int_eq(lust_server_receive_many(server, got, 2, 0), 2);
	before = fake_count_fds();
	fake_give(&lust_daemon, 2, 1, &client[2], NULL); /* 2 is held */
	ck_assert_int_eq(lust_server_receive_many(server, &got[2], 2, 0), -EPROTO);
	close(client[2]);
	ck_assert_uint_eq(fake_count_fds(), before);
	ck_assert_int_eq(lust_server_close(server, got[1].fd), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 2, (uint64_t[]){got[0].id, got[1].id});
	ck_assert_int_eq(lust_server_receive(server, &got[2], 1), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &got[1].id);
	ck_assert_int_eq(lust_server_close(server, got[0].fd), 0);
	ck_assert_int_eq(lust_server_receive(server, &got[2], 1), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &got[0].id);
	close(client[0]);
	close(client[1]);
	end(server);
}
END_TEST

START_TEST(surprises_from_the_daemon)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL);
	struct lust_wire_header newer = {.version = LUST_WIRE_VERSION + 1, .type = 60};
	struct lust_connection connection;
	unsigned before = fake_count_fds();
	int fds[3] = {0, 0, 0};

	/* Descriptors with what carries none, a type of a newer daemon, and garbage. */
	ck_assert_int_eq(lust_message_send(lust_daemon.ours, &newer, sizeof(newer), fds, 3, 0), 0);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	ck_assert_int_eq(lust_message_send(lust_daemon.ours, "garbage", 7, fds, 3, 0), 0);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), -EPROTO);
	ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	ck_assert_uint_eq(fake_count_fds(), before);
	end(server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *all = tcase_create("all");
	TCase *limits = tcase_create("limits");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(all, 60);
	tcase_set_timeout(limits, 60);
	tcase_add_test(all, register_says_all);
	tcase_add_test(all, register_denied);
	tcase_add_test(all, register_without_daemon);
	tcase_add_test(all, register_with_bad_arguments);
	tcase_add_test(all, register_with_bad_descriptor);
	tcase_add_test(all, register_twice);
	tcase_add_test(all, receive_one);
	tcase_add_test(all, receive_one_of_a_batch);
	tcase_add_test(all, receive_many_says_taken_once);
	tcase_add_test(all, accept_like_accept4);
	tcase_add_test(all, unix_clients_have_names);
	tcase_add_test(all, an_id_twice);
	tcase_add_test(all, the_mode_is_told);
	tcase_add_test(all, surprises_from_the_daemon);
	suite_add_tcase(suite, all);
	tcase_set_tags(limits, "rlimit"); /* valgrind keeps RLIMIT_NOFILE to itself */
	tcase_add_test(limits, truncated_descriptors_are_refused);
	suite_add_tcase(suite, limits);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
