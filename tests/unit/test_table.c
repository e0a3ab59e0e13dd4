/*
 * test_table.c: whole tables: what they mean, what is wrong with them, and where that is said to be.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "reading.h"
#include "table_files.h"

/* The table is wrong, and this is said. */
static void wrong(const char *text, const char *said)
{
	struct table *table = table_of(text);

	ck_assert_msg(!table && table_said.mistakes, "accepted: %s", text);
	ck_assert_msg(table_said_has(said), "wanted: %s\nsaid:\n%s", said, table_said_all());
}

/* The table is right; it is the caller's. */
static struct table *right(const char *text)
{
	struct table *table = table_of(text);

	ck_assert_msg(table && !table_said.mistakes, "refused:\n%s", table_said_all());
	return table;
}

START_TEST(whole_service)
{
	struct table *table =
		right("service \"web\" {\n"
		      "  listen = {\"*:80\", \"h=[::1]:8080\", \"unix:/run/w.sock\"}\n"
		      "  balance = least-connections take-timeout = 250ms window = 8 overload = refuse\n"
		      "  register-users = {\"root\", \"0\"} allow-root = yes max-registered = 9\n"
		      "  server { command = {\"/bin/webd\", \"-q\"} instances = 4 umask = 077 nice = -3\n"
		      "    stop-signal = SIGINT restart = on-failure rlimit-nofile = 64 rlimit-cpu = 1m\n"
		      "    pidfile = \"/run/w.pid\" log = \"/var/log/w\" } }\n");
	const struct table_service *service = table_find(table, "web");

	ck_assert_ptr_nonnull(service);
	ck_assert_ptr_null(table_find(table, "we"));
	ck_assert_uint_eq(service->listen_count, 4);
	ck_assert_int_eq(service->listen[0].address.family, AF_INET);
	ck_assert(!service->listen[0].v6_may_lack);
	ck_assert_int_eq(service->listen[1].address.family, AF_INET6);
	ck_assert(service->listen[1].v6_may_lack);
	ck_assert_uint_eq(service->listen[1].position, 0);
	ck_assert_str_eq(service->listen[1].said, "*:80");
	ck_assert_str_eq(service->listen[2].said, "h=[::1]:8080");
	ck_assert_uint_eq(service->listen[2].name_length, 1);
	ck_assert_uint_eq(service->listen[2].position, 1);
	ck_assert_int_eq(service->dispatch->balance, BALANCE_LEAST_CONNECTIONS);
	ck_assert_uint_eq(service->dispatch->take_timeout_ms, 250);
	ck_assert_uint_eq(service->dispatch->drain_timeout_ms, 30000);
	ck_assert_uint_eq(service->dispatch->window, 8);
	ck_assert_int_eq(service->dispatch->overload, OVERLOAD_REFUSE);
	ck_assert_uint_eq(service->dispatch->register_users.count, 1);
	ck_assert(service->dispatch->allow_root);
	ck_assert_uint_eq(service->dispatch->max_registered, 9);
	ck_assert_int_eq(service->start, START_ALWAYS);
	ck_assert_str_eq(service->server->command[1], "-q");
	ck_assert_ptr_null(service->server->command[2]);
	ck_assert_uint_eq(service->server->instances, 4);
	ck_assert_uint_eq(service->server->umask, 077);
	ck_assert_int_eq(service->server->nice, -3);
	ck_assert_int_eq(service->server->stop_signal, SIGINT);
	ck_assert_int_eq(service->server->restart, RESTART_ON_FAILURE);
	ck_assert(service->server->limit[0].set && service->server->limit[0].value == 64);
	ck_assert(service->server->limit[1].set && service->server->limit[1].value == 0);
	ck_assert(!service->server->limit[2].set);
	ck_assert(service->server->limit[3].set && service->server->limit[3].value == 60);
	ck_assert_str_eq(service->server->pidfile, "/run/w.pid");
	ck_assert_int_eq(service->server->log.kind, LOG_PATH);
	ck_assert_uint_eq(service->server->uid, geteuid());
	ck_assert_uint_eq(service->server->command_origin.line, 5);
	ck_assert_str_eq(table->runtime_dir, "/run/t");
	ck_assert_str_eq(table->pidfile, "/run/t/lust-inetd.pid");
	ck_assert_str_eq(table->dispatcher_chroot, "/run/t/empty");
	table_free(table);
}
END_TEST

