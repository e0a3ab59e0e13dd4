/*
 * test_listen.c: listening sockets: stale and living Unix paths, what is unlinked, IPv6 alone; matching by address.
 *
 * SPDX-License-Identifier: ISC
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "listeners.h"
#include "logging.h"
#include "suite.h"

static struct supervisor *s;
static char directory[64];

static void setup(void)
{
	s = calloc(1, sizeof(*s));
	ck_assert_ptr_nonnull(s);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	s->dispatcher.link.fd = s->logger.link.fd = -1;
	s->running = true;
	snprintf(directory, sizeof(directory), "/tmp/lust-listen-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void teardown(void)
{
	rmdir(directory);
	log_free(s);
	ev_loop_destroy(s->loop);
	free(s);
}

static struct table_listen unix_word(const char *name)
{
	static char paths[8][108];
	static unsigned used;
	char *path = paths[used++ % 8];
	struct table_listen word = {.said = "unix"};

	word.address.kind = ADDRESS_UNIX;
	word.address.family = AF_UNIX;
	word.address.path_length = (uint16_t)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	word.address.path = path;
	return word;
}

static struct table_listen tcp_word(const char *ip, uint16_t port)
{
	struct table_listen word = {.said = "tcp"};

	ck_assert_int_eq(address_parse_ip(ip, &word.address), 0);
	word.address.kind = ADDRESS_TCP;
	word.address.port = port;
	return word;
}

static struct listener opened(const struct table_listen *word)
{
	struct listener listener = {.want = word, .fd = -1};

	listener.fd = listen_open(&listener);
	ck_assert_msg(listener.fd >= 0, "%s", strerror(-listener.fd));
	return listener;
}

static void ended(struct listener *listener)
{
	listen_close(s, listener);
	free(listener->more);
}

START_TEST(a_socket_that_everybody_may_use)
{
	struct table_listen word = unix_word("a");
	struct listener listener = opened(&word);
	struct stat info;

	ck_assert_int_eq(stat(word.address.path, &info), 0);
	ck_assert_uint_eq(info.st_mode & 0777, 0666);
	ck_assert_int_ne(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(listener.fd, F_GETFL) & O_NONBLOCK, 0);
	ended(&listener);
	ck_assert_int_lt(stat(word.address.path, &info), 0);
	ck_assert_int_eq(listener.fd, -1);
}
END_TEST

static struct listen_queue queue_of(const struct listener *listener)
{
	struct unix_queues queues = {0};
	struct listen_queue queue = listen_queue(listener, &queues);

	unix_queues_drop(&queues);
	return queue;
}

START_TEST(who_waits_at_a_unix_socket)
{
	struct table_listen word = unix_word("a");
	struct listener listener = opened(&word);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int client[3];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", word.address.path);
	ck_assert_int_eq(listen(listener.fd, 7), 0);
	for (uint64_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(queue_of(&listener).waiting, i);
		ck_assert_uint_eq(queue_of(&listener).backlog, 7);
		client[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(client[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
	ck_assert_uint_eq(queue_of(&listener).waiting, 3);
	close(accept(listener.fd, NULL, NULL));
	ck_assert_uint_eq(queue_of(&listener).waiting, 2);
	for (unsigned i = 0; i < 3; i++)
		close(client[i]);
	ended(&listener);
}
END_TEST

/* One answer tells all that are there, in several parts when they are many, and nothing of a socket that is not. */
START_TEST(who_waits_at_many)
{
	struct unix_queues queues = {0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int many[700], client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < 700; i++) {
		many[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(bind(many[i], (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
		ck_assert_int_eq(listen(many[i], 1000 + i), 0);
	}
	socklen_t length = sizeof(address);
	ck_assert_int_eq(getsockname(many[500], (struct sockaddr *)&address, &length), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, length), 0);
	for (int i = 0; i < 700; i++) {
		const struct unix_queue *queue = unix_queue_of(&queues, many[i]);
		ck_assert_ptr_nonnull(queue);
		ck_assert_uint_eq(queue->backlog, 1000 + (uint32_t)i);
		ck_assert_uint_eq(queue->waiting, i == 500);
	}
	ck_assert_ptr_null(unix_queue_of(&queues, client));
	unix_queues_drop(&queues);
	for (int i = 0; i < 700; i++)
		close(many[i]);
	close(client);
}
END_TEST

START_TEST(a_dead_socket_gives_way)
{
	struct table_listen word = unix_word("a");
	struct listener dead = opened(&word);

	close(dead.fd);
	struct listener listener = opened(&word);
	ended(&listener);
	free(dead.more);
}
END_TEST

START_TEST(a_living_socket_stays)
{
	struct table_listen word = unix_word("a");
	struct listener living = opened(&word), other = {.want = &word, .fd = -1};
	struct stat before, after;

	ck_assert_int_eq(stat(word.address.path, &before), 0);
	ck_assert_int_eq(listen_open(&other), -EADDRINUSE);
	ck_assert_int_eq(stat(word.address.path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ended(&living);
	ended(&other);
}
END_TEST

START_TEST(a_file_is_nothing_to_remove)
{
	struct table_listen word = unix_word("a");
	struct listener listener = {.want = &word, .fd = -1};
	int fd = open(word.address.path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(listen_open(&listener), -EADDRINUSE);
	ck_assert_int_eq(unlink(word.address.path), 0);
	ended(&listener);
}
END_TEST

START_TEST(what_another_put_there_is_left_alone)
{
	struct table_listen word = unix_word("a");
	struct listener first = opened(&word);

	ck_assert_int_eq(unlink(word.address.path), 0);
	struct listener second = opened(&word);
	ended(&first);
	ck_assert_int_eq(access(word.address.path, F_OK), 0);
	ended(&second);
	ck_assert_int_lt(access(word.address.path, F_OK), 0);
}
END_TEST

START_TEST(no_directory)
{
	struct table_listen word = unix_word("no/where");
	struct listener listener = {.want = &word, .fd = -1};

	ck_assert_int_eq(listen_open(&listener), -ENOENT);
	ended(&listener);
}
END_TEST

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						   : ((struct sockaddr_in *)&address)->sin_port);
}

START_TEST(a_port_is_taken_once)
{
	struct table_listen word = tcp_word("127.0.0.1", 0);
	struct listener first = opened(&word);
	struct table_listen same = tcp_word("127.0.0.1", port_of(first.fd));
	struct listener second = {.want = &same, .fd = -1};

	ck_assert_int_eq(listen_open(&second), -EADDRINUSE);
	ck_assert_uint_eq(queue_of(&first).waiting, 0);
	ck_assert_uint_eq(listen_dropped(&first), 0);
	ck_assert_uint_gt(queue_of(&first).backlog, 0);
	ended(&first);
}
END_TEST

/* Some other program's IPv4 socket may have the port that the kernel chose for IPv6: hence several. */
START_TEST(v6_never_takes_v4)
{
	int four_fd = -EADDRINUSE;

	for (unsigned n = 0; n < 20 && four_fd == -EADDRINUSE; n++) {
		struct table_listen six = tcp_word("::", 0);
		struct listener first = {.want = &six, .fd = -1};

		first.fd = listen_open(&first);
		if (first.fd < 0)
			return; /* no IPv6 here */
		struct table_listen four = tcp_word("0.0.0.0", port_of(first.fd));
		struct listener second = {.want = &four, .fd = -1};
		four_fd = second.fd = listen_open(&second);
		if (second.fd >= 0)
			ended(&second);
		ended(&first);
	}
	ck_assert_int_ge(four_fd, 0);
}
END_TEST

START_TEST(only_a_wildcard_may_lack)
{
	struct table_listen word = {.v6_may_lack = true};

	ck_assert(listen_may_lack(&word, EAFNOSUPPORT));
	ck_assert(listen_may_lack(&word, EADDRNOTAVAIL));
	ck_assert(!listen_may_lack(&word, EADDRINUSE));
	word.v6_may_lack = false;
	ck_assert(!listen_may_lack(&word, EAFNOSUPPORT));
}
END_TEST

START_TEST(order_tells_addresses_apart)
{
	struct table_listen words[] = {tcp_word("127.0.0.1", 80),
				       tcp_word("127.0.0.2", 80),
				       tcp_word("127.0.0.1", 81),
				       tcp_word("::1", 80),
				       unix_word("a"),
				       unix_word("b")};
	size_t count = sizeof(words) / sizeof(words[0]);

	for (size_t a = 0; a < count; a++)
		for (size_t b = 0; b < count; b++) {
			int order = address_order(&words[a].address, &words[b].address);
			int reverse = address_order(&words[b].address, &words[a].address);
			ck_assert_int_eq(order == 0, a == b);
			ck_assert_int_eq(order > 0, reverse < 0);
		}
}
END_TEST

START_TEST(a_listener_is_claimed_once)
{
	struct table_listen words[] = {tcp_word("127.0.0.1", 80), unix_word("a"), tcp_word("::1", 80)};
	struct listener listener[3] = {
		{.want = &words[0], .fd = 7}, {.want = &words[1]}, {.want = &words[2]}};
	struct service service = {.listeners = &listener[0]};
	struct table_listen wide = tcp_word("0.0.0.0", 80), other = tcp_word("127.0.0.1", 8080);
	size_t at = 0;

	listener[0].next = &listener[1];
	listener[1].next = &listener[2];
	s->services = &service;
	struct listener_set *set = listener_set_new(s);
	ck_assert_ptr_nonnull(set);
	ck_assert(listener_set_blocks(set, &wide.address));
	ck_assert_ptr_eq(listener_set_claim(set, &words[0].address), &listener[0]);
	ck_assert_ptr_null(listener_set_claim(set, &words[0].address));
	ck_assert_ptr_null(listener_set_claim(set, &other.address));
	ck_assert(!listener_set_blocks(set, &wide.address));
	ck_assert_ptr_eq(listener_set_claim(set, &words[2].address), &listener[2]);
	ck_assert_ptr_eq(listener_set_unclaimed(set, &at), &listener[1]);
	ck_assert_ptr_null(listener_set_unclaimed(set, &at));
	listener_set_free(set);
}
END_TEST

START_TEST(a_late_one_is_tried_with_growing_pauses)
{
	struct table_listen word = unix_word("no/where");
	struct service service = {.name = "web"};
	struct listener listener = {.want = &word, .fd = -1, .service = &service};
	ck_assert_ptr_nonnull(listener_more(&listener));
	static const uint64_t pause[] = {250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

	for (size_t i = 0; i < sizeof(pause) / sizeof(pause[0]); i++) {
		uint64_t before = clock_ms();
		listener_retry_now(s, &listener);
		ck_assert_uint_ge(listener.more->retry_ms, before + pause[i]);
		ck_assert_uint_le(listener.more->retry_ms, clock_ms() + pause[i]);
		ck_assert_int_eq(listener_error(&listener), ENOENT);
	}
	char path[108];
	snprintf(path, sizeof(path), "%s/no", directory);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	listener_retry_now(s, &listener);
	ck_assert_int_ge(listener.fd, 0);
	ck_assert_int_eq(listener_error(&listener), 0);
	ck_assert_uint_eq(listener.more->retry_ms, 0);
	ended(&listener);
	ev_timer_stop(s->loop, &s->push_again);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listen");
	TCase *tests = tcase_create("listen");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_socket_that_everybody_may_use);
	tcase_add_test(tests, who_waits_at_a_unix_socket);
	tcase_add_test(tests, who_waits_at_many);
	tcase_add_test(tests, a_dead_socket_gives_way);
	tcase_add_test(tests, a_living_socket_stays);
	tcase_add_test(tests, a_file_is_nothing_to_remove);
	tcase_add_test(tests, what_another_put_there_is_left_alone);
	tcase_add_test(tests, no_directory);
	tcase_add_test(tests, a_port_is_taken_once);
	tcase_add_test(tests, v6_never_takes_v4);
	tcase_add_test(tests, only_a_wildcard_may_lack);
	tcase_add_test(tests, order_tells_addresses_apart);
	tcase_add_test(tests, a_listener_is_claimed_once);
	tcase_add_test(tests, a_late_one_is_tried_with_growing_pauses);
	suite_add_tcase(suite, tests);

	return suite_run(suite);
}
