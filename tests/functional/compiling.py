"""Programs of a test, on the installed liblust.

SPDX-License-Identifier: ISC
"""
import os
import shutil
import subprocess

import pytest

from lustlib import LIBLUST, LIMIT, PREFIX


def compile_program(home, name, text, compiler="cc", language="c", standard="gnu11"):
    """Its path."""
    found = shutil.which(compiler)
    if not found:
        pytest.skip("no " + compiler)
    source, program, library = home.join(name + "." + language), home.join(name), os.path.dirname(LIBLUST)
    sanitized = ["-fsanitize=address,undefined"] if "ASAN_OPTIONS" in os.environ else []
    pedantic = [] if standard.startswith("gnu") else ["-Wpedantic"]
    with open(source, "w") as file:
        file.write(text)
    done = subprocess.run([found, "-std=" + standard, "-Wall", "-Wextra", "-Werror", *pedantic, *sanitized,
                           "-I", os.path.join(PREFIX, "include"), "-o", program, source, "-L", library, "-llust",
                           "-Wl,-rpath," + library], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return program
