#!/usr/bin/python3
"""Makes every system call of supervisor and dispatcher fail, one a run, and looks whether anything is lost.

    run.py [--sample N --seed S | --only TEXT] [--jobs N] [--list]

A first run of the scenario records from where the daemon calls what (fault.c). Then one run for each of these places, in
which its call fails, once. Allowed are: a start that is refused with a line and a code, or a daemon that goes through the
whole scenario, in which a client gets one whole answer, or an error that a line of the log explains by its address; which
loses nothing by its own count, whose sums hold, which ends with 0, and which leaves no process and no file.

SPDX-License-Identifier: ISC
"""
import argparse
import concurrent.futures
import errno
import json
import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "functional"))
import clients  # noqa: E402
import lustlib  # noqa: E402

SITES, SITE = 4096, struct.Struct("=QII24s")
HEADER = 64
PROGRAMS = ("supervisor", "dispatcher")
LIMIT = 60
# What glibc's own errors are not about: the usual errno of calls.h, and for some a second one that leads elsewhere.
SECOND = {"sendmsg": [errno.ETOOMANYREFS, errno.EPIPE, errno.ENOBUFS], "accept4": [errno.ECONNABORTED, errno.ENOBUFS],
          "recvmsg": [errno.ECONNRESET, errno.ENOMEM], "read": [errno.EIO], "write": [errno.EPIPE, errno.ENOSPC],
          "kill": [errno.ESRCH], "bind": [errno.EACCES], "open": [errno.EACCES], "openat": [errno.ENOENT],
          "fork": [errno.ENOMEM], "send": [errno.ECONNREFUSED], "sendto": [errno.ECONNREFUSED]}


