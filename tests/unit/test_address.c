/*
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"

static struct address tcp(const char *ip, uint16_t port)
{
	struct address address;

	ck_assert_int_eq(address_parse_ip(ip, &address), 0);
	address.port = port;
	return address;
}

static struct address unix_path(const char *path, bool abstract)
{
	struct address address = {.kind = ADDRESS_UNIX, .family = AF_UNIX, .abstract = abstract};

	address.path_length = (uint16_t)strlen(path);
	address.path = path;
	return address;
}

static void check_text(const struct address *address, const char *expected)
{
	char text[ADDRESS_TEXT];

	ck_assert_str_eq(address_format(address, text), expected);
}

/* There and back again gives the same address. */
static void check_round(const struct address *address)
{
	struct sockaddr_storage storage;
	struct address back;
	socklen_t length = address_to_sockaddr(address, &storage);

	ck_assert_int_eq(address_from_sockaddr(&back, (struct sockaddr *)&storage, length), 0);
	ck_assert(address_equal(address, &back));
}

START_TEST(test_parse)
{
	struct address a = tcp("127.0.0.1", 80);

	check_text(&a, "tcp:127.0.0.1:80");
	check_round(&a);
	a = tcp("::1", 8080);
	check_text(&a, "tcp:[::1]:8080");
	check_round(&a);
	a = tcp("fe80::1%3", 1);
	ck_assert_uint_eq(a.scope, 3);
	check_text(&a, "tcp:[fe80::1%3]:1");
	check_round(&a);
	a = tcp("fe80::1%lo", 1);
	ck_assert_uint_gt(a.scope, 0);
}
END_TEST

START_TEST(test_parse_refuses)
{
	static const char *const bad[] = {
		"",          "1.2.3",
		"1.2.3.4.5", "01.2.3.4x",
		"localhost", "[::1]",
		"::1%",      "::1%no-such-interface",
		"1.2.3.4%1", "::1%4294967296",
		"::g",       "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd",
	};
	struct address a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(address_parse_ip(bad[i], &a) == -EINVAL, "%s was taken", bad[i]);
}
END_TEST

START_TEST(test_mapped_is_unmapped)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_scope_id = 7};
	struct address a, b = tcp("10.1.2.3", 9);

	inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr);
	ck_assert_int_eq(address_from_sockaddr(&a, (struct sockaddr *)&in6, sizeof(in6)), 0);
	ck_assert(address_equal(&a, &b));
}
END_TEST

START_TEST(test_unix)
{
	char longest[109];
	struct address a = unix_path("/run/x.sock", false), b = unix_path("/run/x.sock", true);

	check_text(&a, "unix:/run/x.sock");
	check_text(&b, "unix:@/run/x.sock");
	check_round(&a);
	check_round(&b);
	ck_assert(!address_equal(&a, &b));
	memset(longest, 'x', 108);
	longest[108] = '\0';
	a = unix_path(longest, false);
	check_round(&a);
	longest[107] = '\0';
	b = unix_path(longest, true);
	check_round(&b);
	a = unix_path("/a\nb\033c\x7f", false);
	check_text(&a, "unix:/a?b?c?");
}
END_TEST

/* An accepted Unix socket's peer has mostly no name at all. */
START_TEST(test_unnamed)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_storage storage;
	struct address a;

	ck_assert_int_eq(
		address_from_sockaddr(&a, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path)), 0);
	ck_assert_uint_eq(a.path_length, 0);
	ck_assert_uint_eq(a.abstract, 0);
	check_text(&a, "unix:");
	ck_assert_uint_eq(address_to_sockaddr(&a, &storage), offsetof(struct sockaddr_un, sun_path));
}
END_TEST

START_TEST(test_from_refuses)
{
	struct sockaddr_storage storage = {.ss_family = AF_INET6};
	struct address a;

	ck_assert_int_eq(address_from_sockaddr(&a, (struct sockaddr *)&storage, sizeof(struct sockaddr_in)),
			 -EAFNOSUPPORT);
	ck_assert_int_eq(address_from_sockaddr(&a, (struct sockaddr *)&storage, 0), -EAFNOSUPPORT);
	storage.ss_family = AF_NETLINK;
	ck_assert_int_eq(address_from_sockaddr(&a, (struct sockaddr *)&storage, sizeof(storage)),
			 -EAFNOSUPPORT);
}
END_TEST

START_TEST(test_overlaps)
{
	struct address any4 = tcp("0.0.0.0", 80), any6 = tcp("::", 80), one4 = tcp("10.0.0.1", 80);
	struct address other4 = tcp("10.0.0.2", 80), port4 = tcp("10.0.0.1", 81), one6 = tcp("::1", 80);
	struct address link2 = tcp("fe80::1%2", 80), link3 = tcp("fe80::1%3", 80), link0 = tcp("fe80::1", 80);
	struct address path = unix_path("/x", false), same = unix_path("/x", false),
		       name = unix_path("/x", true);

	ck_assert(address_overlaps(&any4, &one4));
	ck_assert(address_overlaps(&one4, &any4));
	ck_assert(address_overlaps(&one4, &one4));
	ck_assert(!address_overlaps(&one4, &other4));
	ck_assert(!address_overlaps(&one4, &port4));
	ck_assert(!address_overlaps(&any4, &any6));
	ck_assert(!address_overlaps(&any4, &one6));
	ck_assert(address_overlaps(&any6, &link2));
	ck_assert(!address_overlaps(&link2, &link3));
	ck_assert(address_overlaps(&link0, &link3));
	ck_assert(address_overlaps(&path, &same));
	ck_assert(!address_overlaps(&path, &name));
	ck_assert(!address_overlaps(&path, &one4));
	ck_assert(!address_equal(&link2, &link3));
	ck_assert(!address_equal(&one4, &port4));
}
END_TEST

/* More than an address holds is cut. */
START_TEST(test_wrong_length)
{
	char path[200];
	struct address a = {
		.kind = ADDRESS_UNIX, .family = AF_UNIX, .path_length = sizeof(path), .path = path};
	struct sockaddr_storage storage;
	char text[ADDRESS_TEXT];

	memset(path, 'y', sizeof(path));
	ck_assert_uint_le(address_to_sockaddr(&a, &storage), sizeof(struct sockaddr_un));
	ck_assert_uint_lt(strlen(address_format(&a, text)), sizeof(text));
	a.abstract = 1;
	ck_assert_uint_le(address_to_sockaddr(&a, &storage), sizeof(struct sockaddr_un));
	ck_assert_uint_lt(strlen(address_format(&a, text)), sizeof(text));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *tc = tcase_create("address");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_parse);
	tcase_add_test(tc, test_parse_refuses);
	tcase_add_test(tc, test_mapped_is_unmapped);
	tcase_add_test(tc, test_unix);
	tcase_add_test(tc, test_unnamed);
	tcase_add_test(tc, test_from_refuses);
	tcase_add_test(tc, test_overlaps);
	tcase_add_test(tc, test_wrong_length);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
