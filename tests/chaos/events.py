"""What can happen to a daemon: each event by name, with what undoes it.

An event gets two random numbers of the schedule, from 0 to 1: which one of several, and how long or how much.
SPDX-License-Identifier: ISC
"""
import contextlib
import os
import shutil
import signal
import subprocess
import time

import lustlib
from stage import FIRST_REAL_TIME, HERE

IN_FLIGHT = 4000       # descriptors that the hog puts in flight
ROOM_IN_FLIGHT = 3800  # RLIMIT_NOFILE of the dispatcher then: less, so that its own sendmsg() is refused
COMMAND_LIMIT = 60     # seconds that a command may take while everything else goes wrong

# In the order of enum misdeed. True: it tells untruths about connections, so that `died` no longer counts what the
# journal of a server without explicit_take leaves open.
MISDEEDS = (("lie-taken", True), ("done-twice", True), ("capacity", False), ("flood", False), ("half-message", True),
            ("descriptors-sent", True), ("push-back", True), ("linger", False), ("cork", False), ("fill-table", False),
            ("small-buffer", False), ("slow", False), ("refuse", False), ("half-answer", False))


def choose(among, which):
    return among[min(int(which * len(among)), len(among) - 1)] if among else None


def owner(pid):
    """Arguments for subprocess: run as this process's user."""
    if not lustlib.ROOT:
        return {}
    words = lustlib.process_status(pid)
    return {"user": int(words["Uid"].split()[0]), "group": int(words["Gid"].split()[0]), "extra_groups": []}


