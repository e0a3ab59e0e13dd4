"""DONE gathered by liblust: whatever waits is said without further traffic, and nothing waits for it."""
import pytest

from clients import Client, Load, get
from lustlib import BLOCKING, HELLO_HTTP, descriptors, free_port, service


def start(daemon, command, **settings):
    port = free_port()
    daemon.start(service("web", port, {"command": command}, **settings))
    daemon.wait_ready("web")
    return port


def settled(daemon, done):
    """With nobody left to bring traffic: all that were served have ended, too."""
    count = daemon.wait_service("web", lambda one: one["connections"]["done"] >= done and one["connections"]["active"] == 0
                                and one["connections"]["pending"] == 0)["connections"]
    assert count["accepted"] == count["taken"] == count["done"], count
    return count


def has_timer(daemon):
    """Who has ever gathered has one."""
    [pid] = daemon.pids("web")
    return any("timerfd" in target for target in descriptors(pid).values())


@pytest.mark.parametrize("count", [1, 2, 5, 64, 150])
def test_all_is_said_without_further_traffic(daemon, count):
    """So many end at about the same time, and then nobody comes."""
    port = start(daemon, [HELLO_HTTP])
    clients = [Client(port) for _ in range(count)]
    for client in clients:
        client.send("/")
    for client in clients:
        client.answer()
        client.close()
    settled(daemon, count)
    assert has_timer(daemon)


def test_load_ends_and_all_is_said(daemon):
    port = start(daemon, [HELLO_HTTP])
    with Load(port, workers=16) as load:
        load.wait_for(500)
    assert not load.failures, load.failures[:5]
    settled(daemon, load.ok)


@pytest.mark.parametrize("command, settings", [
    ([HELLO_HTTP, "-c", "1"], {}),              # its only credit is out while it answers
    ([BLOCKING], {}),                           # it works one by one
    ([HELLO_HTTP], {"acknowledge": "done"}),    # the end of a copy is the end of the socket
], ids=["capacity", "blocking", "done"])
def test_said_at_once_where_somebody_waits(daemon, command, settings):
    """No timer was ever set: nothing waited for it."""
    port = start(daemon, command, **settings)
    for _ in range(20):
        get(port)
    with Load(port, workers=8) as load:
        load.wait_for(200)
    assert not load.failures, load.failures[:5]
    settled(daemon, 20 + load.ok)
    assert not has_timer(daemon)
