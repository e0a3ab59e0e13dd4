/*
 * upgrade_self.c: which program this is: the name by which it was started, its arguments, and itself, kept open, so
 * that it can be run again when the one that replaces it cannot go on.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "upgrade.h"

/* After ev.h, whose EV_NONE elf.h makes a macro. */
#include <sys/auxv.h>

#define ROOM 4096

/* argv as it was given: the parser of the command line has changed the order of its own. */
char **upgrade_arguments(void)
{
	size_t size = 0, room = 0, count = 1;
	char *text = NULL;
	ssize_t length = 0;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	do {
		size += (size_t)length;
		char *grown = room - size < 2 ? realloc(text, room += ROOM) : text;
		if (grown == NULL)
			break;
		text = grown;
	} while (fd >= 0 && (length = read(fd, text + size, room - size - 1)) > 0);
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < size; i++)
		count += text[i] == '\0';
	char **arguments = text != NULL ? calloc(1, (count + 1) * sizeof(char *) + size + 1) : NULL;
	if (arguments != NULL) {
		char *copy = memcpy((char *)(arguments + count + 1), text, size);
		for (size_t i = 0, at = 0; at < size; at += strlen(copy + at) + 1)
			arguments[i++] = copy + at;
	}
	free(text);
	return arguments;
}

static bool is_self(const char *path)
{
	struct stat there, self;

	return stat(path, &there) == 0 && stat("/proc/self/exe", &self) == 0 && there.st_dev == self.st_dev &&
	       there.st_ino == self.st_ino;
}

/* The name that it was started by: a link that is turned to another version is followed. */
static char *read_path(void)
{
	const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	char *path = NULL;

	if (name != NULL && name[0] == '/')
		path = strdup(name);
	else if (name != NULL) {
		char *here = getcwd(NULL, 0);
		if (here != NULL && asprintf(&path, "%s/%s", here, name) < 0)
			path = NULL;
		free(here);
	}
	if (path != NULL && is_self(path))
		return path;
	free(path);
	return realpath("/proc/self/exe", NULL);
}

int upgrade_blank(struct supervisor *s)
{
	s->upgrade = calloc(1, sizeof(*s->upgrade));
	if (s->upgrade == NULL)
		return -ENOMEM;
	s->upgrade->self = s->upgrade->program = s->upgrade->answer = -1;
	ev_init(&s->upgrade->timer, NULL);
	ev_init(&s->upgrade->handover, NULL);
	ev_init(&s->upgrade->answer_watch, NULL);
	s->upgrade->arguments = upgrade_arguments();
	return s->upgrade->arguments != NULL ? 0 : -ENOMEM;
}

int upgrade_open(struct supervisor *s)
{
	if (upgrade_blank(s) < 0)
		return -ENOMEM;
	s->upgrade->path = read_path();
	s->upgrade->self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return 0;
}

void upgrade_close(struct supervisor *s)
{
	struct upgrade *upgrade = s->upgrade;

	if (upgrade == NULL)
		return;
	for (size_t i = 0; i < upgrade->held_count; i++)
		close(upgrade->held[i].fd);
	free(upgrade->held);
	if (upgrade->pid > 0)
		kill(upgrade->pid, SIGKILL);
	const int fds[] = {upgrade->self, upgrade->program, upgrade->answer};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(upgrade->path);
	free(upgrade->arguments);
	free(upgrade->runtime_dir_option);
	free(upgrade);
	s->upgrade = NULL;
}
