"""Where the benchmark plays: a directory, ports and processes of its own, the direct server and the daemon.

SPDX-License-Identifier: ISC
"""
import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = os.environ.get("LUST_PREFIX", "/usr/local")
LUST_INETD = os.path.join(PREFIX, "sbin", "lust-inetd")
BUILT = os.environ.get("LUST_BENCH_PROGRAMS", "")
ROOT = os.geteuid() == 0
LIMIT = 30  # seconds that a start or an end may take
TICK_NS = 1000000000 // os.sysconf("SC_CLK_TCK")
LEAVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ANSWER = bytes(range(128))
SOURCES = {"bench-load": ["load.c", "client.c", "app.c"], "bench-direct": ["direct.c", "app.c"],
           "bench-bare": ["bare.c", "app.c"], "bench-server": ["server.c", "app.c"], "bench-answer": ["answer.c"]}
libc = ctypes.CDLL(None)


class Failure(Exception):
    """What ends the benchmark with one line."""


def program(main):
    """Ends the process with what main returns; with one line, and nothing left behind, when it fails or is told to leave."""
    def leave(number, frame):
        raise KeyboardInterrupt
    for number in LEAVE:
        signal.signal(number, leave)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nbench: stopped")
    except Failure as failure:
        sys.exit("bench: %s" % failure)


@contextlib.contextmanager
def undisturbed():
    """All that was started goes, however impatient somebody is; who asks to leave meanwhile is heard afterwards."""
    came = []
    handlers = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in LEAVE}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            os.kill(os.getpid(), came[0])


def wait_until(what, condition):
    """Asks until the condition holds; its value."""
    end = time.monotonic() + LIMIT
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("%s: not within %d s" % (what, LIMIT))
        time.sleep(0.005)


def children(pid):
    """All processes below this one."""
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as file:
            for child in map(int, file.read().split()):
                found += [child] + children(child)
    return found


def cpu_ns(pids):
    """What these processes have used so far, all threads, and those of their children that have ended."""
    total = 0
    for pid in pids:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                total += int(file.read().split()[0])
        with open("/proc/%d/stat" % pid) as file:
            words = file.read().rpartition(")")[2].split()
        total += (int(words[13]) + int(words[14])) * TICK_NS
    return total


def prefer(pids, nice):
    """Before others, or behind them. Where the kernel shares out the processor by session first (sched_autogroup_enabled), a
    process's own niceness counts within its session only."""
    for pid in pids if nice else ():
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        with contextlib.suppress(FileNotFoundError), open("/proc/%d/autogroup" % pid, "w") as file:
            file.write(str(nice))


