"""reload of anything: addresses, logs, rights, and at any moment."""
import os
import re
import signal
import socket
import subprocess

import pytest

from clients import Client, Failure, Load, Waiting, get
from lustlib import (LIMIT, LUST_INETD, ORDINARY_USER, OUTSIDER, OUTSIDER_NAME, ROOT, children, clean_environment,
                     descriptors, free_port, free_ports, hello, listening_inodes, program, stop, wait_until)


def text(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def holder_of(port, host="127.0.0.1"):
    """Another program that has the port."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host, port))
    holder.listen()
    return holder


# ---- addresses ----

def test_an_address_that_stays_taken(daemon):
    """Each reload says so again; the first after it is free binds it, without waiting for the next retry."""
    web, busy = free_ports(2)
    daemon.start(hello("web", web))
    table = hello("web", web), hello("late", busy)
    with holder_of(busy):
        for _ in range(2):
            result = daemon.reload(*table, code=1)
            assert "table.conf:" in result.err and str(busy) in result.err and "tried again" in result.err, result
            status = daemon.status()
            assert status["last_reload"]["ok"] is True
            (told,) = daemon.service("late")["listen"]
            assert not told["bound"] and "in use" in told["error"] and 0 < told["retry_s"] <= 5, told
            assert daemon.service("late")["state"] == "failed"
            get(web)
        assert len(re.findall("late: cannot listen on", daemon.log())) == 1
    daemon.reload()
    daemon.wait_logged("late: listens on tcp:127.0.0.1:%d now" % busy)
    daemon.wait_ready()
    get(busy)
    daemon.baseline()


def test_an_unbound_address_is_given_up(daemon):
    """And its retry with it, also while it moves to another service."""
    web, busy = free_ports(2)
    daemon.start(hello("web", web))
    with holder_of(busy):
        daemon.reload(hello("web", web), hello("late", busy), code=1)
        daemon.reload(hello("web", web), hello("other", busy), code=1)
        assert [one["name"] for one in daemon.status()["services"]] == ["web", "other"]
        daemon.reload(hello("web", web))
    get(web)


def test_a_wildcard_takes_over(daemon):
    """Its address is free only when the one that it covers is gone everywhere: known before reload says how it went."""
    port = free_port()
    daemon.start(hello("web", port))
    for _ in range(3):
        daemon.reload(hello("web", "*:%d" % port))
        assert all(one["bound"] for one in daemon.service("web")["listen"])
        get(port)
        daemon.reload(hello("web", port))
        assert all(one["bound"] for one in daemon.service("web")["listen"])
        get(port)


def test_a_wildcard_takes_over_without_a_dispatcher(daemon):
    port, other = free_ports(2)
    daemon.start(hello("web", port))
    os.kill(daemon.dispatcher, signal.SIGKILL)
    daemon.reload(hello("web", "*:%d" % port), hello("more", other))
    get(port)
    get(other)
    daemon.wait_ready()
    daemon.baseline()


def test_unix_sockets(daemon, home):
    """Kept, moved and removed like ports; a path is unlinked only while it is ours."""
    mine, other, port = home.join("state", "mine"), home.join("state", "other"), free_port()
    daemon.start(hello("web", "unix:" + mine), hello("tcp", port))
    inode = os.stat(mine).st_ino
    with Load(mine, workers=4) as load:
        for name in ("next", "web"):
            daemon.reload(hello(name, ["unix:" + mine, "unix:" + other]), hello("tcp", port))
            daemon.wait_ready()
            get(other)
            load.wait_for(30)
            assert os.stat(mine).st_ino == inode
    assert not load.failures, load.failures[:5]
    # Somebody lives at the path that a reload wants: it is not made deaf.
    os.unlink(other)
    daemon.reload(hello("web", "unix:" + mine), hello("tcp", port))
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(other)
        stranger.listen()
        result = daemon.reload(hello("web", ["unix:" + mine, "unix:" + other]), hello("tcp", port), code=1)
        assert other in result.err
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(other)
            stranger.accept()[0].close()
        daemon.reload(hello("web", "unix:" + mine), hello("tcp", port))
        assert os.path.exists(other), "a stranger's socket was unlinked"
    # A stranger has put its own in the place of ours.
    os.unlink(mine)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(mine)
        daemon.reload(hello("tcp", port))
        assert os.path.exists(mine), "a stranger's socket was unlinked"
    # A dead one's is taken over.
    daemon.reload(hello("web", "unix:" + mine), hello("tcp", port))
    daemon.wait_ready()
    get(mine)
    daemon.reload(hello("tcp", port))
    assert not os.path.exists(mine)
    daemon.before = None


def test_addresses_move_between_services(daemon):
    """Round and round under load: the sockets stay, nobody is refused."""
    ports = free_ports(3)
    names = ["a", "b", "c"]
    daemon.start(*[hello(name, port) for name, port in zip(names, ports)])
    inodes = [listening_inodes(port) for port in ports]
    with Load(ports[0], workers=4) as first, Load(ports[2], workers=4) as last:
        for turn in range(9):
            turned = names[turn % 3:] + names[:turn % 3]
            daemon.reload(*[hello(name, port) for name, port in zip(turned, ports)])
            assert get(ports[0]).pid in daemon.pids(turned[0])
            first.wait_for(20)
            last.wait_for(20)
    assert not first.failures and not last.failures, (first.failures[:5], last.failures[:5])
    assert [listening_inodes(port) for port in ports] == inodes


# ---- settings ----

def test_window_and_overload_are_live(daemon, home):
    """A server that receives nothing holds as many as the window says, at once with the new table."""
    port = free_port()

    def table(**settings):
        return home.bad_service("web", port, "good", take_timeout="10m", **settings)
    daemon.start(table(window=2))
    (pid,) = daemon.pids("web")
    stop(pid)
    first = Waiting(port, 6)
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 2)
    daemon.reload(table(window=5))
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 5)
    assert daemon.pids("web") == [pid]
    daemon.reload(table(window=1, overload="refuse"))
    daemon.wait_service("web", lambda one: one["connections"]["denied"]["overload"] == 1)
    os.kill(pid, signal.SIGCONT)
    answers = first.answers()
    assert sum(not isinstance(answer, Failure) for answer in answers) == 5, answers
    daemon.reload(table())
    get(port)
    daemon.baseline()


def test_who_may_register_changes(daemon, home):
    """For those who knock from then on; who is registered stays."""
    port = free_port()

    def table(*users):
        return 'service "web" {\n listen = "127.0.0.1:%d"\n register-users = {%s}\n}\n' % (
            port, ", ".join('"%s"' % user for user in users))
    daemon.start(table("games"))
    assert home.external(daemon, "web", "good", user=OUTSIDER).wait(LIMIT) is not None
    daemon.wait_logged("web: registration of .* refused")
    daemon.reload(table(OUTSIDER_NAME))
    home.external(daemon, "web", "good", user=OUTSIDER)
    daemon.wait_service("web", lambda one: one["ready"] == 1)
    daemon.reload(table("games"))
    get(port)
    assert daemon.service("web")["ready"] == 1
    daemon.before = None


@pytest.mark.skipif(not ROOT, reason="needs another user")
def test_administrators_change(daemon):
    port = free_port()
    daemon.start(hello("web", port))
    daemon.command("reload", user=ORDINARY_USER, code=4)
    daemon.reload('admin-users = "%s"\n' % ORDINARY_USER, hello("web", port))
    daemon.command("reload", user=ORDINARY_USER)
    daemon.reload('status-users = "root"\n', hello("web", port))
    daemon.command("reload", user=ORDINARY_USER, code=4)
    daemon.command("status", user=ORDINARY_USER, code=4)


def test_included_files_come_and_go(daemon):
    first, second, third = free_ports(3)
    daemon.write(hello("one", first), file="one.inc")
    daemon.start('include("*.inc")\n', hello("main", third))
    daemon.write(hello("two", second), file="two.inc")
    daemon.reload()
    daemon.wait_ready()
    assert [one["name"] for one in daemon.status()["services"]] == ["one", "two", "main"]
    get(second)
    os.unlink(os.path.join(daemon.home, "one.inc"))
    daemon.reload()
    assert [one["name"] for one in daemon.status()["services"]] == ["two", "main"]
    daemon.before = None


# ---- logs ----

def logger_files(daemon):
    """Log files that supervisor and logger have open; the second is None where we may not look."""
    def files(pid):
        found = descriptors(pid)
        return found and sorted(name for name in found.values() if name.endswith(".log"))
    return files(daemon.pid), files(daemon.logger)


def test_what_is_said_of_a_service_goes_to_its_own_log(daemon, home):
    """Both the supervisor's lines and the dispatcher's reports; after a reload to the new place."""
    own, new, port, other = home.join("state", "own.log"), home.join("state", "new.log"), *free_ports(2)

    def table(path):
        return hello("web", port, server={"log": path, "restart_delay": "100ms"}), hello("other", other)
    daemon.start(*table(own))
    daemon.command("pause", "web")
    daemon.command("resume", "web")
    wait_until("the supervisor's line", lambda: b"web: paused" in text(own) and b"web: resumed" in text(own))
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    wait_until("the dispatcher's report", lambda: b" is gone" in text(own))
    assert b"ended: SIGKILL" in text(own)
    for told in ("paused", "SIGKILL", " is gone"):
        assert "web: " + told not in daemon.log() and told not in daemon.log()
    os.kill(daemon.pids("other")[0], signal.SIGKILL)
    daemon.wait_logged("other: server 1 .* ended: SIGKILL")
    daemon.reload(*table(new))
    daemon.command("pause", "web")
    wait_until("it is in the new one", lambda: b"web: paused" in text(new))
    daemon.command("resume", "web")
    daemon.before = None


def test_logs_are_released(daemon, home):
    """Opened once for all that name them, closed in supervisor and logger with the last one that needs them."""
    port, other = free_ports(2)
    logs = [home.join("state", "%d.log" % number) for number in range(6)]

    def table(path, both=True):
        # The server is new each time: only then does anything print into the new log.
        return (hello("web", port, server={"log": path, "env": ["LOG=" + path]}),
                hello("other", other, server={"log": path}) if both else hello("other", other))

    def only(*paths):
        wait_until(lambda: "open: %s" % (logger_files(daemon),), lambda: all(
            found is None or found == sorted(paths) for found in logger_files(daemon)))
    daemon.start(*table(logs[0]))
    only(logs[0])
    for path in logs[1:]:
        daemon.reload(*table(path))
        only(path)
    daemon.reload(*table(logs[2], both=False))
    only(logs[2])
    daemon.reload(hello("web", port), hello("other", other))
    only()
    # A new logger is told of none that is gone.
    daemon.reload(*table(logs[3]))
    only(logs[3])
    old = daemon.logger
    os.kill(old, signal.SIGKILL)
    wait_until("a new logger", lambda: any(program(pid) == "lust-logger" and pid != old
                                           for pid in children(daemon.pid)))
    only(logs[3])
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.wait_logged("opened again")
    only(logs[3])
    daemon.wait_ready()
    daemon.baseline()


def test_a_log_that_cannot_be_opened_changes_nothing(daemon, home):
    """The daemon's own: the whole reload fails, and no other log has changed."""
    port, first, second = free_port(), home.join("state", "1.log"), home.join("state", "2.log")
    daemon.start('log = "%s"\n' % first, hello("web", port, server={"log": second}))
    before, inodes = daemon.pids("web"), listening_inodes(port)
    open_before = logger_files(daemon)
    result = daemon.reload('log = "%s"\n' % home.join("none", "x.log"),
                           hello("web", port, server={"log": home.join("state", "3.log")}), code=78)
    assert "none/x.log" in result.err and "No such file" in result.err, result
    assert daemon.status()["last_reload"]["ok"] is False
    assert logger_files(daemon) == open_before
    assert daemon.pids("web") == before and listening_inodes(port) == inodes
    daemon.command("pause", "web")
    wait_until("the old log is still written", lambda: b"web: paused" in text(second))
    daemon.command("resume", "web")
    # The daemon's log moves, and what it names nobody else gets.
    daemon.reload('log = "%s"\n' % second, hello("web", port))
    daemon.wait_ready()
    wait_until("it is said in the new place", lambda: b"reloaded" in text(second))
    assert b"reloaded" not in text(first)
    daemon.before = None


# ---- at any moment ----

def test_while_servers_are_in_backoff(daemon, home):
    """What waits to be started again starts with the new settings at once; what was given up, too."""
    port, other = free_ports(2)

    def table(mode, **server):
        return home.bad_service("bad", port, mode, server=server), hello("web", other)
    daemon.start(*table("exits", restart_delay="10m", restart_delay_max="10m"), wait=False)
    daemon.wait_service("bad", lambda one: one["servers"][0]["state"] == "backoff")
    daemon.reload(*table("exits", restart_limit=2, restart_delay="100ms"))
    daemon.wait_service("bad", lambda one: one["state"] == "failed")
    daemon.reload(*table("good"))
    daemon.wait_ready()
    get(port)
    get(other)
    daemon.baseline()


def test_while_everything_is_wrong(daemon, home):
    """Paused, down, unbound, backoff, and a dispatcher that is dead: reloads change what they say, and no more."""
    paused, down, busy, bad, more = free_ports(5)

    def table(*extra, balance="round-robin"):
        return (hello("paused", paused, balance=balance), hello("down", down, balance=balance), hello("busy", busy),
                home.bad_service("bad", bad, "exits", server={"restart_delay": "10m", "restart_delay_max": "10m"}), *extra)
    daemon.start(*table()[:2])
    daemon.command("pause", "paused")
    daemon.command("down", "down")
    late, later = Waiting(paused, 3), Waiting(down, 3)
    with holder_of(busy):
        daemon.reload(*table(), code=1)
        daemon.wait_service("bad", lambda one: one["servers"][0]["state"] == "backoff")
        for turn in range(5):
            os.kill(daemon.dispatcher, signal.SIGKILL)
            daemon.reload(*table(*([hello("more", more)] if turn % 2 else []), balance="source-hash"), code=1)
            status = {one["name"]: one for one in daemon.status()["services"]}
            assert {name: status[name]["state"] for name in ("paused", "down", "busy")} == {
                "paused": "paused", "down": "stopped", "busy": "failed"}
            assert status["bad"]["servers"][0]["state"] == "backoff"
            wait_until("a new dispatcher", lambda: daemon.dispatcher)
    daemon.reload(*table())
    daemon.command("resume", "paused")
    daemon.command("up", "down")
    assert [answer.status for answer in late.answers() + later.answers()] == [200] * 6
    daemon.wait_service("busy", lambda one: one["ready"] == 1)
    get(busy)
    daemon.before = None


def test_a_storm_of_sighup(daemon):
    """As many as the kernel remembers are one; nobody waits for the rest."""
    first, second = free_ports(2)
    daemon.start(hello("web", first, 2))
    with Load(first, workers=4) as load:
        for turn in range(20):
            daemon.write(hello("web", first, 2), *([hello("more", second)] if turn % 2 else []))
            for _ in range(50):
                daemon.process.send_signal(signal.SIGHUP)
            daemon.command("list")
            load.wait_for(10)
    assert not load.failures, load.failures[:5]
    assert daemon.status()["generation"] <= 20 * 50
    wait_until("the last table is in force", lambda: len(daemon.status()["services"]) == 2)
    daemon.wait_ready()
    get(second)
    daemon.baseline()


def test_several_reloads_at_once(daemon):
    """Each is answered for itself; the last table wins."""
    first, second = free_ports(2)
    daemon.start(hello("web", first, 2))
    daemon.write(hello("web", first, 2), hello("more", second))
    commands = [subprocess.Popen([LUST_INETD, "-r", daemon.runtime, "reload"], env=clean_environment())
                for _ in range(10)]
    assert [command.wait(LIMIT) for command in commands] == [0] * 10
    daemon.wait_ready()
    get(second)
    daemon.baseline()


def test_a_removed_service_comes_back(daemon):
    """While its old server still finishes what it holds."""
    port, other = free_ports(2)
    daemon.start(hello("web", port), hello("other", other))
    with Client(port) as client:
        old = client.ask().pid
        for _ in range(3):
            daemon.reload(hello("other", other))
            daemon.reload(hello("web", port), hello("other", other))
        assert client.ask(keep=False).pid == old
    assert get(port).pid != old
    wait_until("its old server has ended", lambda: not os.path.exists("/proc/%d" % old))
    daemon.baseline()


def test_thousands_of_services(daemon):
    """A reload that adds, moves and removes thousands leaves the others alone."""
    port = free_port()
    daemon.start(hello("web", port, 2), "".join(
        'service "x%d" {\n listen = "unix:@%s-%d"\n register-users = "bin"\n}\n' % (number, daemon.home, number)
        for number in range(3000)))
    before = daemon.pids("web")
    with Load(port, workers=4) as load:
        for turn in range(3):
            daemon.reload(hello("web", port, 2), "".join(
                'service "%s%d" {\n listen = "unix:@%s-%d"\n register-users = "bin"\n}\n'
                % ("xyz"[turn], number + turn * 500, daemon.home, number) for number in range(3000)))
            load.wait_for(20)
    assert not load.failures, load.failures[:5]
    assert daemon.pids("web") == before
    assert len(daemon.status()["services"]) == 3001


@pytest.mark.plain
def test_memory_after_a_logger_that_was_slow(daemon):
    """The names of thousands of services lie in the supervisor until it reads them: that memory goes back, too."""
    def table(count):
        return "".join('service "x%d" {\n listen = "unix:@%s-%d"\n register-users = "bin"\n}\n'
                       % (number, daemon.home, number) for number in range(count))

    def kib():
        with open("/proc/%d/smaps_rollup" % daemon.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))
    port = free_port()
    daemon.start(hello("web", port))
    logger = daemon.logger
    os.kill(logger, signal.SIGSTOP)
    daemon.reload(hello("web", port), table(4000))
    daemon.reload(hello("web", port), table(5000))  # what it takes lies behind the names of the others
    most = kib()
    os.kill(logger, signal.SIGCONT)
    wait_until("memory is given back", lambda: kib() < most - 4500)
    assert daemon.logger == logger
    daemon.baseline()
