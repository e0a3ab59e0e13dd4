"""Application servers for the tests: a good one, and those that a daemon must survive.

    badserver.py MODE [--door RUNTIME-DIR SERVICE] [--capacity N] [--batch N] [--state FILE] [--label TEXT]

Each writes a line to standard output now and then; answers over HTTP are one line: MODE, pid, what the client sent.
SPDX-License-Identifier: ISC
"""
import argparse
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import lustwire as wire


def answer(connection_socket, mode, asked):
    body = "%s %d %s\n" % (mode, os.getpid(), asked)
    connection_socket.sendall(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                               % (len(body), body)).encode())


def request_line(connection_socket):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection_socket.recv(4096)
        if not more:
            break
        data += more
    return data.split(b"\r\n", 1)[0].decode(errors="replace")


def note(state, what):
    """Tells the test how far we are."""
    print(what, flush=True)
    if state:
        fd = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        os.write(fd, ("%d %s\n" % (os.getpid(), what)).encode())
        os.close(fd)


def forever():
    while True:
        signal.pause()


def good(server, options):
    """One at a time; also counts, in FILE, which requests it has answered."""
    while True:
        for connection in server.next():
            client = server.take(connection)
            asked = request_line(client)
            if asked:
                note(options.state, asked)
                answer(client, options.mode, asked)
            client.close()
            server.done(connection)
        if server.drained:
            return


def holds(server, options):
    """Takes every connection and keeps it, silently."""
    while not server.drained:
        for connection in server.next():
            server.say(wire.TAKEN, connection.id)
            note(options.state, "took")
    forever()


def refuses(server, _):
    while not server.drained:
        for connection in server.next():
            os.close(connection.fd)
            server.held.pop(connection.id)
            server.say(wire.REFUSED, connection.id)


def never_takes(server, options):
    """Receives, and never says another word."""
    server.next()
    note(options.state, "received")
    forever()


