/*
 * test_wire.c: which messages are whole and well-formed.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static union lust_wire_message message;

static void begin(enum lust_wire_type type, uint32_t count)
{
	memset(&message, 0, sizeof(message));
	message.header = (struct lust_wire_header){
		.version = LUST_WIRE_VERSION, .type = (uint16_t)type, .count = count};
	if (type == LUST_WIRE_REGISTER || type == LUST_WIRE_CLONE)
		memcpy(message.reg.service, "web", 4);
	if (type == LUST_WIRE_CONNECTIONS) {
		for (unsigned i = 0; i < LUST_WIRE_BATCH; i++)
			message.connections.entry[i].kind = LUST_WIRE_TCP;
	}
}

static const struct {
	enum lust_wire_type type;
	size_t length;
	unsigned count;
	int from_daemon;
} types[] = {
	{LUST_WIRE_HELLO, 88, 0, 1},
	{LUST_WIRE_REGISTERED, 8, 0, 1},
	{LUST_WIRE_CONNECTIONS, 16 + 80, 1, 1},
	{LUST_WIRE_CONNECTIONS, 16 + 64 * 80, 64, 1},
	{LUST_WIRE_DRAIN, 8, 0, 1},
	{LUST_WIRE_DENIED, 248, 0, 1},
	{LUST_WIRE_PAIR, 8, 0, 1},
	{LUST_WIRE_REGISTER, 160, 0, 0},
	{LUST_WIRE_TAKEN, 16, 1, 0},
	{LUST_WIRE_DONE, 8 + 64 * 8, 64, 0},
	{LUST_WIRE_REFUSED, 24, 2, 0},
	{LUST_WIRE_CAPACITY, 16, 0, 0},
	{LUST_WIRE_ALIVE, 8, 0, 0},
	{LUST_WIRE_DRAINING, 8, 0, 0},
	{LUST_WIRE_CLONE, 160, 0, 0},
};

static const char *check(int from_daemon, size_t length)
{
	return from_daemon ? lust_wire_check_from_daemon(&message, length)
			   : lust_wire_check_from_server(&message, length);
}

START_TEST(every_type)
{
	int from_daemon = types[_i].from_daemon;
	size_t length = types[_i].length;

	begin(types[_i].type, types[_i].count);
	ck_assert_uint_eq(lust_wire_length(&message), length);
	ck_assert_ptr_null(check(from_daemon, length));
	ck_assert_ptr_nonnull(check(!from_daemon, length));
	for (size_t shorter = 0; shorter < length; shorter++)
		ck_assert_ptr_nonnull(check(from_daemon, shorter));
	ck_assert_ptr_nonnull(check(from_daemon, length + 1));

	/* A newer peer may append, but not cut. */
	message.header.version = LUST_WIRE_VERSION + 1;
	ck_assert_ptr_null(check(from_daemon, length + 8));
	ck_assert_ptr_null(check(from_daemon, length));
	ck_assert_ptr_nonnull(check(from_daemon, length - 1));
	message.header.version = 0;
	ck_assert_ptr_nonnull(check(from_daemon, length));
	message.header.version = LUST_WIRE_VERSION;

	/* A count where none belongs, none where one does, too many. */
	message.header.count = types[_i].count ? 0 : 1;
	ck_assert_ptr_nonnull(check(from_daemon, length));
	message.header.count = 65;
	ck_assert_ptr_nonnull(check(from_daemon, 8 + 65 * 8));
	message.header.count = UINT32_MAX;
	ck_assert_ptr_nonnull(check(from_daemon, length));
}
END_TEST

START_TEST(unknown_types)
{
	begin((enum lust_wire_type)60, 0);
	ck_assert_uint_eq(lust_wire_length(&message), 0);
	ck_assert_ptr_nonnull(check(1, 8));
	ck_assert_ptr_nonnull(check(0, 8));
	/* A newer daemon's words are for newer servers; a newer server knows from HELLO what the daemon
	   knows. */
	message.header.version = LUST_WIRE_VERSION + 1;
	ck_assert_ptr_null(check(1, 8));
	message.header.type = 99;
	ck_assert_ptr_nonnull(check(0, 8));
	ck_assert_ptr_nonnull(check(1, 8));
}
END_TEST

START_TEST(text)
{
	begin(LUST_WIRE_REGISTER, 0);
	message.reg.service[0] = '\0';
	ck_assert_ptr_nonnull(check(0, 160));
	memset(message.reg.service, 'x', sizeof(message.reg.service));
	ck_assert_ptr_nonnull(check(0, 160));
	message.reg.service[63] = '\0';
	ck_assert_ptr_null(check(0, 160));
	message.reg.service[3] = '\0';
	ck_assert_ptr_nonnull(check(0, 160));

	begin(LUST_WIRE_REGISTER, 0);
	message.reg.label[63] = 'x';
	ck_assert_ptr_nonnull(check(0, 160));
	begin(LUST_WIRE_HELLO, 0);
	memset(message.hello.service, 'x', sizeof(message.hello.service));
	ck_assert_ptr_nonnull(check(1, 88));
	begin(LUST_WIRE_DENIED, 0);
	memset(message.denied.reason, 'x', sizeof(message.denied.reason));
	ck_assert_ptr_nonnull(check(1, 248));
}
END_TEST

START_TEST(ranges)
{
	begin(LUST_WIRE_REGISTER, 0);
	message.reg.batch = 64;
	message.reg.flags = LUST_WIRE_NONBLOCKING | LUST_WIRE_DRAINED;
	ck_assert_ptr_null(check(0, 160));
	message.reg.held = LUST_WIRE_HELD_MAX;
	ck_assert_ptr_null(check(0, 160));
	message.reg.held++;
	ck_assert_ptr_nonnull(check(0, 160));
	message.reg.held = 0;
	message.reg.batch = 65;
	ck_assert_ptr_nonnull(check(0, 160));
	message.reg.batch = 1;
	message.reg.flags = 4;
	ck_assert_ptr_nonnull(check(0, 160));
	message.header.version = LUST_WIRE_VERSION + 1;
	ck_assert_ptr_null(check(0, 160));

	begin(LUST_WIRE_HELLO, 0);
	message.hello.acknowledge = LUST_WIRE_ACK_DONE;
	ck_assert_ptr_null(check(1, 88));
	message.hello.acknowledge = LUST_WIRE_ACK_DONE + 1;
	ck_assert_ptr_nonnull(check(1, 88));

	begin(LUST_WIRE_CONNECTIONS, 2);
	message.connections.entry[1].kind = 0;
	ck_assert_ptr_nonnull(check(1, 16 + 160));
	message.connections.entry[1].kind = LUST_WIRE_UNIX;
	ck_assert_ptr_null(check(1, 16 + 160));
}
END_TEST

START_TEST(ids)
{
	uint64_t id = UINT64_C(0x1234000000000005);

	ck_assert_uint_eq(LUST_ID_GENERATION(id), 0x1234);
	ck_assert_uint_eq(LUST_ID_NUMBER(id), 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(all, every_type, 0, sizeof(types) / sizeof(types[0]));
	tcase_add_test(all, unknown_types);
	tcase_add_test(all, text);
	tcase_add_test(all, ranges);
	tcase_add_test(all, ids);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
