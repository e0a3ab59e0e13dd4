"""liblust and the wire, each against another implementation: Python's."""
import ctypes
import errno
import os
import socket
import subprocess

import pytest

from clients import Client, get, pids
from lustlib import HELLO_PY, LIBLUST, OUTSIDER, OUTSIDER_NAME, PYTHON, as_user, clean_environment, free_port, service


@pytest.fixture
def lust():
    library = ctypes.CDLL(LIBLUST)
    library.lust_pidfile_read.restype = ctypes.c_int
    return library


def pair(kind=socket.SOCK_STREAM):
    return socket.socketpair(socket.AF_UNIX, kind)


def same_file(first, second):
    one, two = os.fstat(first), os.fstat(second)
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


@pytest.mark.plain
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_send_fd_to_python(lust, kind):
    here, there = pair(kind)
    with here, there, open("/dev/null") as file:
        assert lust.lust_send_fd(here.fileno(), file.fileno()) == 0
        _, fds, _, _ = socket.recv_fds(there, 100, 10)
        assert len(fds) == 1 and same_file(fds[0], file.fileno())
        os.close(fds[0])


@pytest.mark.plain
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_receive_fd_from_python(lust, kind):
    here, there = pair(kind)
    with here, there, open("/dev/null") as file:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(here, [b"x"], [file.fileno()])
        fd = lust.lust_receive_fd(there.fileno())
        assert fd >= 0 and same_file(fd, file.fileno()) and not os.get_inheritable(fd)
        os.close(fd)
        # Surplus ones are closed.
        socket.send_fds(here, [b"x"], [file.fileno()] * 5)
        fd = lust.lust_receive_fd(there.fileno())
        if fd >= 0:
            os.close(fd)
        here.send(b"x")
        assert lust.lust_receive_fd(there.fileno()) == -errno.ENOMSG
        assert len(os.listdir("/proc/self/fd")) == before
    assert lust.lust_send_fd(-1, 0) == -errno.EBADF


@pytest.mark.plain
def test_credentials(lust):
    class Credentials(ctypes.Structure):
        _fields_ = [("pid", ctypes.c_int), ("uid", ctypes.c_uint), ("gid", ctypes.c_uint)]
    here, there = pair(socket.SOCK_SEQPACKET)
    with here, there:
        assert lust.lust_allow_credentials(there.fileno()) == 0
        assert lust.lust_send_credentials(here.fileno(), None) == 0
        found = Credentials()
        assert lust.lust_receive_credentials(there.fileno(), ctypes.byref(found)) == 0
        assert (found.pid, found.uid, found.gid) == (os.getpid(), os.getuid(), os.getgid())


@pytest.mark.plain
def test_pidfile(lust, home):
    path = home.join("x.pid").encode()
    holder = ctypes.c_int()
    assert lust.lust_pidfile_read(path) == -errno.ENOENT
    fd = lust.lust_pidfile_open(path, None)
    assert fd >= 0
    assert lust.lust_pidfile_write(fd, os.getpid()) == 0
    assert lust.lust_pidfile_read(path) == os.getpid()
    assert lust.lust_pidfile_open(path, ctypes.byref(holder)) == -errno.EWOULDBLOCK
    assert holder.value == os.getpid()
    assert lust.lust_pidfile_close(fd, path) == 0
    assert not os.path.exists(path)
    os.symlink("/etc/passwd", path)
    assert lust.lust_pidfile_open(path, None) < 0, "never through a symbolic link"


@pytest.mark.plain
def test_register_without_a_daemon(lust, home, monkeypatch):
    server = ctypes.c_void_p()
    monkeypatch.delenv("LUST_FD", raising=False)
    monkeypatch.delenv("LUST_SERVICE", raising=False)
    monkeypatch.setenv("LUST_RUNTIME_DIR", home.path)
    assert lust.lust_server_register(ctypes.byref(server), b"web", None) in (-errno.ENOENT, -errno.ECONNREFUSED)
    assert not server.value
    assert lust.lust_server_register(ctypes.byref(server), None, None) == -errno.EINVAL
    assert lust.lust_server_register(ctypes.byref(server), b"a" * 100, None) == -errno.EINVAL


def test_hello_py(daemon):
    """Written from lust-protocol(7) alone."""
    port = free_port()
    daemon.start(service("web", port, {"command": [PYTHON, HELLO_PY], "instances": 3}))
    assert set(pids(port, 30)) == set(daemon.pids("web"))
    with Client(port) as client:
        assert client.ask(keep=False).status == 200
    daemon.wait_service("web", lambda one: one["connections"]["done"] == 31)


def test_hello_py_from_outside(daemon, home):
    port = free_port()
    daemon.start(service("web", port, register_users=[OUTSIDER_NAME]))
    server = subprocess.Popen([PYTHON, "-B", HELLO_PY], stdout=subprocess.DEVNULL, env=clean_environment(
        {"LUST_SERVICE": "web", "LUST_RUNTIME_DIR": daemon.runtime}), **as_user(OUTSIDER))
    try:
        daemon.wait_service("web", lambda one: len(one["servers"]) == 1)
        assert get(port).pid == server.pid
    finally:
        server.terminate()
        server.wait(60)
    daemon.wait_service("web", lambda one: not one["servers"])


def test_hello_py_drains(daemon):
    port = free_port()
    daemon.start(service("web", port, {"command": [PYTHON, HELLO_PY]}))
    before = daemon.pids("web")
    daemon.command("roll", "web")
    daemon.wait_ready()
    assert daemon.pids("web") != before
    assert get(port).status == 200
