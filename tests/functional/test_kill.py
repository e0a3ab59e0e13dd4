"""kill -9 of servers, dispatcher and logger, under load."""
import os
import re
import signal

import pytest

from clients import Client, Failure, Load, Waiting, get, pending, pids
from lustlib import (BLOCKING, HELLO_PY, OUTSIDER, OUTSIDER_NAME, PYTHON, SANITIZED, alive, children, free_port, free_ports, hello,
                     listening_inodes, service, stop, wait_until)
from tracing import needs_strace

QUICK = {"restart_delay": "100ms"}


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_server_killed_under_load(daemon):
    """Only connections that it had taken suffer, and another comes in its place."""
    port = free_port()
    daemon.start(hello("web", port, 4, QUICK))
    killed = []
    with Load(port, workers=16) as load:
        for _ in range(5):
            victim = daemon.pids("web")[0]
            kill(victim)
            killed.append(victim)
            daemon.wait_service("web", lambda one: one["ready"] == 4 and victim not in
                                [server["pid"] for server in one["servers"]])
            load.wait_for(200)
    count = daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)["connections"]
    assert len(load.failures) <= count["died"] + count["closed"]["touched"], (load.failures, count)
    assert all(failure.phase != "connect" for failure in load.failures), load.failures
    assert count["lost"] == 0
    daemon.wait_logged(r"web.*SIGKILL|SIGKILL.*web")


def test_untouched_connections_of_a_killed_server_go_to_another(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "dies_before_taking", server=QUICK))
    assert Waiting(port, 5).statuses() == [200] * 5
    count = daemon.service("web")["connections"]
    assert count["redispatched"] >= 1 and count["closed"]["touched"] == 0 and count["died"] == 0
    daemon.wait_ready()


def test_touched_connection_of_a_killed_server_is_closed_with_a_log_line(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "dies_after_reading", server=QUICK))
    (answer,) = Waiting(port, 1).answers()
    assert isinstance(answer, Failure)
    daemon.wait_service("web", lambda one: one["connections"]["closed"]["touched"] == 1)
    daemon.wait_logged(r"web.*127\.0\.0\.1")
    daemon.wait_ready()


def test_taken_connection_of_a_killed_server_counts_as_died(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "dies_after_taking", server=QUICK))
    (answer,) = Waiting(port, 1).answers()
    assert isinstance(answer, Failure)
    daemon.wait_service("web", lambda one: one["connections"]["died"] == 1 and one["connections"]["redispatched"] == 0)
    daemon.wait_ready()


def test_dispatcher_killed_under_load(daemon, home):
    """Nobody is refused, servers go on, supervised or not; the sockets are the same ones."""
    web, plain, outside = free_ports(3)
    daemon.start(hello("web", web, 4),
                 service("plain", plain, {"command": [PYTHON, HELLO_PY], "instances": 2}),
                 service("outside", outside, register_users=[OUTSIDER_NAME]))
    home.external(daemon, "outside", "good", user=OUTSIDER)
    daemon.wait_service("outside", lambda one: one["ready"] == 1)
    daemon.baseline()
    before = {name: sorted(daemon.pids(name)) for name in ("web", "plain", "outside")}
    inodes = listening_inodes(web)
    rounds = 5
    daemon.lost_allowed = 64 * rounds
    with Client(web) as old, Load(web, workers=16) as load:
        pid = old.ask().pid
        for _ in range(rounds):
            victim = daemon.dispatcher
            kill(victim)
            daemon.wait_new_dispatcher(victim)
            load.wait_for(100)
            daemon.wait_ready()
        assert old.ask().pid == pid, "an open connection notices nothing"
    assert all(failure.phase != "connect" for failure in load.failures), load.failures
    lost = daemon.service("web")["connections"]["lost"]
    assert len(load.failures) <= lost <= daemon.lost_allowed, (lost, load.failures[:5])
    for name, port in (("plain", plain), ("outside", outside)):
        assert set(pids(port, 6)) <= set(before[name])
    assert {name: sorted(daemon.pids(name)) for name in before} == before
    assert listening_inodes(web) == inodes
    assert daemon.status()["dispatcher"]["restarts"] == rounds
    home.end_outside()
    daemon.wait_service("outside", lambda one: not one["servers"])
    daemon.before = None


