"""strace over a daemon from its first moment, and what each of its processes did.

SPDX-License-Identifier: ISC
"""
import collections
import os
import re
import shutil

import pytest

import lustlib

needs_strace = pytest.mark.skipif(bool(lustlib.WRAP) or not shutil.which("strace"),
                                  reason="needs strace, and no valgrind, whose calls it would see")


def trace(daemon, home, calls):
    """The daemon, when it is started, and all that it starts, are traced; the file's name."""
    path = home.join("trace")
    daemon.wrapper = ["strace", "-D", "-f", "-q", "-s", "300", "-e", "signal=none", "-e", "trace=" + calls, "-o", path]
    return path


def read(path):
    """{pid: [line, ...]}: whole calls, without their pid."""
    found = collections.defaultdict(list)
    begun = {}
    with open(path, errors="replace") as file:
        for line in file:
            pid, _, rest = line.rstrip("\n").partition(" ")
            rest = rest.strip()
            if rest.endswith("<unfinished ...>"):
                begun[pid] = rest[:-len("<unfinished ...>")].rstrip()
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>", rest)
            if resumed:
                rest = begun.pop(pid, "") + rest[resumed.end():]
            found[int(pid)].append(rest)
    return found


def executed(calls, program):
    """[(calls before it became the program, calls after), ...] of every process that did."""
    found = []
    for lines in calls.values():
        for number, line in enumerate(lines):
            if line.startswith("execve(") and os.path.basename(line.split('"')[1]) == program and line.endswith("= 0"):
                found.append((lines[:number], lines[number + 1:]))
    return found
