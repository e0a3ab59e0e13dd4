/*
 * render_json.c: `status --json`.  The keys and their order are fixed: keys may be added, none renamed.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "json.h"
#include "render.h"

#define SCHEMA 1

/* Moments become times relative to the daemon's clock, so that nobody has to share it. */
static uint64_t since(uint64_t moment_s, uint64_t now_s)
{
	return moment_s && moment_s < now_s ? now_s - moment_s : 0;
}

static uint64_t until(uint64_t moment_s, uint64_t now_s)
{
	return moment_s > now_s ? moment_s - now_s : 0;
}

static void lines(struct json *json, const char *key, char **line, size_t count)
{
	json_array(json, key);
	for (size_t i = 0; i < count; i++)
		json_string(json, NULL, line[i]);
	json_array_end(json);
}

static void reload(struct json *json, const struct snapshot *snapshot)
{
	const struct control_daemon *daemon = &snapshot->daemon;

	json_object(json, "last_reload");
	json_number(json, "time", daemon->reload_s);
	json_bool(json, "ok", daemon->reload_ok || !daemon->reload_s);
	lines(json, "errors", snapshot->problem, snapshot->problems);
	json_object_end(json);
}

static void dispatcher(struct json *json, const struct control_daemon *daemon)
{
	json_signed(json, "dispatcher_pid", daemon->dispatcher_pid);
	json_object(json, "dispatcher");
	json_seconds(json, "uptime_s", daemon->dispatcher_uptime_ms);
	json_number(json, "restarts", daemon->dispatcher_restarts);
	json_string(json, "last_exit", daemon->dispatcher_last_exit);
	json_number(json, "fds", daemon->dispatcher_fds);
	json_number(json, "fds_limit", daemon->dispatcher_fds_limit);
	json_object_end(json);
}

static void listeners(struct json *json, const struct snapshot_service *service)
{
	json_array(json, "listen");
	for (size_t i = 0; i < service->listeners; i++) {
		const struct control_listener *listener = &service->listener[i];

		json_object(json, NULL);
		json_string(json, "said", listener->said);
		json_string(json, "name", listener->name);
		json_string(json, "address", listener->address);
		json_bool(json, "bound", listener->bound);
		json_string(json, "error", listener->error);
		json_number(json, "retry_s", listener->retry_s);
		json_number(json, "waiting", listener->waiting);
		json_number(json, "backlog", listener->backlog);
		json_number(json, "dropped", listener->dropped);
		json_object_end(json);
	}
	json_array_end(json);
}

static void denied(struct json *json, const uint64_t count[DENIED_COUNT])
{
	static const char *const key[DENIED_COUNT] = {
		[DENIED_ADDRESS] = "address",
		[DENIED_TIME] = "time",
		[DENIED_LOAD] = "load",
		[DENIED_PER_SOURCE] = "per_source",
		[DENIED_RATE] = "rate",
		[DENIED_SOURCE_RATE] = "source_rate",
		[DENIED_MAX_CONNECTIONS] = "max_connections",
		[DENIED_OVERLOAD] = "overload",
	};

	json_object(json, "denied");
	for (unsigned i = 0; i < DENIED_COUNT; i++)
		json_number(json, key[i], count[i]);
	json_object_end(json);
}

static void closed(struct json *json, const uint64_t count[CLOSED_COUNT])
{
	static const char *const key[CLOSED_COUNT] = {
		[CLOSED_CLIENT_LEFT] = "client_left",
		[CLOSED_TOUCHED] = "touched",
		[CLOSED_NO_SERVER] = "no_server",
		[CLOSED_SHUTDOWN] = "shutdown",
	};

	json_object(json, "closed");
	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		json_number(json, key[i], count[i]);
	json_object_end(json);
}

