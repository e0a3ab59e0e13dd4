/*
 * runtime_dir.c: RUNTIME-DIR, its lock, the jail and the door in it.
 *
 * SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lifecycle.h"
#include "logging.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define DOOR "register.sock"
#define DOOR_BACKLOG 128

static int open_checked(struct supervisor *s, const char *path)
{
	const mode_t mode = s->privileged ? 0755 : 0700;
	struct stat info;
	bool made = mkdir(path, mode) == 0;

	if (!made && errno != EEXIST) {
		log_line(s, LEVEL_ERROR, NULL, "cannot make the runtime directory %s: %s%s", path,
			 strerror(errno), errno == ENOENT ? " (make the directory above it)" : "");
		return -1;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Whatever umask the daemon was started with: others come to the sockets in it. */
	if (fd < 0 || fstat(fd, &info) < 0 || (made && fchmod(fd, mode) < 0)) {
		log_line(s, LEVEL_ERROR, NULL, "cannot open the runtime directory %s: %s", path,
			 strerror(errno));
	} else if (info.st_uid != geteuid()) {
		log_line(s, LEVEL_ERROR, NULL, "the runtime directory %s belongs to user %u, not to us (%u)",
			 path, (unsigned)info.st_uid, (unsigned)geteuid());
	} else if ((info.st_mode & 022) != 0) {
		log_line(s, LEVEL_ERROR, NULL, "others can write to the runtime directory %s (chmod go-w %s)",
			 path, path);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static pid_t read_holder(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	long pid = strtol(text, NULL, 10);
	return pid > 0 ? (pid_t)pid : 0;
}

/* 0, 1: held by *holder, -1 told. */
static int take_lock(struct supervisor *s, pid_t *holder)
{
	int fd = openat(s->runtime_dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		log_line(s, LEVEL_ERROR, NULL, "cannot open %s/lock: %s", s->runtime_dir, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno;
		if (error == EWOULDBLOCK)
			*holder = read_holder(fd);
		else
			log_line(s, LEVEL_ERROR, NULL, "cannot lock %s/lock: %s", s->runtime_dir,
				 strerror(error));
		close(fd);
		return error == EWOULDBLOCK ? 1 : -1;
	}
	char text[32];
	int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)length, 0) != length) {
		log_line(s, LEVEL_ERROR, NULL, "cannot write %s/lock: %s", s->runtime_dir, strerror(errno));
		close(fd);
		return -1;
	}
	s->lock_fd = fd;
	return 0;
}

int runtime_dir_open(struct supervisor *s, pid_t *holder)
{
	*holder = 0;
	s->runtime_dir_fd = open_checked(s, s->runtime_dir);
	return s->runtime_dir_fd < 0 ? -1 : take_lock(s, holder);
}

int runtime_dir_jail(struct supervisor *s)
{
	const char *jail = s->jail;
	struct stat info;

	if (strlen(jail) >= LINK_PATH) {
		log_line(s, LEVEL_ERROR, NULL, "the dispatcher's chroot %s is longer than %d bytes", jail,
			 LINK_PATH - 1);
		return -1;
	}
	/* A directory of the administrator's own has to exist; ours is made, beside the lock. */
	if (mkdirat(s->runtime_dir_fd, "empty", 0555) < 0 && errno != EEXIST) {
		log_line(s, LEVEL_ERROR, NULL, "cannot make %s/empty: %s", s->runtime_dir, strerror(errno));
		return -1;
	}
	if (!s->privileged)
		return 0;
	if (lstat(jail, &info) < 0 || !S_ISDIR(info.st_mode)) {
		log_line(s, LEVEL_ERROR, NULL, "the dispatcher's chroot %s is not a directory", jail);
		return -1;
	}
	if (info.st_uid != geteuid() || (info.st_mode & 022) != 0) {
		log_line(s, LEVEL_ERROR, NULL,
			 "the dispatcher's chroot %s must belong to root and be writable by nobody else",
			 jail);
		return -1;
	}
	return 0;
}

static int door_bind(struct supervisor *s, int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int on = 1, off = 0;

	memcpy(address.sun_path, path, strlen(path));
	/* Before listen: messages that arrive before SO_PASSCRED carry no credentials. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	/* Nobody pushes descriptors at the door, whose close() could hang (FUSE): visitors inherit this when they
	   connect.  Where the kernel is older, the dispatcher receives and closes them. */
	(void)!setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	/* We hold the lock: what lies there is a dead daemon's. */
	if (unlinkat(s->runtime_dir_fd, DOOR, 0) < 0 && errno != ENOENT)
		return -errno;
	mode_t before = umask(0111);
	int result = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (result == 0 && listen(fd, DOOR_BACKLOG) < 0) {
		result = -errno;
		(void)unlinkat(s->runtime_dir_fd, DOOR, 0); /* ours, and of no use */
	}
	return result;
}

int runtime_dir_door(struct supervisor *s)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int length = snprintf(path, sizeof(path), "%s/" DOOR, s->runtime_dir);

	if (length < 0 || (size_t)length >= sizeof(path)) {
		log_line(s, LEVEL_ERROR, NULL,
			 "runtime-dir %s is too long: a socket in it has room for %zu bytes", s->runtime_dir,
			 sizeof(path) - sizeof(DOOR) - 1);
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = fd < 0 ? -errno : door_bind(s, fd, path);
	if (error < 0) {
		log_line(s, LEVEL_ERROR, NULL, "cannot listen on %s: %s", path, strerror(-error));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	s->door_fd = fd;
	return 0;
}

void runtime_dir_close(struct supervisor *s)
{
	if (s->door_fd >= 0) {
		close(s->door_fd);
		unlinkat(s->runtime_dir_fd, DOOR, 0);
	}
	if (s->groups_fd >= 0) {
		close(s->groups_fd);
		unlinkat(s->runtime_dir_fd, "groups", 0);
	}
	if (s->lock_fd >= 0) {
		/* The file stays: who unlinks a lock lets two daemons hold one each. */
		if (ftruncate(s->lock_fd, 0) < 0)
			log_line(s, LEVEL_WARNING, NULL, "cannot empty the lock: %s", strerror(errno));
		close(s->lock_fd);
	}
	if (s->runtime_dir_fd >= 0)
		close(s->runtime_dir_fd);
	s->door_fd = s->groups_fd = s->lock_fd = s->runtime_dir_fd = -1;
}
