"""pause, resume, up and down: addresses stay bound, and it lasts."""
import json
import os
import re
import signal
import socket

import pytest

from clients import Client, Load, Waiting, get
from lustlib import LIMIT, ORDINARY_USER, ROOT, free_port, free_ports, hello, listening_inodes, stop, wait_until


def waiting(daemon, name):
    return sum(one["waiting"] for one in daemon.service(name)["listen"])


def all_wait(daemon, name, count):
    wait_until("clients are in the backlog", lambda: waiting(daemon, name) == count)


def no_answer(client):
    """Nothing has come for it so far."""
    client.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.socket.recv(1)
    client.socket.setblocking(True)


def test_pause_and_resume(daemon):
    port, other = free_ports(2)
    daemon.start(hello("web", port, 2), hello("other", other, 1))
    servers, inodes = daemon.pids("web"), listening_inodes(port)
    with Client(port) as held:
        pid = held.ask().pid
        daemon.command("pause", "web")
        late = Waiting(port, 20)
        all_wait(daemon, "web", 20)
        # What a server holds goes on; others do not notice.
        assert held.ask().pid == pid
        get(other)
        status = daemon.service("web")
        assert status["state"] == "paused" and status["connections"]["accepted"] == 1
        assert re.fullmatch(r"paused by (root|uid %d) since \d\d:\d\d: `lust-inetd resume web` goes on" % os.geteuid(),
                            status["reason"]), status["reason"]
        assert status["ready"] == 2 and daemon.pids("web") == servers and listening_inodes(port) == inodes
        people = daemon.command("status").out
        assert re.search(r"^web +paused +2/2 +1 +20 ", people, re.M) and "resume web" in people, people
        assert daemon.command("status", "--problems", code=1).out.count("paused") >= 1
        daemon.command("pause", "web")    # already so
        assert len(late.clients) == 20
        no_answer(late.clients[0])
        daemon.command("resume", "web")
        assert [answer.status for answer in late.answers()] == [200] * 20
        daemon.command("resume", "web")
    assert daemon.service("web")["state"] == "ready"
    daemon.wait_logged(r"web: paused \(by uid %d\)" % os.geteuid())
    daemon.wait_logged(r"web: resumed \(by uid %d\)" % os.geteuid())


def test_pause_lasts(daemon):
    """Over reload, over a new dispatcher, over up and down; not over the removal of the service."""
    port, other = free_ports(2)
    daemon.start(hello("web", port, 2), hello("other", other, 1))
    daemon.command("pause", "web")
    since = daemon.service("web")["reason"]
    late = Waiting(port, 5)
    daemon.reload(hello("web", port, 1, balance="source-hash"), hello("other", other, 1))
    daemon.wait_ready()
    assert daemon.service("web")["state"] == "paused"
    old = daemon.dispatcher
    os.kill(old, signal.SIGKILL)
    daemon.wait_new_dispatcher(old)
    get(other)    # the new one works
    all_wait(daemon, "web", 5)
    daemon.command("down", "web")
    assert daemon.service("web")["state"] == "stopped"
    daemon.command("up", "web")
    status = daemon.service("web")
    assert (status["state"], status["reason"]) == ("paused", since)
    all_wait(daemon, "web", 5)
    assert status["connections"]["accepted"] == 0
    daemon.command("resume", "web")
    assert [answer.status for answer in late.answers()] == [200] * 5
    daemon.command("pause", "web")
    daemon.reload(hello("other", other, 1))
    daemon.reload(hello("web", port, 1), hello("other", other, 1))
    daemon.wait_ready()
    get(port)
    daemon.baseline()


def test_pause_without_a_dispatcher(daemon):
    """Said while there is none: the next one keeps to it."""
    port = free_port()
    daemon.start(hello("web", port, 1))
    old = daemon.dispatcher
    os.kill(old, signal.SIGKILL)
    daemon.command("pause", "web")
    daemon.wait_new_dispatcher(old)
    late = Waiting(port, 3)
    all_wait(daemon, "web", 3)
    old = daemon.dispatcher
    os.kill(old, signal.SIGKILL)
    daemon.command("resume", "web")
    assert [answer.status for answer in late.answers()] == [200] * 3
    daemon.wait_new_dispatcher(old)
    daemon.baseline()


@pytest.mark.parametrize("how", ["pause", "down"])
def test_overload_refuse_while_nobody_serves(daemon, how):
    """Who asks that clients never wait gets that here, too; counted as overload."""
    port = free_port()
    daemon.start(hello("web", port, 1, overload="refuse"))
    daemon.command(how, "web")
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
            assert client.recv(1) == b""
    daemon.wait_service("web", lambda one: one["connections"]["denied"]["overload"] == 3)
    daemon.command({"pause": "resume", "down": "up"}[how], "web")
    get(port)