START_TEST(defaults_hold_wherever_they_stand)
{
	struct table *table;
	const struct table_service *a, *b;

	table_file("d.conf",
		   "defaults { drain-timeout = 1m start = always\n"
		   "  server { command = {\"/bin/d\"} env = {\"A=1\", \"B=2\"} pass-env = {\"X\"} } }");
	table = right("service \"a\" { listen = 1 server { env = {\"B=3\"} pass-env += {\"Y\"} } }\n"
		      "include(\"d.conf\")\n"
		      "service \"b\" { listen = 2 drain-timeout = 2 server { env = {} pass-env = \"Z\" "
		      "command += \"-x\" } }\n"
		      "service \"c\" { listen = 3 register-users = \"root\" allow-root = yes }\n");
	a = table_find(table, "a");
	b = table_find(table, "b");
	ck_assert_uint_eq(a->dispatch->drain_timeout_ms, 60000);
	ck_assert_uint_eq(b->dispatch->drain_timeout_ms, 2000);
	ck_assert_str_eq(a->server->env[0], "A=1");
	ck_assert_str_eq(a->server->env[1], "B=3");
	ck_assert_ptr_null(a->server->env[2]);
	ck_assert_ptr_null(b->server->env[0]);
	ck_assert_str_eq(a->server->pass_env[0], "X");
	ck_assert_str_eq(a->server->pass_env[1], "Y");
	ck_assert_str_eq(b->server->pass_env[0], "Z");
	ck_assert_ptr_null(b->server->pass_env[1]);
	ck_assert_str_eq(b->server->command[0], "/bin/d");
	ck_assert_str_eq(b->server->command[1], "-x");
	ck_assert(a->server->command_origin.from_defaults);
	ck_assert_int_eq(table_find(table, "c")->start, START_EXTERNAL);
	ck_assert(!table_find(table, "c")->has_server);
	table_free(table);
}
END_TEST

#define SERVER "server { command = \"/bin/x\" }"

