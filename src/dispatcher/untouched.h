/*
 * untouched.h: has a server that received a connection read or written a byte of it?  The kernel knows; the
 * proof decides whether the connection may go to another server after a death.
 */
#ifndef UNTOUCHED_H
#define UNTOUCHED_H

#include <stdbool.h>
#include <stdint.h>

struct untouched_facts {
	uint8_t state;           /* TCP_ESTABLISHED ... of <linux/tcp.h>'s kernel numbers */
	uint64_t bytes_received; /* acknowledged to the client */
	uint64_t bytes_sent;
	uint32_t unread; /* SIOCINQ */
	uint32_t unsent; /* SIOCOUTQ: corked bytes hide there */
	bool urgent;     /* at the urgent mark */
};

enum untouched_verdict {
	UNTOUCHED,   /* proved: may go to another server */
	TOUCHED,     /* not proved */
	CLIENT_LEFT, /* nobody is there any more */
};

/* Pure. */
enum untouched_verdict untouched_judge(const struct untouched_facts *facts);

/* Asks the kernel.  0 or -errno: not a TCP socket, or a kernel that does not tell. */
int untouched_read(int fd, struct untouched_facts *facts);

/* CLIENT_LEFT, as far as the kernel tells. */
bool untouched_left(int fd);

#endif
