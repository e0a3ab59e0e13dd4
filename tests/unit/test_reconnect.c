/*
 * test_reconnect.c: a server that came through the door loses its daemon and finds the next one.  The test plays both,
 * in one thread: nothing that the library does on the way back waits.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_daemon.h"

#define NEXT (FAKE_GENERATION + 100)

static struct fake_door door;
static struct fake_daemon lust_daemon;
static struct lust_server *server;
static struct lust_connection connection;
static int lifeline;

static void setup(void)
{
	fake_door_make(&door);
}

static void teardown(void)
{
	fake_door_remove(&door);
}

static void *admit(void *argument)
{
	(void)argument;
	lifeline = fake_visitor(&lust_daemon, &door);
	fake_give_pair(&lust_daemon, lifeline, FAKE_GENERATION);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	return NULL;
}

static void enter(struct lust_options options)
{
	pthread_t thread;

	if (!options.runtime_dir)
		options.runtime_dir = door.directory;
	ck_assert_int_eq(pthread_create(&thread, NULL, admit, NULL), 0);
	ck_assert_int_eq(lust_server_register(&server, NULL, &options), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void die(void)
{
	close(lust_daemon.ours);
	close(lifeline);
}

static void leave(void)
{
	lust_server_free(server);
	die();
}

/* Nothing comes; the library does what it has to do. */
static void turn(void)
{
	ck_assert_int_eq(lust_server_receive(server, &connection, 10), 0);
}

static void until_knock(void)
{
	while (!fake_readable(door.socket))
		turn();
}

/* Up to and with the answer to HELLO. */
static void hear_return(uint32_t held)
{
	until_knock();
	lifeline = fake_visitor(&lust_daemon, &door);
	fake_give_pair(&lust_daemon, lifeline, NEXT);
	while (!fake_readable(lust_daemon.ours))
		turn();
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(lust_daemon.heard.reg.generation, NEXT);
	ck_assert_uint_eq(lust_daemon.heard.reg.held, held);
	ck_assert_uint_eq(lust_daemon.heard.reg.last_batch, 0);
}

static void come_back(uint32_t held)
{
	hear_return(held);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	turn();
}

static void give_one(uint64_t number, int *client)
{
	fake_give(&lust_daemon, number, 1, client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
}

static void expect_end(int expected)
{
	for (int i = 0; i < 3; i++) {
		ck_assert(fake_readable(lust_server_fd(server)));
		ck_assert_int_eq(lust_server_receive(server, &connection, -1), expected);
	}
}

START_TEST(comes_back)
{
	uint64_t first = fake_id(FAKE_GENERATION, 1), second = fake_id(FAKE_GENERATION, 2);
	int clients[3], number;
	unsigned before;

	enter((struct lust_options){.capacity = 5, .label = "mine"});
	before = fake_count_fds();
	number = lust_server_fd(server);
	give_one(1, &clients[0]);
	fake_give(&lust_daemon, 2, 1, &clients[1], NULL);
	die();
	/* Nobody else has it: it is given to the application, and counted. */
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	ck_assert_uint_eq(connection.id, second);
	ck_assert_int_eq(lust_server_set_capacity(server, 6), 0);

	come_back(2);
	ck_assert_uint_eq(lust_daemon.heard.reg.capacity, 6);
	ck_assert_str_eq(lust_daemon.heard.reg.label, "mine");
	ck_assert_int_eq(lust_server_fd(server), number);
	ck_assert_int_eq(lust_server_done(server, first), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &first);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &second);
	give_one(3, &clients[2]);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DONE);
	fake_hear_nothing(&lust_daemon);
	/* clients[3], first and its descriptor, which the application closes by itself */
	ck_assert_uint_eq(fake_count_fds(), before + 4);
	leave();
}
END_TEST

