"""check and show: how a table is read, and what is said about a bad one."""
import os
import re
import time

import pytest

from lustlib import HELLO_HTTP, ROOT, SANITIZED, SERVER_USER, lust

USER = '\n        user = "%s"' % SERVER_USER if ROOT else ""
SERVER = '    server {\n        command = {"/bin/true"}%s\n    }\n' % USER


@pytest.fixture
def check(home):
    """check(text, file text, ...): the result of `check`; further files are named more1.conf and so on."""
    def run(text, *more, options=()):
        path = home.join("t.conf")
        for number, content in enumerate(more, 1):
            with open(home.join("more%d.conf" % number), "w") as file:
                file.write(content)
        with open(path, "w") as file:
            file.write(text)
        return lust("check", *options, path)
    return run


def good(text, check, *more):
    result = check(text, *more)
    assert result.code == 0 and not result.err, result
    return result


def test_smallest_table(check):
    good('service "web" {\n    listen = "8080"\n%s}\n' % SERVER, check)


def test_empty_table(check):
    assert check("").code in (0, 78)


def test_all_that_this_release_knows(check, home):
    good("""# comment
// another
/* and
   a third */
runtime-dir = "%(home)s/r"
pidfile = "%(home)s/p.pid"
log = "%(home)s/log"
log-level = "info"
admin-users = {"root"}
status-groups = "root"
defaults {
    balance = "least-connections"
    server {
        env = {"A=1", "B=2"}
        restart = "on-failure"
    }
}
service "web" {
    listen = {"127.0.0.1:8080", "alt=[::1]:8081", "unix:%(home)s/s.sock"}   # three
    optional = "yes"
    mode = "connections"
    balance = "source-hash"
    acknowledge = "taken"
    take-timeout = "500ms"
    window = 32
    overload = "refuse"
    register-users = {"root", "nobody"}
    register-groups = {"root"}
    max-registered = 10
    allow-root = yes
    allow-foreign-namespace = no
    start = "always"
    drain-timeout = "1m"
    server {
        command = {"%(hello)s", "-x", "a b", "#no-comment"}
        directory = "/"
        env += {"B=3", "C=4"}
        pass-env = {"LANG"}
        umask = "027"
        nice = 5
        instances = 4
        %(user)s
        pidfile = "%(home)s/web.pid"
        log = "%(home)s/web.log"
        ready-timeout = "10s"
        stop-signal = "INT"
        stop-timeout = "2s"
        restart = "always"
        restart-delay = "200ms"
        restart-delay-max = "1m"
        restart-limit = 5
        restart-reset-after = "1h"
        rlimit-nofile = 1024
        rlimit-core = 0
    }
}
service "outside" {
    listen = "127.0.0.1:8082"
    start = "external"
    register-users = {"nobody"}
}
""" % {"home": home.path, "hello": HELLO_HTTP, "user": USER.strip()}, check)


