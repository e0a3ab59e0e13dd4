"""`upgrade`: every program is replaced while clients are served; or nothing is, and the reason is told."""
import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest

from clients import Client, Load, get, pending
from lustlib import (LIMIT, LUST_INETD, ORDINARY_USER, OUTSIDER, OUTSIDER_NAME, PREFIX, ROOT, SANITIZED, alive, as_user, children,
                     clean_environment, free_port, free_ports, hello, listening_inodes, lust, program, service, stop, wait_until)

CC = shutil.which("cc") or shutil.which("gcc")
needs_compiler = pytest.mark.skipif(not CC, reason="no C compiler")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def version():
    return lust("--version").out.split()[1]


def other(name):
    """A version as long as ours."""
    return name[:-1] + ("1" if name[-1] != "1" else "2")


class Disk:
    """The program on disk from which a daemon is run: a copy, to be replaced as a package manager does it."""

    def __init__(self, home):
        self.path = home.join("lust-inetd")
        self.put(read(LUST_INETD))

    def put(self, content, mode=0o755):
        new = self.path + ".new"
        with open(new, "wb") as file:
            file.write(content)
        os.chmod(new, mode)
        os.rename(new, self.path)

    def patch(self, old, new):
        """The real program with one text changed for another one of the same length."""
        content = read(LUST_INETD)
        assert len(old) == len(new) and old in content, old
        self.put(content.replace(old, new))

    def compile(self, home, source):
        path = home.join("other")
        subprocess.run([CC, "-o", path, "-x", "c", "-"], input=source.encode(), check=True)
        self.put(read(path))


@pytest.fixture
def disk(home, daemon):
    """The daemon of this test is run from here."""
    daemon.program = Disk(home).path
    found = Disk(home)
    return found


def newer(disk):
    """Another version is on disk now."""
    disk.patch(version().encode() + b"\0", other(version()).encode() + b"\0")
    return other(version())


def test_nothing_is_refused_or_lost_under_load(daemon, home):
    """Several upgrades in a row: clients, servers, sockets and counters notice nothing."""
    web, outside = free_ports(2)
    daemon.start(hello("web", web, 4), service("outside", outside, register_users=[OUTSIDER_NAME]))
    home.external(daemon, "outside", "good", user=OUTSIDER)
    daemon.wait_service("outside", lambda one: len(one["servers"]) == 1)
    daemon.baseline()
    before = {name: sorted(daemon.pids(name)) for name in ("web", "outside")}
    inodes, pid, generation = listening_inodes(web), daemon.pid, daemon.status()["generation"]
    uptime, accepted = daemon.status()["uptime_s"], 0
    with Client(web) as old, Load(web, workers=16) as load, Load(outside, workers=2) as other_load:
        answered = old.ask().pid
        for _ in range(8):
            dispatcher, logger = daemon.dispatcher, daemon.logger
            daemon.command("upgrade")
            assert daemon.dispatcher != dispatcher
            wait_until("a new logger", lambda: logger not in children(daemon.pid))
            load.wait_for(100)
            other_load.wait_for(1)
            status = daemon.status()
            assert status["pid"] == pid and status["uptime_s"] >= uptime and status["generation"] == generation
            count = daemon.service("web")["connections"]["accepted"]
            assert count > accepted
            uptime, accepted = status["uptime_s"], count
            assert old.ask().pid == answered, "an open connection notices nothing"
    assert not load.failures and not other_load.failures, (load.failures, other_load.failures)
    assert {name: sorted(daemon.pids(name)) for name in before} == before
    assert listening_inodes(web) == inodes
    status = daemon.status()
    assert status["dispatcher"]["restarts"] == 0 and status["dispatcher"]["last_exit"] == ""
    count = daemon.wait_service("web", lambda one: one["connections"]["active"] == 0)["connections"]
    assert count["lost"] == 0 and count["died"] == 0 and not any(count["closed"].values())
    assert count["taken"] >= load.ok
    home.end_outside()
    daemon.wait_service("outside", lambda one: not one["servers"])
    daemon.before = None


