"""What the two counters share: the programs of the benchmark, and a daemon with one server.

SPDX-License-Identifier: ISC
"""
import contextlib
import json
import os
import pwd
import subprocess

import stage as stages

LIMIT_S = 60
PROGRAMS = ("lust-dispatcher", "bench-server")


def descendants(pid):
    """{program's name: pid} of those that are counted, below this process."""
    found = {}
    for child in stages.children(pid):
        with open("/proc/%d/cmdline" % child, "rb") as line:  # behind valgrind's words, or others'
            words = {os.path.basename(word) for word in line.read().decode(errors="replace").split("\0")}
        found.update({name: child for name in PROGRAMS if name in words})
    return found


class Daemon(stages.Contender):
    """Runs without root's rights: what is counted is the way of a connection, not the jail."""

    def start(self, wrapper=()):
        self.port = self.stage.port()
        table, user = self.stage.fresh("lust-inetd.conf"), {}
        with open(table, "w") as file:
            file.write(stages.lust_table(self.stage, self.port, 1, "answer", 0, self.stage.fresh("run"), user=None))
        if stages.ROOT:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.stage.path, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        process = self.stage.start([*wrapper, stages.LUST_INETD, "-c", table, "run"], cwd=self.stage.path, **user)
        self.processes = [process]
        stages.wait_until("lust-inetd answers", self.probe)
        self.pids = descendants(process.pid)
        return self

    def serve(self, connections, at_once):
        done = subprocess.run([self.stage.join("bench-load"), "-c", str(at_once), "-n", str(connections), str(self.port)],
                              check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        finished = json.loads(done.stdout)["finished"]
        if finished != connections:
            raise stages.Failure("%d of %d connections were answered" % (finished, connections))

    def stop(self):
        """Whole: what counts writes its sums at its end."""
        for process in self.processes:
            process.terminate()
            process.wait(LIMIT_S)
        super().stop()


@contextlib.contextmanager
def daemon(wrapper=lambda directory: ()):
    """One that answers, and is gone afterwards.  wrapper: the words in front of its command."""
    stage = stages.Stage()
    try:
        stage.build()
        one = Daemon(stage).start(wrapper(stage.path))
        yield one
        one.stop()
    finally:
        stage.close()
