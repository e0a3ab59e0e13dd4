/*
 * upgrade_judge.c: what the program on disk said when it was asked whether it can go on from here.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "servers.h"
#include "upgrade.h"

/* "ok VERSION" as its last line. */
static bool read_ok(char *said, char version[32])
{
	size_t length = strlen(said);

	if (length == 0 || said[length - 1] != '\n')
		return false;
	said[length - 1] = '\0';
	char *line = strrchr(said, '\n');
	line = line != NULL ? line + 1 : said;
	bool is_ok = strncmp(line, "ok ", 3) == 0 && line[3] != '\0' && strlen(line + 3) < 32;
	if (is_ok) {
		snprintf(version, 32, "%.31s", line + 3);
		*line = '\0';
	} else {
		said[length - 1] = '\n';
	}
	return is_ok;
}

const char *upgrade_judge(int status, char *said, char version[32])
{
	static char why[160];
	char text[96];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return read_ok(said, version) ? NULL : "it does not say that it can go on from here";
	snprintf(why, sizeof(why), "it was tried: %s", exit_text(status, text));
	return why;
}
