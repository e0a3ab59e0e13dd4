"""The table, the goals beside it, and the same for programs.

SPDX-License-Identifier: ISC
"""
import datetime
import os
import platform
import subprocess

import peers
import stage as stages
import tables

HEAD = ("", "ratio", "(quartiles)", "goal", "CPU ratio", "per s", "CPU us", "server us", "p50 us", "p99", "p99.9", "max", "errors")
WIDTHS = (34, 6, 15, 6, 10, 8, 7, 10, 9, 8, 8, 9, 8)
NOISE = 0.05
QUIET = ": who has more processes gets more of what is left, so these ratios are not to be relied on"
AT_MOST = ("cpu", "p50")  # smaller is better
WHAT = {"rate": "per second", "cpu": "CPU, all server-side processes", "p50": "p50"}


def machine():
    """Where and when."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = " ".join(line.split(":", 1)[1].split())
                break
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release().split("-")[0], "system": system(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def system():
    for line in peers.read_file("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.system()


def versions(there):
    ours = subprocess.run([stages.LUST_INETD, "version"], capture_output=True, text=True).stdout.split()
    found = {"lust-inetd": next((word for word in ours if word[:1].isdigit()), "")}
    for program in sorted({peer.program for peer in there}):
        found[program] = peers.version(program)
    return found


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    for limit, places in ((10, 2), (100, 1)):
        if abs(value) < limit:
            return "%.*f" % (places, value)
    return "%.0f" % value


def line(cells):
    cells = [str(cell) for cell in cells]
    out = cells[0].ljust(WIDTHS[0])
    return (out + "".join(cell.rjust(width) for cell, width in zip(cells[1:], WIDTHS[1:]))).rstrip()


def errors(side):
    return " ".join("%s:%d" % item for item in sorted(side["errors"].items())) or "0"


def side_cells(side):
    latency = side["latency_us"]
    return [number(side["rate"]), number(side["cpu_us"]), number(side["server_cpu_us"]) if side["server_cpu_us"] else "-",
            *(number(latency[name]) for name in ("p50", "p99", "p99.9", "max")), errors(side)]


def row_lines(row):
    """Ours, with what it is to the other; then the other."""
    rate = row["rate"]
    ratio = [number(rate["median"]), "%s..%s" % (number(rate["q1"]), number(rate["q3"])),
             number(row["goals"]["rate"]) if "rate" in row["goals"] else "", number(row["cpu"]["median"])]
    other = row["against"] + (", %d threads" % row["threads"] if (row["threads"] or 1) > 1 else "")
    return [line([row["load"], *ratio, *side_cells(row["lust"])]),
            line(["  ÷ " + other, "", "", "", "", *side_cells(row["other"])])]


def goals(rows):
    """Every goal that was measured: what, at least or at most, reached, met?"""
    found = []
    for row in rows:
        for what, goal in row["goals"].items():
            value = row[what]["median"]
            at_most = what in AT_MOST
            met = value is not None and (value <= goal if at_most else value >= goal)
            found.append({"what": "%s ÷ %s, %s" % (WHAT[what], row["against"], row["load"]), "goal": goal,
                          "at_most": at_most, "measured": value, "met": met})
    return found


def goal_lines(rows):
    for one in goals(rows):
        yield "%-62s %s %5s   %5s  %s" % (one["what"], "at most " if one["at_most"] else "at least", number(one["goal"]),
                                          number(one["measured"]), "met" if one["met"] else "MISSED")


def totals(rows):
    """What the load generator made of lust-inetd, and what lust-inetd counted."""
    sums = {}
    for row in rows:
        for name, value in row["account"].items():
            sums[name] = sums.get(name, 0) + value
    return sums


def text(result):
    """All that is printed at the end."""
    where = result["machine"]
    yield "%s, %d cores, %s, Linux %s, %s" % (where["processor"], where["cores"], where["system"], where["kernel"], where["date"])
    yield ", ".join("%s %s" % item for item in result["versions"].items())
    if result["missing"]:
        yield "not installed, so not measured: %s (--install gets them)" % ", ".join(result["missing"])
    yield "slices of %g s; ratio of neighbours: median of %d and quartiles; CPU and latency in microseconds" % (
        result["seconds"], result["slices"])
    yield "others had %.0f %% of the machine meanwhile%s" % (100 * result["others"], QUIET if result["others"] > NOISE else "")
    for name, (title, _) in tables.TABLES.items():
        rows = [row for row in result["rows"] if row["table"] == name]
        if rows:
            yield ""
            yield title
            yield line(HEAD)
            for row in rows:
                yield from row_lines(row)
    yield ""
    yield from goal_lines(result["rows"])
    sums = result["account"]
    yield ""
    yield "made of lust-inetd: %d connections; it counted accepted %d, taken %d, done %d, died %d, lost %d" % tuple(
        sums[name] for name in ("made", "accepted", "taken", "done", "died", "lost"))
