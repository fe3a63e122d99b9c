# SPDX-License-Identifier: Apache-2.0
"""Makes a C file of the files that are served as they are: embed.py OUT.c FILE…; the API's description as JSON too."""

import hashlib
import json
import pathlib
import sys

import yaml

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".yaml": "application/yaml",
}


def evidence(text):
    """The rows of the table of docs/iec62443.md."""
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith(("| CR ", "| SAR "))]
    return [dict(zip(("requirement", "state", "how", "shown_by"), (c.replace("`", "") for c in row))) for row in rows]


def assets(files):
    """Path, content type and bytes of each."""
    for file in map(pathlib.Path, files):
        data = file.read_bytes()
        if file.name == "iec62443.md":
            yield "/iec62443.json", TYPES[".json"], json.dumps(evidence(data.decode()), ensure_ascii=False).encode()
            continue
        yield f"/{file.name}", TYPES[file.suffix], data
        if file.name == "openapi.yaml":
            text = json.dumps(yaml.safe_load(data), ensure_ascii=False, separators=(",", ":"))
            yield "/api/v1/openapi.json", TYPES[".json"], text.encode()


def main(out, files):
    arrays, rows = [], []
    for i, (path, kind, data) in enumerate(assets(files)):
        numbers = ",".join(map(str, data)) or "0"
        tag = hashlib.sha256(data).hexdigest()[:32]
        arrays.append(f"static const unsigned char asset_{i}[] = {{{numbers}}};\n")
        rows.append(f'    {{"{path}", "{kind}", "\\"{tag}\\"", asset_{i}, {len(data)}}},\n')
    pathlib.Path(out).write_text(
        "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by embed.py. */\n"
        '#include "north/http/assets.h"\n\n'
        + "".join(arrays)
        + "\nconst struct asset assets[] = {\n"
        + "".join(rows)
        + "    {0},\n};\n"
    )


main(sys.argv[1], sys.argv[2:])
