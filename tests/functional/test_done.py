"""`acknowledge`, and servers that take for themselves: what a server's death costs a client, and what it does not."""
import os
import signal

import pytest

from clients import Client, Failure, Load, connect, get
from lustlib import LIBLUST, PYTHON, alive, free_port, hello, service, wait_until

QUICK = {"restart_delay": "20ms", "restart_delay_max": "20ms"}
GREETING = 128  # bytes that badserver.py's `speaks` says


class Greeted(Load):
    """Clients that say nothing and want a whole greeting, and its end."""

    def _one(self, worker):
        with Client(self.address, self.limit) as client:
            try:
                while True:
                    client._more()
            except Failure as failure:
                if failure.error != "end of file" or len(client.rest) != GREETING:
                    raise
        with self.lock:
            self.ok += 1
            self.lock.notify_all()


def settled(daemon):
    """The service when nothing is on its way any more: a client has its answer before the dispatcher hears of it."""
    return daemon.wait_service("web", lambda one: one["connections"]["active"] + one["connections"]["pending"] == 0)


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def kill_again_and_again(daemon, load, rounds):
    for _ in range(rounds):
        for pid in wait_until("a server", lambda: daemon.pids("web"))[:1]:
            kill(pid)
            wait_until("its end", lambda: not alive(pid))
        load.wait_for(20)


@pytest.mark.parametrize("servers", [1, 4])
def test_done_speaking_first_and_killed(daemon, home, servers):
    """kill -9 in a loop, under load: each client gets its whole greeting."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "speaks", "--work", "0.002", instances=servers, server=QUICK,
                                  acknowledge="done"))
    with Greeted(port, workers=16) as load:
        kill_again_and_again(daemon, load, 20)
    assert not load.failures, load.failures[:5]
    count = settled(daemon)["connections"]
    assert count["redispatched"] > 0 and count["lost"] == 0 and sum(count["closed"].values()) == 0, count
    daemon.wait_ready()


def test_taken_speaking_first_and_killed(daemon, home):
    """The same with `taken`: what a dead server had taken is over, and nothing else."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "speaks", "--work", "0.002", instances=4, server=QUICK))
    with Greeted(port, workers=16) as load:
        kill_again_and_again(daemon, load, 20)
    count = settled(daemon)["connections"]
    assert 0 < len(load.failures) <= count["died"], (load.failures[:5], count)
    assert count["died"] <= 20 and count["lost"] == 0 and sum(count["closed"].values()) == 0, count
    daemon.wait_ready()


def test_done_after_the_answer(daemon, home):
    """Killed between the answer and DONE: the client has it, and nobody answers again."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "dies_after_answering", server=QUICK, acknowledge="done"))
    reply = get(port)
    assert reply.status == 200
    count = daemon.wait_service("web", lambda one: one["connections"]["died"] == 1)["connections"]
    assert count["redispatched"] == 0
    assert len(home.notes("web")) == 1
    daemon.wait_logged(r"connection \S+ from 127\.0\.0\.1:\d+ closed: its server \(pid %d\)" % reply.pid)
    daemon.wait_ready()


def test_copies_are_counted_and_a_reload_lets_them_go(daemon):
    """taken, done, taken while connections are active: each goes on."""
    port = free_port()
    table = {name: hello("web", port, 1, acknowledge=name) for name in ("taken", "done")}
    daemon.start(table["taken"])
    (pid,) = daemon.pids("web")
    before, opened = daemon.status()["dispatcher"]["fds"], []

    def open_some(count, copies):
        opened.extend(Client(port) for _ in range(count))
        for client in opened:
            assert client.ask().pid == pid
        wait_for(copies)

    def wait_for(copies):
        daemon.wait_service("web", lambda one: one["connections"]["active"] == len(opened))
        wait_until("%d copies" % copies, lambda: daemon.status()["dispatcher"]["fds"] == before + copies)

    open_some(3, 0)
    daemon.reload(table["done"])
    open_some(4, 4)
    opened.pop().close()
    wait_for(3)
    daemon.reload(table["taken"])
    wait_for(0)
    open_some(1, 0)
    daemon.reload(table["done"])
    open_some(1, 1)
    for client in opened:
        client.close()
    opened.clear()
    wait_for(0)
    count = daemon.service("web")["connections"]
    assert count["done"] == 9 and count["died"] == 0 and count["redispatched"] == 0
    assert daemon.pids("web") == [pid]


def test_done_over_a_new_dispatcher(daemon, home):
    """Its copies die with a dispatcher; the servers go on and say what they hold."""
    port = free_port()
    daemon.start(hello("web", port, 2, acknowledge="done"))
    opened = [Client(port) for _ in range(6)]
    pids = [client.ask().pid for client in opened]
    for _ in range(3):
        daemon.wait_service("web", lambda one: one["connections"]["active"] == len(opened))
        old = daemon.dispatcher
        kill(old)
        daemon.wait_new_dispatcher(old)
        daemon.wait_ready()
        daemon.wait_service("web", lambda one: one["connections"]["active"] == len(opened))
        opened.append(Client(port))
        pids.append(opened[-1].ask().pid)
    assert [client.ask().pid for client in opened] == pids
    for client in opened:
        client.close()
    count = settled(daemon)["connections"]
    assert count["done"] == count["accepted"] == 9 and count["died"] == 0, count


def test_done_drains(daemon, home):
    """down: those who say nothing go to nobody, since the server has answered them before; new clients wait."""
    port = free_port()
    daemon.start(hello("web", port, 1, acknowledge="done"))
    with Client(port) as client:
        client.ask()
        daemon.command("down", "web")
        daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    daemon.command("up", "web")
    assert get(port).status == 200


def test_peeking_servers_are_no_stalled_ones(daemon, home):
    """Silent clients for longer than take-timeout; then their server dies, having read nothing."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "peeks", server=QUICK, take_timeout="200ms", window=4))
    silent = [connect(port) for _ in range(3)]
    wait_until("all received", lambda: sum(what == "received" for _, what in home.notes("web")) == 3)
    assert get(port).status == 200
    home.wait_note("web", "asked 6")  # each time half of take-timeout after the last answer
    one = daemon.service("web")
    assert one["connections"]["pending"] == 3 and [server["stalls"] for server in one["servers"]] == [0]

    # The window is full with a fourth: a fifth waits in the backlog until one was taken.
    silent += [connect(port), connect(port)]
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 4 and one["state"] == "full"
                        and one["listen"][0]["waiting"] == 1)
    say(silent[0])
    assert b"200 OK" in whole(silent.pop(0))
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 4 and one["listen"][0]["waiting"] == 0)

    (pid,) = daemon.pids("web")
    say(silent[0], "/die")
    wait_until("its end", lambda: not alive(pid))
    for sock in silent[1:]:
        say(sock)
    answers = [whole(sock) for sock in silent]
    assert all(b"200 OK" in answer and b" %d " % pid not in answer for answer in answers), answers
    count = settled(daemon)["connections"]
    assert count["redispatched"] == 4 and count["taken"] == count["done"] == 6 and count["died"] == 0, count
    daemon.wait_ready()


