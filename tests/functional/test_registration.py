"""Servers that others start, servers that may not, and servers that break the protocol."""
import os
import re
import signal
import socket
import subprocess

import pytest

from clients import Client, connect, get, pids
from lustlib import (HELLO_HTTP, ORDINARY_USER, OUTSIDER, OUTSIDER_NAME, as_user, clean_environment, descriptors,
                     free_port, free_ports, hello, service, stop, wait_until)

QUICK = {"restart_delay": "100ms"}


def outside(name, port, **settings):
    return service(name, port, **dict({"register_users": [OUTSIDER_NAME]}, **settings))


def knock(home, daemon, script, user=OUTSIDER, limit=300):
    """Runs a few lines of Python with `wire` and RUNTIME as this user; its output."""
    text = "import os, socket, sys\nsys.path.insert(0, %r)\nimport lustwire as wire\nRUNTIME = %r\n%s" % (
        home.path, daemon.runtime, script)
    done = subprocess.run(["/usr/bin/python3", "-B", "-c", text], capture_output=True, text=True, timeout=limit,
                          env=clean_environment(), **as_user(user))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(home, daemon, name, user=OUTSIDER):
    return knock(home, daemon, "try:\n    wire.knock(RUNTIME, %r)\n    print('accepted')\nexcept (wire.Denied, ConnectionError) as why:\n"
                               "    print(why)\n" % name, user)


def test_server_from_outside(daemon, home):
    port = free_port()
    daemon.start(outside("web", port))
    server = home.external(daemon, "web", "good", "--label", "from outside", user=OUTSIDER)
    one = daemon.wait_service("web", lambda one: len(one["servers"]) == 1 and one["servers"][0]["state"] == "ready")
    (told,) = one["servers"]
    assert told["pid"] == server.pid and not told["supervised"] and told["label"] == "from outside"
    assert set(pids(port, 10)) == {server.pid}
    server.terminate()
    server.wait()
    daemon.wait_service("web", lambda one: not one["servers"])


def test_hello_http_from_outside(daemon, home):
    """The same program, started by hand, finds the daemon by LUST_RUNTIME_DIR and LUST_SERVICE."""
    port = free_port()
    daemon.start(outside("web", port))
    server = subprocess.Popen([HELLO_HTTP], env=clean_environment({"LUST_SERVICE": "web", "LUST_RUNTIME_DIR": daemon.runtime}),
                              stdout=subprocess.DEVNULL, **as_user(OUTSIDER))
    try:
        daemon.wait_service("web", lambda one: len(one["servers"]) == 1)
        assert get(port).pid == server.pid
    finally:
        server.terminate()
        assert server.wait(60) in (0, -signal.SIGTERM)
    daemon.wait_service("web", lambda one: not one["servers"])


def test_outside_and_inside_together(daemon, home):
    port = free_port()
    daemon.start(hello("web", port, 1, register_users=[OUTSIDER_NAME]))
    server = home.external(daemon, "web", "good", user=OUTSIDER)
    daemon.wait_service("web", lambda one: len(one["servers"]) == 2)
    assert len(pids(port, 10)) == 2
    server.kill()
    server.wait()
    daemon.wait_service("web", lambda one: len(one["servers"]) == 1)
    assert len(pids(port, 10)) == 1


def test_killed_from_outside_gives_back_what_it_had(daemon, home):
    port = free_port()
    daemon.start(outside("web", port))
    server = home.external(daemon, "web", "good", user=OUTSIDER)
    daemon.wait_service("web", lambda one: one["ready"] == 1)
    stop(server.pid)
    clients = [Client(port) for _ in range(5)]
    for client in clients:
        client.send(keep=False)
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 5)
    server.kill()
    server.wait()
    other = home.external(daemon, "web", "good", user=OUTSIDER)
    for client in clients:
        with client:
            assert client.answer().pid == other.pid
    home.end_outside()
    daemon.wait_service("web", lambda one: not one["servers"] and one["connections"]["redispatched"] == 5)


def test_wrong_user_is_refused_and_told_why(daemon, home):
    daemon.start(outside("web", free_port(), register_users=["sys"]), hello("inside", free_port()))
    uid = home_uid()
    for name in ("web", "inside"):
        why = refusal(home, daemon, name)
        assert why.strip() and "accepted" not in why
        line = daemon.wait_logged(r"^.*%s.*refus.*$|^.*refus.*%s.*$" % (name, name)).group(0)
        assert re.search(r"uid\W*%d\b" % uid, line) and re.search(r"pid\W*\d+", line) and re.search(r"gid\W*\d+", line), line
    assert "accepted" not in refusal(home, daemon, "nosuch")


def home_uid():
    return as_user(OUTSIDER).get("user", os.geteuid())


@pytest.mark.root
def test_register_users_let_in_only_whom_they_name(daemon, home):
    daemon.start(outside("web", free_port()))
    assert "accepted" in refusal(home, daemon, "web", OUTSIDER)
    assert "accepted" not in refusal(home, daemon, "web", ORDINARY_USER)


