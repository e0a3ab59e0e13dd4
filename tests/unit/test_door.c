/*
 * test_door.c: registering through RUNTIME-DIR/register.sock, and from a forked child.  A thread plays the
 * daemon.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_daemon.h"

static struct fake_door door;
static struct fake_daemon lust_daemon;

static void make_door(void)
{
	fake_door_make(&door);
}

static void remove_door(void)
{
	fake_door_remove(&door);
}

static int open_door(void)
{
	return fake_visitor(&lust_daemon, &door);
}

static void give_pair(int lifeline)
{
	fake_give_pair(&lust_daemon, lifeline, FAKE_GENERATION);
	fake_say(lust_daemon.ours, LUST_WIRE_REGISTERED);
}

static void *admit(void *argument)
{
	int *lifeline = argument;

	*lifeline = open_door();
	give_pair(*lifeline);
	fake_hear(&lust_daemon, LUST_WIRE_REGISTER);
	ck_assert_uint_eq(lust_daemon.heard.reg.generation, FAKE_GENERATION);
	return NULL;
}

static void *deny(void *argument)
{
	int *lifeline = argument;

	*lifeline = open_door();
	fake_deny(*lifeline, "not listed");
	return NULL;
}

/* No room at first. */
static void *crowd(void *argument)
{
	for (int i = 0; i < 2; i++) {
		int visitor = open_door();

		fake_deny_for_now(visitor, "too many at once");
		close(visitor);
	}
	return admit(argument);
}

