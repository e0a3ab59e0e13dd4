/*
 * orphans.c: the process groups of running servers, on disk, so that the next start ends what a killed daemon left.
 * One fixed record a slot: a start or an end of a server costs one pwrite(2).
 *
 * SPDX-License-Identifier: ISC
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lifecycle.h"
#include "logging.h"

#define GROUPS_FILE "groups"

/* Pids and start times mean something only in the same boot and pid namespace. */
struct groups_head {
	char boot[40];
	uint64_t pid_namespace;
};

struct groups_record {
	int32_t pid; /* of the leader: the group's number; 0: none */
	uint32_t uid;
	uint64_t start; /* of the leader, in clock ticks since boot */
};

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, size - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

static void head_now(struct groups_head *head)
{
	struct stat info;

	memset(head, 0, sizeof(*head));
	read_text("/proc/sys/kernel/random/boot_id", head->boot, sizeof(head->boot));
	if (stat("/proc/self/ns/pid", &info) == 0)
		head->pid_namespace = info.st_ino;
}

bool orphans_parse_stat(const char *line, pid_t *group, pid_t *session, uint64_t *start)
{
	/* The name in parentheses may hold anything, parentheses and spaces included: the last one ends it. */
	const char *rest = strrchr(line, ')');
	int pgrp, sid;
	unsigned long long ticks;
	char state;

	if (rest == NULL)
		return false;
	/* state ppid pgrp session tty tpgid flags, four faults, four times, priority nice threads itrealvalue, start */
	if (sscanf(rest + 1, " %c %*d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &state, &pgrp, &sid, &ticks) != 4)
		return false;
	/* Who only waits to be reaped has ended. */
	if (state == 'Z' || state == 'X')
		return false;
	*group = pgrp;
	*session = sid;
	*start = ticks;
	return true;
}

static bool process_stat(pid_t pid, pid_t *group, pid_t *session, uint64_t *start)
{
	char path[64], line[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return read_text(path, line, sizeof(line)) && orphans_parse_stat(line, group, session, start);
}

static bool process_is(pid_t pid, const struct groups_record *record)
{
	char path[64];
	struct stat info;
	pid_t group, session;
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &info) < 0 || info.st_uid != record->uid ||
	    !process_stat(pid, &group, &session, &start))
		return false;
	return group == record->pid && session == record->pid && start >= record->start;
}

/* The leader is dead, its number not reused: are there members left that can only be its own? */
static bool has_members(const struct groups_record *record)
{
	DIR *proc = opendir("/proc");
	bool found = false;

	if (proc == NULL)
		return false;
	for (struct dirent *entry; !found && (entry = readdir(proc)) != NULL;)
		if (isdigit((unsigned char)entry->d_name[0]))
			found = process_is((pid_t)strtol(entry->d_name, NULL, 10), record);
	closedir(proc);
	return found;
}

static void end_group(struct supervisor *s, const struct groups_record *record)
{
	pid_t group, session;
	uint64_t start;

	if (record->pid <= 1 || kill(-record->pid, 0) < 0)
		return;
	/* A living leader with another start time is a stranger that got the number. */
	if (process_stat(record->pid, &group, &session, &start)) {
		if (start != record->start || group != record->pid)
			return;
	} else if (!has_members(record)) {
		return;
	}
	log_line(s, LEVEL_WARNING, NULL, "process group %d was left by a daemon that died: killed",
		 (int)record->pid);
	kill(-record->pid, SIGKILL);
}

static void end_recorded(struct supervisor *s, int fd, const struct groups_head *now)
{
	struct groups_record records[256];
	struct groups_head then;
	off_t at = sizeof(then);
	ssize_t length;

	if (pread(fd, &then, sizeof(then), 0) != sizeof(then) || memcmp(&then, now, sizeof(then)) != 0)
		return;
	while ((length = pread(fd, records, sizeof(records), at)) > 0) {
		for (size_t i = 0; i < (size_t)length / sizeof(records[0]); i++)
			end_group(s, &records[i]);
		at += length;
	}
}

void orphans_end(struct supervisor *s)
{
	int fd = openat(s->runtime_dir_fd, GROUPS_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct groups_head now;

	head_now(&now);
	if (fd >= 0)
		end_recorded(s, fd, &now);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, &now, sizeof(now), 0) != sizeof(now)) {
		log_line(s, LEVEL_WARNING, NULL,
			 "cannot write %s/" GROUPS_FILE ": %s; after a crash servers may be left",
			 s->runtime_dir, strerror(errno));
		if (fd >= 0)
			close(fd);
		(void)unlinkat(s->runtime_dir_fd, GROUPS_FILE, 0); /* half of it is worse than none */
		return;
	}
	s->groups_fd = fd;
}

void runtime_dir_record(struct supervisor *s, uint32_t slot, pid_t pid, uid_t uid)
{
	struct groups_record record = {.pid = pid, .uid = uid};
	pid_t group, session;

	if (s->groups_fd < 0)
		return;
	if (pid > 0 && !process_stat(pid, &group, &session, &record.start))
		record.pid = 0;
	off_t at = (off_t)(sizeof(struct groups_head) + (size_t)slot * sizeof(record));
	if (pwrite(s->groups_fd, &record, sizeof(record), at) != sizeof(record))
		log_line(s, LEVEL_WARNING, NULL, "cannot record process group %d: %s", (int)pid,
			 strerror(errno));
}
