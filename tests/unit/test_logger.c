/*
 * The real program over a socket pair: targets, sources, events, the end.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "event.h"
#include "logger_link.h"

#define LIMIT_MS 20000

static struct channel link_channel;
static int event_pipe[2];
static pid_t logger;
static char directory[64];
static struct logger_message hello;

static struct logger_message message(enum logger_type type)
{
	struct logger_message m = {.version = LOGGER_VERSION, .type = (uint16_t)type};

	return m;
}

static void tell(const struct logger_message *m, int fd)
{
	ck_assert_int_eq(channel_send(&link_channel, m, &fd, fd >= 0 ? 1 : 0), 0);
}

/* The next message of the logger. */
static struct logger_message hear(void)
{
	struct pollfd readable = {.fd = link_channel.fd, .events = POLLIN};
	struct logger_message m;
	int fds[CHANNEL_FDS];
	unsigned count;

	ck_assert_int_eq(poll(&readable, 1, LIMIT_MS), 1);
	ck_assert_int_eq(channel_receive(&link_channel, &m, fds, &count), 1);
	ck_assert_uint_eq(count, 0);
	return m;
}

static struct logger_message hear_type(enum logger_type type)
{
	struct logger_message m;

	do
		m = hear();
	while (m.type != type);
	return m;
}

static void spawn(const struct logger_message *first)
{
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	ck_assert_int_eq(pipe2(event_pipe, O_CLOEXEC), 0);
	logger = fork();
	ck_assert_int_ge(logger, 0);
	if (logger == 0) {
		if (ends[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(ends[1], 3);
		execl(LOGGER_PROGRAM, "lust-logger", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	channel_init(&link_channel, ends[0], sizeof(struct logger_message));
	tell(first, event_pipe[0]);
	ck_assert_uint_eq(hear().type, LOGGER_READY);
}

static void make_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test_logger.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	hello = message(LOGGER_HELLO);
	hello.hello.unprivileged = 1;
}

static void start(void)
{
	struct logger_message level = message(LOGGER_LEVEL);

	make_directory();
	spawn(&hello);
	level.level = LEVEL_NOTICE;
	tell(&level, -1);
}

static int exit_status(void)
{
	int status;

	channel_close(&link_channel);
	ck_assert_int_eq(waitpid(logger, &status, 0), logger);
	logger = 0;
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *path(const char *name)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s/%s", directory, name);
	return text;
}

static void clean_up(void)
{
	static const char *const names[] = {"log", "second", "fifo"};

	if (logger > 0) {
		kill(logger, SIGKILL);
		waitpid(logger, NULL, 0);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(path(names[i]));
	rmdir(directory);
}

static void set_target(uint32_t index, enum logger_kind kind, int fd)
{
	struct logger_message m = message(LOGGER_TARGET);

	m.target.target = index;
	m.target.kind = kind;
	tell(&m, fd);
	if (fd >= 0)
		channel_close_after(&link_channel, fd);
}

static int open_log(const char *name)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* The writing end of a new server's output. */
static int add_server(uint32_t number, const char *name, uint32_t target, uint32_t instance,
		      uint32_t generation)
{
	struct logger_message m = message(LOGGER_SOURCE);
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	m.source.source = number;
	m.source.target = target;
	m.source.instance = instance;
	m.source.generation = generation;
	m.source.pid = 1234;
	snprintf(m.source.name, sizeof(m.source.name), "%s", name);
	tell(&m, ends[0]);
	channel_close_after(&link_channel, ends[0]);
	return ends[1];
}

static int add_source(uint32_t number, const char *name, uint32_t target)
{
	return add_server(number, name, target, 1, 1);
}

static void add_service(uint32_t index, const char *name, uint32_t target)
{
	struct logger_message m = message(LOGGER_SERVICE);

	m.service.service = index;
	m.service.target = target;
	snprintf(m.service.name, sizeof(m.service.name), "%s", name);
	tell(&m, -1);
}

static void say(uint32_t level, const char *name, const char *text)
{
	struct logger_message m = message(LOGGER_TEXT);

	m.line.level = level;
	snprintf(m.line.name, sizeof(m.line.name), "%s", name);
	snprintf(m.line.text, sizeof(m.line.text), "%s", text);
	tell(&m, -1);
}

static void print(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Ends a source and waits until the logger has read all of it. */
static struct logger_source end_source(int fd)
{
	close(fd);
	return hear_type(LOGGER_SOURCE_END).source;
}

/* Everything that was logged; freed by the caller. */
static char *contents(const char *name)
{
	struct stat status;
	int fd = open(path(name), O_RDONLY | O_CLOEXEC);
	char *text;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &status), 0);
	text = calloc(1, (size_t)status.st_size + 1);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(read(fd, text, (size_t)status.st_size), status.st_size);
	close(fd);
	return text;
}

static bool matches(const char *name, const char *pattern)
{
	char *text = contents(name);
	regex_t regex;
	bool found;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0);
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	if (!found)
		fprintf(stderr, "no /%s/ in:\n%.2000s", pattern, text);
	regfree(&regex);
	free(text);
	return found;
}

static bool lacks(const char *name, const char *words)
{
	char *text = contents(name);
	bool found = strstr(text, words) != NULL;

	free(text);
	return !found;
}

#define TIME "^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2} "

/* While it prints beside one of another generation in its place, and only then. */
START_TEST(test_generations)
{
	int old, young, other;

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	old = add_server(1, "web", LOGGER_DAEMON, 1, 1);
	other = add_server(2, "web", LOGGER_DAEMON, 2, 2);
	print(other, "of another instance\n");
	end_source(other);
	young = add_server(3, "web", LOGGER_DAEMON, 1, 2);
	other = add_server(4, "api", LOGGER_DAEMON, 1, 3);
	print(other, "of another service\n");
	end_source(other);
	print(old, "still here\n");
	end_source(old);
	print(young, "alone\n");
	end_source(young);
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("log", TIME "info web\\[1234\\]: of another instance$"));
	ck_assert(matches("log", TIME "info api\\[1234\\]: of another service$"));
	ck_assert(matches("log", TIME "info web#1\\[1234\\]: still here$"));
	ck_assert(matches("log", TIME "info web\\[1234\\]: alone$"));
}
END_TEST

START_TEST(test_lines)
{
	int web;

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	web = add_source(1, "web", LOGGER_DAEMON);
	say(LEVEL_NOTICE, "", "started");
	say(LEVEL_WARNING, "web", "a\nb");
	say(LEVEL_DEBUG, "web", "not at this level");
	print(web, "listening\n\x1b[1mred\nlast words");
	ck_assert_str_eq(end_source(web).last, "last words");
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("log", TIME "notice lust-inetd: started$"));
	ck_assert(matches("log", TIME "warning web: a\\\\nb$"));
	ck_assert(matches("log", TIME "info web\\[1234\\]: listening$"));
	ck_assert(matches("log", TIME "info web\\[1234\\]: \\\\x1b\\[1mred$"));
	ck_assert(matches("log", TIME "info web\\[1234\\]: last words$"));
	ck_assert(lacks("log", "not at this level"));
}
END_TEST

