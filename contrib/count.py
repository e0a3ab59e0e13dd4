"""Adds up what test runners report, for contrib/test: prints "PASSED FAILED SKIPPED".

    count.py check CODE DIRECTORY   the unit tests' logs of `make check`, which exited with CODE
    count.py pytest CODE FILE       pytest's junit file; pytest exited with CODE
    count.py summary CODE FILE      output that ends with "N passed, N failed, N skipped"

SPDX-License-Identifier: ISC
"""
import glob
import os
import re
import sys
import xml.etree.ElementTree as tree

SUMMARY = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)


def unit(directory):
    passed = failed = skipped = 0
    for trs in glob.glob(os.path.join(directory, "*.trs")):
        with open(trs) as file:
            result = re.search(r":global-test-result: (\w+)", file.read()).group(1)
        with open(trs[:-4] + ".log", errors="replace") as file:
            counts = [tuple(map(int, found)) for found in SUMMARY.findall(file.read())]
        bad = sum(failures + errors for _, failures, errors in counts)
        passed += sum(checks for checks, _, _ in counts) - bad
        failed += bad
        if result == "SKIP":
            skipped += 1
        elif result != "PASS" and not bad:
            failed += 1  # it crashed, leaked or never came to its summary
        elif result == "PASS" and not counts:
            passed += 1
    return passed, failed, skipped


def functional(path):
    if not os.path.exists(path):
        return 0, 0, 0
    passed = failed = skipped = 0
    for suite in tree.parse(path).getroot().iter("testsuite"):
        bad = int(suite.get("failures")) + int(suite.get("errors"))
        left_out = int(suite.get("skipped"))
        passed += int(suite.get("tests")) - bad - left_out
        failed += bad
        skipped += left_out
    return passed, failed, skipped


def summary(path):
    if not os.path.exists(path):
        return 0, 0, 0
    with open(path, errors="replace") as file:
        found = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", file.read(), re.M)
    return tuple(map(int, found[-1])) if found else (0, 1, 0)


def main():
    kind, code, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    passed, failed, skipped = {"check": unit, "pytest": functional, "summary": summary}[kind](where)
    if code and not failed:
        failed = 1  # the runner itself failed
    print(passed, failed, skipped)


main()
