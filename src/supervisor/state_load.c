/*
 * state_load.c: a supervisor out of the records of state.h.  Nothing happens outside this process's memory: it serves
 * the trial as well.  What fails is told in the reader's problem; the half-made rest dies with the process.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_client.h"
#include "control_socket.h"
#include "lifecycle.h"
#include "listeners.h"
#include "servers.h"
#include "services.h"
#include "slots.h"
#include "sources.h"
#include "targets.h"
#include "upgrade.h"

struct load {
	struct supervisor *s;
	struct state_reader *in;
	struct diagnostics *mistakes;
	struct service **last, *latest;
	size_t place; /* in the table */
};

static bool no_memory(struct load *load)
{
	return state_wrong(load->in, "%s", strerror(ENOMEM));
}

static bool same_number(struct load *load, const struct state_record *record, const char *key, uint64_t ours,
			const char *what)
{
	uint64_t theirs;

	if (!state_get(load->in, record, key, UINT32_MAX, &theirs))
		return false;
	if (theirs == ours)
		return true;
	return state_wrong(
		load->in,
		"%s of version %llu, this program knows %llu: only a restart leads from one to the other",
		what, (unsigned long long)theirs, (unsigned long long)ours);
}

static bool load_program(struct load *load)
{
	const struct state_record *record = state_next(load->in, "program", NULL);
	struct upgrade *upgrade = load->s->upgrade;
	static const struct state_field fields[] = {
		STATE_MEMBER(struct upgrade, path, "path", STATE_STRING, 0),
		STATE_MEMBER(struct upgrade, self, "self", STATE_FD, 0),
		STATE_MEMBER(struct upgrade, from, "version", STATE_TEXT, 0),
		STATE_MEMBER(struct upgrade, runtime_dir_option, "runtime_dir_option", STATE_STRING, 0),
		{NULL, STATE_UNSIGNED, 0, 0, 0},
	};

	if (record == NULL)
		return state_wrong(load->in, "the state names no program");
	if (!state_fill(load->in, record, fields, upgrade) ||
	    !same_number(load, record, "board", BOARD_VERSION, "counters") ||
	    !same_number(load, record, "link", LINK_VERSION, "a dispatcher") ||
	    !same_number(load, record, "privileged", load->s->privileged, "privileges"))
		return false;
	if (upgrade->path == NULL)
		return state_wrong(load->in, "the state names no program");
	load->s->runtime_dir_option = upgrade->runtime_dir_option;
	return true;
}

static bool load_one(struct load *load, const char *type, const struct state_field *fields)
{
	const struct state_record *record = state_next(load->in, type, NULL);

	return record != NULL ? state_fill(load->in, record, fields, load->s)
			      : state_wrong(load->in, "the state has no record \"%s\"", type);
}

static bool load_daemon(struct load *load)
{
	struct supervisor *s = load->s;

	if (!load_one(load, "daemon", state_daemon_fields) ||
	    !load_one(load, "dispatcher", state_dispatcher_fields) ||
	    !load_one(load, "logger", state_logger_fields))
		return false;
	if (s->config_file == NULL || s->runtime_dir == NULL || s->pidfile == NULL || s->jail == NULL ||
	    s->runtime_dir_fd < 0 || s->lock_fd < 0 || s->door_fd < 0 || s->control_fd < 0 ||
	    s->dispatcher.events[0] < 0 || s->dispatcher.events[1] < 0)
		return state_wrong(load->in, "the state does not name all that a daemon has");
	s->board = board_map(s->board_fd, false);
	if (s->board == NULL)
		return state_wrong(load->in, "the counters: %s", strerror(errno));
	return slots_init(s) == 0 || no_memory(load);
}

/* ---- services ---- */

/* Both are in the order of the table. */
static const struct table_service *find_wanted(struct load *load, const char *name)
{
	const struct table *table = load->s->table;

	if (load->place < table->service_count && strcmp(table->service[load->place].name, name) == 0)
		return &table->service[load->place++];
	return table_find(table, name);
}

/* One that nothing is saved of beyond what all have does without. */
static bool load_more(struct load *load, const struct state_record *record, struct service *service)
{
	if (state_find(record, "stop_signal") == NULL)
		return !service->paused || state_wrong(load->in, "a pause that nobody asked for");
	if (service_more(service) == NULL)
		return no_memory(load);
	return state_fill(load->in, record, state_service_more_fields, service->more);
}

static bool load_name(struct load *load, struct service *service, const struct state_value *name, bool wanted)
{
	if (name == NULL || name->length >= TABLE_NAME || strlen(name->text) != name->length)
		return state_wrong(load->in, "record service: no name");
	if (wanted) {
		service->want = find_wanted(load, name->text);
		if (service->want == NULL)
			return state_wrong(load->in, "%s is not in the table", name->text);
		service->name = service->want->name;
		return true;
	}
	if (service_more(service) == NULL)
		return no_memory(load);
	memcpy(service->more->name, name->text, name->length + 1);
	service->name = service->more->name;
	return true;
}

