#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that includes point one way and that source files name their licence.

A module (a folder of src/) may include its own headers and those of modules on a lower level. So
whoever reads a module needs to know only what stands before it in LEVELS. Prints file:line: rule
for every breach and exits with 1 if there was one.
"""

import pathlib
import re
import subprocess
import sys

LEVELS = [
    {"base"},
    {"tag"},
    {"table"},
    {"journal"},
    {"history"},
    {"rule", "guard"},
    {"box"},
    {"config"},
    {"engine", "reader", "sealer", "identity", "south", "north", "compute", "sim"},
    {"cli"},
    {"main"},
]
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')
SOURCE = re.compile(r"\.(c|h|py|sh|ts|tsx|js|mjs|css|html|yml|yaml|ini)$|(^|/)(meson\.build|meson_options\.txt|run)$")
GENERATED = re.compile(r"(^|/)(package-lock\.json|corpus/.*)$")


def module_of(path):
    """The module of a file named from src/: its folder; a driver or service is one of its own."""
    parts = path.split("/")
    if len(parts) == 1:
        return "main"
    if parts[0] in ("south", "north") and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0]


def include_breach(file, included):
    """Why `file` may not include `included` (both named from src/), or None."""
    if included == "isthmus/driver.h":
        return None
    if included.startswith(".") or "/" not in included and "/" in file:
        return f'"{included}" is not written from src/'
    mine, theirs = module_of(file), module_of(included)
    my_level, their_level = LEVEL.get(mine.split("/")[0]), LEVEL.get(theirs.split("/")[0])
    if my_level is None or their_level is None:
        return f"module {mine if my_level is None else theirs} has no level in scripts/include_check.py"
    if mine == theirs or their_level < my_level:
        return None
    return f"{mine} must not include {theirs}, which is not below it"


def check_includes(root):
    source = root / "src"
    for path in sorted(source.rglob("*.[ch]")):
        file = path.relative_to(source).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            why = include_breach(file, match.group(1)) if match else None
            if why:
                yield f"src/{file}:{number}: {why}"
    for path in sorted((root / "include").rglob("*.h")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if INCLUDE.match(line):
                yield f"{path.relative_to(root)}:{number}: a public header includes none of ours"


def check_licences(root):
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    if listing.returncode != 0:
        yield f"git ls-files: {listing.stderr.decode().strip()}"
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = root / name
        if not SOURCE.search(name) or GENERATED.search(name) or not path.is_file():
            continue
        head = path.read_text(encoding="utf-8").splitlines()[:3]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            yield f"{name}:1: no line 'SPDX-License-Identifier: Apache-2.0' among the first three"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    breaches = [*check_includes(root), *check_licences(root)]
    print("\n".join(breaches), end="\n" if breaches else "")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