def test_nothing_stays_behind(daemon):
    """Descriptors and processes after twenty upgrades are what they were; the fixture looks at the end."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    for _ in range(20):
        daemon.command("upgrade")
        daemon.wait_ready()
        assert get(port).status == 200
    wait_until("one dispatcher, one logger, two servers", lambda: len(children(daemon.pid)) == 4)


def command_line(daemon):
    """From the program's name on: valgrind's own may stand before."""
    words = read("/proc/%d/cmdline" % daemon.pid)
    return words[words.index(daemon.program.encode()):]


def test_another_version(daemon, disk):
    """The command tells both versions; name, arguments and pidfiles of the process stay."""
    port = free_port()
    daemon.start(hello("web", port, 1))
    old, arguments = version(), command_line(daemon)
    pidfile = read(os.path.join(daemon.home, "daemon.pid"))
    new = newer(disk)
    assert daemon.command("upgrade").out == "upgraded from %s to %s\n" % (old, new)
    assert daemon.status()["version"] == new
    assert program(daemon.pid) == "lust-inetd"
    assert command_line(daemon) == arguments
    assert b"LUST_INETD_RESTORE" not in read("/proc/%d/environ" % daemon.servers("web")[0]["pid"])
    assert read(os.path.join(daemon.home, "daemon.pid")) == pidfile
    daemon.wait_logged("upgraded from %s to %s" % (old, new))
    disk.put(read(LUST_INETD))
    assert daemon.command("upgrade").out == "upgraded from %s to %s\n" % (new, old)


def test_sigusr2(daemon, disk):
    port = free_port()
    daemon.start(hello("web", port, 1))
    old = daemon.dispatcher
    os.kill(daemon.pid, signal.SIGUSR2)
    daemon.wait_notified("RELOADING=1")
    daemon.wait_notified("READY=1")
    daemon.wait_new_dispatcher(old)
    daemon.wait_logged("upgraded from")
    disk.put(b"")
    os.kill(daemon.pid, signal.SIGUSR2)
    daemon.wait_logged("upgrade: .*the old programs go on")
    assert get(port).status == 200


def test_a_daemon_of_start(daemon, disk, home):
    port = free_port()
    daemon.write(hello("web", port, 1), 'log = "%s"' % home.join("state", "daemon.log"))
    done = subprocess.run([daemon.program, "-c", daemon.table_file, "-r", daemon.runtime, "start"], capture_output=True, text=True,
                          env=clean_environment(), timeout=60)
    assert done.returncode == 0, done
    try:
        daemon.wait_ready()
        pid = daemon.status()["pid"]
        new = newer(disk)
        assert new in daemon.command("upgrade").out
        status = daemon.status()
        assert (status["pid"], status["version"]) == (pid, new)
        assert get(port).status == 200
        wait_until("the log goes on", lambda: b"upgraded from" in read(home.join("state", "daemon.log")))
    finally:
        daemon.command("stop", code=None)
    assert not alive(pid)


@pytest.mark.skipif(not ROOT, reason="needs root to become somebody else")
def test_not_as_root(make_daemon):
    daemon = make_daemon(ORDINARY_USER)
    port = free_port()
    with open(daemon.table_file, "w"):
        pass
    daemon.start(hello("web", port, 1).replace('user = "www-data"\n', ""))
    servers = daemon.pids("web")
    daemon.command("upgrade")
    daemon.wait_ready()
    assert daemon.pids("web") == servers and get(port).status == 200


def unchanged(daemon, action, reason, code=1):
    """`upgrade` fails with this reason, and everything is as it was."""
    port = daemon.port
    before = (daemon.dispatcher, daemon.logger, daemon.pids("web"), listening_inodes(port))
    result = action()
    assert result.code == code and reason in result.err, result
    assert "the old programs go on" in result.err
    assert (daemon.dispatcher, daemon.logger, daemon.pids("web"), listening_inodes(port)) == before
    assert get(port).status == 200
    return result


BROKEN = {
    "missing": (lambda disk, home: os.unlink(disk.path), "No such file"),
    "not executable": (lambda disk, home: disk.put(read(LUST_INETD), 0o644), "not executable"),
    "others may write": (lambda disk, home: disk.put(read(LUST_INETD), 0o777), "others can write to it"),
    "a directory": (lambda disk, home: (os.unlink(disk.path), os.mkdir(disk.path)), "not a regular file"),
    "empty": (lambda disk, home: disk.put(b""), "cannot be run"),
    "a script": (lambda disk, home: disk.put(b"#!/bin/sh\nexit 1\n"), "a script"),
    "fails": (lambda disk, home: disk.put(read("/bin/false")), "exit 1"),
    "says nothing": (lambda disk, home: disk.put(read("/bin/true")), "does not say that it can go on"),
    "says something else": (lambda disk, home: disk.put(read("/bin/echo")), "does not say that it can go on"),
    "an older state": (lambda disk, home: disk.patch(b"lust-inetd-state 1\n", b"lust-inetd-state 0\n"),
                       "state of version 1, this program knows 0"),
}


@pytest.mark.parametrize("how", [pytest.param(how, marks=pytest.mark.native) if how == "a script" else how for how in BROKEN])
def test_a_broken_program_changes_nothing(daemon, disk, home, how):
    daemon.port = free_port()
    daemon.start(hello("web", daemon.port, 1))
    breaks, reason = BROKEN[how]
    breaks(disk, home)
    unchanged(daemon, lambda: daemon.command("upgrade", code=None), reason)
    if os.path.isdir(disk.path):
        os.rmdir(disk.path)
    new = newer(disk)
    assert new in daemon.command("upgrade").out, "and then it works"


PROGRAMS = {
    "hangs": ("#include <unistd.h>\nint main(void) { for (;;) pause(); }", "no answer within"),
    "crashes": ("#include <stdlib.h>\nint main(void) { abort(); }", "SIGABRT"),
    "floods": ("#include <stdio.h>\nint main(void) { for (int i = 0; i < 100000; i++) puts(\"ok\\033\"); return 3; }", "exit 3"),
}


@needs_compiler
@pytest.mark.parametrize("how", PROGRAMS)
def test_a_strange_program_changes_nothing(daemon, disk, home, how):
    daemon.port = free_port()
    daemon.start(hello("web", daemon.port, 1))
    source, reason = PROGRAMS[how]
    disk.compile(home, source)
    result = unchanged(daemon, lambda: daemon.command("upgrade", code=None), reason)
    assert "\033" not in result.err


# In a process that was put in another one's place, and there once: no event loop can be made.
PRELOAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int on_trial(void)
{
	char text[4096] = "";
	int fd = open("/proc/self/cmdline", O_RDONLY);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	return memmem(text, length > 0 ? length : 0, "--try-state", 11) != NULL;
}
void *ev_loop_new(unsigned flags)
{
	if (!on_trial() && getenv("MARK") && unlink(getenv("MARK")) == 0)
		return NULL;
	return ((void *(*)(unsigned))dlsym(RTLD_NEXT, "ev_loop_new"))(flags);
}
"""