START_TEST(test_last_line)
{
	struct logger_source source;
	char longest[301];
	int web;

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	web = add_source(77, "web", LOGGER_DAEMON);
	print(web, "one\n");
	source = hear_type(LOGGER_LAST).source;
	ck_assert_uint_eq(source.source, 77);
	ck_assert_str_eq(source.last, "one");
	memset(longest, 'x', 300);
	longest[300] = '\0';
	print(web, longest);
	source = hear_type(LOGGER_LAST).source; /* without a newline, after a while */
	ck_assert_uint_eq(strlen(source.last), sizeof(source.last) - 1);
	print(web, "rest\n");
	ck_assert_str_eq(end_source(web).last, "rest");
	ck_assert(matches("log", "web\\[1234\\]: \\.\\.\\. rest$"));
}
END_TEST

static struct event event(enum event_code code)
{
	struct event e = {.code = (uint16_t)code, .service = 3, .pid = 812, .id = UINT64_C(7) << 48 | 9};

	return e;
}

/* Events are read in order, so when this one is logged, all before it were. */
static void wait_for_event(void)
{
	struct event e = event(EVENT_STARTED);
	struct pollfd changed = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
	char notes[4096];

	ck_assert_int_ge(changed.fd, 0);
	ck_assert_int_ge(inotify_add_watch(changed.fd, path("log"), IN_MODIFY), 0);
	e.service = BOARD_NONE;
	e.number = 4711;
	ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	while (lacks("log", "generation 4711")) {
		ck_assert_int_eq(poll(&changed, 1, LIMIT_MS), 1);
		ck_assert_int_gt(read(changed.fd, notes, sizeof(notes)), 0);
	}
	close(changed.fd);
}

