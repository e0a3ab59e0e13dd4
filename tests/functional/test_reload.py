"""reload: all or nothing, and what has not changed does not notice."""
import os
import re
import signal
import socket

import pytest

from clients import Client, Failure, Load, get, pids
from lustlib import free_port, free_ports, hello, listening_inodes, service, wait_until

QUICK = {"restart_delay": "100ms"}


def refused(port):
    try:
        Client(port).close()
    except Failure as failure:
        return failure.phase == "connect"
    return False


def test_new_removed_and_unchanged_under_load(daemon):
    kept, gone, new = free_ports(3)
    daemon.start(hello("kept", kept, 2), hello("gone", gone, 2))
    inodes, servers, dispatcher = listening_inodes(kept), daemon.pids("kept"), daemon.dispatcher
    generation = daemon.status()["generation"]
    with Load(kept, workers=8) as load:
        load.wait_for(100)
        for _ in range(5):
            daemon.reload(hello("kept", kept, 2), hello("new", new, 2))
            daemon.wait_ready()
            get(new)
            wait_until("nobody listens on the removed port", lambda: refused(gone))
            daemon.reload(hello("kept", kept, 2), hello("gone", gone, 2))
            daemon.wait_ready()
            get(gone)
            wait_until("nobody listens on the removed port", lambda: refused(new))
            load.wait_for(100)
    assert not load.failures, load.failures[:5]
    assert listening_inodes(kept) == inodes
    assert daemon.pids("kept") == servers and daemon.dispatcher == dispatcher
    status = daemon.status()
    assert status["last_reload"]["ok"] is True and status["generation"] == generation + 10
    assert [one["name"] for one in status["services"]] == ["kept", "gone"]


def test_open_connections_of_a_removed_service_end_in_peace(daemon):
    gone, kept = free_ports(2)
    daemon.start(hello("gone", gone, 1), hello("kept", kept, 1))
    with Client(gone) as client:
        pid = client.ask().pid
        daemon.reload(hello("kept", kept, 1))
        assert client.ask(keep=False).pid == pid
    wait_until("its server has ended", lambda: not os.path.exists("/proc/%d" % pid))
    daemon.before = None


def test_unchanged_table(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2))
    before, inodes = daemon.pids("web"), listening_inodes(port)
    count = [get(port) for _ in range(10)]
    daemon.reload()
    assert daemon.pids("web") == before and listening_inodes(port) == inodes
    assert daemon.wait_service("web", lambda one: one["connections"]["done"] == len(count))


def test_what_is_not_the_servers_leaves_them_alone(daemon):
    port = free_port()
    daemon.start(hello("web", port, 4, balance="round-robin"))
    before = daemon.pids("web")
    daemon.reload(hello("web", port, 4, balance="source-hash"))
    assert daemon.pids("web") == before
    assert len(pids(port, 12)) == 1


def test_changed_server_section_replaces_servers(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2))
    before = set(daemon.pids("web"))
    with Load(port, workers=4) as load:
        daemon.reload(hello("web", port, 2, {"env": ["COLOUR=blue"]}))
        daemon.wait_service("web", lambda one: one["ready"] == 2 and not before &
                            {server["pid"] for server in one["servers"]})
        load.wait_for(50)
    assert not load.failures, load.failures[:5]


def test_more_and_fewer_instances(daemon):
    port = free_port()
    daemon.start(hello("web", port, 2))
    before = set(daemon.pids("web"))
    daemon.reload(hello("web", port, 4))
    daemon.wait_service("web", lambda one: one["ready"] == 4)
    assert before < set(daemon.pids("web")), "the two old ones stay"
    with Load(port, workers=4) as load:
        daemon.reload(hello("web", port, 1))
        daemon.wait_service("web", lambda one: len([server for server in one["servers"] if server["pid"] > 0]) == 1)
        load.wait_for(50)
    assert not load.failures, load.failures[:5]
    daemon.before = None


def test_an_address_changes_its_service(daemon):
    """The socket is kept: who waits in its backlog waits on."""
    port, other = free_ports(2)
    daemon.start(hello("old", port, 1), hello("stays", other, 1))
    inodes = listening_inodes(port)
    with Load(port, workers=4) as load:
        daemon.reload(hello("stays", other, 1), hello("new", port, 1))
        daemon.wait_ready()
        load.wait_for(50)
    assert listening_inodes(port) == inodes
    assert not load.failures, load.failures[:5]
    assert get(port).pid in daemon.pids("new")
    daemon.wait_service("new", lambda one: one["connections"]["active"] == 0)