def test_a_client_who_comes_without_a_dispatcher_is_served(daemon):
    """It waits in the backlog for the new one, a fraction of a second."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    kill(daemon.dispatcher)
    assert get(port).status == 200


def test_new_dispatcher_knows_who_is_busy(daemon):
    """Capacity holds over dispatchers: what a server said that it holds counts."""
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING], "instances": 2}))
    first, second = Client(port), Client(port)
    daemon.wait_service("pool", lambda one: one["connections"]["active"] == 2)
    old = daemon.dispatcher
    kill(old)
    daemon.wait_new_dispatcher(old)
    daemon.wait_ready()
    daemon.wait_service("pool", lambda one: [server["active"] for server in one["servers"]] == [1, 1])
    third = Client(port)
    third.send(keep=False)
    daemon.wait_service("pool", lambda one: one["listen"][0]["waiting"] == 1)
    assert first.ask(keep=False).status == 200
    first.close()
    assert third.answer().status == 200
    third.close()
    second.close()
    daemon.wait_service("pool", lambda one: one["connections"]["active"] == 0)


def test_unreceived_connections_survive_the_dispatcher(daemon, home):
    """What lies in a pair when the dispatcher dies is taken back and given out again."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", take_timeout="600s"))
    (pid,) = daemon.pids("web")
    stop(pid)
    waiting = pending(daemon, "web", port, 10)
    daemon.wait_service("web", lambda one: one["servers"][0]["pending"] == 10)  # sent: not in the dispatcher's hand
    old = daemon.dispatcher
    kill(old)
    daemon.wait_new_dispatcher(old)
    os.kill(pid, signal.SIGCONT)
    assert waiting.statuses() == [200] * 10
    assert len(home.notes("web")) == 10, "each answered once"


def at_rest(service):
    """What was answered a moment ago may be pending still: its TAKEN is not read yet."""
    return service["connections"]["pending"] == service["connections"]["active"] == 0


