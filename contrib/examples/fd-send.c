/*
 * fd-send.c: one terminal of two: passes an open file and the sender's identity to fd-receive.
 *
 *     $ fd-receive /tmp/demo.sock           $ fd-send /tmp/demo.sock /etc/hostname
 *     grey                                  sendfd => 0
 *     pid=16633, uid=0, gid=0               sendcred => 0
 *
 * Without a file's name it is /etc/passwd.
 *
 * SPDX-License-Identifier: ISC
 */
#include <fcntl.h>
#include <lust.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(to.sun_path))
		return -1;
	strcpy(to.sun_path, path);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
	const char *file = argc > 2 ? argv[2] : "/etc/passwd";
	int to, fd, sent, told;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: fd-send SOCKET [FILE]\n");
		return 64;
	}
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(file);
		return 1;
	}
	to = connect_to(argv[1]);
	if (to < 0) {
		perror(argv[1]);
		return 1;
	}
	sent = lust_send_fd(to, fd);
	printf("sendfd => %d\n", sent);
	told = lust_send_credentials(to, NULL);
	printf("sendcred => %d\n", told);
	return sent < 0 || told < 0;
}
