"""A real journald and a real rsyslogd, each in a mount namespace of its own, hear what liblust and lust-inetd log."""
import contextlib
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from lustlib import EXAMPLES, HELLO_HTTP, LIMIT, alive, clean_environment, free_port, service, wait_until

PIDFD_GETFD = 438
PROGRAM = os.path.join(EXAMPLES, "daemon")
JOURNALD = next((path for path in ("/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald") if os.path.exists(path)), "")
RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/bin") or ""

pytestmark = pytest.mark.root
needs_journald = pytest.mark.skipif(not (JOURNALD and shutil.which("journalctl")), reason="needs systemd-journald")
needs_rsyslogd = pytest.mark.skipif(not RSYSLOGD, reason="needs rsyslogd")

# Its own /run and machine, and nothing of the kernel's log.
SET_UP_JOURNALD = r"""
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nForwardToSyslog=no\nRateLimitBurst=0\n' >/run/systemd/journald.conf.d/test.conf
echo 0123456789abcdef0123456789abcdef >/run/machine-id
mount --bind /run/machine-id /etc/machine-id
exec "$0"
"""

# Its own /dev: there is nothing but the null device and its socket.
SET_UP_RSYSLOGD = r"""
mount --make-rprivate /
mkdir "$1/dev"
mount -t tmpfs none "$1/dev"
mknod -m 666 "$1/dev/null" c 1 3
mknod -m 666 "$1/dev/urandom" c 1 9
mount --bind "$1/dev" /dev
printf '%s\n' 'module(load="imuxsock" SysSock.Use="off")' 'input(type="imuxsock" Socket="/dev/log" RateLimit.Interval="0")' \
    'template(name="all" type="string" string="%pri% %syslogtag% %msg%\n")' "action(type=\"omfile\" file=\"$1/messages\" template=\"all\")" \
    >"$1/rsyslog.conf"
exec "$0" -n -f "$1/rsyslog.conf" -i "$1/rsyslog.pid"
"""


