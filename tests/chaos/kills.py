"""kill -9 of servers alone, and of dispatchers alone, at a steady beat under full load.

SPDX-License-Identifier: ISC
"""
import contextlib
import os
import random
import signal
import time

import oracle
from lustlib import LUST_INETD, PREFIX
from stage import Stage, Target, accepts_done

SERVER_BEAT, DISPATCHER_BEAT = 0.1, 0.2
FAULT = "LUST_TEST_NO_REDISPATCH"
EACH = 32       # clients at a time: more than the servers can keep idle
CROWD = 200     # and enough for large batches, which are what a dispatcher's death can cost


class Case:
    """Servers that are killed, and how they serve."""

    def __init__(self, servers, delay, asks, explicit=False, acknowledge="taken"):
        self.servers, self.delay, self.asks = servers, delay, asks
        self.explicit, self.acknowledge = explicit, acknowledge
        self.name = "%d server%s %s %s%s%s" % (
            servers, "" if servers == 1 else "s", "at once" if not delay else "after %d ms" % delay,
            "with a request" if asks else "speaking first", " explicit_take" if explicit else "",
            " acknowledge=done" if acknowledge == "done" else "")

    def target(self):
        options = ["-d", str(self.delay)]
        if not self.explicit and self.acknowledge == "taken":
            # One by one: DONE that waits for others would die with its server, and `died` leave room for what was lost.
            options += ["-b", "1"]
        return Target("kill", "a" if self.asks else "l", self.servers, options, self.explicit, self.acknowledge)


def cases():
    found = [Case(servers, delay, asks) for servers in (1, 2, 8) for delay in (0, 5) for asks in (False, True)]
    found += [Case(2, delay, asks, explicit=True) for delay in (0, 5) for asks in (False, True)]
    if accepts_done():
        found += [Case(servers, delay, False, acknowledge="done") for servers in (1, 2, 8) for delay in (0, 5)]
    return found


def beat(seconds, pause, chance):
    """Once a beat, somewhere in it, for so long."""
    began = time.monotonic()
    beats = 0
    while time.monotonic() - began < seconds:
        yield
        beats += 1
        time.sleep(max(0.0, began + (beats + chance.uniform(-.4, .4)) * pause - time.monotonic()))


def play(case, seconds, seed, environment=None):
    """The verdict, how the counters grew, and how many were killed."""
    stage, chance, killed = Stage([case.target()]), random.Random(seed), 0
    try:
        stage.start(environment)
        before = stage.settle()
        stage.open_pool(EACH)
        for _ in beat(seconds, SERVER_BEAT, chance):
            pids = stage.servers()
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(pids), signal.SIGKILL)
                    killed += 1
        stage.close_pool()
        after = stage.settle()
        clients = oracle.read_clients(stage.records, stage.pool_targets)
        deeds, _ = oracle.read_journal(stage.journal, 0)
        verdict, grown, _ = oracle.judge(stage.targets, clients, deeds, stage.daemon.log(), before, after, 0)
        grown = grown["kill"]
        if grown["closed"]:
            verdict.complain("%d connections were closed that no server had taken", grown["closed"])
        if case.acknowledge == "done" and verdict.outcomes["ok"] != sum(verdict.outcomes.values()):
            verdict.complain("with acknowledge = done and servers that speak first nobody may notice: %s", verdict.outcomes)
        stage.finish(keep=bool(verdict.wrong) and not environment)
    except BaseException:
        print("  the files are in %s" % stage.home.path)
        stage.kill()
        raise
    return verdict, grown, killed


def figures(verdict, grown, killed):
    return "%d killed; %s; %d re-dispatched, %d died with their server" % (killed, verdict.text(), grown["redispatched"],
                                                                         grown["died"])


def servers(case, seconds, seed):
    """Server kills alone."""
    verdict, grown, killed = play(case, seconds, seed)
    if not grown["redispatched"]:
        verdict.complain("no connection was ever given to another server: nothing was tried")
    return verdict.wrong, figures(verdict, grown, killed)


def dispatchers(seconds, seed):
    """Dispatcher kills alone: nobody is refused, few are lost, servers stay."""
    chance = random.Random(seed)
    stage, killed = Stage([Target("asked", "a", 2), Target("first", "l", 2, ["-d", "5"]),
                           Target("late", "a", 2, explicit=True)]), 0
    try:
        stage.start()
        before, pids = stage.settle(), stage.servers()
        stage.open_pool(CROWD)
        for _ in beat(seconds, DISPATCHER_BEAT, chance):
            pid = stage.helper("lust-dispatcher")
            if pid:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        stage.close_pool()
        after = stage.settle()
        clients = oracle.read_clients(stage.records, stage.pool_targets)
        deeds, _ = oracle.read_journal(stage.journal, 0)
        verdict, grown, _ = oracle.judge(stage.targets, clients, deeds, stage.daemon.log(), before, after, killed,
                                        oracle.LOST_A_KILL)
        if stage.servers() != pids:
            verdict.complain("servers were restarted: %s, now %s", pids, stage.servers())
        slowest = max((client.ended - client.began for client in clients), default=0)
        stage.finish(keep=bool(verdict.wrong))
    except BaseException:
        print("  the files are in %s" % stage.home.path)
        stage.kill()
        raise
    again = sum(one["redispatched"] for one in grown.values())
    return verdict.wrong, "%d killed; %s; %d re-dispatched; slowest client %.1f s" % (killed, verdict.text(), again,
                                                                                        slowest / 1e6)


def has_faults():
    """Programs of this installation that know a fault switch."""
    found = []
    for directory, _, names in os.walk(PREFIX):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if b"LUST_TEST_" in file.read():
                        found.append(os.path.relpath(path, PREFIX))
    return sorted(found)


def sealed():
    """What users get has no switch that loses connections."""
    found = has_faults()
    return (["%s knows test faults" % name for name in found], "no fault switch in %s" % os.path.dirname(LUST_INETD))


def blind(case, seconds, seed):
    """Needs a build with --enable-test-faults: without withdrawal and re-dispatch the same run must see loss."""
    wrong = []
    if not has_faults():
        return ["%s was not built with --enable-test-faults" % PREFIX], ""
    verdict, grown, killed = play(case, seconds, seed)
    wrong += ["without the fault: " + text for text in verdict.wrong]
    told = ["sound: " + figures(verdict, grown, killed)]
    verdict, grown, killed = play(case, seconds, seed, {FAULT: "1"})
    failed = sum(verdict.outcomes.values()) - verdict.outcomes["ok"]
    if not verdict.wrong or not grown["lost"] or failed <= grown["died"]:
        wrong.append("re-dispatch was off and nobody noticed: " + figures(verdict, grown, killed))
    if verdict.outcomes["hung"]:
        wrong.append("%d clients were left hanging" % verdict.outcomes["hung"])
    told.append("blind: " + figures(verdict, grown, killed))
    return wrong, "; ".join(told)
