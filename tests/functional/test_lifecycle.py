"""How the daemon and its servers begin and end."""
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from clients import Client, Failure, get
from lustlib import (BLOCKING, LUST_INETD, ROOT, SERVER_USER, alive, children, clean_environment, free_port, free_ports,
                     hello, lust, program, service, wait_until)

QUICK = {"restart_delay": "50ms", "restart_delay_max": "100ms"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it(daemon, number):
    daemon.start(hello("web", free_port(), 2))
    daemon.process.send_signal(number)
    daemon.wait_notified("STOPPING=1")
    assert daemon.wait_exit() == 0


def test_stop_lets_open_requests_end(daemon):
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING]}, drain_timeout="60s"))
    with Client(port) as client:
        daemon.wait_service("pool", lambda one: one["connections"]["active"] == 1)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_notified("STOPPING=1")
        assert client.ask(keep=False).status == 200
    assert daemon.wait_exit() == 0


def test_stop_now_does_not_wait(daemon):
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING]}, drain_timeout="600s"))
    with Client(port):
        daemon.wait_service("pool", lambda one: one["connections"]["active"] == 1)
        daemon.command("stop", "--now")
        assert daemon.wait_exit() == 0


def test_drain_timeout_bounds_the_wait(daemon):
    port = free_port()
    daemon.start(service("pool", port, {"command": [BLOCKING]}, drain_timeout="300ms"))
    with Client(port):
        daemon.wait_service("pool", lambda one: one["connections"]["active"] == 1)
        daemon.command("stop")
        assert daemon.wait_exit() == 0


def test_pidfiles(daemon, home):
    daemon.start('pidfile = "%s"\n' % home.join("daemon.pid"), hello("web", free_port(), 1), hello("two", free_port(), 2),
                 hello("own", free_port(), 1, {"pidfile": home.join("own.pid")}))

    def number(*path):
        with open(os.path.join(*path)) as file:
            return int(file.read())
    assert number(home.join("daemon.pid")) == daemon.pid
    assert number(daemon.runtime, "web.pid") == daemon.pids("web")[0]
    assert {number(daemon.runtime, "two.1.pid"), number(daemon.runtime, "two.2.pid")} == set(daemon.pids("two"))
    assert number(home.join("own.pid")) == daemon.pids("own")[0]
    daemon.finish()
    assert not os.path.exists(home.join("daemon.pid")) and not os.path.exists(home.join("own.pid"))


def test_second_daemon_is_refused(daemon):
    port = free_port()
    daemon.start(hello("web", port))
    result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
    assert result.code != 0 and "running" in result.err, result
    assert get(port).status == 200