/* The next daemon begins with the same number: what is held of the first is not mistaken for its own. */
START_TEST(ids_come_again)
{
	uint64_t again = fake_id(FAKE_GENERATION, 1), none = 0;
	struct lust_connection former;
	int clients[2];

	enter((struct lust_options){0});
	give_one(1, &clients[0]);
	former = connection;
	die();
	until_knock();
	lifeline = fake_visitor(&lust_daemon, &door);
	fake_give_pair(&lust_daemon, lifeline, FAKE_GENERATION);
	while (!fake_readable(lust_daemon.ours))
		turn();
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(lust_daemon.heard.reg.held, 1);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);

	give_one(1, &clients[1]);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &again);
	ck_assert_uint_ne(connection.id, former.id);
	ck_assert_int_eq(lust_server_done(server, former.id), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &none);
	ck_assert_int_eq(lust_server_done(server, connection.id), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &again);
	/* And its own are told apart still. */
	give_one(1, &clients[0]);
	fake_hear_ids(&lust_daemon, LUST_WIRE_TAKEN, 1, &again);
	fake_give(&lust_daemon, 1, 1, &clients[1], NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), -EPROTO);
	leave();
}
END_TEST

START_TEST(any_loop_wakes_up)
{
	struct pollfd watch = {.events = POLLIN};

	enter((struct lust_options){0});
	die();
	watch.fd = lust_server_fd(server);
	while (!fake_readable(door.socket)) {
		ck_assert_int_eq(poll(&watch, 1, 20000), 1);
		ck_assert_int_eq(lust_server_receive(server, &connection, 0), 0);
	}
	come_back(0);
	leave();
}
END_TEST

START_TEST(what_ends_meanwhile)
{
	int clients[3], fds[3];
	uint64_t ids[3];

	enter((struct lust_options){0});
	for (unsigned i = 0; i < 3; i++) {
		give_one(i + 1, &clients[i]);
		fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
		fds[i] = connection.fd;
		ids[i] = connection.id;
	}
	die();
	turn();
	ck_assert_int_eq(lust_server_close(server, fds[0]), 0);
	ck_assert_int_eq(recv(clients[0], (char[1]){0}, 1, 0), 0);
	ck_assert_int_eq(lust_server_done(server, ids[1]), 0);
	ck_assert_int_eq(lust_server_done(server, ids[1]), -ENOENT);
	ck_assert_int_eq(lust_server_alive(server), 0);
	come_back(1);
	fake_hear_nothing(&lust_daemon);
	ck_assert_int_eq(lust_server_close(server, fds[2]), 0);
	fake_hear_ids(&lust_daemon, LUST_WIRE_DONE, 1, &ids[2]);
	leave();
}
END_TEST

START_TEST(nobody_at_home)
{
	enter((struct lust_options){0});
	fake_door_shut(&door);
	die();
	for (int i = 0; i < 30; i++) /* ENOENT */
		turn();
	fake_door_listen(&door, 4);
	close(door.socket);
	for (int i = 0; i < 30; i++) /* ECONNREFUSED */
		turn();
	fake_door_shut(&door);
	fake_door_listen(&door, 4);
	come_back(0);
	leave();
}
END_TEST

