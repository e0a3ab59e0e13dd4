"""Everything at once: a schedule of events, drawn from a seed, while clients come without pause.

SPDX-License-Identifier: ISC
"""
import collections
import heapq
import random
import re
import time

import events
import lustlib
import oracle
from stage import Stage, Target, accepts_done, commands

# How often an event is drawn, beside the others.
WEIGHTS = collections.OrderedDict([
    ("kill-server", 30), ("stop-server", 12), ("kill-dispatcher", 6), ("stop-dispatcher", 5), ("kill-logger", 2),
    ("stop-logger", 3), ("reload", 4), ("roll", 4), ("pause", 4), ("upgrade", 2), ("emfile", 5), ("in-flight", 4)]
    + [(name, 3) for name, _ in events.MISDEEDS])
NAMES = tuple(WEIGHTS)
PAUSE = (0.02, 0.25)     # seconds between two events
LOOK = 0.5               # and between two looks at the sums
ROUND = 60               # seconds; then all comes to rest and is judged
EACH = 24                # clients at a time, at each service
MEMORY_GROWTH = 4096     # KiB of the supervisor that a round may leave: what malloc keeps, never a leak for each event
DISPATCHER_ENDED = re.compile(r"dispatcher \(pid \d+\) ended: ")


def targets():
    found = [
        Target("quick", "a", 3, ["-b", "64"]),
        Target("greet", "l", 2, ["-d", "5"]),
        Target("late", "a", 3, ["-d", "2", "-c", "40"], explicit=True),
        Target("first", "l", 2, ["-d", "20"], explicit=True),
        Target("large", "asL", 2, explicit=True, balance="least-connections"),
    ]
    if accepts_done():
        found.append(Target("kept", "l", 2, ["-d", "5"], acknowledge="done"))
    return found


def schedule(chance, seconds, names):
    """[(seconds from the beginning, event, which, how much), ...]: the same for the same seed."""
    weights = [WEIGHTS[name] for name in names]
    at, found = chance.uniform(*PAUSE), []
    while at < seconds:
        found.append((at, chance.choices(names, weights)[0], chance.random(), chance.random()))
        at += chance.uniform(*PAUSE)
    return found


class Conductor:
    def __init__(self, names):
        self.stage = Stage(targets())
        missing = {"roll", "pause", "upgrade"} - commands()
        self.names = [name for name in names if name not in missing]
        self.spare = lustlib.free_port()
        self.undo, self.undone = [], 0
        self.counts, self.told = collections.Counter(), collections.Counter()
        self.wrong, self.silences = [], []
        self.events = events.Events(self.stage, self)
        self.diary = open(self.stage.home.join("events"), "w")

    def note(self, text):
        self.diary.write("%.6f %s %s\n" % (time.monotonic(), time.strftime("%H:%M:%S"), text))

    def later(self, seconds, function):
        self.undone += 1
        heapq.heappush(self.undo, (time.monotonic() + seconds, self.undone, function))

    def table(self, number):
        """Two tables that take turns: options, limits, instances and a service more or less."""
        if number == 0:
            return self.stage.table()
        extra = lustlib.service("extra", self.spare, {"command": [self.stage.server, "-j", self.stage.journal, "extra"]})
        return self.stage.table({"quick": {"balance": "least-connections", "window": 16}, "greet": {"instances": 3},
                                 "late": {"take_timeout": "2s"}, "first": {"window": 8}}, extra)

    def until(self, moment):
        """Undoes what is due before that."""
        while self.undo and self.undo[0][0] <= moment:
            at, _, function = heapq.heappop(self.undo)
            time.sleep(max(0.0, at - time.monotonic()))
            function()
        time.sleep(max(0.0, moment - time.monotonic()))

    def look(self):
        """The sums hold in every answer."""
        try:
            self.stage.daemon.status()
        except AssertionError as error:
            self.wrong.append("status: %s" % error)

    def play(self, plan):
        began = looked = time.monotonic()
        for at, name, which, much in plan:
            self.until(began + at)
            self.note("%s (%.3f, %.3f)" % (name, which, much))
            self.events.do(name, which, much)
            self.counts[name] += 1
            if time.monotonic() - looked > LOOK:
                self.look()
                looked = time.monotonic()

    def rest(self):
        """All is as at the beginning, but for what was lost."""
        while self.undo:
            self.until(self.undo[0][0])
        self.wrong += self.events.failures()  # the last of them were begun by what was just undone
        self.stage.close_pool()
        self.stage.daemon.reload(self.table(0))
        self.diary.flush()

    def round(self, plan, offsets):
        """One round, judged."""
        stage = self.stage
        before = stage.settle()
        stage.open_pool(EACH)
        self.play(plan)
        self.rest()
        after = stage.settle()
        clients = oracle.read_clients(stage.records, stage.pool_targets)
        deeds, offsets["journal"] = oracle.read_journal(stage.journal, offsets["journal"])
        text = stage.daemon.log()
        text, offsets["log"] = text[offsets["log"]:], len(text)
        kills = len(DISPATCHER_ENDED.findall(text))
        verdict, grown, log = oracle.judge(stage.targets, clients, deeds, text, before, after, kills,
                                          silences=self.silences)
        self.told += log.told
        verdict.kills = kills
        verdict.redispatched = sum(one["redispatched"] for one in grown.values())
        stage.daemon.check_leaks()
        return verdict


def numbers(counter):
    return ", ".join("%d %s" % (n, name) for name, n in sorted(counter.items()))


def play(seed, seconds, names):
    """What is wrong, and the figures."""
    chance, conductor = random.Random(seed), Conductor(names)
    stage, total, offsets = conductor.stage, oracle.Verdict(), {"journal": 0, "log": 0}
    kills = redispatched = 0
    try:
        stage.start()
        memory, left = stage.memory(), seconds
        while left > 0 and not total.wrong:
            verdict = conductor.round(schedule(chance, min(left, ROUND), conductor.names), offsets)
            total.add(verdict)
            kills += verdict.kills
            redispatched += verdict.redispatched
            left -= ROUND
            grown, memory = stage.memory() - memory, stage.memory()
            if grown > MEMORY_GROWTH:
                total.complain("the supervisor has %d KiB more than before", grown)
        total.wrong += conductor.wrong
        stage.finish(keep=bool(total.wrong))
    except BaseException:
        print("  the files are in %s" % stage.home.path)
        conductor.diary.flush()
        stage.kill()
        raise
    return total.wrong, "%s; %d ends of a dispatcher, %d re-dispatched\n  events: %s\n  in the log: %s" % (
        total.text(), kills, redispatched, numbers(conductor.counts), numbers(conductor.told))
