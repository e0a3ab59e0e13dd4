"""The judge: what clients saw, what servers wrote down, what the daemon logged and counted must be one story.

Each client got one whole correct answer and its end, or an error that is explained by its connection's number:
  logged   the daemon's log names it: lost, or closed and why
  died     its server had taken it and died, as journal and log say; with acknowledge = done this counts only
           when the dispatcher that kept a copy has died, too
Nothing else counts as an explanation, but for one narrow case that is counted: a server on liblust says TAKEN a moment
before it can write so down, so of those that nobody names there may be as many as the daemon counted in `died`
beyond the journal's, and one for each line that says the dispatcher was killed in accept.  And a logger that is killed
takes with it what it had read: who ended in the moments before that is excused, and counted as such.
SPDX-License-Identifier: ISC
"""
import collections
import re
import struct

POOL = struct.Struct("=QIIIIQQ")
JOURNAL = struct.Struct("=QQIIQ")
OUTCOMES = ("ok", "refused", "connect", "empty", "short", "reset", "wrong", "twice", "no_end", "hung")
EXPLICABLE = {"empty", "short", "reset", "no_end"}
RECEIVED, TAKES, TAKEN, ANSWERS, DONE, REFUSES, ALIEN, TAKE_FAILED, LEFT = range(1, 10)
NETWORK, FIRST_PORT, PORTS = 0x7f100000, 20000, 40000
LOST_A_KILL = 64
SILENCE_BEFORE, SILENCE_AFTER = 3000000, 200000  # us around the death of a logger, which may have been stopped before

CONNECTION = re.compile(r"connection (\d+:\d+) from 127\.(\d+)\.(\d+)\.(\d+):(\d+) (lost|closed): (.*)")
IN_ACCEPT = re.compile(r"(\S+?)(?:\[\d+\])?: the dispatcher was killed in accept")
ENDED = re.compile(r"\(pid (\d+)\) ended: ")
TELLTALE = re.compile(r"(is stalled|cannot accept connections|could not take \d+ descriptors|broke the protocol|"
                      r"answered for a connection that it does not hold|longer than 2 s)")
STARTED = re.compile(r"dispatcher started, generation (\d+)")
DROPPED = re.compile(r"(\d+) events of the dispatcher were not logged")

Client = collections.namedtuple("Client", "number outcome service pid bytes began ended")
Deed = collections.namedtuple("Deed", "number id pid deed time")


def address(number):
    network = NETWORK + number // PORTS
    return "%d.%d.%d.%d:%d" % (network >> 24, network >> 16 & 255, network >> 8 & 255, network & 255,
                               FIRST_PORT + number % PORTS)


def number_of(match):
    network = 127 << 24 | int(match.group(2)) << 16 | int(match.group(3)) << 8 | int(match.group(4))
    return (network - NETWORK) * PORTS + int(match.group(5)) - FIRST_PORT


def read_clients(path, targets):
    with open(path, "rb") as file:
        data = file.read()
    assert len(data) % POOL.size == 0, "%s: half a record" % path
    return [Client(number, OUTCOMES[outcome], targets[target].name, pid, size, began, ended)
            for number, outcome, target, pid, size, began, ended in POOL.iter_unpack(data)]


def read_journal(path, offset):
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read()
    assert len(data) % JOURNAL.size == 0, "%s: half a record" % path
    return [Deed(*fields) for fields in JOURNAL.iter_unpack(data)], offset + len(data)


class Log:
    """What the daemon's log says of connections and deaths."""

    def __init__(self, text, silences):
        self.silences = silences
        self.lines = {}                        # number: line
        self.lost = collections.Counter()       # by the dispatcher's generation
        self.closed = collections.Counter()     # by reason
        self.in_accept = collections.Counter()  # by service
        self.newest = max(map(int, STARTED.findall(text)), default=0)
        self.dead, self.dropped = set(), 0
        self.told = collections.Counter(re.sub(r"\d+ ", "", found) for found in TELLTALE.findall(text))
        for line in text.split("\n"):
            found = CONNECTION.search(line)
            if found:
                self.lines[number_of(found)] = line
                if found.group(6) == "lost":
                    self.lost[int(found.group(1).split(":")[0])] += 1
                else:
                    self.closed[found.group(7)] += 1
                continue
            found = IN_ACCEPT.search(line)
            if found:
                self.in_accept[found.group(1)] += 1
            self.dead.update(int(pid) for pid in ENDED.findall(line))
            for count in DROPPED.findall(line):
                self.dropped += int(count)


