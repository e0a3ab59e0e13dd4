/*
 * test_upgrade.c: the state of `upgrade` as text, there and back; and what the other program says of it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"
#include "upgrade.h"

struct sample {
	uint8_t flag;
	uint16_t port;
	uint32_t number;
	uint64_t large;
	int32_t negative;
	int64_t lowest;
	int fd, none;
	char name[16];
	char *text, *nothing;
};

static const struct state_field fields[] = {
	STATE_MEMBER(struct sample, flag, "flag", STATE_UNSIGNED, 1),
	STATE_MEMBER(struct sample, port, "port", STATE_UNSIGNED, 0),
	STATE_MEMBER(struct sample, number, "number", STATE_UNSIGNED, 0),
	STATE_MEMBER(struct sample, large, "large", STATE_UNSIGNED, 0),
	STATE_MEMBER(struct sample, negative, "negative", STATE_SIGNED, 0),
	STATE_MEMBER(struct sample, lowest, "lowest", STATE_SIGNED, 0),
	STATE_MEMBER(struct sample, fd, "fd", STATE_FD, 0),
	STATE_MEMBER(struct sample, none, "none", STATE_FD, 0),
	STATE_MEMBER(struct sample, name, "name", STATE_TEXT, 0),
	STATE_MEMBER(struct sample, text, "text", STATE_STRING, 0),
	STATE_MEMBER(struct sample, nothing, "nothing", STATE_STRING, 0),
	{NULL, STATE_UNSIGNED, 0, 0, 0},
};

static struct state_reader in;

static void teardown(void)
{
	state_read_free(&in);
}

/* The head, then this. */
static int parse(const char *records)
{
	char *text = NULL;

	ck_assert_int_gt(asprintf(&text, "%s%s", state_head, records), 0);
	int result = state_parse(&in, text, strlen(text));
	free(text);
	return result;
}

START_TEST(there_and_back)
{
	char all[255];
	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	struct sample from = {.flag = 1,
			      .port = 65535,
			      .number = UINT32_MAX,
			      .large = UINT64_MAX,
			      .negative = INT32_MIN,
			      .lowest = -INT64_MAX,
			      .fd = 77,
			      .none = -1,
			      .name = "a b=c%d:\n",
			      .text = strndup(all, 255)};
	struct state_writer out;
	state_write_begin(&out);
	state_record(&out, "sample");
	state_struct(&out, fields, &from);
	state_end(&out);
	ck_assert(!out.failed);
	ck_assert_uint_eq(out.fds, 1);
	ck_assert_int_eq(out.fd[0], 77);

	ck_assert_int_eq(state_parse(&in, out.text, out.length), 0);
	ck_assert_uint_eq(in.fds, 1);
	ck_assert_int_eq(in.fd[0], 77);
	struct sample to = {.fd = -1, .none = -1};
	const struct state_record *record = state_next(&in, "sample", NULL);
	ck_assert_ptr_nonnull(record);
	ck_assert_ptr_null(state_next(&in, "sample", record));
	ck_assert(state_fill(&in, record, fields, &to));
	ck_assert_uint_eq(to.flag, 1);
	ck_assert_uint_eq(to.port, 65535);
	ck_assert_uint_eq(to.number, UINT32_MAX);
	ck_assert(to.large == UINT64_MAX && to.negative == INT32_MIN && to.lowest == -INT64_MAX);
	ck_assert_int_eq(to.fd, 77);
	ck_assert_int_eq(to.none, -1);
	ck_assert_str_eq(to.name, from.name);
	ck_assert_str_eq(to.text, from.text);
	ck_assert_ptr_null(to.nothing);
	free(from.text);
	free(to.text);
	state_write_free(&out);
}
END_TEST

START_TEST(text_of_any_bytes)
{
	struct state_writer out;
	state_write_begin(&out);
	state_record(&out, "file");
	state_text(&out, "text", "a\0b\n", 4);
	state_text(&out, "empty", "", 0);
	state_end(&out);
	ck_assert_int_eq(state_parse(&in, out.text, out.length), 0);
	const struct state_value *value = state_find(state_next(&in, "file", NULL), "text");
	ck_assert_uint_eq(value->length, 4);
	ck_assert_int_eq(memcmp(value->text, "a\0b\n", 5), 0);
	ck_assert_uint_eq(state_find(state_next(&in, "file", NULL), "empty")->length, 0);
	state_write_free(&out);
}
END_TEST

/* A newer program's records and keys do no harm; its descriptors are seen. */
START_TEST(unknown_is_passed_over)
{
	struct sample to = {.number = 5, .name = "old"};

	ck_assert_int_eq(parse("magic wand=fd:9 spell=%20\nsample port=80 colour=blue\nbare\n"), 0);
	ck_assert_uint_eq(in.fds, 1);
	ck_assert_int_eq(in.fd[0], 9);
	ck_assert(state_fill(&in, state_next(&in, "sample", NULL), fields, &to));
	ck_assert_uint_eq(to.port, 80);
	/* What is not said stays as it was. */
	ck_assert_uint_eq(to.number, 5);
	ck_assert_str_eq(to.name, "old");
}
END_TEST

