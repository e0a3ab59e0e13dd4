"""Servers that bring a kernel trap on: trapserver.py MODE NOTES [DETAIL].

SPDX-License-Identifier: ISC
"""
import array
import fcntl
import os
import signal
import socket
import sys
import time

import lustwire as wire

MODE, NOTES = sys.argv[1:3]
DETAIL = sys.argv[3] if len(sys.argv) > 3 else ""
BODY = "%s %d\n" % (MODE, os.getpid())
ANSWER = ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)).encode()


def note(what):
    fd = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    os.write(fd, ("%d %s\n" % (os.getpid(), what)).encode())
    os.close(fd)


def answer(server, connection):
    client = server.take(connection)
    while b"\r\n\r\n" not in client.recv(4096):
        pass
    client.sendall(ANSWER)
    client.close()
    server.done(connection)


def serve(server):
    """Notes how many connections came with each message, and whether they block."""
    while not server.drained:
        connections = server.next()
        if connections:
            flags = {bool(fcntl.fcntl(one.fd, fcntl.F_GETFL) & os.O_NONBLOCK) for one in connections}
            note("batch %d %s" % (len(connections), "mixed" if len(flags) > 1 else
                                  "nonblocking" if flags.pop() else "blocking"))
        for connection in connections:
            answer(server, connection)


def first():
    """Only the first server of this name is the bad one."""
    return not os.path.exists(NOTES)


def batches(server):
    serve(server)


def passes_credentials(server):
    server.pair.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    note("ready")
    serve(server)


def sets_nonblocking(server):
    """Whatever it has a copy of becomes O_NONBLOCK; then it dies without having touched anything."""
    if not first():
        return serve(server)
    os.set_blocking(server.pair.fileno(), False)
    server.pair.setblocking(True)
    connections = server.next()
    fcntl.fcntl(server.pair.fileno(), fcntl.F_SETFL, os.O_NONBLOCK)
    for connection in connections:
        fcntl.fcntl(connection.fd, fcntl.F_SETFL, os.O_NONBLOCK)
    note("set")
    os.kill(os.getpid(), signal.SIGKILL)


def touches(server):
    """Does what DETAIL says with a connection that it has not TAKEN, and dies."""
    if not first():
        return serve(server)
    (connection,) = server.next()
    client = connection.socket()
    if DETAIL in ("peek", "read"):
        client.recv(1, socket.MSG_PEEK if DETAIL == "peek" else 0)
    elif DETAIL == "cork":
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        client.send(b"x")
    elif DETAIL == "write":
        client.send(b"x")
    elif DETAIL == "shutdown":
        client.shutdown(socket.SHUT_WR)
    elif DETAIL.startswith("waits"):
        while not os.path.exists(NOTES + ".go"):  # until the client has done what it wanted to
            time.sleep(0.01)
    note("done")
    os.kill(os.getpid(), signal.SIGKILL)


def two_descriptors(server):
    """REFUSED and CLONE take one each; on 64-bit there is room for two in what one needs."""
    if not first():
        return serve(server)
    connections = server.next()
    spare = os.open("/dev/null", os.O_RDONLY)
    wire.send_with(server.pair, wire.ids(wire.REFUSED, connections[0].id), [connections[0].fd, spare])
    wire.send_with(server.pair, wire.register(server.service, kind=wire.CLONE), [spare, spare])
    note("sent")
    signal.pause()


def in_flight(count):
    """No server: holds so many descriptors in flight, between two sockets of its own."""
    ends = []
    sent = 0
    while sent < count:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends.append(pair)
        batch = min(250, count - sent)
        pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * batch))])
        sent += batch
    print(sent, flush=True)
    sys.stdin.read()


if MODE == "in_flight":
    in_flight(int(DETAIL))
else:
    try:
        globals()[MODE](wire.Server.supervised(batch=64))
    except wire.Gone:
        pass
