"""The kernel's traps 13 to 20, each brought on for real in the real daemon. The others: test_traps.py."""
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess

import pytest

import tracing
from clients import Load, Waiting, get
from lustlib import (HERE, ORDINARY_USER, OUTSIDER_NAME, PYTHON, SERVER_USER, as_user, children, clean_environment, free_port, free_ports,
                     hello, listening_inodes, lust, process_status, program, service, stop, wait_until)
from tracing import needs_strace

MANY = 1 << 20


@pytest.mark.root
@pytest.mark.plain
@needs_strace
def test_trap_13_closing_a_million_descriptors(daemon, home):
    """Nobody loops to RLIMIT_NOFILE, which may be a million and more: some close_range, and few close."""
    limit = min(MANY, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if limit < 10000:
        pytest.skip("at most %d open files here" % limit)
    path = tracing.trace(daemon, home, "close,close_range,execve")
    daemon.wrapper = ["prlimit", "--nofile=%d:%d" % (limit, limit)] + daemon.wrapper
    daemon.start(hello("web", free_port(), 3))
    for pid in [daemon.pid] + children(daemon.pid):
        with open("/proc/%d/limits" % pid) as limits:
            assert re.search(r"^Max open files\s+(\d+)", limits.read(), re.M).group(1) == str(limit)
    daemon.finish()
    calls = tracing.read(path)
    assert sum(line.startswith("close(") for lines in calls.values() for line in lines) < limit / 5, "of six"
    for name, count in (("lust-dispatcher", 1), ("lust-logger", 1), ("hello-http", 3)):
        found = tracing.executed(calls, name)
        assert len(found) == count
        for before, _ in found:
            assert any(re.match(r"close_range\(\d+, 4294967295", line) for line in before), before


@pytest.mark.native
def test_trap_14_too_few_descriptors_for_the_table(daemon):
    """An error at the start that names both numbers; servers get what the daemon was started with."""
    daemon.write(hello("web", free_port(), 50))
    daemon.wrapper = ["prlimit", "--nofile=100:100"]
    daemon.spawn()
    assert daemon.wait_exit() == 1
    daemon.wait_logged(r"\b100\b")
    assert max(map(int, re.findall(r"\b\d{3}\b", daemon.log()))) > 100, "what it needs"
    port = free_port()
    daemon.wrapper = ["prlimit", "--nofile=300:5000"]
    daemon.start(hello("web", port, 5, window=500))
    for pid in daemon.pids("web"):
        with open("/proc/%d/limits" % pid) as limits:
            assert re.search(r"^Max open files\s+300\s+5000", limits.read(), re.M)
    assert daemon.status()["dispatcher"]["fds_limit"] > 2500, "five windows"


@pytest.mark.root
@pytest.mark.plain
@needs_strace
def test_trap_14_etoomanyrefs_on_the_link(make_daemon, home):
    """An ordinary user's supervisor may not send listeners while too many are in flight: it waits, and then goes on."""
    daemon = make_daemon(ORDINARY_USER)
    shutil.copy(os.path.join(HERE, "trapserver.py"), home.path)
    os.chmod(home.join("trapserver.py"), 0o644)
    holder = subprocess.Popen(
        [PYTHON, "-B", home.join("trapserver.py"), "in_flight", "-", "900"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=clean_environment(), **as_user(ORDINARY_USER))
    holder.stderr = holder.stdout
    home.outside.append(holder)
    assert holder.stdout.readline() == "900\n"
    path = tracing.trace(daemon, home, "sendmsg")
    daemon.wrapper = ["prlimit", "--nofile=800:800"] + daemon.wrapper
    os.chmod(home.path, 0o777)
    ports = free_ports(100)
    daemon.write(*[service("s%d" % number, port, register_users=[OUTSIDER_NAME]) for number, port in enumerate(ports)])
    daemon.spawn()

    def refused():
        with open(path) as file:
            return "ETOOMANYREFS" in file.read()
    wait_until("the kernel refuses", lambda: os.path.exists(path) and refused())
    holder.stdin.close()
    holder.wait()
    daemon.wait_notified("READY=1")
    assert all(one["listen"][0]["bound"] for one in daemon.status()["services"])


def test_trap_15_a_listener_is_kept(daemon):
    """Its service, its servers and its neighbours change; the socket, and who waits in it, stays."""
    port, other = free_ports(2)
    daemon.start(hello("old", port), hello("other", other))
    inodes = listening_inodes(port)
    (pid,) = daemon.pids("old")
    stop(daemon.dispatcher)
    waiting = Waiting(port, 10)
    os.kill(daemon.dispatcher, signal.SIGCONT)
    with Load(other, workers=2) as load:
        for number in range(5):
            daemon.reload(hello("new%d" % number, port), hello("other", other, 1 + number % 2, balance="least-connections"))
            assert listening_inodes(port) == inodes and len(inodes) == 1
    assert [answer.status for answer in waiting.answers()] == [200] * 10
    assert not load.failures
    daemon.wait_ready()
    assert get(port).pid in daemon.pids("new4") and pid not in daemon.pids("new4")
    daemon.before = None


def test_trap_16_bind_over_a_living_unix_path(daemon, home):
    """connect() first: a living one is left alone; what is not ours by device and inode is not unlinked."""
    path = home.join("state", "web.sock")
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(path)
        living.listen()
        inode = os.stat(path).st_ino
        daemon.write(hello("web", "unix:" + path))
        result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
        assert result.code == 1 and path in result.err, result
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        assert os.stat(path).st_ino == inode
    daemon.start()
    assert get(path).status == 200, "the dead one gave way"
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(path)
        daemon.finish()
        assert os.path.exists(path)


@pytest.fixture
def traced(daemon, home):
    """A daemon that was started, asked, reloaded, told to reopen its logs, and stopped: every call of its processes."""
    path = tracing.trace(daemon, home, "execve,chroot,setresuid,setuid,%file,connect,socket,epoll_ctl,epoll_create1,eventfd2,"
                         "write,rt_sigaction,rt_sigprocmask,timerfd_settime")
    port = free_port()
    parts = hello("web", port, 2), 'log = "%s"' % home.join("daemon.log")
    daemon.start(*parts)
    dispatcher, logger = daemon.dispatcher, daemon.logger
    assert get(port).status == 200
    daemon.reload(*parts)
    daemon.process.send_signal(signal.SIGUSR1)
    wait_until("it opened its logs", lambda: "opened again" in open(home.join("daemon.log")).read())
    daemon.command("status")
    daemon.finish()
    calls = tracing.read(path)
    calls["dispatcher"], calls["logger"] = calls[dispatcher], calls[logger]
    return calls


@pytest.mark.root
@pytest.mark.plain
@needs_strace
def test_trap_17_no_look_up_after_the_jail(traced):
    """Nothing is opened by name and nothing connected once a part is in its jail."""
    for who in ("dispatcher", "logger"):
        lines = traced[who]
        jailed, = [number for number, line in enumerate(lines) if line.startswith("chroot(") and line.endswith("= 0")]
        inside = [line for line in lines[jailed + 1:] if re.match(r"(open|openat|openat2|connect|stat|lstat|newfstatat|access|"
                                                                    r"faccessat2|readlink|readlinkat|statx)\(", line)]
        named = [line for line in inside if not re.search(r'"(\.|/|)"', line)]
        assert not named, (who, named)
        assert not [line for line in lines[jailed + 1:] if line.startswith("socket(")], who


@pytest.mark.root
@pytest.mark.plain
@needs_strace
def test_trap_18_a_forked_child_touches_no_watcher(traced):
    """Between fork and exec: signals are reset, and nothing is written into the parent's loop."""
    for name in ("hello-http", "lust-dispatcher", "lust-logger"):
        found = tracing.executed(traced, name)
        assert found
        for before, _ in found:
            if any(line.startswith("execve(") for line in before):
                continue  # the daemon's own process, which became what it is by exec too
            assert not [line for line in before if re.match(r"(epoll_|eventfd|write\(|timerfd)", line)], before
            assert sum(line.startswith("rt_sigaction(") and "SIG_DFL" in line for line in before) > 20
            assert any(re.match(r"rt_sigprocmask\(SIG_SETMASK, \[\]", line) for line in before)


def test_trap_18_signals_of_a_server(daemon):
    """Whatever the daemon was started with and does with its own."""
    daemon.wrapper = ["sh", "-c", "trap '' HUP USR1 QUIT; exec \"$@\"", "sh"]
    daemon.start(service("web", free_port(), {"command": ["/bin/sleep", "1000"], "ready_timeout": "600s"}), wait=False)
    one = daemon.wait_service("web", lambda one: one["servers"][0]["pid"] > 0 and program(one["servers"][0]["pid"]) == "sleep")
    found = process_status(one["servers"][0]["pid"])
    assert [int(found[word], 16) for word in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


@pytest.mark.root
def test_trap_19_a_jail_that_its_user_can_write(daemon, home):
    jail = home.join("jail")
    for owner, mode in ((0, 0o777), (0, 0o775), (pwd.getpwnam(SERVER_USER).pw_uid, 0o755)):
        os.makedirs(jail, exist_ok=True)
        os.chown(jail, owner, 0)
        os.chmod(jail, mode)
        daemon.write('dispatcher { chroot = "%s" }\n' % jail, hello("web", free_port()))
        result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
        assert result.code == 1 and jail in result.err and "writable by nobody else" in result.err, result
    os.chown(jail, 0, 0)
    os.chmod(jail, 0o755)
    daemon.start()
    assert os.readlink("/proc/%d/root" % daemon.dispatcher) == jail


@pytest.mark.root
@pytest.mark.plain
@needs_strace
def test_trap_19_the_drop_is_tried_to_be_undone(traced):
    for who in ("dispatcher", "logger"):
        lines = traced[who]
        dropped, = [number for number, line in enumerate(lines)
                    if re.match(r"setresuid\((\d+), \1, \1\)\s+= 0", line) and not line.startswith("setresuid(0")]
        tries = [line for line in lines[dropped + 1:] if re.match(r"set(res)?uid\(", line)]
        assert len(tries) >= 3 and all("EPERM" in line for line in tries), tries


def test_trap_20_runtime_dir(daemon):
    """Refused when others can write; one daemon at a time; what a dead one left is cleared away under the lock."""
    port = free_port()
    daemon.write(hello("web", port))
    os.mkdir(daemon.runtime)
    for mode in (0o777, 0o775, 0o757):
        os.chmod(daemon.runtime, mode)
        result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
        assert result.code == 1 and daemon.runtime in result.err and "others can write" in result.err, result
    os.chmod(daemon.runtime, 0o755)
    daemon.start()
    again = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
    assert again.code == 1 and "already running, pid %d" % daemon.pid in again.err, again
    family = children(daemon.pid)
    os.kill(daemon.pid, signal.SIGKILL)
    assert daemon.wait_exit() == -signal.SIGKILL
    for pid in family:
        os.waitpid(pid, 0)
    daemon.seen.clear()
    left = {name: os.stat(os.path.join(daemon.runtime, name)).st_ino for name in ("control.sock", "register.sock")}
    daemon.start()
    for name, inode in left.items():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(os.path.join(daemon.runtime, name))
    assert get(port).status == 200 and left
