"""Servers that others started survive the daemon: they go on with what they hold, and find the next one by themselves."""
import os
import shutil
import signal
import subprocess

import pytest

from clients import Client, Load, get, pids
from lustlib import (BLOCKING, HELLO_HTTP, HELLO_PY, OUTSIDER, OUTSIDER_NAME, PREFIX, PYTHON, ROOT, as_user,
                     clean_environment, free_port, hello, service, stop, wait_until)

ENDS = {"killed": lambda daemon: daemon.kill_all(), "stopped": lambda daemon: daemon.stop()}


def outside(name, port, **settings):
    return service(name, port, **dict({"register_users": [OUTSIDER_NAME]}, **settings))


def servers(home, daemon, count, command=(HELLO_HTTP,)):
    found = [home.outside_program(daemon, "web", list(command), OUTSIDER) for _ in range(count)]
    registered(daemon, found)
    return found


def registered(daemon, processes):
    wanted = {process.pid for process in processes}
    return daemon.wait_service("web", lambda one: sorted(server["pid"] for server in one["servers"]) == sorted(wanted)
                               and all(server["state"] == "ready" for server in one["servers"]))


def end(home, daemon):
    home.end_outside()
    daemon.wait_service("web", lambda one: not one["servers"])


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("count", [1, 3, 50])
def test_they_come_back(daemon, home, how, count):
    port = free_port()
    daemon.start(outside("web", port))
    outsiders = servers(home, daemon, count)
    clients = [Client(port) for _ in range(2 * count)]
    held = [client.ask().pid for client in clients]
    daemon.wait_service("web", lambda one: one["connections"]["active"] == len(clients))

    ENDS[how](daemon)
    assert [client.ask().pid for client in clients] == held, "connections go on without a daemon"
    daemon.start_again()
    one = registered(daemon, outsiders)
    count_of = one["connections"]
    assert (count_of["accepted"], count_of["taken"], count_of["active"]) == (len(clients),) * 3, count_of
    assert {server["pid"]: server["active"] for server in one["servers"]} == {pid: held.count(pid) for pid in held}
    daemon.wait_logged(r"web: .*from outside.*registered.*holds \d+ connections of an earlier daemon")
    assert [client.ask().pid for client in clients] == held, "and with the next one"
    assert set(pids(port, 4 * count)) == {process.pid for process in outsiders}

    for client in clients:
        client.close()
    one = daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    assert one["connections"]["done"] == len(clients) + 4 * count and one["connections"]["died"] == 0
    end(home, daemon)


def test_restart(daemon, home):
    """The command: stop, then start."""
    port = free_port()
    daemon.write(outside("web", port))
    lust_start(daemon)
    try:
        outsiders = servers(home, daemon, 3)
        with Client(port) as client:
            held = client.ask().pid
            before = daemon.status()["pid"]
            daemon.command("restart")
            assert daemon.status()["pid"] != before
            one = registered(daemon, outsiders)
            assert one["connections"]["active"] == 1 and client.ask().pid == held
        get(port)
        end(home, daemon)
    finally:
        daemon.command("stop")


def lust_start(daemon):
    daemon.command("-c", daemon.table_file, "start")


@pytest.mark.parametrize("how", ENDS)
def test_under_load(daemon, home, how):
    """No answer that was begun is cut off; what waits in the daemon's own hands and backlog ends with it."""
    port = free_port()
    daemon.start(outside("web", port))
    outsiders = servers(home, daemon, 3)
    with Load(port, workers=8, keep=3) as load:
        for _ in range(3):
            load.wait_for(200)
            ENDS[how](daemon)
            daemon.start_again()
            registered(daemon, outsiders)
            load.wait_for(200)
    assert not any(failure.answered for failure in load.failures), load.failures[:5]
    assert not any(failure.phase == "receive" and "timed out" in str(failure.error) for failure in load.failures)
    assert set(load.pids) == {process.pid for process in outsiders}
    daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    end(home, daemon)


def test_received_from_a_daemon_that_is_gone(daemon, home):
    """What lay in the pair is the server's alone: it answers it, and then looks for the next daemon."""
    port = free_port()
    daemon.start(outside("web", port))
    (server,) = servers(home, daemon, 1)
    stop(server.pid)
    clients = [Client(port) for _ in range(5)]
    for client in clients:
        client.send()
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 5)
    daemon.kill_all()
    os.kill(server.pid, signal.SIGCONT)
    assert {client.answer().pid for client in clients} == {server.pid}
    daemon.start_again()
    assert registered(daemon, [server])["connections"]["active"] == 5
    assert {client.ask().pid for client in clients} == {server.pid}
    for client in clients:
        client.close()
    daemon.wait_service("web", lambda one: one["connections"]["done"] == 5)
    end(home, daemon)


def test_runtime_directory_made_anew(daemon, home):
    port = free_port()
    daemon.start(outside("web", port))
    outsiders = servers(home, daemon, 1)
    daemon.kill_all()
    shutil.rmtree(daemon.runtime)
    daemon.start_again()
    registered(daemon, outsiders)
    assert get(port).pid == outsiders[0].pid
    end(home, daemon)


def test_twice_in_a_row(daemon, home):
    """Connections of two former daemons."""
    port = free_port()
    daemon.start(outside("web", port))
    outsiders = servers(home, daemon, 2)
    clients = []
    for _ in range(3):
        clients += [Client(port) for _ in range(3)]
        for client in clients:
            client.ask()
        daemon.kill_all()
        daemon.start_again()
        assert registered(daemon, outsiders)["connections"]["active"] == len(clients)
    for client in clients:
        client.close()
    one = daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    assert one["connections"]["done"] == len(clients)
    end(home, daemon)