START_TEST(wrong_structure)
{
	static const char *const bad[] = {
		"sample port=80",    "sample port\n",
		"sample =80\n",      "\n",
		" port=80\n",        "sample name=%4\n",
		"sample name=%4g\n", "sample name=%\n",
		"sample  port=1\n",  "sample fd=fd:2\n",
		"sample fd=fd:-1\n", "sample fd=fd:x\n",
		"sample fd=fd:\n",   "sample fd=fd:2147483648\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_msg(parse(bad[i]) < 0, "accepted: %s", bad[i]);
		ck_assert_str_ne(in.problem, "");
		state_read_free(&in);
	}
}
END_TEST

START_TEST(wrong_values)
{
	static const char *const bad[] = {
		"sample flag=2\n",
		"sample port=65536\n",
		"sample number=4294967296\n",
		"sample number=-1\n",
		"sample number=\n",
		"sample number=1x\n",
		"sample number=+1\n",
		"sample large=18446744073709551616\n",
		"sample negative=-2147483649\n",
		"sample negative=2147483648\n",
		"sample lowest=9223372036854775808\n",
		"sample name=0123456789abcdef\n",
		"sample name=a%00b\n",
		"sample text=a%00b\n",
		"sample fd=7\n",
		"sample number=fd:7\n",
		"sample text=fd:7\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct sample to = {0};
		ck_assert_int_eq(parse(bad[i]), 0);
		ck_assert_msg(!state_fill(&in, state_next(&in, "sample", NULL), fields, &to), "accepted: %s",
			      bad[i]);
		ck_assert_str_ne(in.problem, "");
		state_read_free(&in);
	}
}
END_TEST

START_TEST(numbers_that_must_be_there)
{
	uint64_t number;

	ck_assert_int_eq(parse("sample port=80 fd=fd:80 name=x\n"), 0);
	const struct state_record *record = state_next(&in, "sample", NULL);
	ck_assert(state_get(&in, record, "port", 80, &number));
	ck_assert_uint_eq(number, 80);
	ck_assert(!state_get(&in, record, "port", 79, &number));
	ck_assert(!state_get(&in, record, "fd", 100, &number));
	ck_assert(!state_get(&in, record, "name", 100, &number));
	ck_assert(!state_get(&in, record, "missing", 100, &number));
}
END_TEST

START_TEST(another_version)
{
	static const char other[] = "lust-inetd-state 12\nsample port=80\n";

	ck_assert_int_lt(state_parse(&in, other, strlen(other)), 0);
	ck_assert_ptr_nonnull(strstr(in.problem, "version 12"));
	ck_assert_int_lt(state_parse(&in, "", 0), 0);
	ck_assert_int_lt(state_parse(&in, "lust-inetd-state ", 17), 0);
	ck_assert_int_lt(state_parse(&in, "\n", 1), 0);
	ck_assert_int_lt(state_parse(&in, state_head, strlen(state_head) - 1), 0);
	ck_assert_int_eq(state_parse(&in, state_head, strlen(state_head)), 0);
	ck_assert_uint_eq(in.count, 0);
}
END_TEST

/* Whatever a damaged state says: no crash, and no supervisor of it. */
START_TEST(no_supervisor_of_a_damaged_state)
{
	static const char *const bad[] = {
		"",
		"program version=1 path=/x board=1 link=1 privileged=2\n",
		"program version=1 path=/x board=99 link=1 privileged=0\n",
		"program\ndaemon\ndispatcher\nlogger\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct diagnostics mistakes = {0};
		ck_assert_int_eq(parse(bad[i]), 0);
		ck_assert_ptr_null(state_load(&in, &mistakes));
		ck_assert_str_ne(in.problem, "");
		ck_assert_ptr_nonnull(in.half);
		upgrade_close(in.half);
		ev_loop_destroy(in.half->loop);
		free(in.half);
		diagnostics_free(&mistakes);
		state_read_free(&in);
	}
}
END_TEST

static const char *judged(int status, const char *text, char version[32])
{
	static char said[256];

	snprintf(said, sizeof(said), "%s", text);
	return upgrade_judge(status, said, version);
}

START_TEST(what_the_trial_says)
{
	char version[32];

	ck_assert_ptr_null(judged(0, "ok 1.2.3\n", version));
	ck_assert_str_eq(version, "1.2.3");
	ck_assert_ptr_null(judged(0, "warning: x\nok 2\n", version));
	ck_assert_str_eq(version, "2");
	ck_assert_ptr_nonnull(judged(0, "", version));
	ck_assert_ptr_nonnull(judged(0, "ok 1", version)); /* cut off */
	ck_assert_ptr_nonnull(judged(0, "ok \n", version));
	ck_assert_ptr_nonnull(judged(0, "ok 1\nbut no\n", version));
	ck_assert_ptr_nonnull(judged(0, "not ok 1\n", version));
	ck_assert_ptr_nonnull(judged(0, "ok 0123456789012345678901234567890123456789\n", version));
	ck_assert_ptr_nonnull(strstr(judged(W_EXITCODE(1, 0), "ok 1\n", version), "exit 1"));
	ck_assert_ptr_nonnull(strstr(judged(W_EXITCODE(0, 11), "ok 1\n", version), "SIGSEGV"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		there_and_back,         text_of_any_bytes,
		unknown_is_passed_over, wrong_structure,
		wrong_values,           numbers_that_must_be_there,
		another_version,        no_supervisor_of_a_damaged_state,
		what_the_trial_says,
	};
	Suite *suite = suite_create("upgrade");
	TCase *tcase = tcase_create("state");
	tcase_add_checked_fixture(tcase, NULL, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
