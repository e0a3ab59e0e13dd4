"""The kernel's traps 1 to 12, each brought on for real in the real daemon. The others: test_traps_process.py."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from clients import Client, Failure, Waiting, connect, get, pending, pids
from lustlib import (HERE, OUTSIDER, OUTSIDER_NAME, PYTHON, ROOT, alive, as_user, children, clean_environment, descriptors,
                     free_port, free_ports, hello, process_status, program, service, stop, wait_until)

PATIENT = {"take_timeout": "600s", "drain_timeout": "1s"}


def trap_service(home, name, port, mode, *detail, instances=1, **settings):
    shutil.copy(os.path.join(HERE, "trapserver.py"), home.path)
    os.chmod(home.join("trapserver.py"), 0o644)
    command = [PYTHON, "-B", home.join("trapserver.py"), mode, home.state(name), *detail]
    return service(name, port, {"command": command, "instances": instances, "restart_delay": "100ms"}, **settings)


def set_files(pid, soft, hard):
    """RLIMIT_NOFILE of another process, asked for by its own user: that needs no privilege."""
    owner = dict(zip(("user", "group"), (int(process_status(pid)[which].split()[0]) for which in ("Uid", "Gid"))))
    script = "import resource; resource.prlimit(%d, resource.RLIMIT_NOFILE, (%d, %d))" % (pid, soft, hard)
    subprocess.run([PYTHON, "-c", script], check=True, **(dict(owner, extra_groups=[]) if ROOT else {}))


def limit_files(pid, soft):
    """Lowers its soft limit; what puts it back."""
    with open("/proc/%d/limits" % pid) as limits:
        before = list(map(int, re.search(r"^Max open files\s+(\d+)\s+(\d+)", limits.read(), re.M).groups()))
    set_files(pid, soft, before[1])
    return lambda: set_files(pid, *before)


def sizes(home, name):
    return [int(what.split()[1]) for _, what in home.notes(name) if what.startswith("batch")]


@pytest.mark.root
def test_trap_01_etoomanyrefs(daemon, home):
    """More descriptors of the dispatcher's user in flight than its RLIMIT_NOFILE: the servers count as full, and
    nobody is dropped."""
    port = free_port()
    daemon.start('dispatcher { user = "games" }\n', trap_service(home, "web", port, "batches", **PATIENT))
    holder = subprocess.Popen(
        [PYTHON, "-B", home.join("trapserver.py"), "in_flight", "-", "800"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=clean_environment(), **as_user("games"))
    home.outside.append(holder)
    holder.stderr = holder.stdout
    assert holder.stdout.readline() == "800\n"
    dispatcher = daemon.dispatcher
    restore = limit_files(dispatcher, 700)
    waiting = Waiting(port, 20)
    daemon.wait_service("web", lambda one: one["connections"]["pending"] >= 1)
    get_status = daemon.service("web")
    assert get_status["connections"]["taken"] == 0 and get_status["ready"] == 1
    assert not home.notes("web"), "nothing got through"
    holder.stdin.close()
    assert waiting.statuses() == [200] * 20
    assert daemon.dispatcher == dispatcher
    restore()
    holder.wait()


@pytest.mark.root
def test_trap_01_etoomanyrefs_a_stuck_server_does_not_stall_others(daemon, home):
    """A server that never reads holds a window's worth in flight, and not more."""
    stuck, good = free_ports(2)
    daemon.start(home.bad_service("stuck", stuck, "never_receives", instances=4, **PATIENT), hello("good", good, 2))
    limit_files(daemon.dispatcher, 700)
    crowd = [connect(stuck) for _ in range(300)]
    daemon.wait_service("stuck", lambda one: one["connections"]["pending"] == 256)
    assert [get(good).status for _ in range(50)] == [200] * 50
    for sock in crowd:
        sock.close()
    daemon.before = None


