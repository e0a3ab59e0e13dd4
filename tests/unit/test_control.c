/*
 * test_control.c: control.sock from outside: good clients, slow ones, floods and garbage, against the supervisor's own
 * code with a table made by hand.
 */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_client.h"
#include "control_socket.h"
#include "helpers.h"
#include "logging.h"
#include "control_rights.h"

#define SERVICES 300u

static struct supervisor supervisor;
static struct table table;
static struct table_server want_server;
static const struct table_dispatch want_dispatch;
static struct table_service want[SERVICES];
static struct service services[SERVICES];
static char names[SERVICES][16];
static char directory[] = "/tmp/lust-control-XXXXXX";

static void setup(void)
{
	memset(&supervisor, 0, sizeof(supervisor));
	memset(services, 0, sizeof(services));
	memcpy(directory + sizeof(directory) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	supervisor.runtime_dir = directory;
	for (unsigned i = 0; i < SERVICES; i++) {
		snprintf(names[i], sizeof(names[i]), "service-%u", i);
		services[i].name = names[i];
		want[i].server = &want_server;
		want[i].dispatch = &want_dispatch;
		services[i].want = &want[i];
		services[i].index = i;
		services[i].next = i + 1 < SERVICES ? &services[i + 1] : NULL;
	}
	supervisor.table = &table;
	supervisor.services = services;
	supervisor.config_file = "/etc/test.conf";
	supervisor.loop = ev_loop_new(EVFLAG_AUTO);
	supervisor.control_fd = -1;
	supervisor.running = true;
	ck_assert_ptr_nonnull(supervisor.loop);
	ck_assert_int_eq(control_open(&supervisor), 0);
}

static void teardown(void)
{
	control_close(&supervisor);
	ev_loop_destroy(supervisor.loop);
	/* The socket was removed: nothing else is in there. */
	ck_assert_int_eq(rmdir(directory), 0);
}

static void turn(unsigned times)
{
	while (times--)
		ev_run(supervisor.loop, EVRUN_NOWAIT);
}

static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", directory);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void ask(int fd, enum control_command command, const char *service)
{
	struct control_request request = {.version = CONTROL_VERSION, .command = (uint16_t)command};

	if (service) {
		request.flags = CONTROL_ONE;
		snprintf(request.service, sizeof(request.service), "%s", service);
	}
	ck_assert_int_eq(send(fd, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
}

/* Turns the loop until a record is there. false: the end. */
static bool next_record(int fd, struct control_record *record)
{
	for (unsigned i = 0; i < 100000; i++) {
		ssize_t length = recv(fd, record, sizeof(*record), 0);

		if (length == 0 || (length < 0 && errno == ECONNRESET))
			return false;
		if (length > 0) {
			ck_assert_int_eq(length, sizeof(*record));
			return true;
		}
		ck_assert_int_eq(errno, EAGAIN);
		turn(1);
	}
	ck_abort_msg("no answer");
	return false;
}

static void expect_result(int fd, int code)
{
	struct control_record record;

	ck_assert(next_record(fd, &record));
	ck_assert_int_eq(record.type, CONTROL_RESULT);
	ck_assert_int_eq(record.result.code, code);
	ck_assert(!next_record(fd, &record));
	close(fd);
}

static unsigned descriptors(void)
{
	unsigned count = 0;
	DIR *listing = opendir("/proc/self/fd");

	ck_assert_ptr_nonnull(listing);
	while (readdir(listing))
		count++;
	closedir(listing);
	return count;
}

START_TEST(test_version)
{
	struct control_record record;
	int fd = connect_client();

	ask(fd, CONTROL_VERSION_ASKED, NULL);
	ck_assert(next_record(fd, &record));
	ck_assert_int_eq(record.type, CONTROL_DAEMON);
	ck_assert_str_eq(record.daemon.config, "/etc/test.conf");
	ck_assert_int_eq(record.daemon.pid, getpid());
	expect_result(fd, 0);
	ck_assert_uint_eq(supervisor.client_count, 0);
}
END_TEST

START_TEST(test_list_in_order)
{
	struct control_record record;
	int fd = connect_client();

	ask(fd, CONTROL_LIST, NULL);
	for (unsigned i = 0; i < SERVICES; i++) {
		ck_assert(next_record(fd, &record));
		ck_assert_int_eq(record.type, CONTROL_OUTPUT);
		ck_assert_str_eq(record.line.text, services[i].name);
	}
	expect_result(fd, 0);
}
END_TEST

START_TEST(test_unknown_service)
{
	int fd = connect_client();

	ask(fd, CONTROL_STATUS, "nobody");
	expect_result(fd, 64);
	fd = connect_client();
	ask(fd, CONTROL_DOWN, "nobody*");
	expect_result(fd, 64);
}
END_TEST

/* Who does not read gets what a socket buffer holds and no more; the others get theirs meanwhile. */
START_TEST(test_slow_reader)
{
	struct control_record record;
	int slow = connect_client(), quick;
	unsigned count = 0;

	ask(slow, CONTROL_STATUS, NULL);
	turn(1000);
	quick = connect_client();
	ask(quick, CONTROL_VERSION_ASKED, NULL);
	ck_assert(next_record(quick, &record));
	expect_result(quick, 0);
	ck_assert_uint_eq(supervisor.client_count, 1);
	while (next_record(slow, &record) && record.type != CONTROL_RESULT)
		count += record.type == CONTROL_SERVICE;
	ck_assert_uint_eq(count, SERVICES);
	ck_assert_int_eq(record.result.code, 0);
	close(slow);
}
END_TEST

/* A reload between two records: every service that stays is told once, in whatever order it now has. */
START_TEST(test_table_changes_meanwhile)
{
	struct control_record record;
	int fd = connect_client();
	unsigned count = 0;

	ask(fd, CONTROL_STATUS, NULL);
	turn(3);
	/* One that was not reached is removed, with the one before it. */
	services[SERVICES - 3].next = &services[SERVICES - 1];
	services[SERVICES - 2].want = NULL;
	supervisor.services = &services[1];
	supervisor.table_generation++;
	while (next_record(fd, &record) && record.type != CONTROL_RESULT)
		count += record.type == CONTROL_SERVICE;
	ck_assert_uint_eq(count, SERVICES - 1);
	close(fd);
}
END_TEST

START_TEST(test_client_leaves_in_the_middle)
{
	unsigned before = descriptors();
	int fd = connect_client();

	ask(fd, CONTROL_STATUS, NULL);
	turn(3);
	close(fd);
	turn(20);
	ck_assert_uint_eq(supervisor.client_count, 0);
	ck_assert_uint_eq(descriptors(), before);
}
END_TEST

START_TEST(test_garbage)
{
	static const char large[4096];
	struct control_request request = {.version = CONTROL_VERSION, .command = 4711};
	int fd = connect_client();

	ck_assert_int_eq(send(fd, large, sizeof(large), MSG_NOSIGNAL), sizeof(large));
	expect_result(fd, 64);
	fd = connect_client();
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	expect_result(fd, 64);
	fd = connect_client();
	ck_assert_int_eq(send(fd, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
	expect_result(fd, 64);
	ck_assert_uint_eq(supervisor.client_count, 0);
}
END_TEST

static bool push_descriptors(int fd)
{
	struct control_request request = {.version = CONTROL_VERSION, .command = CONTROL_VERSION_ASKED};
	struct iovec vector = {&request, sizeof(request)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(20 * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	int fds[20];

	for (unsigned i = 0; i < 20; i++)
		fds[i] = STDERR_FILENO;
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(part), fds, sizeof(fds));
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(request);
}

START_TEST(test_pushed_descriptors)
{
	unsigned before = descriptors();

	for (unsigned i = 0; i < 50; i++) {
		int fd = connect_client();

		/* Newer kernels refuse them for us. */
		if (!push_descriptors(fd))
			ck_assert_int_eq(errno, EPERM);
		turn(10);
		close(fd);
	}
	turn(100);
	ck_assert_uint_eq(supervisor.client_count, 0);
	ck_assert_uint_eq(descriptors(), before);
}
END_TEST

/* Silent connections take places, never more than there are; who comes too late is told so. */
START_TEST(test_flood)
{
	const unsigned places = CONTROL_CLIENTS + CONTROL_CLIENTS_SPARE;
	int fd[CONTROL_CLIENTS + CONTROL_CLIENTS_SPARE], late;

	for (unsigned i = 0; i < places; i++) {
		fd[i] = connect_client();
		turn(1);
	}
	ck_assert_uint_eq(supervisor.client_count, places);
	late = connect_client();
	expect_result(late, 4);
	for (unsigned i = 0; i < places; i++)
		close(fd[i]);
	turn(200);
	ck_assert_uint_eq(supervisor.client_count, 0);
}
END_TEST

static struct link_message sent_to_dispatcher(struct channel *dispatcher)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;

	ck_assert_int_eq(channel_receive(dispatcher, &message, fds, &count), 1);
	ck_assert_ptr_null(link_check_from_supervisor(&message, sizeof(message), count));
	return message;
}

/* `pause` is answered when the dispatcher has done it, and not before; a dead one has done all it ever will. */
START_TEST(test_pause_waits_for_the_dispatcher)
{
	struct channel dispatcher;
	struct control_record record;
	struct link_message message;
	int ends[2], client = connect_client(), later;

	ck_assert_int_eq(channel_pair(ends), 0);
	channel_init(&supervisor.dispatcher.link, ends[0], sizeof(struct link_message));
	channel_init(&dispatcher, ends[1], sizeof(struct link_message));
	supervisor.dispatcher.phase = DISPATCHER_RUNNING;
	ask(client, CONTROL_PAUSE, "service-7");
	turn(20);
	message = sent_to_dispatcher(&dispatcher);
	ck_assert_int_eq(message.type, LINK_PAUSE);
	ck_assert_uint_eq(message.service.service, 7);
	message = sent_to_dispatcher(&dispatcher);
	ck_assert_int_eq(message.type, LINK_PING);
	ck_assert(services[7].paused && !services[6].paused);
	ck_assert_uint_eq(services[7].more->paused_by, geteuid());

	/* Neither a sign of life, nor a number that was never sent, nor an older mark. */
	dispatcher_pong(&supervisor, 1);
	dispatcher_pong(&supervisor, message.ping.number + 1);
	dispatcher_pong(&supervisor, message.ping.number - 1);
	turn(20);
	ck_assert_int_lt(recv(client, &record, sizeof(record), 0), 0);
	dispatcher_pong(&supervisor, message.ping.number);
	expect_result(client, 0);
	close(client);

	/* Already so: no second PAUSE. */
	later = connect_client();
	ask(later, CONTROL_PAUSE, "service-7");
	turn(20);
	message = sent_to_dispatcher(&dispatcher);
	ck_assert_int_eq(message.type, LINK_PING);
	supervisor.running = false; /* else it would be started again */
	dispatcher_ended(&supervisor, 0);
	expect_result(later, 0);
	close(later);
	channel_close(&dispatcher);

	supervisor.running = true;
	later = connect_client();
	ask(later, CONTROL_RESUME, NULL);
	expect_result(later, 0);
	ck_assert(!services[7].paused);
	close(later);
	later = connect_client();
	ask(later, CONTROL_PAUSE, "nobody*");
	expect_result(later, 64);
	close(later);
	log_free(&supervisor);
}
END_TEST

START_TEST(test_wait_and_stop)
{
	static struct server server = {.pid = 1, .phase = PHASE_READY};
	int waiting = connect_client(), stopping = connect_client();
	struct control_client *client;

	/* As after `down` of a service with a server that does not end, and after `stop`. */
	turn(5);
	services[5].servers = &server;
	ck_assert_uint_eq(supervisor.client_count, 2);
	client = supervisor.clients;
	client->request.command = CONTROL_STOP;
	client_wait(client, 0);
	client = client->next;
	client->request.command = CONTROL_DOWN;
	client_wait(client, 0);
	control_stopping(&supervisor);
	expect_result(waiting, 1);
	ck_assert_uint_eq(supervisor.client_count, 1);
	control_close(&supervisor);
	expect_result(stopping, 0);
}
END_TEST

/* Two requests on one connection: the second ends it. */
START_TEST(test_impatient_client)
{
	int fd = connect_client();
	struct control_record record;

	turn(3);
	client_wait(supervisor.clients, 0);
	ask(fd, CONTROL_LIST, NULL);
	ck_assert(!next_record(fd, &record));
	close(fd);
	ck_assert_uint_eq(supervisor.client_count, 0);
}
END_TEST

START_TEST(test_socket)
{
	struct stat info;
	char path[128];

	snprintf(path, sizeof(path), "%s/control.sock", directory);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_int_eq(info.st_mode & 07777, 0666);
	control_close(&supervisor);
	ck_assert_int_lt(stat(path, &info), 0);
	/* what a killed daemon leaves is no obstacle */
	ck_assert_int_eq(mknod(path, S_IFSOCK | 0600, 0), 0);
	ck_assert_int_eq(control_open(&supervisor), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *tests = tcase_create("control");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_version);
	tcase_add_test(tests, test_list_in_order);
	tcase_add_test(tests, test_unknown_service);
	tcase_add_test(tests, test_slow_reader);
	tcase_add_test(tests, test_table_changes_meanwhile);
	tcase_add_test(tests, test_client_leaves_in_the_middle);
	tcase_add_test(tests, test_garbage);
	tcase_add_test(tests, test_pushed_descriptors);
	tcase_add_test(tests, test_flood);
	tcase_add_test(tests, test_pause_waits_for_the_dispatcher);
	tcase_add_test(tests, test_wait_and_stop);
	tcase_add_test(tests, test_impatient_client);
	tcase_add_test(tests, test_socket);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