static const struct {
	const char *text, *said;
} mistakes[] = {
	{"user = root", "t.conf:1: user: user belongs in server { } or dispatcher { }"},
	{"\nservice \"a\" { " SERVER " }", "t.conf:2: a: listen: is missing"},
	{"service \"a\" { listen = {} " SERVER " }", "t.conf:1: a: listen: is missing"},
	{"service \"a\" { lisen = 1 }", "a: lisen: unknown word (did you mean listen?)"},
	{"service \"a\" { listen = 1\n only-from = \"x\" }", "t.conf:2: a: only-from: not supported yet"},
	{"service \"a\" { listen = 1\n socket { backlog = 1 } }", "t.conf:2: a: socket: not supported yet"},
	{"service \"a\" { listen = 1 mode = exec }", "a: mode: exec is not supported yet (connections)"},
	{"service \"a\" { listen = 1 acknowledge = never }", "none of its values (taken or done)"},
	{"service \"a\" { listen = {1,\n \"unix:/s\"}\n acknowledge = done }",
	 "t.conf:3: a: acknowledge: done is for TCP only, and unix:/s (t.conf:2) is a Unix socket"},
	{"defaults { acknowledge = done }\nservice \"a\" {\n listen = \"unix:@s\" }",
	 "t.conf:2: a: acknowledge: done is for TCP only, and unix:@s (t.conf:3) is a Unix socket"},
	{"service \"a\" { listen = 1 start = on-demand }", "a: start: on-demand is not supported yet"},
	{"service \"a\" { listen = 1 balance = random }",
	 "none of its values (round-robin, least-connections or source-hash)"},
	{"service \"a\" { listen = 1\n listen = 2 }", "t.conf:2: a: listen: set twice, first in t.conf:1"},
	{"service \"a\" { listen = 1 } \nservice \"a\" { listen = 2 }",
	 "t.conf:2: a: a second service of this name, the first is in t.conf:1"},
	{"defaults { }\n defaults { }", "t.conf:2: defaults: set twice, first in t.conf:1"},
	{"log = syslog\n\nlog = stderr", "t.conf:3: log: set twice, first in t.conf:1"},
	{"service \"a\" { listen = 1 " SERVER "\n server { comand = 1 } }",
	 "t.conf:2: a: comand: unknown word (did you mean command?)"},
	{"service \"a b\" { listen = 1 }", "service: \"a b\" is no name"},
	{"service { listen = 1 }", "service: is written service \"NAME\" { }"},
	{"service = 1", "service: is written service \"NAME\" { }"},
	{"service \"a\" { listen = 1 server \"x\" { } }", "a: server: a section without a name of its own"},
	{"service \"a\" { listen = 1 server = 1 }", "a: server: is a section"},
	{"service \"a\" { listen { } }", "a: listen: takes a value"},
	{"service \"a\" { balance += source-hash }", "a: balance: has one value"},
	{"service \"a\" { balance = {source-hash} }", "a: balance: unexpected token"},
	{"service \"a\" {\n listen = {\n \"1\"\n \"2\" } }", "t.conf:4: a: listen: unexpected token"},
	{"service \"a\" { listen = 1 start = external\n" SERVER " }",
	 "t.conf:2: a: server: has no effect with start = external"},
	{"service \"a\" { listen = 1 start = always }", "a: start: nothing to start"},
	{"service \"a\" { listen = 1 max-registered = 2 }",
	 "a: max-registered: has no effect without register-users"},
	{"service \"a\" { listen = 1 server { } }", "a: command: is missing"},
	{"service \"a\" { listen = 1 server { command = \"x\" } }", "a: command: \"x\" is no absolute path"},
	{"service \"a\" { listen = 1 server { command = \"/x\" restart = never restart-limit = 2 } }",
	 "a: restart-limit: has no effect with restart = never"},
	{"service \"a\" { listen = 1 server { command = \"/x\" restart-delay = 1m } }",
	 "a: restart-delay: restart-delay is 60000 ms, more than"},
	{"service \"a\" { listen = 1 server { command = \"/x\" env = {\"A\"} } }",
	 "a: env: \"A\" is no NAME=VALUE"},
	{"service \"a\" { listen = 1 server { command = \"/x\" env = {\"LUST_FD=4\"} } }",
	 "a: env: LUST_FD: names with LUST_ are set by lust-inetd"},
	{"service \"a\" { listen = 1 server { command = \"/x\" env-file = \"none\" } }",
	 "a: env-file: none: No such file"},
	{"service \"a\" { listen = 1 server { command = \"/x\" instances = 0 } }",
	 "a: instances: \"0\" is out of range (1 to 8192)"},
	{"service \"a\" { listen = 1 server { command = \"/x\" umask = 1000 } }",
	 "a: umask: \"1000\" is no mask"},
	{"service \"a\" { listen = 1 server { command = \"/x\" nice = 20 } }",
	 "a: nice: \"20\" is no priority"},
	{"service \"a\" { listen = 1 server { command = \"/x\" stop-signal = FOO } }",
	 "a: stop-signal: \"FOO\" is no signal"},
	{"service \"a\" { listen = 1 server { command = \"/x\" rlimit-as = 1T } }",
	 "a: rlimit-as: \"1T\" is no limit"},
	{"service \"a\" { listen = 1 server { command = \"/x\" log = here } }", "a: log: \"here\" is no log"},
	{"service \"a\" { listen = 1 server { command = \"/x\" chroot = \"/srv\" } }",
	 "a: chroot: needs root"},
	{"service \"a\" { listen = 1 server { command = \"/x\" groups = {} } }", "a: groups: needs root"},
	{"service \"a\" { listen = 1 optional = maybe }", "a: optional: \"maybe\" is neither yes nor no"},
	{"service \"a\" { listen = 1 take-timeout = 0 }",
	 "a: take-timeout: \"0\" is out of range (1ms to 49d)"},
	{"service \"a\" { listen = 1 drain-timeout = 50d }", "a: drain-timeout: \"50d\" is out of range"},
	{"service \"a\" { listen = 1 register-users = \"no-such-user\" }",
	 "a: register-users: there is no user \"no-such-user\""},
	{"service \"a\" { listen = 1 register-groups = \"\" }", "a: register-groups: an empty name"},
	{"service \"a\" { listen = {\"1\", # x\n\n \"300.1:2\"} }", "t.conf:3: a: listen: \"300.1:2\""},
	{"service \"a\" { listen = 1 server { command = \"/x\" env = {\n\"A=1\",\n\"B\"} } }",
	 "t.conf:3: a: env: \"B\""},
	{"defaults { listen = 1 }", "defaults: listen: an address is of one service only"},
	{"defaults { window = 0 }\nservice \"a\" { listen = 1 }\nservice \"b\" { listen = 2 }",
	 "t.conf:1: defaults: window: \"0\" is out of range"},
	{"runtime-dir = \"x\"", "t.conf:1: runtime-dir: \"x\" is no absolute path"},
	{"log-level = loud", "log-level: \"loud\" is none of its values"},
	{"include(\"none.conf\")", "include: none.conf: No such file"},
	{"include()", "include: takes one file or pattern"},
	{"include(\"a\", \"b\")", "include: takes one file or pattern"},
	{"include(a\nb)", "t.conf:2: include: between ( and ) stand values with commas between them"},
	{"include(a,)", "include: between ( and ) stand values with commas"},
	{"include(,a)", "include: between ( and ) stand values with commas"},
	{"include = \"x\"", "include: is written include(\"FILE\")"},
	{"include(\"t.conf\")", "include: t.conf is the table itself"},
	{"include(\".\")", "include: .: Is a directory"},
	{"service \"lust-inetd\" { listen = 1 " SERVER " }",
	 "pidfile: /run/t/lust-inetd.pid is the pidfile of the daemon itself too"},
	{"service \"a\" { listen = 1 server { command = \"/x\" instances = 2 } } service \"a.2\" { listen = "
	 "2 " SERVER " }",
	 "a.2: pidfile: /run/t/a.2.pid is the pidfile of service a too"},
	{"service \"a\" { listen = 1 server { command = \"/x\" instances = 2 pidfile = \"/r/w\" } } service "
	 "\"b\" { "
	 "listen = 2 server { command = \"/x\" pidfile = \"/r/w.2\" } }",
	 "b: pidfile: /r/w.2 is the pidfile of service a too"},
};