def test_trap_02_253_descriptors_a_message(daemon, home):
    """The kernel takes no more; a batch has 64 at most, whatever waits."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ends[0], ends[1]:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("253i", *[0] * 253))]
        ends[0].sendmsg([b"x"], rights)
        with pytest.raises(OSError):
            ends[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("254i", *[0] * 254))])
    port = free_port()
    daemon.start(trap_service(home, "web", port, "batches", window=1000, **PATIENT))
    (pid,) = daemon.pids("web")
    stop(daemon.dispatcher)  # so that the whole crowd is there in one turn of its loop
    waiting = Waiting(port, 300)
    os.kill(daemon.dispatcher, signal.SIGCONT)
    assert waiting.statuses() == [200] * 300
    assert sum(sizes(home, "web")) == 300 and max(sizes(home, "web")) == 64
    assert daemon.pids("web") == [pid]


def test_trap_03_msg_ctrunc(daemon):
    """A server without a free descriptor refuses by id; another serves its clients."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    full, other = daemon.pids("web")
    restore = limit_files(full, max(map(int, os.listdir("/proc/%d/fd" % full))) + 1)
    assert set(pids(port, 40)) == {other}
    assert [server["refused"] > 0 for server in daemon.servers("web")] == [True, False]
    daemon.wait_logged(r"web.*could not take \d+ descriptors; raise its rlimit-nofile")
    restore()
    wait_until("it serves again", lambda: full in pids(port, 4))
    assert daemon.service("web")["connections"]["redispatched"] >= 1


def test_trap_04_credentials_come_before_descriptors(daemon, home):
    """A server that asks for credentials too gets whole batches all the same."""
    port = free_port()
    daemon.start(trap_service(home, "web", port, "passes_credentials", **PATIENT))
    home.wait_note("web", "ready")
    (pid,) = daemon.pids("web")
    stop(pid)
    waiting = pending(daemon, "web", port, 64)
    os.kill(pid, signal.SIGCONT)
    assert waiting.statuses() == [200] * 64
    assert sum(sizes(home, "web")) == 64 and daemon.pids("web") == [pid]


def test_trap_05_surplus_descriptors(daemon, home):
    """Two where there is room for one and a half, and any number at the door: none stays."""
    port, door = free_ports(2)
    daemon.start(trap_service(home, "web", port, "two_descriptors", **PATIENT),
                 service("door", door, register_users=[OUTSIDER_NAME]))
    assert get(port).status == 200, "of the next one"
    daemon.wait_logged(r"web: .*descriptors came with a message that takes none")
    script = ("import sys\nsys.path.insert(0, %r)\nimport lustwire as wire\nfor count in (1, 2, 64, 250):\n"
              "    sock = wire.door(%r)\n    try:\n        wire.send_with(sock, wire.register('door'), [0] * count)\n"
              "        wire.answer_of_door(sock)\n        print('in')\n    except PermissionError:\n        print('kernel')\n"
              "    except (wire.Denied, ConnectionError):\n        print('refused')\n") % (home.path, daemon.runtime)
    done = subprocess.run([PYTHON, "-B", "-c", script], capture_output=True, text=True, env=clean_environment(),
                          timeout=120, **as_user(OUTSIDER))
    assert done.stdout.split() in (["kernel"] * 4, ["refused"] * 4), done
    daemon.wait_ready("web")
    daemon.check_leaks()


