"""reload while the name service hangs, or a file does: nobody waits but the one who asked.

The name service is a library of the test's own, loaded into the daemon: a look-up of slow-NAME takes as long as a file is
there, and is that of NAME then.

SPDX-License-Identifier: ISC
"""
import os
import shutil
import signal
import subprocess

import pytest

from clients import Load, get
from lustlib import LIMIT, LUST_INETD, OUTSIDER_NAME, alive, children, clean_environment, free_ports, hello, program, wait_until

pytestmark = pytest.mark.plain

SLOW = "slow-" + OUTSIDER_NAME
NAMES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct passwd *getpwnam(const char *name)
{
	struct passwd *(*real)(const char *) = (struct passwd *(*)(const char *))dlsym(RTLD_NEXT, "getpwnam");
	const char *gate = getenv("LUST_TEST_GATE"), *note = getenv("LUST_TEST_NOTE");

	if (strncmp(name, "slow-", 5) != 0)
		return real(name);
	while (gate != NULL && access(gate, F_OK) == 0) {
		if (note != NULL)
			close(creat(note, 0666));
		usleep(5000);
	}
	return real(name + 5);
}
"""


class Slow:
    """A daemon that runs, and a table whose reading hangs until `open`."""

    def __init__(self, home, daemon):
        self.daemon, self.gate = daemon, home.join("gate")
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("no cc")
        source, library = home.join("names.c"), home.join("names.so")
        with open(source, "w") as file:
            file.write(NAMES)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        daemon.environment = {"LD_PRELOAD": library, "LUST_TEST_GATE": self.gate}
        self.asked = []

    def write(self, *parts):
        self.close()
        self.daemon.write('admin-users = "%s"' % SLOW, *parts)

    def close(self):
        with open(self.gate, "w"):
            pass

    def open(self):
        os.unlink(self.gate)

    def reader(self):
        """Its pid, as soon as it is there."""
        def found():
            for pid in children(self.daemon.pid):
                try:
                    if program(pid) == "lust-reload" and alive(pid):
                        return pid
                except (FileNotFoundError, ProcessLookupError):
                    pass
        return wait_until("a process that reads the table", found)

    def command(self, *words):
        """It runs until it is waited for."""
        self.asked.append(subprocess.Popen([LUST_INETD, "-r", self.daemon.runtime, *words], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()))
        return self.asked[-1]

    def end(self):
        for one in self.asked:
            one.kill()
            one.wait()
            one.stdout.close()
            one.stderr.close()


def answer(command):
    """(exit code, what it said)"""
    out, err = command.communicate(timeout=LIMIT)
    return command.returncode, out + err


@pytest.fixture
def slow(home, daemon):
    one = Slow(home, daemon)
    yield one
    one.end()


def back(daemon, *parts):
    """To the table of the start, so that what is left behind can be seen."""
    daemon.reload(*parts)
    daemon.wait_ready()


def waits(*commands):
    assert all(command.poll() is None for command in commands)


def test_all_goes_on_meanwhile(slow, daemon):
    web, new = free_ports(2)
    daemon.start(hello("web", web, 2))
    slow.write(hello("web", web, 2), hello("new", new))
    first = slow.command("reload")
    reader = slow.reader()
    with Load(web, workers=4) as load:
        load.wait_for(200)
    assert not load.failures, load.failures[:5]
    status = daemon.status()
    assert status["generation"] == 1 and status["last_reload"]["time"] == 0
    killed = daemon.pids("web")[0]
    os.kill(killed, signal.SIGKILL)
    daemon.wait_service("web", lambda one: one["ready"] == 2 and killed not in
                        [server["pid"] for server in one["servers"]])
    daemon.command("roll", "web")
    dispatcher, logger = daemon.dispatcher, daemon.logger
    os.kill(logger, signal.SIGKILL)
    wait_until("another logger", lambda: daemon.logger != logger)
    get(web)
    assert slow.reader() == reader and daemon.dispatcher == dispatcher
    waits(first)
    slow.open()
    assert answer(first) == (0, "")
    daemon.wait_ready("new")
    get(new)
    status = daemon.status()
    assert status["generation"] == 2 and status["last_reload"]["ok"] and not status["config_changed"]
    back(daemon, hello("web", web, 2))


def test_who_asks_meanwhile_gets_what_is_there_then(slow, daemon):
    """What the first one reads was written before: the second reading is for all who asked since."""
    web, second, third = free_ports(3)
    daemon.start(hello("web", web))
    slow.write(hello("web", web), hello("second", second))
    first = slow.command("reload")
    slow.reader()
    slow.write(hello("web", web), hello("third", third))
    later = slow.command("reload"), slow.command("reload")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.command("version")
    waits(first, *later)
    slow.open()
    assert answer(first) == (0, "")
    assert [answer(one) for one in later] == [(0, ""), (0, "")]
    status = daemon.status()
    assert [one["name"] for one in status["services"]] == ["web", "third"] and not status["config_changed"]
    back(daemon, hello("web", web))


def test_mistakes_after_waiting(slow, daemon):
    web, = free_ports(1)
    daemon.start(hello("web", web))
    slow.write(hello("web", web), "nonsense = 1")
    asked = slow.command("reload"), slow.command("reload")
    slow.reader()
    slow.open()
    for one in asked:
        code, said = answer(one)
        assert code == 78 and "nonsense" in said and daemon.table_file + ":" in said
    assert daemon.status()["last_reload"]["ok"] is False
    daemon.reload(hello("web", web))


def test_stop_meanwhile(slow, daemon):
    web, = free_ports(1)
    daemon.start(hello("web", web))
    slow.write(hello("web", web))
    reload = slow.command("reload")
    reader = slow.reader()
    daemon.command("stop")
    assert answer(reload) == (1, "lust-inetd: the daemon is stopping\n")
    assert daemon.wait_exit() == 0
    assert not alive(reader)
    assert "the reload is given up" in daemon.log()


def test_death_of_the_supervisor(slow, daemon):
    web, = free_ports(1)
    daemon.start(hello("web", web))
    slow.write(hello("web", web))
    slow.command("reload")
    reader = slow.reader()
    daemon.seen |= set(daemon.pids("web"))
    daemon.kill_all()
    wait_until("the reader is gone, too", lambda: not alive(reader))
    daemon.start_again(hello("web", web))
    daemon.wait_ready()
    get(web)


def test_death_of_the_reader(slow, daemon):
    web, new = free_ports(2)
    daemon.start(hello("web", web))
    slow.write(hello("web", web), hello("new", new))
    reload = slow.command("reload")
    os.kill(slow.reader(), signal.SIGKILL)
    assert answer(reload) == (1, "%s: the process that read it ended: SIGKILL\n"
                                 "lust-inetd: reload: the old table stays in force\n" % daemon.table_file)
    assert daemon.status()["last_reload"]["ok"] is False
    slow.open()
    daemon.reload()
    daemon.wait_ready("new")
    back(daemon, hello("web", web))


def test_who_asked_goes_away(slow, daemon):
    web, new = free_ports(2)
    daemon.start(hello("web", web))
    slow.write(hello("web", web), hello("new", new))
    reload = slow.command("reload")
    slow.reader()
    reload.kill()
    reload.wait()
    slow.open()
    wait_until("the table is in force", lambda: daemon.status()["generation"] == 2)
    back(daemon, hello("web", web))


def test_upgrade_waits(slow, daemon):
    web, new = free_ports(2)
    daemon.start(hello("web", web))
    slow.write(hello("web", web), hello("new", new))
    reload = slow.command("reload")
    slow.reader()
    upgrade = slow.command("upgrade")
    daemon.wait_logged("upgrade: waits until the reload is done")
    daemon.status()
    waits(reload, upgrade)
    slow.open()
    assert answer(reload) == (0, "")
    code, said = answer(upgrade)
    assert code == 0 and said.startswith("upgraded from"), said
    assert daemon.status()["generation"] == 2
    back(daemon, hello("web", web))


def test_stop_while_upgrade_waits(slow, daemon):
    web, = free_ports(1)
    daemon.start(hello("web", web))
    slow.write(hello("web", web))
    reload = slow.command("reload")
    slow.reader()
    upgrade = slow.command("upgrade")
    daemon.wait_logged("upgrade: waits until the reload is done")
    daemon.command("stop")
    assert daemon.wait_exit() == 0
    assert answer(reload)[0] == 1 and answer(upgrade)[0] == 1


def test_given_up(slow, daemon):
    """After half a minute, with the name that was waited for."""
    web, new = free_ports(2)
    daemon.start(hello("web", web))
    slow.write(hello("web", web), hello("new", new))
    reload = slow.command("reload")
    reader = slow.reader()
    code, said = answer(reload)
    why = "%s: given up after 30 s of reading it, while looking up the user %s" % (daemon.table_file, SLOW)
    assert (code, said) == (1, "%s\nlust-inetd: reload: the old table stays in force\n" % why)
    wait_until("the reader is gone", lambda: not alive(reader))
    status = daemon.status()
    assert status["generation"] == 1 and status["last_reload"]["ok"] is False
    assert status["last_reload"]["errors"] == [why]
    assert "the table could not be read" in daemon.log()
    get(web)
    slow.open()
    daemon.reload()
    assert daemon.status()["last_reload"]["ok"] is True
    back(daemon, hello("web", web))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end_of_a_start_that_waits(slow, daemon, number):
    """There it is the daemon itself that waits: it can be ended, and leaves nothing."""
    web, = free_ports(1)
    note = daemon.environment["LUST_TEST_NOTE"] = os.path.join(daemon.home, "waits")
    slow.write(hello("web", web))
    daemon.spawn()
    wait_until("it looks the name up", lambda: os.path.exists(note))
    daemon.process.send_signal(number)
    assert daemon.wait_exit() == 1
    assert "stopped while the table was being read; nothing was started" in daemon.log()
    assert not os.path.exists(os.path.join(daemon.home, "daemon.pid"))
    slow.open()
    daemon.start(hello("web", web))
    get(web)


@pytest.mark.parametrize("what", ["table", "include", "env-file"])
def test_fifo_without_a_writer(daemon, home, what):
    web, = free_ports(1)
    daemon.start(hello("web", web))
    fifo = daemon.table_file if what == "table" else os.path.join(daemon.home, "fifo")
    if what == "include":
        daemon.write(hello("web", web), 'include("fifo")')
    elif what == "env-file":
        daemon.write(hello("web", web, server={"env-file": fifo}))
    else:
        os.unlink(fifo)
    os.mkfifo(fifo)
    result = daemon.command("reload", code=78)
    assert fifo + ": not a regular file" in result.err, result
    get(web)
    os.unlink(fifo)
    daemon.reload(hello("web", web))