def test_supervisor_killed(daemon):
    """Nothing stays: the dispatcher sees the link's end, servers their parent's death."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    family = set(children(daemon.pid))
    assert len(family) >= 4
    os.kill(daemon.pid, signal.SIGKILL)
    assert daemon.process.wait() == -signal.SIGKILL
    wait_until(lambda: "still there: %s" % [(pid, program(pid)) for pid in family if alive(pid)],
               lambda: not any(map(alive, family)))
    for pid in family:
        try:
            os.waitpid(pid, 0)  # an orphan of ours
        except ChildProcessError:
            pass
    result = daemon.command("status", code=None)
    assert result.code in (1, 3), result
    # The next one finds stale sockets and pidfiles, and starts.
    daemon.notify.close()
    daemon.seen.clear()
    daemon.start()
    assert get(port).status == 200
    daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)


def test_grandchildren_of_a_dead_daemon_are_ended_at_the_next_start(daemon, home):
    daemon.start(home.bad_service("web", free_port(), "leaves_children", instances=2))
    wait_until("two grandchildren", lambda: len(home.notes("web")) == 2)
    left = [int(what.split()[1]) for _, what in home.notes("web")]
    family = set(children(daemon.pid))
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    wait_until("the family is gone", lambda: not any(map(alive, family)))
    assert all(map(alive, left)), "their grandchildren are not"
    daemon.notify.close()
    daemon.seen.clear()
    daemon.start()
    wait_until("the orphans were ended", lambda: not any(map(alive, left)))
    for pid in family | set(left):
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass


def test_a_killed_servers_children_go_with_it(daemon, home):
    daemon.start(home.bad_service("web", free_port(), "leaves_children", server=QUICK))
    wait_until("a grandchild", lambda: home.notes("web"))
    child = int(home.notes("web")[0][1].split()[1])
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    wait_until("the grandchild is gone", lambda: not alive(child))
    wait_until("started again", lambda: len(home.notes("web")) == 2)
    daemon.wait_ready()


def test_server_that_ignores_its_stop_signal(daemon, home):
    """KILL, to the whole group."""
    daemon.start(home.bad_service("web", free_port(), "ignores_term", server={"stop_timeout": "300ms"},
                                  drain_timeout="100ms"))
    child = int(home.notes("web")[0][1].split()[1])
    daemon.command("stop")
    assert daemon.wait_exit() == 0
    assert not alive(child)


def test_server_that_exits_at_once(daemon, home):
    """Growing pauses, then failed; the reason is told; `up` clears it."""
    good = free_port()
    daemon.start(home.bad_service("web", free_port(), "exits", server=dict(QUICK, restart_limit=3)), hello("good", good),
                 wait=False)
    one = daemon.wait_service("web", lambda one: one["state"] == "failed")
    assert any(server["last_exit"] == "exit 3" for server in one["servers"]), one
    assert len(home.notes("web")) in (3, 4)
    daemon.wait_logged("I am leaving at once")
    result = daemon.command("status", "--problems", code=1)
    assert "web" in result.out and "failed" in result.out and "good" not in result.out.replace("good:", ""), result
    before = len(home.notes("web"))
    daemon.command("up", "web", code=None)
    wait_until("tried again", lambda: len(home.notes("web")) > before)
    assert get(good).status == 200


def test_program_that_is_not_there(daemon):
    daemon.start(service("web", free_port(), dict(QUICK, command=["/no/such/program"])), wait=False)
    daemon.wait_logged(r"web: .*exec /no/such/program: No such file")
    one = daemon.wait_service("web", lambda one: any("No such file" in server["last_exit"] for server in one["servers"]))
    assert one["state"] in ("degraded", "failed", "starting"), one


def test_restart_policies(daemon, home):
    daemon.start(home.bad_service("never", free_port(), "exits", server={"restart": "never"}),
                 hello("clean", free_port(), 1, dict(QUICK, restart="on-failure")), wait=False)
    daemon.wait_service("never", lambda one: one["state"] in ("stopped", "failed"))
    assert len(home.notes("never")) == 1
    daemon.wait_ready("clean")
    (pid,) = daemon.pids("clean")
    os.kill(pid, signal.SIGKILL)
    daemon.wait_service("clean", lambda one: one["ready"] == 1 and one["servers"][0]["pid"] != pid)


def test_backoff_is_told(daemon, home):
    daemon.start(home.bad_service("web", free_port(), "exits", server={"restart_delay": "30s"}), wait=False)
    one = daemon.wait_service("web", lambda one: any(server["state"] == "backoff" for server in one["servers"]))
    (server,) = one["servers"]
    assert 0 < server["until_s"] <= 30 and server["state_s"] <= 30, server
    assert "I am leaving at once" in server["last_line"] or server["last_line"] == "exits", server


def test_address_in_use(daemon):
    port, other = free_ports(2)
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        daemon.write(hello("web", port), hello("other", other))
        result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
        assert result.code == 1 and str(port) in result.err and "in use" in result.err, result
        # optional: it goes on without, and tries again
        daemon.start(hello("web", port, optional="yes"), hello("other", other))
        get(other)
        assert not daemon.service("web")["listen"][0]["bound"]
    daemon.wait_service("web", lambda one: one["listen"][0]["bound"])
    assert get(port).status == 200
    daemon.baseline()


def test_unix_socket_files(daemon, home):
    """A stale one is replaced; a living stranger's is not; ours is removed, theirs is not."""
    shared = home.join("state", "web.sock")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(shared)
    stale.close()
    daemon.start(hello("web", "unix:" + shared))
    assert get(shared).status == 200
    daemon.finish()
    assert not os.path.exists(shared)
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(shared)
        living.listen()
        result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
        assert result.code == 1 and shared in result.err, result
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(shared)
    assert os.path.exists(shared)
    with open(home.join("state", "file"), "w"):
        pass
    daemon.write(hello("web", "unix:" + home.join("state", "file")))
    result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
    assert result.code == 1 and os.path.exists(home.join("state", "file")), "a file is no socket"


