"""The daemon context takes its steps in the order that lust_daemon_open(3) tells: seen by strace, as system calls."""
import fcntl
import os
import re
import signal
import subprocess

import pytest

import tracing
from compiling import compile_program
from lustlib import LIMIT, alive, clean_environment, wait_until

pytestmark = [pytest.mark.root, pytest.mark.plain, tracing.needs_strace]

PROGRAM = r"""
#include <lust.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void end(int number)
{
	(void)number; /* pause(2) returns */
}

/* Nothing but a system call that the trace shows. */
static int mark(const char *what)
{
	return access(what, F_OK) == 0 ? -1 : 0;
}

static int before_jail(void *argument)
{
	return mark(argument) + mark("/before_jail");
}

static int before_drop(void *argument)
{
	(void)argument;
	return mark("/before_drop");
}

int main(int argc, char **argv)
{
	static const struct lust_signal_action signals[] = {{SIGUSR1, end}, {SIGHUP, SIG_IGN}};
	struct lust_daemon_options options = {
		.detach = LUST_DETACH_YES, .pidfile = argv[1], .chroot = argv[2], .directory = "/work", .user = "nobody",
		.signals = signals, .signals_count = 2, .umask = 027, .set_umask = 1,
		.before_jail = before_jail, .before_drop = before_drop, .argument = "/argument",
	};
	struct lust_daemon *daemon = NULL;
	int result, code = atoi(argv[argc - 1]);

	mark("/begin");
	result = lust_daemon_open(&daemon, &options);
	if (result == 1) {
		code = lust_daemon_code(daemon);
	} else if (result < 0) {
		fprintf(stderr, "%s\n", lust_daemon_problem(daemon));
		code = 1;
	} else {
		mark("/open");
		lust_daemon_ready(daemon, code);
		mark("/ready");
		if (code == 0)
			pause();
	}
	lust_daemon_close(daemon);
	return code;
}"""

CALLS = ("access,openat,flock,setrlimit,prlimit64,umask,socketpair,clone,clone3,fork,vfork,setsid,wait4,recvfrom,sendto,write,pwrite64,"
         "rt_sigaction,close_range,dup2,dup3,chdir,chroot,setgroups,setresgid,setresuid,getresuid,getresgid,getgroups,prctl,pause,"
         "ftruncate,unlink,unlinkat,exit_group")

# Step by step, with the numbers of the manual: who asks for it to be changed changes both.
CALLER = [
    r'openat\(.*"/etc/passwd"',                                  # 1 names, while /etc is within reach
    r'openat\(.*"/dev/null"', r'openat\(.*"%(pidfile)s"', r"flock\(", # 2
    r"(setrlimit|prlimit64)\(.*RLIMIT_CORE, \{rlim_cur=0", r"umask\(027\)",  # 3
    r"socketpair\(", r"(clone|clone3|v?fork)\(", r"wait4\(", r"recvfrom\(", r"exit_group\(%(code)d\)",  # 4: it waits for the verdict
]
BETWEEN = [r"setsid\(", r"(clone|clone3|v?fork)\(", r"exit_group\(0\)"]
BEGINS = [
    r"pwrite64\(",                                              # 5 its pid
    r"rt_sigaction\(SIGUSR1", r"rt_sigaction\(SIGHUP, \{sa_handler=SIG_IGN",  # 6
    r"close_range\(",                                           # 7
    r"dup[23]\(\d+, 0", r"dup[23]\(\d+, 1",                     # 8; standard error waits for the verdict
    r'access\("/argument"', r'access\("/before_jail"',           # 9
    r'chdir\("%(jail)s"', r"chroot\(",                          # 10
]
CONFINED = [
    r'chdir\("/"\)',
    r'access\("/before_drop"',                                  # 11
    r"setgroups\(", r"setresgid\((\d+), \1, \1", r"setresuid\((\d+), \1, \1",  # 12
    r"setresuid\(-1, 0, -1\) += -1 EPERM",                      # and proved: every way back is tried
    r"getresuid\(", r"getresgid\(", r"getgroups\(",
    r'chdir\("/work"', r"prctl\(PR_SET_DUMPABLE, SUID_DUMP_DISABLE",  # 13
    r'access\("/open"',
]


