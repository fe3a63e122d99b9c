#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the results in a folder: JUnit files (*.xml) and plain lists ('passed NAME' a line, *.txt).

Prints the names of what failed, then 'N passed, N failed, N skipped'. Exits with 1 if anything
failed or nothing passed.
"""

import collections
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def results_of(path):
    """Yields (outcome, name) for each result in the file."""
    if path.suffix == ".txt":
        for line in path.read_text(encoding="utf-8").splitlines():
            outcome, name = line.split()[:2]
            yield outcome, name
        return
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname') or path.stem}: {case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            yield "failed", name
        elif case.find("skipped") is not None:
            yield "skipped", name
        else:
            yield "passed", name


def main():
    count = collections.Counter()
    for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        for outcome, name in results_of(path):
            count[outcome] += 1
            if outcome == "failed":
                print(f"failed: {name}", file=sys.stderr)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
