"""--install: gets the peers as Debian packages, and leaves none of them running.

SPDX-License-Identifier: ISC
"""
import os
import shutil
import subprocess
import tempfile

import peers
import stage as stages

PACKAGES = {"haproxy": ("haproxy",), "nginx": ("nginx-light", "libnginx-mod-stream"), "xinetd": ("xinetd",),
            "tcpserver": ("ucspi-tcp",), "systemd-socket-activate": ("systemd",)}
# openbsd-inetd and xinetd exclude each other as packages: the first is unpacked, and what it links is installed.
UNPACKED, UNPACKED_NEEDS = "openbsd-inetd", ("libbsd0", "libevent-2.1-7", "libtirpc3", "libwrap0")
POLICY = "/usr/sbin/policy-rc.d"  # asked by packages before they start their service: 101 forbids it
SERVICES = ("haproxy", "nginx", "xinetd")


def run(*command, **how):
    if subprocess.run(command, stdin=subprocess.DEVNULL, **how).returncode != 0:
        raise stages.Failure("failed: " + " ".join(command))


def apt(*words):
    sudo = [] if stages.ROOT else ["sudo"]
    run(*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "--no-install-recommends", *words)


def install_packages(packages):
    """Nothing is started, now or when the machine starts."""
    if not stages.ROOT:
        raise stages.Failure("--install needs root")
    ours = not os.path.exists(POLICY)
    if ours:
        with open(POLICY, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        apt("--no-upgrade", "install", *packages)
    finally:
        if ours:
            os.unlink(POLICY)
    for service in SERVICES:
        if service in packages or service + "-light" in packages:
            subprocess.run(["update-rc.d", service, "disable"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if os.path.isdir("/run/systemd/system"):
                subprocess.run(["systemctl", "disable", "--now", service], stdin=subprocess.DEVNULL)


def unpack_openbsd_inetd():
    target = os.path.join(peers.WORK, UNPACKED)
    with tempfile.TemporaryDirectory(prefix="lust-bench.") as directory:
        os.chmod(directory, 0o777)  # apt downloads as a user of its own
        run("apt-get", "-q", "download", UNPACKED, cwd=directory)
        package = os.path.join(directory, next(name for name in os.listdir(directory) if name.endswith(".deb")))
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        run("dpkg-deb", "-x", package, target)
        with open(os.path.join(target, "version"), "w") as file:
            run("dpkg-deb", "-f", package, "Version", stdout=file)


def install():
    """Whatever is not there yet."""
    there, missing = peers.installed()
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise stages.Failure("--install knows apt-get only; missing: %s" % ", ".join(missing))
    wanted = [package for program in missing for package in PACKAGES.get(program, ())]
    if UNPACKED in missing:
        wanted += UNPACKED_NEEDS
    run("apt-get", "-q", "update")
    if wanted:
        install_packages(wanted)
    if UNPACKED in missing:
        unpack_openbsd_inetd()