START_TEST(told_mistakes)
{
	wrong(mistakes[_i].text, mistakes[_i].said);
}
END_TEST

static const struct {
	const char *one, *other;
	bool collide;
} addresses[] = {
	{"80", "*:80", true},
	{"0.0.0.0:80", "127.0.0.1:80", true},
	{"127.0.0.1:80", "0.0.0.0:80", true},
	{"127.0.0.1:80", "80", true},
	{"127.0.0.1:80", "127.0.0.1:80", true},
	{"127.0.0.1:80", "127.0.0.2:80", false},
	{"0.0.0.0:80", "[::]:80", false},
	{"[::1]:80", "[::]:80", true},
	{"[::1]:80", "80", true},
	{"80", "81", false},
	{"unix:/a", "unix:/a", true},
	{"unix:/a", "unix:/b", false},
	{"unix:@/a", "unix:/a", false},
	{"unix:@x", "n=unix:@x", true},
};

START_TEST(address_twice)
{
	struct table *table;
	char text[512], said[128];

	snprintf(text, sizeof(text),
		 "service \"a\" {\n listen = \"%s\"\n" SERVER "}\nservice \"b\" {\n listen = \"%s\"\n" SERVER
		 "}",
		 addresses[_i].one, addresses[_i].other);
	snprintf(said, sizeof(said), "t.conf:5: b: listen: \"%s\" is taken by \"%s\" of a in t.conf:2",
		 addresses[_i].other, addresses[_i].one);
	if (addresses[_i].collide) {
		wrong(text, said);
		ck_assert_uint_eq(table_said.count, 1);
		return;
	}
	table = right(text);
	table_free(table);
}
END_TEST

