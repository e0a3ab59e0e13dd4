"""Slices, and what they say: A B A, the ratio of B to the mean of its two neighbours, median and quartiles.

SPDX-License-Identifier: ISC
"""
import collections
import json
import os
import statistics
import subprocess
import time

import stage as stages

MIB = 1 << 20
PERCENTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))


class Load:
    """How the load generator comes."""

    def __init__(self, stage, at_once, processes=1, seconds=0.25, mode="answers", length=0):
        self.stage, self.at_once, self.processes = stage, at_once, processes
        self.seconds, self.mode, self.length = seconds, mode, length

    def command(self, port):
        words = [self.stage.join("bench-load"), "-m", self.mode, "-c", self.at_once, "-p", self.processes, "-t", self.seconds]
        return [str(word) for word in words + (["-b", self.length] if self.length else []) + [port]]

    def run(self, port):
        prepare = (lambda: stages.prefer([os.getpid()], self.stage.nice)) if self.stage.nice else None
        done = subprocess.run(self.command(port), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=200,
                              start_new_session=True, preexec_fn=prepare)
        if done.returncode != 0:
            raise stages.Failure("the load generator failed: %d" % done.returncode)
        return json.loads(done.stdout)


class Others:
    """How much of the machine somebody else had meanwhile: between start and share(), which comes when all that we started has been
    reaped."""

    def __init__(self):
        self.before, self.began = self.used(), time.monotonic()

    @staticmethod
    def used():
        """Seconds: all but us."""
        with open("/proc/stat") as file:
            words = [int(word) for word in file.readline().split()[1:9]]
        busy = sum(words) - words[3] - words[4]  # without idle and iowait; with steal: that, too, was not ours
        mine = os.times()
        return busy / os.sysconf("SC_CLK_TCK") - sum(mine[:4])

    def share(self):
        capacity = (time.monotonic() - self.began) * os.cpu_count()
        return min(1.0, max(0.0, (self.used() - self.before) / capacity))


class Slice:
    """One contender, a quarter of a second."""

    def __init__(self, contender, load):
        before, before_server = stages.cpu_ns(contender.pids), stages.cpu_ns(contender.server_pids)
        said = load.run(contender.port)
        self.cpu = stages.cpu_ns(contender.pids) - before
        self.server_cpu = stages.cpu_ns(contender.server_pids) - before_server
        scale = MIB if load.mode == "stream" else 1  # of streams it counts bytes
        self.begun, self.finished, self.rate = said["begun"], said["finished"] // scale, said["rate"] / scale
        self.errors = collections.Counter(said["errors"])
        self.histogram = collections.Counter(dict(said["histogram"]))
        if hasattr(contender, "made"):
            contender.made += said["begun"] - said["errors"]["connect"]

    def cpu_each(self):
        return self.cpu / self.finished if self.finished else None

    def server_cpu_each(self):
        return self.server_cpu / self.finished if self.finished else None

    def p50(self):
        return percentile(self.histogram, 0.5)


def percentile(histogram, share):
    """Nanoseconds that this share of all needed at most; None of nothing."""
    left = share * sum(histogram.values())
    for value in sorted(histogram):
        left -= histogram[value]
        if left <= 0:
            return value
    return None


def quartiles(values):
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return [values[0]] * 3 if values else [None] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios(pattern, measure, invert=False):
    """Each B to the mean of its neighbours, or (invert) that mean to B; pairs that lack a value are left out."""
    found = []
    for i in range(1, len(pattern), 2):
        left, middle, right = (measure(pattern[j]) for j in (i - 1, i, i + 1))
        if left and middle and right:
            mean = (left + right) / 2
            found.append(mean / middle if invert else middle / mean)
    return quartiles(found)


def summary(slices):
    """One side of a row."""
    histogram = sum((one.histogram for one in slices), collections.Counter())
    finished = sum(one.finished for one in slices)
    latency = {name: percentile(histogram, share) for name, share in PERCENTILES}
    latency["max"] = max(histogram, default=None)
    return {
        "slices": len(slices),
        "rate": statistics.median(one.rate for one in slices),
        "begun": sum(one.begun for one in slices),
        "finished": finished,
        "errors": dict(sum((one.errors for one in slices), collections.Counter())),  # the kinds that came up
        "cpu_us": sum(one.cpu for one in slices) / finished / 1000 if finished else None,
        "server_cpu_us": sum(one.server_cpu for one in slices) / finished / 1000 if finished else None,
        "latency_us": {name: value / 1000 if value is not None else None for name, value in latency.items()},
    }


def compare(outer, inner, load, count, tell=lambda: None):
    """outer, inner, outer, ... : `count` slices of inner, each between two of outer. One unmeasured slice of each first, for what
    the first connections cost: page faults, a server's first buffers."""
    Slice(outer, load), Slice(inner, load)
    pattern = [Slice(outer, load)]
    for _ in range(count):
        tell()
        pattern.append(Slice(inner, load))
        pattern.append(Slice(outer, load))
    return pattern


def row(pattern, invert):
    """The comparison as plain values. invert: the outer one is ours, and is divided by the inner one."""
    def both(measure):
        return dict(zip(("q1", "median", "q3"), ratios(pattern, measure, invert)))
    return {
        "rate": both(lambda one: one.rate),
        "cpu": both(Slice.cpu_each),
        "server_cpu": both(Slice.server_cpu_each),
        "p50": both(Slice.p50),
        "outer": summary(pattern[0::2]),
        "inner": summary(pattern[1::2]),
    }


def pilot(contenders, load, count=3):
    """The fastest of several settings of one peer, by turns."""
    rates = {contender: [] for contender in contenders}
    for _ in range(count):
        for contender in contenders:
            rates[contender].append(Slice(contender, load).rate)
    return max(contenders, key=lambda contender: statistics.median(rates[contender]))