def calls_of(home, *arguments, inject=()):
    """Runs it; its code, what it said, and where its trace is.  inject: strace's words for a call that fails."""
    os.makedirs(home.join("jail", "work"))
    program, trace = compile_program(home, "order", PROGRAM), home.join("trace")
    with open(home.join("said"), "w+") as said:  # no pipe: strace has it, too, until the daemon ends
        done = subprocess.run(["strace", "-D", "-f", "-q", "-s", "300", "-e", "signal=none", "-e", "trace=" + CALLS, *inject, "-o", trace,
                               program, home.join("pid"), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                              timeout=LIMIT, env=clean_environment())
        said.seek(0)
        return done.returncode, said.read(), trace


def processes(trace):
    """[the caller's calls, those of the one between, the daemon's], when the daemon has ended."""
    def ended():
        found = list(tracing.read(trace).values())
        return len(found) == 3 and any("exit_group(" in line for line in found[2]) and found
    caller, between, daemon = wait_until("three processes end", ended)
    begin = next(number for number, line in enumerate(caller) if '"/begin"' in line)
    return caller[begin:], between, daemon


def check_order(lines, steps, **names):
    """Each step is there, and none of them before the one that is told before it."""
    at = -1
    for step in steps:
        pattern = re.compile(step % names if "%(" in step else step)
        first = next((number for number, line in enumerate(lines) if number > at and pattern.match(line)), None)
        assert first is not None, "no %s after %s:\n%s" % (pattern.pattern, lines[at], "\n".join(lines))
        at = first
    return at


def first_of(lines, pattern):
    return next(number for number, line in enumerate(lines) if re.match(pattern, line))


def test_it_works(home):
    code, said, trace = calls_of(home, home.join("jail"), 0)
    assert (code, said) == (0, "")
    with open(home.join("pid")) as file:
        pid = int(file.read())
    os.kill(pid, signal.SIGUSR1)
    wait_until("its end", lambda: not alive(pid))
    caller, between, daemon = processes(trace)
    names = {"pidfile": home.join("pid"), "jail": home.join("jail"), "code": 0}
    check_order(caller, CALLER, **names)
    check_order(between, BETWEEN)
    # The verdict at the end of all, then standard error leaves.
    check_order(daemon, BEGINS + CONFINED + [r"sendto\(", r"dup[23]\(\d+, 2", r'access\("/ready"', r"pause\("], **names)
    # Nothing is named outside the jail from then on, but the pidfile, which cannot be reached.
    jailed = daemon[first_of(daemon, r"chroot\("):]
    assert not [line for line in jailed if line.startswith("openat(")]
    # Privilege is there until it is dropped, and never asked for afterwards but to prove that it is gone.
    dropped = daemon[first_of(daemon, r"setresuid\((\d+), \1, \1"):]
    assert not [line for line in dropped[1:] if re.match(r"setres?[ug]id\(|setgroups\(|chroot\(", line) and "-1 EPERM" not in line]


def test_another_verdict(home):
    """Told when nothing of the daemon is left."""
    code, said, trace = calls_of(home, home.join("jail"), 7)
    assert (code, said) == (7, "")
    caller, _, daemon = processes(trace)
    check_order(caller, CALLER, pidfile=home.join("pid"), code=7)
    at = check_order(daemon, [r'access\("/ready"', r"ftruncate\(\d+, 0\)", r"sendto\("])
    assert at == first_of(daemon, r"sendto\(")


def test_a_step_that_fails(home):
    """What comes after it is not done, and the caller hears both its name and its verdict."""
    jail = home.join("nowhere")
    code, said, trace = calls_of(home, jail, 0)
    assert (code, said) == (1, "chroot %s: No such file or directory\n" % jail)
    caller, _, daemon = processes(trace)
    check_order(caller, CALLER, pidfile=home.join("pid"), code=1)
    # The words before the verdict: who waits for it reads them; the pidfile is free before it, too.
    check_order(daemon, BEGINS[:-2] + [r'chdir\("%(jail)s"\) += -1 ENOENT', r"write\(2,", r"unlink(at)?\(", r"sendto\(",
                                       r"exit_group\("], jail=jail)
    assert not [line for line in daemon if re.match(r"chroot\(|setgroups\(|setres[ug]id\(|.*/before_drop", line)]
    assert not os.path.exists(home.join("pid"))


@pytest.mark.parametrize("call, error, told", [
    ("flock", "EIO", "pidfile %(pidfile)s: Input/output error"),
    ("prlimit64", "EPERM", "setrlimit core: Operation not permitted"),
    ("socketpair", "EMFILE", "detach: Too many open files"),
    ("setsid", "EPERM", "detach: Operation not permitted"),
    ("pwrite64", "ENOSPC", "pidfile %(pidfile)s: No space left on device"),
    ("rt_sigaction", "EINVAL", "signal User defined signal 1: Invalid argument"),
    ("close_range", "EPERM", "close descriptors: Operation not permitted"),
    ("dup2", "EBUSY", "standard input: Device or resource busy"),
    ("chroot", "EPERM", "chroot %(jail)s: Operation not permitted"),
    ("setgroups", "EPERM", "drop privileges to nobody: Operation not permitted"),
    ("setresgid", "EAGAIN", "drop privileges to nobody: Resource temporarily unavailable"),
    ("setresuid", "EAGAIN", "drop privileges to nobody: Resource temporarily unavailable"),
    ("prctl", "EINVAL", "prctl PR_SET_DUMPABLE: Invalid argument"),
])
def test_each_step_tells_its_name_and_why(home, call, error, told):
    names = {"pidfile": home.join("pid"), "jail": home.join("jail")}
    code, said, _ = calls_of(home, names["jail"], 0, inject=["-e", "inject=%s:error=%s" % (call, error)])
    assert (code, said) == (1, told % names + "\n")
    # Whoever hears it may try again at once: with the same file, which nobody holds.
    assert not os.path.exists(names["pidfile"]) or not os.path.getsize(names["pidfile"])
    with open(names["pidfile"], "w") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
