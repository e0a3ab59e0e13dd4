"""Every command, as an ordinary user, with its exit codes."""
import json
import os
import re
import socket
import subprocess
import time

import pytest

from clients import Client, get
from lustlib import (LUST_INETD, ORDINARY_USER, ROOT, alive, as_user, clean_environment, free_port, free_ports, hello, lust,
                     wait_until)


@pytest.fixture
def ordinary(make_daemon):
    """A daemon that an ordinary user runs."""
    return make_daemon(user=ORDINARY_USER if ROOT else None)


def table(ordinary, *services):
    """hello() says `user` when root runs the tests; an ordinary user's table must not."""
    return ordinary.write(*[re.sub(r"^ *user = .*\n", "", text, flags=re.M) for text in services])


@pytest.fixture
def running(ordinary):
    ordinary.port, ordinary.other = free_ports(2)
    table(ordinary, hello("web", ordinary.port, 2, {"restart_delay": "100ms"}),
          hello("api", ordinary.other, 1, {"restart_delay": "100ms"}))
    return ordinary.start()


def without_daemon(home, *arguments, code):
    result = lust("-r", home.join("none"), *arguments, user=ORDINARY_USER if ROOT else None)
    assert result.code == code, result
    return result


def test_version_and_help():
    for word in ("version", "--version"):
        result = lust(word)
        assert result.code == 0 and re.match(r"lust-inetd \d+\.\d+\.\d+$", result.out.splitlines()[0]), result
    for word in ("help", "--help"):
        result = lust(word)
        assert result.code == 0
        for command in ("run", "start", "stop", "restart", "reload", "status", "list", "up", "down", "roll", "check", "show"):
            assert re.search(r"\b%s\b" % command, result.out), (command, result)


def test_usage_errors(home):
    for arguments in ([], ["sttaus"], ["--no-such-option"], ["status", "--no-such"], ["run", "extra"], ["-c"],
                      ["list", "extra"]):
        result = without_daemon(home, *arguments, code=64)
        assert result.err and not result.out, result
    assert "status" in without_daemon(home, "sttaus", code=64).err


def test_daemon_commands_take_no_service(running):
    """So that an empty variable never stops everything."""
    for word in ("start", "stop", "restart"):
        result = running.command(word, "web", code=64)
        for right in ("up", "down", "roll"):
            assert right in result.err, result
    get(running.port)


def test_not_running(home):
    for arguments in (["status"], ["status", "--json"], ["list"], ["reload"], ["upgrade"], ["up", "web"], ["down", "web"],
                      ["roll", "web"], ["pause", "web"], ["resume", "web"]):
        result = without_daemon(home, *arguments, code=3)
        assert "not running" in result.err + result.out, result
    assert lust("-r", home.join("none"), "stop").code in (0, 3)


def test_later_commands_say_so(running):
    for word in ("log", "import", "check-jail"):
        result = running.command(word, code=None)
        assert result.code in (1, 64) and word in result.err and not result.out, result


def test_status(running):
    result = running.command("status")
    lines = result.out.splitlines()
    assert re.match(r"lust-inetd \d+\.\d+\.\d+, up \S+, pid %d; " % running.pid, lines[0]), result
    assert all(len(line) <= 80 for line in lines), result
    assert re.search(r"^SERVICE +STATE +SERVERS +ACTIVE +WAIT +/S +DROP +ADDRESS", result.out, re.M), result
    assert re.search(r"^web +ready +2/2 +0 +0 ", result.out, re.M), result
    assert re.search(r"^api +ready +1/1 ", result.out, re.M), result


def test_status_of_one_service(running):
    result = running.command("status", "web")
    for pid in running.pids("web"):
        assert str(pid) in result.out, result
    assert "api" not in result.out
    one = json.loads(running.command("status", "--json", "web").out)
    assert [told["name"] for told in one["services"]] == ["web"]
    result = running.command("status", "wbe", code=64)
    assert "web" in result.err, result


