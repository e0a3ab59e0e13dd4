/*
 * fuzz_link_supervisor.c: the privileged end of the link, with a dispatcher in a stranger's hands: any message in any
 * order, with any descriptors, and any numbers on the board.  Nothing is forked; every signal is looked at instead of
 * sent.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "helpers.h"
#include "logging.h"
#include "roll.h"
#include "servers.h"
#include "services.h"
#include "slots.h"
#include "status.h"
#include "upgrade.h"

#define INSTANCES 3u
#define FIRST_PID 70000000 /* beyond the kernel's largest */

struct stage {
	struct supervisor *s;
	struct service *web, *outside;
	struct input input;
	struct channel theirs; /* the dispatcher's end */
	int32_t next_pid;
	bool killed; /* the dispatcher was */
};

static struct stage stage;
static int board_fd, events[2];
static struct board *board;
static char jail[] = "/", runtime_dir[] = "/nonexistent";
static struct table table;
static struct table_service wants[2];

/* ---- what the supervisor would do to the machine: see LDFLAGS, --wrap ---- */

int __wrap_kill(pid_t pid, int number);
pid_t __wrap_helper_spawn(struct supervisor *s, const char *program, int link, int *exec_error);
int __wrap_spawn_server(struct supervisor *s, struct server *server, char *problem, size_t size);

/* Only its own: the dispatcher, and servers that it started. Never one that the dispatcher named. */
int __wrap_kill(pid_t pid, int number)
{
	bool own = false;

	(void)number;
	stage.killed |= pid == stage.s->dispatcher.pid;
	own |= pid == stage.s->dispatcher.pid;
	for (const struct server *server = stage.web->servers; server; server = server->next)
		own |= !server->external && server->pid > 0 && (pid == server->pid || pid == -server->pid);
	FUZZ_CHECK(own);
	return 0;
}

pid_t __wrap_helper_spawn(struct supervisor *s, const char *program, int link, int *exec_error)
{
	(void)s;
	(void)program;
	*exec_error = -1;
	channel_init(&stage.theirs, dup(link), sizeof(struct link_message));
	return stage.next_pid++;
}

int __wrap_spawn_server(struct supervisor *s, struct server *server, char *problem, size_t size)
{
	int ends[2];

	FUZZ_CHECK(!server->external && server->pid == 0);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	int result = slot_take(s, server, ends[0], ends[1], -1);
	if (result < 0) {
		fuzz_close_all(ends, 2);
		snprintf(problem, size, "no slot");
		return result;
	}
	server->pid = stage.next_pid++;
	s->slots[server->slot].record.pid = server->pid;
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	board_fd = board_create();
	FUZZ_CHECK(board_fd >= 0);
	board = board_map(board_fd, true);
	FUZZ_CHECK(board != NULL);
	FUZZ_CHECK(pipe(events) == 0);
	static struct table_server server = {.instances = INSTANCES, .stop_signal = SIGTERM};
	static const struct table_dispatch own = {.window = 64}, outside = {.window = 64, .max_registered = 4};
	wants[0] = (struct table_service){
		.name = "web", .dispatch = &own, .has_server = true, .server = &server};
	wants[1] = (struct table_service){
		.name = "outside", .dispatch = &outside, .start = START_EXTERNAL, .server = &server};
	return 0;
}

static struct service *add_service(struct supervisor *s, const struct table_service *want)
{
	struct service *service = service_new(s, want->name);

	FUZZ_CHECK(service != NULL);
	service->want = want;
	FUZZ_CHECK(service_more(service) != NULL);
	service->more->stop_signal = SIGTERM;
	service->more->drain_timeout_ms = service->more->stop_timeout_ms = 60000;
	service->next = s->services;
	s->services = service;
	return service;
}

