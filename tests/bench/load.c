/*
 * load.c: the load generator.
 *
 *     bench-load [-m answers|stream|rounds] [-c AT_ONCE] [-p PROCESSES] [-t SECONDS | -n COUNT] [-b BYTES] PORT
 *
 * Connects to 127.0.0.1 to 127.0.0.4, AT_ONCE connections in each of the PROCESSES, for SECONDS or until each process has
 * made COUNT connections, and prints one JSON object: what it began, finished and saw fail, the rate per second, and a histogram
 * of latencies as [nanoseconds, count] pairs. `stream` reads BYTES over each connection, once; `rounds` sends 64 bytes back and
 * forth on connections that stay.
 *
 * SPDX-License-Identifier: ISC
 */
#include "app.h"
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 64
#define AT_ONCE_MAX 100000

static const char *const error_names[] = {[ERROR_CONNECT] = "connect",
					  [ERROR_RESET] = "reset",
					  [ERROR_SHORT] = "short",
					  [ERROR_WRONG] = "wrong",
					  [ERROR_TIMEOUT] = "timeout"};

/* Each waits for the end of the pipe, so that all begin together. */
static void start(const struct client *client, struct result *results, unsigned processes)
{
	int gate[2];
	char byte = 0;
	pid_t parent = getpid();

	if (pipe2(gate, O_CLOEXEC) < 0)
		app_fail("pipe", errno);
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			app_fail("fork", errno);
		if (pid > 0)
			continue;
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 0)
			_exit(1);
		client_run(client, &results[i]);
		_exit(0);
	}
	close(gate[0]);
	close(gate[1]);
}

static void join(unsigned processes)
{
	for (unsigned i = 0; i < processes; i++) {
		int status = 0;
		if (wait(&status) < 0)
			app_fail("wait", errno);
		if (status != 0)
			exit(1); /* it has said why */
	}
}

static void add_up(const struct result *results, unsigned processes, struct result *sum, double *rate)
{
	for (unsigned i = 0; i < processes; i++) {
		const struct result *one = &results[i];
		sum->begun += one->begun;
		sum->finished += one->finished;
		sum->in_time += one->in_time;
		if (one->elapsed_ns > sum->elapsed_ns)
			sum->elapsed_ns = one->elapsed_ns;
		for (unsigned kind = 0; kind < ERROR_KINDS; kind++)
			sum->errors[kind] += one->errors[kind];
		for (unsigned step = 0; step < HISTOGRAM_SIZE; step++)
			sum->histogram[step] += one->histogram[step];
	}
	*rate = (double)sum->in_time * 1e9 / (double)sum->elapsed_ns;
}

static void print(const struct result *sum, double rate)
{
	const char *comma = "";

	printf("{\"begun\": %ju, \"finished\": %ju, \"elapsed\": %.6f, \"rate\": %.1f, \"errors\": {", (uintmax_t)sum->begun,
	       (uintmax_t)sum->finished, (double)sum->elapsed_ns / 1e9, rate);
	for (unsigned kind = 0; kind < ERROR_KINDS; kind++)
		printf("%s\"%s\": %ju", kind ? ", " : "", error_names[kind], (uintmax_t)sum->errors[kind]);
	printf("}, \"histogram\": [");
	for (unsigned step = 0; step < HISTOGRAM_SIZE; step++)
		if (sum->histogram[step] != 0) {
			printf("%s[%ju, %ju]", comma, (uintmax_t)histogram_value(step), (uintmax_t)sum->histogram[step]);
			comma = ", ";
		}
	printf("]}\n");
	if (fflush(stdout) != 0)
		app_fail("standard output", errno);
}

static bool mode_of(const char *word, enum client_mode *mode)
{
	static const char *const words[] = {[CLIENT_ANSWERS] = "answers", [CLIENT_STREAM] = "stream", [CLIENT_ROUNDS] = "rounds"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(word, words[i]) == 0) {
			*mode = (enum client_mode)i;
			return true;
		}
	return false;
}

static bool read_options(int argc, char **argv, struct client *client, unsigned *processes)
{
	int option = 0;

	while ((option = getopt(argc, argv, "m:c:p:t:n:b:")) != -1)
		switch (option) {
		case 'c': client->at_once = (unsigned)atoi(optarg); break;
		case 'p': *processes = (unsigned)atoi(optarg); break;
		case 't': client->duration_ns = (uint64_t)(atof(optarg) * 1e9); break;
		case 'n': client->count = strtoull(optarg, NULL, 10); break;
		case 'b': client->bytes = strtoull(optarg, NULL, 10); break;
		case 'm':
			if (mode_of(optarg, &client->mode))
				break;
			return false;
		default: return false;
		}
	if (optind != argc - 1)
		return false;
	client->port = (uint16_t)atoi(argv[optind]);
	if (client->mode == CLIENT_STREAM)
		client->count = client->at_once; /* each once */
	else if (client->mode == CLIENT_ROUNDS)
		client->count = 0;
	if (client->count != 0)
		client->duration_ns = 0;
	return client->port != 0 && client->at_once >= 1 && client->at_once <= AT_ONCE_MAX && *processes >= 1 &&
	       *processes <= PROCESSES_MAX && (client->count != 0 || client->duration_ns != 0);
}

int main(int argc, char **argv)
{
	struct client client = {.at_once = 1};
	struct result *results = NULL, sum = {0};
	unsigned processes = 1;
	double rate = 0;

	if (!read_options(argc, argv, &client, &processes)) {
		fprintf(stderr, "usage: bench-load [-m answers|stream|rounds] [-c AT_ONCE] [-p PROCESSES] "
				"[-t SECONDS | -n COUNT] [-b BYTES] PORT\n");
		return 2;
	}
	results = mmap(NULL, processes * sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		app_fail("mmap", errno);
	start(&client, results, processes);
	join(processes);
	add_up(results, processes, &sum, &rate);
	print(&sum, rate);
	return 0;
}
