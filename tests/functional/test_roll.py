"""roll: the new server is ready before the old one drains; one that does not come up changes nothing.

SPDX-License-Identifier: ISC
"""
import collections
import contextlib
import os
import re
import resource
import signal
import subprocess
import threading

import pytest

from clients import Client, Load, Waiting, get, pids
from lustlib import (BLOCKING, LUST_INETD, OUTSIDER_NAME, alive, as_user, clean_environment, free_port, free_ports,
                     hello, service, wait_until)

QUICK = {"restart_delay": "100ms"}


class Script:
    """The program of a service, which a test changes between two generations."""

    def __init__(self, home, name="web"):
        self.home, self.name, self.path = home, name, home.join(name + ".sh")
        self.open = home.join("state", name + ".open")
        self.good()

    def write(self, text):
        new = self.path + ".new"
        with open(new, "w") as out:
            out.write("#!/bin/sh\n" + text + "\n")
        os.chmod(new, 0o755)
        os.rename(new, self.path)

    def run(self, mode, *options):
        return "exec %s" % " ".join(self.home.bad(mode, "--state", self.home.state(self.name), *options))

    def good(self, *options):
        self.write(self.run("good", *options))

    def exits(self):
        self.write("echo no such colour: mauve >&2\nexit 3")

    def gated(self, mode="good", *options):
        """Comes up when the test says so."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.open)
        self.write("while [ ! -e %s ]; do sleep 0.02; done\n%s" % (self.open, self.run(mode, *options)))

    def open_gate(self):
        with open(self.open, "w"):
            pass

    def service(self, listen, instances=1, server=None, **settings):
        return service(self.name, listen, dict({"command": [self.path], "instances": instances}, **(server or {})),
                       **settings)


@pytest.fixture
def script(home):
    return Script(home)


class Rolling:
    """A command that runs while the test does something else."""

    def __init__(self, daemon, *arguments):
        self.process = subprocess.Popen([LUST_INETD, "-r", daemon.runtime, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
                                        env=clean_environment(), **as_user(daemon.user))

    def end(self, code=0, limit=120):
        out, err = self.process.communicate(timeout=limit)
        assert self.process.returncode == code, (self.process.returncode, out, err)
        return err


def of_generation(one, generation, state=None):
    return [server for server in one["servers"] if server["generation"] == generation
            and (state is None or server["state"] == state)]


def begin(daemon, script):
    """A roll of `web` that is half way: its first newcomer has started, and comes up with the gate.  The command and the status."""
    script.gated()
    rolling = Rolling(daemon, "roll", "web")
    return rolling, daemon.wait_service("web", lambda one: of_generation(one, 2, "starting"))


def at_rest(one):
    return one["connections"]["pending"] == one["connections"]["active"] == 0


def wait_gone(daemon, name, *old):
    daemon.wait_service(name, lambda one: not set(old) & {server["pid"] for server in one["servers"]})
    assert not any(alive(pid) for pid in old)


def pid_in(path):
    with open(path) as file:
        return int(file.read())


def pidfiles(daemon):
    return {name: pid_in(os.path.join(daemon.runtime, name)) for name in os.listdir(daemon.runtime)
            if name.endswith(".pid")}


# ---- nobody notices ----

@pytest.mark.parametrize("instances, keep", [(1, 1), (1, 5), (4, 1), (9, 3)])
def test_under_load(daemon, instances, keep):
    port = free_port()
    daemon.start(hello("web", port, instances))
    before = daemon.service("web")
    with Load(port, workers=8, keep=keep) as load:
        for _ in range(5):
            old = daemon.pids("web")
            daemon.command("roll", "web")
            one = daemon.service("web")
            new = [server["pid"] for server in one["servers"] if server["state"] == "ready"]
            assert len(new) == instances and not set(old) & set(new)
            assert get(port).pid in new, "nobody goes to an old one any more"
            assert {server["generation"] for server in one["servers"] if server["state"] == "ready"} \
                == {one["generation"]}
            load.wait_for(50)
    assert not load.failures, load.failures[:5]
    one = daemon.wait_service("web", at_rest)
    assert one["generation"] == before["generation"] + 5
    count = one["connections"]
    assert count["done"] == count["accepted"] and count["redispatched"] == 0, repr(count)
    daemon.wait_service("web", lambda one: len(one["servers"]) == instances)


def test_one_at_a_time_under_load(daemon):
    """Servers that hold one connection and wait for it: whoever waits in the backlog goes to a new one."""
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING], "instances": 2}))
    with Load(port, workers=6) as load:
        for _ in range(5):
            daemon.command("roll", "pool")
            load.wait_for(30)
    assert not load.failures, load.failures[:5]
    count = daemon.wait_service("pool", at_rest)["connections"]
    assert count["done"] == count["accepted"], repr(count)


def test_each_request_is_answered_once(daemon, script):
    """By the servers' own notes: no request came to two of them."""
    port = free_port()
    daemon.start(script.service(port, 2))
    stop, asked, failures = threading.Event(), collections.Counter(), []

    def ask(worker):
        number = 0
        while not stop.is_set():
            number += 1
            path = "/%d-%d" % (worker, number)
            try:
                assert get(port, path).body.split()[3] == path
                asked["GET %s HTTP/1.1" % path] += 1
            except Exception as error:
                failures.append((path, error))
    workers = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(4):
            daemon.command("roll", "web")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert not failures, failures[:3]
    assert len(asked) > 10
    assert collections.Counter(what for _, what in script.home.notes("web")) == asked