def end_child(pid):
    """The child is waited for; SIGKILL to its group when it takes its time, and for what it leaves there."""
    def ended():
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    end = time.monotonic() + 10
    while not ended() and time.monotonic() < end:
        time.sleep(0.005)
    # Not reaped yet, so the number of the group is still its own.
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Stage:
    """Directory, programs, ports, and everything that was started: all of it is gone after close()."""

    def __init__(self, nice=0):
        self.nice = nice
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # whom a server leaves behind comes to us, to be ended
        os.umask(0o022)
        self.path = tempfile.mkdtemp(prefix="lust-bench.")
        os.chmod(self.path, 0o755)  # servers of other users run from here
        self.processes = []
        # Below those that the kernel gives to clients, above those that the functional tests take.
        self.ports = iter(random.sample(range(31000, 32768), 1768))
        self.claims = []
        self.names = 0

    def join(self, name):
        return os.path.join(self.path, name)

    def fresh(self, name):
        """A path that nobody has used."""
        self.names += 1
        return self.join("%s.%d" % (name, self.names))

    def port(self):
        """A free one. Between now and the contender's bind no other benchmark takes it: as long as we are there, a name says that
        it is ours."""
        for port in self.ports:
            with socket.socket() as sock, contextlib.suppress(OSError):
                sock.bind(("0.0.0.0", port))
                claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self.claims.append(claim)
                claim.bind("\0lust-bench-port-%d" % port)
                return port
        raise Failure("no free port")

    # -- programs --

    def build(self):
        """The programs, where every user can run them: those that make has built, or compiled here."""
        for name, sources in SOURCES.items():
            path = self.join(name)
            if BUILT:  # libtool leaves a script in the place of a program that needs an uninstalled library
                inner = os.path.join(BUILT, ".libs", name)
                shutil.copy(inner if os.path.exists(inner) else os.path.join(BUILT, name), path)
            else:
                self.compile(path, sources, name)
            os.chmod(path, 0o755)

    def compile(self, path, sources, name):
        base = [os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", path]
        base += [os.path.join(HERE, source) for source in sources]
        libraries = os.path.dirname(self.liblust())
        if name == "bench-server":
            base += ["-I" + os.path.join(PREFIX, "include"), "-L" + libraries, "-Wl,-rpath," + libraries, "-llust"]
        if name == "bench-answer" and subprocess.run(base + ["-static"], stderr=subprocess.DEVNULL).returncode == 0:
            return
        if subprocess.run(base).returncode != 0:
            raise Failure("%s does not compile" % name)

    @staticmethod
    def liblust():
        for name in ("lib", "lib64", os.path.join("lib", os.uname().machine + "-linux-gnu")):
            path = os.path.join(PREFIX, name, "liblust.so")
            if os.path.exists(path):
                return path
        raise Failure("no liblust.so in %s: make install first, or say LUST_PREFIX" % PREFIX)

    # -- processes --

    def start(self, command, **how):
        """A process of ours in a session of its own, which ends when we end; its output goes to a file."""
        us = os.getpid()

        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != us:
                os._exit(1)
            prefer([os.getpid()], self.nice)
        log = self.fresh(os.path.basename(command[0]) + ".log")
        with open(log, "wb") as file:
            how = dict({"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}, **how)
            process = subprocess.Popen(command, start_new_session=True, preexec_fn=prepare, **how)
        process.log = log
        self.processes.append(process)
        return process

    @staticmethod
    def tail(process):
        with open(process.log, errors="replace") as file:
            return "".join(file.readlines()[-5:]).strip()

    def alive(self, process):
        if process.poll() is not None:
            raise Failure("%s ended: %s" % (process.args[0], self.tail(process)))

    def end(self, process):
        """Asks it to go, and waits until it has gone."""
        if process in self.processes:
            self.processes.remove(process)
            if process.poll() is None:
                process.terminate()
                end_child(process.pid)
                process.wait()
            if process.stdout:
                process.stdout.close()

    def close(self):
        with undisturbed():
            self.end_all()
            shutil.rmtree(self.path, ignore_errors=True)

    def end_all(self):
        for process in list(reversed(self.processes)):
            self.end(process)
        for pid in children(os.getpid()):  # left behind by what we started
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, 0):
                pass
        except ChildProcessError:
            pass
        for claim in self.claims:
            claim.close()


class Contender:
    """Something that answers at a port. pids: all server-side processes; server_pids: the application alone."""
    name = ""
    port = 0
    pids = server_pids = ()

    def __init__(self, stage):
        self.stage = stage
        self.processes = []

    def probe(self, mode="answer"):
        """Answers already?"""
        for process in self.processes:
            self.stage.alive(process)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as sock:
                if mode == "echo":
                    sock.sendall(ANSWER[:1])
                got = sock.recv(len(ANSWER))
                while mode == "answer" and len(got) <= len(ANSWER):
                    part = sock.recv(len(ANSWER))
                    got += part
                    if not part:
                        return got == ANSWER
                return got != b""
        except OSError:
            return False

    def stop(self):
        for process in reversed(self.processes):
            self.stage.end(process)
        self.processes = []


def mode_arguments(mode, length):
    return ["-m", mode] + (["-b", str(length)] if length else [])


class Direct(Contender):
    """The application accepting by itself; behind the proxies, too."""
    name = "direct"

    def start(self, servers, mode="answer", length=0, path=None):
        self.port = self.stage.port()
        process = self.stage.start([self.stage.join("bench-direct"), *mode_arguments(mode, length), "-n", str(servers),
                                    path or str(self.port)], stdout=subprocess.PIPE)
        self.processes = [process]
        if process.stdout.readline() != b"ready\n":
            process.wait()
            self.stage.alive(process)
        self.pids = self.server_pids = [process.pid, *children(process.pid)]
        return self


def lust_table(stage, port, servers, mode, length, runtime, user="nobody"):
    words = [stage.join("bench-server"), *mode_arguments(mode, length)]
    with open(os.path.join(HERE, "conf", "lust-inetd.conf")) as file:
        text = file.read()
    return fill(text, {
        "RUNTIME": runtime, "PORT": port, "INSTANCES": servers,
        "COMMAND": ", ".join('"%s"' % word for word in words),
        "USER": 'user = "%s"' % user if ROOT and user else "",
        "LIBRARIES": os.path.dirname(stage.liblust())})


def fill(text, values):
    for name, value in values.items():
        text = text.replace("@%s@" % name, str(value))
    return text


class Lust(Contender):
    """The daemon and application servers on liblust."""
    name = "lust-inetd"

    def start(self, servers, mode="answer", length=0):
        self.port = self.stage.port()
        self.made = 0  # connections that the load generator made
        runtime = self.stage.fresh("run")
        self.table = self.stage.fresh("lust-inetd.conf")
        with open(self.table, "w") as file:
            file.write(lust_table(self.stage, self.port, servers, mode, length, runtime))
        process = self.stage.start([LUST_INETD, "-c", self.table, "run"])
        self.processes = [process]

        def ready():
            self.stage.alive(process)
            status = self.status()
            return status and status["ready"] == status["wanted"] == servers
        wait_until("lust-inetd and %d servers" % servers, ready)
        self.pids = [process.pid, *children(process.pid)]
        self.server_pids = [one["pid"] for one in self.status()["servers"]]
        prefer(self.pids, self.stage.nice)  # each server is a session of its own
        return self

    def status(self):
        """The service, or None while there is no daemon."""
        done = subprocess.run([LUST_INETD, "-c", self.table, "status", "--json"], capture_output=True, text=True)
        try:
            return json.loads(done.stdout)["services"][0]
        except (ValueError, LookupError):
            return None

    def account(self):
        """What the daemon has counted, at rest, beside what was made."""
        def at_rest():
            counted = self.status()["connections"]
            return counted if counted["pending"] == counted["active"] == 0 else None
        counted = wait_until("lust-inetd at rest", at_rest)
        account = {name: counted[name] for name in ("accepted", "taken", "done", "died", "lost")}
        return dict(account, made=self.made)