START_TEST(full_door)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int first, second;

	enter((struct lust_options){0});
	fake_door_shut(&door);
	fake_door_listen(&door, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/register.sock", door.directory);
	first = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	second = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(connect(first, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(connect(second, (struct sockaddr *)&address, sizeof(address)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	die();
	for (int i = 0; i < 30; i++)
		turn();
	close(accept(door.socket, NULL, NULL));
	come_back(0);
	close(first);
	close(second);
	leave();
}
END_TEST

/* It hears, and does not answer: after wait_ms the next attempt. */
static void expect_farewell(void)
{
	char byte;

	while (recv(lifeline, &byte, 1, MSG_DONTWAIT) != 0) {
		ck_assert_int_eq(errno, EAGAIN);
		turn();
	}
	close(lifeline);
}

START_TEST(mute_door)
{
	unsigned before;
	pid_t child;

	enter((struct lust_options){.wait_ms = 50});
	die();
	before = fake_count_fds();
	until_knock();
	lifeline = fake_visitor(&lust_daemon, &door);
	child = fork(); /* it inherits the lifeline, which must end all the same */
	if (child == 0) {
		pause();
		_exit(0);
	}
	expect_farewell();
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);

	until_knock();
	lifeline = fake_visitor(&lust_daemon, &door);
	fake_give_pair(&lust_daemon, lifeline, NEXT);
	expect_farewell();
	close(lust_daemon.ours);

	hear_return(0); /* and never REGISTERED */
	expect_farewell();
	close(lust_daemon.ours);
	turn();
	ck_assert_uint_le(fake_count_fds(), before);
	come_back(0);
	leave();
}
END_TEST

START_TEST(dies_on_the_way)
{
	enter((struct lust_options){0});
	die();
	until_knock();
	close(fake_visitor(&lust_daemon, &door));
	until_knock();
	lifeline = fake_visitor(&lust_daemon, &door);
	fake_give_pair(&lust_daemon, lifeline, NEXT);
	die();
	hear_return(0);
	die();
	come_back(0);
	leave();
}
END_TEST

START_TEST(refused)
{
	int client, result;

	enter((struct lust_options){0});
	give_one(1, &client);
	die();
	for (int i = 0; i < 2; i++) {
		until_knock();
		lifeline = fake_visitor(&lust_daemon, &door);
		fake_deny(lifeline, "not listed");
		while ((result = lust_server_receive(server, &connection, 10)) == 0)
			;
		ck_assert_int_eq(result, -EACCES);
		ck_assert_str_eq(lust_server_reason(server), "not listed");
		close(lifeline);
		ck_assert(!fake_readable(lust_server_fd(server)) || i > 0);
	}
	/* At the pair it is the same. */
	until_knock();
	lifeline = fake_visitor(&lust_daemon, &door);
	fake_give_pair(&lust_daemon, lifeline, NEXT);
	fake_deny(lust_daemon.ours, "another one");
	while ((result = lust_server_receive(server, &connection, 10)) == 0)
		;
	ck_assert_int_eq(result, -EACCES);
	ck_assert_str_eq(lust_server_reason(server), "another one");
	die();
	come_back(1);
	ck_assert_str_eq(lust_server_reason(server), "");
	leave();
}
END_TEST

START_TEST(refused_for_now)
{
	enter((struct lust_options){0});
	die();
	for (int i = 0; i < 3; i++) {
		until_knock();
		lifeline = fake_visitor(&lust_daemon, &door);
		fake_deny_for_now(lifeline, "stopping");
		close(lifeline);
	}
	come_back(0); /* -EACCES was never said */
	leave();
}
END_TEST

START_TEST(cut_off_is_final)
{
	enter((struct lust_options){0});
	fake_deny(lust_daemon.ours, "malformed message");
	die();
	expect_end(-EACCES);
	ck_assert_str_eq(lust_server_reason(server), "malformed message");
	ck_assert(!fake_readable(door.socket));
	lust_server_free(server);
}
END_TEST

START_TEST(drained_does_not_come_back)
{
	int client;

	enter((struct lust_options){0});
	give_one(1, &client);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	die();
	expect_end(-ESHUTDOWN);
	ck_assert_int_eq(lust_server_close(server, connection.fd), 0);
	lust_server_free(server);
}
END_TEST

START_TEST(drain_asked_of_a_daemon_that_died)
{
	enter((struct lust_options){0});
	ck_assert_int_eq(lust_server_drain(server), 0);
	die();
	expect_end(-ESHUTDOWN);
	lust_server_free(server);
}
END_TEST

START_TEST(drain_asked_meanwhile)
{
	enter((struct lust_options){0});
	die();
	hear_return(0);
	ck_assert_int_eq(lust_server_drain(server), 0);
	expect_end(-ESHUTDOWN);
	ck_assert_int_eq(recv(lifeline, (char[1]){0}, 1, 0), 0);
	leave();
}
END_TEST

START_TEST(next_one_says_drain)
{
	enter((struct lust_options){0});
	die();
	hear_return(0);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	expect_end(-ESHUTDOWN);
	leave();
}
END_TEST

START_TEST(explicit_take_of_a_former_daemon)
{
	struct lust_connection taken;
	int clients[2];

	enter((struct lust_options){.explicit_take = 1});
	give_one(1, &clients[0]);
	taken = connection;
	give_one(2, &clients[1]);
	die();
	turn();
	/* No other server can have it any more. */
	ck_assert_int_eq(lust_server_refuse(server, taken.id), -ESTALE);
	ck_assert_int_eq(lust_server_take(server, taken.id), 0);
	ck_assert_int_eq(send(taken.fd, "x", 1, 0), 1);
	come_back(2);
	ck_assert_int_eq(lust_server_refuse(server, fake_id(FAKE_GENERATION, 2)), -ESTALE);
	ck_assert_int_eq(lust_server_close(server, taken.fd), 0);
	fake_hear(&lust_daemon, LUST_WIRE_DONE);
	leave();
}
END_TEST

/* Refused, and the pair had no room: with the daemon everybody is gone who could have it. */
START_TEST(refused_and_not_said)
{
	unsigned before;
	int client;

	enter((struct lust_options){.explicit_take = 1});
	before = fake_count_fds();
	give_one(1, &client);
	for (unsigned i = 0; i < 2000; i++) /* more than a pair takes */
		ck_assert_int_eq(lust_server_alive(server), 0);
	ck_assert_int_eq(lust_server_refuse(server, connection.id), 0);
	die();
	turn();
	ck_assert_int_le(recv(client, (char[1]){0}, 1, 0), 0);
	come_back(0);
	ck_assert_uint_le(fake_count_fds(), before + 1);
	leave();
}
END_TEST

START_TEST(relative_directory)
{
	ck_assert_int_eq(chdir("/tmp"), 0);
	enter((struct lust_options){.runtime_dir = strrchr(door.directory, '/') + 1});
	ck_assert_int_eq(chdir("/"), 0);
	die();
	come_back(0);
	leave();
}
END_TEST

/* Not with assertions: LeakSanitizer, at the end of a test, would not find its /proc in here. */
static int run_jailed(void)
{
	int result;

	if (lust_jail("/proc") < 0)
		return 1;
	while ((result = lust_server_receive(server, &connection, 10)) == 0)
		;
	return result == -ESHUTDOWN && lust_server_receive(server, &connection, -1) == -ESHUTDOWN ? 0 : 2;
}

/* In a jail that the door's name does not lead out of, it says that it is over. */
START_TEST(in_a_jail)
{
	int status;
	pid_t child;

	if (geteuid() != 0)
		return;
	enter((struct lust_options){0});
	child = fork();
	if (child == 0) {
		die();
		_exit(run_jailed());
	}
	die();
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	lust_server_free(server);
}
END_TEST

static int run_child(struct lust_server *parent)
{
	struct lust_server *clone;

	if (lust_server_clone(parent, &clone) != 0)
		return 1;
	lust_server_free(parent);
	if (lust_server_receive(clone, &connection, -1) != -ESHUTDOWN)
		return 2;
	lust_server_free(clone);
	return 0;
}

static void hear_from(pid_t child, int socket, enum lust_wire_type type)
{
	union lust_wire_message message;

	ck_assert_int_eq(lust_message_receive(socket, &message, sizeof(message), &lust_daemon.came, 1, 0), 1);
	ck_assert_uint_eq(message.header.type, type);
	ck_assert_int_eq(lust_daemon.came.credentials.pid, child);
}

/* The clone of a server from outside is one too; its parent is not disturbed. */
START_TEST(clone_comes_back)
{
	int parents_pair, parents_lifeline, status;
	pid_t child;

	enter((struct lust_options){0});
	parents_pair = lust_daemon.ours;
	parents_lifeline = lifeline;
	child = fork();
	if (child == 0) {
		close(parents_pair);
		close(parents_lifeline);
		_exit(run_child(server));
	}
	hear_from(child, parents_pair, LUST_WIRE_CLONE);
	lifeline = lust_daemon.came.fd[0];
	fake_give_pair(&lust_daemon, lifeline, FAKE_GENERATION);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	hear_from(child, lust_daemon.ours, LUST_WIRE_REGISTER);
	die();

	lifeline = accept4(door.socket, NULL, NULL, SOCK_CLOEXEC);
	hear_from(child, lifeline, LUST_WIRE_REGISTER);
	fake_give_pair(&lust_daemon, lifeline, NEXT);
	hear_from(child, lust_daemon.ours, LUST_WIRE_REGISTER);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	die();
	lust_daemon.ours = parents_pair;
	lifeline = parents_lifeline;
	fake_hear_nothing(&lust_daemon);
	leave();
}
END_TEST

/* ---- threads: one receives, others end connections, and the daemon comes and goes ---- */

#define ROUNDS 10
#define ENDERS 3
#define EACH 8

static int given[2]; /* ids on their way from who receives to who ends */
static atomic_uint ended;

static void *receive_all(void *argument)
{
	int result;

	(void)argument;
	while ((result = lust_server_receive(server, &connection, -1)) == 1)
		ck_assert_int_eq(write(given[1], &connection, sizeof(connection)), sizeof(connection));
	ck_assert_int_eq(result, -ESHUTDOWN);
	return NULL;
}

static void *end_some(void *argument)
{
	struct lust_connection mine;

	(void)argument;
	while (read(given[0], &mine, sizeof(mine)) == (ssize_t)sizeof(mine)) {
		lust_server_set_capacity(server, 64);
		lust_server_alive(server);
		ck_assert_int_eq(lust_server_close(server, mine.fd), 0);
		ended++;
	}
	return NULL;
}

START_TEST(from_many_threads)
{
	pthread_t receiver, ender[ENDERS];
	uint64_t number = 1;

	enter((struct lust_options){.batch = EACH});
	ck_assert_int_eq(pipe2(given, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&receiver, NULL, receive_all, NULL), 0);
	for (unsigned i = 0; i < ENDERS; i++)
		ck_assert_int_eq(pthread_create(&ender[i], NULL, end_some, NULL), 0);
	for (unsigned round = 0; round < ROUNDS; round++, number += EACH) {
		int clients[EACH];

		fake_give(&lust_daemon, number, EACH, clients, NULL);
		die();
		for (unsigned i = 0; i < EACH; i++)
			close(clients[i]);
		lifeline = fake_visitor(&lust_daemon, &door);
		fake_give_pair(&lust_daemon, lifeline, NEXT + round);
		fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
		ck_assert_uint_le(lust_daemon.heard.reg.held, EACH * (round + 1));
		fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
	}
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	ck_assert_int_eq(pthread_join(receiver, NULL), 0);
	close(given[1]);
	for (unsigned i = 0; i < ENDERS; i++)
		ck_assert_int_eq(pthread_join(ender[i], NULL), 0);
	ck_assert_uint_eq(ended, ROUNDS * EACH);
	close(given[0]);
	leave();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reconnect");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(all, 120);
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, comes_back);
	tcase_add_test(all, ids_come_again);
	tcase_add_test(all, any_loop_wakes_up);
	tcase_add_test(all, what_ends_meanwhile);
	tcase_add_test(all, nobody_at_home);
	tcase_add_test(all, full_door);
	tcase_add_test(all, mute_door);
	tcase_add_test(all, dies_on_the_way);
	tcase_add_test(all, refused);
	tcase_add_test(all, refused_for_now);
	tcase_add_test(all, cut_off_is_final);
	tcase_add_test(all, drained_does_not_come_back);
	tcase_add_test(all, drain_asked_of_a_daemon_that_died);
	tcase_add_test(all, drain_asked_meanwhile);
	tcase_add_test(all, next_one_says_drain);
	tcase_add_test(all, explicit_take_of_a_former_daemon);
	tcase_add_test(all, refused_and_not_said);
	tcase_add_test(all, relative_directory);
	tcase_add_test(all, in_a_jail);
	tcase_add_test(all, clone_comes_back);
	tcase_add_test(all, from_many_threads);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
