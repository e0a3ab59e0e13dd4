"""What the tests need to run the installed daemon and to look at it from outside.

Nothing here sleeps for a fixed time and hopes: things are waited for, with a generous limit.
SPDX-License-Identifier: ISC
"""
import contextlib
import ctypes
import glob
import itertools
import json
import os
import pwd
import random
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

PREFIX = os.environ.get("LUST_PREFIX", "/usr/local")
LUST_INETD = os.path.join(PREFIX, "sbin", "lust-inetd")
PRIVATE = os.path.join(PREFIX, "libexec", "lust-inetd")  # dispatcher and logger
EXAMPLES = os.path.join(PREFIX, "libexec", "lust-inetd", "examples")
HELLO_HTTP = os.path.join(EXAMPLES, "hello-http")
BLOCKING = os.path.join(EXAMPLES, "blocking")
LIBLUST = next((path for path in (os.path.join(PREFIX, name, "liblust.so") for name in
                                 ("lib", "lib64", os.path.join("lib", os.uname().machine + "-linux-gnu")))
                if os.path.exists(path)), "")
HELLO_PY = os.path.join(EXAMPLES, "hello.py")
PYTHON = "/usr/bin/python3"
HERE = os.path.dirname(os.path.abspath(__file__))

ROOT = os.geteuid() == 0
SERVER_USER = "www-data"     # of servers, when root runs the daemon
ORDINARY_USER = "nobody"     # who stands for everybody else, when root runs the tests
OUTSIDER = "daemon" if ROOT else None  # runs servers that the daemon did not start; None: as ourselves
OUTSIDER_NAME = OUTSIDER or pwd.getpwuid(os.geteuid()).pw_name
WRAP = shlex.split(os.environ.get("LUST_WRAP", ""))  # before the daemon's command; @HOME@: its directory
LIMIT = int(os.environ.get("LUST_LIMIT", "60"))  # seconds that anything may take before a test gives up

PR_SET_CHILD_SUBREAPER = 36


def sanitized():
    with open(LUST_INETD, "rb") as program:
        return b"__asan_init" in program.read()


SANITIZED = os.path.exists(LUST_INETD) and sanitized()


def adopt_orphans():
    """Processes that lose their parent become ours, where a test sees them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_until(what, condition, limit=LIMIT):
    """Asks again and again until the condition holds; its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s: not within %s seconds" % (what() if callable(what) else what, limit))
        time.sleep(0.01)


def port_cycle():
    """Ports below those that the kernel gives to clients, a range for each worker of pytest-xdist: nobody else takes
    one between its choice and the daemon's bind."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first, size = 10000 + worker % 14 * 1500, 1500
    start = random.randrange(size)
    return (first + (start + n) % size for n in itertools.count())


PORTS = port_cycle()


def is_free(port, host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            sock.bind((host, port))
            sock.listen(1)
            return True
    return False


def free_ports(count, host="127.0.0.1"):
    """Ports that nobody uses now, and that are not given out again soon."""
    ports = []
    while len(ports) < count:
        port = next(PORTS)
        if is_free(port, host):
            ports.append(port)
    return ports


def free_port(host="127.0.0.1"):
    return free_ports(1, host)[0]


# ---- processes, as /proc shows them ----

def alive(pid):
    """Runs; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop(pid):
    """SIGSTOP, and until it has stopped: a system call on its way may still end with what it waited for."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"
    wait_until("%d stops" % pid, stopped)


def children(pid):
    found = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread)) as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descriptors(pid):
    """{number: target}, without valgrind's log, one more of which it leaves open at each exec; None when we may not look."""
    found = {}
    try:
        for name in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink("/proc/%d/fd/%s" % (pid, name))
                if not os.path.basename(target).startswith("valgrind."):
                    found[int(name)] = target
    except PermissionError:
        return None
    return found


def process_status(pid):
    with open("/proc/%d/status" % pid) as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def program(pid):
    with open("/proc/%d/comm" % pid) as file:
        name = file.read().strip()
    if not name.startswith("memcheck"):
        return name
    # Under valgrind: the one of our programs that its arguments name.
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        words = [os.path.basename(word.decode(errors="replace")) for word in file.read().split(b"\0")]
    return next((word for word in words if word.startswith("lust-")), name)


