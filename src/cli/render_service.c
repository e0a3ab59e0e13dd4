/*
 * render_service.c: `status SERVICE`: the addresses, the connections with their two sums, every server.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "render.h"

#include <inttypes.h>

#include "short_forms.h"

#define WIDE 600u

static void listener_lines(FILE *out, const struct snapshot_service *service)
{
	for (size_t i = 0; i < service->listeners; i++) {
		const struct control_listener *listener = &service->listener[i];
		char address[WIDE], name[WIDE];

		if (!listener->bound)
			continue; /* among the troubles */
		fprintf(out, "  %s%s%s: %" PRIu64 " of %u wait, %" PRIu64 " dropped\n",
			format_cut(name, sizeof(name), 63, listener->name), listener->name[0] ? "=" : "",
			format_cut(address, sizeof(address), 127, listener->address), listener->waiting,
			listener->backlog, listener->dropped);
	}
}

static void denied_line(FILE *out, const uint64_t denied[DENIED_COUNT])
{
	static const char *const name[DENIED_COUNT] = {
		[DENIED_ADDRESS] = "address (only-from, no-access)",
		[DENIED_TIME] = "time (access-times)",
		[DENIED_LOAD] = "load (max-load)",
		[DENIED_PER_SOURCE] = "per-source",
		[DENIED_RATE] = "rate",
		[DENIED_SOURCE_RATE] = "rate-per-source",
		[DENIED_MAX_CONNECTIONS] = "max-connections",
		[DENIED_OVERLOAD] = "overload = refuse",
	};

	for (unsigned i = 0; i < DENIED_COUNT; i++)
		if (denied[i])
			fprintf(out, "    denied %" PRIu64 ": %s\n", denied[i], name[i]);
}

static void closed_line(FILE *out, const uint64_t closed[CLOSED_COUNT])
{
	static const char *const name[CLOSED_COUNT] = {
		[CLOSED_CLIENT_LEFT] = "the client left before a server had it",
		[CLOSED_TOUCHED] = "its server died after it had begun",
		[CLOSED_NO_SERVER] = "there was no server any more",
		[CLOSED_SHUTDOWN] = "the daemon stopped",
	};

	for (unsigned i = 0; i < CLOSED_COUNT; i++)
		if (closed[i])
			fprintf(out, "    closed %" PRIu64 ": %s\n", closed[i], name[i]);
}

static uint64_t sum(const uint64_t *number, unsigned count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += number[i];
	return total;
}

static void connection_lines(FILE *out, const struct control_service *service)
{
	const struct board_reading *reading = &service->connections;

	fprintf(out,
		"  accepted %" PRIu64 " = %" PRIu64 " pending + %" PRIu64 " taken + %" PRIu64
		" denied + %" PRIu64 " closed + %" PRIu64 " lost\n",
		reading->accepted, reading->pending, reading->taken, sum(reading->denied, DENIED_COUNT),
		sum(reading->closed, CLOSED_COUNT), reading->lost);
	fprintf(out, "  taken %" PRIu64 " = %" PRIu64 " active + %" PRIu64 " done + %" PRIu64 " died\n",
		reading->taken, reading->active, reading->done, reading->died);
	denied_line(out, reading->denied);
	closed_line(out, reading->closed);
	if (reading->redispatched)
		fprintf(out, "    given to another server: %" PRIu64 "\n", reading->redispatched);
	fprintf(out, "  per second %" PRIu64 " (last 10s), %" PRIu64 " (last 60s)\n", service->per_s_10,
		service->per_s_60);
}

static void percentile_line(FILE *out, const char *what, const struct board_percentiles *of)
{
	char p50[FORMAT_SHORT], p99[FORMAT_SHORT], max[FORMAT_SHORT];

	if (of->count)
		fprintf(out, "  %s: %s (p50) %s (p99) %s (max), last 60s\n", what,
			format_time(p50, of->p50_us), format_time(p99, of->p99_us),
			format_time(max, of->max_us));
}

static void server_row(FILE *out, const struct control_server *server, uint64_t now_s)
{
	char name[FORMAT_SHORT], generation[FORMAT_SHORT] = "-", pid[FORMAT_SHORT] = "-", uid[FORMAT_SHORT];
	char since[FORMAT_SHORT], age[FORMAT_SHORT] = "-", capacity[FORMAT_SHORT] = "-";
	char pending[FORMAT_SHORT], active[FORMAT_SHORT], taken[FORMAT_SHORT], restarts[FORMAT_SHORT];

	if (server->supervised)
		snprintf(name, sizeof(name), "%u", server->instance);
	else
		snprintf(name, sizeof(name), "outside");
	if (server->supervised)
		format_count(generation, server->generation, 4);
	if (server->pid) {
		snprintf(pid, sizeof(pid), "%d", (int)server->pid);
		format_duration(age, server->uptime_ms / 1000);
	}
	if (server->capacity)
		format_count(capacity, server->capacity, 4);
	fprintf(out, "  %-7s %4s %7s %5s %-8s %4s %4s %4s %4s %6s %6s %4s\n", name, generation, pid,
		format_count(uid, server->uid, 5), render_server_state(server->state),
		format_duration(since, server->state_s < now_s ? now_s - server->state_s : 0), age, capacity,
		format_count(pending, server->pending, 4), format_count(active, server->active, 6),
		format_count(taken, server->taken, 6), format_count(restarts, server->restarts, 4));
}

static void server_notes(FILE *out, const struct control_server *server, uint64_t now_s)
{
	char text[WIDE], label[WIDE], when[FORMAT_SHORT];

	if (server->label[0])
		fprintf(out, "          %s\n", format_cut(label, sizeof(label), 63, server->label));
	if (server->refused || server->stalls)
		fprintf(out, "          refused %" PRIu64 ", stalled %" PRIu64 " times\n", server->refused,
			server->stalls);
	/* The others' are among the troubles. */
	if (snapshot_server_in_trouble(server))
		return;
	if (server->last_exit[0])
		fprintf(out, "          ended %s ago: %s\n",
			format_duration(when, server->last_exit_s < now_s ? now_s - server->last_exit_s : 0),
			format_cut(text, sizeof(text), 95, server->last_exit));
	if (server->last_line[0])
		fprintf(out, "          said: %s\n", format_cut(text, sizeof(text), 127, server->last_line));
}

static void service_details(FILE *out, const struct snapshot_service *service, uint64_t now_s)
{
	render_columns(out);
	render_row(out, service);
	render_troubles(out, service, now_s, true);
	fputc('\n', out);
	listener_lines(out, service);
	connection_lines(out, &service->service);
	percentile_line(out, "from accept to taken", &service->service.latency);
	percentile_line(out, "in the backlog", &service->service.waited);
	if (!service->servers)
		return;
	fprintf(out, "\n  SERVER   GEN     PID   UID STATE     FOR  AGE  CAP PEND ACTIVE  TAKEN REST\n");
	for (size_t i = 0; i < service->servers; i++) {
		server_row(out, &service->server[i], now_s);
		server_notes(out, &service->server[i], now_s);
	}
}

void render_details(FILE *out, const struct snapshot *snapshot, bool problems_only)
{
	render_head(out, snapshot, problems_only);
	for (size_t i = 0; i < snapshot->services; i++)
		if (!problems_only || snapshot_in_trouble(&snapshot->service[i]))
			service_details(out, &snapshot->service[i], snapshot->daemon.time_s);
}