@needs_compiler
@pytest.mark.native
@pytest.mark.skipif(SANITIZED, reason="the sanitizers' library must come first")
def test_a_program_that_cannot_go_on_gives_the_place_back(daemon, disk, home):
    """What fails after exec: the way back is the old program, which kept itself open."""
    library, mark = home.join("fail.so"), home.join("state", "mark")
    subprocess.run([CC, "-shared", "-fPIC", "-o", library, "-x", "c", "-", "-ldl"], input=PRELOAD.encode(), check=True)
    daemon.environment = {"LD_PRELOAD": library, "MARK": mark}
    daemon.port = free_port()
    daemon.start(hello("web", daemon.port, 2))
    pid, old = daemon.pid, version()
    new = newer(disk)
    with Load(daemon.port, workers=8) as load:
        for _ in range(3):
            open(mark, "w").close()
            unchanged(daemon, lambda: daemon.command("upgrade", code=None), "it could not go on: cannot make an event loop")
            assert not os.path.exists(mark), "that was it"
            load.wait_for(50)
        assert (daemon.status()["version"], daemon.status()["pid"]) == (old, pid)
        assert program(pid) == "lust-inetd"
        assert new in daemon.command("upgrade").out, "and then it works"
        load.wait_for(50)
    assert not load.failures
    daemon.wait_logged("could not go on")