BAD = [
    # text, line of the mistake, words that must be in it
    ('service "web" {\n    listen = "8080"\n    balanse = "round-robin"\n' + SERVER + "}", 3, ["balanse", "balance"]),
    ('service "web" {\n    listen = "8080"\n    balance = "best"\n' + SERVER + "}", 3, ["web", "balance", "best"]),
    ('service "web" {\n    listen = "8080"\n    user = "nobody"\n' + SERVER + "}", 3, ["user", "server"]),
    ('user = "nobody"\n', 1, ["user", "server", "dispatcher"]),
    ('service "web" {\n    listen = *:80\n' + SERVER + "}", 2, ["*"]),
    ('service "web" {\n    listen = "127.0.0.1:99999"\n' + SERVER + "}", 2, ["web", "99999"]),
    ('service "web" {\n    listen = "127.0.0.1:no-such-service"\n' + SERVER + "}", 2, ["no-such-service"]),
    ('service "web" {\n    listen = "300.0.0.1:80"\n' + SERVER + "}", 2, ["300.0.0.1"]),
    ('service "web" {\n    listen = "8080"\n    take-timeout = "soon"\n' + SERVER + "}", 3, ["take-timeout", "soon"]),
    ('service "web" {\n    listen = "8080"\n    window = 0\n' + SERVER + "}", 3, ["window"]),
    ('service "web" {\n    listen = "8080"\n    mode = "exec"\n' + SERVER + "}", 3, ["not supported yet"]),
    ('service "web" {\n    listen = "8080"\n    only-from = {"10.0.0.0/8"}\n' + SERVER + "}", 3, ["not supported yet"]),
    ('service "web" {\n    listen = {"8080", "unix:/s"}\n    acknowledge = "done"\n' + SERVER + "}", 3,
     ["web", "acknowledge", "unix:/s", ":2)", "use taken"]),
    ('service "web" {\n    listen = "udp:8080"\n' + SERVER + "}", 2, ["not supported yet"]),
    ('service "web" {\n    listen = "8080"\n    socket { nodelay = yes }\n' + SERVER + "}", 3, ["not supported yet"]),
    ('service "web" {\n    listen = "8080"\n    start = "external"\n' + SERVER + "}", 4, ["external"]),
    ('service "web" {\n    listen = "8080"\n    listen = "8081"\n' + SERVER + "}", 3, ["listen", "2"]),
    ('service "a" {\n    listen = "8080"\n%s}\n\nservice "a" {\n    listen = "8081"\n%s}' % (SERVER, SERVER), None, ["a", "1"]),
    ('service "a" {\n    listen = "8080"\n%s}\nservice "b" {\n    listen = "8080"\n%s}' % (SERVER, SERVER), None, ["8080"]),
    ('service "a b" {\n    listen = "8080"\n' + SERVER + "}", 1, ["a b"]),
    ('service "web" {\n    listen = "${PATH}"\n' + SERVER + "}", 2, ["${"]),
    ('service "web" {\n    listen = "8080"\n' + SERVER, 1, ["{"]),
    ('service "web" {\n    listen = "8080\n' + SERVER + "}", 2, ["quote"]),
    ('runtime-dir = "/a\n\n\n', 1, ["quote"]),
    ('/* never ends\nservice "web" {\n', 1, ["/*", "not closed"]),
    ('include("missing.conf")\n', 1, ["missing.conf"]),
    ('include("t.conf")\n', 1, ["t.conf"]),
    ("runtime-dir = \"/a\"\nruntime-dir = \"/b\"\n", 2, ["runtime-dir", "1"]),
    ("log-level = \"loud\"\n", 1, ["log-level", "loud"]),
    ('service "web" {\n    listen = "8080"\n    register-users = {"no-such-user"}\n' + SERVER + "}", 3, ["no-such-user"]),
    ('service "web" {\n    listen = "8080"\n    server {%s\n    }\n}' % USER, None, ["command"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"relative"}%s\n    }\n}' % USER, 4, ["relative"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        stop-signal = "FOO"%s\n    }\n}'
     % USER, 5, ["FOO"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        umask = "999"%s\n    }\n}'
     % USER, 5, ["umask", "999"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        env = {"NONSENSE"}%s\n    }\n}'
     % USER, 5, ["env", "NONSENSE"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        restart = "maybe"%s\n    }\n}'
     % USER, 5, ["restart", "maybe"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        rlimit-nofile = "lots"%s\n    }\n}'
     % USER, 5, ["rlimit-nofile", "lots"]),
    ('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        capabilities = "all"%s\n    }\n}'
     % USER, 5, ["not supported yet"]),
    ('nonsense\n', 1, ["nonsense"]),
    ('service "web" {\n    listen = "80\x0080"\n' + SERVER + "}", 2, []),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_mistakes(check, home, number):
    text, line, expected = BAD[number]
    result = check(text)
    assert result.code == 78, result
    told = [one for one in result.err.splitlines()
            if re.match(r"%s:%s: " % (re.escape(home.join("t.conf")), line or r"\d+"), one)]
    assert told, result
    assert any(all(word in one for word in expected) for one in told), result


def test_every_line_says_where_it_comes_from(check):
    result = check("nonsense\n")
    assert all(re.match(r"\S+:\d+: ", one) or one.startswith("lust-inetd: ") for one in result.err.splitlines()), result


def test_every_mistake_is_told(check):
    """Each with its own line; the first does not hide the second."""
    text = "".join('service "s%d" {\n    listen = "127.0.0.1:%d"\n    wrong%d = 1\n%s}\n' % (
        number, 1000 + number, number, SERVER) for number in range(200))
    result = check(text)
    assert result.code == 78
    told = re.findall(r":(\d+): s(\d+): ", result.err)
    height = 4 + SERVER.count("\n")
    assert [(int(line), int(name)) for line, name in told] == [(height * n + 3, n) for n in range(200)], result.err[:2000]