# ---- the new one first ----

def test_the_old_one_serves_until_the_new_one_is_ready(daemon, script):
    port = free_port()
    daemon.start(script.service(port))
    (old,) = daemon.pids("web")
    rolling, one = begin(daemon, script)
    assert one["ready"] == one["wanted"] == 1 and one["state"] == "ready"
    assert of_generation(one, 1, "ready")
    for _ in range(20):
        assert get(port).pid == old
    assert rolling.process.poll() is None
    script.open_gate()
    rolling.end()
    one = daemon.service("web")
    (new,) = of_generation(one, 2, "ready")
    assert new["pid"] != old and new["instance"] == 1 and one["ready"] == 1
    assert get(port).pid == new["pid"]
    wait_gone(daemon, "web", old)
    assert get(port).pid == new["pid"]


def test_one_place_after_another(daemon, script):
    """The first newcomer alone; nobody else is touched before it is ready."""
    port = free_port()
    daemon.start(script.service(port, 4))
    rolling, one = begin(daemon, script)
    assert len(of_generation(one, 2)) == 1 and len(of_generation(one, 1, "ready")) == 4
    script.open_gate()
    rolling.end()
    assert len(of_generation(daemon.service("web"), 2, "ready")) == 4
    daemon.wait_service("web", lambda one: len(one["servers"]) == 4)


def test_several_generations_drain_at_once(daemon, script):
    """Each with its connection, its age and its generation."""
    port = free_port()
    daemon.start(script.service(port))
    held = []
    for generation in range(1, 5):
        client, (pid,) = Client(port), daemon.pids("web")
        held.append((client, pid))
        daemon.wait_service("web", lambda one: [server["active"] for server in of_generation(one, generation)] == [1])
        if generation < 4:
            out = daemon.command("roll", "web").out
            assert re.fullmatch("web: %d old servers? still finish(es)? %d connections?\n" % (generation, generation),
                                out), out
    one = daemon.service("web")
    assert one["ready"] == one["wanted"] == 1 and one["generation"] == 4
    assert [(server["generation"], server["state"], server["active"], server["pid"]) for server in one["servers"]] \
        == [(number + 1, "draining" if number < 3 else "ready", 1, pid) for number, (_, pid) in enumerate(held)]
    assert [server["instance"] for server in one["servers"]] == [1] * 4
    ages = [server["uptime_s"] for server in one["servers"]]
    assert ages == sorted(ages, reverse=True) and ages[-1] > 0
    shown = [line.split() for line in daemon.command("status", "web").out.split("\n")]
    assert [line[1:3] for line in shown if line[:1] == ["1"]] \
        == [[str(number + 1), str(pid)] for number, (_, pid) in enumerate(held)]
    for client, pid in held:
        assert client.ask(keep=False).pid == pid
        client.close()
    wait_gone(daemon, "web", *[pid for _, pid in held[:3]])
    assert daemon.service("web")["connections"]["died"] == 0


