"""tests/bench: that it measures, sees errors, counts what the daemon counts, and leaves nothing. How fast anything is, no test asks.

SPDX-License-Identifier: ISC
"""
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import xml.etree.ElementTree

import pytest

import lustlib
import tracing

BENCH = os.path.join(lustlib.HERE, "..", "bench")
sys.path.insert(0, BENCH)
import measure  # noqa: E402
import peers  # noqa: E402

pytestmark = [pytest.mark.native, pytest.mark.plain]
ANSWER = bytes(range(128))


def command(home, *words):
    return [lustlib.PYTHON, "-B", os.path.join(BENCH, "run"), "--seconds", "0.05", *words], dict(
        os.environ, LUST_PREFIX=lustlib.PREFIX, TMPDIR=home.path)


def bench(home, *words):
    """The result, and the plot's path."""
    paths = home.join("result.json"), home.join("plot.svg")
    line, environment = command(home, "--slices", "2", "--json", paths[0], "--svg", paths[1], *words)
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=lustlib.LIMIT * 4)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(paths[0]) as file:
        return json.load(file), paths[1], done.stdout


def check_side(side, slices):
    assert side["slices"] == slices and side["errors"] == {}
    assert side["begun"] > 0 and side["finished"] > 0 and side["rate"] > 0 and side["cpu_us"] >= 0
    latency = side["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]


def check_row(row, ours_outside):
    check_side(row["lust"], 3 if ours_outside else 2)
    check_side(row["other"], 2 if ours_outside else 3)
    for what in ("rate", "p50"):
        assert 0 < row[what]["q1"] <= row[what]["median"] <= row[what]["q3"], what
    account = row["account"]
    assert account["made"] == account["accepted"] == account["taken"] == account["done"], account
    assert account["lost"] == 0 and account["made"] > row["lust"]["begun"]  # some came unmeasured, to warm up


def check_plot(path, *names):
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = "".join(root.itertext())
    for name in names:
        assert name in texts
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(bar.get("width")) > 0


def nothing_left(home):
    return [name for name in os.listdir(home.path) if name.startswith(("lust-bench", "lust-growth"))] == []


def test_bench_against_the_direct_server(home):
    result, plot, text = bench(home, "--peers", "none", "--only", "at once|full|at a time|round", "direct", "stream")
    assert [row["load"] for row in result["rows"]] == ["64 at once", "both cores full", "one at a time", "round trips, 100 connections"]
    for row in result["rows"]:
        assert row["against"] == "direct"
        check_row(row, False)
    assert len(result["goals"]) == 6 and all(one["met"] in (True, False) and one["measured"] > 0 for one in result["goals"])
    assert text.count("at least") + text.count("at most") == 6
    assert 0 <= result["others"] <= 1
    assert result["account"]["made"] == sum(row["account"]["accepted"] for row in result["rows"])
    check_plot(plot, "lust-inetd", "accepting by itself", result["machine"]["kernel"], result["machine"]["date"])
    assert nothing_left(home)


def test_bench_against_a_peer(home):
    there, _ = peers.installed()
    if not there:
        pytest.skip("no peer is installed")
    peer = there[0]
    result, plot, text = bench(home, "--peers", peer.program, "--only", "direct: .*: 64 at once|%s.*: 64 at once" % peer.program,
                               "direct", "peers")
    assert len(result["rows"]) >= 2
    for row in result["rows"]:
        check_row(row, row["table"] == "peers")
    assert result["rows"][1]["against"] == peers.name_of(peer) and "÷ " + peer.program in text
    check_plot(plot, peer.program)
    assert nothing_left(home)


def everyone(pid):
    """It and all below it."""
    return [pid] + [one for child in lustlib.children(pid) for one in everyone(child)]


MEASURED = ("lust-inetd", "lust-dispatcher", "lust-logger", "bench-server", "bench-direct")


def is_nice(pid):
    """To others, and its session to other sessions where the kernel knows such a thing. Only root may make it so."""
    if not lustlib.ROOT:
        return True
    if os.path.exists("/proc/%d/autogroup" % pid):
        with open("/proc/%d/autogroup" % pid) as file:
            if file.read().split()[-1] != "3":
                return False
    return os.getpriority(os.PRIO_PROCESS, pid) == 3


def test_bench_interrupted_leaves_nothing(home):
    line, environment = command(home, "--slices", "100000", "--peers", "none", *(("--nice", "3") if lustlib.ROOT else ()), "direct")
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def works():
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError):  # somebody has just ended
            family[:] = [pid for pid in everyone(process.pid) if lustlib.program(pid).startswith(MEASURED)]
            return {lustlib.program(pid) for pid in family} == set(MEASURED) and all(map(is_nice, family))
    family = []
    lustlib.wait_until("the bench measures, and all of it is as nice as it was told to be", works)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=lustlib.LIMIT)
    assert process.returncode == 1 and "stopped" in err
    assert [pid for pid in family if lustlib.alive(pid)] == []
    assert nothing_left(home)


