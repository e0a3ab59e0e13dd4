/*
 * render_text.c: `status` for people: 80 columns, worst first, each trouble with its reason.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "render.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "short_forms.h"

#define NAME_WIDTH 13u
#define ADDRESS_WIDTH 22u
#define TROUBLE_SERVERS 3u /* told in the overview; `status SERVICE` tells all */
#define LINE 1400u

const char *render_service_state(uint32_t state)
{
	static const char *const name[] = {
		[SERVICE_FAILED] = "failed",     [SERVICE_STOPPED] = "stopped",
		[SERVICE_PAUSED] = "paused",     [SERVICE_LIMITED] = "limited",
		[SERVICE_FULL] = "full",         [SERVICE_DEGRADED] = "degraded",
		[SERVICE_STARTING] = "starting", [SERVICE_WAITING] = "waiting",
		[SERVICE_READY] = "ready",
	};

	return state < sizeof(name) / sizeof(name[0]) ? name[state] : "?";
}

const char *render_server_state(uint32_t state)
{
	static const char *const name[] = {
		[SERVER_FAILED] = "failed",   [SERVER_BACKOFF] = "backoff",   [SERVER_STALLED] = "stalled",
		[SERVER_STOPPED] = "stopped", [SERVER_STARTING] = "starting", [SERVER_DRAINING] = "draining",
		[SERVER_READY] = "ready",
	};

	return state < sizeof(name) / sizeof(name[0]) ? name[state] : "?";
}

/* Text that grows in a fixed place and is cut at its end. */
struct line {
	char text[LINE];
	size_t length;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line->text + line->length, LINE - line->length, format, arguments);
	va_end(arguments);
	if (length > 0)
		line->length += (size_t)length;
	if (line->length >= LINE)
		line->length = LINE - 1;
}

static uint64_t ago(uint64_t moment_s, uint64_t now_s)
{
	return moment_s < now_s ? now_s - moment_s : 0;
}

static void head_line(FILE *out, const struct control_daemon *daemon)
{
	struct line line = {.length = 0};
	char text[FORMAT_SHORT];

	add(&line, "lust-inetd %s, up %s, pid %d; %s", daemon->version,
	    format_duration(text, daemon->uptime_ms / 1000), (int)daemon->pid, daemon->config);
	if (daemon->config_changed)
		add(&line, " CHANGED since %s", format_clock(text, daemon->config_changed_s, daemon->time_s));
	format_wrap(out, 0, line.text);
}

static void reload_line(FILE *out, const struct snapshot *snapshot)
{
	const struct control_daemon *daemon = &snapshot->daemon;
	struct line line = {.length = 0};
	char text[FORMAT_SHORT];

	add(&line, "! reload %s failed: %s", format_clock(text, daemon->reload_s, daemon->time_s),
	    snapshot->problems ? snapshot->problem[0] : "see the log");
	if (snapshot->problems > 1)
		add(&line, " (and %zu more: lust-inetd check)", snapshot->problems - 1);
	format_wrap(out, 0, line.text);
}

static void dispatcher_line(FILE *out, const struct control_daemon *daemon)
{
	struct line line = {.length = 0};

	add(&line, "! no dispatcher: a new one is being started, clients wait in the backlog");
	if (daemon->dispatcher_last_exit[0])
		add(&line, "; the last one ended by %s", daemon->dispatcher_last_exit);
	format_wrap(out, 0, line.text);
}

void render_head(FILE *out, const struct snapshot *snapshot, bool problems_only)
{
	const struct control_daemon *daemon = &snapshot->daemon;

	if (!problems_only)
		head_line(out, daemon);
	if (daemon->reload_s && !daemon->reload_ok)
		reload_line(out, snapshot);
	if (!daemon->dispatcher_pid)
		dispatcher_line(out, daemon);
	if (snapshot->warnings && !problems_only)
		fprintf(out, "%zu warning%s in the table: lust-inetd check\n", snapshot->warnings,
			snapshot->warnings == 1 ? "" : "s");
}

