/*
 * test_knock.c: the door: who is let in, who is not, and that nothing leaks.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

static struct rig rig;
static struct rig_server kept;

static void setup(void)
{
	rig_open(&rig);
	rig.service.allow_root = 1;
	rig.with_rule = true;
	rig.rule = (struct link_rule){.kind = LINK_RULE_UID, .id = getuid()};
	rig_table(&rig, NULL, 0, 0);
}

static void teardown(void)
{
	rig_close(&rig);
}

static int knock(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig.door_path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say_register(int fd, enum lust_wire_type type, const char *service, const int *fds,
			 unsigned count)
{
	union lust_wire_message message = {0};
	message.reg.header = (struct lust_wire_header){LUST_WIRE_VERSION, (uint16_t)type, 0};
	snprintf(message.reg.service, sizeof(message.reg.service), "%s", service);
	ck_assert_int_eq(lust_message_send(fd, &message, lust_wire_length(&message), fds, count, 0), 0);
}

static void expect_denied(int fd, enum event_refusal why)
{
	union lust_wire_message message;
	struct lust_message from;
	RIG_UNTIL(&rig, lust_message_receive(fd, &message, sizeof(message), &from, 1, MSG_DONTWAIT) == 1);
	ck_assert_uint_eq(message.header.type, LUST_WIRE_DENIED);
	ck_assert_str_eq(message.denied.reason, event_refusal_text(why));
	bool passes = why == REFUSAL_BUSY || why == REFUSAL_STOPPING || why == REFUSAL_TIMEOUT;
	ck_assert_uint_eq(message.denied.flags, passes ? LUST_WIRE_PASSING : 0);
	ck_assert_uint_eq(rig_event(&rig, EVENT_REFUSED_REGISTRATION).number, why);
	RIG_UNTIL(&rig, recv(fd, &message, 1, MSG_DONTWAIT) == 0);
	close(fd);
}

static unsigned open_fds(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The supervisor's part: keep what KEEP brought, give slot 7. */
static void answer_keep(int error)
{
	rig_expect(&rig, LINK_KEEP);
	ck_assert_uint_eq(rig.last_count, 3);
	ck_assert_int_eq(rig.last.keep.pid, getpid());
	struct link_message message = {.type = LINK_KEPT};
	message.kept = (struct link_kept){.ticket = rig.last.keep.ticket,
					  .slot = error ? 0 : 7,
					  .generation = error ? 0 : 3,
					  .error = error};
	kept = (struct rig_server){
		.slot = 7, .generation = 3, .ours = rig.last_fds[0], .theirs = rig.last_fds[1]};
	close(rig.last_fds[2]);
	rig_say(&rig, &message, NULL, 0);
	if (error) {
		close(kept.ours);
		close(kept.theirs);
	}
}

static int come_in(void)
{
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", NULL, 0);
	answer_keep(0);
	struct lust_wire_header pair;
	struct lust_message from;
	RIG_UNTIL(&rig, lust_message_receive(fd, &pair, sizeof(pair), &from, 1, MSG_DONTWAIT) == 1);
	ck_assert_uint_eq(pair.type, LUST_WIRE_PAIR);
	ck_assert_uint_eq(from.count, 1);
	kept.fd = from.fd[0];
	rig_hear(&rig, &kept, LUST_WIRE_HELLO);
	ck_assert_uint_eq(kept.message.hello.slot, 7);
	rig_register(&rig, &kept, 0, 1, 0, 0, 0);
	rig_expect(&rig, LINK_REGISTERED);
	rig_hear(&rig, &kept, LUST_WIRE_REGISTERED);
	return fd;
}

/* Then the supervisor closes what it kept. */
static void expect_gone(void)
{
	rig_expect(&rig, LINK_GONE);
	ck_assert_uint_eq(rig.last.slot.slot, 7);
	ck_assert_uint_eq(rig.last.slot.generation, 3);
	close(kept.ours);
	close(kept.theirs);
	close(kept.fd);
}