def test_trap_06_a_socket_buffer_is_no_flow_control(daemon, home):
    """278 small messages fit, whatever the batch. A full pair blocks nobody, and what is in it is not lost."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fitting = 0
    with ends[0], ends[1]:
        ends[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                ends[0].send(b"x" * 96)
                fitting += 1
    assert fitting < 900, "so the crowd below is larger than the pair"
    port, good = free_ports(2)
    daemon.start(home.bad_service("web", port, "good", window=1000, **PATIENT), hello("good", good, 2))
    (pid,) = daemon.pids("web")
    dispatcher = daemon.dispatcher
    stop(pid)
    waiting = Waiting(port, 900)
    daemon.wait_service("web", lambda one: one["connections"]["pending"] > 200)
    assert [get(good).status for _ in range(50)] == [200] * 50
    os.kill(pid, signal.SIGCONT)
    assert waiting.statuses() == [200] * 900
    assert len(home.notes("web")) == 900 and daemon.dispatcher == dispatcher


def test_trap_07_nonblocking_belongs_to_the_open_file(daemon, home):
    """What a server made of its copies changes nothing for the next one; taking back never waits."""
    port, stuck = free_ports(2)
    daemon.start(trap_service(home, "web", port, "sets_nonblocking"),
                 home.bad_service("stuck", stuck, "never_receives", take_timeout="1s", drain_timeout="1s"))
    dispatcher = daemon.dispatcher
    with connect(stuck):
        daemon.wait_service("stuck", lambda one: one["servers"][0]["state"] == "stalled")
        assert get(port).status == 200
    noted = [what for _, what in home.notes("web")]
    assert noted == ["set", "batch 1 blocking"]
    assert daemon.dispatcher == dispatcher
    daemon.before = None


def connections_of(port):
    """Inodes of the daemon's ends of TCP connections to this port."""
    with open("/proc/net/tcp") as file:
        next(file)
        rows = [line.split() for line in file]
    return {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port and row[3] != "0A"}


