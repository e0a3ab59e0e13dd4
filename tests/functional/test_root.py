"""What root's daemon gives up, and what it does not read."""
import os
import pwd
import re
import shutil
import stat
import subprocess

import pytest

from clients import Client, Load, get
from lustlib import HELLO_HTTP, SERVER_USER, children, free_port, hello, lust, process_status, program

pytestmark = pytest.mark.root


def make_jail(place, command):
    """A directory that a dynamically linked program can run in."""
    os.makedirs(place)
    listed = subprocess.run(["ldd", command], capture_output=True, text=True, check=True).stdout
    for path in {command, *re.findall(r"(/\S+) \(0x", listed)}:
        os.makedirs(place + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, place + path)
    for directory, _, _ in os.walk(place):
        os.chmod(directory, 0o755)


def ids(pid):
    found = process_status(pid)
    return set(found["Uid"].split()), set(found["Gid"].split()), sorted(map(int, found["Groups"].split()))


def entry_of(name):
    return pwd.getpwnam(name)


def test_server_in_a_jail(daemon, home):
    jail, port = home.join("jail"), free_port()
    make_jail(jail, HELLO_HTTP)
    daemon.start(hello("web", port, 2, {"chroot": jail, "user": "www-data", "group": "daemon", "groups": ["sys", "bin"]}))
    for pid in daemon.pids("web"):
        assert os.readlink("/proc/%d/root" % pid) == jail
        assert os.readlink("/proc/%d/cwd" % pid) == jail
        uids, gids, groups = ids(pid)
        assert uids == {str(entry_of("www-data").pw_uid)} and gids == {str(entry_of("daemon").pw_gid)}
        assert set(groups) - {entry_of("daemon").pw_gid} == {entry_of("sys").pw_gid, entry_of("bin").pw_gid}, groups
        found = process_status(pid)
        assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
        assert found["NoNewPrivs"] == "1"
    assert get(port).status == 200


def test_groups_are_the_users_unless_said(daemon):
    daemon.start(hello("web", free_port()), hello("none", free_port(), 1, {"groups": []}))
    entry = entry_of(SERVER_USER)
    expected = sorted(set(os.getgrouplist(SERVER_USER, entry.pw_gid)))
    uids, gids, groups = ids(daemon.pids("web")[0])
    assert uids == {str(entry.pw_uid)} and gids == {str(entry.pw_gid)}
    assert set(groups) | {entry.pw_gid} == set(expected)
    assert set(ids(daemon.pids("none")[0])[2]) <= {entry.pw_gid}


@pytest.mark.parametrize("who", ["dispatcher", "logger"])
def test_dispatcher_and_logger_are_powerless(daemon, who):
    daemon.start(hello("web", free_port()))
    pid = getattr(daemon, who)
    uids, gids, groups = ids(pid)
    assert len(uids) == 1 and "0" not in uids and "0" not in gids and 0 not in groups
    found = process_status(pid)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 0, (name, found[name])
    assert found["NoNewPrivs"] == "1"
    jail = os.readlink("/proc/%d/root" % pid)
    assert jail == os.path.realpath(os.path.join(daemon.runtime, "empty"))
    told = os.stat(jail)
    assert told.st_uid == 0 and not stat.S_IMODE(told.st_mode) & 0o022 and not os.listdir(jail)


@pytest.mark.plain
def test_dispatcher_is_not_dumpable_and_filtered(daemon):
    daemon.start(hello("web", free_port()))
    pid = daemon.dispatcher
    assert os.stat("/proc/%d/mem" % pid).st_uid == 0, "not dumpable"
    assert process_status(pid)["Seccomp"] in ("0", "2")


def test_dispatchers_user(daemon):
    port = free_port()
    daemon.start('dispatcher { user = "daemon" }\n', hello("web", port))
    assert ids(daemon.dispatcher)[0] == {str(entry_of("daemon").pw_uid)}
    assert get(port).status == 200


@pytest.mark.plain
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_supervisor_reads_no_byte_of_client_or_server(daemon, home):
    """strace of the supervisor under load: neither what clients say nor what servers print."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "good", instances=2))
    trace = home.join("trace")
    strace = subprocess.Popen(["strace", "-f", "-p", str(daemon.pid), "-o", trace, "-s", "4096", "-x", "-e",
                               "trace=read,readv,pread64,recvfrom,recvmsg,recvmmsg,splice,tee"], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in strace.stderr.readline()
        with Load(port, workers=4) as load:
            load.wait_for(200)
            with Client(port) as client:
                assert client.ask("/marker-of-a-client", keep=False).status == 200
        daemon.wait_logged("marker-of-a-client")
        daemon.command("status")
    finally:
        strace.terminate()
        strace.wait()
        strace.stderr.close()
    with open(trace) as file:
        text = file.read()
    assert text, "it did something, the status at least"
    # The last line that a server printed is status's to show: the logger tells it, cleaned, over the link.
    seen = [line for line in text.splitlines() if re.search(r"GET|HTTP/1", line) and "recvmsg" not in line]
    assert not seen, seen[:5]
    assert not load.failures


def test_a_server_without_user_is_refused(daemon):
    daemon.write('service "web" {\n    listen = "127.0.0.1:%d"\n    server {\n        command = {"%s"}\n    }\n}\n'
                 % (free_port(), HELLO_HTTP))
    result = lust("-c", daemon.table_file, "-r", daemon.runtime, "run")
    assert result.code == 78 and "user" in result.err, result


def test_no_way_back(daemon, home):
    """All three ids of each are changed."""
    port = free_port()
    daemon.start(home.bad_service("web", port, "environment"))
    uid, gid = entry_of(SERVER_USER).pw_uid, entry_of(SERVER_USER).pw_gid
    body = get(port).body
    assert "uids:(%d, %d, %d)" % (uid, uid, uid) in body and "gids:(%d, %d, %d)" % (gid, gid, gid) in body


def test_only_the_supervisor_is_root(daemon):
    daemon.start(hello("web", free_port(), 2))
    assert ids(daemon.pid)[0] == {"0"}
    assert all("0" not in ids(pid)[0] for pid in children(daemon.pid))
    names = {program(pid) for pid in children(daemon.pid)}
    assert {"lust-dispatcher", "lust-logger"} <= names
