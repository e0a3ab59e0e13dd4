/*
 * fuzz_control.c: control.sock, as anybody may connect to it: requests of any size and content, with descriptors, from
 * many at once, slow ones too.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_client.h"
#include "control_rights.h"
#include "control_socket.h"
#include "fd_message.h"
#include "fuzz.h"
#include "logging.h"
#include "services.h"
#include "slots.h"
#include "upgrade.h"

#define SERVICES 5u
#define CLIENTS 12u

static struct supervisor supervisor;
static struct table *table;
static int client[CLIENTS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	char path[128];
	struct diagnostics diagnostics;
	const struct table_options options = {.runtime_dir = fuzz_directory()};

	snprintf(path, sizeof(path), "%s/table.conf", fuzz_directory());
	FILE *file = fopen(path, "we");
	FUZZ_CHECK(file != NULL);
	for (unsigned i = 0; i < SERVICES; i++)
		fprintf(file, "service \"service-%u\" { listen = %u %s }\n", i, 7000 + i,
			i & 1 ? "start = external register-users = 65534"
			      : "server { env = {\"A=secret\"} command = \"/bin/true\" instances = 2 }");
	FUZZ_CHECK(fclose(file) == 0);
	table = table_read(path, &options, &diagnostics);
	FUZZ_CHECK(table != NULL);
	diagnostics_free(&diagnostics);
	return 0;
}

/* ---- nothing is forked, and so there is nobody to signal: see LDFLAGS, --wrap ---- */

int __wrap_kill(pid_t pid, int number);
int __wrap_spawn_server(struct supervisor *s, struct server *server, char *problem, size_t size);

int __wrap_reload_child_start(struct supervisor *s, double limit_s, reload_done *done);

int __wrap_kill(pid_t pid, int number)
{
	(void)pid;
	(void)number;
	FUZZ_CHECK(!"a signal");
	return 0;
}

int __wrap_spawn_server(struct supervisor *s, struct server *server, char *problem, size_t size)
{
	(void)s;
	(void)server;
	snprintf(problem, size, "no process here");
	return -EAGAIN;
}

int __wrap_reload_child_start(struct supervisor *s, double limit_s, reload_done *done)
{
	(void)s;
	(void)limit_s;
	(void)done;
	return -EAGAIN;
}

static void add_service(const struct table_service *want, bool removed)
{
	struct service *service = service_new(&supervisor, want->name);

	FUZZ_CHECK(service != NULL);
	service->want = removed ? NULL : want;
	service->next = supervisor.services;
	supervisor.services = service;
}

static void open_supervisor(uint8_t how)
{
	memset(&supervisor, 0, sizeof(supervisor));
	supervisor.runtime_dir = (char *)fuzz_directory();
	supervisor.table = table;
	supervisor.config_file = "/nonexistent/table.conf";
	supervisor.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ev_set_userdata(supervisor.loop, &supervisor);
	supervisor.control_fd = supervisor.logger.link.fd = supervisor.dispatcher.link.fd = -1;
	supervisor.groups_fd = supervisor.start_pipe = -1;
	supervisor.running = !(how & 2);
	FUZZ_CHECK(slots_init(&supervisor) == 0);
	/* It does not know which program it is: every `upgrade` fails before it starts anything. */
	FUZZ_CHECK(upgrade_blank(&supervisor) == 0);
	for (unsigned i = SERVICES; i-- > 0;)
		add_service(&table->service[i], how & 1 && i == 2);
	FUZZ_CHECK(control_open(&supervisor) == 0);
}

static void close_supervisor(void)
{
	control_close(&supervisor);
	FUZZ_CHECK(supervisor.client_count == 0);
	while (supervisor.services) {
		struct service *service = supervisor.services;
		supervisor.services = service->next;
		service_free(&supervisor, service);
	}
	diagnostics_free(&supervisor.reload_problems);
	slots_free(&supervisor);
	upgrade_close(&supervisor);
	log_free(&supervisor);
	ev_loop_destroy(supervisor.loop);
}

static void turn(unsigned times)
{
	while (times--)
		ev_run(supervisor.loop, EVRUN_NOWAIT);
}

static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	FUZZ_CHECK(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", fuzz_directory());
	FUZZ_CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void leave(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Not one that ends the daemon for good: its part of the world is not here. */
static bool is_possible(const struct control_request *request)
{
	return request->command != CONTROL_STOP || request->flags & CONTROL_ASK;
}

static void ask(struct input *input, int fd)
{
	struct control_request request = {.version = CONTROL_VERSION};
	uint8_t how = input_byte(input);
	int fds[4];
	unsigned count = 0;
	size_t size = sizeof(request);

	request.command = input_below(input, CONTROL_UPGRADE + 2);
	request.flags = input_byte(input) & 7;
	if (how & 1)
		snprintf(request.service, sizeof(request.service), "service-%u", how >> 5);
	else
		input_copy(input, request.service, how >> 5);
	if (how & 2)
		input_copy(input, (char *)&request + input_below(input, sizeof(request) - 16), 8);
	if (how & 4)
		size = input_number(input) % 4096;
	if (how & 8)
		count = fuzz_some_fds(input, fds, 4);
	char bytes[4096] = {0};
	memcpy(bytes, &request, sizeof(request));
	if (fd >= 0 && is_possible(&request))
		(void)lust_message_send(fd, bytes, size, fds, count, MSG_DONTWAIT);
	fuzz_close_all(fds, count);
}

/* An answer is whole records, the last one the result, with text that ends. */
static void hear(int fd)
{
	struct control_record record;
	ssize_t length;

	while (fd >= 0 && (length = recv(fd, &record, sizeof(record), 0)) > 0) {
		FUZZ_CHECK(length == sizeof(record));
		FUZZ_CHECK(record.version == CONTROL_VERSION);
		if (record.type == CONTROL_RESULT)
			FUZZ_CHECK(memchr(record.result.text, '\0', CONTROL_TEXT) != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	unsigned before = fuzz_count_fds();

	if (size > 1024)
		return -1;
	open_supervisor(input_byte(&input));
	for (unsigned i = 0; i < CLIENTS; i++)
		client[i] = -1;
	while (input.left) {
		uint8_t what = input_byte(&input);
		int *fd = &client[(what >> 2) % CLIENTS];

		if (*fd < 0)
			*fd = connect_client();
		else if ((what & 3) == 2)
			hear(*fd);
		else if ((what & 3) == 3)
			leave(fd);
		else
			ask(&input, *fd);
		turn(1 + (what >> 6));
		FUZZ_CHECK(supervisor.client_count <= CONTROL_CLIENTS + CONTROL_CLIENTS_SPARE);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		leave(&client[i]);
	turn(20);
	close_supervisor();
	fuzz_check_fds(before);
	return 0;
}