def set_descriptors(pid, soft, hard):
    """RLIMIT_NOFILE of another process: its own user may, root without CAP_SYS_RESOURCE may not."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        subprocess.run(["prlimit", "--pid", str(pid), "--nofile=%d:%d" % (soft, hard)], cwd="/", check=False,
                       stderr=subprocess.DEVNULL, **owner(pid))  # it may be gone


class Events:
    """Does them to a stage. `conductor` has later(seconds, function), note(text) and table(number)."""

    def __init__(self, stage, conductor):
        self.stage, self.conductor = stage, conductor
        self.daemon = stage.daemon
        self.commands = []   # (arguments, process) that run beside all else
        self.tables = 0
        self.liars = [target.name for target in stage.targets if target.explicit]
        self.hog_script = stage.home.join("hog.py")
        shutil.copy(os.path.join(HERE, "hog.py"), self.hog_script)
        os.chmod(self.hog_script, 0o644)

    def do(self, name, which, much):
        number = [word for word, _ in MISDEEDS].index(name) if name in dict(MISDEEDS) else -1
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has died meanwhile
            if number >= 0:
                self.misdeed(number, which)
            else:
                getattr(self, name.replace("-", "_"))(which, much)

    def signal(self, pid, number, what):
        if pid:
            os.kill(pid, number)
            self.conductor.note("%s: %s" % (what, pid))

    def go_on(self, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def stop(self, pid, seconds, what):
        if pid:
            self.signal(pid, signal.SIGSTOP, "stop %s for %.3f s" % (what, seconds))
            self.conductor.later(seconds, lambda: self.go_on(pid))

    # -- processes --

    def kill_server(self, which, _):
        self.signal(choose(self.stage.servers(), which), signal.SIGKILL, "kill server")

    def stop_server(self, which, much):
        self.stop(choose(self.stage.servers(), which), 0.02 + 3 * much ** 2, "server")

    def kill_dispatcher(self, *_):
        self.signal(self.stage.helper("lust-dispatcher"), signal.SIGKILL, "kill dispatcher")

    def stop_dispatcher(self, _, much):
        """Mostly shorter than the supervisor puts up with."""
        self.stop(self.stage.helper("lust-dispatcher"), 5.0 if much > 0.85 else much, "dispatcher")

    def kill_logger(self, *_):
        self.conductor.silences.append(int(time.monotonic() * 1e6))
        self.signal(self.stage.helper("lust-logger"), signal.SIGKILL, "kill logger")

    def stop_logger(self, _, much):
        self.stop(self.stage.helper("lust-logger"), 0.02 + 2 * much ** 2, "logger")

    # -- commands --

    def command(self, *arguments):
        process = subprocess.Popen(
            [lustlib.LUST_INETD, "-r", self.daemon.runtime, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=lustlib.clean_environment(), cwd="/")
        self.conductor.note("command: " + " ".join(arguments))
        self.commands.append((arguments, process))

    def running(self, name):
        return any(arguments[0] == name and process.poll() is None for arguments, process in self.commands)

    def reload(self, *_):
        if self.running("reload") or self.running("upgrade"):
            return  # the table on disk is being read
        self.tables += 1
        self.daemon.write(self.conductor.table(self.tables % 2))
        self.command("reload")

    def roll(self, which, _):
        name = choose([target.name for target in self.stage.targets], which)
        self.command("roll", name)

    def pause(self, which, much):
        name = choose([target.name for target in self.stage.targets], which)
        self.command("pause", name)
        self.conductor.later(0.05 + 2 * much ** 2, lambda: self.command("resume", name))

    def upgrade(self, *_):
        if not self.running("upgrade") and not self.running("reload"):
            self.command("upgrade")

    # -- what the kernel refuses --

    def limit(self, pid, most, seconds):
        with open("/proc/%d/limits" % pid) as file:
            words = [line.split() for line in file if line.startswith("Max open files")][0]
        soft, hard = int(words[3]), int(words[4])
        if most >= soft:
            return
        set_descriptors(pid, most, hard)
        self.conductor.later(seconds, lambda: set_descriptors(pid, soft, hard))

    def emfile(self, which, much):
        """The dispatcher's descriptors are at their limit."""
        pid = self.stage.helper("lust-dispatcher")
        if not pid:
            return
        used = lustlib.descriptors(pid)
        most = (max(used) + 1 if used else 64) + int(which * 8)
        self.conductor.note("dispatcher %d: at most %d descriptors" % (pid, most))
        self.limit(pid, most, 0.02 + 0.5 * much)

    def in_flight(self, _, much):
        """Too many descriptors of the dispatcher's user are in flight: its sendmsg() says ETOOMANYREFS."""
        pid = self.stage.helper("lust-dispatcher")
        used = lustlib.descriptors(pid) if pid else None
        if not pid or (used and len(used) > ROOM_IN_FLIGHT):
            return
        hog = subprocess.Popen([lustlib.PYTHON, "-B", self.hog_script, str(IN_FLIGHT)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, cwd="/", **owner(pid))
        count = hog.stdout.readline().strip()
        self.conductor.note("%s descriptors in flight" % count)

        def release():
            hog.stdin.close()
            hog.stdout.close()
            hog.wait()
        seconds = 0.05 + 0.5 * much
        self.limit(pid, min(ROOM_IN_FLIGHT, max(int(count) - 200, 64)), seconds)
        self.conductor.later(seconds, release)

    # -- servers --

    def misdeed(self, number, which):
        name, untrue = MISDEEDS[number]
        pids = self.stage.servers(*(self.liars if untrue else ()))
        self.signal(choose(pids, which), FIRST_REAL_TIME + number, name)

    # -- the end --

    def failures(self):
        """Commands that hang, or that failed for no reason."""
        wrong = []
        for arguments, process in self.commands:
            try:
                _, error = process.communicate(timeout=COMMAND_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                wrong.append("`%s` hangs" % " ".join(arguments))
                continue
            # A roll fails when the new server is killed, a reload or an upgrade when the dispatcher is: 1, with the reason.
            if process.returncode not in (0, 1) or (process.returncode == 1 and not error.strip()):
                wrong.append("`%s` exited with %d: %s" % (" ".join(arguments), process.returncode, error))
        self.commands.clear()
        return wrong
