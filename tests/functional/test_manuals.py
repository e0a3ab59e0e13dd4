"""The manual pages of liblust: every function is on one of them, as the header has it, and the examples compile and run."""
import glob
import os
import pwd
import re
import signal
import socket
import subprocess

import pytest

from compiling import compile_program
from lustlib import (HERE, LIMIT, PREFIX, ROOT, SERVER_USER, alive, children, clean_environment, free_port, free_ports, process_status, service,
                     wait_until)
from lustlib import program as program_of

MANUALS = os.path.join(PREFIX, "share", "man", "man3")
PAGES = sorted(glob.glob(os.path.join(MANUALS, "lust*.3")))
# The leak checker reads /proc, which no jail has.
IN_JAIL = {"ASAN_OPTIONS": "detect_leaks=0"} if ROOT and "ASAN_OPTIONS" in os.environ else {}
with open(os.path.join(HERE, "liblust.symbols")) as kept:
    EXPORTED = [line.partition("@")[0] for line in kept.read().split()]


def page_text(path):
    with open(path) as file:
        return file.read()


def section(text, name):
    found = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % name, text, re.M | re.S)
    return found.group(1) if found else ""


def names_of(text):
    return re.findall(r"^\.Nm (lust_\w+)", section(text, "NAME"), re.M)


def header_prototypes():
    """name: (what it returns, its arguments), white space folded."""
    with open(os.path.join(PREFIX, "include", "lust.h")) as file:
        header = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    found = re.findall(r"^([a-z][\w ]*?[ *]+)(lust_\w+)\(([^;{]*?)\)(?:\s*__attribute__.*?)?;", header, re.M | re.S)
    return {name: (" ".join(kind.split()), [" ".join(argument.split()) for argument in arguments.split(",")])
            for kind, name, arguments in found}


def synopsis(text):
    found = re.findall(r"^\.Ft (.*)\n\.Fn (lust_\w+) (.*)$", section(text, "SYNOPSIS"), re.M)
    return {name: (kind.strip(), re.findall(r'"([^"]*)"', arguments)) for kind, name, arguments in found}


def test_every_function_is_on_one_page():
    assert sorted(name for path in PAGES for name in names_of(page_text(path))) == EXPORTED
    assert sorted(header_prototypes()) == EXPORTED


@pytest.mark.parametrize("path", PAGES, ids=os.path.basename)
def test_synopsis_is_that_of_the_header(path):
    text = page_text(path)
    told, prototypes = synopsis(text), header_prototypes()
    assert list(told) == names_of(text)
    for name, prototype in told.items():
        assert prototype == prototypes[name], name


def examples(path):
    """The programs in EXAMPLES."""
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", section(page_text(path), "EXAMPLES"), re.M | re.S)
    return [re.sub(r"^\\&", "", block, flags=re.M).replace("\\e", "\\") for block in blocks if "#include <lust.h>" in block]


def test_every_function_is_in_an_example():
    text = "".join(program for path in PAGES for program in examples(path))
    assert [name for name in EXPORTED if not re.search(r"\b%s\(" % name, text)] == []


def build(page, home):
    """The examples of this page as programs, in their order."""
    return [compile_program(home, "example%d" % number, text)
            for number, text in enumerate(examples(os.path.join(MANUALS, page)))]


def run(program, *arguments, code=0, said=None, **environment):
    done = subprocess.run([program, *arguments], input=said, stdin=None if said else subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=LIMIT, env=clean_environment(environment))
    assert done.returncode == code, done
    return done