def test_output_names_the_generation(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "holds"))
    (old,) = daemon.pids("web")
    with Client(port):
        daemon.wait_logged(r"web\[%d\]: took" % old)
        daemon.command("roll", "web")
        (new,) = daemon.pids("web")
        with Client(port):
            daemon.wait_logged(r"web#2\[%d\]: took" % new)
        daemon.command("down", "web")
    daemon.before = None


def test_drain_timeout_stop_signal_kill(daemon, home):
    port = free_port()
    script = Script(home)
    script.write(script.run("ignores_term"))
    daemon.start(script.service(port, server={"stop_timeout": "200ms"}, drain_timeout="200ms"))
    (old,) = daemon.pids("web")
    script.good()
    client = Client(port)
    client.send(keep=False)
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 1)
    daemon.command("roll", "web")
    assert get(port).pid in daemon.pids("web")
    daemon.wait_logged(r"pid %d\) still holds connections after drain-timeout" % old)
    daemon.wait_logged(r"pid %d\) did not end within stop-timeout: killed" % old)
    wait_gone(daemon, "web", old)
    client.close()
    daemon.wait_service("web", at_rest)
    daemon.before = None


# ---- pidfiles ----

def test_the_pidfile_follows_the_new_one(daemon, script):
    port = free_port()
    daemon.start(script.service(port, 2))
    old = {server["instance"]: server["pid"] for server in daemon.servers("web")}
    named = {"web.%d.pid" % instance: pid for instance, pid in old.items()}
    assert pidfiles(daemon) == named
    rolling = begin(daemon, script)[0]
    assert pidfiles(daemon) == named
    script.open_gate()
    rolling.end()
    new = {"web.%d.pid" % server["instance"]: server["pid"]
           for server in daemon.servers("web") if server["generation"] == 2}
    assert len(new) == 2 and pidfiles(daemon) == new
    wait_gone(daemon, "web", *old.values())
    assert pidfiles(daemon) == new, "an old one's end removes nothing"


def test_a_failed_newcomer_leaves_the_pidfile(daemon, script):
    port = free_port()
    daemon.start(script.service(port))
    script.exits()
    daemon.command("roll", "web", code=1)
    assert pidfiles(daemon) == {"web.pid": daemon.pids("web")[0]}


def test_another_pidfile(daemon, script):
    """A name that changes, and changes back while the first server still drains."""
    port = free_port()
    first, second = (os.path.join(script.home.path, name) for name in ("first.pid", "second.pid"))

    def table(path):
        return script.service(port, server={"pidfile": path})
    script.write(script.run("holds"))
    daemon.start(table(first))
    (old,) = daemon.pids("web")
    with Client(port):
        script.home.wait_note("web", "took")
        script.good()
        daemon.reload(table(second))
        daemon.wait_service("web", lambda one: of_generation(one, 2, "ready") and of_generation(one, 1, "draining"))
        (middle,) = daemon.pids("web")
        assert pid_in(first) == old and pid_in(second) == middle
        daemon.reload(table(first))
        daemon.wait_service("web", lambda one: of_generation(one, 3, "ready"))
        (new,) = daemon.pids("web")
        assert pid_in(first) == new
        wait_gone(daemon, "web", middle)
        assert not os.path.exists(second)
        daemon.command("down", "web")
    assert not os.path.exists(first)
    daemon.before = None


# ---- those that do not come up ----

def vanish(script):
    os.unlink(script.path)


def mute(script):
    script.write(script.run("mute"))