class Journal:
    """What the servers wrote, by connection."""

    def __init__(self, deeds):
        self.by_number = collections.defaultdict(list)
        for deed in deeds:
            self.by_number[deed.number].append(deed)

    def holder(self, number):
        """The pid that took it (or was about to) and has not finished; 0: nobody."""
        held = 0
        for deed in self.by_number.get(number, ()):
            if deed.deed in (TAKES, TAKEN, ANSWERS):
                held = deed.pid
            elif deed.deed in (DONE, LEFT, TAKE_FAILED, REFUSES) and deed.pid == held:
                held = 0
        return held

    def generation(self, number):
        """Of the dispatcher that it was last taken from."""
        return max((deed.id >> 48 for deed in self.by_number.get(number, ()) if deed.deed == TAKEN), default=0)

    def times(self, number, what):
        return [deed.pid for deed in self.by_number.get(number, ()) if deed.deed == what]

    def story(self, number):
        names = ("", "received", "takes", "taken", "answers", "done", "refuses", "alien", "take-failed", "left")
        return ", ".join("%s by %d (%d:%d) at %.6f" % (names[deed.deed], deed.pid, deed.id >> 48, deed.id & (1 << 48) - 1,
                                                         deed.time / 1e6) for deed in self.by_number.get(number, ())) or "nothing"


class Verdict:
    """Everything that was found; `wrong` is empty when all is well."""

    def __init__(self):
        self.wrong = []
        self.outcomes = collections.Counter()
        self.explained = collections.Counter()
        self.again = 0     # answered more than once, with acknowledge = done
        self.lost = 0

    def complain(self, text, *arguments):
        self.wrong.append(text % arguments)

    def add(self, other):
        self.wrong += other.wrong
        self.outcomes += other.outcomes
        self.explained += other.explained
        self.again += other.again
        self.lost += other.lost
        return self

    def text(self):
        return "%d connections: %s; explained: %s; %d lost%s" % (
            sum(self.outcomes.values()), ", ".join("%d %s" % (n, name) for name, n in sorted(self.outcomes.items())),
            ", ".join("%d %s" % (n, name) for name, n in sorted(self.explained.items())) or "none needed", self.lost,
            "; %d answered again (acknowledge = done)" % self.again if self.again else "")


def judge_twice(verdict, target, client, journal):
    for what, word in ((TAKEN, "taken"), (ANSWERS, "answered")):
        pids = journal.times(client.number, what)
        if len(pids) < 2:
            continue
        if target.acknowledge == "done":
            verdict.again += what == ANSWERS
        else:
            verdict.complain("%s: %s was %s %d times: %s", target.name, address(client.number), word, len(pids),
                             journal.story(client.number))


def judge_answer(verdict, client, journal):
    """A client is content: one server says the same."""
    if client.pid not in journal.times(client.number, ANSWERS):
        verdict.complain("%s: %s was answered by %d, who did not write so down: %s", client.service,
                         address(client.number), client.pid, journal.story(client.number))


def in_silence(client, silences):
    return any(at - SILENCE_BEFORE < client.ended < at + SILENCE_AFTER for at in silences)


def judge_error(verdict, target, client, log, journal, unnamed):
    line = log.lines.get(client.number)
    if client.outcome not in EXPLICABLE:
        verdict.complain("%s: %s: %s; log: %s; journal: %s", client.service, address(client.number), client.outcome, line,
                         journal.story(client.number))
        return
    holder = journal.holder(client.number)
    if line:
        verdict.explained["logged"] += 1
    elif holder in log.dead and (target.acknowledge == "taken" or journal.generation(client.number) < log.newest):
        verdict.explained["died"] += 1
    elif in_silence(client, log.silences):
        verdict.explained["logger killed"] += 1
    else:
        unnamed[client.service].append(client)