class Shared:
    """The file of fault.c."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(HEADER + SITES * SITE.size)
        os.chmod(path, 0o666)

    def failed(self):
        with open(self.path, "rb") as file:
            return struct.unpack("=I", file.read(4))[0] != 0

    def sites(self):
        with open(self.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for index in range(SITES):
                key, calls, program, function = SITE.unpack_from(content, HEADER + index * SITE.size)
                if key:
                    yield Site(PROGRAMS[program], function.rstrip(b"\0").decode(), key >> 1, calls)


class Site:
    def __init__(self, program, function, offset, calls, nth=1, error=0):
        self.program, self.function, self.offset, self.calls = program, function, offset, calls
        self.nth, self.error = nth, error

    def variants(self):
        """The first time and, of what is called again and again, one time in the middle; the usual errno and others."""
        for error in [0] + SECOND.get(self.function, []):
            for nth in sorted({1, max(1, self.calls // 2)}):
                yield Site(self.program, self.function, self.offset, self.calls, nth, error)

    def environment(self):
        found = {"LUST_FAULT_SITE": "%s:%s:%x:%d" % (self.program, self.function, self.offset, self.nth)}
        if self.error:
            found["LUST_FAULT_ERROR"] = str(self.error)
        return found

    def spoils_removal(self):
        """A file whose removal fails, or that could not be looked at before, stays: the next start takes it for what it is."""
        return self.function in ("unlink", "unlinkat") or "pidfile.c" in self.where()

    def where(self):
        """function (file:line) of the call, from the debugging information."""
        if self.offset >> 40:
            program = os.path.join(lustlib.PREFIX, "lib", "liblust.so")
        elif self.program == "supervisor":
            program = lustlib.LUST_INETD
        else:
            program = os.path.join(lustlib.PREFIX, "libexec", "lust-inetd", "lust-dispatcher")
        told = subprocess.run(["addr2line", "-f", "-s", "-e", program, "%x" % ((self.offset & (1 << 40) - 1) - 1)],
                              capture_output=True, text=True).stdout.split()
        return "%s (%s)" % tuple(told[:2]) if len(told) >= 2 else "?"

    def __str__(self):
        error = " with " + errno.errorcode[self.error] if self.error else ""
        return "%s: %s in %s, call %d of %d%s" % (self.program, self.function, self.where(), self.nth, self.calls, error)


class Problem(Exception):
    pass


class Run:
    """One daemon, one fault."""

    def __init__(self, library, site=None):
        self.home = tempfile.mkdtemp(prefix="lust-fault-")
        os.chmod(self.home, 0o755)
        self.shared = Shared(os.path.join(self.home, "shared"))
        self.site = site
        self.failures = []
        self.daemon = lustlib.Daemon(self.home)
        self.daemon.lost_allowed = 1 << 32  # judged here
        self.daemon.environment = {"LD_PRELOAD": library, "LUST_FAULT_FILE": self.shared.path}
        if site:
            self.daemon.environment.update(site.environment())

    # ---- the scenario ----

    def table(self, port, other, unix):
        return (lustlib.hello("one", port, instances=2), lustlib.hello("two", [other, "unix:" + unix], instances=1))

    def ask(self, address, times):
        for _ in range(times):
            try:
                reply = clients.get(address, limit=LIMIT)
                if reply.status != 200:
                    raise Problem("a client got %s" % (reply,))
            except clients.Failure as failure:
                self.failures.append((address, failure))

    def command(self, *words):
        """Commands may fail, and say why; they may not hang."""
        for _ in range(3):  # the fault may hit the command: then it is said again
            done = lustlib.lust("-r", self.daemon.runtime, *words, limit=LIMIT)
            if done.code == 0:
                break
            if not done.err.strip():
                raise Problem("`%s` ended with %d and said nothing" % (" ".join(words), done.code))
        return done

    def kill(self, pid):
        if pid > 0:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def status(self):
        done = self.command("status", "--json")
        if done.code != 0:
            raise Problem("no status: %r" % (done,))
        status = json.loads(done.out)
        lustlib.check_invariants(status)
        return status

    def scenario(self, ports):
        unix = os.path.join(self.home, "sock")
        addresses = ports[0], ports[1], unix
        for address in addresses:
            self.ask(address, 3)
        self.command("reload")
        self.daemon.write(*self.table(ports[0], "127.0.0.1:%d" % ports[2], unix))
        self.command("reload")
        self.ask(ports[2], 2)
        status = self.status()
        self.kill(next((server["pid"] for server in status["services"][0]["servers"]), 0))
        self.ask(ports[0], 3)
        self.command("roll", "two")
        self.command("pause", "one")
        self.command("resume", "one")
        self.command("down", "two")
        self.command("up", "two")
        self.ask(unix, 2)
        self.command("upgrade")
        self.ask(ports[0], 2)
        self.kill(self.status()["dispatcher_pid"])
        self.ask(ports[0], 3)
        self.kill(self.daemon.logger)
        self.ask(ports[2], 2)

    # ---- judging ----

    def log(self):
        return self.daemon.log()

    def refused_start(self):
        """The daemon did not come up: it must have said why."""
        code = self.daemon.wait_exit(LIMIT)
        if code <= 0:
            raise Problem("ended with %d at start" % code)
        if not re.search(r"^(\S+ (error|warning) )?(lust-inetd|lust-dispatcher|\S+table\.conf)[:\[].*", self.log(), re.M):
            raise Problem("refused to start and did not say why (%d)" % code)

    def wait_until(self, what, condition):
        try:
            return lustlib.wait_until(what, condition, LIMIT)
        except AssertionError as error:
            raise Problem(str(error)) from None

    def wait_up(self):
        """READY over NOTIFY_SOCKET, or an answer to `status` where the fault hit that; False: it refused."""
        def answers():
            if self.daemon.process.poll() is not None:
                return "refused"
            done = lustlib.lust("-r", self.daemon.runtime, "status", "--json", limit=LIMIT)
            services = json.loads(done.out)["services"] if done.code == 0 else []
            return "up" if services and all(one["ready"] >= one["wanted"] for one in services) else ""
        if self.wait_until("it comes up", answers) == "up":
            return True
        self.refused_start()
        return False

    def wait_settled(self):
        def at_rest():
            status = self.status()
            counts = [one["connections"] for one in status["services"]]
            ready = all(one["ready"] >= one["wanted"] for one in status["services"])
            return status if ready and not any(count["pending"] + count["active"] for count in counts) else None
        return self.wait_until("it comes to rest", at_rest)

    def judge(self, status):
        """By what the log says at the end of the daemon: its lines come when the logger has the processor."""
        log = self.log()
        lost = sum(one["connections"]["lost"] for one in status["services"])
        if lost > len(re.findall(r"lost", log)):
            raise Problem("%d lost, and the log does not say so" % lost)
        explained = len(re.findall(r"connection \S+ (from|of) .*(closed|lost|died|taken)|were lost|accept4?:|may have lost", log))
        if len(self.failures) > explained:
            raise Problem("%d clients failed, %d explained: %s" % (len(self.failures), explained, self.failures))

    def stop(self):
        self.daemon.process.send_signal(signal.SIGTERM)
        code = self.daemon.wait_exit(LIMIT)
        if code != 0:
            raise Problem("ended with %d" % code)

    def go(self):
        """Empty, or what is wrong."""
        ports = lustlib.free_ports(3)
        try:
            self.daemon.write(*self.table(ports[0], "127.0.0.1:%d" % ports[1], os.path.join(self.home, "sock")))
            self.daemon.spawn()
            if self.wait_up():
                self.scenario(ports)
                status = self.wait_settled()
                self.stop()
                self.judge(status)
            if not (self.site and self.site.spoils_removal()):
                self.daemon.check_gone()
            return ""
        except Problem as problem:
            return str(problem)
        except Exception as error:  # whatever it is, it is this fault's
            return "%s: %s" % (type(error).__name__, error)

    def end(self):
        if self.daemon.process:
            self.daemon.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def compile_library(place):
    library = os.path.join(place, "fault.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(HERE, "fault.c"), "-ldl"], check=True)
    return library


def record(library):
    run = Run(library)
    try:
        problem = run.go()
        if problem or run.failures:
            raise SystemExit("without any fault: %s %s\n%s" % (problem, run.failures, run.log()))
        return sorted(run.shared.sites(), key=lambda site: (site.program, site.function, site.offset))
    finally:
        run.end()


def try_one(library, site):
    run = Run(library, site)
    try:
        problem = run.go()
        return site, run.shared.failed(), problem, run.log() if problem else ""
    finally:
        run.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, help="so many faults, chosen by --seed")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", help="faults whose description holds this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    lustlib.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="lust-fault-lib-") as place:
        os.chmod(place, 0o755)
        library = compile_library(place)
        faults = [fault for site in record(library) for fault in site.variants()]
        if options.only:
            faults = [fault for fault in faults if options.only in str(fault)]
        if options.sample and options.sample < len(faults):
            print("seed %d: %d of %d faults" % (options.seed, options.sample, len(faults)))
            faults = random.Random(options.seed).sample(faults, options.sample)
        if options.list:
            print("\n".join(map(str, faults)))
            return 0
        return run_all(library, faults, options.jobs)


def run_all(library, faults, jobs):
    passed = failed = missed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for site, hit, problem, log in pool.map(lambda fault: try_one(library, fault), faults):
            if problem:
                failed += 1
                print("FAILED %s\n    %s\n%s" % (site, problem, "".join("    | %s\n" % line for line in log.splitlines()[-25:])))
            elif hit:
                passed += 1
            else:
                missed += 1  # its turn did not come in this run
            sys.stdout.flush()
    if missed:
        print("%d faults: the run did not come by their place so often" % missed)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
