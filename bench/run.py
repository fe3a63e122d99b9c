#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs benchmarks and sums up their figures. Called by ./run bench.

A benchmark program is bench/X_bench.py, or bench/X_bench.c built as build/bench/X_bench:
  --list     prints the names that it can measure, one a line
  NAME…      measures these once and prints a line 'NAME VALUE UNIT' for each on stdout;
             what else is worth knowing goes to stderr
Each program is run several times; the summary is median, least and greatest of a name's values.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("ISTHMUS_BUILD", ROOT / "build"))


def programs():
    """Command lines of all benchmark programs."""
    built = [[str(path)] for path in sorted((BUILD / "bench").glob("*_bench")) if os.access(path, os.X_OK)]
    scripts = [["/usr/bin/python3", str(path)] for path in sorted((ROOT / "bench").glob("*_bench.py"))]
    return built + scripts


def wanted(name, patterns):
    """A pattern is a name, a glob, or the part of names before a dot: 'path' means 'path.*'."""
    return not patterns or any(
        fnmatch.fnmatchcase(name, pattern) or name.startswith(pattern + ".") for pattern in patterns
    )


def names_of(program):
    listing = subprocess.run([*program, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    return listing.stdout.split()


def measure(program, names, runs):
    """Returns {name: (unit, [value of each run])}."""
    results = {}
    for run in range(1, runs + 1):
        print(f"    {pathlib.Path(program[-1]).name}: run {run} of {runs}", file=sys.stderr)
        output = subprocess.run([*program, *names], stdout=subprocess.PIPE, text=True, check=True)
        for line in output.stdout.splitlines():
            name, value, unit = line.split(maxsplit=2)
            results.setdefault(name, (unit, []))[1].append(float(value))
    lacking = set(names) - set(results)
    if lacking:
        raise ValueError(f"{program[-1]} gave no figure for {', '.join(sorted(lacking))}")
    return results


def summary(unit, values):
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "unit": unit,
        "runs": len(values),
    }


def print_table(results):
    print(f"{'name':<28} {'median':>14} {'min':>14} {'max':>14}  unit (runs)")
    for name, row in results.items():
        figures = " ".join(f"{row[key]:>14,.4g}" if row[key] < 1000 else f"{row[key]:>14,.0f}"
                           for key in ("median", "min", "max"))
        print(f"{name:<28} {figures}  {row['unit']} ({row['runs']})")


def main():
    parser = argparse.ArgumentParser(prog="./run bench", description="Measures; prints a table or JSON.")
    parser.add_argument("name", nargs="*", help="a name, a glob, or a group such as 'path' (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON with stable names")
    parser.add_argument("--list", action="store_true", help="only list the names")
    parser.add_argument("--runs", type=int, default=5, help="how often to measure (default 5)")
    options = parser.parse_args()

    chosen = [(program, [name for name in names_of(program) if wanted(name, options.name)])
              for program in programs()]
    chosen = [(program, names) for program, names in chosen if names]
    if not chosen:
        print("run: no benchmark of that name; ./run bench --list names all", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(name for _, names in chosen for name in names))
        return 0
    results = {}
    try:
        for program, names in chosen:
            for name, (unit, values) in measure(program, names, options.runs).items():
                results[name] = summary(unit, values)
    except (subprocess.CalledProcessError, ValueError) as failure:
        print(f"run: benchmark failed: {failure}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print_table(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
