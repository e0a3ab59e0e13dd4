/*
 * linger.h: closing a copy of a socket that a server has had.
 */
#ifndef LINGER_H
#define LINGER_H

/* SO_LINGER belongs to the socket: the last close() waits for it, for seconds, even with O_NONBLOCK.  Clears it
   where it would wait, then closes. */
void linger_close(int fd);

#endif