static void open_stage(const uint8_t *data, size_t size)
{
	struct supervisor *s = calloc(1, sizeof(*s));

	FUZZ_CHECK(s != NULL);
	stage = (struct stage){.s = s, .input = {data, size}, .next_pid = FIRST_PID, .theirs.fd = -1};
	s->loop = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV);
	ev_set_userdata(s->loop, s);
	s->table = &table;
	s->running = true;
	s->config_file = "/etc/x.conf";
	s->jail = jail;
	s->runtime_dir = runtime_dir;
	s->logger.link.fd = s->dispatcher.link.fd = -1;
	s->groups_fd = s->door_fd = s->control_fd = s->start_pipe = -1;
	s->board_fd = s->door_fd = board_fd;
	s->board = board;
	s->dispatcher.events[0] = events[0];
	s->dispatcher.events[1] = events[1];
	FUZZ_CHECK(slots_init(s) == 0);
	FUZZ_CHECK(upgrade_blank(s) == 0);
	stage.web = add_service(s, &wants[0]);
	stage.outside = add_service(s, &wants[1]);
	FUZZ_CHECK(dispatcher_start(s) == 0);
}

static void close_stage(void)
{
	struct supervisor *s = stage.s;

	channel_close(&stage.theirs);
	if (s->dispatcher.pid > 0) {
		s->stopping = true;
		dispatcher_ended(s, SIGKILL);
	}
	ev_timer_stop(s->loop, &s->dispatcher.again);
	slots_release(s);
	while (s->services) {
		struct service *service = s->services;
		s->services = service->next;
		service_free(s, service);
	}
	slots_free(s);
	upgrade_close(s);
	log_free(s);
	ev_loop_destroy(s->loop);
	free(s);
}

static void turn(void)
{
	struct link_message message;
	int fds[CHANNEL_FDS];
	unsigned count;

	ev_run(stage.s->loop, EVRUN_NOWAIT);
	while (channel_receive(&stage.theirs, &message, fds, &count) == 1) {
		FUZZ_CHECK(!link_check_from_supervisor(&message, sizeof(message), count));
		fuzz_close_all(fds, count);
	}
}

/* It ended: by itself, or as it was told. */
static void next_dispatcher(void)
{
	channel_close(&stage.theirs);
	turn();
	dispatcher_ended(stage.s, SIGKILL);
	ev_timer_stop(stage.s->loop, &stage.s->dispatcher.again);
	stage.killed = false;
	FUZZ_CHECK(dispatcher_start(stage.s) == 0);
}

/* ---- the dispatcher ---- */

/* A slot that is in use, most likely. */
static void name_slot(struct link_slot *slot)
{
	uint8_t which = input_byte(&stage.input);

	slot->slot = which % 8;
	slot->generation = stage.s->slots[slot->slot].generation + (which >> 6 & 1);
	if (which & 0x80)
		slot->slot = input_number(&stage.input);
	slot->capacity = input_byte(&stage.input);
}

static unsigned fill_keep(struct link_keep *keep, int fds[3])
{
	uint8_t how = input_byte(&stage.input);

	keep->ticket = how;
	keep->service = how & 1 ? stage.outside->index : input_number(&stage.input);
	/* It would like root to signal these. */
	keep->pid = how & 2 ? 1 : how & 4 ? getppid() : 0;
	keep->uid = how & 8 ? 0 : 65534;
	if (how & 16)
		input_copy(&stage.input, keep->label, input_below(&stage.input, sizeof(keep->label)));
	if (how & 32)
		return fuzz_some_fds(&stage.input, fds, 3);
	for (unsigned i = 0; i < 3; i++) {
		int pair[2];
		FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
		close(pair[1]);
		fds[i] = pair[0];
	}
	return 3;
}

static void say(void)
{
	struct input *input = &stage.input;
	struct link_message message = {.version = LINK_VERSION};
	int fds[3];
	unsigned count = 0;
	uint8_t how = input_byte(input);

	message.type = (uint16_t)(LINK_READY + how % 11);
	switch (message.type) {
	case LINK_COMMITTED:
		message.commit.table = stage.s->dispatcher.commits + 1 + (how >= 0xf0);
		break;
	case LINK_KEEP:
		count = fill_keep(&message.keep, fds);
		break;
	case LINK_HELD:
		message.held.index = input_number(input);
		message.held.id = input_number(input);
		count = fuzz_some_fds(input, fds, 1);
		break;
	case LINK_PONG:
		message.ping.number = stage.s->dispatcher.ping_sent + (how >= 0xf0);
		break;
	default:
		name_slot(&message.slot);
		if (how & 0x80)
			input_copy(input, message.slot.reason, input_below(input, LINK_TEXT));
		break;
	}
	if (how >= 0xf8)
		input_copy(input, (char *)&message + input_below(input, 240), 8);
	if (how == 0xf7)
		count += fuzz_some_fds(input, fds + count, 3 - count);
	(void)channel_send(&stage.theirs, &message, fds, count);
	while (channel_pending(&stage.theirs) && stage.theirs.fd >= 0)
		channel_close(&stage.theirs);
	fuzz_close_all(fds, count);
}