@pytest.mark.root
def test_register_groups(daemon, home):
    daemon.start(service("web", free_port(), register_groups=[OUTSIDER_NAME]))
    assert "accepted" in refusal(home, daemon, "web", OUTSIDER)
    assert "accepted" not in refusal(home, daemon, "web", ORDINARY_USER)


@pytest.mark.root
def test_root_needs_allow_root(daemon, home):
    daemon.start(outside("web", free_port(), register_users=["root"]),
                 outside("open", free_port(), register_users=["root"], allow_root="yes"))
    assert "accepted" not in refusal(home, daemon, "web", None)
    assert "accepted" in refusal(home, daemon, "open", None)


def test_the_same_process_again(daemon, home):
    """It lost the answer, or gave up: its former registration is not in its way, nor shown beside the new one."""
    daemon.start(outside("web", free_port(), max_registered=1))
    told = knock(home, daemon, """
for number in range(20):
    server = wire.Server.external(RUNTIME, "web")
    if number % 2:
        server.registered()
    server.lifeline.close()
    server.pair.close()
print("accepted")
""")
    assert told.split() == ["accepted"]
    daemon.wait_service("web", lambda one: not one["servers"])


def test_max_registered(daemon, home):
    daemon.start(outside("web", free_port(), max_registered=2))
    first = [home.external(daemon, "web", "good", user=OUTSIDER) for _ in range(2)]
    daemon.wait_service("web", lambda one: len(one["servers"]) == 2)
    assert "accepted" not in refusal(home, daemon, "web")
    first[0].kill()
    first[0].wait()
    daemon.wait_service("web", lambda one: len(one["servers"]) == 1)
    assert "accepted" in refusal(home, daemon, "web")
    home.end_outside()
    daemon.wait_service("web", lambda one: not one["servers"])


def test_a_thousand_refused_knocks_leave_nothing(daemon, home):
    daemon.start(outside("web", free_port(), register_users=["sys"]))
    told = knock(home, daemon, """
refused = 0
for _ in range(1000):
    try:
        wire.knock(RUNTIME, "web")
    except (wire.Denied, wire.Gone, ConnectionError):
        refused += 1
print(refused)
""")
    assert told.strip() == "1000"
    assert len(re.findall("refus", daemon.log())) < 200, "the log is rate-limited"
    daemon.check_leaks()


def test_a_thousand_times_garbage_leaves_nothing(daemon, home):
    port = free_port()
    daemon.start(hello("web", port), outside("out", free_port()))
    knock(home, daemon, """
import random
kinds = [b"", b"x", bytes(8), b"\\xff" * 160, b"\\xff" * 4000, wire.header(wire.TAKEN), wire.header(wire.REGISTER),
         wire.register("out")[:-1], wire.register("out", kind=wire.CLONE), wire.register("a" * 63)[:160],
         wire.header(wire.REGISTER) + b"a" * 152, wire.ids(wire.DONE, 1, 2, 3)]
for number in range(1000):
    sock = wire.door(RUNTIME)
    try:
        sock.send(kinds[number % len(kinds)])
        kind = wire.receive(sock)[0]
        assert kind == wire.DENIED, kind
    except (wire.Gone, ConnectionError):
        pass
    sock.close()
""")
    assert get(port).status == 200
    daemon.check_leaks()


def test_a_thousand_messages_with_extra_descriptors_leave_nothing(daemon, home):
    daemon.start(outside("web", free_port(), register_users=["sys"]), outside("out", free_port()))
    knock(home, daemon, """
here, there = socket.socketpair()
for number in range(1000):
    sock = wire.door(RUNTIME)
    try:
        wire.send_with(sock, wire.register(("web", "out", "nosuch")[number % 3]), [here.fileno()] * (1 + number % 100))
        kind = wire.receive(sock)[0]
        assert kind == wire.DENIED, kind
    except PermissionError:  # of a kernel that has SO_PASSRIGHTS
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    except (wire.Gone, ConnectionError):
        pass
    sock.close()
""")
    daemon.check_leaks()


def test_a_thousand_registrations_that_leave_at_once(daemon, home):
    daemon.start(outside("web", free_port()))
    knock(home, daemon, """
for number in range(1000):
    if os.fork() == 0:
        wire.knock(RUNTIME, "web")
        os._exit(0)
    assert os.wait()[1] == 0
""")
    daemon.wait_service("web", lambda one: not one["servers"])
    daemon.check_leaks()


def test_silent_visitors_do_not_close_the_door(daemon, home):
    daemon.start(outside("web", free_port()))
    silent = []
    for _ in range(300):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        try:
            sock.connect(os.path.join(daemon.runtime, "register.sock"))
        except BlockingIOError:
            sock.close()
            break
        silent.append(sock)
    # Another user comes in at once; the same one when the silent ones are turned away.
    wait_until("let in", lambda: "accepted" in refusal(home, daemon, "web"))
    for sock in silent:
        sock.close()
    daemon.wait_service("web", lambda one: not one["servers"])