class Upgrading:
    """`upgrade` in a process of its own, while the test does something else."""

    def __init__(self, daemon):
        self.process = subprocess.Popen([LUST_INETD, "-r", daemon.runtime, "upgrade"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())

    def end(self, code=0):
        out, err = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == code, (out, err)
        return out + err


def test_dispatcher_killed_in_the_middle(daemon):
    """The new program waits for the old dispatcher to come to rest; it is killed instead."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    servers = sorted(daemon.pids("web"))
    for _ in range(3):
        old = daemon.dispatcher
        stop(old)
        upgrading = Upgrading(daemon)
        wait_until("the new program", lambda: daemon.log().count("goes on for") > daemon.log().count("upgraded from"))
        with contextlib.suppress(ProcessLookupError):  # the daemon may have lost its patience first
            os.kill(old, signal.SIGKILL)
        upgrading.end()
        daemon.wait_ready()
        assert daemon.dispatcher != old and get(port).status == 200
    assert sorted(daemon.pids("web")) == servers


def test_a_stuck_dispatcher_holds_nothing_up(daemon):
    port = free_port()
    daemon.start(hello("web", port, 1))
    stop(daemon.dispatcher)
    assert "upgraded from" in daemon.command("upgrade").out
    daemon.wait_logged("dispatcher .*killed")
    assert get(port).status == 200


def test_servers_that_die_meanwhile(daemon):
    """Whoever dies while nobody looks is found by the new program."""
    port = free_port()
    daemon.start(hello("web", port, 4, {"restart_delay": "50ms", "restart_delay_max": "50ms"}))
    for _ in range(10):
        victims = daemon.pids("web")[:2]
        # Stopped, so that the deaths and the wish for an upgrade come together.
        stop(daemon.pid)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        os.kill(daemon.pid, signal.SIGUSR2)
        count = daemon.log().count("upgraded from")
        os.kill(daemon.pid, signal.SIGCONT)
        wait_until("the upgrade", lambda: daemon.log().count("upgraded from") > count)
        daemon.wait_service("web", lambda one: one["ready"] == 4 and
                            not set(victims) & {server["pid"] for server in one["servers"]})
    assert get(port).status == 200
    wait_until("six children", lambda: len(children(daemon.pid)) == 6)


def test_what_is_down_or_failed_or_ending_stays_so(daemon, home):
    web, bad, slow = free_ports(3)
    daemon.start(hello("web", web, 2), home.bad_service("slow", slow, "good", drain_timeout="600s"),
                 home.bad_service("bad", bad, "exits", server={"restart_limit": 1, "restart_delay": "10ms"}), wait=False)
    daemon.wait_ready("web", "slow")
    daemon.command("down", "web")
    daemon.wait_service("bad", lambda one: one["state"] == "failed")
    failed = daemon.service("bad")["servers"][0]
    busy = Client(slow)
    daemon.wait_service("slow", lambda one: one["connections"]["active"] == 1)
    ending = daemon.pids("slow")[0]
    down = subprocess.Popen([LUST_INETD, "-r", daemon.runtime, "down", "slow"], env=clean_environment())
    daemon.wait_service("slow", lambda one: one["servers"][0]["state"] == "draining")
    daemon.command("upgrade")
    assert daemon.service("web")["state"] == "stopped" and daemon.servers("web") == []
    assert daemon.service("slow")["servers"][0]["state"] == "draining"
    now = daemon.service("bad")
    assert now["state"] == "failed" and now["servers"][0]["last_exit"] == failed["last_exit"]
    assert now["servers"][0]["restarts"] == failed["restarts"]
    assert down.poll() is None, "who waits, waits for the new program"
    busy.close()
    assert down.wait(LIMIT) == 0
    assert not alive(ending)
    daemon.command("up", "web")
    assert get(web).status == 200


def test_what_is_paused_stays_so(daemon):
    """Who waits in the backlog waits on, through any number of programs."""
    port = free_port()
    daemon.start(hello("web", port, 1))
    daemon.command("pause", "web")
    paused = daemon.service("web")
    client = Client(port)
    client.send("/", keep=False)
    for _ in range(2):
        daemon.command("upgrade")
        now = daemon.service("web")
        assert now["state"] == "paused" and now["reason"] == paused["reason"], now
        assert now["connections"]["accepted"] == 0
    daemon.command("resume", "web")
    assert client.answer().status == 200
    client.close()


def test_the_table_in_force_stays(daemon, home):
    """An upgrade is no reload: what was changed on disk, or broken there, waits for one."""
    port, other_port = free_ports(2)
    daemon.start(hello("web", port, 1), 'include("%s/*.conf")' % home.join("more"))
    servers = daemon.pids("web")
    daemon.write("this is no table")
    daemon.command("upgrade")
    assert daemon.pids("web") == servers and get(port).status == 200
    assert daemon.status()["config_changed"] is True
    assert daemon.status()["generation"] == 1
    daemon.command("reload", code=78)
    daemon.command("upgrade")
    assert daemon.status()["last_reload"]["ok"] is False and daemon.status()["last_reload"]["errors"]
    daemon.reload(hello("web", port, 1), hello("next", other_port, 1))
    daemon.wait_ready()
    daemon.command("upgrade")
    assert get(other_port).status == 200
    daemon.before = None


def test_received_and_not_taken(daemon, home):
    """A server has it and says nothing; the copy outlives the dispatcher, so that another server can have it."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "never_takes", server={"restart_delay": "10ms", "stop_timeout": "1s"},
                                  take_timeout="60s", drain_timeout="1s"))
    client = Client(port)
    client.send("/", keep=False)
    home.wait_note("web", "received")
    (victim,) = daemon.pids("web")
    daemon.command("upgrade")
    assert daemon.service("web")["connections"]["pending"] == 1
    os.kill(victim, signal.SIGKILL)
    daemon.wait_service("web", lambda one: one["connections"]["redispatched"] == 1)
    count = daemon.service("web")["connections"]
    assert count["lost"] == 0 and not any(count["closed"].values())
    client.close()
    daemon.before = None