class LogDaemon:
    """In a namespace where programs can be run, too."""

    def __init__(self, program, set_up, place, home):
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            pytest.skip("no mount namespace can be made")
        self.output = home.join("logdaemon")
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(["unshare", "-m", "sh", "-e", "-c", set_up, program, home.path], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, env=clean_environment(), cwd="/")
        self.root = "/proc/%d/root" % self.process.pid
        self.enter = ["nsenter", "-m", "-t", str(self.process.pid)]
        wait_until(self.said, lambda: self.process.poll() is not None or os.path.exists(self.root + place))
        assert self.process.poll() is None, self.said()

    def said(self):
        with open(self.output) as file:
            return "it listens; " + file.read()

    def run(self, *command, **more):
        done = subprocess.run([*self.enter, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                              env=clean_environment(), cwd="/", **more)
        assert done.returncode == 0, done
        return done

    def end(self):
        self.process.terminate()
        assert self.process.wait(LIMIT) == 0, self.said()


class Journal(LogDaemon):
    def entries(self):
        """All fields of what has come so far."""
        if not glob.glob(self.root + "/run/log/journal/*/*.journal"):
            return []
        done = subprocess.run(["journalctl", "-D", self.root + "/run/log/journal", "-o", "json", "--all", "--no-pager"],
                              capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def wait(self, message, **fields):
        """The entries with this message and these fields, when there are any."""
        def found():
            return [one for one in self.entries() if re.search(message, str(one.get("MESSAGE")))
                    and all(one.get(name) == value for name, value in fields.items())]
        return wait_until(lambda: "%s in %s" % (message, [(one.get("MESSAGE"), one.get("PRIORITY")) for one in self.entries()]), found)


class Rsyslog(LogDaemon):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.file = os.path.join(os.path.dirname(self.output), "messages")

    def lines(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.file) as file:
                return file.read()
        return ""

    def wait(self, pattern):
        return wait_until(lambda: "%s in %s" % (pattern, self.lines()), lambda: re.findall(pattern, self.lines(), re.M))


@pytest.fixture
def journal(home):
    running = Journal(JOURNALD, SET_UP_JOURNALD, "/run/systemd/journal/socket", home)
    yield running
    running.end()


@pytest.fixture
def rsyslog(home):
    running = Rsyslog(RSYSLOGD, SET_UP_RSYSLOGD, "/dev/log", home)
    yield running
    running.end()


class Greeter:
    """The example daemon, alone, beside a log daemon."""

    def __init__(self, where, home, target, *options):
        self.where, self.pidfile, self.settings, self.port = where, home.join("pid"), home.join("conf"), free_port()
        self.command = [PROGRAM, "-c", self.settings]
        self.home, self.target, self.options = home, target, options
        self.greet("hi")
        where.run(*self.command, "start")
        with open(self.pidfile) as file:
            self.pid = int(file.read())

    def greet(self, words):
        with open(self.settings, "w") as file:
            file.write("\n".join(("pidfile = " + self.pidfile, "listen = 127.0.0.1:%d" % self.port, "log = " + self.target,
                                  'greeting = "%s"' % words, *self.options)) + "\n")

    def print(self, text):
        """As a library of it would: to a copy of its standard output, which may be a socket."""
        # It takes its streams over just after `start` has returned.
        wait_until("its output is the log", lambda: os.readlink("/proc/%d/fd/1" % self.pid) != "/dev/null")
        process = os.pidfd_open(self.pid)
        copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, 1, 0)
        os.close(process)
        assert copy >= 0, os.strerror(ctypes.get_errno())
        with os.fdopen(copy, "w") as output:
            output.write(text)

    def stop(self):
        self.where.run(*self.command, "stop")
        assert not alive(self.pid)


@needs_journald
def test_liblust_to_the_journal(journal, home):
    os.mkdir(home.join("jail"))
    server = Greeter(journal, home, "journal", "chroot = " + home.join("jail"), "user = nobody")
    pid = str(server.pid)
    server.greet("a \033[31mred one")
    # From the jail the file cannot be read again: that is said, as a warning or worse, by this process and no other.
    os.kill(server.pid, signal.SIGHUP)
    one, = journal.wait("reload failed: the settings stay as they were")
    assert (one["PRIORITY"], one["SYSLOG_IDENTIFIER"], one["_PID"], one["_TRANSPORT"]) == ("3", "daemon", pid, "journal")
    assert one["_UID"] == "65534"
    # What it prints comes by the journal's own stream, a line an entry, a level where one is said.
    server.print("printed\n<4>with a level\n")
    one, = journal.wait("^printed$", _TRANSPORT="stdout")
    assert (one["PRIORITY"], one["SYSLOG_IDENTIFIER"]) == ("6", "daemon")
    journal.wait("^with a level$", _TRANSPORT="stdout", PRIORITY="4")
    server.stop()
    assert len(journal.wait("ending on Terminated from pid", SYSLOG_IDENTIFIER="daemon", _PID=pid, PRIORITY="5")) == 1


@needs_journald
def test_nobody_forges_a_journal_entry(journal, home):
    """A line break would begin a field, an entry's end another one."""
    server = Greeter(journal, home, "journal")
    server.greet(r"x\" \\ y")
    os.kill(server.pid, signal.SIGHUP)
    assert journal.wait("greeting with")[0]["MESSAGE"] == r'greeting with "x" \ y"'
    server.greet("a\rPRIORITY=0\tb\033")
    os.kill(server.pid, signal.SIGHUP)
    one, = journal.wait("PRIORITY=0")
    assert (one["MESSAGE"], one["PRIORITY"]) == (r'greeting with "a\rPRIORITY=0\tb\x1b"', "5")
    server.stop()


@needs_journald
def test_journal_by_itself(journal, home):
    """As under systemd: standard error is the journal's stream, as JOURNAL_STREAM says, so lines go to the journal with their level."""
    port, path = free_port(), journal.root + "/run/systemd/journal/stdout"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(path)
        stream.sendall(b"unit\n\n6\n1\n0\n0\n0\n")
        status = os.fstat(stream.fileno())
        environment = clean_environment({"JOURNAL_STREAM": "%d:%d" % (status.st_dev, status.st_ino)})
        server = subprocess.Popen([*journal.enter, PROGRAM, "-o", "listen=127.0.0.1:%d" % port, "run"], stdin=subprocess.DEVNULL,
                                  stdout=stream, stderr=stream, env=environment)
        journal.wait("there is no /etc/daemon.conf", _TRANSPORT="journal", PRIORITY="6", SYSLOG_IDENTIFIER="daemon")
        wait_until("it listens", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        server.terminate()
        assert server.wait(LIMIT) == 0
        journal.wait("ending on Terminated", _TRANSPORT="journal", PRIORITY="5")


def talkative(port):
    """A service whose server prints before it serves."""
    return service("web", port, {"command": ["/bin/sh", "-c", "echo said by it; echo to fd 2 >&2; exec %s" % HELLO_HTTP]})


@needs_journald
def test_lust_inetd_to_the_journal(daemon, journal):
    daemon.wrapper = journal.enter
    daemon.start('log = "journal"\n', talkative(free_port()))
    pid = daemon.servers("web")[0]["pid"]
    said = "web[%d]: " % pid
    for words, priority, about in (("^dispatcher started", "5", (None, None)), ("^web: server 1 .*registered", "6", ("web", None)),
                                   (re.escape(said) + "said by it$", "6", ("web", str(pid))),
                                   (re.escape(said) + "to fd 2$", "6", ("web", str(pid)))):
        one, = journal.wait(words)
        assert (one["SYSLOG_IDENTIFIER"], one["PRIORITY"], one["_TRANSPORT"]) == ("lust-inetd", priority, "journal"), one
        assert (one.get("LUST_SERVICE"), one.get("LUST_PID")) == about, one
    os.kill(pid, signal.SIGKILL)
    journal.wait("^web: server 1 .*SIGKILL", PRIORITY="4", LUST_SERVICE="web")
    daemon.wait_ready("web")
    daemon.check_leaks()
    daemon.stop()


@needs_rsyslogd
def test_liblust_to_rsyslogd(rsyslog, home):
    os.mkdir(home.join("jail"))
    server = Greeter(rsyslog, home, "syslog", "chroot = " + home.join("jail"), "user = nobody")
    server.print("printed\nby it\n")
    # Facility daemon: 24 and the level.
    rsyslog.wait(r"^30 daemon\[\d+\]: +printed$")
    rsyslog.wait(r"^30 daemon\[\d+\]: +by it$")
    os.kill(server.pid, signal.SIGHUP)
    rsyslog.wait(r"^27 daemon\[%d\]: +reload failed: the settings stay as they were" % server.pid)
    server.stop()
    assert len(rsyslog.wait(r"^29 daemon\[%d\]: +ending on Terminated from pid" % server.pid)) == 1


@needs_rsyslogd
def test_lust_inetd_to_rsyslogd(daemon, rsyslog):
    daemon.wrapper = rsyslog.enter
    daemon.start('log = "syslog"\n', talkative(free_port()))
    pid = daemon.servers("web")[0]["pid"]
    for line in (r"29 %s: +dispatcher started", r"30 %s: +web: server 1 .*registered", r"30 %s: +web\[{0}\]: said by it$",
                 r"30 %s: +web\[{0}\]: to fd 2$"):
        rsyslog.wait("^" + (line % r"lust-inetd\[%d\]" % daemon.pid).replace("{0}", str(pid)))
    os.kill(pid, signal.SIGKILL)
    rsyslog.wait(r"^28 lust-inetd\[%d\]: +web: server 1 .*SIGKILL" % daemon.pid)
    daemon.wait_ready("web")
    daemon.check_leaks()
    daemon.stop()