/* Until nobody listens any more. */
static void *crowd_always(void *argument)
{
	int visitor;

	while ((visitor = accept4(door.socket, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		fake_deny_for_now(visitor, "too many at once");
		close(visitor);
	}
	return argument;
}

/* Two dispatchers die with the knock in their hands; the third one lives. */
static void *die_twice(void *argument)
{
	close(open_door());
	close(accept4(door.socket, NULL, NULL, SOCK_CLOEXEC));
	return admit(argument);
}

static void *die_always(void *argument)
{
	(void)argument;
	for (int i = 0; i < 3; i++)
		close(open_door());
	return NULL;
}

static int knock(struct lust_server **server, void *(*play)(void *), int *lifeline)
{
	struct lust_options options = {.runtime_dir = door.directory};
	pthread_t thread;
	int result;

	ck_assert_int_eq(pthread_create(&thread, NULL, play, lifeline), 0);
	result = lust_server_register(server, NULL, &options);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	return result;
}

START_TEST(admitted)
{
	struct lust_connection connection;
	struct lust_server *server;
	int lifeline, client;
	char byte;

	ck_assert_int_eq(knock(&server, admit, &lifeline), 0);
	fake_give(&lust_daemon, 1, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	/* The knock's connection stays open, silent, until the server goes. */
	ck_assert_int_eq(recv(lifeline, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	lust_server_free(server);
	ck_assert_int_eq(recv(lifeline, &byte, 1, 0), 0);
}
END_TEST

START_TEST(denied)
{
	struct lust_server *server;
	unsigned before = fake_count_fds();
	int lifeline;

	ck_assert_int_eq(knock(&server, deny, &lifeline), -EACCES);
	ck_assert_str_eq(lust_server_reason(server), "not listed");
	lust_server_free(server);
	close(lifeline);
	ck_assert_uint_eq(fake_count_fds(), before);
}
END_TEST

START_TEST(waits_for_room)
{
	struct lust_options options = {.runtime_dir = door.directory, .wait_ms = 200};
	struct lust_server *server;
	pthread_t thread;
	int lifeline;

	ck_assert_int_eq(knock(&server, crowd, &lifeline), 0);
	ck_assert_str_eq(lust_server_reason(server), "");
	lust_server_free(server);

	/* At the end of its patience it says what it was told, unless that took too long as well. */
	ck_assert_int_eq(pthread_create(&thread, NULL, crowd_always, NULL), 0);
	if (lust_server_register(&server, NULL, &options) == -EACCES)
		ck_assert_str_eq(lust_server_reason(server), "too many at once");
	lust_server_free(server);
	ck_assert_int_eq(shutdown(door.socket, SHUT_RDWR), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(dispatcher_dies_at_the_door)
{
	struct lust_server *server;
	unsigned before = fake_count_fds();
	int lifeline;

	ck_assert_int_eq(knock(&server, die_always, NULL), -ECONNREFUSED);
	ck_assert_ptr_null(server);
	ck_assert_uint_eq(fake_count_fds(), before);
	ck_assert_int_eq(knock(&server, die_twice, &lifeline), 0);
	lust_server_free(server);
}
END_TEST

START_TEST(no_daemon)
{
	struct lust_server *server;
	char path[96], long_path[200] = "/";

	setenv("LUST_RUNTIME_DIR", door.directory, 1);
	ck_assert_int_eq(lust_server_register(&server, NULL, &(struct lust_options){.wait_ms = 20}),
			 -ETIMEDOUT);
	close(door.socket);
	ck_assert_int_eq(lust_server_register(&server, NULL, NULL), -ECONNREFUSED);
	snprintf(path, sizeof(path), "%s/register.sock", door.directory);
	unlink(path);
	ck_assert_int_eq(lust_server_register(&server, NULL, NULL), -ENOENT);
	memset(long_path, 'x', sizeof(long_path) - 1);
	ck_assert_int_eq(
		lust_server_register(&server, NULL, &(struct lust_options){.runtime_dir = long_path}),
		-ENAMETOOLONG);
	ck_assert_ptr_null(server);
}
END_TEST

/* The child's part: a registration of its own, one connection, and the parent's handle untouched. */
static int run_child(struct lust_server *parent)
{
	struct lust_connection connection;
	struct lust_server *clone;

	if (lust_server_clone(parent, &clone) != 0)
		return 1;
	lust_server_free(parent);
	if (lust_server_receive(clone, &connection, 20000) != 1)
		return 2;
	if (lust_server_close(clone, connection.fd) != 0)
		return 3;
	if (lust_server_receive(clone, &connection, 20000) != -ESHUTDOWN)
		return 4;
	lust_server_free(clone);
	return 0;
}

static void hear_from(pid_t child, int socket, enum lust_wire_type type)
{
	union lust_wire_message message;

	ck_assert_int_eq(lust_message_receive(socket, &message, sizeof(message), &lust_daemon.came, 1, 0), 1);
	ck_assert_ptr_null(lust_wire_check_from_server(&message, lust_daemon.came.length));
	ck_assert_uint_eq(message.header.type, type);
	ck_assert_int_eq(lust_daemon.came.credentials.pid, child);
}

START_TEST(clone_in_a_forked_child)
{
	struct lust_options options = {.label = "parent"};
	struct lust_server *server = fake_register(&lust_daemon, &options);
	int parents_pair = lust_daemon.ours, lifeline, client, status;
	struct lust_connection connection;
	pid_t child = fork();
	char byte;

	if (child == 0)
		_exit(run_child(server));
	hear_from(child, parents_pair, LUST_WIRE_CLONE);
	ck_assert_uint_eq(lust_daemon.came.count, 1);
	lifeline = lust_daemon.came.fd[0];
	give_pair(lifeline);
	hear_from(child, lust_daemon.ours, LUST_WIRE_REGISTER);
	fake_give(&lust_daemon, 1, 1, &client, NULL);
	hear_from(child, lust_daemon.ours, LUST_WIRE_TAKEN);
	hear_from(child, lust_daemon.ours, LUST_WIRE_DONE);
	fake_say(lust_daemon.ours, LUST_WIRE_DRAIN);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(recv(lifeline, &byte, 1, 0), 0);

	/* Nothing of this reached the parent's registration. */
	lust_daemon.ours = parents_pair;
	fake_hear_nothing(&lust_daemon);
	close(client);
	lust_daemon.batch = 0;
	fake_give(&lust_daemon, 2, 1, &client, NULL);
	ck_assert_int_eq(lust_server_receive(server, &connection, -1), 1);
	fake_hear(&lust_daemon, LUST_WIRE_TAKEN);
	lust_server_free(server);
}
END_TEST

START_TEST(clone_denied)
{
	struct lust_server *server = fake_register(&lust_daemon, NULL), *clone;
	int status;
	pid_t child = fork();

	if (child == 0) {
		int result = lust_server_clone(server, &clone);

		_exit(result == -EACCES && strcmp(lust_server_reason(clone), "too many") == 0 ? 0 : 1);
	}
	hear_from(child, lust_daemon.ours, LUST_WIRE_CLONE);
	fake_deny(lust_daemon.came.fd[0], "too many");
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	lust_server_free(server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("door");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(all, 60);
	tcase_add_checked_fixture(all, make_door, remove_door);
	tcase_add_test(all, admitted);
	tcase_add_test(all, denied);
	tcase_add_test(all, waits_for_room);
	tcase_add_test(all, dispatcher_dies_at_the_door);
	tcase_add_test(all, no_daemon);
	tcase_add_test(all, clone_in_a_forked_child);
	tcase_add_test(all, clone_denied);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
