# SPDX-License-Identifier: Apache-2.0
"""Makes a C file of the console's files: embed.py OUT.c FILE…"""

import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".yaml": "application/yaml",
}


def main(out, files):
    arrays, rows = [], []
    for i, file in enumerate(map(pathlib.Path, files)):
        data = file.read_bytes()
        numbers = ",".join(map(str, data)) or "0"
        arrays.append(f"static const unsigned char asset_{i}[] = {{{numbers}}};\n")
        rows.append(f'    {{"/{file.name}", "{TYPES[file.suffix]}", asset_{i}, {len(data)}}},\n')
    pathlib.Path(out).write_text(
        "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by embed.py. */\n"
        '#include "north/http/assets.h"\n\n'
        + "".join(arrays)
        + "\nconst struct asset assets[] = {\n"
        + "".join(rows)
        + "    {0},\n};\n"
    )


main(sys.argv[1], sys.argv[2:])
