/*
 * fuzz_state.c: the supervisor's state, as `upgrade` hands it from one program to the next: records, and the supervisor
 * that is made of them.  An input without the first line gets it.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control_client.h"
#include "fuzz.h"
#include "sources.h"
#include "targets.h"
#include "upgrade.h"

#define BYTES 65536
#define FDS_FROM 30 /* the descriptors that a state may name */
#define FDS 20
#define BOARD FDS_FROM /* of them, the counters */

/* ---- what was allocated while a supervisor was made: a failed one dies with its process, here it must not ---- */

static void **block;
static size_t blocks, block_room;
static bool tracking;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
void __wrap_free(void *old);

static void *remember(void *made)
{
	if (!tracking || !made)
		return made;
	if (blocks == block_room) {
		block_room = block_room ? block_room * 2 : 1024;
		block = __real_reallocarray(block, block_room, sizeof(*block));
		FUZZ_CHECK(block != NULL);
	}
	block[blocks++] = made;
	return made;
}

/* From the end: what is short-lived was made last. */
static void forget(const void *old)
{
	if (!old)
		return;
	for (size_t i = blocks; i-- > 0;)
		if (block[i] == old) {
			block[i] = block[--blocks];
			return;
		}
}

void *__wrap_malloc(size_t size)
{
	return remember(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return remember(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	forget(old);
	return remember(__real_realloc(old, size));
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	forget(old);
	return remember(__real_reallocarray(old, count, size));
}

char *__wrap_strdup(const char *text)
{
	return remember(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t length)
{
	return remember(__real_strndup(text, length));
}

void __wrap_free(void *old)
{
	forget(old);
	__real_free(old);
}

static void free_all(void)
{
	tracking = false;
	while (blocks > 0)
		__real_free(block[--blocks]);
}

/* ---- */

/* Whoever runs this: a state of root's is refused by others. */
bool __wrap_privilege_full(void);

bool __wrap_privilege_full(void)
{
	return false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), board = board_create();

	(void)argc;
	(void)argv;
	FUZZ_CHECK(null >= 0 && board >= 0);
	FUZZ_CHECK(dup3(board, BOARD, O_CLOEXEC) == BOARD);
	for (int fd = FDS_FROM + 1; fd < FDS_FROM + FDS; fd++)
		FUZZ_CHECK(dup3(null, fd, O_CLOEXEC) == fd);
	close(null);
	close(board);
	return 0;
}

/* As restore.c looks at them before anything is made. */
static bool descriptors_are_there(const struct state_reader *in)
{
	for (size_t i = 0; i < in->fds; i++)
		if (fcntl(in->fd[i], F_GETFD) < 0)
			return false;
	return true;
}

static void check_problem(const struct state_reader *in)
{
	FUZZ_CHECK(in->problem[0] != '\0' && memchr(in->problem, '\0', sizeof(in->problem)) != NULL);
}

/* As whoever is filled: without what is not said. */
static char *blank(const struct state_field *field, size_t size)
{
	char *base = calloc(1, size);

	FUZZ_CHECK(base != NULL);
	for (; field->key; field++)
		if (field->kind == STATE_FD)
			*(int *)(void *)(base + field->offset) = -1;
	return base;
}

static void free_strings(const struct state_field *field, char *base)
{
	for (; field->key; field++)
		if (field->kind == STATE_STRING)
			free(*(char **)(void *)(base + field->offset));
}

/* What was understood, written again, is understood as the same. */
static void check_struct(struct state_reader *in, const struct state_record *record,
			 const struct state_field *field, size_t size)
{
	char *one = blank(field, size), *other = blank(field, size);
	struct state_writer first, second;
	struct state_reader again = {0};

	if (!state_fill(in, record, field, one)) {
		check_problem(in);
	} else {
		state_write_begin(&first);
		state_record(&first, record->type);
		state_struct(&first, field, one);
		state_end(&first);
		FUZZ_CHECK(!first.failed && state_parse(&again, first.text, first.length) == 0);
		FUZZ_CHECK(again.count == 1 && again.fds == first.fds);
		FUZZ_CHECK(state_fill(&again, &again.record[0], field, other));
		state_write_begin(&second);
		state_record(&second, record->type);
		state_struct(&second, field, other);
		state_end(&second);
		FUZZ_CHECK(second.length == first.length &&
			   memcmp(first.text, second.text, first.length) == 0);
		state_write_free(&first);
		state_write_free(&second);
		state_read_free(&again);
	}
	free_strings(field, one);
	free_strings(field, other);
	free(one);
	free(other);
}

static void check_records(struct state_reader *in)
{
	static const struct {
		const char *type;
		const struct state_field *field;
		size_t size;
	} kind[] = {
		{"daemon", state_daemon_fields, sizeof(struct supervisor)},
		{"dispatcher", state_dispatcher_fields, sizeof(struct supervisor)},
		{"logger", state_logger_fields, sizeof(struct supervisor)},
		{"service", state_service_fields, sizeof(struct service)},
		{"listener", state_listener_fields, sizeof(struct listener)},
		{"server", state_server_fields, sizeof(struct server)},
		{"slot", state_slot_fields, sizeof(struct slot)},
		{"target", state_target_fields, sizeof(struct log_target)},
		{"source", state_source_fields, sizeof(struct log_source)},
		{"client", state_client_fields, sizeof(struct control_client)},
	};

	for (size_t i = 0; i < sizeof(kind) / sizeof(*kind); i++)
		for (const struct state_record *record = NULL;
		     (record = state_next(in, kind[i].type, record));)
			check_struct(in, record, kind[i].field, kind[i].size);
}

/* A state that this program made of one can be read by it, too. */
static void check_saved(struct supervisor *s)
{
	struct state_writer out;
	struct state_reader in;

	state_save(s, &out);
	FUZZ_CHECK(!out.failed);
	FUZZ_CHECK(state_parse(&in, out.text, out.length) == 0);
	state_read_free(&in);
	state_write_free(&out);
}

static void load(struct state_reader *in)
{
	struct diagnostics mistakes = {0};

	tracking = true;
	struct supervisor *s = state_load(in, &mistakes);
	FUZZ_CHECK(s != NULL || in->half != NULL);
	if (s)
		check_saved(s);
	else
		check_problem(in);
	s = s ? s : in->half;
	if (s->board)
		board_unmap(s->board);
	ev_loop_destroy(s->loop);
	diagnostics_free(&mistakes);
	free_all();
}

/* "now": whatever these versions have become, an input goes on from there. */
static void put_versions(char *text, size_t length)
{
	static const struct {
		const char *word;
		unsigned version;
	} versions[] = {{"board=now", BOARD_VERSION}, {"link=now", LINK_VERSION}};

	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		size_t size = strlen(versions[i].word);
		char *at = memmem(text, length, versions[i].word, size), digits[12];

		if (!at)
			continue;
		snprintf(digits, sizeof(digits), "%03u", versions[i].version);
		memcpy(at + size - 3, digits, 3);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t head = size >= 4 && memcmp(data, "lust", 4) == 0 ? 0 : strlen(state_head);
	unsigned before = fuzz_count_fds();
	struct state_reader in = {0};
	char *text;

	if (size > BYTES)
		return -1;
	text = malloc(head + size + 1);
	FUZZ_CHECK(text != NULL);
	memcpy(text, state_head, head);
	if (size > 0)
		memcpy(text + head, data, size);
	put_versions(text, head + size);
	if (state_parse(&in, text, head + size) < 0) {
		check_problem(&in);
	} else {
		check_records(&in);
		if (descriptors_are_there(&in))
			load(&in);
	}
	state_read_free(&in);
	free(text);
	fuzz_check_fds(before);
	return 0;
}
