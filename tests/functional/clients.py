"""Clients: one request, many at once, and load that goes on while a test does something to the daemon.

SPDX-License-Identifier: ISC
"""
import collections
import os
import re
import socket
import threading
import time

LIMIT = int(os.environ.get("LUST_LIMIT", "60"))

Reply = collections.namedtuple("Reply", "status body pid local")


class Failure(Exception):
    """.phase: connect, send or receive; .answered: bytes of the answer that had come."""

    def __init__(self, phase, error, answered=0):
        super().__init__("%s: %s (%d bytes answered)" % (phase, error, answered))
        self.phase, self.error, self.answered = phase, error, answered
        self.when = time.monotonic()


def pid_in(body):
    """The answering server's pid: all our servers name it as "pid N" or, badserver.py, as their second word."""
    found = re.search(r"\bpid\W{0,3}(\d+)", body) or re.match(r"\w+ (\d+) ", body)
    return int(found.group(1)) if found else None


def connect(address, limit=LIMIT):
    """address: a port of 127.0.0.1, (host, port), or a path."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(limit)
        sock.connect(address)
        return sock
    if isinstance(address, int):
        address = ("127.0.0.1", address)
    return socket.create_connection(address, limit)


class Client:
    """A connection, for one request after another."""

    def __init__(self, address, limit=LIMIT):
        try:
            self.socket = connect(address, limit)
        except OSError as error:
            raise Failure("connect", error) from error
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def ask(self, path="/", keep=True):
        try:
            self.send(path, keep)
        except OSError as error:
            raise Failure("send", error) from error
        return self.answer()

    def send(self, path="/", keep=True):
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: test\r\nConnection: %s\r\n\r\n"
                             % (path, "keep-alive" if keep else "close")).encode())

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise Failure("receive", error, len(self.rest)) from error
        if not data:
            raise Failure("receive", "end of file", len(self.rest))
        self.rest += data

    def answer(self):
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        text = head.decode()
        self.last = re.search(r"^connection:\s*close", text, re.I | re.M) is not None
        length = re.search(r"^content-length:\s*(\d+)", text, re.I | re.M)
        if not length:
            raise Failure("receive", "no Content-Length in %r" % text, len(head))
        length = int(length.group(1))
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length].decode(errors="replace"), self.rest[length:]
        return Reply(int(text.split()[1]), body, pid_in(body), self.socket.getsockname())


def get(address, path="/", limit=LIMIT):
    """One request on one connection; asserts 200."""
    with Client(address, limit) as client:
        reply = client.ask(path, keep=False)
    assert reply.status == 200, reply
    return reply


def pids(address, count):
    """Who answers so many requests, one after the other: a Counter."""
    return collections.Counter(get(address).pid for _ in range(count))


class Load:
    """Requests without pause from several threads, each on a new connection after `keep` requests.

    with Load(port) as load: ...   stops and joins at the end; then .ok, .pids, .failures, .slowest tell."""

    def __init__(self, address, workers=8, keep=1, limit=LIMIT):
        self.address, self.keep, self.limit = address, keep, limit
        self.ok, self.slowest, self.failures = 0, 0.0, []
        self.pids = collections.Counter()
        self.lock = threading.Condition()
        self.ending = False
        self.threads = [threading.Thread(target=self._run, args=(worker,)) for worker in range(workers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_for(len(self.threads))
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending = True
        for thread in self.threads:
            thread.join()

    def wait_for(self, more, limit=LIMIT):
        """Until so many more requests were answered."""
        with self.lock:
            goal = self.ok + more
            assert self.lock.wait_for(lambda: self.ok >= goal, limit), \
                "only %d of %d answers within %s s; failures: %s" % (
                    self.ok + more - goal, more, limit, self.failures[:5])

    def _one(self, worker):
        with Client(self.address, self.limit) as client:
            for number in range(self.keep):
                began = time.monotonic()
                reply = client.ask("/%d/%d" % (worker, number), keep=number + 1 < self.keep)
                took = time.monotonic() - began
                with self.lock:
                    self.ok += 1
                    self.pids[reply.pid] += 1
                    self.slowest = max(self.slowest, took)
                    self.lock.notify_all()
                if reply.status != 200:
                    raise Failure("receive", "status %d" % reply.status)
                if self.ending or client.last:
                    return

    def _run(self, worker):
        while not self.ending:
            try:
                self._one(worker)
            except Failure as failure:
                with self.lock:
                    self.failures.append(failure)


class Waiting:
    """Clients that have sent a request each and wait, all at once, for their answers."""

    def __init__(self, address, count, path="/"):
        self.clients = []
        for number in range(count):
            client = Client(address)
            client.send("%s%d" % (path, number), keep=False)
            self.clients.append(client)

    def statuses(self):
        """[200 or another, or Failure, ...]; closes all."""
        return [getattr(answer, "status", answer) for answer in self.answers()]

    def answers(self):
        """[Reply or Failure, ...], in order; closes all."""
        found = []
        for client in self.clients:
            with client:
                try:
                    found.append(client.answer())
                except Failure as failure:
                    found.append(failure)
        self.clients = []
        return found


def pending(daemon, name, address, count):
    """So many clients, whose connections its servers have not taken."""
    waiting = Waiting(address, count)
    daemon.wait_service(name, lambda one: one["connections"]["pending"] == count)
    return waiting