static bool load_service(struct load *load, const struct state_record *record)
{
	struct supervisor *s = load->s;
	struct service *service = calloc(1, sizeof(*service));
	uint64_t wanted;

	if (service == NULL)
		return no_memory(load);
	*load->last = service;
	load->last = &service->next;
	if (!state_get(load->in, record, "wanted", 1, &wanted) ||
	    !state_fill(load->in, record, state_service_fields, service))
		return false;
	if (s->service_used[service->index])
		return state_wrong(load->in, "two services have the number %u", service->index);
	s->service_used[service->index] = 1;
	return load_more(load, record, service) &&
	       load_name(load, service, state_find(record, "name"), wanted);
}

static bool load_services(struct load *load)
{
	size_t wanted = 0;

	load->last = &load->s->services;
	for (const struct state_record *record = NULL;
	     (record = state_next(load->in, "service", record)) != NULL;)
		if (!load_service(load, record))
			return false;
	for (const struct service *service = load->s->services; service != NULL; service = service->next)
		wanted += service->want != NULL;
	return wanted == load->s->table->service_count ||
	       state_wrong(load->in, "the table has %zu services, the state %zu",
			   load->s->table->service_count, wanted);
}

/* The records of a service follow it: the next one is most often the same. */
static struct service *service_of(struct load *load, const struct state_record *record)
{
	uint64_t index;

	if (!state_get(load->in, record, "service", BOARD_SERVICES - 1, &index))
		return NULL;
	if (load->latest != NULL && load->latest->index == index)
		return load->latest;
	for (load->latest = load->s->services; load->latest != NULL && load->latest->index != index;)
		load->latest = load->latest->next;
	if (load->latest == NULL)
		state_wrong(load->in, "record %s: no service %llu", record->type, (unsigned long long)index);
	return load->latest;
}

static const struct table_listen *wanted_at(const struct service *service, const char *address)
{
	char text[ADDRESS_TEXT];

	for (size_t i = 0; service->want != NULL && i < service->want->listen_count; i++)
		if (strcmp(address_format(&service->want->listen[i].address, text), address) == 0)
			return &service->want->listen[i];
	return NULL;
}

static bool load_listener(struct load *load, const struct state_record *record)
{
	struct supervisor *s = load->s;
	struct service *service = service_of(load, record);
	const struct state_value *address = state_find(record, "address");
	struct listener **last;

	if (service == NULL || address == NULL)
		return service != NULL && state_wrong(load->in, "record listener: no address");
	struct listener *listener = calloc(1, sizeof(*listener));
	if (listener == NULL)
		return no_memory(load);
	for (last = &service->listeners; *last != NULL;)
		last = &(*last)->next;
	*last = listener;
	listener->fd = -1;
	listener->service = service;
	listener->want = wanted_at(service, address->text);
	if (!state_fill(load->in, record, state_listener_fields, listener))
		return false;
	if (listener->fd < 0 || state_find(record, "error") != NULL) {
		if (listener_more(listener) == NULL)
			return no_memory(load);
		if (!state_fill(load->in, record, state_listener_more_fields, listener->more))
			return false;
	}
	if (listener->want == NULL || s->listener_used[listener->index])
		return state_wrong(load->in, "%s: %s is not in the table, or there twice", service->name,
				   address->text);
	s->listener_used[listener->index] = 1;
	listener_retry_on(s, listener);
	return true;
}

/* ---- servers and their slots ---- */

static void rearm(struct supervisor *s, struct server *server)
{
	uint64_t now = clock_ms();

	if (server->until_ms == 0)
		return;
	ev_timer_set(&server->timer,
		     server->until_ms > now ? (double)(server->until_ms - now) / 1000. : 0.001, 0.);
	ev_timer_start(s->loop, &server->timer);
}

static bool load_server(struct load *load, const struct state_record *record)
{
	struct service *service = service_of(load, record);
	uint64_t instance;

	if (service == NULL || !state_get(load->in, record, "instance", UINT32_MAX, &instance))
		return false;
	struct server *server = server_new(load->s, service, (unsigned)instance);
	if (server == NULL)
		return no_memory(load);
	if (!state_fill(load->in, record, state_server_fields, server))
		return false;
	if (server->slot != BOARD_NONE && server->slot >= BOARD_SLOTS)
		return state_wrong(load->in, "%s: a server without a place", service->name);
	rearm(load->s, server);
	return true;
}

static bool load_slot(struct load *load, const struct state_record *record)
{
	struct slot slot = {.ours = -1, .theirs = -1, .lifeline = -1};
	uint64_t number;

	if (!state_get(load->in, record, "number", BOARD_SLOTS - 1, &number) ||
	    !state_fill(load->in, record, state_slot_fields, &slot))
		return false;
	if (slot.used && (slot.ours < 0 || slot.theirs < 0 || slot.record.slot != number))
		return state_wrong(load->in, "slot %llu lacks its pair", (unsigned long long)number);
	load->s->slots[number] = slot;
	return true;
}