@pytest.mark.root
def test_trap_08_no_client_in_the_epoll_set(daemon, home):
    """Its descriptor is open elsewhere when we close ours: the set would keep a dead number."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "never_takes", server={"restart_delay": "100ms"}, **PATIENT))
    crowd = [connect(port) for _ in range(10)]
    daemon.wait_service("web", lambda one: one["connections"]["pending"] == 10)
    dispatcher = daemon.dispatcher

    def watched():
        (epoll,) = [fd for fd, target in descriptors(dispatcher).items() if "eventpoll" in target]
        with open("/proc/%d/fdinfo/%d" % (dispatcher, epoll)) as info:
            return {int(number) for number in re.findall(r"^tfd:\s*(\d+)", info.read(), re.M)}
    held = {fd for fd, target in descriptors(dispatcher).items() if target[8:-1] in connections_of(port)}
    assert len(held) == 10 and not held & watched()
    home.wait_note("web", "received")
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    for sock in crowd:
        sock.close()
    daemon.wait_service("web", lambda one: one["ready"] == 1 and one["servers"][0]["restarts"] == 1)
    wait_until("every number in the set is open", lambda: watched() <= set(descriptors(dispatcher)))
    daemon.before = None


def wake_ups(pid):
    return int(process_status(pid)["voluntary_ctxt_switches"])


@pytest.mark.native
@pytest.mark.parametrize("overload", ["wait", "refuse"])
def test_trap_09_accept_without_a_descriptor(daemon, home, overload):
    """EMFILE: said once, nobody spins, the clients wait or are answered, and it ends by itself."""
    port = free_port()
    daemon.start(hello("web", port, 2, overload=overload))
    dispatcher = daemon.dispatcher
    used, woken = descriptors(dispatcher), wake_ups(dispatcher)
    restore = limit_files(dispatcher, max(used) + 1 if used else daemon.status()["dispatcher"]["fds"])
    if overload == "wait":
        waiting = Waiting(port, 5)
        daemon.wait_logged("web: cannot accept connections: Too many open files")
        daemon.wait_service("web", lambda one: one["listen"][0]["waiting"] == 5)
        wait_until("it tries again and again", lambda: wake_ups(dispatcher) > 20 + woken)
        restore()
        assert waiting.statuses() == [200] * 5
    else:
        for _ in range(3):
            with pytest.raises(Failure):
                get(port)
        assert daemon.service("web")["connections"]["denied"]["overload"] == 3
        restore()
        wait_until("it accepts again", lambda: daemon.log().count("accepting connections works again") or
                   pids_or_none(port))
    daemon.wait_logged("web: accepting connections works again")
    assert daemon.log().count("cannot accept connections") == 1
    assert get(port).status == 200 and daemon.dispatcher == dispatcher


def pids_or_none(port):
    try:
        return get(port).pid
    except Failure:
        return None


def test_trap_10_death_signal_and_dumpable_after_the_drop(daemon, home):
    """setuid and exec clear them: a server that does not read and a dispatcher that is stopped end with the daemon."""
    daemon.start(home.bad_service("web", free_port(), "mute", server={"ready_timeout": "600s"}), wait=False)
    home.wait_note("web", "mute")
    family = children(daemon.pid)
    dispatcher, = [pid for pid in family if program(pid) == "lust-dispatcher"]
    assert len(family) == 3
    stop(dispatcher)
    os.kill(daemon.pid, signal.SIGKILL)
    assert daemon.wait_exit() == -signal.SIGKILL
    wait_until(lambda: "still there: %s" % [pid for pid in family if alive(pid)], lambda: not any(map(alive, family)))
    for pid in family:
        os.waitpid(pid, 0)
    daemon.seen.clear()
    daemon.start(wait=False)  # and finds what it left
    wait_until("a server of the new one", lambda: len(home.notes("web")) == 2)


@pytest.mark.root
@pytest.mark.plain
def test_trap_10_not_dumpable(daemon):
    """The kernel gives /proc/PID of such a process to root, whoever runs it."""
    daemon.start(hello("web", free_port()))
    for pid in (daemon.dispatcher, daemon.logger):
        assert os.stat("/proc/%d/fd" % pid).st_uid == 0 != int(re.search(r"^Uid:\s+(\d+)", open(
            "/proc/%d/status" % pid).read(), re.M).group(1))


@pytest.mark.parametrize("how, served", [("none", True), ("peek", True), ("waits-fin", True), ("read", False), ("cork", False),
                                         ("write", False), ("shutdown", False), ("waits-urgent", False)])
def test_trap_11_proof_of_untouched(daemon, home, how, served):
    """A server received it, did this without TAKEN, and died: only what is proved untouched goes to another."""
    port = free_port()
    daemon.start(trap_service(home, "web", port, "touches", how, **PATIENT))
    with Client(port) as client:
        client.send(keep=False)
        if how == "waits-fin":
            client.socket.shutdown(socket.SHUT_WR)
        if how == "waits-urgent":
            client.socket.send(b"!", socket.MSG_OOB)
        with open(home.state("web") + ".go", "w"):
            pass
        if served:
            assert client.answer().status == 200
        else:
            with pytest.raises(Failure):
                client.answer()
        count = daemon.wait_service("web", lambda one: one["connections"]["pending"] == one["connections"]["active"] == 0)
    assert count["connections"]["closed"]["touched"] == (not served), count["connections"]
    assert count["connections"]["redispatched"] == served
    if not served:
        daemon.wait_logged(r"web.*127\.0\.0\.1")
    daemon.wait_ready()


@pytest.mark.parametrize("mode", ["lingers", "lingers_untaken"])
def test_trap_12_so_linger(daemon, home, mode):
    """Data that the client does not read and SO_LINGER: the last close() would wait, even with O_NONBLOCK."""
    port, good = free_ports(2)
    daemon.start(home.bad_service("bad", port, mode, server={"restart_delay": "100ms"}), hello("good", good, 2))
    dispatcher = daemon.dispatcher
    with connect(port) as client:
        client.sendall(b"x")
        home.wait_note("bad", "filled")
        daemon.wait_service("bad", lambda one: one["connections"]["died"] + one["connections"]["closed"]["touched"] == 1)
        assert get(good).status == 200
    daemon.wait_ready()
    assert daemon.dispatcher == dispatcher, "it was not replaced for a turn that takes too long"
