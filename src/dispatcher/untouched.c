/*
 * untouched.c: see untouched.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "untouched.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The kernel's numbers, which <linux/tcp.h> does not name. */
enum { STATE_ESTABLISHED = 1, STATE_CLOSE = 7, STATE_CLOSE_WAIT = 8 };

enum untouched_verdict untouched_judge(const struct untouched_facts *facts)
{
	if (facts->state == STATE_CLOSE)
		return CLIENT_LEFT;
	if (facts->state != STATE_ESTABLISHED && facts->state != STATE_CLOSE_WAIT)
		return TOUCHED;
	if (facts->bytes_sent || facts->unsent || facts->urgent)
		return TOUCHED;
	/* The client's FIN counts as a byte received that SIOCINQ does not show. */
	uint64_t fin = facts->state == STATE_CLOSE_WAIT;
	return facts->bytes_received == facts->unread + fin ? UNTOUCHED : TOUCHED;
}

#define READS 64 /* of a client that never stops sending */

/* `unread` before `bytes_received`: what arrives in between can look like touched, never the other way round. */
static int read_once(int fd, struct untouched_facts *facts)
{
	int unread = 0, unsent = 0, mark = 0;
	if (ioctl(fd, SIOCOUTQ, &unsent) < 0 || ioctl(fd, SIOCATMARK, &mark) < 0)
		return -errno;
	if (ioctl(fd, SIOCINQ, &unread) < 0)
		return -errno;

	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return -errno;
	if (length < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof(info.tcpi_bytes_sent))
		return -ENOSYS;
	*facts = (struct untouched_facts){
		.state = info.tcpi_state,
		.bytes_received = info.tcpi_bytes_received,
		.bytes_sent = info.tcpi_bytes_sent,
		.unread = (uint32_t)unread,
		.unsent = (uint32_t)unsent,
		.urgent = mark != 0,
	};
	return 0;
}

int untouched_read(int fd, struct untouched_facts *facts)
{
	struct untouched_facts before = {0};
	/* Until nothing arrived in between. */
	for (unsigned n = 0; n < READS; n++) {
		int error = read_once(fd, facts);
		if (error)
			return error;
		bool still = facts->bytes_received == before.bytes_received && facts->state == before.state;
		if (still || untouched_judge(facts) == UNTOUCHED)
			return 0;
		before = *facts;
	}
	return 0;
}

bool untouched_left(int fd)
{
	struct untouched_facts facts = {0};
	return untouched_read(fd, &facts) == 0 && untouched_judge(&facts) == CLIENT_LEFT;
}