def test_what_is_held_counts_against_capacity(daemon, home):
    port = free_port()
    daemon.start(outside("web", port))
    server = home.external(daemon, "web", "holds", "--capacity", 2, "--again", user=OUTSIDER)
    registered(daemon, [server])
    clients = [Client(port) for _ in range(2)]
    daemon.wait_service("web", lambda one: one["connections"]["active"] == 2)
    daemon.kill_all()
    daemon.start_again()
    registered(daemon, [server])
    with Client(port):
        one = daemon.wait_service("web", lambda one: one["listen"][0]["waiting"] == 1)
        assert one["state"] == "full" and one["connections"]["accepted"] == 2
    end(home, daemon)
    one = daemon.service("web")
    assert one["connections"]["died"] == 2 and one["connections"]["active"] == 0
    for client in clients:
        client.close()


@pytest.mark.parametrize("table", [
    lambda port: hello("other", port),
    lambda port: outside("web", port, register_users=["sys"]),
], ids=["service removed", "user not listed"])
def test_refused_by_the_next_daemon(daemon, home, table):
    """The program is told why; this one says so and exits."""
    daemon.start(outside("web", free_port()))
    (server,) = servers(home, daemon, 1, [BLOCKING])
    daemon.kill_all()
    daemon.before = None # another table
    daemon.start_again(table(free_port()))
    assert server.wait(60) == 1
    told = server.stderr.read()
    assert "register-users" in told or "no service of that name" in told, told


STUBBORN = """
import ctypes, os, struct, sys
lust = ctypes.CDLL(sys.argv[1])
lust.lust_server_reason.restype = ctypes.c_char_p
handle, connection = ctypes.c_void_p(), ctypes.create_string_buffer(1024)
assert lust.lust_server_register(ctypes.byref(handle), None, None) == 0
while True:
    got = lust.lust_server_receive(handle, connection, -1)
    if got == 1:
        fd = struct.unpack_from("i", connection)[0]
        os.write(fd, b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
        assert lust.lust_server_close(handle, fd) == 0
    else:
        print(got, lust.lust_server_reason(handle).decode(), file=sys.stderr, flush=True)
"""


@pytest.mark.plain
def test_refused_and_goes_on_trying(daemon, home):
    """A program that receives again is let in as soon as a table lists it."""
    port = free_port()
    daemon.start(outside("web", port))
    library = [os.path.join(root, name) for root, _, names in os.walk(PREFIX) for name in names if name == "liblust.so"]
    (server,) = servers(home, daemon, 1, [PYTHON, "-c", STUBBORN, library[0]])
    daemon.kill_all()
    daemon.start_again(outside("web", port, register_users=["sys"]))
    told = server.stderr.readline()
    assert told.startswith("-13 ") and "register-users" in told
    daemon.reload(outside("web", port))
    registered(daemon, [server])
    assert get(port).status == 200
    end(home, daemon)


def test_drain_is_the_end(daemon, home):
    """The daemon told it to finish: it does not come back."""
    daemon.start(outside("web", free_port()))
    (server,) = servers(home, daemon, 1)
    daemon.before = None
    daemon.reload(hello("other", free_port()))
    assert server.wait(60) == 0


def test_python_comes_back(daemon, home):
    """hello.py, from the manual page alone."""
    port = free_port()
    daemon.start(outside("web", port))
    outsiders = servers(home, daemon, 2, [PYTHON, "-B", HELLO_PY])
    for how in ENDS.values():
        how(daemon)
        daemon.start_again()
        registered(daemon, outsiders)
        assert set(pids(port, 10)) == {process.pid for process in outsiders}
    end(home, daemon)


def test_what_a_server_says_that_it_holds(daemon, home):
    """Believed, within reason: both sums hold whatever it says."""
    daemon.start(outside("web", free_port()))
    script = """
import sys
sys.path.insert(0, %r)
import lustwire as wire
server = wire.Server.external(%r, "web")
server.held = range(int(sys.argv[1])) # only counted
try:
    server.registered()
except (wire.Denied, wire.Gone) as why:
    sys.exit(str(why))
for words in sys.stdin:
    server.say(wire.DONE, *map(int, words.split()))
""" % (home.path, daemon.runtime)

    def run(held):
        return subprocess.Popen([PYTHON, "-B", "-c", script, str(held)], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=clean_environment(), **as_user(OUTSIDER))

    with run(7) as server:
        one = daemon.wait_service("web", lambda one: one["connections"]["active"] == 7)
        assert one["servers"][0]["active"] == one["connections"]["accepted"] == 7
        print(*range(1, 5), file=server.stdin, flush=True)
        daemon.wait_service("web", lambda one: one["connections"]["done"] == 4)
        print(*range(1, 60), file=server.stdin, flush=True)
        daemon.wait_service("web", lambda one: one["connections"]["done"] == 7)
    with open("/proc/sys/fs/nr_open") as file:
        most = min(int(file.read()), 2 ** 30)  # no process has more descriptors
    with run(most) as server:
        daemon.wait_service("web", lambda one: one["connections"]["active"] == most)
    daemon.wait_service("web", lambda one: one["connections"]["died"] == most)
    with run(most + 1) as server:
        assert server.wait(60) == 1
        assert "malformed" in server.stderr.read()
    daemon.wait_service("web", lambda one: not one["servers"])
