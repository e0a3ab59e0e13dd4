"""What servers print, and what the daemon says."""
import os
import re
import signal

from clients import get
from lustlib import free_port, free_ports, hello, wait_until


def text(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def test_what_a_server_prints(daemon, home):
    """A line each, with service and pid; nothing that could steer a terminal; cut at 8 KiB."""
    daemon.start(home.bad_service("web", free_port(), "talks"))
    (pid,) = daemon.pids("web")
    line = daemon.wait_logged(r"^.*plain line$").group(0)
    assert "web" in line and str(pid) in line, line
    daemon.wait_logged("to standard error")
    wait_until("the long line", lambda: b"y" * 1000 in text(daemon.log_file))
    daemon.wait_logged(r"escape .*red")
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", text(daemon.log_file)), "control characters"
    assert max(len(line) for line in text(daemon.log_file).splitlines()) < 8192 + 200


def test_log_of_its_own(daemon, home):
    path = home.join("state", "web.log")
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", server={"log": path}))
    get(port, "/one")
    wait_until("its own log has it", lambda: b"GET /one" in text(path))
    assert "GET /one" not in daemon.log()
    # Reopened at USR1, as logrotate wants it.
    os.rename(path, path + ".1")
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.wait_logged("log files were opened again")  # said by the logger, which has the new one by then
    get(port, "/two")
    wait_until("the new one has it", lambda: b"GET /two" in text(path))
    assert b"GET /two" not in text(path + ".1")


def test_daemons_log_in_a_file(daemon, home):
    path = home.join("state", "daemon.log")
    port = free_port()
    daemon.start('log = "%s"\n' % path, home.bad_service("web", port, "good"))
    get(port, "/one")
    wait_until("it has it", lambda: b"GET /one" in text(path))
    os.rename(path, path + ".1")
    daemon.process.send_signal(signal.SIGUSR1)
    wait_until("a new file", lambda: b"log files were opened again" in text(path))
    get(port, "/two")
    wait_until("the new one has it", lambda: b"GET /two" in text(path))


def test_levels(daemon, home):
    port = free_port()
    daemon.start('log-level = "error"\n', hello("web", port, 2))
    get(port)
    daemon.reload()
    assert not re.search("registered|started", daemon.log()), daemon.log()


def test_last_line_in_status(daemon, home):
    port = free_port()
    daemon.start(home.bad_service("web", port, "good"))
    get(port, "/something")
    daemon.wait_service("web", lambda one: "GET /something" in one["servers"][0]["last_line"])


def test_a_server_that_prints_without_end(daemon, home):
    """Does not hold up the others, nor the daemon."""
    noisy, good = free_ports(2)
    daemon.start(home.bad_service("noisy", noisy, "good", server={"log": "/dev/null"}), hello("good", good))
    for number in range(200):
        get(noisy, "/" + "x" * 1000)
    assert get(good).status == 200
    daemon.wait_service("noisy", lambda one: one["connections"]["done"] == 200)
