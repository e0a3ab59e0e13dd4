"""The toolkit half of liblust, by its example programs: one daemon run four ways, descriptors between two terminals."""
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess

import pytest

from compiling import compile_program
from lustlib import EXAMPLES, HERE, LIMIT, PREFIX, ROOT, alive, clean_environment, free_port, process_status, service, wait_until

PROGRAM = os.path.join(EXAMPLES, "daemon")


class Standalone:
    """The example with a pidfile, a log and settings of its own."""

    def __init__(self, home):
        self.pidfile, self.log_file, self.settings = home.join("pid"), home.join("log"), home.join("conf")
        self.port = free_port()
        self.write("greeting = hi")

    def write(self, *lines):
        with open(self.settings, "w") as file:
            file.write("\n".join(("pidfile = " + self.pidfile, "log = " + self.log_file,
                                  "listen = 127.0.0.1:%d" % self.port) + lines) + "\n")

    def command(self, *words, code=0, file=None, **more):
        done = subprocess.run([PROGRAM, "-c", file or self.settings, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, env=clean_environment(),
                              **{"cwd": "/", **more})
        assert code is None or done.returncode == code, done
        return done

    @property
    def pid(self):
        with open(self.pidfile) as file:
            return int(file.read())

    def log(self):
        with open(self.log_file) as file:
            return file.read()


@pytest.fixture
def alone(home):
    program = Standalone(home)
    yield program
    if os.path.exists(program.pidfile) and os.path.getsize(program.pidfile):
        program.command("stop", code=None)


def ask(port):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
        return client.makefile().read()


def test_alone(alone):
    assert "is not running" in alone.command("status", code=3).stdout
    alone.command("start")
    pid = alone.pid
    assert ask(alone.port) == "hi, number 1\n"
    assert "is running, pid %d" % pid in alone.command("status").stdout
    assert "already running" in alone.command("start").stderr
    assert alone.pid == pid
    assert ask(alone.port) == "hi, number 2\n"
    alone.command("restart")
    assert alone.pid != pid and not alive(pid)
    assert ask(alone.port) == "hi, number 1\n"
    pid = alone.pid
    alone.command("stop")
    assert not alive(pid) and not os.path.exists(alone.pidfile)
    alone.command("status", code=3)
    alone.command("stop")
    alone.command("reload", code=7)
    assert "ending on Terminated from pid" in alone.log()


def test_reload(alone):
    alone.command("start")
    alone.write("greeting = good evening")
    alone.command("reload")
    wait_until("reloaded", lambda: 'greeting with "good evening"' in alone.log())
    assert ask(alone.port) == "good evening, number 1\n"
    # A mistake is told at once, and what runs goes on as it was.
    alone.write("greeting")
    assert re.search(r"conf:4: expected KEY = VALUE", alone.command("reload", code=6).stderr)
    os.kill(alone.pid, signal.SIGHUP)
    wait_until("refused", lambda: "conf:4: expected KEY = VALUE" in alone.log())
    assert ask(alone.port) == "good evening, number 2\n"
    alone.write("greeting = rotated")
    os.rename(alone.log_file, alone.log_file + ".1")
    os.kill(alone.pid, signal.SIGHUP)
    wait_until("a new log", lambda: os.path.exists(alone.log_file))
    alone.command("stop")
    assert "ending on" in alone.log()


def test_reload_from_elsewhere(alone, home):
    """The daemon works in /, and finds a file that was named from another place; an ignored SIGHUP is heard."""
    alone.command("start", file="conf", cwd=os.path.dirname(alone.settings),
                  preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    alone.write("greeting = found")
    alone.command("reload")
    wait_until("reloaded", lambda: ask(alone.port).startswith("found"))
    # What is out of reach, as from a jail, changes nothing.
    os.rename(alone.settings, alone.settings + ".away")
    os.kill(alone.pid, signal.SIGHUP)
    wait_until("refused", lambda: "reload failed: the settings stay as they were" in alone.log())
    assert ask(alone.port).startswith("found")
    os.rename(alone.settings + ".away", alone.settings)


@pytest.mark.root
def test_reload_in_a_jail(alone, home):
    """/etc/NAME.conf cannot be found from inside: its settings do not become the usual ones."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespace can be made")
    os.mkdir(home.join("jail"))
    alone.write("greeting = from /etc", "chroot = " + home.join("jail"))
    subprocess.run(["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount -t tmpfs none /etc && '
                    'cp "$0" /etc/daemon.conf && exec "$1" start', alone.settings, PROGRAM], check=True, timeout=LIMIT,
                   stdin=subprocess.DEVNULL, env=clean_environment())
    assert ask(alone.port).startswith("from /etc")
    os.kill(alone.pid, signal.SIGHUP)
    wait_until("refused", lambda: "/etc/daemon.conf cannot be found any more" in alone.log())
    assert ask(alone.port).startswith("from /etc")


def test_reload_changes_the_level(alone):
    alone.command("start")
    alone.write("log-level = error")
    os.kill(alone.pid, signal.SIGHUP)
    assert ask(alone.port)  # the signal was there before
    os.kill(alone.pid, signal.SIGHUP)
    assert ask(alone.port)
    assert alone.log().count("greeting with") == 1  # the first time the level was still the old one


def test_log_that_cannot_be_opened_again(alone, home):
    alone.command("start")
    os.rename(alone.log_file, home.join("log.1"))
    os.mkdir(alone.log_file)
    os.kill(alone.pid, signal.SIGHUP)

    def told():
        with open(home.join("log.1")) as file:
            return "log: cannot be opened again: Is a directory; the old file goes on" in file.read()
    wait_until("told", told)


def test_stop_with_a_broken_file(alone):
    """What is right in it still says which daemon is meant."""
    alone.command("start")
    pid = alone.pid
    alone.write("[section")
    assert "conf:4: a section" in alone.command("stop").stderr
    assert not alive(pid)


@pytest.mark.root
def test_short_of_descriptors(alone):
    """It waits until there are some, and does not end."""
    alone.command("start")
    pid = alone.pid
    used = {int(number) for number in os.listdir("/proc/%d/fd" % pid)}
    full = min(set(range(100)) - used)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (full, before[1]))
    with socket.create_connection(("127.0.0.1", alone.port), LIMIT) as client:
        wait_until("told", lambda: "cannot accept for now: Too many open files" in alone.log())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert client.makefile().read() == "hi, number 1\n"
    assert alone.pid == pid and alone.log().count("cannot accept") == 1


def test_kill_leaves_no_trap(alone):
    alone.command("start")
    pid = alone.pid
    os.kill(pid, signal.SIGKILL)
    wait_until("dead", lambda: not alive(pid))
    assert "but %s is there" % alone.pidfile in alone.command("status", code=1).stdout
    alone.command("start")
    assert ask(alone.port) == "hi, number 1\n"


@pytest.mark.parametrize("settings, code, told", [
    (["chroot = /nonexistent"], 1, "cannot start: chroot /nonexistent: No such file or directory"),
    (["user = no-such-user-here"], 1, "no-such-user-here: no such user"),
    (["directory = /nonexistent"], 1, "chdir /nonexistent: No such file"),
    (["log-level = loud"], 1, 'log-level: "loud" is not error, warning, notice, info or debug'),
    (["umask = 999"], 1, 'umask: "999" is not an octal number'),
    (["pidfile = run/pid"], 6, 'conf:4: pidfile: set already in line 1'),
    (["colour = red"], 6, "conf:4: unknown key colour"),
    (["[section"], 6, "conf:4: a section's name ends with ]"),
    (["[section", "x"], 6, "conf:5: expected KEY = VALUE"),  # each mistake is a line of its own
])
def test_start_says_what_is_wrong(alone, settings, code, told):
    alone.write(*settings)
    assert told in alone.command("start", code=code).stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", alone.port))  # nothing is left that holds the address
    assert not os.path.exists(alone.pidfile) or not os.path.getsize(alone.pidfile)


def test_address_in_use(alone):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = "127.0.0.1:%d" % taken.getsockname()[1]
        assert "listen %s: bind: Address already in use" % place in \
            alone.command("-o", "listen=" + place, "start", code=1).stderr


@pytest.mark.parametrize("words", [[], ["bogus"], ["start", "now"], ["-x", "start"], ["-o"], ["-o", "x", "start"],
                                   ["-o", "colour=red", "start"]])
def test_usage(alone, words):
    done = subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                          env=clean_environment())
    assert done.returncode == 2 and "start|stop|restart|status|reload|run" in done.stderr


@pytest.mark.parametrize("option, code, told", [
    ("log=stderr", 1, "log: there is no standard error to keep"),
    ("pidfile=run/pid", 6, 'pidfile: "run/pid" is not an absolute path'),
    ("stop-timeout=soon", 1, 'stop-timeout of the command line: "soon" is not a time such as'),
])
def test_options_that_cannot_be(alone, option, code, told):
    if code == 1 and option.startswith("stop"):
        alone.command("start")
        assert told in alone.command("-o", option, "stop", code=code).stderr
    else:
        assert told in alone.command("-o", option, "start", code=code).stderr


def test_foreground_asks_for_no_pidfile(home):
    """Somebody looks after it already; /run may not be its to write."""
    port = free_port()
    server = subprocess.Popen([PROGRAM, "-o", "listen=127.0.0.1:%d" % port, "run"], stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=clean_environment())

    def answers():
        try:
            return ask(port)
        except ConnectionRefusedError:
            return None
    try:
        wait_until("it listens", answers)
        assert not os.path.exists("/run/daemon.pid")
    finally:
        server.terminate()
        assert server.wait(LIMIT) == 0


@pytest.mark.root
def test_not_permitted(alone, home):
    nobody = pwd.getpwnam("nobody").pw_uid
    told = alone.command("-o", "pidfile=/etc/daemon-test.pid", "start", code=4, user=nobody)
    assert "pidfile /etc/daemon-test.pid: Permission denied" in told.stderr
    copy = home.join("setuid")
    shutil.copy(PROGRAM, copy)
    os.chmod(copy, 0o4755)
    done = subprocess.run([copy, "status"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                          env=clean_environment(), user=nobody)
    assert done.returncode == 4 and "not made to be set-uid" in done.stderr


def test_client_that_leaves(alone):
    """Writing to it must not end the daemon."""
    alone.command("start")
    pid = alone.pid
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", alone.port), LIMIT) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves by a reset
    assert ask(alone.port).startswith("hi, number ")
    assert alone.pid == pid and alive(pid)


def test_unix_listener(alone, home):
    place = home.join("socket")
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(place)
    for _ in range(2):  # over a leftover, and over nothing
        alone.command("-o", "listen=unix:" + place, "start")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(place)
            assert client.makefile().read() == "hi, number 1\n"
        assert "Address already in use" in alone.command(
            "-o", "listen=unix:" + place, "-o", "pidfile=" + home.join("other"), "start", code=1).stderr
        alone.command("stop")
        assert not os.path.exists(place)
    # What is at its place by then is somebody else's.
    alone.command("-o", "listen=unix:" + place, "-o", "umask=000", "start")
    assert os.stat(place).st_mode & 0o777 == 0o777
    os.unlink(place)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(place)
        alone.command("stop")
        assert os.path.exists(place)


@pytest.mark.root
def test_jail_and_drop(alone, home):
    os.mkdir(home.join("jail"))
    alone.write("greeting = hi", "chroot = " + home.join("jail"), "user = nobody")
    alone.command("start")
    nobody = pwd.getpwnam("nobody")
    status = process_status(alone.pid)
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4 and status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert "0" not in status["Groups"].split()
    assert os.readlink("/proc/%d/root" % alone.pid) == home.join("jail")
    assert os.readlink("/proc/%d/cwd" % alone.pid) == home.join("jail")
    assert ask(alone.port) == "hi, number 1\n"
    alone.command("stop")
    alone.command("status", code=1)  # the file could not be removed from inside; it is no trap:
    alone.command("start")


# A syslogd of our own at a /dev/log that nobody else sees.
SYSLOGD = r"""
import os, select, socket, subprocess, sys, time
dev, pidfile, program, *options = sys.argv[1:]
for command in (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "none", dev]):
    subprocess.run(command, check=True)
os.mknod(dev + "/null", 0o20666, os.makedev(1, 3))
subprocess.run(["mount", "--bind", dev, "/dev"], check=True)
syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
syslog.bind("/dev/log")
os.chmod("/dev/log", 0o666)

def hear(until):
    while True:
        assert select.select([syslog], [], [], 60)[0]
        text = syslog.recv(9000).decode()
        if until in text:
            return text

subprocess.run([program, *options, "start"], stdin=subprocess.DEVNULL, check=True)
daemon = open(pidfile).read().strip()
while os.readlink("/proc/" + daemon + "/fd/1") == "/dev/null":
    time.sleep(0.01)  # it takes its streams over just after `start` has returned
with open("/proc/" + daemon + "/fd/1", "w") as output:
    output.write("printed\nby it\n")
cutter = hear("printed").split("[")[1].split("]")[0]
hear("by it")
status = dict(line.split(":", 1) for line in open("/proc/" + cutter + "/status"))
print(status["Uid"].split(), status["Groups"].split(), len(os.listdir("/proc/" + cutter + "/fd")))
subprocess.run([program, *options, "stop"], check=True)
print(hear("ending on").count("ending on"))
"""


@pytest.mark.root
def test_what_a_daemon_prints_goes_to_syslog(home):
    """Through a process that has nothing of the daemon's but the pipe, and is not root."""
    os.mkdir(home.join("dev"))
    command = ["-o", "pidfile=" + home.join("pid"), "-o", "listen=127.0.0.1:%d" % free_port()]
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespace can be made")
    done = subprocess.run(["unshare", "-m", "/usr/bin/python3", "-c", SYSLOGD, home.join("dev"), home.join("pid"), PROGRAM,
                           *command], capture_output=True, text=True, timeout=2 * LIMIT, env=clean_environment())
    assert done.stdout == "['65534', '65534', '65534', '65534'] [] 2\n1\n", done


# ---- started by others ----

def test_under_lust_inetd(daemon):
    port = free_port()
    daemon.start(service("greeter", port, {"command": [PROGRAM, "-o", "greeting=from inside"], "instances": 2}))
    greetings = {ask(port) for _ in range(4)}
    assert greetings == {"from inside, number 1\n", "from inside, number 2\n"}
    assert all(server["capacity"] == 1 for server in daemon.servers("greeter"))


@pytest.mark.parametrize("listens", [False, True])
def test_as_inetd_starts_it(listens):
    """nowait: the connection as standard input, output and error; wait: the listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), LIMIT)
        passed = listener if listens else listener.accept()[0]
        server = subprocess.Popen([PROGRAM, "run"], stdin=passed, stdout=passed, stderr=passed, env=clean_environment())
        with client:
            if not listens:
                passed.close()
            assert client.makefile().read() == "hello, number 1\n"  # and nothing else: no log line reaches a client
        if listens:
            assert ask(listener.getsockname()[1]) == "hello, number 2\n"
            server.terminate()
        assert server.wait(LIMIT) == 0


@pytest.mark.parametrize("words", [["bogus"], ["-c", "/nonexistent/file", "run"], ["-o", "log-level=loud", "run"]])
def test_under_inetd_no_client_reads_what_is_wrong(words):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), LIMIT)
        passed = listener.accept()[0]
        server = subprocess.Popen([PROGRAM, *words], stdin=passed, stdout=passed, stderr=passed, env=clean_environment())
        passed.close()
        with client:
            assert client.makefile().read() == ""
        assert server.wait(LIMIT) in (1, 2, 6)


def activate(*arguments):
    program = shutil.which("systemd-socket-activate")
    if not program:
        pytest.skip("systemd-socket-activate is not installed")
    port = free_port()
    server = subprocess.Popen([program, "-l", "127.0.0.1:%d" % port, *arguments, PROGRAM], stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, env=clean_environment())

    def listens():
        with open("/proc/net/tcp") as table:
            return any(line.split()[1].endswith(":%04X" % port) for line in table)
    wait_until("systemd-socket-activate listens", listens)
    return server, port


@pytest.mark.parametrize("arguments, second", [([], 2), (["-a"], 1), (["-a", "--inetd"], 1)])
def test_under_systemd_socket_activate(arguments, second):
    server, port = activate(*arguments)
    try:
        assert ask(port) == "hello, number 1\n"
        assert ask(port) == "hello, number %d\n" % second
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_under_openbsd_inetd(home):
    program = shutil.which("inetd") or "/usr/sbin/inetd"
    if not ROOT or not os.path.exists(program):
        pytest.skip("needs root and an inetd")
    port = free_port()
    with open(home.join("inetd.conf"), "w") as table:
        table.write("127.0.0.1:%d stream tcp nowait nobody %s daemon run\n" % (port, PROGRAM))
    server = subprocess.Popen([program, "-i", home.join("inetd.conf")], stdin=subprocess.DEVNULL,
                              env=clean_environment())

    def answers():
        try:
            return ask(port)
        except ConnectionRefusedError:
            return None
    try:
        assert wait_until("inetd listens", answers) == "hello, number 1\n"
    finally:
        server.terminate()
        server.wait(LIMIT)


def test_notify_and_watchdog(alone, home):
    path = home.join("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(LIMIT)
        server = subprocess.Popen([PROGRAM, "-c", alone.settings, "run"], stdin=subprocess.DEVNULL,
                                  env=clean_environment({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}))
        heard = [manager.recv(100).decode() for _ in range(3)]
        assert heard == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
        server.terminate()
        while heard[-1] != "STOPPING=1":
            heard.append(manager.recv(100).decode())
        assert server.wait(LIMIT) == 0


# ---- fdcred's two terminals ----

def listens_at(place):
    """The file is there before somebody listens."""
    with open("/proc/net/unix") as table:
        return any(line.split()[3] == "00010000" and line.split()[-1] == place for line in table)


def test_two_terminals(home):
    place = home.join("demo.sock")
    receiver = subprocess.Popen([os.path.join(EXAMPLES, "fd-receive"), place], stdout=subprocess.PIPE, text=True,
                                env=clean_environment())
    wait_until("fd-receive listens", lambda: listens_at(place))
    sender = subprocess.Popen([os.path.join(EXAMPLES, "fd-send"), place], stdout=subprocess.PIPE, text=True,
                              env=clean_environment())
    said, received = sender.communicate(timeout=LIMIT)[0], receiver.communicate(timeout=LIMIT)[0]
    assert said == "sendfd => 0\nsendcred => 0\n" and sender.returncode == receiver.returncode == 0
    with open("/etc/passwd") as file:
        passwd = file.read()
    assert received == passwd + "pid=%d, uid=%d, gid=%d\n" % (sender.pid, os.getuid(), os.getgid())


def test_python_sends_and_c_receives(home):
    place = home.join("demo.sock")
    receiver = subprocess.Popen([os.path.join(EXAMPLES, "fd-receive"), place], stdout=subprocess.PIPE, text=True,
                                env=clean_environment())
    wait_until("fd-receive listens", lambda: listens_at(place))
    with open(__file__) as file:
        sent = file.read()
    with socket.socket(socket.AF_UNIX) as sender, open(__file__) as file:
        sender.connect(place)
        socket.send_fds(sender, [b"x"], [file.fileno()])
        sender.send(b"y")  # the receiver asked for credentials, so the kernel adds them
        received = receiver.communicate(timeout=LIMIT)[0]
        assert received == sent + "pid=%d, uid=%d, gid=%d\n" % (os.getpid(), os.getuid(), os.getgid())


def test_c_sends_and_python_receives(home):
    place = home.join("demo.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        sender = subprocess.Popen([os.path.join(EXAMPLES, "fd-send"), place, __file__], stdout=subprocess.PIPE, text=True,
                                  env=clean_environment())
        with listener.accept()[0] as receiver:
            data, fds, flags, _ = socket.recv_fds(receiver, 1, 4)
            assert (data, len(fds), flags & socket.MSG_CTRUNC) == (b"\0", 1, 0)
            with open(fds[0]) as received, open(__file__) as file:
                assert received.read() == file.read()
            assert receiver.recv(1) == b"\0"
        assert sender.communicate(timeout=LIMIT)[0] == "sendfd => 0\nsendcred => 0\n"


# ---- the library itself ----

def test_examples_carry_the_library():
    """They run inside a jail, and nothing of the build directory is in them."""
    for name in ("daemon", "fd-send", "fd-receive", "blocking", "hello-http"):
        told = subprocess.run(["readelf", "-d", os.path.join(EXAMPLES, name)], capture_output=True, text=True, check=True).stdout
        assert "PATH" not in told and "liblust" not in told


def test_abi():
    """Symbols may be added, none taken away: what is exported is what the kept list says."""
    library = os.path.join(PREFIX, "lib", "liblust.so")
    names = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = sorted(line.split()[2] for line in names.splitlines() if line.split()[1] == "T")
    with open(os.path.join(HERE, "liblust.symbols")) as kept:
        assert exported == kept.read().split()


def test_header_is_strict_c(home):
    compile_program(home, "strict", "#include <lust.h>\nint main(void)\n{\n\treturn lust_started_by() < 0;\n}\n", standard="c99")


CXX_PROGRAM = r"""
#include <cstdio>
#include <lust.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

static int before_drop(void *argument)
{
	*static_cast<bool *>(argument) = true;
	return 0;
}

int main()
{
	int ends[2], pipes[2];
	bool called = false;
	lust_server *server = nullptr;
	lust_options options{};
	lust_daemon_options daemon{};
	lust_daemon *context = nullptr;
	lust_packet packet{};
	lust_settings *settings = nullptr;

	options.capacity = 1;
	if (lust_server_register(&server, "none", &options) == 0 || server)
		return 1;
	daemon.detach = LUST_DETACH_NO;
	daemon.keep_fds = 1;
	daemon.streams[1] = daemon.streams[2] = LUST_STREAM_KEEP;
	daemon.before_drop = before_drop;
	daemon.argument = &called;
	if (lust_daemon_open(&context, &daemon) != 0 || !called)
		return 2;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0 || pipe(pipes) < 0 || lust_send_fd(ends[0], pipes[0]) < 0)
		return 3;
	int got = lust_receive_fd(ends[1]);
	if (lust_fd_kind(got) != LUST_FD_PIPE)
		return 4;
	char word[8];
	packet.data = word;
	packet.size = sizeof(word);
	if (lust_receive_packet(ends[1], &packet, MSG_DONTWAIT) >= 0)
		return 5;
	if (lust_settings_read(&settings, "lust-there-is-no-such-program", nullptr) < 0 ||
	    lust_settings_override(settings, "key", "value") < 0 || std::string(lust_settings_get(settings, "key")) != "value")
		return 6;
	lust_settings_free(settings);
	lust_log(LUST_LOG_NOTICE, "from %s", "C++");
	lust_server_free(server);
	lust_daemon_close(context);
	std::puts("done");
	return 0;
}
"""


@pytest.mark.plain
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_usable_from_cxx(home, compiler, standard):
    program = compile_program(home, "use", CXX_PROGRAM, compiler, "cc", standard)
    done = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, env=clean_environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "use: from C++\n"), done
