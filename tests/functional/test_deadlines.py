"""Every exchange between the parts has an end: who misses it is replaced, and the log says who and why."""
import os
import select
import signal
import socket
import struct
import subprocess
import sys

import pytest

from clients import Client, get
from lustlib import (HERE, OUTSIDER, OUTSIDER_NAME, PRIVATE, alive, as_user, clean_environment, free_port, free_ports,
                     hello, lust, service, stop, wait_until)

SLOW = 200  # seconds: several deadlines, one after the other


def cont(pid):
    os.kill(pid, signal.SIGCONT)


# ---- the logger ----

def test_stopped_logger_is_replaced(daemon, home):
    """Its lines and the servers' come to the next one."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "good"), 'log = "%s"' % home.join("daemon.log"))
    old = daemon.logger
    stop(old)
    get(port, "/printed-meanwhile")
    daemon.process.send_signal(signal.SIGUSR1)

    def logged():
        with open(home.join("daemon.log")) as file:
            return file.read()
    wait_until("a new logger", lambda: not alive(old) and daemon.logger != old)
    daemon.wait_logged(r"logger \(pid %d\): does not answer \(PING, PONG\): killed" % old)
    wait_until(logged, lambda: "/printed-meanwhile" in logged() and "log files were opened again" in logged())
    assert get(port).status == 200


def test_lines_on_their_way_to_a_dying_logger_are_taken_back(daemon, home):
    """What the supervisor said and the logger had not received is said again."""
    daemon.start(hello("web", free_port()), 'log = "%s"' % home.join("daemon.log"))
    old = daemon.logger
    stop(old)
    for number in range(20):
        daemon.write(hello("web%d" % number, free_port()), 'log = "%s"' % home.join("daemon.log"))
        daemon.command("reload")
    os.kill(old, signal.SIGKILL)
    wait_until("a new logger", lambda: not alive(old) and daemon.logger != old)

    def reloads():
        with open(home.join("daemon.log")) as file:
            return file.read().count("reloaded")
    wait_until(lambda: "%d reloads" % reloads(), lambda: reloads() == 20)
    daemon.before = None


# ---- the supervisor ----

def test_stopped_supervisor(daemon, home):
    """The dispatcher goes on; who asks is told that nobody answers; who knocks is told to come again."""
    web, outside = free_ports(2)
    daemon.start(hello("web", web, 2), service("outside", outside, register_users=[OUTSIDER_NAME]))
    stop(daemon.pid)
    for _ in range(20):
        assert get(web).status == 200
    knock = subprocess.Popen([sys.executable, "-B", "-c", (
        "import sys\nsys.path.insert(0, %r)\nimport lustwire as wire\ntry:\n    wire.knock(%r, 'outside')\n"
        "except wire.Denied as why:\n    print(why)\n") % (home.path, daemon.runtime)],
        stdout=subprocess.PIPE, text=True, env=clean_environment(), **as_user(OUTSIDER))
    for command in (["status"], ["stop"]):
        result = lust("-r", daemon.runtime, *command)
        assert result.code == 4 and "does not answer" in result.err, result
    assert "the supervisor did not answer in time" in knock.communicate(timeout=60)[0]
    assert get(web).status == 200
    cont(daemon.pid)
    # That `stop` was read after all, when the supervisor went on.
    assert daemon.wait_exit() == 0


# ---- servers ----

def test_server_that_never_registers_on_its_pair(daemon, home):
    """Let in at the door, and then silent: it does not keep its place."""
    daemon.start(service("web", free_port(), register_users=[OUTSIDER_NAME], max_registered=1))
    home.external(daemon, "web", "mute", user=OUTSIDER)
    daemon.wait_service("web", lambda one: len(one["servers"]) == 1)
    daemon.wait_logged(r"web: server from outside \(pid \d+\) was let in and did not register in time: let go")
    daemon.wait_service("web", lambda one: not one["servers"])
    home.external(daemon, "web", "good", user=OUTSIDER)
    daemon.wait_service("web", lambda one: one["ready"] == 1)
    home.end_outside()


def test_server_that_registers_after_ready_timeout(daemon, home):
    """It is stopped already, without heeding that: nobody is handed to it in between."""
    port = free_port()
    # Its shell ignores SIGTERM for it: Python may come up later than the signal does.
    command = ["/bin/sh", "-c", "trap '' TERM; exec $*", "late", *home.bad("late", "--state", home.state("web"))]
    daemon.start(service("web", port, {"command": command, "ready_timeout": "1s", "stop_timeout": "1h",
                                       "restart_delay": "1h", "restart_delay_max": "1h"}), wait=False)
    client = Client(port)
    client.send("/", keep=False)
    daemon.wait_logged("web: server 1 .* did not register within ready-timeout")
    with open(home.state("web") + ".go", "w"):
        pass
    home.wait_note("web", "drained")
    daemon.wait_logged("web: server 1 .* ended")
    assert [what for _, what in home.notes("web")] == ["drained"]
    assert daemon.service("web")["connections"]["accepted"] == 0
    client.close()
    daemon.before = None


# ---- the control socket ----

def visit(daemon, said):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(60)
    sock.connect(os.path.join(daemon.runtime, "control.sock"))
    if said:
        sock.send(said)
    return sock


def wait_hangup(sock):
    """Until the daemon has closed its end; nothing is read."""
    poll = select.poll()
    poll.register(sock, 0)
    assert poll.poll(60000), "still open"


def test_visitors_of_the_control_socket_have_an_end(daemon):
    """One says nothing, one half a request, one never reads its answer: the daemon ends each, others are served."""
    ports = free_ports(300)
    daemon.start(hello("web", ports[0]), *[service("s%d" % number, port, register_users=[OUTSIDER_NAME])
                                           for number, port in enumerate(ports[1:])])
    request = struct.pack("=HHI", 1, 1, 0) + bytes(64 + 32)  # status of all: more than a socket holds
    silent, half, deaf = visit(daemon, b""), visit(daemon, request[:50]), visit(daemon, request)
    assert get(ports[0]).status == 200
    _, kind, _, code = struct.unpack_from("=HHIi", half.recv(65536))
    assert (kind, code) == (1, 64), "the result: usage"
    daemon.command("status")
    for sock in (silent, half, deaf):
        wait_hangup(sock)
    kinds = set()
    while True:
        record = deaf.recv(65536)
        if not record:
            break
        kinds.add(struct.unpack_from("=HH", record)[1])
    assert kinds and 1 not in kinds, "cut off before its result"
    for sock in (silent, half, deaf):
        sock.close()


# ---- a dispatcher that misbehaves ----

def fake(daemon, home, mode, port=0):
    """From now on this daemon's dispatcher is fakedispatcher.py; the daemon runs in a mount namespace of its own.  Valgrind
    would run it too, too slowly."""
    with open(os.path.join(HERE, "fakedispatcher.py")) as file:
        text = file.read().replace('"MODE", 0', '"%s", %d' % (mode, port))
    path = home.join("fake")
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)
    daemon.wrapper = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", path,
                      os.path.join(PRIVATE, "lust-dispatcher")]
    return daemon


def can_unshare():
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not can_unshare(), reason="needs a mount namespace")


@pytest.mark.root
@pytest.mark.native
@needs_mounts
def test_reload_pushes_what_has_changed(daemon, home):
    """And nothing else: ten thousand services that stay must not cost anything."""
    notes, ports = home.join("state", "notes"), free_ports(5)
    a, b, c, d = (service(name, port) for name, port in zip("abcd", ports))

    def pushed(*table):
        open(notes, "w").close()
        daemon.reload(*table)
        wait_until("the table was pushed", lambda: "commit\n" in read(notes))
        return read(notes).splitlines()

    def read(path):
        with open(path) as file:
            return file.read()

    fake(daemon, home, "notes " + notes).start(a, b, c)
    assert read(notes).splitlines() == ["begin whole"] + [
        line for name in "abc" for line in ("service " + name, "listener")] + ["commit"]
    assert pushed(a, b, c) == ["begin part", "commit"]
    assert pushed(a, service("b", ports[1], window=7), c) == ["begin part", "service b", "listener", "commit"]
    assert pushed(a, service("b", ports[1], window=7), c, d) == ["begin part", "service d", "listener", "commit"]
    assert pushed(a, c, d) == ["begin part", "service b gone", "commit"]
    moved = [service("a", ["127.0.0.1:%d" % port for port in ports[:2]]), service("c", ports[4]), d]
    assert sorted(pushed(*moved)) == sorted(
        ["begin part", "service a", "listener", "listener", "service c", "listener", "commit"])
    daemon.stop()


@pytest.mark.root
@pytest.mark.native
@needs_mounts
@pytest.mark.parametrize("mode, why", [("mute", r"not ready in time \(HELLO, READY\)"),
                                       ("never-commits", r"did not take its table in time \(COMMIT, COMMITTED\)")])
def test_start_with_a_dispatcher_that_never_comes_up(daemon, home, mode, why):
    fake(daemon, home, mode).write(hello("web", free_port()))
    daemon.spawn()
    assert daemon.wait_exit(SLOW) == 1
    daemon.wait_logged(r"dispatcher \(pid \d+\): %s: killed" % why)


@pytest.mark.root
@pytest.mark.native
@needs_mounts
def test_dispatcher_that_never_settles_a_dead_server(daemon, home):
    fake(daemon, home, "never-settles").start(hello("web", free_port(), 1, {"ready_timeout": "600s"}), wait=False)
    victim = daemon.wait_service("web", lambda one: one["servers"] and one["servers"][0]["pid"] > 0)["servers"][0]["pid"]
    os.kill(victim, signal.SIGKILL)
    daemon.wait_logged(r"dispatcher \(pid \d+\): did not settle a server that ended in time \(SERVER_DIED, SLOT_FREE\): killed")
    daemon.wait_logged(r"dispatcher \(pid \d+\) has the table")


@pytest.mark.root
@pytest.mark.native
@needs_mounts
@pytest.mark.parametrize("mode, why", [("never-reads", r"a turn of its loop takes longer than 2 s \(PING, PONG\)"),
                                       ("lingers", "KEEP with something else than sockets")])
def test_dispatcher_that_cannot_block_the_supervisor(daemon, home, mode, why):
    """It is replaced, and the supervisor has answered everybody all the while."""
    with socket.create_server(("127.0.0.1", 0)) as peer:
        fake(daemon, home, mode, peer.getsockname()[1]).start(hello("web", free_port()), wait=False)
        daemon.wait_logged(r"dispatcher \(pid \d+\): %s: killed" % why)
        daemon.command("list")
        daemon.wait_logged(r"dispatcher \(pid \d+\) has the table")


@pytest.mark.root
@pytest.mark.native
@needs_mounts
def test_dispatcher_that_floods_the_supervisor(daemon, home):
    fake(daemon, home, "floods").start(hello("web", free_port()), wait=False)
    for _ in range(20):
        assert daemon.command("list").out == "web\n"
    pid = daemon.dispatcher
    daemon.wait_logged(r"dispatcher \(pid %d\): a turn of its loop takes longer" % pid)


@pytest.mark.root
@pytest.mark.native
@needs_mounts
def test_dispatcher_that_stays_at_the_end(daemon, home):
    fake(daemon, home, "stays").start(hello("web", free_port(), 1, {"ready_timeout": "600s"}), wait=False)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0
    daemon.wait_logged(r"dispatcher \(pid \d+\): did not exit in time \(SHUTDOWN\): killed")


# ---- what is not ours ----

@pytest.mark.parametrize("upgraded", [False, True])
def test_children_of_the_program_that_became_the_daemon_are_left_alone(daemon, home, upgraded):
    """`helper & exec lust-inetd run`, as scripts of containers do: the helper is not a server's."""
    note = home.join("state", "helper")
    daemon.wrapper = ["sh", "-c", 'sleep 1000 & echo $! >"$0.new" && mv "$0.new" "$0" && exec "$@"', note]
    daemon.start(hello("web", free_port()))
    with open(note) as file:
        helper = int(file.read())
    try:
        if upgraded:
            daemon.command("upgrade")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0
        assert alive(helper)
    finally:
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)
