/*
 * state_save.c: the whole supervisor as records of state.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <string.h>

#include "control_client.h"
#include "sources.h"
#include "targets.h"
#include "upgrade.h"

static void save_program(struct supervisor *s, struct state_writer *out)
{
	state_record(out, "program");
	state_text(out, "version", PACKAGE_VERSION, sizeof(PACKAGE_VERSION) - 1);
	state_text(out, "path", s->upgrade->path, strlen(s->upgrade->path));
	state_descriptor(out, "self", s->upgrade->self);
	state_number(out, "board", BOARD_VERSION);
	state_number(out, "link", LINK_VERSION);
	state_number(out, "privileged", s->privileged);
	if (s->runtime_dir_option != NULL)
		state_text(out, "runtime_dir_option", s->runtime_dir_option, strlen(s->runtime_dir_option));
	state_end(out);
}

static void save_listener(struct state_writer *out, const struct service *service,
			  const struct listener *listener)
{
	char address[ADDRESS_TEXT];

	state_record(out, "listener");
	state_number(out, "service", service->index);
	address_format(&listener->want->address, address);
	state_text(out, "address", address, strlen(address));
	state_struct(out, state_listener_fields, listener);
	if (listener->more != NULL)
		state_struct(out, state_listener_more_fields, listener->more);
	state_end(out);
}

static void save_service(struct state_writer *out, const struct service *service)
{
	state_record(out, "service");
	state_number(out, "wanted", service->want != NULL);
	state_text(out, "name", service->name, strlen(service->name));
	state_struct(out, state_service_fields, service);
	if (service->more != NULL)
		state_struct(out, state_service_more_fields, service->more);
	state_end(out);
	for (const struct listener *listener = service->listeners; listener != NULL;
	     listener = listener->next)
		save_listener(out, service, listener);
	for (const struct server *server = service->servers; server != NULL; server = server->next) {
		state_record(out, "server");
		state_number(out, "service", service->index);
		state_struct(out, state_server_fields, server);
		state_end(out);
	}
}

/* Unused ones, too: how often each was used is part of every later server's name. */
static void save_slots(struct supervisor *s, struct state_writer *out)
{
	for (uint32_t i = 0; i < BOARD_SLOTS; i++) {
		const struct slot *slot = &s->slots[i];
		if (slot->generation == 0)
			continue;
		state_record(out, "slot");
		state_number(out, "number", i);
		state_struct(out, state_slot_fields, slot);
		state_end(out);
	}
}

static void save_inherited(struct supervisor *s, struct state_writer *out)
{
	for (size_t i = 0; i < s->inherited_count; i++) {
		if (s->inherited[i] == 0)
			continue;
		state_record(out, "child");
		state_number(out, "pid", (uint64_t)s->inherited[i]);
		state_end(out);
	}
}

static void save_logs(struct supervisor *s, struct state_writer *out)
{
	for (size_t i = 0; i < s->logger.target_count; i++) {
		state_record(out, "target");
		state_struct(out, state_target_fields, &s->logger.target[i]);
		state_end(out);
	}
	for (const struct log_source *source = s->logger.sources; source != NULL; source = source->next) {
		state_record(out, "source");
		state_struct(out, state_source_fields, source);
		state_end(out);
	}
}

static void save_clients(struct supervisor *s, struct state_writer *out)
{
	for (struct control_client *client = s->clients; client != NULL; client = client->next) {
		if (client->phase == CLIENT_ANSWERING)
			continue;
		state_record(out, "client");
		state_struct(out, state_client_fields, client);
		if (ev_is_active(&client->deadline))
			state_number(out, "left_ms",
				     (uint64_t)(ev_timer_remaining(s->loop, &client->deadline) * 1000.) + 1);
		state_end(out);
	}
}

void state_save(struct supervisor *s, struct state_writer *out)
{
	state_write_begin(out);
	save_program(s, out);
	state_record(out, "daemon");
	state_struct(out, state_daemon_fields, s);
	state_end(out);
	state_record(out, "dispatcher");
	state_struct(out, state_dispatcher_fields, s);
	state_end(out);
	state_record(out, "logger");
	state_struct(out, state_logger_fields, s);
	state_end(out);
	state_save_table(s, out);
	for (const struct service *service = s->services; service != NULL; service = service->next)
		save_service(out, service);
	save_slots(s, out);
	save_logs(s, out);
	save_inherited(s, out);
	save_clients(s, out);
}