START_TEST(test_events)
{
	struct event e = event(EVENT_CLOSED_NO_SERVER);

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	set_target(5, LOGGER_FILE, open_log("second"));
	add_service(3, "web", 5);
	add_service(4, "api", 99);           /* a target that was never told: the daemon's */
	end_source(add_source(1, "web", 5)); /* all orders above are done */
	ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	e.service = 4;
	ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	e.code = EVENT_CLOSED_CLIENT_LEFT; /* info: below the level */
	ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	e.code = 999;
	ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	wait_for_event();
	ck_assert_int_eq(write(event_pipe[1], "garbage", 7), 7);
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("second",
			  "warning web: connection 7:9 from an unknown client closed: no server is left"));
	ck_assert(matches("log", "warning api: connection 7:9 "));
	ck_assert(lacks("log", "client left"));
	ck_assert(matches("log", "reports of the dispatcher made no sense"));
}
END_TEST

/* A new logger finds what the dispatcher reported while there was none: not before it knows where that goes. */
START_TEST(test_events_wait_for_names)
{
	struct event e = event(EVENT_LOST);

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	end_source(add_source(1, "web", LOGGER_DAEMON)); /* the loop has turned */
	add_service(3, "web", 5);
	set_target(5, LOGGER_FILE, open_log("second"));
	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	wait_for_event();
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("second", "error web: connection 7:9 "));
	ck_assert(lacks("log", "7:9"));
}
END_TEST

START_TEST(test_reopen)
{
	int web;

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	web = add_source(1, "web", LOGGER_DAEMON);
	print(web, "before\n");
	hear_type(LOGGER_LAST);
	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("second"));
	end_source(add_source(2, "other", LOGGER_DAEMON)); /* the order is done */
	print(web, "after\n");
	end_source(web);
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("log", "before$"));
	ck_assert(matches("second", "after$"));
	ck_assert(lacks("log", "after"));
}
END_TEST

/* The link ends with everything still unread, and the writers alive. */
START_TEST(test_drain)
{
	struct event e = event(EVENT_LOST);
	int web;

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	ck_assert_int_eq(kill(logger, SIGSTOP), 0);
	web = add_source(1, "web", LOGGER_DAEMON);
	for (int i = 0; i < 1000; i++)
		print(web, "a line of its own\n");
	print(web, "unfinished");
	ck_assert_int_eq(write(event_pipe[1], &e, sizeof(e)), sizeof(e));
	say(LEVEL_ERROR, "", "goodbye");
	channel_close(&link_channel);
	ck_assert_int_eq(kill(logger, SIGCONT), 0);
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("log", "a line of its own$"));
	ck_assert(matches("log", "unfinished$"));
	ck_assert(matches("log", "7:9 .*lost"));
	ck_assert(matches("log", "goodbye$"));
	close(web);
}
END_TEST