void render_columns(FILE *out)
{
	fprintf(out, "SERVICE       STATE    SERVERS  ACTIVE   WAIT    /S  DROP ADDRESS\n");
}

static void servers_text(char *text, size_t size, const struct control_service *service)
{
	char ready[FORMAT_SHORT], wanted[FORMAT_SHORT];

	format_count(ready, service->ready, service->wanted ? 4 : 7);
	if (service->wanted)
		snprintf(text, size, "%s/%s", ready, format_count(wanted, service->wanted, 4));
	else
		snprintf(text, size, "%s", ready);
}

/* The first address as it was written, and how many more. */
static void address_text(char *text, size_t size, const struct snapshot_service *service)
{
	char more[FORMAT_SHORT] = "", said[4 * ADDRESS_WIDTH + 1];
	size_t words = 0;

	for (size_t i = 0; i < service->listeners; i++)
		/* One word of the table can be two sockets. */
		words += i == 0 || strcmp(service->listener[i].said, service->listener[i - 1].said) != 0;
	if (words == 0) {
		snprintf(text, size, "-");
		return;
	}
	if (words > 1)
		snprintf(more, sizeof(more), " +%zu", words - 1);
	format_cut(said, sizeof(said), ADDRESS_WIDTH - (unsigned)strlen(more), service->listener[0].said);
	snprintf(text, size, "%s%s", said, more);
}

void render_row(FILE *out, const struct snapshot_service *service)
{
	const struct control_service *about = &service->service;
	char name[4 * NAME_WIDTH + 1], servers[3 * FORMAT_SHORT],
		address[4 * ADDRESS_WIDTH + FORMAT_SHORT + 1];
	char active[FORMAT_SHORT], wait[FORMAT_SHORT], rate[FORMAT_SHORT], drop[FORMAT_SHORT];
	uint64_t waiting = 0, dropped = 0;

	for (size_t i = 0; i < service->listeners; i++) {
		waiting += service->listener[i].waiting;
		dropped += service->listener[i].dropped;
	}
	servers_text(servers, sizeof(servers), about);
	address_text(address, sizeof(address), service);
	fprintf(out, "%-13s %-8s%8s%8s%7s%6s%6s %s\n",
		format_cut(name, sizeof(name), NAME_WIDTH, about->name), render_service_state(about->state),
		servers, format_count(active, about->connections.active, 7), format_count(wait, waiting, 6),
		format_count(rate, about->per_s_10, 5), format_count(drop, dropped, 5), address);
}

static void server_name(struct line *line, const struct control_server *server)
{
	if (server->supervised)
		add(line, "server %u: ", server->instance);
	else if (server->label[0])
		add(line, "server from outside, pid %d (%s): ", (int)server->pid, server->label);
	else
		add(line, "server from outside, pid %d: ", (int)server->pid);
}

static void server_hint(struct line *line, const struct control_server *server, const char *service)
{
	if (server->state == SERVER_FAILED)
		add(line, "; restart-limit is reached: lust-inetd up %s", service);
	else if (server->state == SERVER_STALLED)
		add(line, "; no sign of life for take-timeout, its connections went to others");
}

static void server_line(FILE *out, const struct control_server *server, const char *service, uint64_t now_s)
{
	struct line line = {.length = 0};
	char text[FORMAT_SHORT];

	server_name(&line, server);
	add(&line, "%s", render_server_state(server->state));
	if (server->state == SERVER_BACKOFF && server->until_s > now_s)
		add(&line, ", again in %s", format_duration(text, server->until_s - now_s));
	else
		add(&line, " since %s", format_duration(text, ago(server->state_s, now_s)));
	if (server->last_exit[0])
		add(&line, "; %s %s ago", server->last_exit,
		    format_duration(text, ago(server->last_exit_s, now_s)));
	if (server->restarts)
		add(&line, ", %s restart", format_ordinal(text, server->restarts));
	server_hint(&line, server, service);
	format_wrap(out, 2, line.text);
	if (server->last_line[0] && server->state != SERVER_STALLED) {
		line.length = 0;
		add(&line, "it said: %s", server->last_line);
		format_wrap(out, 4, line.text);
	}
}

