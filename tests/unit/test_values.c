/*
 * test_values.c: values, `listen` words, nearest names.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "listen.h"
#include "schema.h"
#include "table.h"
#include "values.h"

START_TEST(times)
{
	static const struct {
		const char *text;
		int answer;
		uint64_t ms;
	} want[] = {{"5", 0, 5000},
		    {"0", 0, 0},
		    {"100ms", 0, 100},
		    {"5s", 0, 5000},
		    {"2m", 0, 120000},
		    {"1h", 0, 3600000},
		    {"3d", 0, 259200000},
		    {"1m30s", 0, 90000},
		    {"", -EINVAL, 0},
		    {"s", -EINVAL, 0},
		    {"5x", -EINVAL, 0},
		    {"1m30", -EINVAL, 0},
		    {"-1", -EINVAL, 0},
		    {"5 s", -EINVAL, 0},
		    {"1.5s", -EINVAL, 0},
		    {"99999999999999999999", -ERANGE, 0},
		    {"18446744073709551615d", -ERANGE, 0}};
	uint64_t ms;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ck_assert_msg(value_time(want[i].text, &ms) == want[i].answer, "%s", want[i].text);
		if (!want[i].answer)
			ck_assert_uint_eq(ms, want[i].ms);
	}
}
END_TEST

START_TEST(numbers)
{
	uint64_t number;
	unsigned octal;
	int integer;
	bool yes;
	rlim_t limit;

	ck_assert_int_eq(value_number("18446744073709551615", &number), 0);
	ck_assert_int_eq(value_number("18446744073709551616", &number), -ERANGE);
	ck_assert_int_eq(value_number("1a", &number), -EINVAL);
	ck_assert_int_eq(value_number("", &number), -EINVAL);
	ck_assert_int_eq(value_size("2K", &number), 0);
	ck_assert_uint_eq(number, 2048);
	ck_assert_int_eq(value_size("3G", &number), 0);
	ck_assert_uint_eq(number, UINT64_C(3) << 30);
	ck_assert_int_eq(value_size("1KB", &number), -EINVAL);
	ck_assert_int_eq(value_size("99999999999999999G", &number), -ERANGE);
	ck_assert_int_eq(value_octal("022", &octal), 0);
	ck_assert_uint_eq(octal, 022);
	ck_assert_int_eq(value_octal("8", &octal), -EINVAL);
	ck_assert_int_eq(value_octal("77777777777777", &octal), -ERANGE);
	ck_assert_int_eq(value_integer("-20", &integer), 0);
	ck_assert_int_eq(integer, -20);
	ck_assert_int_eq(value_integer("--2", &integer), -EINVAL);
	ck_assert_int_eq(value_integer("99999999999", &integer), -ERANGE);
	ck_assert_int_eq(value_bool("yes", &yes), 0);
	ck_assert(yes);
	ck_assert_int_eq(value_bool("off", &yes), 0);
	ck_assert(!yes);
	ck_assert_int_eq(value_bool("maybe", &yes), -EINVAL);
	ck_assert_int_eq(value_limit("unlimited", &limit), 0);
	ck_assert(limit == RLIM_INFINITY);
	ck_assert_int_eq(value_limit("18446744073709551615", &limit), -ERANGE);
}
END_TEST

START_TEST(signals)
{
	int number;

	ck_assert_int_eq(value_signal("TERM", &number), 0);
	ck_assert_int_eq(number, SIGTERM);
	ck_assert_int_eq(value_signal("SIGUSR1", &number), 0);
	ck_assert_int_eq(number, SIGUSR1);
	ck_assert_int_eq(value_signal("9", &number), 0);
	ck_assert_int_eq(number, 9);
	ck_assert_int_eq(value_signal("RTMIN+2", &number), 0);
	ck_assert_int_eq(number, SIGRTMIN + 2);
	ck_assert_int_lt(value_signal("0", &number), 0);
	ck_assert_int_lt(value_signal("65", &number), 0);
	ck_assert_int_lt(value_signal("SIG", &number), 0);
	ck_assert_int_lt(value_signal("NOTHING", &number), 0);
	ck_assert_int_lt(value_signal("RTMIN+99", &number), 0);
}
END_TEST

START_TEST(names)
{
	char longest[65];

	memset(longest, 'a', 64);
	longest[64] = '\0';
	ck_assert(value_is_name("a", 1));
	ck_assert(value_is_name("9a.b_c-d", 8));
	ck_assert(value_is_name(longest, 63));
	ck_assert(!value_is_name(longest, 64));
	ck_assert(!value_is_name("", 0));
	ck_assert(!value_is_name(".a", 2));
	ck_assert(!value_is_name("a/b", 3));
	ck_assert_uint_eq(value_env_name("A_1=x"), 3);
	ck_assert_uint_eq(value_env_name("=x"), 0);
	ck_assert_uint_eq(value_env_name("1A=x"), 0);
}
END_TEST

static unsigned port_named(void *context, const char *name)
{
	(void)context;
	return !strcmp(name, "http") ? 80 : 0;
}

/* What a `listen` word becomes, as address_format() tells it, or "error: why". */
static const char *listened(const char *text, struct listen_word *word)
{
	static char told[LISTEN_WHY + ADDRESS_TEXT];
	char why[LISTEN_WHY];
	char address[ADDRESS_TEXT];

	if (listen_parse(text, port_named, NULL, word, why))
		snprintf(told, sizeof(told), "error: %s", why);
	else
		snprintf(told, sizeof(told), "%s%s", address_format(&word->address, address),
			 word->both ? " both" : "");
	return told;
}