START_TEST(all_mistakes_of_all_files_in_their_order)
{
	table_file("inc/b.conf", "service \"b1\" { listen = 2\n window = x\n" SERVER " }\n/* open\n");
	table_file("inc/a.conf", "\nservice \"a1\" { listen = \"300:1\" " SERVER " }\n");
	table_file("t.conf",
		   "include(\"inc/*.conf\")\nservice \"m\" { foo = 1\n  optional = 7 listen = 9 }\n");
	ck_assert_ptr_null(table_files_read(false));
	ck_assert_str_eq(table_said_all(), "t.conf:2: m: foo: unknown word in service { }\n"
					   "t.conf:2: warning: m: nobody can serve it: no server { }, no "
					   "register-users, no register-groups\n"
					   "t.conf:3: m: optional: \"7\" is neither yes nor no\n"
					   "inc/a.conf:2: a1: listen: \"300:1\": \"300\" is no address (a "
					   "numeric one, IPv6 in brackets: "
					   "127.0.0.1:80, [::1]:80)\n"
					   "inc/b.conf:2: b1: window: \"x\" is no number\n"
					   "inc/b.conf:4: this /* is not closed\n");
}
END_TEST

START_TEST(includes)
{
	struct table *table;
	char name[32], text[64];

	table_file("x/one.conf", "include(\"../y/*.none\") service \"one\" { listen = 1 " SERVER " }");
	table = right("include(\"x/one.conf\")");
	ck_assert_uint_eq(table->service_count, 1);
	ck_assert_uint_eq(table->file_count, 2);
	table_free(table);
	wrong("include(\"x/one.conf\")\ninclude(\"x/*.conf\")",
	      "t.conf:2: include: x/one.conf is read twice, first in t.conf:1");
	table_file("x/one.conf", "include(\"two.conf\")");
	table_file("x/two.conf", "\ninclude(\"one.conf\")");
	wrong("include(\"x/one.conf\")", "x/two.conf:2: include: x/one.conf is read twice");
	for (int i = 1; i <= 17; i++) {
		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(text, sizeof(text), "include(\"deep%d\")", i + 1);
		table_file(name, i < 17 ? text : "");
	}
	wrong("include(\"deep1\")", "deep16:1: include: more than 16 files deep");
	table_file("deep16", "");
	table_free(right("include(\"deep1\")"));
}
END_TEST

