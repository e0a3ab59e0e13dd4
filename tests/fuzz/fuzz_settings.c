/*
 * fuzz_settings.c: a server's own settings.  A line "%%" parts the input into the file and what a command line sets,
 * KEY=VALUE lines.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "settings.h"

#define BYTES 32768

static char path[PATH_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	snprintf(path, sizeof(path), "%s/settings.conf", fuzz_directory());
	return 0;
}

static int read_bytes(struct lust_settings **settings, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(write(fd, text, length) == (ssize_t)length);
	close(fd);
	return lust_settings_read(settings, "fuzz", path);
}

/* Nothing that a terminal would obey. */
static void check_printable(const char *text)
{
	for (; *text; text++)
		FUZZ_CHECK(((unsigned char)*text >= ' ' && *text != 0x7f) || *text == '\n');
}

/* Each mistake is a line that says where. */
static void check_mistakes(const char *problem)
{
	const size_t length = strlen(path);

	FUZZ_CHECK(*problem != '\0');
	check_printable(problem);
	while (*problem) {
		const char *end = strchrnul(problem, '\n');
		FUZZ_CHECK(strncmp(problem, path, length) == 0 && problem[length] == ':');
		FUZZ_CHECK(problem[length + 1] >= '1' && problem[length + 1] <= '9');
		problem = *end ? end + 1 : end;
	}
}

static void check_problem(const struct lust_settings *settings, int result)
{
	const char *problem = lust_settings_problem(settings);

	FUZZ_CHECK(result == 0 || result == -EINVAL || result == -ERANGE);
	FUZZ_CHECK(result == 0 || *problem != '\0');
	check_printable(problem);
}

static void understand(struct lust_settings *settings, const char *key)
{
	long long number = -3;
	int truth = -3, result;
	uint64_t ms = 3;

	result = lust_settings_number(settings, key, -1, 1000, &number);
	FUZZ_CHECK(result == 0 ? number >= -1 && number <= 1000 : number == -3);
	check_problem(settings, result);
	result = lust_settings_number(settings, key, LLONG_MIN, LLONG_MAX, &number);
	check_problem(settings, result);
	result = lust_settings_boolean(settings, key, &truth);
	FUZZ_CHECK(result == 0 ? truth == 0 || truth == 1 : truth == -3);
	check_problem(settings, result);
	result = lust_settings_time(settings, key, &ms);
	FUZZ_CHECK(result == 0 || ms == 3);
	check_problem(settings, result);
}

static void check_all(struct lust_settings *settings)
{
	static const char *const known[] = {"a", "b.c", "limits.clients"};
	unsigned line = 0;

	for (const struct lust_setting *one = settings->first; one; one = one->next) {
		FUZZ_CHECK(lust_settings_key_is_valid(one->key));
		FUZZ_CHECK(lust_settings_get(settings, one->key) != NULL);
		understand(settings, one->key);
	}
	if (lust_settings_unknown(settings, known, sizeof(known) / sizeof(*known), &line))
		FUZZ_CHECK(line > 0);
}

/* KEY=VALUE: it wins over whatever the file says. */
static void override(struct lust_settings *settings, char *text)
{
	char *rest = text, *word;

	while ((word = strsep(&rest, "\n"))) {
		char *value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		int result = lust_settings_override(settings, word, value);
		FUZZ_CHECK(result == (lust_settings_key_is_valid(word) ? 0 : -EINVAL));
		if (result == 0)
			FUZZ_CHECK(strcmp(lust_settings_get(settings, word), value) == 0);
	}
}

static void write_setting(FILE *file, const struct lust_setting *one)
{
	fprintf(file, "%s = \"", one->key);
	for (const char *at = one->value; *at; at++) {
		if (*at == '"' || *at == '\\')
			fputc('\\', file);
		fputc(*at, file);
	}
	fputs("\"\n", file);
}

/* What was read, written down with quotes, reads as the same. */
static void check_again(const struct lust_settings *settings)
{
	struct lust_settings *again;
	char *text;
	size_t length;
	FILE *file = open_memstream(&text, &length);

	FUZZ_CHECK(file != NULL);
	for (const struct lust_setting *one = settings->first; one; one = one->next)
		if (strlen(one->key) < 256) /* with its section it may be longer than one word */
			write_setting(file, one);
	FUZZ_CHECK(fclose(file) == 0);
	FUZZ_CHECK(read_bytes(&again, text, length) == 0);
	for (const struct lust_setting *one = settings->first; one; one = one->next)
		if (strlen(one->key) < 256)
			FUZZ_CHECK(strcmp(lust_settings_get(again, one->key), one->value) == 0);
	lust_settings_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = fuzz_count_fds();
	struct lust_settings *settings;
	const uint8_t *mark = size ? memmem(data, size, "\n%%\n", 4) : NULL;
	size_t length = mark ? (size_t)(mark - data) : size;
	char *more;

	if (size > BYTES)
		return -1;
	int result = read_bytes(&settings, (const char *)data, length);
	FUZZ_CHECK(settings != NULL && (result == 0 || result == -EINVAL));
	if (result < 0)
		check_mistakes(lust_settings_problem(settings));
	FUZZ_CHECK(strcmp(lust_settings_file(settings), path) == 0);
	check_all(settings);
	check_again(settings);
	if (mark) {
		more = strndup((const char *)mark + 4, size - length - 4);
		FUZZ_CHECK(more != NULL);
		override(settings, more);
		free(more);
		check_all(settings);
	}
	lust_settings_free(settings);
	fuzz_check_fds(before);
	return 0;
}