def test_lines_after_comments_and_quotes(check, home):
    text = '/* one\n two */ # three\n\nservice "web" { // {\n    listen = "127.0.0.1:8080" /* } */\n\n    bad = 1\n%s}\n' % SERVER
    result = check(text)
    assert re.match(re.escape(home.join("t.conf")) + ":7: ", result.err), result


def test_include(check):
    good('include("more*.conf")\n', check, 'service "one" {\n    listen = "8080"\n%s}\n' % SERVER,
         'service "two" {\n    listen = "8081"\n%s}\n' % SERVER)
    good('include("nothing-matches-*.conf")\n', check)


def test_same_service_in_two_files(check, home):
    result = check('include("more1.conf")\nservice "web" {\n    listen = "8080"\n%s}\n' % SERVER,
                   'service "web" {\n    listen = "8081"\n%s}\n' % SERVER)
    assert result.code == 78 and "t.conf:2" in result.err and "more1.conf:1" in result.err, result


def test_include_too_deep(check, home):
    for number in range(1, 30):
        with open(home.join("deep%d.conf" % number), "w") as file:
            file.write('include("deep%d.conf")\n' % (number + 1))
    result = check('include("deep1.conf")\n')
    assert result.code == 78 and "deep" in result.err, result


def test_strict_counts_warnings(check):
    """A program that is not there is odd, not wrong."""
    text = 'service "web" {\n    listen = "8080"\n    server {\n        command = {"/no/such/program"}%s\n    }\n}\n' % USER
    plain, strict = check(text), check(text, options=["--strict"])
    if "warning:" in plain.err:
        assert plain.code == 0 and strict.code == 78, (plain, strict)
    else:
        assert plain.code in (0, 78)


@pytest.mark.root
def test_root_must_say_whose_servers_they_are(check):
    result = check('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n    }\n}\n')
    assert result.code == 78 and "user" in result.err, result


def test_another_user_without_root(home, make_daemon):
    """Nobody but root can change users: said, not tried."""
    ordinary = make_daemon(user="nobody" if ROOT else None)
    ordinary.write('service "web" {\n    listen = "8080"\n    server {\n        command = {"/bin/true"}\n        user = "%s"\n'
                   "    }\n}\n" % ("root" if not ROOT else "daemon"))
    result = ordinary.command("check", ordinary.table_file, code=78)
    assert ":5: " in result.err and "user" in result.err, result


def test_show(check, home):
    text = ('defaults {\n    take-timeout = "7s"\n}\nservice "web" {\n    listen = "127.0.0.1:8080"\n    window = 17\n'
            '    server {\n        command = {"/bin/true", "one"}\n        env = {"SECRET=in-the-vault"}%s\n    }\n}\n' % USER)
    check(text)
    result = lust("-c", home.join("t.conf"), "show", "web")
    assert result.code == 0, result
    for word in ("take-timeout", "7s", "window", "17", "/bin/true", "LUST_SERVICE", "127.0.0.1:8080"):
        assert word in result.out, (word, result)
    assert re.search(r"window.*:6\b", result.out) and re.search(r"take-timeout.*:2\b", result.out), result
    assert ("in-the-vault" in result.out) == ROOT, "values only to root"
    result = lust("-c", home.join("t.conf"), "show", "wed")
    assert result.code == 64 and "web" in result.err, result


def large_table(count):
    return "".join('service "service-%05d" {\n    listen = "127.0.%d.%d:8080"   # %d\n%s}\n'
                   % (number, number // 250, number % 250 + 1, number, SERVER) for number in range(count))


@pytest.mark.plain
def test_ten_thousand_services(check):
    result = check(large_table(10000))
    assert result.code == 0, result


def test_ten_thousand_mistakes(check):
    result = check(large_table(10000 if not SANITIZED else 2000).replace("listen", "listne"))
    assert result.code == 78
    assert result.err.count("listne") >= (10000 if not SANITIZED else 2000)


def test_unreadable_table(home):
    result = lust("check", home.join("not-there.conf"))
    assert result.code == 78 and "not-there.conf" in result.err and "No such file" in result.err, result
    result = lust("check", home.path)
    assert result.code == 78 and home.path in result.err, result
    assert os.path.isdir(home.path)
