/*
 * fd-receive.c: the other terminal: prints what fd-send opened, and who the kernel says it is.
 *
 *     $ fd-receive /tmp/demo.sock           $ fd-send /tmp/demo.sock /etc/hostname
 *     grey                                  sendfd => 0
 *     pid=16633, uid=0, gid=0               sendcred => 0
 *
 * SPDX-License-Identifier: ISC
 */
#include <lust.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* Credentials are allowed before anybody can connect: what is said earlier comes from pid 0. */
static int listen_at(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(name.sun_path))
		return -1;
	strcpy(name.sun_path, path);
	if (lust_allow_credentials(fd) < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    listen(fd, 1) < 0)
		return -1;
	return fd;
}

static int print_file(int fd)
{
	char text[4096];
	ssize_t length;

	while ((length = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)length, stdout);
	close(fd);
	return length < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct lust_credentials who;
	int listener, from, fd, result;

	if (argc != 2) {
		fprintf(stderr, "usage: fd-receive SOCKET\n");
		return 64;
	}
	listener = listen_at(argv[1]);
	if (listener < 0) {
		perror(argv[1]);
		return 1;
	}
	from = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	unlink(argv[1]);
	if (from < 0) {
		perror("accept");
		return 1;
	}
	fd = lust_receive_fd(from);
	if (fd < 0 || print_file(fd) < 0) {
		fprintf(stderr, "no file came: %s\n", strerror(fd < 0 ? -fd : 0));
		return 1;
	}
	result = lust_receive_credentials(from, &who);
	if (result < 0) {
		fprintf(stderr, "nobody vouches for the sender: %s\n", strerror(-result));
		return 1;
	}
	printf("pid=%d, uid=%u, gid=%u\n", (int)who.pid, (unsigned)who.uid, (unsigned)who.gid);
	return 0;
}