START_TEST(test_come_in_and_leave)
{
	unsigned before = open_fds();
	for (unsigned i = 0; i < 3; i++) {
		int fd = come_in();
		int client = rig_connect(&rig);
		uint64_t id = rig_hear_id(&rig, &kept);
		rig_ids(&kept, LUST_WIRE_TAKEN, &id, 1);
		rig_until_taken(&rig, i + 1);
		close(fd); /* it lives on, but has left */
		expect_gone();
		ck_assert_uint_eq(rig_read(&rig).died, i + 1);
		close(client);
		for (unsigned turn = 0; turn < 3; turn++)
			rig_turn(&rig);
		ck_assert_uint_eq(open_fds(), before);
	}
}
END_TEST

START_TEST(test_unknown_service)
{
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "wbe", NULL, 0);
	expect_denied(fd, REFUSAL_NO_SERVICE);
}
END_TEST

START_TEST(test_not_listed)
{
	rig.rule.id = getuid() + 1;
	rig_table(&rig, NULL, 0, 0);
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", NULL, 0);
	expect_denied(fd, REFUSAL_NOT_LISTED);
}
END_TEST

START_TEST(test_too_many)
{
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", NULL, 0);
	answer_keep(-EUSERS);
	expect_denied(fd, REFUSAL_TOO_MANY);
}
END_TEST

/* Both ends of its pair are read when it is settled: the reason must be what is left in it. */
START_TEST(test_cut_off_says_why)
{
	int fd = come_in();
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	ck_assert_int_eq(send(kept.fd, "garbage", 7, MSG_NOSIGNAL), 7);
	rig_expect(&rig, LINK_GONE);
	rig_hear(&rig, &kept, LUST_WIRE_DENIED);
	ck_assert_str_eq(kept.message.denied.reason, event_refusal_text(REFUSAL_GARBAGE));
	close(kept.ours);
	close(kept.theirs);
	close(kept.fd);
	close(client);
	close(fd);
}
END_TEST

/* A name that no service has is logged when it is one; else it is left out. */
START_TEST(test_unknown_service_is_named)
{
	static const char *const asked[] = {"webb", "w\x1b[2Jeb"};
	for (unsigned i = 0; i < 2; i++) {
		int fd = knock();
		say_register(fd, LUST_WIRE_REGISTER, asked[i], NULL, 0);
		struct event event = rig_event(&rig, EVENT_REFUSED_REGISTRATION);
		ck_assert_uint_eq(event.number, REFUSAL_NO_SERVICE);
		ck_assert_str_eq(event.asked, i == 0 ? asked[0] : "");
		close(fd);
	}
}
END_TEST

/* The knocker leaves while the supervisor thinks. */
START_TEST(test_left_before_kept)
{
	unsigned before = open_fds();
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", NULL, 0);
	close(fd);
	answer_keep(0);
	kept.fd = fcntl(kept.theirs, F_DUPFD_CLOEXEC, 3);
	expect_gone();
	for (unsigned turn = 0; turn < 3; turn++)
		rig_turn(&rig);
	ck_assert_uint_eq(open_fds(), before);
}
END_TEST

/* A thousand bad ones: garbage, descriptors, silence, haste. */
START_TEST(test_nothing_leaks)
{
	rig_turn(&rig);
	unsigned before = open_fds();
	for (unsigned i = 0; i < 1000; i++) {
		int fd = knock(), extra[3] = {0, 1, 2};
		if (i % 4 == 0)
			ck_assert_int_eq(send(fd, "garbage", 7, MSG_NOSIGNAL), 7);
		else if (i % 4 == 1)
			say_register(fd, LUST_WIRE_REGISTER, "web", extra, 3);
		else if (i % 4 == 2)
			say_register(fd, LUST_WIRE_ALIVE, "", NULL, 0);
		if (i % 4 != 3) {
			char byte;
			RIG_UNTIL(&rig, recv(fd, &byte, 1, MSG_DONTWAIT) >= 0);
		}
		close(fd);
	}
	for (unsigned turn = 0; turn < 20; turn++)
		rig_turn(&rig);
	ck_assert_uint_eq(open_fds(), before);
	/* Rate-limited: what was not said is counted. */
	ck_assert_uint_gt(rig.d->report[EVENT_REFUSED_REGISTRATION].suppressed, 700);
	close(come_in());
	expect_gone();
}
END_TEST