def test_pause_under_load(daemon):
    """When pause has returned, nothing more is accepted; nobody loses anything."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    with Load(port, workers=8) as load:
        for _ in range(10):
            load.wait_for(30)
            daemon.command("pause", "web")
            accepted = daemon.service("web")["connections"]["accepted"]
            all_wait(daemon, "web", 8)
            assert daemon.service("web")["connections"]["accepted"] == accepted
            daemon.command("resume", "web")
    assert not load.failures, load.failures[:5]


def test_taken_back_while_paused(daemon, home):
    """Accepted before the pause, and its server died: the next one gets it all the same."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", server={"restart_delay": "100ms"}))
    (pid,) = daemon.pids("web")
    stop(pid)
    with Client(port) as client:
        client.send(keep=False)
        daemon.wait_service("web", lambda one: one["connections"]["pending"] == 1)
        daemon.command("pause", "web")
        os.kill(pid, signal.SIGKILL)
        assert client.answer().status == 200
    assert daemon.service("web")["state"] == "paused"
    daemon.command("resume", "web")
    daemon.before = None


def test_down_and_up(daemon):
    port, other = free_ports(2)
    daemon.start(hello("web", port, 2), hello("other", other, 1))
    inodes = listening_inodes(port)
    daemon.command("down", "web")
    late = Waiting(port, 5)
    all_wait(daemon, "web", 5)
    status = daemon.service("web")
    assert status["state"] == "stopped" and status["wanted"] == 0 and "up web" in status["reason"]
    daemon.command("down", "web")
    daemon.reload(hello("web", port, 3), hello("other", other, 1))    # it lasts
    assert daemon.service("web")["state"] == "stopped" and not daemon.servers("web")
    old = daemon.dispatcher
    os.kill(old, signal.SIGKILL)
    daemon.wait_new_dispatcher(old)
    all_wait(daemon, "web", 5)
    assert listening_inodes(port) == inodes
    daemon.command("up", "web")
    assert [answer.status for answer in late.answers()] == [200] * 5
    assert daemon.service("web")["ready"] == 3
    daemon.baseline()


def test_taken_back_while_down(daemon, home):
    """A connection that no server has received waits for `up`, as those in the backlog do, also over a reload."""
    port = free_port()
    table = home.bad_service("web", port, "good", server={"stop_timeout": "100ms"}, drain_timeout="100ms")
    daemon.start(table)
    (pid,) = daemon.pids("web")
    stop(pid)
    with Client(port) as client:
        client.send(keep=False)
        daemon.wait_service("web", lambda one: one["connections"]["pending"] == 1)
        daemon.command("down", "web")
        daemon.reload(table)
        # Longer than a connection waits for a server that nobody has promised.
        counts = daemon.wait_service("web", lambda one: one["state_s"] >= 10)["connections"]
        assert counts["pending"] == 1 and counts["closed"]["no_server"] == 0, counts
        daemon.command("up", "web")
        assert client.answer().status == 200
    daemon.before = None


def test_names_and_patterns(daemon):
    ports = free_ports(3)
    daemon.start(*[hello(name, port) for name, port in zip(("web-a", "web-b", "mail"), ports)])

    def paused():
        return [one["name"] for one in json.loads(daemon.command("status", "--json").out)["services"]
                if one["state"] == "paused"]
    for word in ("pause", "resume"):
        result = daemon.command(word, "web-a", "mial", code=64)
        assert "mail" in result.err and not paused(), result
        assert "which service" in daemon.command(word, code=64).err
        assert daemon.command(word, "--all", "mail", code=64).err
    daemon.command("pause", "web*")
    assert paused() == ["web-a", "web-b"]
    daemon.command("pause", "--all")
    assert len(paused()) == 3
    daemon.command("resume", "web-b", "mail")
    assert paused() == ["web-a"]
    daemon.command("resume", "--all")
    assert not paused()
    assert "pause" in daemon.command("help", "pause").out and "pause" in daemon.command("help").out


@pytest.mark.skipif(not ROOT, reason="needs another user")
def test_only_administrators_pause(daemon):
    port = free_port()
    daemon.start(hello("web", port))
    for word in ("pause", "resume"):
        assert "not permitted" in daemon.command(word, "web", user=ORDINARY_USER, code=4).err
    assert daemon.service("web")["state"] == "ready"
    daemon.reload('admin-users = "%s"\n' % ORDINARY_USER, hello("web", port))
    daemon.command("pause", "web", user=ORDINARY_USER)
    assert re.match(r"paused by uid \d+ since ", daemon.service("web")["reason"])
    daemon.command("resume", "web", user=ORDINARY_USER)


def test_pause_and_the_end(daemon):
    """A paused service does not keep the daemon."""
    port = free_port()
    daemon.start(hello("web", port))
    daemon.command("pause", "web")
    with Client(port) as client:
        client.send()
        all_wait(daemon, "web", 1)
        daemon.command("stop")
        daemon.wait_exit()