static void listener_line(FILE *out, const struct control_listener *listener)
{
	struct line line = {.length = 0};
	char text[FORMAT_SHORT];

	add(&line, "%s: not bound: %s", listener->address,
	    listener->error[0] ? listener->error : "not tried yet");
	if (listener->retry_s)
		add(&line, ", again in %s", format_duration(text, listener->retry_s));
	format_wrap(out, 2, line.text);
}

/* Is the reason one of the servers, which have lines of their own? */
static bool told_by_server(const struct snapshot_service *service)
{
	const char *reason = service->service.reason;
	char begin[FORMAT_SHORT];

	for (size_t i = 0; i < service->servers; i++) {
		if (!snapshot_server_in_trouble(&service->server[i]) || !service->server[i].supervised)
			continue;
		snprintf(begin, sizeof(begin), "server %u:", service->server[i].instance);
		if (strncmp(reason, begin, strlen(begin)) == 0)
			return true;
	}
	return false;
}

/* Is the reason this listener? */
static bool told_by_reason(const struct control_listener *listener, const char *reason)
{
	size_t length = strlen(listener->address);

	return length && strncmp(reason, listener->address, length) == 0 && reason[length] == ':';
}

static void reason_line(FILE *out, const struct control_service *service, uint64_t now_s)
{
	struct line line = {.length = 0};
	char clock[FORMAT_SHORT], text[FORMAT_SHORT];
	uint64_t left = service->until_s > now_s ? service->until_s - now_s : 0;

	if (!service->reason[0])
		return;
	add(&line, "%s", service->reason);
	if (left && service->state == SERVICE_LIMITED)
		add(&line, "; until %s, for %s", format_clock(clock, service->until_s, now_s),
		    format_duration(text, left));
	else if (left)
		add(&line, "; again in %s", format_duration(text, left));
	format_wrap(out, 2, line.text);
}

static void server_lines(FILE *out, const struct snapshot_service *service, uint64_t now_s, size_t most)
{
	size_t troubled = 0;

	for (size_t i = 0; i < service->servers; i++) {
		if (!snapshot_server_in_trouble(&service->server[i]))
			continue;
		if (troubled++ < most)
			server_line(out, &service->server[i], service->service.name, now_s);
	}
	if (troubled > most)
		fprintf(out, "  and %zu more: lust-inetd status %s\n", troubled - most,
			service->service.name);
}

void render_troubles(FILE *out, const struct snapshot_service *service, uint64_t now_s, bool all)
{
	if (!told_by_server(service))
		reason_line(out, &service->service, now_s);
	for (size_t i = 0; i < service->listeners; i++)
		if (!service->listener[i].bound &&
		    !told_by_reason(&service->listener[i], service->service.reason))
			listener_line(out, &service->listener[i]);
	server_lines(out, service, now_s, all ? SIZE_MAX : TROUBLE_SERVERS);
}

void render_status(FILE *out, const struct snapshot *snapshot, bool problems_only)
{
	bool columns = false;

	render_head(out, snapshot, problems_only);
	for (size_t i = 0; i < snapshot->services; i++) {
		const struct snapshot_service *service = &snapshot->service[i];

		if (problems_only && !snapshot_in_trouble(service))
			continue;
		if (!columns)
			render_columns(out);
		columns = true;
		render_row(out, service);
		render_troubles(out, service, snapshot->daemon.time_s, false);
	}
	if (!snapshot->services && !problems_only)
		fprintf(out, "no services in the table\n");
}