@pytest.mark.parametrize("dispatchers", [0, 2])
def test_full_servers_die_and_nobody_has_room(daemon, home, dispatchers):
    """What they had not received stays in their pairs, even if dispatchers die too, until servers are there again."""
    port, clients = free_port(), 90
    daemon.start(home.bad_service("web", port, "good", instances=3, server={"restart": "never"}, take_timeout="600s",
                                  window=clients // 3))
    servers = daemon.pids("web")
    for pid in servers:
        stop(pid)
    waiting = pending(daemon, "web", port, clients)
    daemon.wait_service("web", lambda one: sum(server["pending"] for server in one["servers"]) == clients)
    for pid in servers:
        kill(pid)
    daemon.wait_service("web", lambda one: one["ready"] == 0)
    for _ in range(dispatchers):
        old = daemon.dispatcher
        kill(old)
        daemon.wait_new_dispatcher(old)
    count = daemon.service("web")["connections"]
    assert count["pending"] == clients and count["lost"] == 0
    late = Client(port)
    late.send(keep=False)
    daemon.command("up", "web")
    assert waiting.statuses() == [200] * clients
    with late:
        assert late.answer().status == 200
    count = daemon.wait_service("web", at_rest)["connections"]
    assert count["done"] == clients + 1 and count["redispatched"] >= clients
    assert count["lost"] == count["died"] == sum(count["closed"].values()) == 0


def test_a_full_server_from_outside_dies_and_comes_again(daemon, home):
    """Its clients wait for it, and its place is free although they do."""
    port, clients = free_port(), 20
    daemon.start(home.bad_service("web", port, "good", register_users=[OUTSIDER_NAME], max_registered=1, take_timeout="600s"))
    daemon.command("down", "web")
    first = home.external(daemon, "web", "good", user=OUTSIDER)
    daemon.wait_service("web", lambda one: one["ready"] == 1)
    stop(first.pid)
    waiting = pending(daemon, "web", port, clients)
    first.kill()
    first.wait()
    daemon.wait_service("web", lambda one: not one["servers"])
    assert daemon.service("web")["connections"]["pending"] == clients
    home.external(daemon, "web", "good", user=OUTSIDER)
    assert waiting.statuses() == [200] * clients
    daemon.wait_service("web", lambda one: one["connections"]["done"] == clients)
    home.end_outside()
    daemon.wait_service("web", lambda one: not one["servers"])
    daemon.command("up", "web")


@pytest.mark.root
@pytest.mark.plain
@pytest.mark.native
@needs_strace
def test_stop_does_not_wait_for_a_server_that_kill_does_not_end(daemon, home):
    """As one that hangs in the kernel: here no signal arrives, though kill(2) says so."""
    daemon.wrapper = ["strace", "-D", "-q", "-e", "signal=none", "-e", "trace=kill", "-e", "inject=kill:retval=0", "-o", "/dev/null"]
    daemon.start(home.bad_service("web", free_port(), "ignores_term", drain_timeout="100ms", server={"stop_timeout": "100ms"}))
    (server,) = daemon.pids("web")
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_logged(r"web: server 1 \(pid %d\) hangs in the kernel and does not end" % server)
    assert daemon.wait_exit() == 0
    for pid in children(server) + [server]:
        kill(pid)
    daemon.before = None


def stop_without_a_dispatcher(daemon):
    """The supervisor learns of the dispatcher's death and of the wish to stop at once."""
    dispatcher = daemon.dispatcher
    stop(daemon.pid)
    kill(dispatcher)
    os.kill(daemon.pid, signal.SIGTERM)
    os.kill(daemon.pid, signal.SIGCONT)
    daemon.wait_notified("STOPPING=1")


def test_stop_while_there_is_no_dispatcher(daemon, home):
    """A new one comes although the daemon stops: what the dead one had sent is answered, and servers are drained."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", take_timeout="600s", drain_timeout="60s"))
    (pid,) = daemon.pids("web")
    stop(pid)
    waiting = pending(daemon, "web", port, 5)
    stop_without_a_dispatcher(daemon)
    os.kill(pid, signal.SIGCONT)
    assert waiting.statuses() == [200] * 5
    assert daemon.wait_exit() == 0
    assert "lost" not in daemon.log()


def test_stop_that_does_not_wait_tells_what_is_lost(daemon, home):
    """Nobody is left to settle it: each connection has its line, by id."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "never_receives", take_timeout="600s", server={"stop_timeout": "1s"}))
    waiting = pending(daemon, "web", port, 3)
    stop_without_a_dispatcher(daemon)
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_exit() == 0
    left = len(re.findall(r"connection \d+:\d+ from 127\.0\.0\.1:\d+ (?:lost|closed)", daemon.log()))
    assert left == 3, daemon.log()
    waiting.answers()


def test_server_dies_while_there_is_no_dispatcher(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2, QUICK))
    victim, old = daemon.pids("web")[0], daemon.dispatcher
    stop(daemon.pid)  # so that both deaths are seen at once
    kill(old)
    kill(victim)
    os.kill(daemon.pid, signal.SIGCONT)
    daemon.wait_new_dispatcher(old)
    daemon.wait_service("web", lambda one: one["ready"] == 2 and victim not in
                        [server["pid"] for server in one["servers"]])
    assert len(pids(port, 20)) == 2


def test_stopped_dispatcher_is_replaced(daemon):
    """A dispatcher that does not answer is as bad as a dead one."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    old = daemon.dispatcher
    stop(old)
    assert get(port).status == 200
    assert daemon.dispatcher != old
    daemon.wait_ready()


def test_logger_killed(daemon, home):
    """No server gets SIGPIPE, and what it prints is logged again."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "good"))
    before = daemon.pids("web")
    get(port, "/before")
    daemon.wait_logged("GET /before")
    old = daemon.logger
    kill(old)
    wait_until("a new logger", lambda: not alive(old) and daemon.logger != old)
    get(port, "/after")
    daemon.wait_logged("GET /after")
    assert daemon.pids("web") == before


def test_all_servers_killed_again_and_again(daemon):
    """Clients wait; none is refused; the pauses grow and end."""
    port = free_port()
    daemon.start(hello("web", port, 4, {"restart_delay": "20ms", "restart_delay_max": "100ms"}))
    for _ in range(5):
        for pid in daemon.pids("web"):
            kill(pid)
        assert get(port).status == 200
        daemon.wait_ready()
