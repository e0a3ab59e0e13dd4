"""The plot of the README: each contender's connections per second as a share of the direct server's, in three loads.

Bars begin at 0 on a linear axis that all three panels share. lust-inetd was measured between two slices of the direct server,
peers between two of lust-inetd: a peer's bar is lust-inetd's median share divided by that ratio.
SPDX-License-Identifier: ISC
"""
import math
from xml.sax.saxutils import escape

import stage as stages

LOADS = (("64 at once", "64 at once"), ("both cores full", "both cores full"), ("one at a time", "one at a time"))
LABELS, PANEL, GAP, RIGHT = 186, 178, 58, 62  # the gap and the right edge hold the numbers
TOP, BAR, STEP, BOTTOM = 84, 15, 25, 118
WIDTH = LABELS + 3 * PANEL + 2 * GAP + RIGHT

STYLE = """
    text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
    .back { fill: #ffffff } .small { font-size: 11px; fill: #57606a } .title { font-size: 16px; font-weight: 600 }
    .head { font-weight: 600 } .ours { font-weight: 700 } .grid { stroke: #d0d7de } .limit { stroke: #57606a; stroke-dasharray: 3 3 }
    .whisker { stroke: #24292f; stroke-width: 1.2; fill: none } .goal { stroke: #bc4c00; stroke-width: 2.5 }
    .direct { fill: #8c959f } .lust { fill: #0969da } .proxy { fill: #7cb4ee } .exec { fill: #b6a3d9 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .back { fill: #0d1117 } .small { fill: #9da7b3 } .grid { stroke: #30363d } .limit { stroke: #9da7b3 }
      .whisker { stroke: #e6edf3 } .goal { stroke: #f0883e }
      .direct { fill: #6e7681 } .lust { fill: #58a6ff } .proxy { fill: #3d6fa5 } .exec { fill: #7a68a6 }
    }
"""


def shares(result):
    """{(contender, load): (q1, median, q3)}, and {load: goal}."""
    found, goals = {}, {}
    rows = [row for row in result["rows"] if row["table"] in ("direct", "peers")]
    for row in rows:
        if row["against"] == "direct":
            rate = row["rate"]
            found["lust-inetd", row["load"]] = (rate["q1"], rate["median"], rate["q3"])
            if "rate" in row["goals"]:
                goals[row["load"]] = row["goals"]["rate"]
    for row in rows:
        ours = found.get(("lust-inetd", row["load"]))
        rate = row["rate"]
        if row["against"] != "direct" and ours and None not in (ours[1], rate["median"]):
            found[row["against"], row["load"]] = tuple(ours[1] / rate[name] for name in ("q3", "median", "q1"))
    if not any(name == "lust-inetd" for name, _ in found):
        raise stages.Failure("--svg wants the table `direct`")
    return found, goals


def order(found):
    """direct, ours, then the others, the fastest first."""
    def speed(name):
        values = [value[1] for (who, _), value in found.items() if who == name]
        return -sum(values) / len(values)
    others = sorted({name for name, _ in found} - {"lust-inetd"}, key=speed)
    return ["direct", "lust-inetd"] + others


def kind(name):
    return {"direct": "direct", "lust-inetd": "lust"}.get(name, "proxy" if "(" in name else "exec")


LONG = {"(TCP)": "→ TCP", "(Unix)": "→ Unix socket"}


def label(name):
    for short, long in LONG.items():
        name = name.replace(short, long)
    return {"direct": "accepting by itself", "systemd-socket-activate": "systemd Accept=yes"}.get(name, name)


def percent(share):
    value = share * 100
    return "%.0f %%" % value if value >= 9.5 else "%.1f %%" % value


def text(x, y, what, name="", anchor="start"):
    return '<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>' % (x, y, name, anchor, escape(what))


def segment(x1, y1, x2, y2, name):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>' % (x1, y1, x2, y2, name)


def bar(left, y, scale, name, value, goal=0):
    """With whiskers at the quartiles, and its number behind them and the goal."""
    q1, median, q3 = (scale * part for part in value)
    middle = y + BAR / 2
    yield '<rect x="%.1f" y="%.1f" width="%.1f" height="%d" class="%s"/>' % (left, y, median, BAR, kind(name))
    if name != "direct":
        yield segment(left + q1, middle, left + q3, middle, "whisker")
        for end in (q1, q3):
            yield segment(left + end, middle - 3, left + end, middle + 3, "whisker")
    yield text(left + max(median, q3, scale * goal) + 5, y + 12, percent(value[1]), "ours" if name == "lust-inetd" else "")


def panel(left, load, title, names, found, goals, most):
    """One load."""
    scale = PANEL / most
    bottom = TOP + STEP * len(names)
    yield text(left, TOP - 14, title, "head")
    for tick in range(0, int(most * 100) + 1, 25 if most < 1.2 else 50):
        x = left + scale * tick / 100
        yield segment(x, TOP - 4, x, bottom, "limit" if tick == 100 else "grid")
        yield text(x, bottom + 15, "%d %%" % tick, "small", "middle")
    for at, name in enumerate(names):
        y = TOP + STEP * at + (STEP - BAR) / 2
        value = (1, 1, 1) if name == "direct" else found.get((name, load))
        goal = goals.get(load, 0) if name == "lust-inetd" else 0
        if value:
            yield from bar(left, y, scale, name, value, goal)
        else:
            yield text(left + 5, y + 12, "not measured", "small")
        if goal:
            x = left + scale * goal
            yield segment(x, y - 3, x, y + BAR + 3, "goal")


def caption(result, goals):
    where = result["machine"]
    yield "Bars: connections per second (connect, 128 bytes, end) as a share of the same server accepting by itself; linear, from 0."
    yield "Whiskers: quartiles of the ratios of neighbouring slices (%d of %g s)." % (result["slices"], result["seconds"]) + (
        " Orange marks: the goal." if goals else "") + " Purple: a process for each connection."
    yield "%s, %d cores, %s, Linux %s, loopback; %s; others had %.0f %% of the machine." % (
        where["processor"], where["cores"], where["system"], where["kernel"], where["date"], 100 * result["others"])
    yield ", ".join("%s %s" % item for item in result["versions"].items()) + "."


def draw(result):
    """The SVG."""
    found, goals = shares(result)
    names = order(found)
    highest = max([1.0] + [value[2] for value in found.values()])
    most = math.ceil(highest * 20) / 20
    height = TOP + STEP * len(names) + BOTTOM
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">' % (
        WIDTH, height, WIDTH, height),
        "<title>lust-inetd, the direct server and others: connections per second</title>",
        "<desc>%s</desc>" % escape(" ".join(caption(result, goals))),
        "<style>%s</style>" % escape(STYLE),
        '<rect class="back" width="%d" height="%d" rx="6"/>' % (WIDTH, height),
        text(20, 34, "Connections per second, where accepting by yourself is 100 %", "title")]
    for at, name in enumerate(names):
        out.append(text(LABELS - 12, TOP + STEP * at + 17, label(name), "ours" if name == "lust-inetd" else "", "end"))
    for at, (load, title) in enumerate(LOADS):
        out.extend(panel(LABELS + at * (PANEL + GAP), load, title, names, found, goals, most))
    for at, line in enumerate(caption(result, goals)):
        out.append(text(20, height - BOTTOM + 46 + 17 * at, line, "small"))
    return "\n".join(out) + "\n</svg>\n"
