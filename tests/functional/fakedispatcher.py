#!/usr/bin/python3 -B
"""A dispatcher that misbehaves as MODE says, in the place of the real one: what can it do to its supervisor?

The test writes MODE and PORT into a copy of this file and binds that over lust-dispatcher in a mount namespace of its own.
SPDX-License-Identifier: ISC
"""
import array
import os
import signal
import socket
import struct
import sys

MODE, PORT = "MODE", 0
SIZE = 256
HELLO, BEGIN, SERVICE, LISTENER, COMMIT, SERVER_DIED, PING, SHUTDOWN = 1, 2, 3, 5, 7, 8, 12, 14
READY, COMMITTED, IDLE, KEEP, PONG = 65, 66, 68, 70, 73

link = socket.socket(fileno=3)
link.setblocking(True)


def say(kind, body=b"", fds=()):
    message = struct.pack("=HHI", 2, kind, 0) + body
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    link.sendmsg([message.ljust(SIZE, b"\0")], control)


def forever():
    while True:
        signal.pause()


def lingering_socket():
    """Connected, full, its peer (the test) does not read, SO_LINGER: a plain close() would wait for a minute."""
    sock = socket.create_connection(("127.0.0.1", PORT))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    sock.setblocking(False)
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass
    return sock


def note(kind, body):
    """For the test: one line a record of a table, in the file of which MODE says the name."""
    if kind == BEGIN:
        said = "begin part" if struct.unpack_from("=5I", body)[4] else "begin whole"
    elif kind == SERVICE:
        said = "service " + body[8:72].split(b"\0")[0].decode()
        said += " gone" if struct.unpack_from("=I", body, 92)[0] else ""
    elif kind in (LISTENER, COMMIT):
        said = "listener" if kind == LISTENER else "commit"
    else:
        return
    with open(MODE[6:], "a") as file:
        file.write(said + "\n")


def after_commit():
    if MODE == "never-reads":
        forever()
    if MODE == "floods":
        while True:
            say(IDLE, struct.pack("=II", 8000, 1))
    if MODE == "lingers":
        kept = [lingering_socket() for _ in range(3)]
        os.kill(os.getppid(), signal.SIGSTOP)  # so that its close() is the last one
        say(KEEP, struct.pack("=IIiII", 1, 0, 1, 1, 1), [sock.fileno() for sock in kept])
        for sock in kept:
            sock.close()
        os.kill(os.getppid(), signal.SIGCONT)
        forever()


def main():
    if MODE == "mute":
        forever()
    while True:
        data, control, _, _ = link.recvmsg(SIZE, socket.CMSG_SPACE(3 * 4))
        if not data:
            sys.exit(0)
        kind = struct.unpack_from("=HH", data)[1]
        if MODE.startswith("notes "):
            note(kind, data[8:])
        if kind == HELLO:
            say(READY)
        elif kind == COMMIT:
            if MODE == "never-commits":
                continue
            say(COMMITTED, data[8:12])
            after_commit()
        elif kind == PING:
            say(PONG, data[8:16])
        elif kind == SHUTDOWN and MODE != "stays":
            sys.exit(0)
        # MODE never-settles: SERVER_DIED gets no SLOT_FREE.


main()