def test_kept_until_done(daemon, home):
    """Taken, and kept until DONE: the copy outlives dispatchers, and serves when the server dies."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "holds", server={"restart_delay": "10ms", "stop_timeout": "1s"},
                                  acknowledge="done", drain_timeout="1s"))
    client = Client(port)
    daemon.wait_service("web", lambda one: one["connections"]["active"] == 1)
    (victim,) = daemon.pids("web")
    for _ in range(2):
        daemon.command("upgrade")
        daemon.wait_ready()
        assert daemon.service("web")["connections"]["active"] == 1
    os.kill(victim, signal.SIGKILL)
    daemon.wait_service("web", lambda one: one["connections"]["redispatched"] == 1 and one["connections"]["active"] == 1)
    count = daemon.service("web")["connections"]
    assert count["lost"] == 0 and count["died"] == 0 and not any(count["closed"].values())
    client.close()
    daemon.before = None


def test_with_no_server_at_all(daemon, home):
    """It is with the dispatcher alone; the next one has it, and a server that comes later answers."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "dies_before_taking", server={"restart_delay": "60s", "restart_delay_max": "60s"}))
    client = Client(port)
    client.send("/", keep=False)
    daemon.wait_service("web", lambda one: one["servers"][0]["state"] == "backoff")
    for _ in range(2):
        daemon.command("upgrade")
        assert daemon.service("web")["connections"]["pending"] == 1
    assert daemon.service("web")["servers"][0]["state"] == "backoff"
    daemon.command("up", "web")
    assert client.answer().status == 200
    client.close()
    daemon.wait_ready()


def test_not_while_it_stops(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("slow", port, "good", drain_timeout="600s"))
    busy = Client(port)
    daemon.wait_service("slow", lambda one: one["connections"]["active"] == 1)
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_notified("STOPPING=1")
    result = daemon.command("upgrade", code=1)
    assert "stopping" in result.err
    busy.close()
    assert daemon.wait_exit() == 0