START_TEST(env_files)
{
	static char passed[] = "PASSED=1", longer[] = "PASSEDX=2", zone[] = "TZ=UTC";
	char *own[] = {passed, longer, zone, NULL}, **environment;
	struct table *table;

	table_file("e.env", "# comment\n\n A=from file\nB='quoted '\r\nC=\n");
	table = right(
		"service \"a\" { listen = 1 server { command = \"/x\" env-file = \"e.env\" env = {\"A=own\"} "
		"pass-env = {\"PASSED\", \"NOT_SET\"} } }");
	environment = environment_build(&table->service[0], 3, own);
	ck_assert_ptr_nonnull(environment);
	ck_assert_str_eq(environment[0], "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	for (const char *const *want =
		     (const char *const[]){"TZ=UTC", "PASSED=1", "A=own", "B=quoted ", "C=", "LUST_SERVICE=a",
					   "LUST_INSTANCE=3", "LUST_FD=3", NULL};
	     *want; want++) {
		bool found = false;

		for (char **entry = environment; *entry; entry++)
			found |= !strcmp(*entry, *want);
		ck_assert_msg(found, "%s", *want);
	}
	for (char **entry = environment; *entry; entry++)
		ck_assert(strncmp(*entry, "PASSEDX", 7) != 0 && strncmp(*entry, "NOT_SET", 7) != 0);
	environment_free(environment);
	table_free(table);
	table_file("e.env", "A=1\nexport B=2\n");
	wrong("service \"a\" { listen = 1 server { command = \"/x\" env-file = \"e.env\" } }",
	      "e.env:2: no NAME=VALUE");
}
END_TEST

START_TEST(as_root)
{
	struct table *table;
	const struct table_server *server;

	table_file("t.conf", "dispatcher { user = 4242 }\n"
			     "service \"a\" { listen = 1 server { command = \"/x\" user = 4243 group = 4244 "
			     "groups = {\"5\", \"6\"} "
			     "chroot = \"/srv\" } }\n"
			     "service \"b\" { listen = 2 server { command = \"/x\" user = root } }\n"
			     "service \"c\" { listen = 3 server { command = \"/x\" user = 4242 } }\n");
	table = table_files_read(true);
	ck_assert_msg(table != NULL, "%s", table_said_all());
	ck_assert(table->dispatcher_user_set);
	ck_assert_uint_eq(table->dispatcher_uid, 4242);
	ck_assert_str_eq(table->pidfile, "/run/lust-inetd.pid");
	server = table->service[0].server;
	ck_assert_uint_eq(server->uid, 4243);
	ck_assert_uint_eq(server->gid, 4244);
	ck_assert_uint_eq(server->groups.count, 2);
	ck_assert_uint_eq(server->groups.id[1], 6);
	ck_assert_str_eq(server->chroot, "/srv");
	ck_assert_str_eq(server->user_home, "");
	ck_assert_str_eq(table->service[1].server->user_name, "root");
	ck_assert_uint_eq(table_said.warnings, 2);
	ck_assert(table_said_has("t.conf:3: warning: b: user: the server runs as root"));
	ck_assert(table_said_has("t.conf:4: warning: c: user: 4242 is the dispatcher's user"));
	table_free(table);
	table_file("t.conf", "dispatcher { user = root }\nservice \"a\" { listen = 1 " SERVER " }\n");
	ck_assert_ptr_null(table_files_read(true));
	ck_assert(table_said_has("t.conf:1: dispatcher: user: the dispatcher must not be root"));
	ck_assert(table_said_has("t.conf:2: a: user: is missing"));
}
END_TEST

START_TEST(runtime_dir_of_a_broken_table)
{
	char path[128], *found;

	table_file("inc.conf", "runtime-dir = \"/run/elsewhere\"");
	table_file("t.conf", "nonsense }\nservice \"a\" { foo = \ninclude(\"inc.conf\")\ndefaults { ");
	snprintf(path, sizeof(path), "%s/t.conf", table_directory);
	found = table_runtime_dir(path);
	ck_assert_ptr_null(found); /* the include stands in the open service */
	table_file("t.conf", "nonsense }\ninclude(\"inc.conf\")\nservice \"a\" { foo = 1 listen = \"x\n");
	found = table_runtime_dir(path);
	ck_assert_str_eq(found, "/run/elsewhere");
	free(found);
	table_file("t.conf", "runtime-dir = relative");
	ck_assert_ptr_null(table_runtime_dir(path));
	ck_assert_ptr_null(table_runtime_dir("/nonexistent/t.conf"));
}
END_TEST