@pytest.mark.root
@tracing.needs_strace
def test_calls_are_counted(home):
    _, environment = command(home)
    done = subprocess.run([lustlib.PYTHON, "-B", os.path.join(BENCH, "syscalls"), "--strace", "--connections", "200", "--at-once", "8"],
                          env=environment, capture_output=True, text=True, timeout=lustlib.LIMIT * 4)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = dict(re.findall(r"^  (dispatcher|server) +([\d.]+) calls", done.stdout, re.M))
    assert set(calls) == {"dispatcher", "server"} and all(float(each) >= 2 for each in calls.values()), done.stdout
    assert nothing_left(home)


@pytest.mark.root
@pytest.mark.parametrize("program, number", [("syscalls", signal.SIGINT), ("growth", signal.SIGTERM)])
def test_counting_interrupted_leaves_nothing(home, program, number):
    _, environment = command(home)
    process = subprocess.Popen([lustlib.PYTHON, "-B", os.path.join(BENCH, program)], env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    family = []

    def works():
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError):  # somebody has just ended
            family[:] = everyone(process.pid)
            return any(lustlib.program(pid) == "lust-dispatcher" for pid in family)
    lustlib.wait_until("it has a daemon", works)
    process.send_signal(number)
    _, err = process.communicate(timeout=lustlib.LIMIT)
    assert process.returncode == 1 and "stopped" in err, err
    assert [pid for pid in family if lustlib.alive(pid)] == []
    assert nothing_left(home)


# -- the load generator sees what is wrong --

@pytest.fixture(scope="module")
def load(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("bench") / "load")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-o", path,
                    *(os.path.join(BENCH, name) for name in ("load.c", "client.c", "app.c"))], check=True)
    return path


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("kind, answer", [
    (None, lambda sock: sock.sendall(ANSWER)),
    ("short", lambda sock: sock.sendall(ANSWER[:-1])),
    ("short", lambda sock: None),
    ("wrong", lambda sock: sock.sendall(ANSWER[:-1] + b"x")),
    ("wrong", lambda sock: sock.sendall(ANSWER + b"x")),
    ("reset", reset)], ids=["right", "one byte less", "nothing", "another byte", "one byte more", "reset"])
def test_load_generator_tells_answers_apart(load, kind, answer):
    def serve():
        for _ in range(5):
            with listener.accept()[0] as sock:
                answer(sock)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        done = subprocess.run([load, "-c", "2", "-n", "5", str(listener.getsockname()[1])], capture_output=True, check=True)
        server.join()
    said = json.loads(done.stdout)
    assert said["begun"] == 5 and said["finished"] == (0 if kind else 5)
    assert {name: count for name, count in said["errors"].items() if count} == ({kind: 5} if kind else {})
    assert sum(count for _, count in said["histogram"]) == said["finished"]


def test_load_generator_tells_refused_connections(load):
    done = subprocess.run([load, "-c", "1", "-n", "1", str(lustlib.free_port())], capture_output=True, check=True)
    assert json.loads(done.stdout)["errors"]["connect"] == 1


# -- the arithmetic --

def test_ratios_are_those_of_neighbours():
    slices = [10, 9, 10, 18, 20, 10, 20]  # the machine became twice as fast meanwhile
    assert measure.ratios(slices, float) == [pytest.approx(value) for value in (0.7, 0.9, 1.05)]
    assert measure.ratios([10, 5, 10], float, invert=True) == [2, 2, 2]
    assert measure.ratios([10, 5, 10], lambda one: None) == [None, None, None]


def test_percentiles():
    assert measure.percentile({10: 50, 20: 49, 30: 1}, 0.5) == 10
    assert measure.percentile({10: 50, 20: 49, 30: 1}, 0.99) == 20
    assert measure.percentile({10: 50, 20: 49, 30: 1}, 0.999) == 30
    assert measure.percentile({}, 0.5) is None
