/*
 * test_render.c: `status` as people and as programs read it, from records that no daemon had to make.
 */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "render.h"
#include "short_forms.h"

#define NOW UINT64_C(1700000000)

static struct snapshot snapshot;
static char *text;

static struct control_record *record(enum control_record_type type)
{
	static struct control_record one;

	memset(&one, 0, sizeof(one));
	one.version = CONTROL_VERSION;
	one.type = (uint16_t)type;
	return &one;
}

static void put(char *to, const char *from)
{
	memcpy(to, from, strlen(from) + 1);
}

static void add_daemon(void)
{
	struct control_record *of = record(CONTROL_DAEMON);

	put(of->daemon.version, "1.0.0");
	put(of->daemon.config, "/etc/lust-inetd.conf");
	of->daemon.pid = 812;
	of->daemon.time_s = NOW;
	of->daemon.uptime_ms = UINT64_C(12) * 86400 * 1000 + 7;
	of->daemon.dispatcher_pid = 813;
	of->daemon.reload_ok = 1;
	ck_assert_int_eq(snapshot_add(&snapshot, of), 0);
}

static struct control_service *add_service(const char *name, enum control_service_state state,
					   const char *reason)
{
	struct control_record *of = record(CONTROL_SERVICE);

	put(of->service.name, name);
	put(of->service.reason, reason);
	of->service.state = state;
	of->service.wanted = 4;
	of->service.ready = 3;
	of->service.connections.active = 212;
	of->service.per_s_10 = 410;
	ck_assert_int_eq(snapshot_add(&snapshot, of), 0);
	return &snapshot.service[snapshot.services - 1].service;
}

static struct control_listener *add_listener(const char *said, const char *address)
{
	struct control_record *of = record(CONTROL_LISTENER);
	struct snapshot_service *last;

	put(of->listener.said, said);
	put(of->listener.address, address);
	of->listener.bound = 1;
	of->listener.backlog = 4096;
	ck_assert_int_eq(snapshot_add(&snapshot, of), 0);
	last = &snapshot.service[snapshot.services - 1];
	return &last->listener[last->listeners - 1];
}

static struct control_server *add_server(unsigned instance, enum control_server_state state)
{
	struct control_record *of = record(CONTROL_SERVER);
	struct snapshot_service *last;

	of->server.instance = instance;
	of->server.slot = instance;
	of->server.state = state;
	of->server.supervised = 1;
	of->server.pid = 1000 + (int)instance;
	of->server.state_s = NOW - 60;
	ck_assert_int_eq(snapshot_add(&snapshot, of), 0);
	last = &snapshot.service[snapshot.services - 1];
	return &last->server[last->servers - 1];
}

typedef void renderer(FILE *, const struct snapshot *, bool);

static void render_with(renderer *render, bool problems_only)
{
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	render(out, &snapshot, problems_only);
	ck_assert_int_eq(fclose(out), 0);
}

static void setup(void)
{
	setenv("TZ", "UTC", 1);
	memset(&snapshot, 0, sizeof(snapshot));
	text = NULL;
	add_daemon();
}

static void teardown(void)
{
	snapshot_free(&snapshot);
	free(text);
}

static void ck_has(const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

static void ck_has_not(const char *part)
{
	ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in:\n%s", part, text);
}

static void ck_narrow(void)
{
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");

		ck_assert_msg(length <= 80, "%zu columns: %.*s", length, (int)length, line);
		line += length + (line[length] == '\n');
	}
}