/* One user's silent crowd is bounded. */
START_TEST(test_crowd)
{
	int crowd[20];
	unsigned refused = 0;
	for (unsigned i = 0; i < 20; i++)
		crowd[i] = knock();
	for (unsigned turn = 0; turn < 20; turn++)
		rig_turn(&rig);
	for (unsigned i = 0; i < 20; i++) {
		struct pollfd look = {.fd = crowd[i], .events = POLLIN};
		refused += poll(&look, 1, 0) == 1;
		close(crowd[i]);
	}
	ck_assert_uint_eq(refused, 4);
}
END_TEST

/* Who comes too late is told so, with no reset before it; what was brought is not kept. */
START_TEST(test_crowd_is_told)
{
	int crowd[16];
	for (unsigned i = 0; i < 16; i++)
		crowd[i] = knock();
	for (unsigned turn = 0; turn < 20; turn++)
		rig_turn(&rig);
	int fd = knock(), error = -1;
	struct pollfd look = {.fd = fd, .events = POLLIN};
	socklen_t length = sizeof(error);
	unsigned before = open_fds();
	say_register(fd, LUST_WIRE_REGISTER, "web", &rig.board_fd, 1);
	RIG_UNTIL(&rig, poll(&look, 1, 0) == 1 && look.revents & POLLHUP);
	ck_assert_uint_eq(open_fds(), before);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	ck_assert_int_eq(error, 0);
	expect_denied(fd, REFUSAL_BUSY);
	for (unsigned i = 0; i < 16; i++)
		close(crowd[i]);
}
END_TEST

/* A forked child asks over its parent's pair for one of its own. */
START_TEST(test_clone)
{
	int lifeline = come_in();
	int go[2];
	ck_assert_int_eq(pipe(go), 0);
	pid_t child = fork();
	if (child == 0) {
		int ends[2];
		char byte;
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
			_exit(1);
		say_register(kept.fd, LUST_WIRE_CLONE, "web", &ends[1], 1);
		close(ends[1]);
		struct lust_wire_header pair;
		struct lust_message from;
		bool fine = lust_message_receive(ends[0], &pair, sizeof(pair), &from, 1, 0) == 1 &&
			    pair.type == LUST_WIRE_PAIR && from.count == 1;
		close(go[1]);
		_exit(!fine || read(go[0], &byte, 1) != 0);
	}
	close(go[0]);
	rig_expect(&rig, LINK_KEEP);
	ck_assert_int_eq(rig.last.keep.pid, child);
	struct link_message message = {.type = LINK_KEPT};
	message.kept = (struct link_kept){.ticket = rig.last.keep.ticket, .slot = 8, .generation = 1};
	int child_fds[3] = {rig.last_fds[0], rig.last_fds[1], rig.last_fds[2]};
	rig_say(&rig, &message, NULL, 0);
	close(go[1]); /* the child may end now */
	rig_expect(&rig, LINK_GONE);
	ck_assert_uint_eq(rig.last.slot.slot, 8);
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	for (unsigned i = 0; i < 3; i++)
		close(child_fds[i]);
	/* The parent's registration is untouched. */
	ck_assert_ptr_nonnull(rig.d->server[7]);
	close(lifeline);
	expect_gone();
}
END_TEST

/* The dispatcher died between KEEP and KEPT: the next one gives the pair. */
START_TEST(test_kept_by_the_next)
{
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", NULL, 0);
	rig_expect(&rig, LINK_KEEP);
	int fds[3];
	memcpy(fds, rig.last_fds, sizeof(fds));
	rig_next(&rig, NULL, 0, 0);
	struct link_message message = {.type = LINK_SERVER};
	message.server = (struct link_server){.slot = 7,
					      .generation = 3,
					      .flags = LINK_SERVER_EXTERNAL,
					      .pid = getpid(),
					      .uid = getuid(),
					      .gid = getgid()};
	rig_say(&rig, &message, fds, 3);
	struct lust_wire_header pair;
	struct lust_message from;
	RIG_UNTIL(&rig, lust_message_receive(fd, &pair, sizeof(pair), &from, 1, MSG_DONTWAIT) == 1);
	ck_assert_uint_eq(pair.type, LUST_WIRE_PAIR);
	kept = (struct rig_server){
		.slot = 7, .generation = 3, .ours = fds[0], .theirs = fds[1], .fd = from.fd[0]};
	rig_hear(&rig, &kept, LUST_WIRE_HELLO);
	close(fds[2]);
	close(fd);
	expect_gone();
}
END_TEST