def say(sock, path="/"):
    sock.sendall(("GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path).encode())


def whole(sock):
    """All that comes, up to the end."""
    data = b""
    with sock:
        while True:
            more = sock.recv(4096)
            if not more:
                return data
            data += more


@pytest.mark.plain
@pytest.mark.parametrize("acknowledge", ["taken", "done"])
def test_liblust_explicit_take(daemon, home, acknowledge):
    """take, refuse, close before take, close by oneself: with the real library against the real daemon."""
    port = free_port()
    daemon.start(service("web", port, {"command": [PYTHON, "-B", home.join("libserver.py"), LIBLUST, "--capacity", 4],
                                       "instances": 2}, acknowledge=acknowledge, take_timeout="200ms"))
    refused = [get(port, "/refuse") for _ in range(6)]
    assert all("instance 2 " in reply.body for reply in refused), refused
    assert [get(port, "/only-close").status for _ in range(4)] == [200] * 4
    for _ in range(3):
        with Client(port) as client:
            client.send("/close")
            with pytest.raises(Failure) as failure:
                client.answer()
            assert not failure.value.answered

    # Capacity bounds what is not taken yet, too: 4 + 4, the ninth waits in the backlog.
    silent = [connect(port) for _ in range(9)]
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 8 and one["listen"][0]["waiting"] == 1)
    for sock in silent:
        say(sock)
    assert all(b"200 OK" in whole(sock) for sock in silent)
    one = settled(daemon)
    count = one["connections"]
    assert count["done"] == count["taken"] == count["accepted"] == 6 + 4 + 3 + 9 and count["died"] == 0, count
    assert count["redispatched"] == sum(server["refused"] for server in one["servers"]) > 0
    assert [server["stalls"] for server in one["servers"]] == [0, 0]


@pytest.mark.plain
def test_liblust_dies_before_it_takes(daemon, home):
    """The silent clients of a killed server are another one's, whatever `acknowledge` says."""
    port = free_port()
    daemon.start(service("web", port, {"command": [PYTHON, "-B", home.join("libserver.py"), LIBLUST], **QUICK}))
    silent = [connect(port) for _ in range(5)]
    daemon.wait_service("web", lambda one: one["servers"][0]["pending"] == 5)
    (pid,) = daemon.pids("web")
    kill(pid)
    for sock in silent:
        say(sock)
    answers = [whole(sock) for sock in silent]
    assert all(b"200 OK" in answer and b"pid %d\n" % pid not in answer for answer in answers), answers
    count = settled(daemon)["connections"]
    assert count["redispatched"] == 5 and count["done"] == 5
    daemon.wait_ready()