static void example(void)
{
	struct control_server *server;
	struct control_service *api;

	add_service("ok", SERVICE_READY, "");
	add_listener("*:25", "tcp:0.0.0.0:25");
	add_service("web", SERVICE_DEGRADED, "");
	add_listener("*:80", "tcp:0.0.0.0:80");
	add_listener("*:80", "tcp:[::]:80");
	add_listener("unix:/run/web.sock", "unix:/run/web.sock");
	add_server(1, SERVER_READY);
	server = add_server(2, SERVER_BACKOFF);
	server->until_s = NOW + 12;
	server->last_exit_s = NOW - 40;
	server->restarts = 7;
	put(server->last_exit, "SIGSEGV");
	api = add_service("api", SERVICE_FULL,
			  "clients wait 1.4s (p99); raise instances, or the servers' capacity");
	api->wanted = api->ready = 2;
	add_listener("*:8080", "tcp:0.0.0.0:8080")->waiting = 31;
}

START_TEST(test_status_of_the_page)
{
	example();
	snapshot.daemon.config_changed = 1;
	snapshot.daemon.config_changed_s = NOW - 60;
	snapshot_sort(&snapshot);
	render_with(render_status, false);
	ck_assert_str_eq(text, "lust-inetd 1.0.0, up 12d, pid 812; /etc/lust-inetd.conf CHANGED since 22:12\n"
			       "SERVICE       STATE    SERVERS  ACTIVE   WAIT    /S  DROP ADDRESS\n"
			       "api           full         2/2     212     31   410     0 *:8080\n"
			       "  clients wait 1.4s (p99); raise instances, or the servers' capacity\n"
			       "web           degraded     3/4     212      0   410     0 *:80 +1\n"
			       "  server 2: backoff, again in 12s; SIGSEGV 40s ago, 7th restart\n"
			       "ok            ready        3/4     212      0   410     0 *:25\n");
}
END_TEST

START_TEST(test_only_problems)
{
	example();
	snapshot_sort(&snapshot);
	ck_assert(snapshot_any_trouble(&snapshot));
	render_with(render_status, true);
	ck_has("web ");
	ck_has_not("ok  ");
	ck_has_not("pid 812");
	free(text);
	render_with(render_json, true);
	ck_has("\"name\": \"web\"");
	ck_has_not("\"name\": \"ok\"");
}
END_TEST