def test_forked_child_may_not_speak_for_its_parent(daemon, home):
    port, good = free_ports(2)
    daemon.start(home.bad_service("web", port, "forks", server=QUICK), hello("good", good))
    home.wait_note("web", "said")
    daemon.wait_logged(r"web.*(cut off|refused)")
    assert get(good).status == 200
    daemon.command("down", "web")
    daemon.before = None


def test_clone_in_a_forked_child(daemon, home):
    """A child asks for a registration of its own, and gets one as its parent did."""
    daemon.start(outside("web", free_port()))
    told = knock(home, daemon, """
import array
server = wire.Server.external(RUNTIME, "web")
server.registered()
if os.fork() == 0:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wire.send_with(server.pair, wire.register("web", kind=wire.CLONE), [theirs.fileno()])
    theirs.close()
    pair = wire.answer_of_door(ours)
    child = wire.Server(pair, "web")
    child.registered()
    print("child", flush=True)
    os._exit(0)
os.wait()
print("parent")
""")
    assert told.split() == ["child", "parent"]
    daemon.wait_service("web", lambda one: not one["servers"])


@pytest.mark.parametrize("mode", ["lies", "garbage", "extra_descriptors", "floods"])
def test_servers_that_break_the_protocol(daemon, home, mode):
    """The dispatcher lives, says so, and serves the others."""
    port, good = free_ports(2)
    daemon.start(home.bad_service("bad", port, mode, server=QUICK), hello("good", good, 2), wait=False)
    dispatcher = daemon.dispatcher
    home.wait_note("bad", {"extra_descriptors": "descriptors"}.get(mode, mode))
    if mode == "lies":
        daemon.wait_logged(r"bad.*does not hold")
    elif mode != "floods":
        daemon.wait_logged(r"bad.*(cut off|refused)")
    daemon.wait_ready("good")
    for _ in range(20):
        assert get(good).status == 200
    assert daemon.dispatcher == dispatcher
    daemon.command("down", "bad")
    daemon.wait_service("bad", lambda one: not any(server["pid"] > 0 for server in one["servers"]))


def test_server_that_refuses_all(daemon, home):
    """To another server, as it asks."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "refuses", register_users=[OUTSIDER_NAME]))
    good = home.external(daemon, "web", "good", user=OUTSIDER)
    daemon.wait_service("web", lambda one: len(one["servers"]) == 2)
    for _ in range(10):
        assert get(port).pid == good.pid
    one = daemon.service("web")
    assert sum(server["refused"] for server in one["servers"]) >= 1
    home.end_outside()
    daemon.wait_service("web", lambda one: len(one["servers"]) == 1)


@pytest.mark.parametrize("mode", ["lingers", "lingers_untaken"])
def test_so_linger_does_not_stop_the_dispatcher(daemon, home, mode):
    """Closing a copy of a full socket with SO_LINGER would wait half a minute, for everybody."""
    port, good = free_ports(2)
    daemon.start(home.bad_service("bad", port, mode, server=QUICK), hello("good", good, 2))
    with connect(port) as client:
        client.sendall(b"x")
        home.wait_note("bad", "filled")
        dispatcher = daemon.dispatcher
        for _ in range(50):
            assert get(good, limit=5).status == 200
        daemon.wait_ready()
        assert daemon.dispatcher == dispatcher
    daemon.wait_ready()


def test_server_that_never_registers(daemon):
    """Nothing but its silence takes time: it is no program that may come up too late."""
    silent = {"command": ["/bin/sleep", "1000000"], "ready_timeout": "300ms"}
    daemon.start(service("web", free_port(), dict(QUICK, **silent)), wait=False)
    wait_until("stopped and started again, twice", lambda: len(set(re.findall(
        r"web: server 1 \(pid (\d+)\): did not register within ready-timeout", daemon.log()))) >= 2)
    assert daemon.service("web")["state"] in ("starting", "failed", "degraded")


def test_descriptors_of_a_server(daemon, home):
    """The three standard ones and the pair: nothing else is inherited."""
    daemon.start(home.bad_service("web", free_port(), "good"))
    (pid,) = daemon.pids("web")
    assert set(descriptors(pid)) == {0, 1, 2, 3}


def test_lifeline_ends_the_registration(daemon, home):
    """Even though the process lives and holds its pair."""
    daemon.start(outside("web", free_port()))
    asked = subprocess.Popen(["/usr/bin/python3", "-B", "-c", """
import sys
sys.path.insert(0, %r)
import lustwire as wire
lifeline, pair = wire.knock(%r, "web")
server = wire.Server(pair, "web")
server.registered()
lifeline.close()
sys.stdin.read()
""" % (home.path, daemon.runtime)], stdin=subprocess.PIPE, env=clean_environment(), **as_user(OUTSIDER))
    try:
        daemon.wait_logged(r"web.*regist")
        daemon.wait_service("web", lambda one: not one["servers"])
        assert asked.poll() is None
    finally:
        asked.stdin.close()
        asked.wait()