def test_stop_in_the_middle(daemon):
    """The new program waits for a dispatcher that does not answer, and is told to stop."""
    port = free_port()
    daemon.start(hello("web", port, 1))
    stop(daemon.dispatcher)
    upgrading = Upgrading(daemon)
    daemon.wait_logged("goes on for")
    os.kill(daemon.pid, signal.SIGTERM)
    assert "stopping" in upgrading.end(1)
    assert daemon.wait_exit() == 0


def test_stop_while_the_old_dispatcher_hands_over(daemon, home):
    """What it hands up goes to the next dispatcher, also when the daemon stops: servers are drained, clients answered."""
    port = free_port()
    daemon.start('log-level = "debug"', home.bad_service("web", port, "good", take_timeout="600s", drain_timeout="60s"))
    (server,) = daemon.pids("web")
    stop(server)
    waiting = pending(daemon, "web", port, 5)
    old = daemon.dispatcher
    stop(old)
    upgrading = Upgrading(daemon)
    daemon.wait_logged("is asked to hand over")  # before that moment it goes on, and this is the easier case
    os.kill(daemon.pid, signal.SIGTERM)
    assert "stopping" in upgrading.end(1)
    with contextlib.suppress(ProcessLookupError):  # the daemon may have lost its patience before it was asked
        os.kill(old, signal.SIGCONT)
    os.kill(server, signal.SIGCONT)
    assert waiting.statuses() == [200] * 5
    assert daemon.wait_exit() == 0
    assert "lost" not in daemon.log()


@pytest.mark.skipif(not ROOT, reason="needs root to ask as somebody else")
def test_not_for_everybody(daemon):
    daemon.start(hello("web", free_port(), 1))
    old = daemon.dispatcher
    assert "not permitted" in daemon.command("upgrade", user=ORDINARY_USER, code=4).err
    assert daemon.dispatcher == old


def test_it_cannot_be_started_by_hand():
    """Neither the trial nor the variable of a process in place does anything for people."""
    assert lust("--try-state", "0").code == 64
    assert lust("--try-state", "99").code == 1
    assert lust("version", environment={"LUST_INETD_RESTORE": "1:5"}).code in (0, 3)


def test_stop_before_the_new_logger_is_there(daemon, home):
    """The old logger does not end; what was said since, up to the end of the daemon, is written nevertheless."""
    log = home.join("daemon.log")
    daemon.write(hello("web", free_port()), 'log = "%s"' % log)
    daemon.command("-c", daemon.table_file, "start")
    pid = daemon.status()["pid"]
    daemon.seen |= {pid, *children(pid)}
    # `start` waits for the dispatcher alone: the logger may not have its name yet.
    logger = wait_until("a logger", lambda: next((child for child in children(pid) if program(child) == "lust-logger"), None))
    stop(logger)
    daemon.command("upgrade")
    daemon.seen |= set(children(pid))
    daemon.command("stop")
    assert not alive(logger)
    lines = read(log).decode()
    assert "upgraded from" in lines and "lust-inetd: stopping" in lines, lines


# So many reloads, before the daemon sees that the logger does not live.
@pytest.mark.parametrize("count", [4, pytest.param(40, marks=pytest.mark.native)])
def test_a_logger_that_does_not_read(daemon, home, count):
    """The upgrade waits for it, not for ever.  The new program takes back what lies in its socket, and counts what did not fit there."""
    log = home.join("daemon.log")
    daemon.start(hello("web", free_port()), 'log = "%s"' % log)
    stop(daemon.logger)
    for number in range(count):
        daemon.write(hello("web%d" % number, free_port()), 'log = "%s"' % log)
        daemon.command("reload")
    daemon.command("upgrade")
    if count == 4:
        wait_until("all lines", lambda: read(log).count(b"reloaded") == count)
        assert b"dropped" not in read(log)
    else:
        wait_until("the number", lambda: re.search(rb"lust-inetd: \d+ lines of the supervisor were dropped", read(log)))
    daemon.before = None
