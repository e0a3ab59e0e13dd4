"""Several servers behind one port: who answers, how fairly, and who listens."""
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from clients import Client, Load, Waiting, connect, get, pids
from lustlib import (BLOCKING, HELLO_PY, PYTHON, ROOT, SANITIZED, children, descriptors, free_port, free_ports,
                     hello, listening_inodes, service, wait_until)

SECONDS = 3 if SANITIZED else 10


def holders(inode, processes):
    return [pid for pid in processes if "socket:[%s]" % inode in (descriptors(pid) or {}).values()]


def test_every_instance_serves(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4))
    before = set(daemon.pids("web"))
    assert len(before) == 4
    seen = pids(port, 60)
    assert set(seen) == before
    assert set(daemon.pids("web")) == before, "the same processes as before the connections"
    count = daemon.wait_service("web", lambda one: one["connections"]["done"] == 60)["connections"]
    assert count["accepted"] == count["taken"] == 60


def test_only_the_daemon_listens(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4))
    (inode,) = listening_inodes(port)
    family = [daemon.pid, *children(daemon.pid)]
    if ROOT:
        assert set(holders(inode, family)) == {daemon.pid, daemon.dispatcher}
    else: # the dispatcher's descriptors are not for us to see
        assert holders(inode, family) == [daemon.pid]


def test_answer_tells_pid_peer_and_service(daemon):
    port = free_port()
    daemon.start(hello("web", port, 1))
    reply = get(port)
    assert reply.pid == daemon.pids("web")[0]
    assert "web" in reply.body and "127.0.0.1" in reply.body and str(reply.local[1]) in reply.body


def test_keep_alive_stays_with_one_server(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4))
    with Client(port) as client:
        answered = {client.ask("/%d" % number).pid for number in range(100)}
        assert len(answered) == 1
        daemon.wait_service("web", lambda web: web["connections"]["active"] == 1)


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
def test_wrk_sees_no_error(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4))
    done = subprocess.run(["wrk", "-c", "100", "-d", str(SECONDS), "-t", "2", "http://127.0.0.1:%d/" % port],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    assert not re.search(r"Socket errors|Non-2xx", done.stdout), done.stdout
    assert int(re.search(r"(\d+) requests in", done.stdout).group(1)) > 100 * SECONDS
    one = daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    assert all(server["taken"] > 0 for server in one["servers"])


@pytest.mark.skipif(not shutil.which("ab"), reason="needs ab")
@pytest.mark.parametrize("keep", [[], ["-k"]], ids=["close", "keep-alive"])
def test_ab_sees_no_error(daemon, keep):
    port = free_port()
    daemon.start(hello("web", port, 4))
    done = subprocess.run(["ab", "-q", "-l", *keep, "-n", "5000", "-c", "100", "http://127.0.0.1:%d/" % port],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    assert re.search(r"Failed requests:\s+0\b", done.stdout), done.stdout
    assert re.search(r"Complete requests:\s+5000\b", done.stdout), done.stdout
    assert "Non-2xx" not in done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2))
    url = "http://127.0.0.1:%d/" % port
    done = subprocess.run(["curl", "-v", "--max-time", "60", url, url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("HTTP/1.1 200") == 2
    assert "Re-using existing connection" in done.stderr or "Reusing existing connection" in done.stderr


def test_blocking_pool_serves_all_at_once(daemon):
    """As many clients as servers of capacity 1: each gets one of its own, at once."""
    many = 40 if SANITIZED else 200
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING], "instances": many}, balance="least-connections"))
    clients = [Client(port) for _ in range(many)]
    one = daemon.wait_service("pool", lambda one: one["connections"]["active"] == many)
    assert [server["active"] for server in one["servers"]] == [1] * many
    assert {server["capacity"] for server in one["servers"]} == {1}
    answered = set()
    for client in clients:
        with client:
            answered.add(client.ask(keep=False).pid)
    assert len(answered) == many


def test_blocking_pool_smaller_than_the_crowd(daemon):
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING], "instances": 8}))
    answers = Waiting(port, 200).answers()
    assert all(getattr(answer, "status", None) == 200 for answer in answers), answers
    one = daemon.wait_service("pool", lambda one: one["connections"]["done"] == 200)
    assert all(server["taken"] > 0 for server in one["servers"])
    assert one["connections"]["accepted"] == 200


def test_nobody_waits_while_a_server_is_free(daemon):
    """Seven of eight busy: the eighth answers everybody else; all eight busy: the backlog holds them."""
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING], "instances": 8}))
    idle = [Client(port) for _ in range(7)]
    daemon.wait_service("pool", lambda one: one["connections"]["active"] == 7)
    assert len(pids(port, 20)) == 1
    idle.append(Client(port))
    daemon.wait_service("pool", lambda one: one["connections"]["active"] == 8)
    waiting = Client(port)
    waiting.send(keep=False)
    one = daemon.wait_service("pool", lambda one: one["state"] == "full" and one["listen"][0]["waiting"] == 1)
    assert one["connections"]["accepted"] == 7 + 20 + 1, "who waits is not accepted"
    idle.pop(3).close()
    assert waiting.answer().status == 200
    waiting.close()
    for client in idle:
        client.close()