def test_five_mistakes_in_two_files(daemon, home):
    """All are told, with their lines; nothing changes; the daemon stays reachable."""
    port = free_port()
    daemon.start(hello("web", port, 2))
    before, inodes, generation = daemon.pids("web"), listening_inodes(port), daemon.status()["generation"]
    more = daemon.write('service "three" { listen = "127.0.0.1:%d"' % free_port(), '    balanse = "round-robin"', "}", "",
                        'service "four" {', '    listen = "127.0.0.1:99999"', "}", file="more.conf")
    daemon.write(
        'include("more.conf")',              # line 1
        'service "one" {',
        "    listen = *:80",                 # 3: an unquoted star
        "}",
        "",
        'service "two" {',
        '    listen = "127.0.0.1:%d"' % port,
        '    balance = "best"',              # 8: no such value
        '    server { command = {"/bin/true"} %s' % ('user = "nobody"' if os.geteuid() == 0 else ""),
        '        instances = "many"',        # 10: no number
        "    }",
        "}",
        "")
    result = daemon.reload(code=78)
    for file, line, name in ((daemon.table_file, 3, "one"), (daemon.table_file, 8, "two"), (daemon.table_file, 10, "two"),
                             (more, 2, "three"), (more, 6, "four")):
        where = "%s:%d: " % (file, line)
        assert any(told.startswith(where) and name in told for told in result.err.splitlines()), (where, result)
    assert len(re.findall(r"^\S+:\d+: (?!warning)", result.err, re.M)) == 5, result
    status = daemon.status()
    assert status["last_reload"]["ok"] is False and len(status["last_reload"]["errors"]) >= 5
    assert status["generation"] == generation
    assert status["config_changed"] is True
    assert [one["name"] for one in status["services"]] == ["web"]
    assert daemon.pids("web") == before and listening_inodes(port) == inodes
    assert get(port).status == 200
    assert daemon.command("check", daemon.table_file, code=78).err.count(":") >= 10
    # The table in force can be had again.
    daemon.reload(hello("web", port, 2))
    status = daemon.status()
    assert status["last_reload"] == dict(status["last_reload"], ok=True, errors=[])
    assert status["config_changed"] is False
    assert daemon.pids("web") == before


def test_missing_table(daemon):
    port = free_port()
    daemon.start(hello("web", port))
    os.unlink(daemon.table_file)
    result = daemon.reload(code=78)
    assert "No such file" in result.err
    assert get(port).status == 200


def test_sighup(daemon):
    first, second = free_ports(2)
    daemon.start(hello("web", first))
    daemon.write(hello("web", first), hello("more", second))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_notified("RELOADING=1")
    daemon.wait_notified("READY=1")
    daemon.wait_ready()
    get(second)
    daemon.baseline()


def test_sighup_with_a_broken_table(daemon):
    port = free_port()
    daemon.start(hello("web", port))
    daemon.write("nonsense")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until("the reload has failed", lambda: daemon.status()["last_reload"]["ok"] is False)
    daemon.wait_logged(re.escape(daemon.table_file) + ":1: ")
    assert get(port).status == 200


def test_an_address_that_is_taken(daemon):
    """In force, exit code 1, and bound as soon as it is free."""
    web, busy = free_ports(2)
    daemon.start(hello("web", web))
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", busy))
        holder.listen()
        result = daemon.reload(hello("web", web), hello("late", busy), code=1)
        assert str(busy) in result.err
        (told,) = daemon.service("late")["listen"]
        assert not told["bound"] and told["error"] and told["retry_s"] > 0
        get(web)
    daemon.wait_service("late", lambda one: one["listen"][0]["bound"])
    daemon.wait_ready()
    get(busy)
    daemon.baseline()


def test_what_only_a_restart_changes_is_told(daemon, home):
    port = free_port()
    daemon.start(hello("web", port))
    result = daemon.reload('pidfile = "%s"\n' % home.join("other.pid"), hello("web", port), code=None)
    assert result.code == 0 and "pidfile" in result.err + daemon.log(), result
    assert not os.path.exists(home.join("other.pid"))


def test_many_reloads_in_a_row(daemon):
    """Nothing grows."""
    ports = free_ports(20)
    everything = [hello("s%d" % number, port) for number, port in enumerate(ports)]
    daemon.start(*everything[:10])
    for number in range(10):
        daemon.reload(*everything[number % 10:10])
        daemon.reload(*everything[:10 + number])
    daemon.reload(*everything[:10])
    daemon.wait_ready()
    for port in ports[:10]:
        get(port)
    daemon.check_leaks()


@pytest.mark.parametrize("when", ["before", "after"])
def test_reload_and_a_dead_dispatcher(daemon, when):
    first, second = free_ports(2)
    daemon.start(hello("web", first, 2))
    before = daemon.pids("web")
    old = daemon.dispatcher
    daemon.lost_allowed = 64
    if when == "before":
        os.kill(old, signal.SIGKILL)
    daemon.reload(hello("web", first, 2), hello("more", second, 2))
    if when == "after":
        os.kill(old, signal.SIGKILL)
    daemon.wait_new_dispatcher(old)
    daemon.wait_ready()
    get(first)
    get(second)
    assert daemon.pids("web") == before
    daemon.baseline()


def test_status_shows_why_a_reload_failed(daemon):
    """The mistake, not a warning that stands before it in the table."""
    port = free_port()
    daemon.start(hello("web", port))
    daemon.write(service("ghost", free_port()), hello("web", port, instances="two"))
    told = daemon.command("reload", code=78).err
    assert told.index("warning: ghost") < told.index("web: instances"), told
    shown = next(line for line in daemon.command("status").out.splitlines() if line.startswith("! reload"))
    assert "warning" not in shown, shown
    assert "web: instances" in " ".join(daemon.command("status").out.split())