@pytest.mark.native
def test_environment_of_a_server(daemon, home):
    """What is named, and nothing else."""
    port = free_port()
    with open(home.join("env"), "w") as file:
        file.write("# comment\nFROM_FILE=yes\nCOLOUR=file\n")
    daemon.environment = {"PASSED": "on", "KEPT_BACK": "secret"}
    daemon.start(home.bad_service("web", port, "environment", server={
        "env": ["COLOUR=blue", "EMPTY="], "env_file": home.join("env"), "pass_env": ["PASSED", "NOT_SET"],
        "umask": "027", "nice": 3, "directory": "/usr", "rlimit_nofile": 300}))
    body = get(port).body
    told = dict(line.split("=", 1) for line in body.splitlines() if re.match(r"[A-Z_]+=", line))
    assert told.pop("PATH")
    for name in ("HOME", "USER", "LOGNAME", "SHELL", "TZ", "LC_ALL", "LC_CTYPE"):
        told.pop(name, None)
    assert told == {"COLOUR": "blue", "EMPTY": "", "FROM_FILE": "yes", "PASSED": "on", "LUST_SERVICE": "web",
                    "LUST_INSTANCE": "1", "LUST_FD": "3"}
    for line in ("cwd:/usr", "umask:27", "nice:3"):
        assert line in body.splitlines(), body
    assert re.search(r"limit:Max open files +300 +300", body), body
    assert re.search(r"limit:Max core file size +0 ", body), body
    assert "fd:0=/dev/null" in body
    if ROOT:
        assert "USER=%s" % SERVER_USER in body


def test_instances_are_numbered(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "environment", instances=3))
    told = {re.search(r"LUST_INSTANCE=(\d)", get(port).body).group(1) for _ in range(9)}
    assert told == {"1", "2", "3"}


def test_daemons_own_group_and_session_of_servers(daemon):
    """Each server leads a process group of its own."""
    daemon.start(hello("web", free_port(), 2))
    assert all(os.getpgid(pid) == pid for pid in daemon.pids("web"))


def test_start_closes_its_terminal_and_detaches(daemon):
    """start returns, and what it started holds neither our pipes nor our session."""
    port = free_port()
    daemon.write(hello("web", port))
    done = subprocess.run([LUST_INETD, "-c", daemon.table_file, "-r", daemon.runtime, "start"], capture_output=True,
                          text=True, env=clean_environment(), timeout=60)
    assert done.returncode == 0, done
    get(port)
    status = daemon.status()
    assert os.getsid(status["pid"]) != os.getsid(0)
    assert os.readlink("/proc/%d/cwd" % status["pid"]) == "/"
    daemon.seen |= {status["pid"], *children(status["pid"])}
    daemon.command("stop")
    wait_until("gone", lambda: not alive(status["pid"]))


def test_runtime_directory_that_others_can_write(daemon):
    daemon.write(hello("web", free_port()))
    os.mkdir(daemon.runtime)
    os.chmod(daemon.runtime, 0o777)
    result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
    assert result.code == 1 and daemon.runtime in result.err, result


def test_two_daemons_side_by_side(make_daemon):
    first, second = make_daemon(), make_daemon()
    ports = free_ports(2)
    first.start(hello("web", ports[0]))
    second.start(hello("web", ports[1]))
    first.finish()
    assert get(ports[1]).status == 200
    with pytest.raises(Failure):
        get(ports[0])
