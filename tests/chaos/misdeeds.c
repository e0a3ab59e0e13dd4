/*
 * misdeeds.c: what a server can do wrong.  Each is done on the pair itself, behind liblust's back, or to a descriptor
 * that it was given.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"
#include "wire.h"

#define REMEMBERED 64
#define FLOOD 20000
#define DESCRIPTORS 8
#define SLOW_US UINT64_C(2500000) /* longer than the tests' take-timeout */
#define FILLED_US UINT64_C(300000)
#define REFUSE_US UINT64_C(200000)

struct mood mood;
static uint64_t remembered[REMEMBERED];
static unsigned remembered_count;
static struct rlimit usual_limit;

void misdeeds_remember_done(uint64_t id)
{
	remembered[remembered_count++ % REMEMBERED] = id;
}

static int pair(void)
{
	const char *number = getenv("LUST_FD");

	return number ? atoi(number) : -1;
}

/* Whatever it answers: who lies does not care. */
static ssize_t say(const void *message, size_t length)
{
	return send(pair(), message, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t say_ids(enum lust_wire_type type, const uint64_t *ids, unsigned count)
{
	struct lust_wire_ids message = {.header = {LUST_WIRE_VERSION, (uint16_t)type, count}};

	memcpy(message.id, ids, count * sizeof(*ids));
	return say(&message, sizeof(message.header) + count * sizeof(*ids));
}

static ssize_t say_with_descriptors(const void *message, size_t length)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = length};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control.room,
				.msg_controllen = sizeof(control.room)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(DESCRIPTORS * sizeof(int));
	for (int i = 0; i < DESCRIPTORS; i++) {
		int fd = i % 3;

		memcpy(CMSG_DATA(rights) + (size_t)i * sizeof(int), &fd, sizeof(fd));
	}
	return sendmsg(pair(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ids that no dispatcher gave: the numbers are far ahead of any. */
static void invent(uint64_t *ids, unsigned count)
{
	uint64_t generation = remembered_count ? remembered[(remembered_count - 1) % REMEMBERED] >> 48 : 1;

	for (unsigned i = 0; i < count; i++)
		ids[i] = generation << 48 | (UINT64_C(0xfffffff00000) + i);
}

static void lie_taken(void)
{
	uint64_t ids[LUST_WIRE_BATCH];

	invent(ids, LUST_WIRE_BATCH);
	say_ids(LUST_WIRE_TAKEN, ids, LUST_WIRE_BATCH);
	say_ids(LUST_WIRE_DONE, ids, LUST_WIRE_BATCH);
	say_ids(LUST_WIRE_REFUSED, ids, LUST_WIRE_BATCH);
}

static void done_twice(void)
{
	unsigned count = remembered_count < REMEMBERED ? remembered_count : REMEMBERED;

	if (count == 0)
		return;
	say_ids(LUST_WIRE_DONE, remembered, count);
	say_ids(LUST_WIRE_TAKEN, remembered, count);
}

static void absurd_capacity(void)
{
	static const uint32_t absurd[] = {UINT32_MAX, 0, 1, INT32_MAX, UINT32_MAX - 1};
	struct lust_wire_capacity message = {.header = {LUST_WIRE_VERSION, LUST_WIRE_CAPACITY, 0}};

	for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
		message.capacity = absurd[i];
		say(&message, sizeof(message));
	}
	lust_server_set_capacity(server, options.capacity);
}

static void flood(void)
{
	struct lust_wire_header alive = {LUST_WIRE_VERSION, LUST_WIRE_ALIVE, 0};

	for (int i = 0; i < FLOOD; i++)
		say(&alive, sizeof(alive));
}

static void half_message(void)
{
	struct lust_wire_ids message = {.header = {LUST_WIRE_VERSION, LUST_WIRE_TAKEN, 3}};

	say(&message, sizeof(message.header) + 12);
}

static void stray_descriptors(void)
{
	struct lust_wire_header alive = {LUST_WIRE_VERSION, LUST_WIRE_ALIVE, 0};

	say_with_descriptors(&alive, sizeof(alive));
}

static void push_back(void)
{
	struct lust_wire_ids message = {.header = {LUST_WIRE_VERSION, LUST_WIRE_REFUSED, DESCRIPTORS}};

	invent(message.id, DESCRIPTORS);
	for (unsigned i = 0; i < DESCRIPTORS && i < remembered_count; i += 2)
		message.id[i] = remembered[i];
	say_with_descriptors(&message, sizeof(message.header) + DESCRIPTORS * sizeof(uint64_t));
}

/* Descriptors are given by number, the least free one first: with the limit at what is open, none is left. */
static void fill_table(void)
{
	struct rlimit none;

	if (mood.filled_until_us || getrlimit(RLIMIT_NOFILE, &usual_limit) < 0)
		return;
	int next = fcntl(0, F_DUPFD_CLOEXEC, 0);
	if (next < 0)
		return;
	close(next);
	none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = usual_limit.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &none) == 0)
		mood.filled_until_us = clock_us() + FILLED_US;
}

static void small_buffer(void)
{
	int size = 1;

	setsockopt(pair(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(pair(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

void misdeed(enum misdeed what)
{
	switch (what) {
	case MISDEED_LIE_TAKEN:
		lie_taken();
		break;
	case MISDEED_DONE_TWICE:
		done_twice();
		break;
	case MISDEED_CAPACITY:
		absurd_capacity();
		break;
	case MISDEED_FLOOD:
		flood();
		break;
	case MISDEED_HALF:
		half_message();
		break;
	case MISDEED_DESCRIPTORS:
		stray_descriptors();
		break;
	case MISDEED_PUSH_BACK:
		push_back();
		break;
	case MISDEED_LINGER:
		mood.linger = true;
		break;
	case MISDEED_CORK:
		mood.cork = options.explicit_take;
		break;
	case MISDEED_FILL_TABLE:
		fill_table();
		break;
	case MISDEED_SMALL_BUFFER:
		small_buffer();
		break;
	case MISDEED_SLOW:
		mood.slow_until_us = clock_us() + SLOW_US;
		break;
	case MISDEED_REFUSE:
		if (options.explicit_take)
			mood.refuse_until_us = clock_us() + REFUSE_US;
		break;
	case MISDEED_HALF_ANSWER:
		mood.half_answer = true;
		break;
	case MISDEEDS:
		break;
	}
}

void misdeeds_look(uint64_t now_us)
{
	if (mood.filled_until_us && mood.filled_until_us <= now_us) {
		mood.filled_until_us = 0;
		setrlimit(RLIMIT_NOFILE, &usual_limit);
	}
	if (mood.refuse_until_us && mood.refuse_until_us <= now_us)
		mood.refuse_until_us = 0;
}
