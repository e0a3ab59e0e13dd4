"""The others, each with its settings from conf/: what is installed is measured, what is not is said.

SPDX-License-Identifier: ISC
"""
import glob
import os
import pwd
import re
import shutil
import subprocess

import stage as stages

CONF = os.path.join(stages.HERE, "conf")
WORK = os.environ.get("LUST_BENCH_WORK", os.path.expanduser("~/.cache/lust-bench"))  # for what --install unpacks
SEARCH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
def find(program):
    """Its path, or None."""
    if program != "openbsd-inetd":
        return shutil.which(program, path=SEARCH)
    # Several packages install /usr/sbin/inetd: which one it is, its documents tell.
    unpacked = os.path.join(WORK, "openbsd-inetd", "usr", "sbin", "inetd")
    if os.access(unpacked, os.X_OK):
        return unpacked
    return "/usr/sbin/inetd" if os.path.isdir("/usr/share/doc/openbsd-inetd") and os.access("/usr/sbin/inetd", os.X_OK) else None


def version(program):
    """As it says itself, or as the package that it comes from does; "" when neither tells."""
    if program == "openbsd-inetd":
        return last_number(read_file(os.path.join(WORK, "openbsd-inetd", "version")) or package_version(program))
    if program == "tcpserver":
        return last_number(package_version("ucspi-tcp"))
    flag = {"haproxy": "-v", "nginx": "-v", "xinetd": "-version"}.get(program, "--version")
    done = subprocess.run([find(program), flag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    return last_number(done.stdout.split("\n")[0])


def package_version(package):
    if not shutil.which("dpkg-query", path=SEARCH):
        return ""
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True).stdout


def read_file(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def last_number(text):
    """2.6.12 of "HAProxy version 2.6.12-1+deb12u4 2026/10/17", 0.88 of "1:0.88-7"."""
    found = re.search(r"(?:^|[^0-9.:])(?:\d+:)?(\d[\d.]*)", text)
    return found.group(1) if found else ""


class Peer(stages.Contender):
    program = ""
    threads = (1,)    # settings to choose among
    goal = None       # what lust-inetd ÷ this is to reach

    def __init__(self, stage, directory):
        super().__init__(stage)
        self.directory = directory
        self.name = name_of(type(self))

    def settings(self, name, **values):
        with open(os.path.join(CONF, name)) as file:
            values = dict({"PORT": self.port, "PROGRAM": self.stage.join("bench-answer"),
                           "USER": pwd.getpwuid(os.geteuid()).pw_name}, **values)
            return stages.fill(file.read(), values)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def arguments(self, name):
        lines = [line.split("#")[0] for line in self.settings(name).splitlines()]
        return [word for line in lines for word in line.split()]

    def start(self, servers, mode="answer", length=0, threads=1):
        self.port = self.stage.port()
        if not self.takes(mode):
            raise stages.Failure("%s cannot %s" % (self.name, mode))
        self.launch(servers, mode, length, threads)
        stages.wait_until("%s answers" % self.name, lambda: self.probe(mode))
        self.pids = self.all_pids()
        self.server_pids = self.application_pids()
        return self

    def takes(self, mode):
        return mode == "answer"

    def all_pids(self):
        return [pid for process in self.processes for pid in (process.pid, *stages.children(process.pid))]

    def application_pids(self):
        return []


class Proxy(Peer):
    """In front of the direct server, which listens at another TCP port or at a Unix socket."""
    threads = (1, 2)
    unix = False
    goal = 2.0

    def takes(self, mode):
        return True

    def launch(self, servers, mode, length, threads):
        self.backend = stages.Direct(self.stage)
        path = os.path.join(self.directory, "socket") if self.unix else None
        self.backend.start(servers, mode, length, path)
        self.processes = [*self.backend.processes, self.stage.start(self.command(threads, path))]

    def application_pids(self):
        return self.backend.pids

    def backends(self, line, prefix, path):
        """A line of its settings for each way to the application."""
        ways = [prefix + path] if path else ["127.0.0.%d:%d" % (last, self.backend.port) for last in range(1, 5)]
        return "\n".join(line.format(number, way) for number, way in enumerate(ways))


class Haproxy(Proxy):
    program = "haproxy"

    def command(self, threads, path):
        backends = self.backends("    server application{} {}", "unix@", path)
        text = self.settings("haproxy.cfg", THREADS=threads, BACKENDS=backends)
        return [find("haproxy"), "-db", "-f", self.write("haproxy.cfg", text)]


class Nginx(Proxy):
    program = "nginx"

    @staticmethod
    def module():
        """Debian builds the stream half as a module of its own; others within."""
        found = glob.glob("/usr/lib*/nginx/modules/ngx_stream_module.so")
        return "load_module %s;" % found[0] if found else ""

    def command(self, threads, path):
        backends = self.backends("        server {1};", "unix:", path)
        user = "user root;" if stages.ROOT else ""  # who may reach the socket; no other difference
        text = self.settings("nginx.conf", THREADS=threads, BACKENDS=backends, DIRECTORY=self.directory, MODULE=self.module(),
                             USER=user)
        return [find("nginx"), "-p", self.directory, "-e", os.path.join(self.directory, "nginx-start.log"),
                "-c", self.write("nginx.conf", text)]


class Bare(Peer):
    """No peer, but what the passing of descriptors costs without all the rest."""
    program = "bare passing"

    def launch(self, servers, mode, length, threads):
        process = self.stage.start([self.stage.join("bench-bare"), "-n", str(servers), str(self.port)])
        self.processes = [process]

    def application_pids(self):
        return stages.children(self.processes[0].pid)


class Exec(Peer):
    """A process for each connection."""

    def launch(self, servers, mode, length, threads):
        self.processes = [self.stage.start(self.command())]

    def all_pids(self):
        """Who is started for a connection is gone after it, and counted as its parent's child."""
        return [process.pid for process in self.processes]


class Xinetd(Exec):
    program = "xinetd"
    goal = 15

    def command(self):
        return [find("xinetd"), "-dontfork", "-f", self.write("xinetd.conf", self.settings("xinetd.conf")),
                "-pidfile", os.path.join(self.directory, "xinetd.pid"), "-filelog", os.path.join(self.directory, "xinetd.log")]


class OpenbsdInetd(Exec):
    program = "openbsd-inetd"
    goal = 15

    def command(self):
        return [find("openbsd-inetd"), "-i", "-R", "0", "-q", "4096",
                self.write("openbsd-inetd.conf", self.settings("openbsd-inetd.conf"))]


class Tcpserver(Exec):
    program = "tcpserver"
    goal = 9

    def command(self):
        return [find("tcpserver"), *self.arguments("tcpserver.args")]


class SocketActivate(Exec):
    program = "systemd-socket-activate"

    def command(self):
        return [find("systemd-socket-activate"), *self.arguments("systemd-socket-activate.args")]


class HaproxyUnix(Haproxy):
    unix = True
    goal = 1.5


class NginxUnix(Nginx):
    unix = True
    goal = 1.5


PEERS = (Haproxy, HaproxyUnix, Nginx, NginxUnix, Xinetd, OpenbsdInetd, Tcpserver, SocketActivate)


def name_of(peer):
    return peer.program + (" (Unix)" if getattr(peer, "unix", False) else " (TCP)" if issubclass(peer, Proxy) else "")


def installed():
    """Those that can be measured here, and the programs that are missing."""
    there = [peer for peer in PEERS if usable(peer)]
    return there, sorted({peer.program for peer in PEERS} - {peer.program for peer in there})


def usable(peer):
    path = find(peer.program)
    if not path:
        return False
    if peer.program != "nginx" or Nginx.module():
        return True
    built = subprocess.run([path, "-V"], stderr=subprocess.PIPE, text=True).stderr
    return "--with-stream " in built + " "  # within; as a module it would have been found