/* A log that nobody reads, be it a FIFO, a pipe or a socket: the loop goes on, and says later what it could not write. */
START_TEST(test_slow_target)
{
	struct pollfd readable;
	char line[101], data[65536], *all = calloc(1, 8 << 20);
	size_t total = 0;
	ssize_t n;
	int fifo, web, ends[2];

	ck_assert_ptr_nonnull(all);
	if (_i == 0) {
		ck_assert_int_eq(mkfifo(path("fifo"), 0600), 0);
		ends[0] = open(path("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		ends[1] = open(path("fifo"), O_WRONLY | O_CLOEXEC);
	} else if (_i == 1) {
		ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	} else {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	}
	fifo = ends[0];
	ck_assert_int_ge(fifo, 0);
	set_target(LOGGER_DAEMON, LOGGER_STDERR, ends[1]);
	memset(line, 'z', 100);
	line[99] = '\n';
	line[100] = '\0';
	web = add_source(1, "web", LOGGER_DAEMON);
	for (int i = 0; i < 10000; i++) /* 1 MB: more than pipe and queue hold */
		print(web, line);
	end_source(web);
	web = add_source(2, "web", LOGGER_DAEMON);
	readable = (struct pollfd){.fd = fifo, .events = POLLIN};
	while (!strstr(all, "lines dropped")) {
		ck_assert_int_eq(poll(&readable, 1, LIMIT_MS), 1);
		n = read(fifo, data, sizeof(data));
		ck_assert_int_gt(n, 0);
		ck_assert_uint_lt(total + (size_t)n, 8 << 20);
		memcpy(all + total, data, (size_t)n);
		total += (size_t)n;
	}
	ck_assert_ptr_nonnull(strstr(all, "they came faster than the log takes them\n"));
	print(web, "works\n");
	end_source(web);
	ck_assert_int_eq(exit_status(), 0);
	n = read(fifo, all, 1 << 20);
	ck_assert_int_gt(n, 0);
	all[n] = '\0';
	ck_assert_ptr_nonnull(strstr(all, "works\n"));
	free(all);
	close(fifo);
}
END_TEST

START_TEST(test_full_disk)
{
	int web, full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(full, 0);
	set_target(LOGGER_DAEMON, LOGGER_FILE, full);
	web = add_source(1, "web", LOGGER_DAEMON);
	print(web, "lost one\nlost two\n");
	hear_type(LOGGER_LAST);
	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	end_source(add_source(2, "other", LOGGER_DAEMON));
	print(web, "again\n");
	end_source(web);
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("log", "warning lust-inetd: 2 lines dropped: .*: No space left on device$"));
	ck_assert(matches("log", "again$"));
	ck_assert(lacks("log", "lost one"));
}
END_TEST

/* One server prints without end: the others and the events are not kept waiting, nor is the end. */
START_TEST(test_flood)
{
	int web, quiet;
	pid_t flood;

	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	set_target(1, LOGGER_FILE, open("/dev/null", O_WRONLY | O_CLOEXEC));
	web = add_source(1, "web", 1);
	flood = fork();
	ck_assert_int_ge(flood, 0);
	if (flood == 0) {
		close(link_channel.fd); /* or the link would not end */
		while (write(web, "y\ny\ny\ny\n", 8) > 0)
			;
		_exit(0);
	}
	close(web);
	quiet = add_source(2, "quiet", LOGGER_DAEMON);
	print(quiet, "heard\n");
	close(quiet);
	ck_assert_uint_eq(hear_type(LOGGER_SOURCE_END).source.source, 2);
	wait_for_event();
	ck_assert_int_eq(exit_status(), 0);
	kill(flood, SIGKILL);
	ck_assert_int_eq(waitpid(flood, NULL, 0), flood);
	ck_assert(matches("log", "quiet\\[1234\\]: heard$"));
}
END_TEST

static void expect_datagram(int fd, const char *pattern)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	char text[1024];
	regex_t regex;
	ssize_t n;

	ck_assert_int_eq(poll(&readable, 1, LIMIT_MS), 1);
	n = recv(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "no /%s/ in: %s", pattern, text);
	regfree(&regex);
}

START_TEST(test_syslog_and_journal)
{
	int syslog_ends[2], journal_ends[2], web, api;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, syslog_ends), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, journal_ends), 0);
	set_target(LOGGER_DAEMON, LOGGER_SYSLOG, syslog_ends[0]);
	set_target(1, LOGGER_JOURNAL, journal_ends[0]);
	web = add_source(1, "web", LOGGER_DAEMON);
	api = add_source(2, "api", 1);
	say(LEVEL_ERROR, "", "out of luck");
	expect_datagram(syslog_ends[1],
			"^<27>[A-Z][a-z]{2} [ 123][0-9] [0-9:]{8} lust-inetd\\[[0-9]+\\]: out of luck$");
	print(web, "hello\n");
	expect_datagram(syslog_ends[1], "^<30>.* lust-inetd\\[[0-9]+\\]: web\\[1234\\]: hello$");
	print(api, "hello\n");
	expect_datagram(journal_ends[1], "^PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=lust-inetd\n"
					 "LUST_SERVICE=api\nLUST_PID=1234\nMESSAGE=api\\[1234\\]: hello\n$");
	close(web);
	close(api);
	ck_assert_int_eq(exit_status(), 0);
}
END_TEST