/* ETOOMANYREFS: KEEP waits without turning the loop in vain. */
START_TEST(test_too_many_in_flight)
{
	struct rig_flight flight;
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", NULL, 0);
	if (rig_flight_fill(&flight)) {
		RIG_UNTIL(&rig, channel_pending(&rig.d->link));
		ck_assert(!ev_is_active(&rig.d->link_write));
		ck_assert(ev_is_active(&rig.d->link_later));
	}
	rig_flight_free(&flight);
	answer_keep(0);
	RIG_UNTIL(&rig, rig.d->server[7]);
	ck_assert(!channel_pending(&rig.d->link));
	kept.fd = -1;
	close(fd);
	expect_gone();
}
END_TEST

/* A stranger leaves the last close of a full, lingering socket to the dispatcher. */
START_TEST(test_lingering_descriptors)
{
	static const char much[65536];
	struct linger minute = {.l_onoff = 1, .l_linger = 60};
	int client = rig_connect(&rig), fds[LUST_MESSAGE_FDS];
	int full = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_eq(setsockopt(full, SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)), 0);
	while (send(full, much, sizeof(much), MSG_DONTWAIT) > 0)
		;
	/* Not among the first. */
	for (unsigned i = 0; i < LUST_MESSAGE_FDS; i++)
		fds[i] = i < 32 ? rig.board_fd : full;
	uint64_t before_ms = rig_now_ms();
	int fd = knock();
	say_register(fd, LUST_WIRE_REGISTER, "web", fds, LUST_MESSAGE_FDS);
	close(full);
	expect_denied(fd, REFUSAL_DESCRIPTORS);
	ck_assert_uint_lt(rig_now_ms() - before_ms, 10000);
	close(client);
}
END_TEST

/* The board tells how many descriptors are held. */
START_TEST(test_descriptors_are_counted)
{
	for (unsigned i = 0; i < 3; i++)
		rig_turn(&rig);
	uint32_t counted = atomic_load(&rig.d->board->fds);
	int lifeline = come_in();
	uint32_t server = 3 + (rig.d->server[7]->pidfd >= 0);
	rig_turn(&rig);
	ck_assert_uint_eq(atomic_load(&rig.d->board->fds), counted + server);
	close(lifeline);
	expect_gone();
	rig_turn(&rig);
	ck_assert_uint_eq(atomic_load(&rig.d->board->fds), counted);
}
END_TEST

/* Something else than a socket as lifeline. */
START_TEST(test_clone_with_a_file)
{
	int lifeline = come_in();
	say_register(kept.fd, LUST_WIRE_CLONE, "web", &rig.board_fd, 1);
	ck_assert_uint_eq(rig_event(&rig, EVENT_REFUSED_REGISTRATION).number, REFUSAL_DESCRIPTORS);
	ck_assert_ptr_nonnull(rig.d->server[7]);
	close(lifeline);
	expect_gone();
}
END_TEST

/* What a living server has received stays with it, even when it breaks the protocol. */
START_TEST(test_cut_off)
{
	int lifeline = come_in();
	int client = rig_connect(&rig);
	rig_hear_id(&rig, &kept);
	ck_assert_int_eq(send(kept.fd, "", 1, 0), 1);
	expect_gone();
	ck_assert_uint_eq(rig_read(&rig).taken, 1);
	ck_assert_uint_eq(rig_read(&rig).died, 1);
	ck_assert_uint_eq(rig_read(&rig).redispatched, 0);
	close(client);
	close(lifeline);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_come_in_and_leave,
		test_cut_off_says_why,
		test_unknown_service_is_named,
		test_unknown_service,
		test_not_listed,
		test_too_many,
		test_left_before_kept,
		test_nothing_leaks,
		test_crowd,
		test_crowd_is_told,
		test_clone,
		test_clone_with_a_file,
		test_cut_off,
		test_kept_by_the_next,
		test_too_many_in_flight,
		test_lingering_descriptors,
		test_descriptors_are_counted,
	};
	return suite_run_tests("knock", tests, sizeof(tests) / sizeof(*tests), setup, teardown);
}