@pytest.mark.parametrize("spoil, words", [
    (Script.exits, "exit 3; it said: no such colour: mauve"),
    (vanish, "exec .*web.sh: No such file or directory"),
    (mute, "did not register within ready-timeout"),
])
def test_one_that_does_not_come_up_changes_nothing(daemon, script, spoil, words):
    port = free_port()
    daemon.start(script.service(port, 3, {"ready_timeout": "2s"}))
    before = daemon.pids("web")
    spoil(script)
    with Load(port, workers=3) as load:
        said = daemon.command("roll", "web", code=1).err
        load.wait_for(20)
    assert not load.failures, load.failures[:5]
    assert re.search(r"^lust-inetd: web: server 1: the new one did not come up: %s" % words, said), said
    assert "3 of 3 go on as they were" in said
    one = daemon.wait_service("web", lambda one: len(one["servers"]) == 3)
    assert sorted(daemon.pids("web")) == sorted(before)
    assert one["state"] == "degraded" and one["ready"] == 3 and "did not come up" in one["reason"]
    assert daemon.command("status", "--problems", code=1).out.count("did not come up") == 1
    daemon.wait_logged(r"error web: server 1: the new one, generation 2, did not come up: " + words)
    # Nobody tries by himself.
    get(port)
    assert daemon.log().count("to take over from the old one") == 1 or spoil is vanish
    # The next roll does.
    script.good()
    daemon.command("roll", "web")
    one = daemon.service("web")
    assert one["state"] == "ready" and one["reason"] == ""
    assert not set(before) & set(daemon.pids("web"))
    wait_gone(daemon, "web", *before)


def test_some_come_up(daemon, script):
    port = free_port()
    daemon.start(script.service(port, 4))
    before = {server["instance"]: server["pid"] for server in daemon.servers("web")}
    good = script.run("good")
    script.write('[ "$LUST_INSTANCE" -lt 3 ] || exit 3\n' + good)
    said = daemon.command("roll", "web", code=1).err
    assert "server 3: the new one did not come up: exit 3; 2 of 4 go on as they were" in said, said
    one = daemon.wait_service("web", lambda one: len(one["servers"]) == 4)
    now = {server["instance"]: server["pid"] for server in one["servers"]}
    assert {instance for instance in now if now[instance] == before[instance]} == {3, 4}
    assert one["ready"] == 4
    script.good()
    daemon.command("roll", "web")
    daemon.wait_service("web", lambda one: len(one["servers"]) == 4 and one["state"] == "ready")
    assert not set(before.values()) & set(daemon.pids("web"))


def test_reload_keeps_the_old_ones_too(daemon, script):
    port = free_port()

    def table(colour):
        return script.service(port, 2, {"env": ["COLOUR=" + colour]})
    daemon.start(table("blue"))
    before = daemon.pids("web")
    script.write('[ "$COLOUR" = mauve ] && { echo no such colour; exit 3; }\n' + script.run("good"))
    daemon.reload(table("mauve"))
    daemon.wait_logged(r"web: server 1: the new one, generation 2, did not come up: exit 3; it said: no such colour")
    one = daemon.wait_service("web", lambda one: len(one["servers"]) == 2 and one["state"] == "degraded")
    assert "exit 3" in one["reason"] and daemon.pids("web") == before
    get(port)
    # Tried again by the next reload and the next roll.
    daemon.reload()
    wait_until("tried again", lambda: daemon.log().count("did not come up") == 2)
    assert daemon.command("roll", "web", code=1).err.count("no such colour") == 1
    assert daemon.pids("web") == before
    # One that ends now has no other settings to start with.
    script.good()
    os.kill(before[0], signal.SIGKILL)
    daemon.wait_service("web", lambda one: len(of_generation(one, one["generation"], "ready")) == 1
                        and before[1] in [server["pid"] for server in one["servers"]])
    daemon.reload(table("red"))
    daemon.wait_service("web", lambda one: one["state"] == "ready" and len(one["servers"]) == 2
                        and not set(before) & {server["pid"] for server in one["servers"]})


# ---- something else happens meanwhile ----

def test_a_roll_during_a_roll(daemon, script):
    """The newest wins: the newcomer of the first is called off, both commands have their servers."""
    port = free_port()
    daemon.start(script.service(port, 2))
    before = daemon.pids("web")
    first, one = begin(daemon, script)
    (superseded,) = of_generation(one, 2)
    second = Rolling(daemon, "roll", "web")
    daemon.wait_service("web", lambda one: of_generation(one, 3, "starting"))
    script.open_gate()
    first.end()
    second.end()
    assert not alive(superseded["pid"])
    one = daemon.wait_service("web", lambda one: len(one["servers"]) == 2)
    assert len(of_generation(one, 3, "ready")) == 2
    wait_gone(daemon, "web", *before)


