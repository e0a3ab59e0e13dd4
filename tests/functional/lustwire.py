"""The wire of lust-protocol(7), by hand: what application servers, good and bad, say in these tests.

SPDX-License-Identifier: ISC
"""
import array
import contextlib
import os
import random
import socket
import struct
import time

VERSION = 1
BATCH = 64
REASON = 236
HELLO, REGISTERED, CONNECTIONS, DRAIN, DENIED, PAIR = 1, 2, 3, 4, 5, 6
REGISTER, TAKEN, DONE, REFUSED, CAPACITY, ALIVE, DRAINING, CLONE = 65, 66, 67, 68, 69, 70, 71, 72

HEADER = struct.Struct("=HHI")
HELLO_BODY = struct.Struct("=IIII64s")
REGISTER_BODY = struct.Struct("=IIIIII64s64s")
ENTRY = struct.Struct("=QHHIIHHHH16s16sIIiII")
assert ENTRY.size == 80


class Denied(Exception):
    """The daemon's DENIED; str() is its reason, .passing: knock again in a moment."""

    def __init__(self, body):
        super().__init__(text(body[:REASON]))
        self.passing = bool(struct.unpack_from("=I", body, REASON)[0] & 1)


class Gone(Exception):
    """End of file on the pair: the daemon is gone, or has cut us off."""


def header(kind, count=0):
    return HEADER.pack(VERSION, kind, count)


def register(service, generation=0, capacity=0, flags=0, batch=0, held=0, last_batch=0, label="", kind=REGISTER):
    return header(kind) + REGISTER_BODY.pack(generation, capacity, flags, batch, held, last_batch,
                                             service.encode(), label.encode())


def ids(kind, *numbers):
    return header(kind, len(numbers)) + struct.pack("=%dQ" % len(numbers), *numbers)


def text(field):
    return field.split(b"\0", 1)[0].decode(errors="replace")


def receive(sock, flags=0):
    """One message: (type, count, body, descriptors). Raises Gone at end of file."""
    room = socket.CMSG_SPACE(BATCH * 4) + socket.CMSG_SPACE(12)
    try:
        data, control, _, _ = sock.recvmsg(16384, room, flags | socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError: # said once, before what had been sent
        return receive(sock, flags)
    fds = array.array("i")
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
    if not data:
        for fd in fds:
            os.close(fd)
        raise Gone
    _, kind, count = HEADER.unpack_from(data)
    return kind, count, data[HEADER.size:], list(fds)


def send_with(sock, data, fds):
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def door(runtime_dir):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(60)
    sock.connect(os.path.join(runtime_dir, "register.sock"))
    return sock


def answer_of_door(sock):
    """The pair's socket; raises Denied or Gone."""
    kind, _, body, fds = receive(sock)
    if kind == DENIED:
        raise Denied(body)
    assert kind == PAIR and len(fds) == 1, (kind, fds)
    pair = socket.socket(fileno=fds[0])
    pair.settimeout(60)
    return pair


def knock(runtime_dir, service, **register_fields):
    """Registers from outside: (lifeline, pair)."""
    lifeline = door(runtime_dir)
    lifeline.send(register(service, **register_fields))
    return lifeline, answer_of_door(lifeline)


class Connection:
    def __init__(self, fields, fd):
        self.id, self.kind, _, self.listener, self.waited_us = fields[:5]
        self.fd = fd

    def socket(self):
        sock = socket.socket(fileno=self.fd)
        sock.settimeout(60)
        return sock


class Server:
    """A server that does what the protocol asks, one step at a time, so that others can leave steps out."""

    def __init__(self, pair, service, capacity=0, batch=1, label=""):
        self.pair, self.service, self.capacity, self.batch, self.label = pair, service, capacity, batch, label
        self.held = {}
        self.last_batch = 0
        self.drained = False
        self.generation = 0
        self.hellos = 0

    @classmethod
    def supervised(cls, **options):
        pair = socket.socket(fileno=int(os.environ["LUST_FD"]))
        pair.setblocking(True)
        return cls(pair, os.environ["LUST_SERVICE"], **options)

    @classmethod
    def external(cls, runtime_dir, service, **options):
        lifeline, pair = knock(runtime_dir, service, label=options.get("label", ""))
        pair.settimeout(None)
        server = cls(pair, service, **options)
        server.lifeline, server.runtime_dir = lifeline, runtime_dir
        return server

    def knock_again(self):
        """The daemon is gone: until the next one lets us in. What is held goes on."""
        self.pair.close()
        self.lifeline.close()
        pause = 0.1
        while True:
            time.sleep(random.uniform(pause / 2, pause))
            try:
                self.lifeline, self.pair = knock(self.runtime_dir, self.service, label=self.label)
                break
            except Denied as why:
                if not why.passing:
                    raise
            except (OSError, Gone):
                pass
            pause = min(2 * pause, 5)
        self.pair.settimeout(None)
        self.last_batch = self.generation = 0

    def say(self, kind, *numbers):
        self.send(ids(kind, *numbers))

    def send(self, message):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError): # the daemon's end is still to be read
            self.pair.send(message)

    def answer_hello(self, body):
        self.generation = HELLO_BODY.unpack_from(body)[0]
        self.send(register(self.service, generation=self.generation, capacity=self.capacity, batch=self.batch,
                           held=len(self.held), last_batch=self.last_batch, label=self.label))

    def step(self):
        """One message: the connections that it brings, mostly none. Raises Denied, Gone."""
        kind, count, body, fds = receive(self.pair)
        if kind == HELLO:
            self.answer_hello(body)
            self.hellos += 1
        elif kind == CONNECTIONS:
            self.last_batch = struct.unpack_from("=I", body)[0]
            assert len(fds) == count, "descriptors are missing"
            found = [Connection(ENTRY.unpack_from(body, 8 + i * ENTRY.size), fds[i]) for i in range(count)]
            for connection in found:
                self.held[connection.id] = connection
            return found
        elif kind == DRAIN:
            self.drained = True
        elif kind == DENIED:
            raise Denied(body)
        return []

    def next(self):
        """The connections of the next message that has some; [] when drained."""
        found = self.step()
        while not found and not self.drained:
            found = self.step()
        return found

    def registered(self):
        """Goes on until REGISTERED."""
        while True:
            kind, _, body, fds = receive(self.pair)
            assert not fds, "connections before REGISTERED"
            if kind == HELLO:
                self.answer_hello(body)
            elif kind == DENIED:
                raise Denied(body)
            elif kind == REGISTERED:
                return

    def take(self, connection):
        self.say(TAKEN, connection.id)
        return connection.socket()

    def done(self, connection):
        self.held.pop(connection.id, None)
        self.say(DONE, connection.id)