def takes_its_time(server, options):
    """Takes only when there is something to read, as explicit_take allows; answers the daemon all the while."""
    poll, waiting = select.poll(), {}
    poll.register(server.pair, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == server.pair.fileno():
                for connection in server.step():
                    poll.register(connection.fd, select.POLLIN)
                    waiting[connection.fd] = connection
                    note(options.state, "waits")
                if server.drained:
                    return
                continue
            poll.unregister(fd)
            connection = waiting.pop(fd)
            client = server.take(connection)
            answer(client, options.mode, request_line(client))
            client.close()
            server.done(connection)


def speaks(server, options):
    """Speaks first, and says DONE only after close(): 128 bytes after some work, one at a time."""
    while not server.drained:
        for connection in server.next():
            client = server.take(connection)
            time.sleep(options.work)
            client.sendall(b"pid %-123d\n" % os.getpid())
            client.close()
            server.done(connection)


def peeks(server, options):
    """Takes only what it has seen a request of, without reading it; answers the daemon all the while."""
    poll, waiting = select.poll(), {}
    poll.register(server.pair, select.POLLIN)
    while not server.drained:
        for fd, _ in poll.poll():
            if fd == server.pair.fileno():
                for connection in server.step():
                    waiting[connection.fd] = connection
                    poll.register(connection.fd, select.POLLIN)
                    note(options.state, "received")
                if server.hellos > 1:
                    note(options.state, "asked %d" % server.hellos)
                continue
            client = socket.socket(fileno=os.dup(fd))
            seen = client.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if b"\r\n\r\n" not in seen:
                client.close()
                continue
            if b"/die" in seen and "died" not in [line.split()[1] for line in open(options.state)]:
                note(options.state, "died")
                os.kill(os.getpid(), signal.SIGKILL)
            poll.unregister(fd)
            connection = waiting.pop(fd)
            server.take(connection).close()
            answer(client, options.mode, request_line(client))
            client.close()
            server.done(connection)


def never_receives(server, options):
    server.registered()
    note(options.state, "registered")
    forever()


def mute(_, options):
    note(options.state, "mute")
    forever()


def late(server, options):
    """Registers only when the test tells it to."""
    while not os.path.exists(options.state + ".go"):
        time.sleep(0.01)
    while not server.drained:
        for _ in server.step():
            note(options.state, "handed")
    note(options.state, "drained")


def dies_before_taking(server, options):
    """Receives, has not touched, and is killed; the first one only, the others are good."""
    if os.path.exists(options.state):
        return good(server, options)
    connections = server.next()
    note(options.state, "received %d" % len(connections))
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after_reading(server, options):
    """Reads a byte of a connection that it has not TAKEN: nobody else can answer it."""
    connections = server.next()
    for connection in connections:
        connection.socket().recv(1)
    note(options.state, "touched %d" % len(connections))
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after_taking(server, options):
    connections = server.next()
    for connection in connections:
        server.say(wire.TAKEN, connection.id)
    note(options.state, "took %d" % len(connections))
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after_answering(server, options):
    """The whole answer, and never DONE."""
    for connection in server.next():
        client = server.take(connection)
        answer(client, options.mode, request_line(client))
    note(options.state, "answered")
    os.kill(os.getpid(), signal.SIGKILL)


def lies(server, options):
    """TAKEN and DONE for connections that it never had."""
    server.registered()
    note(options.state, "lies")
    server.say(wire.TAKEN, (server.generation & 0xffff) << 48 | 0xffffffff0001)
    server.say(wire.DONE, (server.generation & 0xffff) << 48 | 0xffffffff0001, 1, 2, 3)
    forever()


def garbage(server, options):
    server.registered()
    note(options.state, "garbage")
    try:
        while True:
            server.pair.send(b"\xff" * 300)
    except OSError:
        forever()


def floods(server, options):
    server.registered()
    note(options.state, "floods")
    message = wire.header(wire.ALIVE)
    while True:
        server.pair.send(message)


def extra_descriptors(server, options):
    server.registered()
    note(options.state, "descriptors")
    for _ in range(50):
        try:
            wire.send_with(server.pair, wire.header(wire.ALIVE), [0, 1, 2, 0, 1, 2])
        except OSError:
            break
    forever()


def fill(client):
    """Until its client reads, no byte more; SO_LINGER: the last close would wait for that."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    client.setblocking(False)
    try:
        while True:
            client.send(b"x" * 65536)
    except BlockingIOError:
        pass


def lingers(server, options):
    """Takes a connection, fills it, and says SO_LINGER: closing a copy of it may then wait, for everybody."""
    while not server.drained:
        for connection in server.next():
            server.say(wire.TAKEN, connection.id)
            client = connection.socket()
            fill(client)
            note(options.state, "filled")
            os.kill(os.getpid(), signal.SIGKILL)


def lingers_untaken(server, options):
    """The same without TAKEN: the dispatcher holds a copy and is the one to close it last."""
    for connection in server.next():
        client = connection.socket()
        fill(client)
    note(options.state, "filled")
    os.kill(os.getpid(), signal.SIGKILL)


def ignores_term(server, options):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["/bin/sleep", "1000"])
    note(options.state, "child %d" % child.pid)
    server.registered()
    while True:
        try:
            server.next()
        except wire.Gone:
            forever()


def leaves_children(server, options):
    """Like `good`; a grandchild is left behind when it dies."""
    child = subprocess.Popen(["/bin/sleep", "1000"])
    note(options.state, "child %d" % child.pid)
    return good(server, options)


def exits(_, options):
    note(options.state, "exits")
    print("I am leaving at once", file=sys.stderr, flush=True)
    sys.exit(3)


def forks(server, options):
    """A forked child registers on its parent's pair, as if it were its parent."""
    server.registered()
    if os.fork() == 0:
        server.pair.send(wire.register(server.service))
        note(options.state, "said")
        forever()
    forever()


def talks(server, options):
    """Prints what a log must not show raw."""
    sys.stdout.buffer.write(b"plain line\nescape \x1b[31mred\x07\n")
    sys.stdout.buffer.write(b"long " + b"y" * 20000 + b"\n")
    sys.stdout.buffer.flush()
    sys.stderr.write("to standard error\n")
    sys.stderr.flush()
    return good(server, options)


def environment(server, options):
    """Answers with its environment, directory, umask and descriptors."""
    while not server.drained:
        for connection in server.next():
            client = server.take(connection)
            request_line(client)
            umask = os.umask(0)
            os.umask(umask)
            found = ["%s=%s" % item for item in sorted(os.environ.items())]
            found += ["cwd:" + os.getcwd(), "umask:%o" % umask, "nice:%d" % os.nice(0)]
            listed = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
            for name in listed:
                try:
                    found.append("fd:%s=%s" % (name, os.readlink("/proc/self/fd/" + name)))
                except OSError:
                    pass # the directory that was just read
            found += ["uids:%s" % (os.getresuid(),), "gids:%s" % (os.getresgid(),), "groups:%s" % sorted(os.getgroups())]
            with open("/proc/self/limits") as limits:
                found += ["limit:" + line.rstrip() for line in limits]
            body = "\n".join(found)
            client.sendall(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                            % (len(body), body)).encode())
            client.close()
            server.done(connection)


MODES = {function.__name__: function for function in (
    good, holds, refuses, never_takes, takes_its_time, speaks, peeks, never_receives, mute, late, dies_before_taking,
    dies_after_reading, dies_after_taking, dies_after_answering, lies, garbage, floods, extra_descriptors, lingers, lingers_untaken, ignores_term, leaves_children, exits, forks,
    talks, environment)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--door", nargs=2)
    parser.add_argument("--capacity", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--state", default="")
    parser.add_argument("--label", default="")
    parser.add_argument("--work", type=float, default=0, help="seconds from TAKEN to the answer")
    parser.add_argument("--delay", type=float, default=0, help="seconds before registering")
    parser.add_argument("--again", action="store_true", help="with --door: when the daemon is gone, wait for another one")
    options = parser.parse_args()
    settings = {"capacity": options.capacity, "batch": options.batch, "label": options.label}
    time.sleep(options.delay)
    if options.door:
        server = wire.Server.external(*options.door, **settings)
        note(options.state, "door")
    else:
        server = wire.Server.supervised(**settings)
    while True:
        try:
            return MODES[options.mode](server, options)
        except wire.Gone:
            if not options.again:
                return None
            server.knock_again()


main()
