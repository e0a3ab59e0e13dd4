"""Fixtures: each test has a directory and a daemon of its own, and is asked at its end what it left behind.

SPDX-License-Identifier: ISC
"""
import os
import signal

import pytest

import lustlib


def pytest_configure():
    lustlib.adopt_orphans()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def pytest_collection_modifyitems(items):
    if not os.access(lustlib.LUST_INETD, os.X_OK):
        pytest.exit("%s is not there: install first, and set LUST_PREFIX" % lustlib.LUST_INETD, 1)
    for item in items:
        if item.get_closest_marker("root") and not lustlib.ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("native") and lustlib.WRAP:
            item.add_marker(pytest.mark.skip(reason="needs the daemon without valgrind around it"))
        if item.get_closest_marker("plain") and lustlib.SANITIZED:
            item.add_marker(pytest.mark.skip(reason="needs a build without sanitizers"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture
def home(request):
    place = lustlib.Home()
    yield place
    place.end_outside()
    place.remove()


@pytest.fixture
def make_daemon(request, home):
    """Daemon(user=None), as many as a test wants; the first lives in home itself."""
    made = []

    def make(user=None):
        path = home.path
        if made:
            path = home.join("d%d" % len(made))
            os.mkdir(path)
            os.chmod(path, 0o755)
        made.append(lustlib.Daemon(path, user))
        return made[-1]

    yield make
    failed = getattr(request.node, "failed", True)
    problem = None
    for daemon in made:
        try:
            if failed:
                daemon.kill()
            else:
                daemon.finish()
        except BaseException as error:
            problem = problem or error
            daemon.kill()
        if (failed or problem) and os.path.exists(daemon.log_file):
            print("---- log of %s\n%s" % (daemon.home, daemon.log()[-20000:]))
    home.end_outside()
    strangers = lustlib.reap_strangers()
    if problem:
        raise problem
    assert failed or not strangers, "processes without a parent were left: %s" % strangers


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()