def listening_inodes(port):
    """Socket inodes that listen on this TCP port of 127.0.0.1; on other addresses it may be somebody else's."""
    address = "%08X:%04X" % (struct.unpack("=I", socket.inet_aton("127.0.0.1"))[0], port)
    with open("/proc/net/tcp") as file:
        return {words[9] for words in map(str.split, file) if words[1] == address and words[3] == "0A"}


# ---- the table ----

def quoted(value):
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(quoted(item) for item in value) + "}"
    if isinstance(value, int):
        return str(value)
    return '"%s"' % value


def words(settings, indent):
    return "".join("%s%s = %s\n" % (indent, name.replace("_", "-"), quoted(value)) for name, value in settings.items())


def service(name, listen, server=None, **settings):
    """A service { }; `listen` a port of 127.0.0.1 or addresses; server: the words of server { }."""
    if isinstance(listen, int):
        listen = "127.0.0.1:%d" % listen
    text = 'service "%s" {\n    listen = %s\n%s' % (name, quoted(listen), words(settings, "    "))
    if server is not None:
        server = dict(server)
        if ROOT and "user" not in server:
            server["user"] = SERVER_USER
        text += "    server {\n%s    }\n" % words(server, "        ")
    return text + "}\n"


def hello(name, listen, instances=1, server=None, **settings):
    return service(name, listen, dict({"command": [HELLO_HTTP], "instances": instances}, **(server or {})), **settings)


class Result:
    """What a command said."""

    def __init__(self, arguments, done):
        self.arguments, self.code = arguments, done.returncode
        self.out, self.err = done.stdout, done.stderr

    def __repr__(self):
        return "lust-inetd %s -> %d\n%s%s" % (" ".join(self.arguments), self.code, self.out, self.err)


def clean_environment(extra=None):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            environment[name] = os.environ[name]
    environment.update(extra or {})
    return environment