def test_overload_refuse(daemon):
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING]}, overload="refuse"))
    with Client(port):
        daemon.wait_service("pool", lambda one: one["connections"]["active"] == 1)
        with connect(port) as second:
            try:
                assert second.recv(1) == b""
            except ConnectionResetError:
                pass
        assert daemon.service("pool")["connections"]["denied"]["overload"] == 1
    daemon.wait_service("pool", lambda one: one["connections"]["active"] == 0)
    assert get(port).status == 200


def test_round_robin(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4, balance="round-robin"))
    assert sorted(pids(port, 40).values()) == [10, 10, 10, 10]


def test_least_connections(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4, balance="least-connections"))
    clients = [Client(port) for _ in range(40)]
    one = daemon.wait_service("web", lambda one: one["connections"]["active"] == 40)
    assert [server["active"] for server in one["servers"]] == [10, 10, 10, 10]
    for client in clients:
        client.close()


def test_source_hash(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4, balance="source-hash"))
    assert len(pids(port, 12)) == 1
    chosen = set()
    for host in range(2, 40):
        with socket.socket() as sock:
            sock.bind(("127.0.0.%d" % host, 0))
            sock.connect(("127.0.0.1", port))
            client = Client.__new__(Client)
            client.socket, client.rest = sock, b""
            chosen.add(client.ask(keep=False).pid)
    assert len(chosen) == 4


def test_addresses_of_all_kinds(daemon, home):
    first, second = free_ports(2)
    path = home.join("web.sock")
    listen = ["127.0.0.1:%d" % first, "other=127.0.0.2:%d" % second, "unix:" + path]
    six = os.path.exists("/proc/net/if_inet6") and "00000000000000000000000000000001" in open("/proc/net/if_inet6").read()
    if six:
        listen.append("[::1]:%d" % first)
    daemon.start(hello("web", listen, 2))
    get(first)
    get(("127.0.0.2", second))
    get(path)
    if six:
        get(("::1", first))
    told = {one["said"]: one for one in daemon.service("web")["listen"]}
    assert all(one["bound"] for one in told.values())
    assert told["other=127.0.0.2:%d" % second]["name"] == "other" if "other=127.0.0.2:%d" % second in told \
        else any(one["name"] == "other" for one in told.values())
    daemon.finish()
    assert not os.path.exists(path), "the socket's file is gone with the daemon"


def test_wildcard_listens_on_both_families(daemon):
    port = free_port()
    daemon.start(hello("web", "*:%d" % port, 1))
    get(port)
    bound = [one["address"] for one in daemon.service("web")["listen"] if one["bound"]]
    assert "tcp:0.0.0.0:%d" % port in bound
    if len(bound) == 2:
        get(("::1", port))


def test_early_fin_arrives(daemon, home):
    """A client that has sent all and shut down its side gets its answer."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    for _ in range(10):
        with Client(port) as client:
            client.send(keep=False)
            client.socket.shutdown(socket.SHUT_WR)
            assert client.answer().status == 200


def test_clients_that_leave_at_once(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2))
    for _ in range(200):
        connect(port).close()
    assert get(port).status == 200
    wait_until("all counted", lambda: daemon.service("web")["connections"]["accepted"] == 201)


def test_latency_is_measured(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2))
    with Load(port, workers=4) as load:
        load.wait_for(500)
    one = daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    assert 0 < one["latency_us"]["p50"] <= one["latency_us"]["p99"] <= one["latency_us"]["max"] < 60_000_000
    assert one["waited_us"]["p50"] <= one["waited_us"]["max"]
    assert one["per_s"]["10s"] > 0
    assert not load.failures


def test_the_three_examples_side_by_side(daemon):
    web, pool, plain = free_ports(3)
    daemon.start(hello("web", web, 2), service("pool", pool, {"command": [BLOCKING], "instances": 2}),
                 service("plain", plain, {"command": [PYTHON, HELLO_PY], "instances": 2}))
    for name, port in (("web", web), ("pool", pool), ("plain", plain)):
        assert set(pids(port, 20)) <= set(daemon.pids(name)), name


def test_service_without_server_waits_in_the_backlog(daemon, home):
    """A service that nobody serves yet: clients wait, and are answered once there is somebody."""
    from lustlib import OUTSIDER, OUTSIDER_NAME
    port = free_port()
    daemon.start(service("outside", port, register_users=[OUTSIDER_NAME]))
    client = Client(port)
    client.send(keep=False)
    daemon.wait_service("outside", lambda one: one["listen"][0]["waiting"] == 1 and one["state"] != "ready")
    home.external(daemon, "outside", "good", user=OUTSIDER)
    assert client.answer().status == 200
    client.close()
    home.end_outside()


def test_old_connections_survive_an_hour_of_others(daemon):
    """Not an hour, but some thousand connections in between."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    with Client(port) as old:
        first = old.ask().pid
        began = time.monotonic()
        with Load(port, workers=4) as load:
            load.wait_for(2000)
        assert old.ask().pid == first
    assert not load.failures, (load.failures[:3], time.monotonic() - began)
