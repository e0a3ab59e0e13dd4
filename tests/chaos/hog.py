"""Puts descriptors in flight, as many as it is told, and holds them until its standard input ends.

    hog.py COUNT

Run as the dispatcher's user: the kernel counts descriptors in flight for each user, so the dispatcher's own sendmsg()
says ETOOMANYREFS. Prints how many there are.
SPDX-License-Identifier: ISC
"""
import os
import resource
import socket
import sys

A_MESSAGE = 250

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
pairs, count = [], 0
while count < int(sys.argv[1]):
    pairs.append(socket.socketpair())
    try:
        socket.send_fds(pairs[-1][0], [b"x"], [null] * A_MESSAGE)
    except OSError:
        break
    count += A_MESSAGE
print(count, flush=True)
sys.stdin.read()