/* Each living slot has its server, and the other way round. */
static bool join_slots(struct load *load)
{
	struct supervisor *s = load->s;

	for (struct service *service = s->services; service != NULL; service = service->next)
		for (struct server *server = service->servers; server != NULL; server = server->next) {
			struct slot *slot = slot_find(s, server->slot, server->generation);
			if (server->slot == BOARD_NONE)
				continue;
			if (slot == NULL || slot->dead || slot->server != NULL)
				return state_wrong(load->in, "%s: a server without its slot", service->name);
			slot->server = server;
		}
	for (uint32_t i = 0; i < BOARD_SLOTS; i++)
		if (s->slots[i].used && !s->slots[i].dead && s->slots[i].server == NULL)
			return state_wrong(load->in, "slot %u has no server", i);
	return true;
}

/* ---- logs ---- */

static bool load_target(struct load *load, const struct state_record *record)
{
	struct supervisor *s = load->s;
	struct log_target *grown = reallocarray(s->logger.target, s->logger.target_count + 1, sizeof(*grown));

	if (grown == NULL)
		return no_memory(load);
	s->logger.target = grown;
	struct log_target *target = &grown[s->logger.target_count++];
	*target = (struct log_target){.fd = -1};
	if (!state_fill(load->in, record, state_target_fields, target))
		return false;
	return target->kind != LOGGER_FILE || (target->path != NULL && target->fd >= 0) ||
	       state_wrong(load->in, "a log without its file");
}

/* An older source of the same server has nothing to tell about it any more. */
static struct server *server_of(struct supervisor *s, uint32_t source)
{
	for (struct service *service = s->services; service != NULL; service = service->next)
		for (struct server *server = service->servers; server != NULL; server = server->next)
			if (server->source == source)
				return server;
	return NULL;
}

static bool load_source(struct load *load, const struct state_record *record)
{
	struct log_source *source = calloc(1, sizeof(*source));

	if (source == NULL)
		return no_memory(load);
	source->fd = -1;
	source->next = load->s->logger.sources;
	load->s->logger.sources = source;
	if (!state_fill(load->in, record, state_source_fields, source))
		return false;
	if (source->fd < 0 || source->number == 0)
		return state_wrong(load->in, "a server's output without its pipe");
	source->server = server_of(load->s, source->number);
	return true;
}

/* ---- who waits at control.sock ---- */

static bool load_client(struct load *load, const struct state_record *record)
{
	struct control_client saved = {.fd = -1};
	uint64_t left_ms = 0;

	if (!state_fill(load->in, record, state_client_fields, &saved) ||
	    (state_find(record, "left_ms") != NULL &&
	     !state_get(load->in, record, "left_ms", UINT32_MAX, &left_ms)))
		return false;
	if (saved.fd < 0 || saved.phase == CLIENT_ANSWERING)
		return state_wrong(load->in, "record client: nobody waits there");
	struct control_client *client = client_new(load->s, saved.fd, saved.uid);
	if (client == NULL)
		return no_memory(load);
	client->request = saved.request;
	client->mark = saved.mark;
	memcpy(client->undone, saved.undone, sizeof(client->undone));
	if (saved.phase == CLIENT_WAITING)
		client_wait(client, left_ms);
	return true;
}

static bool each(struct load *load, const char *type,
		 bool (*take)(struct load *, const struct state_record *))
{
	for (const struct state_record *record = NULL; (record = state_next(load->in, type, record)) != NULL;)
		if (!take(load, record))
			return false;
	return true;
}

static bool load_child(struct load *load, const struct state_record *record)
{
	uint64_t pid;

	if (!state_get(load->in, record, "pid", INT32_MAX, &pid))
		return false;
	return reap_inherited(load->s, (pid_t)pid) == 0 || no_memory(load);
}

static bool load_all(struct load *load)
{
	if (!load_program(load) || !load_daemon(load) ||
	    !state_load_table(load->s, load->in, load->mistakes) || !load_services(load) ||
	    !each(load, "listener", load_listener) || !each(load, "server", load_server) ||
	    !each(load, "slot", load_slot) || !join_slots(load) || !each(load, "target", load_target) ||
	    !each(load, "source", load_source) || !each(load, "child", load_child))
		return false;
	if (load->s->logger.target_count == 0)
		return state_wrong(load->in, "the daemon has no log");
	control_watch(load->s);
	return each(load, "client", load_client);
}

struct supervisor *state_load(struct state_reader *in, struct diagnostics *mistakes)
{
	struct load load = {.s = supervisor_blank(), .in = in, .mistakes = mistakes};

	if (load.s == NULL || upgrade_blank(load.s) < 0) {
		no_memory(&load);
		return NULL;
	}
	load.s->loop = ev_loop_new(EVFLAG_AUTO);
	if (load.s->loop == NULL) {
		state_wrong(in, "cannot make an event loop");
		return NULL;
	}
	ev_set_userdata(load.s->loop, load.s);
	load.s->running = true;
	if (load_all(&load))
		return load.s;
	in->half = load.s;
	return NULL;
}