def test_status_json_has_every_key(running):
    get(running.port)
    status = running.status()
    for key in ("schema", "version", "time", "pid", "uptime_s", "config", "config_changed", "generation", "last_reload",
                "warnings", "dispatcher_pid", "dispatcher", "services"):
        assert key in status, key
    assert set(status["dispatcher"]) >= {"uptime_s", "restarts", "last_exit", "fds", "fds_limit"}
    for one in status["services"]:
        assert set(one) >= {"name", "mode", "state", "reason", "state_s", "until_s", "generation", "wanted", "ready", "per_s",
                            "listen", "connections", "latency_us", "waited_us", "servers"}
        assert set(one["listen"][0]) >= {"said", "name", "address", "bound", "error", "retry_s", "waiting", "backlog", "dropped"}
        assert set(one["connections"]) >= {"since", "accepted", "pending", "taken", "active", "done", "died", "redispatched",
                                           "lost", "denied", "closed"}
        assert set(one["connections"]["denied"]) >= {"address", "time", "load", "per_source", "rate", "source_rate",
                                                     "max_connections", "overload"}
        assert set(one["connections"]["closed"]) >= {"client_left", "touched", "no_server", "shutdown"}
        assert set(one["servers"][0]) >= {"slot", "instance", "pid", "uid", "supervised", "label", "generation", "state",
                                          "state_s", "until_s", "capacity", "pending", "active", "taken", "refused", "stalls",
                                          "restarts", "uptime_s", "last_exit", "last_exit_s", "last_line"}
    assert status["pid"] == running.pid and status["schema"] == 1
    assert alive(status["dispatcher_pid"])
    assert abs(status["time"] - time.time()) < 60


def test_problems(running):
    assert running.command("status", "--problems").out.strip() == ""
    running.command("status", "--problems", code=0)
    running.command("down", "api")
    result = running.command("status", "--problems", code=None)
    assert result.code in (0, 1)
    running.command("up", "api")
    running.wait_ready()
    running.baseline()


def test_list(running):
    assert running.command("list").out.split("\n") == ["web", "api", ""]


def test_up_down_roll(running):
    before = running.pids("web")
    running.command("down", "web")
    one = running.service("web")
    assert one["state"] == "stopped" and one["ready"] == 0
    assert not any(alive(pid) for pid in before)
    waiting = Client(running.port)  # listeners stay bound
    waiting.send(keep=False)
    running.command("down", "web")
    running.command("up", "web")
    assert waiting.answer().status == 200
    waiting.close()
    running.wait_ready()
    running.command("up", "web")
    before = running.pids("web")
    running.command("roll", "web")
    running.wait_ready()
    assert not set(before) & set(running.pids("web"))
    get(running.port)
    running.wait_service("web", lambda one: one["connections"]["active"] == 0)


def test_globs_and_all(running):
    before = {name: running.pids(name) for name in ("web", "api")}
    running.command("roll", "w*")
    running.wait_ready()
    assert running.pids("api") == before["api"] and not set(before["web"]) & set(running.pids("web"))
    running.command("roll", "--all")
    running.wait_ready()
    assert not set(before["api"]) & set(running.pids("api"))
    for word in ("up", "down", "roll"):
        assert running.command(word, code=64).err
        assert "web" in running.command(word, "wbe", code=64).err
        assert running.command(word, "nomatch*", code=64).err


def test_check_and_show(running):
    assert running.command("check", running.table_file).code == 0
    result = lust("-c", running.table_file, "show", "web", user=running.user)
    assert result.code == 0 and "LUST_FD" in result.out, result


def test_stop(running):
    running.check_leaks()
    running.command("stop")
    assert running.wait_exit() == 0
    running.check_gone()
    assert running.command("stop", code=None).code in (0, 3)
    running.command("status", code=3)


def test_finds_the_daemon_by_environment(running):
    result = lust("list", user=running.user, environment={"LUST_RUNTIME_DIR": running.runtime})
    assert result.code == 0 and "web" in result.out, result


def test_finds_the_daemon_by_a_broken_table(ordinary):
    """A table that has become nonsense does not make the daemon unreachable."""
    port = free_port()
    line = 'runtime-dir = "%s"\n' % ordinary.runtime
    table(ordinary, line, hello("web", port))
    ordinary.start()
    table(ordinary, line, 'service "web" {\n', "nonsense * = {\n")
    result = lust("-c", ordinary.table_file, "list", user=ordinary.user)
    assert result.code == 0 and result.out == "web\n", result