def judge_unnamed(verdict, target, clients, died, log, journal):
    """Those that nothing names, within what the counters leave room for."""
    journaled = sum(1 for number in journal.by_number
                    if number not in log.lines and journal.holder(number) in log.dead)
    room = log.in_accept[target.name] + (max(0, died - journaled) if not target.explicit else 0)
    verdict.explained["counted"] += min(room, len(clients))
    if len(clients) <= room:
        return
    for client in clients[:20]:
        verdict.complain("%s: %s: %s (%d bytes) and nobody says why, %.6f to %.6f; journal: %s", client.service,
                         address(client.number), client.outcome, client.bytes, client.began / 1e6, client.ended / 1e6,
                         journal.story(client.number))
    verdict.complain("%s: %d connections were lost without a word, there is room for %d (%d events dropped by the log)",
                     target.name, len(clients), room, log.dropped)


def delta(before, after):
    """What each counter of a service grew by."""
    grown = {}
    for name, value in after["connections"].items():
        if isinstance(value, dict):
            grown[name] = sum(value.values()) - sum(before["connections"][name].values())
        else:
            grown[name] = value - before["connections"][name]
    return grown


def judge_counters(verdict, target, clients, grown, log, kills):
    came = sum(1 for client in clients if client.outcome not in ("refused", "connect"))
    if not came <= grown["accepted"] <= came + kills:
        verdict.complain("%s: %d clients came, %d were accepted", target.name, came, grown["accepted"])
    if grown["denied"]:
        verdict.complain("%s: %d were denied", target.name, grown["denied"])


def judge_lost(verdict, grown, log, kills, most):
    lost = sum(one["lost"] for one in grown.values())
    told = sum(log.lost.values()) + sum(log.in_accept.values())
    verdict.lost = lost
    if lost and not kills:
        verdict.complain("%d lost, and no dispatcher was killed", lost)
    for generation, count in log.lost.items():
        if most and count > most:
            verdict.complain("%d connections of dispatcher %d were lost, %d are the most", count, generation, most)
    if told > lost or (told < lost and not log.silences):
        verdict.complain("%d are counted as lost, %d are in the log (%d events dropped)", lost, told, log.dropped)


def judge(targets, clients, deeds, text, before, after, kills, most_lost=0, silences=()):
    """kills: how often the dispatcher was killed, by us or by the supervisor. most_lost: each time; 0: any number, as
    what was taken back from dead servers is in its hands besides the batch. silences: when loggers were killed, us."""
    log, verdict = Log(text, silences), Verdict()
    by_target = collections.defaultdict(list)
    numbers = {}
    for client in clients:
        by_target[client.service].append(client)
        numbers[client.number] = client.service
        verdict.outcomes[client.outcome] += 1
    assert len(numbers) == len(clients), "a number was used twice"
    journals = {target.name: [] for target in targets}
    for deed in deeds:
        if deed.number in numbers:
            journals[numbers[deed.number]].append(deed)
        if deed.deed == ALIEN:
            verdict.complain("a server read the request of another connection than %s", address(deed.number))
    grown = {name: delta(before[name], after[name]) for name in journals}
    for target in targets:
        journal, unnamed = Journal(journals[target.name]), collections.defaultdict(list)
        for client in by_target[target.name]:
            judge_twice(verdict, target, client, journal)
            if client.outcome == "ok":
                judge_answer(verdict, client, journal)
            else:
                judge_error(verdict, target, client, log, journal, unnamed)
        judge_unnamed(verdict, target, unnamed[target.name], grown[target.name]["died"], log, journal)
        judge_counters(verdict, target, by_target[target.name], grown[target.name], log, kills)
    judge_lost(verdict, grown, log, kills, most_lost)
    return verdict, grown, log