static const struct {
	const char *text, *want;
	size_t name;
} listens[] = {
	{"80", "tcp:0.0.0.0:80 both", 0},
	{":80", "tcp:0.0.0.0:80 both", 0},
	{"*:80", "tcp:0.0.0.0:80 both", 0},
	{"http", "tcp:0.0.0.0:80 both", 0},
	{"tcp:*:http", "tcp:0.0.0.0:80 both", 0},
	{"tcp:80", "tcp:0.0.0.0:80 both", 0},
	{"127.0.0.1:8080", "tcp:127.0.0.1:8080", 0},
	{"[::]:80", "tcp:[::]:80", 0},
	{"[2001:DB8:0::1]:65535", "tcp:[2001:db8::1]:65535", 0},
	{"web=[::1]:80", "tcp:[::1]:80", 3},
	{"a=tcp:80", "tcp:0.0.0.0:80 both", 1},
	{"unix:/run/x.sock", "unix:/run/x.sock", 0},
	{"unix:@a=b", "unix:@a=b", 0},
	{"n=unix:@x", "unix:@x", 1},
	{"", "error: is empty", 0},
	{"0", "error: port 0 is out of range", 0},
	{"65536", "error: port 65536 is out of range", 0},
	{"80x", "error: \"80x\" is no port", 0},
	{"gopherhole", "error: no port is named", 0},
	{"localhost:80", "error: \"localhost\" is no address", 0},
	{"my-host:80", "error: \"my-host\" is no address", 0},
	{"256.0.0.1:80", "error: \"256.0.0.1\" is no address", 0},
	{"127.0.0.1", "error: the port is missing", 0},
	{"127.0.0.1:", "error: the port is missing", 0},
	{"::1:80", "error: an IPv6 address is written", 0},
	{"[::1]", "error: an IPv6 address is written", 0},
	{"[::1:80", "error: an IPv6 address is written", 0},
	{"[127.0.0.1]:80", "error: brackets are for IPv6", 0},
	{"[::ffff:1.2.3.4]:80", "error: an IPv4 address in IPv6 form", 0},
	{"udp:53", "error: udp is not supported yet", 0},
	{"seqpacket:/x", "error: seqpacket is not supported yet", 0},
	{"vsock:1:2", "error: vsock is not supported yet", 0},
	{"mptcp:80", "error: mptcp is not supported yet", 0},
	{"unix:relative", "error: a Unix socket is unix:/PATH", 0},
	{"unix:@", "error: the socket's name is missing", 0},
	{"unix:/run/", "error: the socket's name is missing", 0},
	{"unix:/a\nb", "error: a control character", 0},
	{"/run/x.sock", "error: a Unix socket is written unix:/run/x.sock", 0},
	{"-a=80", "error: \"-a\" is no name", 0},
	{"=80", "error: \"\" is no name", 0},
	{"a=", "error: no address behind the name", 0},
};

