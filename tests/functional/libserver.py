"""An application server on liblust, through ctypes, with explicit_take: it looks at a request before it takes it.

    libserver.py LIBLUST [--capacity N]

/refuse: to another server, by all but instance 2.  /close: closed without having been taken.  /only-close: close(2),
then DONE.  Answers the others with its instance and pid.
SPDX-License-Identifier: ISC
"""
import argparse
import ctypes
import errno
import os
import select
import socket


class Options(ctypes.Structure):
    _fields_ = [("capacity", ctypes.c_uint32), ("batch", ctypes.c_uint32), ("explicit_take", ctypes.c_uint, 1),
                ("nonblocking", ctypes.c_uint, 1), ("unnamed", ctypes.c_uint, 30), ("wait_ms", ctypes.c_int32),
                ("label", ctypes.c_char_p), ("runtime_dir", ctypes.c_char_p), ("reserved", ctypes.c_uint64 * 4)]


class Connection(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("kind", ctypes.c_uint16), ("flags", ctypes.c_uint16), ("id", ctypes.c_uint64),
                ("listener", ctypes.c_uint32), ("waited_us", ctypes.c_uint32), ("peer", ctypes.c_char * 128),
                ("local", ctypes.c_char * 128), ("peer_pid", ctypes.c_int32), ("peer_uid", ctypes.c_uint32),
                ("peer_gid", ctypes.c_uint32), ("reserved", ctypes.c_uint64 * 2)]


def peek(fd):
    with socket.socket(fileno=os.dup(fd)) as client:
        try:
            return client.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


def answer(fd):
    with socket.socket(fileno=os.dup(fd)) as client:
        client.recv(4096)
        body = "instance %s pid %d\n" % (os.environ["LUST_INSTANCE"], os.getpid())
        client.sendall(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                        % (len(body), body)).encode())


def expect(result, wanted=0):
    assert result == wanted, os.strerror(-result)


def serve(lust, server, fd, number):
    """What the request that has come asks for. It is whole: our clients send small ones at once."""
    number = ctypes.c_uint64(number)
    asked = peek(fd)
    if b"/refuse" in asked and os.environ["LUST_INSTANCE"] != "2":
        expect(lust.lust_server_refuse(server, number))
        expect(lust.lust_server_take(server, number), -errno.ENOENT)
        return
    if b"/close" in asked or not asked:
        expect(lust.lust_server_close(server, fd))
        return
    expect(lust.lust_server_take(server, number))
    expect(lust.lust_server_take(server, number))  # once more is harmless
    expect(lust.lust_server_refuse(server, number), -errno.EINVAL)
    answer(fd)
    if b"/only-close" in asked:
        os.close(fd)
        expect(lust.lust_server_done(server, number))
    else:
        expect(lust.lust_server_close(server, fd))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--capacity", type=int, default=0)
    arguments = parser.parse_args()
    lust = ctypes.CDLL(arguments.library)
    server, connection = ctypes.c_void_p(), Connection()
    options = Options(capacity=arguments.capacity, explicit_take=1, batch=8)
    expect(lust.lust_server_register(ctypes.byref(server), None, ctypes.byref(options)))
    watch = lust.lust_server_fd(server)
    poll, waiting = select.poll(), {}
    poll.register(watch, select.POLLIN)
    drained = False
    while waiting or not drained:
        for fd, _ in poll.poll():
            if fd != watch:
                poll.unregister(fd)
                serve(lust, server, fd, waiting.pop(fd))
                continue
            result = lust.lust_server_receive(server, ctypes.byref(connection), 0)
            while result > 0:
                waiting[connection.fd] = connection.id
                poll.register(connection.fd, select.POLLIN)
                result = lust.lust_server_receive(server, ctypes.byref(connection), 0)
            if result == -errno.ESHUTDOWN:
                drained = True
                poll.unregister(watch)
            elif result != -errno.EINTR:
                expect(result)
    lust.lust_server_free(server)


main()