def test_start_stop_restart(ordinary):
    port = free_port()
    table(ordinary, hello("web", port, 2))
    start = ["-c", ordinary.table_file, "-r", ordinary.runtime]
    environment = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
    result = lust(*start, "start", user=ordinary.user, environment=environment)
    assert result.code == 0, result
    try:
        get(port)
        ordinary.wait_ready()
        first = ordinary.status()["pid"]
        result = lust(*start, "start", user=ordinary.user)
        assert result.code in (0, 1) and "running" in result.err, result
        result = lust(*start, "restart", user=ordinary.user)
        assert result.code == 0, result
        get(port)
        assert ordinary.status()["pid"] != first and not alive(first)
    finally:
        pid = ordinary.status()["pid"]
        ordinary.seen.add(pid)
        assert ordinary.command("stop").code == 0
    wait_until("gone", lambda: not alive(pid))
    ordinary.check_gone()


@pytest.mark.skipif(not ROOT, reason="needs a second user")
def test_restart_is_for_the_daemons_own_user(running):
    """What a stranger's daemon calls its table is not run with our rights."""
    pid = running.status()["pid"]
    result = lust("-r", running.runtime, "restart")
    assert result.code == 4 and "only that user" in result.err, result
    assert running.status()["pid"] == pid


def test_start_tells_what_is_wrong(ordinary):
    ordinary.write("nonsense\n")
    result = lust("-c", ordinary.table_file, "-r", ordinary.runtime, "start", user=ordinary.user)
    assert result.code == 78 and ":1: " in result.err, result
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        table(ordinary, hello("web", port))
        result = lust("-c", ordinary.table_file, "-r", ordinary.runtime, "start", user=ordinary.user)
        assert result.code == 1 and str(port) in result.err and "in use" in result.err, result
    ordinary.command("status", code=3)


@pytest.mark.root
def test_an_ordinary_user_and_roots_daemon(daemon):
    """May look, may not touch, and is told which."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    for arguments in (["status"], ["status", "--json"], ["list"], ["version"]):
        daemon.command(*arguments, user=ORDINARY_USER)
    for arguments in (["stop"], ["restart"], ["reload"], ["up", "web"], ["down", "web"], ["roll", "web"]):
        result = daemon.command(*arguments, user=ORDINARY_USER, code=4)
        assert result.err, result
    assert get(port).status == 200


def test_reload_is_of_the_daemon_s_own_table(running):
    """-c names a file that the daemon does not read: said, not passed over."""
    other = os.path.join(os.path.dirname(running.table_file), "other.conf")
    with open(running.table_file) as source, open(other, "w") as copy:
        copy.write(source.read())
    result = lust("-c", other, "-r", running.runtime, "reload", user=running.user)
    assert result.code == 64 and other in result.err and running.table_file in result.err, result
    assert lust("-c", running.table_file, "-r", running.runtime, "reload", user=running.user).code == 0


@pytest.mark.root
def test_admin_users_and_status_users(daemon):
    port = free_port()
    daemon.start('admin-users = {"daemon"}\nstatus-users = {"sys"}\n', hello("web", port, 1))
    daemon.command("roll", "web", user="daemon")
    daemon.wait_ready()
    daemon.command("status", user="sys")
    daemon.command("status", user="daemon")
    daemon.command("status", user=ORDINARY_USER, code=4)


def test_slow_and_flooding_visitors_of_the_control_socket(running):
    """Harm nobody."""
    path = os.path.join(running.runtime, "control.sock")
    visitors = []
    for number in range(200):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        try:
            sock.connect(path)
            if number % 2:
                sock.send(os.urandom(1 + number))
        except (BlockingIOError, ConnectionError):
            pass
        visitors.append(sock)
    assert get(running.port).status == 200
    wait_until("an answer", lambda: running.command("list", code=None).code == 0)
    for sock in visitors:
        sock.close()
    get(running.other)


def test_output_that_nobody_reads(running):
    """A closed pipe ends a command quietly."""
    done = subprocess.run("%s -r %s status --json | true; exit ${PIPESTATUS[0]}" % (LUST_INETD, running.runtime), shell=True,
                          executable="/bin/bash", env=clean_environment(), capture_output=True, text=True, timeout=60,
                          **as_user(running.user))
    assert "Sanitizer" not in done.stderr