def as_user(user):
    """Arguments for subprocess: run as this user (None: as ourselves)."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def lust(*arguments, user=None, environment=None, limit=120, cwd="/"):
    """One command, without a daemon of ours in mind."""
    arguments = [str(word) for word in arguments]
    done = subprocess.run([LUST_INETD, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=limit, env=clean_environment(environment), cwd=cwd, **as_user(user))
    result = Result(arguments, done)
    complaint = sanitizer_complaint(result.err)
    assert not complaint, complaint
    return result


def valgrind_complaint(home, supervisors):
    """What valgrind wrote into HOME/valgrind.PID (contrib/test has it do so): errors, and descriptors left open."""
    for path in sorted(glob.glob(os.path.join(home, "valgrind.*"))):
        with open(path, errors="replace") as file:
            text = re.sub(r"^==\d+== ?", "", file.read(), flags=re.M)
        text = re.sub(r"^FILE DESCRIPTORS: .*\n", "", text, flags=re.M)
        # Its own log, and the standard three as they were inherited.
        text = re.sub(r"^Open (file descriptor \d+: \S*/valgrind\.\d+|.*descriptor [012]: .*)\n"
                      r" *<inherited from parent>\n", "", text, flags=re.M)
        # What a child has that ended before its exec is the supervisor's, or for the new program.  The program that is
        # tried for an upgrade, whichever it is, ends with all that the daemon has.
        if int(path.rpartition(".")[2]) not in supervisors and re.search("supervisor_run|supervisor_go_on|/memfd:lust-state", text):
            text = re.sub(r"^Open (?:.+\n)+", "", text, flags=re.M)
        if text.strip():
            return "%s:\n%s" % (path, text[:4000])
    return ""


def sanitizer_complaint(text):
    found = re.search(r"(==\d+==\s*ERROR|ERROR: (Address|Leak)Sanitizer|runtime error:|Assertion .* failed|invariant broken:)", text)
    return text[found.start():found.start() + 4000] if found else ""


SUMS = ("accepted", "pending", "taken", "active", "done", "died", "lost")


def check_invariants(status):
    """The two sums that hold in every answer."""
    assert status["schema"] == 1
    for one in status["services"]:
        count = one["connections"]
        flowed = count["pending"] + count["taken"] + sum(count["denied"].values()) + sum(count["closed"].values()) \
            + count["lost"]
        assert count["accepted"] == flowed, (one["name"], count)
        assert count["taken"] == count["active"] + count["done"] + count["died"], (one["name"], count)
        assert all(0 <= count[name] < 1 << 62 for name in SUMS), (one["name"], count)
        assert count["since"] <= time.time() + 1, (one["name"], count)


class Daemon:
    """One lust-inetd, in a directory of its own."""

    def __init__(self, home, user=None):
        self.home, self.user = home, user
        self.program = LUST_INETD
        self.runtime = os.path.join(home, "r")
        self.table_file = os.path.join(home, "table.conf")
        self.log_file = os.path.join(home, "log")
        self.process = None
        self.before = None
        self.seen = set()         # pids of servers and helpers
        self.supervisors = set()  # pids of the daemon itself
        self.lost_allowed = 0     # only kill -9 of the dispatcher may lose any
        self.exit_code = 0
        self.environment = {}
        self.wrapper = []         # a command that runs the daemon in its own place: strace -D, unshare
        if user:
            entry = pwd.getpwnam(user)
            os.chown(home, entry.pw_uid, entry.pw_gid)

    # -- running --

    def write(self, *parts, file=None):
        """The table, or a file beside it. The daemon's pidfile is always its own: root's default is one for all."""
        path = os.path.join(self.home, file) if file else self.table_file
        text = "\n".join(parts)
        if not file and not re.search(r"^pidfile\b", text, re.M):
            text += '\npidfile = "%s"\n' % os.path.join(self.home, "daemon.pid")
        if file:
            with open(path, "w") as out:
                out.write(text)
            return path
        # At once: a reload that still reads must not find the half of it.
        with open(path + ".new", "w") as out:
            out.write(text)
        os.replace(path + ".new", path)
        return path

    def start(self, *parts, wait=True):
        """Writes the table from its parts and runs the daemon; returns when it says READY and the servers are."""
        if parts:
            self.write(*parts)
        self.spawn()
        self.wait_notified("READY=1")
        if wait:
            self.wait_ready()
            self.baseline()
        return self

    def spawn(self):
        path = os.path.join(self.home, "n")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        os.chmod(path, 0o666)
        self.notified = []
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, *(word.replace("@HOME@", self.home) for word in WRAP),
                 self.program, "-c", self.table_file, "-r", self.runtime, "run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(dict(self.environment, NOTIFY_SOCKET=path)), cwd="/",
                start_new_session=True, **as_user(self.user))
        self.seen.add(self.process.pid)
        self.supervisors.add(self.process.pid)

    def wait_notified(self, word, limit=LIMIT):
        """Until the daemon says so over NOTIFY_SOCKET."""
        end = time.monotonic() + limit
        pidfd = os.pidfd_open(self.process.pid)
        try:
            while not any(word in message.split("\n") for message in self.notified):
                ready, _, _ = select.select([self.notify, pidfd], [], [], max(0, end - time.monotonic()))
                if self.notify in ready:
                    self.notified.append(self.notify.recv(4096).decode())
                    continue
                assert not ready, "lust-inetd ended, %s, before it said %s:\n%s" \
                    % (self.process.wait(), word, self.log())
                assert time.monotonic() < end, "no %s within %s seconds:\n%s" % (word, limit, self.log())
        finally:
            os.close(pidfd)
        self.notified.clear()

    def wait_exit(self, limit=LIMIT):
        code = self.process.wait(limit)
        self.notify.close()
        self.process = None
        return code

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_file, errors="replace") as file:
            return file.read()

    def wait_logged(self, pattern, limit=LIMIT):
        """Until the log has a line like this; its match."""
        return wait_until(lambda: "no %r in the log:\n%s" % (pattern, self.log()[-5000:]),
                          lambda: re.search(pattern, self.log(), re.M), limit)

    # -- commands --

    def command(self, *arguments, user=None, code=0, limit=120, environment=None):
        """A command to this daemon; `code` is the exit code that it must have (None: any)."""
        result = lust("-r", self.runtime, *arguments, user=user or self.user, limit=limit, environment=environment)
        assert code is None or result.code == code, result
        return result

    def reload(self, *parts, code=0):
        if parts:
            self.write(*parts)
        return self.command("reload", code=code)

    def status(self):
        status = json.loads(self.command("status", "--json").out)
        check_invariants(status)
        self.seen.add(status["dispatcher_pid"])
        self.supervisors.add(status["pid"])
        for one in status["services"]:
            self.seen.update(server["pid"] for server in one["servers"])
            assert one["connections"]["lost"] <= self.lost_allowed, one
        return status

    def service(self, name):
        for one in self.status()["services"]:
            if one["name"] == name:
                return one
        raise KeyError(name)

    def servers(self, name):
        """The running servers of a service."""
        return [server for server in self.service(name)["servers"] if server["pid"] > 0]

    def pids(self, name):
        return [server["pid"] for server in self.servers(name) if server["state"] == "ready"]

    def wait_service(self, name, condition, limit=LIMIT):
        """Until condition(the service's status) holds; that status."""
        last = {}

        def holds():
            last.update(self.service(name))
            return condition(last) and last
        return wait_until(lambda: "%s: %s\n%s" % (name, json.dumps(last), self.log()[-4000:]), holds, limit)

    def wait_ready(self, *names, limit=LIMIT):
        """Until every service (or those named) has all the servers that it wants."""
        last = []

        def ready():
            last[:] = [one for one in self.status()["services"] if not names or one["name"] in names]
            return all(one["ready"] >= one["wanted"] for one in last)
        wait_until(lambda: "servers are not ready: %s\n%s" % (json.dumps(last), self.log()[-4000:]), ready, limit)

    # -- again --

    def kill_all(self):
        """kill -9 of the whole daemon at once; its supervised servers end by themselves."""
        pids = [self.pid, self.dispatcher, self.logger]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.wait_exit()
        wait_until("all of the daemon is gone", lambda: not any(alive(pid) for pid in pids))

    def stop(self):
        self.command("stop")
        assert self.wait_exit() == 0

    def start_again(self, *parts):
        """After one of these; what the first one had is what may be left at the end."""
        if parts:
            self.write(*parts)
        self.spawn()
        self.wait_notified("READY=1")

    # -- its other processes --

    @property
    def dispatcher(self):
        return self.status()["dispatcher_pid"]

    @property
    def logger(self):
        """The one that runs; between two there is none for a moment."""
        def running():
            for pid in children(self.pid):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if program(pid) == "lust-logger" and alive(pid):
                        return pid
        return wait_until("a logger", running)

    def wait_new_dispatcher(self, old, limit=LIMIT):
        def new():
            pid = self.dispatcher
            return pid if pid not in (0, old) else 0
        return wait_until("a new dispatcher", new, limit)

    def footprint(self):
        """What must be as before when a test is over."""
        status = self.status()
        dispatcher = descriptors(status["dispatcher_pid"])
        supervisor = descriptors(self.pid)
        return {
            "dispatcher": len(dispatcher) if dispatcher is not None else status["dispatcher"]["fds"],
            "supervisor": len(supervisor) if supervisor is not None else 0,
            "children": len(children(self.pid)),
            "active": sum(one["connections"]["active"] + one["connections"]["pending"] for one in status["services"]),
        }

    def baseline(self):
        """From here on, nothing may stay behind."""
        last = []

        def settled():
            last.append(self.footprint())
            return len(last) > 1 and last[-1] == last[-2] and last[-1]["active"] == 0
        wait_until(lambda: "never at rest: %s" % last[-3:], settled)
        self.before = last[-1]

    def check_leaks(self):
        if not self.before:
            return
        now = {}

        def same():
            now.update(self.footprint())
            # Fewer is no leak: a visitor of control.sock may still have been leaving when the baseline was taken.
            return now["children"] == self.before["children"] and all(now[what] <= self.before[what] for what in now)
        wait_until(lambda: "left behind: %s, was %s\ndispatcher: %s\nsupervisor: %s\n%s" % (
            now, self.before, descriptors(self.dispatcher), descriptors(self.pid), self.log()[-3000:]), same)

    # -- the end --

    def finish(self):
        """Stops it and looks at what it leaves."""
        if self.process and self.process.poll() is None:
            self.check_leaks()
            family = set(children(self.pid))
            self.seen |= family
            self.process.send_signal(signal.SIGTERM)
        if self.process:
            code = self.wait_exit()
            assert code == self.exit_code, "exit code %s:\n%s" % (code, self.log()[-5000:])
        self.check_gone()

    def check_gone(self):
        """No process, no file is left."""
        self.seen.discard(0)
        wait_until(lambda: "still there: %s" % [(pid, program(pid)) for pid in self.seen if alive(pid)],
                   lambda: not any(alive(pid) for pid in self.seen))
        if os.path.isdir(self.runtime):
            left = set(os.listdir(self.runtime)) - {"lock", "empty"}
            assert not left, "left in the runtime directory: %s" % left
        complaint = sanitizer_complaint(self.log()) if os.path.exists(self.log_file) else ""
        assert not complaint, complaint
        complaint = valgrind_complaint(self.home, self.supervisors)
        assert not complaint, complaint

    def kill(self):
        """After a failed test: away with all of it."""
        pids = set(self.seen)
        if self.process:
            pids |= {self.process.pid, *children(self.process.pid)}
        for pid in pids - {0}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.notify.close()
            self.process = None


class Home:
    """A directory that servers of any user can enter, with copies of the scripts that they run."""

    def __init__(self):
        self.path = os.path.join("/tmp", "lust-%d-%s" % (os.getpid(), os.urandom(3).hex()))
        os.mkdir(self.path)
        os.chmod(self.path, 0o755)
        for name in ("badserver.py", "lustwire.py", "libserver.py"):
            shutil.copy(os.path.join(HERE, name), self.path)
            os.chmod(os.path.join(self.path, name), 0o644)
        # Where a server of any user may leave a note.
        os.mkdir(self.join("state"))
        os.chmod(self.join("state"), 0o1777)
        self.outside = []

    def join(self, *names):
        return os.path.join(self.path, *names)

    def bad(self, mode, *options):
        """The command of badserver.py."""
        return [PYTHON, "-B", self.join("badserver.py"), mode, *map(str, options)]

    def bad_service(self, name, listen, mode, *options, instances=1, server=None, **settings):
        command = self.bad(mode, "--state", self.state(name), *options)
        return service(name, listen, dict({"command": command, "instances": instances}, **(server or {})), **settings)

    def state(self, name):
        return self.join("state", name)

    def notes(self, name):
        """[(pid, what), ...] that servers have noted."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.state(name)) as file:
                return [(int(line.split(" ", 1)[0]), line.rstrip("\n").split(" ", 1)[1]) for line in file]
        return []

    def wait_note(self, name, what, limit=LIMIT):
        return wait_until("%s notes %s" % (name, what),
                          lambda: [pid for pid, noted in self.notes(name) if noted.startswith(what)], limit)

    def external(self, daemon, name, mode, *options, user=None):
        """A server started by us, not by the daemon."""
        process = subprocess.Popen(
            self.bad(mode, "--door", daemon.runtime, name, "--state", self.state("external"), *options),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=clean_environment(), **as_user(user))
        self.outside.append(process)
        return process

    def outside_program(self, daemon, name, command, user=None):
        """A program on liblust that finds the daemon by its environment."""
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/",
            env=clean_environment({"LUST_SERVICE": name, "LUST_RUNTIME_DIR": daemon.runtime}), **as_user(user))
        self.outside.append(process)
        return process

    def end_outside(self):
        for process in self.outside:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stderr.close()
        self.outside.clear()

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def reap_strangers():
    """Reaps what has become our child without our wish; tells what still ran, and ends it.

    What has told its verdict and is on its way out, as after a start that failed, has a moment for that."""
    found, end = [], time.monotonic() + 5
    for pid in children(os.getpid()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while alive(pid) and time.monotonic() < end:
                time.sleep(.01)
            if alive(pid):
                found.append("%d %s" % (pid, program(pid)))
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return found


if sys.version_info < (3, 9):
    raise SystemExit("Python 3.9 or newer is needed")