def test_down_during_a_roll(daemon, script):
    port = free_port()
    daemon.start(script.service(port, 2))
    rolling = begin(daemon, script)[0]
    daemon.command("down", "web")
    assert "taken down" in rolling.end(code=1)
    assert daemon.service("web")["servers"] == []
    assert "is down" in daemon.command("roll", "web", code=1).err
    script.good()
    daemon.command("roll", "w*")
    assert daemon.service("web")["servers"] == [], "a pattern passes over it"
    daemon.command("up", "web")
    assert daemon.service("web")["state"] == "ready"
    get(port)


def test_stop_during_a_roll(daemon, script):
    port = free_port()
    daemon.start(script.service(port, 2))
    rolling = begin(daemon, script)[0]
    daemon.command("stop")
    assert "stopping" in rolling.end(code=1)
    assert daemon.wait_exit() == 0
    daemon.check_gone()


def test_dispatcher_killed_during_a_roll(daemon, script):
    port = free_port()
    daemon.start(script.service(port, 2))
    before = daemon.pids("web")
    rolling = begin(daemon, script)[0]
    old = daemon.dispatcher
    os.kill(old, signal.SIGKILL)
    daemon.wait_new_dispatcher(old)
    assert get(port).pid in before
    script.open_gate()
    rolling.end()
    assert not set(before) & set(daemon.pids("web"))
    assert get(port).pid in daemon.pids("web")
    wait_gone(daemon, "web", *before)


def test_dispatcher_killed_again_and_again_under_load(daemon):
    port = free_port()
    rounds = 4
    daemon.lost_allowed = 64 * rounds
    daemon.start(hello("web", port, 3))
    with Load(port, workers=8) as load:
        for _ in range(rounds):
            old = daemon.dispatcher
            rolling = Rolling(daemon, "roll", "web")
            os.kill(old, signal.SIGKILL)
            rolling.end()
            daemon.wait_new_dispatcher(old)
            load.wait_for(50)
    assert all(failure.phase != "connect" for failure in load.failures), load.failures
    assert len(load.failures) <= daemon.service("web")["connections"]["lost"], load.failures[:5]
    daemon.wait_service("web", lambda one: len(of_generation(one, 1 + rounds, "ready")) == len(one["servers"]) == 3)


def test_upgrade_during_a_roll(daemon, script):
    """The next program goes on with it, and knows who is whose newcomer; a failed one stays told."""
    port = free_port()
    daemon.start(script.service(port, 2))
    before = daemon.pids("web")
    rolling, one = begin(daemon, script)
    (newcomer,) = of_generation(one, 2)
    daemon.command("upgrade")
    one = daemon.wait_service("web", lambda one: one["ready"] == 2)
    assert of_generation(one, 2, "starting")[0]["pid"] == newcomer["pid"]
    assert daemon.pids("web") == before
    script.open_gate()
    rolling.end()
    assert not set(before) & set(daemon.pids("web")) and newcomer["pid"] in daemon.pids("web")
    wait_gone(daemon, "web", *before)
    script.exits()
    daemon.command("roll", "web", code=1)
    reason = daemon.service("web")["reason"]
    daemon.command("upgrade")
    daemon.wait_service("web", lambda one: one["ready"] == 2)
    one = daemon.service("web")
    assert one["state"] == "degraded" and one["reason"] == reason and len(one["servers"]) == 2
    daemon.before = None


def test_old_one_killed_during_a_roll(daemon, script):
    """Its place is the newcomer's: nobody is started in its stead, and who waits is served."""
    port = free_port()
    daemon.start(script.service(port, server=QUICK))
    (old,) = daemon.pids("web")
    rolling, one = begin(daemon, script)
    (newcomer,) = of_generation(one, 2)
    os.kill(old, signal.SIGKILL)
    daemon.wait_service("web", lambda one: [server["pid"] for server in one["servers"]] == [newcomer["pid"]])
    assert pidfiles(daemon) == {"web.pid": newcomer["pid"]}
    waiting = Waiting(port, 2)
    script.open_gate()
    rolling.end()
    assert [answer.pid for answer in waiting.answers()] == [newcomer["pid"]] * 2