/* The board is the dispatcher's to write; the supervisor reads it for status. */
static void scribble(void)
{
	uint8_t where = input_byte(&stage.input);
	size_t place = (size_t)input_byte(&stage.input) * 4;
	uint32_t value = input_number(&stage.input);
	char *of[] = {(char *)&board->servers[where & 3], (char *)&board->services[where & 3],
		      (char *)&board->latency[where & 3].taken[where >> 4 & 7],
		      (char *)&board->latency[where & 3].waited[where >> 4 & 7]};
	const size_t size[] = {sizeof(board->servers[0]), sizeof(board->services[0]),
			       sizeof(board->latency[0].taken[0]), sizeof(board->latency[0].waited[0])};
	unsigned which = where >> 2 & 3;

	memcpy(of[which] + place % size[which], &value, sizeof(value));
}

/* Both sums hold in every answer, whatever stands on the board. */
static void check_sums(const struct board_reading *reading)
{
	uint64_t flowed = reading->pending + reading->taken + reading->lost;

	for (unsigned i = 0; i < DENIED_COUNT; i++)
		flowed += reading->denied[i];
	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		flowed += reading->closed[i];
	FUZZ_CHECK(reading->accepted == flowed);
	FUZZ_CHECK(reading->taken == reading->active + reading->done + reading->died);
	FUZZ_CHECK(reading->accepted < UINT64_C(1) << 62);
}

static void ask_status(void)
{
	struct status_cursor cursor;
	struct control_record record;
	unsigned count = 0;

	status_begin(&cursor, NULL);
	while (status_next(stage.s, &cursor, &record) == 1) {
		FUZZ_CHECK(++count < 1000);
		if (record.type == CONTROL_SERVICE)
			check_sums(&record.service.connections);
	}
	status_end(&cursor);
}

/* ---- the rest of the supervisor's world ---- */

static struct server *some_server(void)
{
	unsigned at = input_below(&stage.input, INSTANCES);
	struct server *server = stage.web->servers;

	while (server && at--)
		server = server->next;
	return server;
}

static void live(void)
{
	struct server *server = some_server();
	uint8_t how = input_byte(&stage.input);

	switch (how & 7) {
	case 0:
	case 1:
		service_reconcile(stage.s, stage.web);
		return;
	case 2: /* its time has come */
		if (server && server->phase == PHASE_BACKOFF && !server->external) {
			ev_timer_stop(stage.s->loop, &server->timer);
			server_start(stage.s, server);
		}
		return;
	case 3:
		if (server && server->pid > 0 && !server->external) {
			server_died(stage.s, server, how & 8 ? SIGKILL : 0);
			server_ended(stage.s, server);
		}
		return;
	case 4:
		(void)service_down(stage.s, stage.web);
		return;
	case 5:
		(void)service_up(stage.s, stage.web);
		return;
	case 6:
		(void)service_roll(stage.s, stage.web);
		return;
	default:
		if (how & 8)
			dispatcher_hand_over(stage.s);
		else
			push_table(stage.s);
		return;
	}
}

static void step(uint8_t what)
{
	switch (what & 7) {
	case 0:
		if (what == 0xf8)
			next_dispatcher();
		return;
	case 1:
		scribble();
		return;
	case 2:
		ask_status();
		return;
	case 3:
		live();
		return;
	default:
		say();
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();

	if (size > 1024)
		return -1;
	open_stage(data, size);
	while (stage.input.left) {
		step(input_byte(&stage.input));
		turn();
		if (stage.killed)
			next_dispatcher();
	}
	close_stage();
	memset(board->servers, 0, 8 * sizeof(board->servers[0]));
	memset(board->services, 0, 8 * sizeof(board->services[0]));
	memset(board->latency, 0, 8 * sizeof(board->latency[0]));
	fuzz_check_fds(before);
	return 0;
}