START_TEST(test_nonsense_ends_it)
{
	struct logger_message m = message(LOGGER_TARGET);

	m.target.target = UINT32_MAX;
	m.target.kind = LOGGER_SYSLOG;
	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	tell(&m, -1);
	ck_assert_int_eq(exit_status(), 70);
	ck_assert(matches("log", "does not understand the supervisor: TARGET"));
}
END_TEST

/* END would make the supervisor close a pipe that the next logger is to go on with. */
START_TEST(test_living_sources_outlast_it)
{
	struct logger_message m = message(LOGGER_TARGET);
	int fds[CHANNEL_FDS], result, web, api;
	unsigned count, ended = 0;

	m.target.target = UINT32_MAX;
	m.target.kind = LOGGER_SYSLOG;
	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	ck_assert_int_eq(kill(logger, SIGSTOP), 0);
	web = add_source(1, "web", LOGGER_DAEMON);
	api = add_source(2, "api", LOGGER_DAEMON);
	print(web, "still here\n");
	print(api, "leaving\n");
	close(api);
	tell(&m, -1);
	ck_assert_int_eq(kill(logger, SIGCONT), 0);
	do {
		struct pollfd readable = {.fd = link_channel.fd, .events = POLLIN};

		ck_assert_int_eq(poll(&readable, 1, LIMIT_MS), 1);
		result = channel_receive(&link_channel, &m, fds, &count);
		if (result == 1 && m.type == LOGGER_SOURCE_END) {
			ck_assert_uint_eq(m.source.source, 2);
			ended++;
		}
	} while (result >= 0);
	ck_assert_uint_eq(ended, 1);
	ck_assert_int_eq(exit_status(), 70);
	ck_assert(matches("log", "still here$"));
	ck_assert(matches("log", "leaving$"));
	close(web);
}
END_TEST

static bool status_says(const char *line)
{
	char name[64], text[8192];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/status", logger);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	close(fd);
	return strstr(text, line) != NULL;
}

START_TEST(test_jail)
{
	char name[64], root[128] = "";
	int web;

	if (geteuid() != 0)
		return;
	make_directory();
	hello.hello.unprivileged = 0;
	hello.hello.uid = hello.hello.gid = 61235;
	snprintf(hello.hello.jail, sizeof(hello.hello.jail), "%s", directory);
	spawn(&hello);
	ck_assert(status_says("\nUid:\t61235\t61235\t61235\t61235\n"));
	ck_assert(status_says("\nGid:\t61235\t61235\t61235\t61235\n"));
	ck_assert(status_says("\nGroups:\t \n"));
	ck_assert(status_says("\nCapEff:\t0000000000000000\n"));
	ck_assert(status_says("\nCapBnd:\t0000000000000000\n"));
	ck_assert(status_says("\nNoNewPrivs:\t1\n"));
	snprintf(name, sizeof(name), "/proc/%d/root", logger);
	ck_assert_int_gt(readlink(name, root, sizeof(root) - 1), 0);
	ck_assert_str_eq(root, directory);
	set_target(LOGGER_DAEMON, LOGGER_FILE, open_log("log"));
	web = add_source(1, "web", LOGGER_DAEMON);
	print(web, "from inside\n");
	end_source(web);
	ck_assert_int_eq(exit_status(), 0);
	ck_assert(matches("log", TIME "info web\\[1234\\]: from inside$"));
	clean_up();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("logger");
	TCase *tc = tcase_create("logger"), *jail = tcase_create("jail");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, start, clean_up);
	tcase_add_test(tc, test_lines);
	tcase_add_test(tc, test_last_line);
	tcase_add_test(tc, test_events);
	tcase_add_test(tc, test_events_wait_for_names);
	tcase_add_test(tc, test_reopen);
	tcase_add_test(tc, test_drain);
	tcase_add_loop_test(tc, test_slow_target, 0, 3);
	tcase_add_test(tc, test_full_disk);
	tcase_add_test(tc, test_flood);
	tcase_add_test(tc, test_syslog_and_journal);
	tcase_add_test(tc, test_nonsense_ends_it);
	tcase_add_test(tc, test_generations);
	tcase_add_test(tc, test_living_sources_outlast_it);
	suite_add_tcase(suite, tc);
	tcase_set_timeout(jail, 60);
	tcase_add_test(jail, test_jail);
	suite_add_tcase(suite, jail);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
