"""Where the chaos tests play: a network of their own, the programs, the daemon and its clients.

SPDX-License-Identifier: ISC
"""
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "functional"))
import lustlib  # noqa: E402

PROGRAMS = os.environ.get("LUST_CHAOS_PROGRAMS", HERE)
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
CLIENTS_LIMIT = 60   # seconds that a client waits before it counts as hanging
NUMBERS_APART = 40000  # each pool begins on an address of its own
FIRST_REAL_TIME = 34   # glibc's SIGRTMIN


def own_network():
    """A network namespace for this process and its children, where the kernel lets us: no port is taken there, and what
    we leave behind in TIME_WAIT disturbs nobody."""
    if not lustlib.ROOT or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket() as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    return True


class Target:
    """A service of chaos-servers and how clients come to it."""

    def __init__(self, name, how, instances=2, server=(), explicit=False, acknowledge="taken", **settings):
        self.name, self.how, self.instances, self.server = name, how, instances, list(server)
        self.explicit, self.acknowledge, self.settings = explicit, acknowledge, settings
        self.port = lustlib.free_port()

    def table(self, stage, **changes):
        command = [stage.server, "-j", stage.journal, *self.server]
        command += ["-a"] if "a" in self.how else []
        command += ["-L"] if "L" in self.how else []
        command += ["-e"] if self.explicit else []
        settings = dict({"take_timeout": "1s"}, **self.settings)
        if self.acknowledge != "taken":
            settings["acknowledge"] = self.acknowledge
        settings.update(changes)
        instances = settings.pop("instances", self.instances)
        server = {"command": command + [self.name], "instances": instances,
                  "restart_delay": "10ms", "restart_delay_max": "50ms"}
        return lustlib.service(self.name, self.port, server, **settings)


class Stage:
    """One daemon, its servers' journal, and the pools of its clients."""

    def __init__(self, targets):
        self.home = lustlib.Home()
        self.targets = targets
        self.journal = self.home.join("journal")
        self.server = self.program("chaos-server")
        self.pool_program = self.program("chaos-pool")
        with open(self.journal, "wb"):
            os.chmod(self.journal, 0o666)
        self.daemon = lustlib.Daemon(self.home.path)
        self.daemon.lost_allowed = 1 << 30  # who judges is the oracle
        self.pools = 0
        self.pool = None

    def program(self, name):
        """A copy that every user can run: a checkout in /root may be out of reach."""
        path = self.home.join(name)
        shutil.copy(os.path.join(PROGRAMS, name), path)
        os.chmod(path, 0o755)
        return path

    def table(self, changes=None, extra=""):
        parts = ['log-level = "info"\n'] + [target.table(self, **(changes or {}).get(target.name, {}))
                                             for target in self.targets]
        return "".join(parts) + extra

    def start(self, environment=None):
        self.daemon.environment = environment or {}
        self.daemon.start(self.table())
        return self

    # -- clients --

    def open_pool(self, each=16, targets=None):
        """Clients at all targets (or those named), until close_pool(). Their numbers are used once only."""
        self.records = self.home.join("records.%d" % self.pools)
        self.first_number = self.pools * NUMBERS_APART * 256
        self.pools += 1
        self.pool_targets = targets or self.targets
        # The others that a daemon has: our pool must not be the child that lustlib takes for a stranger.
        self.pool = subprocess.Popen(
            [self.pool_program, "-o", self.records, "-c", str(each), "-f", str(self.first_number), "-t", str(CLIENTS_LIMIT),
             *["%d:%s" % (target.port, target.how) for target in self.pool_targets]],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def close_pool(self):
        """No more clients; returns when the last one has ended, whichever way."""
        self.pool.send_signal(signal.SIGTERM)
        out, _ = self.pool.communicate(timeout=CLIENTS_LIMIT + 60)
        assert self.pool.returncode == 0 and out, "the pool failed: %s" % self.pool.returncode
        assert int(out) <= self.pools * NUMBERS_APART * 256, "numbers of two pools overlap: %s" % int(out)
        self.pool = None

    # -- servers --

    def servers(self, *names):
        """pids of running chaos-servers, of these services or of all."""
        found = []
        for pid in sorted(lustlib.children(self.daemon.pid)):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[0].endswith("/chaos-server") and (not names or words[-2] in names):
                found.append(pid)
        return found

    def helper(self, name):
        """The pid of lust-dispatcher or lust-logger; 0 while there is none."""
        for pid in lustlib.children(self.daemon.pid):
            try:
                if lustlib.program(pid) == name and lustlib.alive(pid):
                    return pid
            except (FileNotFoundError, ProcessLookupError):
                continue
        return 0

    # -- the end --

    def settle(self):
        """Until all is as at rest: servers ready, nothing pending or active. The status then."""
        self.daemon.wait_ready()
        last = []

        def at_rest():
            last[:] = self.daemon.status()["services"]
            return all(one["connections"]["active"] == one["connections"]["pending"] == 0 for one in last)
        lustlib.wait_until(lambda: "not at rest: %s" % [(one["name"], one["connections"]) for one in last], at_rest)
        return {one["name"]: one for one in last}

    def memory(self):
        """Anonymous memory of the supervisor, in KiB: what it has allocated and not given back."""
        return int(lustlib.process_status(self.daemon.pid)["RssAnon"].split()[0])

    def finish(self, keep):
        """keep: the files are wanted, to see what went wrong."""
        # Numbers of processes come round: one that was a server minutes ago may be anybody's now. Whom the daemon has
        # left behind has become our child.
        self.daemon.seen = {self.daemon.pid, *lustlib.children(self.daemon.pid)}
        self.daemon.finish()
        strangers = lustlib.reap_strangers()
        assert not strangers, "processes were left: %s" % strangers
        if keep:
            print("  the files are in %s" % self.home.path)
        else:
            self.home.remove()

    def kill(self):
        """After a failure: away with all of it but the files, which tell what happened."""
        if self.pool:
            self.pool.kill()
            self.pool.wait()
        self.daemon.kill()


def accepts_done():
    """Does this daemon know acknowledge = done?"""
    home = lustlib.Home()
    try:
        path = home.join("try.conf")
        with open(path, "w") as file:
            file.write(lustlib.service("t", lustlib.free_port(), {"command": ["/bin/true"]}, acknowledge="done"))
        return lustlib.lust("check", path).code == 0
    finally:
        home.remove()


def commands():
    """The commands that this daemon has."""
    text = lustlib.lust("help").out
    return {word for word in ("up", "down", "roll", "pause", "resume", "upgrade")
            if any(word in line.split("  ")[1].replace(",", " ").split() for line in text.split("\n")
                   if line.startswith("  ") and len(line.split("  ")) > 1)}