START_TEST(listen_words)
{
	struct listen_word word;
	const char *got = listened(listens[_i].text, &word);

	ck_assert_msg(!strncmp(got, listens[_i].want, strlen(listens[_i].want)), "%s: %s", listens[_i].text,
		      got);
	if (strncmp(got, "error", 5) != 0) {
		ck_assert_str_eq(got, listens[_i].want);
		ck_assert_uint_eq(word.name_length, listens[_i].name);
	}
}
END_TEST

START_TEST(unix_path_length)
{
	struct listen_word word;
	char text[140] = "unix:/";

	memset(text + 6, 'x', 106);
	ck_assert(strncmp(listened(text, &word), "error", 5) != 0);
	ck_assert_uint_eq(word.address.path_length, 107);
	text[112] = 'x';
	ck_assert(!strncmp(listened(text, &word), "error: 108 bytes", 16));
}
END_TEST

START_TEST(nearest)
{
	static const char *const words[] = {"listen", "balance", "start", "log"};

	ck_assert_str_eq(nearest_name("lisen", words, 4), "listen");
	ck_assert_str_eq(nearest_name("lsiten", words, 4), "listen");
	ck_assert_str_eq(nearest_name("balanced", words, 4), "balance");
	ck_assert_str_eq(nearest_name("lgo", words, 4), "log");
	ck_assert_ptr_null(nearest_name("rate", words, 0));
	ck_assert_ptr_null(nearest_name("command", words, 4));
	ck_assert_ptr_null(nearest_name("", words, 4));
	ck_assert_ptr_null(nearest_name("listenlistenlistenlistenlistenlistenlistenlisten", words, 4));
}
END_TEST

START_TEST(unknown_words)
{
	char text[200];

	schema_explain(SECTION_SERVICE, "user", text, sizeof(text));
	ck_assert_str_eq(text, "user belongs in server { } or dispatcher { }");
	schema_explain(SECTION_SERVER, "listen", text, sizeof(text));
	ck_assert_str_eq(text, "listen belongs in service { }");
	schema_explain(SECTION_SERVICE, "backlog", text, sizeof(text));
	ck_assert_str_eq(text, "backlog belongs in socket { } (not supported yet)");
	schema_explain(SECTION_SERVICE, "lisen", text, sizeof(text));
	ck_assert_str_eq(text, "unknown word (did you mean listen?)");
	schema_explain(SECTION_SERVICE, "comand", text, sizeof(text));
	ck_assert_str_eq(text, "unknown word (did you mean command, which belongs in server { }?)");
	schema_explain(SECTION_SERVICE, "zzzzzz", text, sizeof(text));
	ck_assert_str_eq(text, "unknown word in service { }");
}
END_TEST

START_TEST(schema_is_whole)
{
	for (int id = 0; id < WORD_COUNT; id++) {
		ck_assert_msg(schema_by_id((enum word_id)id) != NULL, "word %d", id);
		ck_assert_int_eq(schema_by_id((enum word_id)id)->id, id);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("values");
	TCase *tests = tcase_create("values");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, times);
	tcase_add_test(tests, numbers);
	tcase_add_test(tests, signals);
	tcase_add_test(tests, names);
	tcase_add_loop_test(tests, listen_words, 0, sizeof(listens) / sizeof(listens[0]));
	tcase_add_test(tests, unix_path_length);
	tcase_add_test(tests, nearest);
	tcase_add_test(tests, unknown_words);
	tcase_add_test(tests, schema_is_whole);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