START_TEST(changed_on_disk)
{
	struct table *table;
	struct timespec when = {0, 0};

	table_file("e.env", "A=1\n");
	table_file("inc.conf",
		   "service \"a\" { listen = 1 server { command = \"/x\" env-file = \"e.env\" } }");
	table = right("include(\"inc.conf\")");
	ck_assert_uint_eq(table->file_count, 3);
	ck_assert(!table_changed_on_disk(table, &when));
	table_file("e.env", "A=12\n");
	ck_assert(table_changed_on_disk(table, &when));
	ck_assert_int_gt(when.tv_sec, 0);
	table_file("e.env", "A=1\n");
	unlink(table->file_read[1].path);
	ck_assert(table_changed_on_disk(table, NULL));
	table_free(table);
}
END_TEST

START_TEST(shown)
{
	struct table *table = right("defaults { drain-timeout = 1m }\n"
				    "service \"web\" { listen = {\"*:80\"}\n"
				    "  server { command = {\"/bin/w\", \"a b\"} env = {\"SECRET=hush\"} } }");
	char *text = NULL;
	size_t size;
	FILE *out;

	for (int reveal = 0; reveal < 2; reveal++) {
		out = open_memstream(&text, &size);
		ck_assert_ptr_nonnull(out);
		ck_assert_int_eq(table_show(out, table, &table->service[0], reveal), 0);
		ck_assert_int_eq(fclose(out), 0);
		ck_assert_ptr_nonnull(strstr(text, "balance = round-robin    # default\n"));
		ck_assert_ptr_nonnull(strstr(text, "/t.conf:1 (defaults)\n"));
		ck_assert_ptr_nonnull(strstr(text, "listen = {\"*:80\"}    # "));
		ck_assert_ptr_nonnull(strstr(text, "command = {\"/bin/w\", \"a b\"}    # "));
		ck_assert_ptr_nonnull(strstr(text, "pidfile = /run/t/web.pid    # default\n"));
		ck_assert_ptr_nonnull(strstr(text, "\nLUST_FD=3\n"));
		ck_assert_ptr_nonnull(strstr(text, reveal ? "\nSECRET=hush\n" : "\nSECRET=hidden\n"));
		ck_assert_int_eq(strstr(text, "hush") != NULL, reveal);
		free(text);
	}
	table_free(table);
}
END_TEST

/* Far above what it takes: what is caught is a loop in a loop. */
#define MANY 10000

static void many(void (*write_service)(FILE *out, int number), bool is_right)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct table *table;

	ck_assert_ptr_nonnull(out);
	for (int i = 0; i < MANY; i++)
		write_service(out, i);
	ck_assert_int_eq(fclose(out), 0);
	table_file("t.conf", text);
	free(text);
	table = table_files_read(false);
	ck_assert_msg(is_right == (table != NULL), "%s", is_right ? table_said_all() : "accepted");
	if (table)
		ck_assert_uint_eq(table->service_count, MANY);
	else
		ck_assert_uint_ge(table_said.mistakes, 2 * MANY);
	table_free(table);
}

static void write_right(FILE *out, int number)
{
	fprintf(out,
		"service \"s%d\" {\n  listen = {\"127.1.%d.%d:80\"}\n  drain-timeout = 5s\n"
		"  server { command = {\"/bin/webd\", \"-n\", \"%d\"} }\n}\n",
		number, number / 250, number % 250 + 1, number);
}

static void write_wrong(FILE *out, int number)
{
	fprintf(out, "service \"s%d\" {\n  listen = \"127.1.1.1.%d:80\"\n  wndow = 1\n}\n", number, number);
}

START_TEST(ten_thousand_services)
{
	many(write_right, true);
	many(write_wrong, false);
}
END_TEST