static void connections(struct json *json, const struct board_reading *reading)
{
	json_object(json, "connections");
	json_number(json, "since", reading->since_s);
	json_number(json, "accepted", reading->accepted);
	json_number(json, "pending", reading->pending);
	json_number(json, "taken", reading->taken);
	json_number(json, "active", reading->active);
	json_number(json, "done", reading->done);
	json_number(json, "died", reading->died);
	json_number(json, "redispatched", reading->redispatched);
	json_number(json, "lost", reading->lost);
	denied(json, reading->denied);
	closed(json, reading->closed);
	json_object_end(json);
}

static void percentiles(struct json *json, const char *key, const struct board_percentiles *of)
{
	json_object(json, key);
	json_number(json, "p50", of->p50_us);
	json_number(json, "p99", of->p99_us);
	json_number(json, "max", of->max_us);
	json_object_end(json);
}

static void server(struct json *json, const struct control_server *of, uint64_t now_s)
{
	json_object(json, NULL);
	json_signed(json, "slot", of->slot == BOARD_NONE ? -1 : (int64_t)of->slot);
	json_number(json, "instance", of->instance);
	json_signed(json, "pid", of->pid);
	json_number(json, "uid", of->uid);
	json_bool(json, "supervised", of->supervised);
	json_string(json, "label", of->label);
	json_number(json, "generation", of->generation);
	json_string(json, "state", render_server_state(of->state));
	json_number(json, "state_s", since(of->state_s, now_s));
	json_number(json, "until_s", until(of->until_s, now_s));
	json_number(json, "capacity", of->capacity);
	json_number(json, "pending", of->pending);
	json_number(json, "active", of->active);
	json_number(json, "taken", of->taken);
	json_number(json, "refused", of->refused);
	json_number(json, "stalls", of->stalls);
	json_number(json, "restarts", of->restarts);
	json_seconds(json, "uptime_s", of->uptime_ms);
	json_string(json, "last_exit", of->last_exit);
	json_number(json, "last_exit_s", since(of->last_exit_s, now_s));
	json_string(json, "last_line", of->last_line);
	json_object_end(json);
}

static void service(struct json *json, const struct snapshot_service *of, uint64_t now_s)
{
	const struct control_service *about = &of->service;

	json_object(json, NULL);
	json_string(json, "name", about->name);
	json_string(json, "mode", "connections");
	json_string(json, "state", render_service_state(about->state));
	json_string(json, "reason", about->reason);
	json_number(json, "state_s", since(about->state_s, now_s));
	json_number(json, "until_s", until(about->until_s, now_s));
	json_number(json, "generation", about->generation);
	json_number(json, "wanted", about->wanted);
	json_number(json, "ready", about->ready);
	json_object(json, "per_s");
	json_number(json, "10s", about->per_s_10);
	json_number(json, "60s", about->per_s_60);
	json_object_end(json);
	listeners(json, of);
	connections(json, &about->connections);
	percentiles(json, "latency_us", &about->latency);
	percentiles(json, "waited_us", &about->waited);
	json_array(json, "servers");
	for (size_t i = 0; i < of->servers; i++)
		server(json, &of->server[i], now_s);
	json_array_end(json);
	json_object_end(json);
}

void render_json(FILE *out, const struct snapshot *snapshot, bool problems_only)
{
	const struct control_daemon *daemon = &snapshot->daemon;
	struct json json;

	json_begin(&json, out);
	json_object(&json, NULL);
	json_number(&json, "schema", SCHEMA);
	json_string(&json, "version", daemon->version);
	json_number(&json, "time", daemon->time_s);
	json_signed(&json, "pid", daemon->pid);
	json_seconds(&json, "uptime_s", daemon->uptime_ms);
	json_string(&json, "config", daemon->config);
	json_bool(&json, "config_changed", daemon->config_changed);
	json_number(&json, "generation", daemon->generation);
	reload(&json, snapshot);
	lines(&json, "warnings", snapshot->warning, snapshot->warnings);
	dispatcher(&json, daemon);
	json_array(&json, "services");
	for (size_t i = 0; i < snapshot->services; i++)
		if (!problems_only || snapshot_in_trouble(&snapshot->service[i]))
			service(&json, &snapshot->service[i], daemon->time_s);
	json_array_end(&json);
	json_object_end(&json);
	json_end(&json);
}
