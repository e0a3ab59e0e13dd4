"""What is measured, and what is to be reached.

SPDX-License-Identifier: ISC
"""
import os

import measure
import peers
import stage as stages

CORES = os.cpu_count()
GIB = 1 << 30


class Row:
    """One comparison. inner is measured between two of outer; invert: outer is ours."""

    def __init__(self, name, load, servers=1, mode="answer", length=0, peer=None, goals=None, slices=None):
        self.name, self.load, self.servers, self.mode, self.length = name, load, servers, mode, length
        self.peer, self.goals, self.slices = peer, goals or {}, slices

    @property
    def contender(self):
        return peers.name_of(self.peer) if self.peer else "direct"


# name: at once, client processes, application servers
LOADS = {"64 at once": (64, 1, 1), "both cores full": (64, CORES, CORES), "one at a time": (1, 1, 1),
         "64 servers": (64, 1, 64)}
GOALS = {"64 at once": {"rate": 0.95, "cpu": 1.25}, "both cores full": {"rate": 0.90},
         "one at a time": {"rate": 0.75, "p50": 1.45}}


def direct_rows():
    return [Row(name, load, load[2], goals=GOALS.get(name)) for name, load in LOADS.items()]


def peer_rows(peers_there):
    rows = []
    for peer in peers_there:
        for name in ("64 at once", "both cores full", "one at a time"):
            load = LOADS[name]
            rows.append(Row(name, load, load[2], peer=peer, goals={"rate": peer.goal} if peer.goal else {}))
    return rows


def stream_rows():
    return [Row("stream of 1 GiB, in MiB", (1, 1, 1), mode="stream", length=GIB, goals={"rate": 0.98}),
            Row("round trips, 100 connections", (100, 1, 1), mode="echo", goals={"rate": 0.98})]


def proxy_stream_rows(there):
    """Few: such a slice lasts seconds, and the difference is large."""
    return [Row("stream of 1 GiB, in MiB", (1, 1, 1), mode="stream", length=GIB, peer=peer, slices=3)
            for peer in there if issubclass(peer, peers.Proxy) and not peer.unix]


TABLES = {
    "direct": ("lust-inetd ÷ direct", lambda there: direct_rows()),
    "bare": ("lust-inetd ÷ bare descriptor passing", lambda there: peer_rows([peers.Bare])),
    "stream": ("after the handing over: lust-inetd ÷ direct, ÷ proxies", lambda there: stream_rows() + proxy_stream_rows(there)),
    "peers": ("lust-inetd ÷ peer", peer_rows),
}


class Runner:
    """Starts both sides of a row, measures, ends them."""

    def __init__(self, stage, slices, seconds, tell):
        self.stage, self.slices, self.seconds, self.tell = stage, slices, seconds, tell

    def load(self, row):
        at_once, processes, _ = row.load
        mode = {"answer": "answers", "stream": "stream", "echo": "rounds"}[row.mode]
        return measure.Load(self.stage, at_once, processes, self.seconds, mode, row.length)

    def start_peer(self, row, threads):
        directory = self.stage.fresh(row.peer.program)
        os.mkdir(directory)
        peer = row.peer(self.stage, directory)
        return peer.start(row.servers, row.mode, row.length, threads)

    def best_peer(self, row, load):
        """The peer with the setting that suits this load; the others are ended."""
        variants = {self.start_peer(row, threads): threads for threads in row.peer.threads}
        best = measure.pilot(list(variants), load) if len(variants) > 1 else next(iter(variants))
        for peer in variants:
            if peer is not best:
                peer.stop()
        return best, variants[best]

    def run(self, row):
        load = self.load(row)
        lust = stages.Lust(self.stage).start(row.servers, row.mode, row.length)
        threads = None
        if row.peer:
            other, threads = self.best_peer(row, load)
            outer, inner = lust, other
        else:
            other = stages.Direct(self.stage).start(row.servers, row.mode, row.length)
            outer, inner = other, lust
        pattern = measure.compare(outer, inner, load, row.slices or self.slices, self.tell)
        result = measure.row(pattern, invert=row.peer is not None)
        account = lust.account()
        other.stop()
        lust.stop()
        ours, theirs = (result.pop("outer"), result.pop("inner"))[::1 if row.peer else -1]
        return dict(result, load=row.name, against=row.contender, servers=row.servers, goals=row.goals,
                    lust=ours, other=theirs, threads=threads, account=account)
