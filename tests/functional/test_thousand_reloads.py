"""Reload after reload, of anything, under load: nobody is refused, and nothing grows.

LUST_RELOADS says how many (100); a thousand take a few minutes.
"""
import contextlib
import os

from clients import Load, get
from lustlib import SANITIZED, free_ports, hello, listening_inodes, service, wait_until

RELOADS = int(os.environ.get("LUST_RELOADS", "100"))
WARM_UP = 20        # rounds after which every number of a service and a server has had its turn
SLACK_KIB = 64      # pages that an allocator touches late


def private_kib(pid):
    """What the process alone has written to; None when we may not look."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))
    except PermissionError:
        return None


def memory(daemon):
    return {"supervisor": private_kib(daemon.pid), "dispatcher": private_kib(daemon.dispatcher),
            "logger": private_kib(daemon.logger)}


def forget_notifications(daemon):
    with contextlib.suppress(BlockingIOError):
        daemon.notify.setblocking(False)
        while True:
            daemon.notify.recv(4096)
    daemon.notify.setblocking(True)


def tables(home, ports):
    """Each differs from the one before in another way; the last leads back to the first."""
    kept, moving, a, b = ports[:4]
    # Another address than the clients': while it is not bound, none of them may get its port as its own.
    come = ["127.0.0.2:%d" % port for port in ports[4:]]
    log, other = home.join("state", "kept.log"), home.join("state", "other.log")

    def base(log_file=log, color="blue", instances=2, moved=False, **settings):
        return [hello("kept", kept, instances, {"log": log_file, "env": ["COLOR=" + color]}, **settings),
                hello("a", ["127.0.0.1:%d" % port for port in ([a] if moved else [a, moving])]),
                hello("b", ["127.0.0.1:%d" % port for port in ([b, moving] if moved else [b])])]
    return [
        base(),
        base(balance="source-hash", window=7, take_timeout="3s"),
        base(moved=True),
        base(moved=True, overload="refuse", register_users="bin", max_registered=3),
        base() + [hello("come-%d" % number, port) for number, port in enumerate(come)],
        base(color="red", log_file=other),
        base(color="red", log_file=other, instances=3) + [hello("come-x", come[0])],
        ['log-level = "debug"\nadmin-users = "bin"\n'] + base(instances=1),
        base(balance="least-connections") + [service("none", come[1])],
        ["nonsense"],
    ]


def at_rest(daemon, table):
    """The first table is in force, every server is the one that it wants, and all others have ended."""
    daemon.reload(*table)
    forget_notifications(daemon)
    wait_until("servers are as the table wants", lambda: all(
        one["ready"] == one["wanted"] == len(one["servers"]) and one["connections"]["active"] == 0
        and all(server["generation"] and server["state"] == "ready" for server in one["servers"])
        for one in daemon.status()["services"]), limit=120)


def test_reload_after_reload(daemon, home):
    ports = free_ports(7)
    table = tables(home, ports)
    kept, moving = ports[:2]

    def run(count):
        # Refused is what a full service may do where the table says so: these never fill theirs.
        with Load(kept, workers=4) as first, Load(moving, workers=2) as second:
            for number in range(count):
                parts = table[number % len(table)]
                daemon.reload(*parts, code=78 if parts == ["nonsense"] else 0)
                forget_notifications(daemon)
                if number % 10 == 0:
                    first.wait_for(10)
                    second.wait_for(10)
        assert not first.failures and not second.failures, (
            first.failures[:5], second.failures[:5], daemon.log()[-5000:])
        return first.ok + second.ok

    daemon.start(*table[0])
    inodes = listening_inodes(kept), listening_inodes(moving)
    run(WARM_UP * len(table))
    at_rest(daemon, table[0])
    daemon.baseline()
    before, dispatcher, logger = memory(daemon), daemon.dispatcher, daemon.logger
    answered = run(RELOADS)
    at_rest(daemon, table[0])
    daemon.check_leaks()
    after = memory(daemon)
    print("%d reloads, %d answers; private KiB before %s, after %s" % (RELOADS, answered, before, after))
    assert (daemon.dispatcher, daemon.logger) == (dispatcher, logger)
    assert (listening_inodes(kept), listening_inodes(moving)) == inodes
    for name in before:
        # A sanitizer keeps what was freed for a while, and tells leaks by itself at the end.
        if before[name] is not None and not SANITIZED:
            assert after[name] <= before[name] + SLACK_KIB, (before, after)
    get(kept)
    assert daemon.status()["last_reload"]["ok"] is True