def exchange(port, said=b""):
    """What the server answers until it closes."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
        client.sendall(said)
        if said:
            client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read().decode()


def test_servers(daemon, home):
    """lust.3: all four under a daemon, each with clients."""
    plain, loop, forks, cat = build("lust.3", home)
    assert "register: " in run(plain, code=1).stderr  # no daemon started it
    ports = dict(zip(("plain", "loop", "forks", "cat"), free_ports(4)))
    user = SERVER_USER if ROOT else pwd.getpwuid(os.geteuid()).pw_name
    daemon.start(service("plain", ports["plain"], {"command": [plain]}),
                 service("loop", ports["loop"], {"command": [loop], "instances": 2}, take_timeout="30s"),
                 service("forks", ports["forks"], {"command": [forks]}, register_users=[user]),
                 service("cat", ports["cat"], {"command": [cat]}))
    assert re.fullmatch(r"hello from \d+\n", exchange(ports["plain"]))
    assert exchange(ports["cat"], b"there and back") == "there and back"
    daemon.wait_service("cat", lambda one: one["connections"]["done"] == 1)

    wait_until("four clones", lambda: len(daemon.servers("forks")) == 5)
    assert {exchange(ports["forks"]) for _ in range(20)} \
        == {"hello from child %d\n" % server["pid"] for server in daemon.servers("forks")}

    assert exchange(ports["loop"], b"hello") == "hello"
    silent = [socket.create_connection(("127.0.0.1", ports["loop"]), LIMIT) for _ in range(6)]
    one = daemon.wait_service("loop", lambda one: one["connections"]["pending"] == len(silent))
    assert all(server["capacity"] == 16 and server["pending"] for server in one["servers"]), one
    leaves = one["servers"][0]
    os.kill(leaves["pid"], signal.SIGTERM)  # who waits with it goes to the other one
    daemon.wait_service("loop", lambda one: one["connections"]["redispatched"] == leaves["pending"])
    for client in silent:
        with client:
            client.sendall(b"I am late")
            client.shutdown(socket.SHUT_WR)
            assert client.makefile().read() == "I am late"
    daemon.wait_ready("loop")


def test_send_fd(home):
    gives, packet = build("lust_send_fd.3", home)
    assert re.fullmatch(r"pid=\d+, uid=%d, gid=%d\n" % (os.getuid(), os.getgid()), run(gives).stdout)
    assert run(packet).stdout == "log from uid %d\na pipe\npackets\n" % os.getuid()


def test_daemon_open(home):
    context, keep, lines = build("lust_daemon_open.3", home)
    run(context, home.join("pid"))
    wait_until("its end removes the pidfile", lambda: not os.path.exists(home.join("pid")))
    assert "example: pidfile /nonexistent/pid: No such file or directory\n" == run(context, "/nonexistent/pid", code=1).stderr

    run(keep, code=64)
    run(keep, home.join("pid"), code=3)
    run(keep, home.join("pid"), "/bin/sleep", "1000")
    told = run(keep, home.join("pid")).stdout
    pid = int(re.fullmatch(r"runs, pid (\d+)\n", told).group(1))
    assert run(keep, home.join("pid"), "/bin/true", code=1).stderr == "keep: runs already, pid %d\n" % pid
    child = wait_until("it has a child", lambda: children(pid))[0]
    wait_until("that became sleep", lambda: program_of(child) == "sleep")
    assert int(process_status(child)["SigBlk"], 16) == 0
    os.kill(pid, signal.SIGTERM)
    wait_until("both end", lambda: not alive(pid) and not alive(child))
    assert not os.path.exists(home.join("pid"))

    if ROOT:
        os.mkdir(home.join("jail"))
        assert run(lines, home.join("jail"), said="one\ntwo\n", **IN_JAIL).stdout == "2 lines\n"
        assert run(lines, "/nonexistent", code=1).stderr == "lines: No such file or directory\n"
    else:
        assert run(lines, home.path, code=1).stderr == "lines: Operation not permitted\n"


def test_notify(home):
    server, jailed = build("lust_notify.3", home)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(home.join("notify"))
        manager.settimeout(LIMIT)
        run(server, NOTIFY_SOCKET=home.join("notify"), WATCHDOG_USEC="2000")
        heard = [manager.recv(100).decode() for _ in range(5)]
        assert heard == ["READY=1\nSTATUS=serving", *["WATCHDOG=1"] * 3, "STOPPING=1"]
        os.mkdir(home.join("jail"))
        run(jailed, *([home.join("jail")] if ROOT else []), NOTIFY_SOCKET=home.join("notify"), **IN_JAIL)
        assert manager.recv(100).decode() == "READY=1\nSTATUS=jailed"
    run(jailed)


def test_log(home):
    plain, rotates = build("lust_log.3", home)
    log, old = home.join("log"), home.join("log.1")
    run(plain, log)
    with open(log) as file:
        assert re.fullmatch(r"\S+ notice example\[\d+\]: no settings \(No such file or directory\), 0 clients\n", file.read())
    os.unlink(log)
    run(rotates, log, old)
    with open(old) as before, open(log) as after:
        assert re.fullmatch(r"\S+ warning example\[\d+\]: /var is 93% full\n", before.read())
        assert re.fullmatch(r"\S+ warning example\[\d+\]: %s begins\n" % log, after.read())


def test_settings_read(home):
    number, words = build("lust_settings_read.3", home)
    with open(home.join("conf"), "w") as file:
        file.write("[limits]\nclients = 12\ncolour = red\n")
    done = run(number, home.join("conf"))
    assert done.stdout == "12 clients\n" and ":3: limits.colour?" in done.stderr
    with open(home.join("conf"), "w") as file:
        file.write("[limits]\nclients = many\n")
    assert ':2: limits.clients: "many" is not a number from 1 to 1000' in run(number, home.join("conf"), code=78).stderr
    assert run(words, "verbose=yes", "idle=90s").stdout == "verbose, idle after 90000 ms\n"
    assert run(words).stdout == "quiet, idle after 60000 ms\n"
    assert 'idle of the command line: "soon" is not a time' in run(words, "idle=soon", code=78).stderr


def test_main(home):
    whole, loop = build("lust_main.3", home)
    for program in (whole, loop):
        port = free_port()
        options = ["-o", "pidfile=" + home.join("pid"), "-o", "log=" + home.join("log"), "-o", "listen=127.0.0.1:%d" % port]
        run(program, *options, "start")
        run(program, *options, "status")
        if program == whole:
            assert exchange(port) == "hello, number 1\n"
        else:
            with socket.create_connection(("127.0.0.1", port), LIMIT) as waits:
                assert exchange(port, b"twice\n") == "twice\n"
                waits.sendall(b"meanwhile")
                assert waits.recv(100) == b"meanwhile"
        run(program, *options, "stop")
        run(program, *options, "status", code=3)


TESTS = {"lust.3": test_servers, "lust_send_fd.3": test_send_fd, "lust_daemon_open.3": test_daemon_open, "lust_notify.3": test_notify,
         "lust_log.3": test_log, "lust_settings_read.3": test_settings_read, "lust_main.3": test_main}


def test_every_page_has_a_test():
    assert sorted(TESTS) == sorted(os.path.basename(path) for path in PAGES)


def test_the_thirty_lines_are_those_of_the_example():
    """lust_main(3) shows contrib/examples/daemon.c as it is."""
    source = os.path.join(HERE, "..", "..", "contrib", "examples", "daemon.c")
    with open(source) as file:
        program = file.read()
    shown = examples(os.path.join(MANUALS, "lust_main.3"))[0]
    assert program.endswith(shown)
    assert len([line for line in shown.splitlines() if line.strip()]) <= 32