/* As `upgrade` hands them on: the same table again, whatever lies on the disk by then. */
START_TEST(of_files_that_were_handed_over)
{
	struct table_options options = {.runtime_dir = "/run/t"};
	struct table_diff diff;

	table_file("d/a.conf", "service \"a\" { listen = 8001 server { command = \"/bin/a\" } }\n");
	table_file("d/b.conf",
		   "service \"b\" { listen = 8002 server { command = \"/bin/b\" env-file = \"env\" } }\n");
	table_file("d/env", "A=1\n");
	table_file("d/c", "not read\n");
	struct table *table = right("include(\"d/*.conf\")\n");
	ck_assert_uint_eq(table->file_count, 4);
	options.file = table->file_read;
	options.file_count = table->file_count;
	/* Broken, changed, new: none of it is looked at. */
	table_file("t.conf", "nonsense");
	table_file("d/a.conf", "");
	table_file("d/env", "B=2\n");
	table_file("d/x.conf", "service \"x\" { listen = 8003 }\n");
	struct diagnostics said = {0};
	struct table *again = table_read(table->file, &options, &said);
	ck_assert_msg(again != NULL, "%s", said.count ? said.item[0].text : "");
	ck_assert_int_eq(table_diff(table, again, &diff), 0);
	ck_assert_uint_eq(diff.count, 2);
	for (size_t i = 0; i < diff.count; i++)
		ck_assert(diff.pair[i].before && diff.pair[i].after && !diff.pair[i].change);
	ck_assert_str_eq(table_find(again, "b")->server->env[0], "A=1");
	ck_assert_uint_eq(again->file_count, 4);
	/* Whether it changed is still told by what was read then. */
	ck_assert(table_changed_on_disk(again, NULL));
	table_diff_free(&diff);
	diagnostics_free(&said);

	/* What was not handed over is not there. */
	options.file_count--;
	struct table *less = table_read(table->file, &options, &said);
	ck_assert(!less && said.mistakes);
	diagnostics_free(&said);
	table_free(again);
	table_free(table);
}
END_TEST

/* With a limit for files, too, of which the memory is not allowed to be one: going beyond it would be a signal. */
START_TEST(read_by_a_child)
{
	const struct table_options options = {.regular = true};
	const struct rlimit limit = {.rlim_cur = _i ? 1 << 20 : RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	struct diagnostics said;
	char path[4200];
	int status;

	table_file("child.conf", "service \"web\" {\n listen = 8080\n register-users = \"0\"\n"
				 " allow-root = yes\n}\n");
	snprintf(path, sizeof(path), "%s/child.conf", table_directory);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct reading *reading = reading_new();
	ck_assert_ptr_nonnull(reading);
	pid_t pid = fork();
	if (pid == 0) {
		reading_run(reading, path, &options);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	struct table *table = reading_take(reading, &said);
	ck_assert_uint_eq(said.mistakes, 0);
	ck_assert_ptr_nonnull(table);
	ck_assert_uint_eq(table->service_count, 1);
	ck_assert_str_eq(table->service[0].name, "web");
	ck_assert_str_eq(table->service[0].file, path);
	diagnostics_free(&said);
	table_free(table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("table");
	TCase *tests = tcase_create("table");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, table_files_setup, table_files_teardown);
	tcase_add_test(tests, whole_service);
	tcase_add_test(tests, defaults_hold_wherever_they_stand);
	tcase_add_loop_test(tests, told_mistakes, 0, sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_loop_test(tests, address_twice, 0, sizeof(addresses) / sizeof(addresses[0]));
	tcase_add_test(tests, all_mistakes_of_all_files_in_their_order);
	tcase_add_test(tests, includes);
	tcase_add_test(tests, env_files);
	tcase_add_test(tests, as_root);
	tcase_add_test(tests, runtime_dir_of_a_broken_table);
	tcase_add_test(tests, changed_on_disk);
	tcase_add_test(tests, shown);
	tcase_add_test(tests, of_files_that_were_handed_over);
	tcase_add_test(tests, ten_thousand_services);
	tcase_add_loop_test(tests, read_by_a_child, 0, 2);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