def test_newcomer_killed_during_a_roll(daemon, script):
    port = free_port()
    daemon.start(script.service(port))
    before = daemon.pids("web")
    rolling, one = begin(daemon, script)
    os.kill(of_generation(one, 2)[0]["pid"], signal.SIGKILL)
    assert "did not come up: SIGKILL" in rolling.end(code=1)
    assert daemon.pids("web") == before
    get(port)


def test_both_killed_during_a_roll(daemon, script):
    """Nobody is left to stay: the restart policy goes on, with the new settings."""
    port = free_port()
    daemon.start(script.service(port, server=QUICK))
    (old,) = daemon.pids("web")
    rolling, one = begin(daemon, script)
    os.kill(old, signal.SIGKILL)
    os.kill(of_generation(one, 2)[0]["pid"], signal.SIGKILL)
    script.open_gate()
    rolling.process.communicate(timeout=60)
    assert rolling.process.returncode in (0, 1)
    daemon.wait_service("web", lambda one: len(of_generation(one, 2, "ready")) == len(one["servers"]) == 1)
    get(port)


def test_fewer_instances_during_a_roll(daemon, script):
    port = free_port()
    daemon.start(script.service(port, 3))
    before = daemon.pids("web")
    rolling = begin(daemon, script)[0]
    daemon.reload(script.service(port, 1))
    script.open_gate()
    rolling.end()
    daemon.wait_service("web", lambda one: len(one["servers"]) == 1 and one["servers"][0]["generation"] == 2)
    wait_gone(daemon, "web", *before)
    daemon.before = None


def test_the_service_goes_during_a_roll(daemon, script):
    port, other = free_ports(2)
    daemon.start(script.service(port, 2), hello("other", other))
    rolling = begin(daemon, script)[0]
    daemon.reload(hello("other", other))
    assert "web: the table has lost it" in rolling.end(code=1)
    get(other)
    daemon.before = None


# ---- which ----

def test_several_services(daemon, home):
    ports = free_ports(4)
    bad = Script(home, "bad")
    daemon.start(hello("web", ports[0], 2), hello("api", ports[1]), bad.service(ports[2]),
                 service("outside", ports[3], register_users=[OUTSIDER_NAME]))
    before = {name: daemon.pids(name) for name in ("web", "api", "bad")}
    daemon.command("roll", "web", "api")
    assert not set(before["web"]) & set(daemon.pids("web")) and not set(before["api"]) & set(daemon.pids("api"))
    assert daemon.pids("bad") == before["bad"]
    bad.exits()
    now = daemon.pids("web")
    said = daemon.command("roll", "bad", "web", code=1).err
    assert "bad: server 1: the new one did not come up" in said and "web:" not in said
    assert not set(now) & set(daemon.pids("web")), "one that fails does not keep the others"
    assert "external" in daemon.command("roll", "outside", code=1).err
    said = daemon.command("roll", "wbe", code=64).err
    assert "web" in said
    now = daemon.pids("web")
    daemon.command("roll", "web", "nobody", code=64)
    assert daemon.pids("web") == now, "no name is rolled when one is unknown"
    bad.good()
    daemon.command("roll", "--all")
    assert not set(now) & set(daemon.pids("web"))


def test_no_room_for_one_more(daemon):
    """While old ones leave it waits for their room; when nobody leaves it says so."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    before = daemon.pids("web")
    clients = [Client(port) for _ in before]
    assert {client.ask().pid for client in clients} == set(before)
    daemon.command("roll", "web")
    # As many as run now: two that serve, two that finish what they hold.
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (64 + 1 + 4 * 5, limits[1]))
    rolling = Rolling(daemon, "roll", "web")
    daemon.wait_service("web", lambda one: one["generation"] == 3)
    one = daemon.service("web")
    assert not of_generation(one, 3) and len(of_generation(one, 2, "ready")) == 2
    for client in clients:
        client.ask(keep=False)
        client.close()
    rolling.end()
    daemon.wait_service("web", lambda one: len(of_generation(one, 3, "ready")) == len(one["servers"]) == 2)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (64 + 1 + 2 * 5, limits[1]))
    now = daemon.pids("web")
    assert "no free slot" in daemon.command("roll", "web", code=1).err
    assert daemon.pids("web") == now
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    daemon.command("roll", "web")
    assert len(pids(port, 4)) == 2
