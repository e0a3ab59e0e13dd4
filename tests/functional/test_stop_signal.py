"""kill -STOP: a server that hangs must not hold up the others, nor what it has not received."""
import os
import signal
import socket
import time

from clients import Client, Load, get
from lustlib import OUTSIDER, OUTSIDER_NAME, SANITIZED, free_port, hello, stop


def stalled(one, pid):
    return any(server["pid"] == pid and server["state"] == "stalled" for server in one["servers"])


def test_what_a_stopped_server_has_not_received_is_served_elsewhere(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", instances=2, take_timeout="500ms", balance="round-robin"))
    victim, other = daemon.pids("web")
    stop(victim)
    clients = []
    for number in range(20):
        client = Client(port)
        client.send("/once-%d" % number, keep=False)
        client.socket.shutdown(socket.SHUT_WR)  # its FIN goes with it
        clients.append(client)
    for client in clients:
        with client:
            assert client.answer().pid == other
            assert client.socket.recv(100) == b"", "one answer, and no more"
    one = daemon.service("web")
    assert stalled(one, victim) and one["connections"]["redispatched"] > 0
    assert (one["state"], one["ready"]) == ("degraded", 1) and "take-timeout" in one["reason"], one
    assert "degraded" in daemon.command("status", "--problems", code=1).out
    assert one["connections"]["closed"]["touched"] == 0
    os.kill(victim, signal.SIGCONT)
    daemon.wait_service("web", lambda one: one["ready"] == 2 and not stalled(one, victim))
    answered = [what for _, what in home.notes("web")]
    assert len(answered) == len(set(answered)) == 20, "nobody is answered twice"
    daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)
    assert {get(port).pid for _ in range(10)} == {victim, other}, "it serves again"


def test_the_others_go_on_at_full_speed(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4, take_timeout="300ms"))
    victim = daemon.pids("web")[0]
    with Load(port, workers=8) as load:
        load.wait_for(200)
        stop(victim)
        daemon.wait_service("web", lambda one: stalled(one, victim))
        load.wait_for(500)
        os.kill(victim, signal.SIGCONT)
        daemon.wait_service("web", lambda one: one["ready"] == 4)
        load.wait_for(100)
    assert not load.failures, load.failures[:5]


def test_stopped_and_then_killed(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", instances=2, take_timeout="500ms",
                                  server={"restart_delay": "100ms"}))
    victim, other = daemon.pids("web")
    stop(victim)
    clients = [Client(port) for _ in range(10)]
    for client in clients:
        client.send(keep=False)
    os.kill(victim, signal.SIGKILL)
    for client in clients:
        with client:
            assert client.answer().status == 200
    daemon.wait_service("web", lambda one: one["ready"] == 2)
    assert daemon.service("web")["connections"]["died"] == 0


def test_received_and_not_taken_waits_for_its_server(daemon, home):
    """What a living server has received stays with it: it may be touching it right now."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "never_takes", take_timeout="300ms", drain_timeout="100ms",
                                  server={"restart_delay": "100ms"}))
    (victim,) = daemon.pids("web")
    with Client(port) as client:
        client.send(keep=False)
        home.wait_note("web", "received")
        one = daemon.wait_service("web", lambda one: stalled(one, victim))
        assert one["connections"]["pending"] == 1 and one["connections"]["redispatched"] == 0
        os.kill(victim, signal.SIGKILL)
        # Untouched, as the kernel can prove: it goes to the next one, which never takes it either.
        daemon.wait_service("web", lambda one: one["connections"]["redispatched"] == 1)
    daemon.wait_ready()
    daemon.command("down", "web")
    daemon.wait_service("web", lambda one: not any(server["pid"] > 0 for server in one["servers"]))
    daemon.before = None  # the service is down: fewer processes than before


def test_waiting_for_a_slow_client_is_no_stall(daemon, home):
    """A server that takes a connection only when there is something to read is asked, and answers."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "takes_its_time", take_timeout="200ms"))
    with Client(port) as slow:
        home.wait_note("web", "waits")
        began = time.monotonic()
        while time.monotonic() - began < 1:
            assert get(port).status == 200
        one = daemon.service("web")
        assert one["state"] == "ready" and one["connections"]["pending"] == 1 and one["servers"][0]["stalls"] == 0
        assert slow.ask(keep=False).status == 200
    assert daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)["connections"]["redispatched"] == 0


def test_server_that_never_reads_its_pair(daemon, home):
    """It is stalled; its clients go to the one that works."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "never_receives", take_timeout="300ms",
                                  register_users=[OUTSIDER_NAME], drain_timeout="100ms"))
    (victim,) = daemon.pids("web")
    clients = [Client(port) for _ in range(5)]
    for client in clients:
        client.send(keep=False)
    daemon.wait_service("web", lambda one: stalled(one, victim))
    home.external(daemon, "web", "good", user=OUTSIDER)
    for client in clients:
        with client:
            assert client.answer().status == 200
    home.end_outside()
    daemon.wait_service("web", lambda one: len(one["servers"]) == 1)