START_TEST(test_no_problems_is_silence)
{
	add_service("ok", SERVICE_READY, "");
	add_service("later", SERVICE_STARTING, "");
	add_service("outside", SERVICE_WAITING, "");
	ck_assert(!snapshot_any_trouble(&snapshot));
	render_with(render_status, true);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(test_troubles_of_the_whole)
{
	struct control_record *line = record(CONTROL_PROBLEM);

	snapshot.daemon.reload_s = NOW;
	snapshot.daemon.reload_ok = 0;
	put(line->line.text, "web.conf:14: web: rate: \"200\" lacks /TIME");
	ck_assert_int_eq(snapshot_add(&snapshot, line), 0);
	ck_assert_int_eq(snapshot_add(&snapshot, line), 0);
	ck_assert(snapshot_any_trouble(&snapshot));
	render_with(render_status, true);
	ck_has("! reload 22:13 failed: web.conf:14: web: rate: \"200\" lacks /TIME (and 1 more:\n"
	       "lust-inetd check)");
	snapshot.daemon.reload_ok = 1;
	ck_assert(!snapshot_any_trouble(&snapshot));
	snapshot.daemon.dispatcher_pid = 0;
	put(snapshot.daemon.dispatcher_last_exit, "SIGKILL");
	ck_assert(snapshot_any_trouble(&snapshot));
	free(text);
	render_with(render_status, false);
	ck_has("! no dispatcher");
	ck_has("SIGKILL");
}
END_TEST

START_TEST(test_unbound_address_is_trouble)
{
	struct control_listener *listener;

	add_service("ok", SERVICE_READY, "");
	listener = add_listener("*:80", "tcp:0.0.0.0:80");
	listener->bound = 0;
	listener->retry_s = 5;
	put(listener->error, "Address already in use");
	ck_assert(snapshot_any_trouble(&snapshot));
	render_with(render_status, true);
	ck_has("  tcp:0.0.0.0:80: not bound: Address already in use, again in 5s\n");
}
END_TEST

START_TEST(test_worst_first_and_stable)
{
	add_service("b", SERVICE_READY, "");
	add_service("a", SERVICE_READY, "");
	add_service("c", SERVICE_FAILED, "");
	add_service("e", SERVICE_READY, "");
	add_listener("*:1", "tcp:0.0.0.0:1")->bound = 0;
	add_service("d", SERVICE_STARTING, "");
	snapshot_sort(&snapshot);
	ck_assert_str_eq(snapshot.service[0].service.name, "c");
	ck_assert_str_eq(snapshot.service[1].service.name, "e");
	ck_assert_uint_eq(snapshot.service[1].listeners, 1);
	ck_assert_str_eq(snapshot.service[2].service.name, "d");
	ck_assert_str_eq(snapshot.service[3].service.name, "b");
	ck_assert_str_eq(snapshot.service[4].service.name, "a");
}
END_TEST

/* Nothing from outside breaks the page, or reaches the terminal as a command to it. */
START_TEST(test_long_and_dirty)
{
	struct control_service *service;
	struct control_server *server;
	char long_path[120];

	memset(long_path, 'x', sizeof(long_path));
	memcpy(long_path, "unix:/", 6);
	memcpy(long_path + 106, ".sock", 6);
	service = add_service(
		"a-very-long-name-of-a-service-that-nobody-would-type-0042", SERVICE_DEGRADED,
		"a reason that is so long that it has to go on in a second line, and says what to change");
	service->wanted = service->ready = 4000000000u;
	service->connections.active = UINT64_MAX;
	service->per_s_10 = UINT64_MAX;
	add_listener(long_path, long_path)->waiting = UINT64_MAX / 2;
	add_listener("*:80", "tcp:0.0.0.0:80")->dropped = UINT64_MAX;
	server = add_server(3, SERVER_FAILED);
	put(server->last_exit, "exec /x\x1b[2J: No such file");
	put(server->last_line, "bell \a and escape \x1b]0;owned\a");
	render_with(render_status, false);
	ck_narrow();
	ck_has("a-very-l~0042");
	ck_has(" +1\n");
	ck_assert_ptr_null(strpbrk(text, "\x1b\a"));
	free(text);
	render_with(render_details, false);
	ck_assert_ptr_null(strpbrk(text, "\x1b\a"));
	free(text);
	render_with(render_json, false);
	ck_assert_ptr_null(strpbrk(text, "\x1b\a"));
	ck_has("\\u001b[2J");
}
END_TEST

START_TEST(test_many_troubled_servers)
{
	add_service("web", SERVICE_FAILED, "");
	for (unsigned i = 1; i <= 10; i++)
		add_server(i, SERVER_FAILED);
	render_with(render_status, false);
	ck_has("server 3:");
	ck_has_not("server 4:");
	ck_has("and 7 more: lust-inetd status web");
}
END_TEST

START_TEST(test_details)
{
	struct control_service *service;
	struct control_server *server;

	service = add_service("web", SERVICE_READY, "");
	service->connections = (struct board_reading){.accepted = 100,
						      .pending = 2,
						      .taken = 90,
						      .active = 10,
						      .done = 79,
						      .died = 1,
						      .lost = 0,
						      .redispatched = 3};
	service->connections.denied[DENIED_OVERLOAD] = 5;
	service->connections.closed[CLOSED_TOUCHED] = 3;
	service->latency = (struct board_percentiles){90, 80, 1400, 12000};
	add_listener("*:80", "tcp:0.0.0.0:80");
	server = add_server(1, SERVER_READY);
	server->capacity = 100;
	server = add_server(0, SERVER_READY);
	server->supervised = 0;
	put(server->label, "by hand");
	render_with(render_details, false);
	ck_narrow();
	ck_has("accepted 100 = 2 pending + 90 taken + 5 denied + 3 closed + 0 lost\n");
	ck_has("taken 90 = 10 active + 79 done + 1 died\n");
	ck_has("denied 5: overload = refuse\n");
	ck_has("closed 3: its server died after it had begun\n");
	ck_has("from accept to taken: 80us (p50) 1.4ms (p99) 12ms (max)");
	ck_has("outside");
	ck_has("by hand");
}
END_TEST

/* Several of one instance are told apart by generation and age. */
START_TEST(test_generations)
{
	static const struct {
		uint32_t generation, active;
		uint64_t uptime_ms;
		enum control_server_state state;
	} one[] = {{3, 7, 7200000, SERVER_DRAINING}, {4, 1, 30000, SERVER_READY}};

	add_service("web", SERVICE_READY, "");
	for (unsigned i = 0; i < 2; i++) {
		struct control_server *server = add_server(1, one[i].state);
		server->generation = one[i].generation;
		server->active = one[i].active;
		server->uptime_ms = one[i].uptime_ms;
	}
	render_with(render_details, false);
	ck_narrow();
	ck_has("  SERVER   GEN     PID   UID STATE     FOR  AGE  CAP PEND ACTIVE  TAKEN REST\n");
	ck_has("  1          3    1001     0 draining  60s   2h    -    0      7      0    0\n");
	ck_has("  1          4    1001     0 ready     60s  30s    -    0      1      0    0\n");
}
END_TEST

START_TEST(test_json_is_the_pages)
{
	struct control_service *service = add_service("web", SERVICE_FULL, "why");
	struct control_server *server;

	service->state_s = NOW - 5;
	service->until_s = NOW + 7;
	service->connections.accepted = 1;
	add_listener("*:80", "tcp:0.0.0.0:80");
	server = add_server(1, SERVER_BACKOFF);
	server->slot = BOARD_NONE;
	server->uptime_ms = 1500;
	server->until_s = NOW + 3;
	render_with(render_json, false);
	ck_has("{\"schema\": 1, \"version\": \"1.0.0\", \"time\": 1700000000, \"pid\": 812, \"uptime_s\": "
	       "1036800.007, "
	       "\"config\": \"/etc/lust-inetd.conf\", \"config_changed\": false, \"generation\": 0, "
	       "\"last_reload\": {\"time\": 0, \"ok\": true, \"errors\": []}, \"warnings\": [], "
	       "\"dispatcher_pid\": 813, \"dispatcher\": {\"uptime_s\": 0.000, \"restarts\": 0, "
	       "\"last_exit\": \"\", "
	       "\"fds\": 0, \"fds_limit\": 0}, \"services\": [{\"name\": \"web\", \"mode\": \"connections\", "
	       "\"state\": \"full\", \"reason\": \"why\", \"state_s\": 5, \"until_s\": 7, \"generation\": 0, "
	       "\"wanted\": 4, \"ready\": 3, \"per_s\": {\"10s\": 410, \"60s\": 0}, \"listen\": [{\"said\": "
	       "\"*:80\", "
	       "\"name\": \"\", \"address\": \"tcp:0.0.0.0:80\", \"bound\": true, \"error\": \"\", "
	       "\"retry_s\": 0, "
	       "\"waiting\": 0, \"backlog\": 4096, \"dropped\": 0}], \"connections\": {\"since\": 0, "
	       "\"accepted\": 1, "
	       "\"pending\": 0, \"taken\": 0, \"active\": 212, \"done\": 0, \"died\": 0, \"redispatched\": "
	       "0, "
	       "\"lost\": 0, \"denied\": {\"address\": 0, \"time\": 0, \"load\": 0, \"per_source\": 0, "
	       "\"rate\": 0, "
	       "\"source_rate\": 0, \"max_connections\": 0, \"overload\": 0}, \"closed\": {\"client_left\": "
	       "0, "
	       "\"touched\": 0, \"no_server\": 0, \"shutdown\": 0}}, \"latency_us\": {\"p50\": 0, \"p99\": "
	       "0, "
	       "\"max\": 0}, \"waited_us\": {\"p50\": 0, \"p99\": 0, \"max\": 0}, \"servers\": [{\"slot\": "
	       "-1, "
	       "\"instance\": 1, \"pid\": 1001, \"uid\": 0, \"supervised\": true, \"label\": \"\", "
	       "\"generation\": 0, \"state\": \"backoff\", \"state_s\": 60, \"until_s\": 3, \"capacity\": 0, "
	       "\"pending\": 0, \"active\": 0, \"taken\": 0, \"refused\": 0, \"stalls\": 0, \"restarts\": 0, "
	       "\"uptime_s\": 1.500, \"last_exit\": \"\", \"last_exit_s\": 0, \"last_line\": \"\"}]}]}\n");
}
END_TEST

START_TEST(test_records_out_of_order)
{
	ck_assert_int_lt(snapshot_add(&snapshot, record(CONTROL_LISTENER)), 0);
	ck_assert_int_lt(snapshot_add(&snapshot, record(CONTROL_SERVER)), 0);
	/* of a later version: passed over */
	ck_assert_int_eq(snapshot_add(&snapshot, record(99)), 0);
}
END_TEST

START_TEST(test_states_without_a_name)
{
	ck_assert_str_eq(render_service_state(77), "?");
	ck_assert_str_eq(render_server_state(UINT32_MAX), "?");
}
END_TEST

START_TEST(test_short_forms)
{
	char out[FORMAT_SHORT], cut[41];

	ck_assert_str_eq(format_duration(out, 40), "40s");
	ck_assert_str_eq(format_duration(out, 100), "1m");
	ck_assert_str_eq(format_duration(out, 3 * 3600), "3h");
	ck_assert_str_eq(format_duration(out, 12 * 86400 + 5), "12d");
	ck_assert_str_eq(format_time(out, 999), "999us");
	ck_assert_str_eq(format_time(out, 1449), "1.4ms");
	ck_assert_str_eq(format_time(out, 1400000), "1.4s");
	ck_assert_str_eq(format_count(out, 99999, 5), "99999");
	ck_assert_str_eq(format_count(out, 100000, 5), "100k");
	ck_assert_str_eq(format_count(out, 12345678, 5), "12M");
	ck_assert_uint_le(strlen(format_count(out, UINT64_MAX, 4)), 4);
	ck_assert_str_eq(format_ordinal(out, 1), "1st");
	ck_assert_str_eq(format_ordinal(out, 12), "12th");
	ck_assert_str_eq(format_ordinal(out, 22), "22nd");
	ck_assert_str_eq(format_ordinal(out, 113), "113th");
	ck_assert_str_eq(format_clock(out, NOW, NOW), "22:13");
	ck_assert_str_eq(format_clock(out, NOW - 86400, NOW), "2023-11-13");
	ck_assert_str_eq(format_cut(cut, sizeof(cut), 10, "0123456789"), "0123456789");
	ck_assert_str_eq(format_cut(cut, sizeof(cut), 10, "01234567890"), "012345~890");
	/* characters, not bytes; and never half of one */
	ck_assert_str_eq(format_cut(cut, sizeof(cut), 4, "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"),
			 "\xc3\xbc\xc3\xbc~\xc3\xbc");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("render");
	TCase *tests = tcase_create("render");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_status_of_the_page);
	tcase_add_test(tests, test_only_problems);
	tcase_add_test(tests, test_no_problems_is_silence);
	tcase_add_test(tests, test_troubles_of_the_whole);
	tcase_add_test(tests, test_unbound_address_is_trouble);
	tcase_add_test(tests, test_worst_first_and_stable);
	tcase_add_test(tests, test_long_and_dirty);
	tcase_add_test(tests, test_many_troubled_servers);
	tcase_add_test(tests, test_details);
	tcase_add_test(tests, test_generations);
	tcase_add_test(tests, test_json_is_the_pages);
	tcase_add_test(tests, test_records_out_of_order);
	tcase_add_test(tests, test_states_without_a_name);
	tcase_add_test(tests, test_short_forms);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
