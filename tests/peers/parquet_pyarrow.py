# SPDX-License-Identifier: Apache-2.0
"""Parquet by pyarrow (PyPI), run by the Python of build/python.

parquet_pyarrow.py read FILE KIND…     each row as a JSON list of texts, as peers/parquet.mjs prints them
parquet_pyarrow.py write FOLDER        one table in many ways: FOLDER/*.parquet
"""

import itertools
import json
import math
import struct
import sys

import pyarrow
import pyarrow.parquet

START_MS = 1767225600000  # 2026-01-01


def exact(value, kind):
    if value is None:
        return None
    if kind == "double":
        return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()
    if kind == "bytes":
        return value.hex()
    if kind == "bool":
        return str(value).lower()
    return str(value)


def read(path, kinds):
    table = pyarrow.parquet.read_table(path)
    columns = []
    for column, kind in zip(table.columns, kinds):
        values = column.cast(pyarrow.int64()) if kind == "time" else column
        columns.append([exact(value, kind) for value in values.to_pylist()])
    for row in zip(*columns):
        print(json.dumps(row))


def table():
    rows = range(1000)
    return pyarrow.table(
        {
            "t": pyarrow.array([START_MS + i for i in rows], pyarrow.timestamp("ms", "UTC")),
            "x": pyarrow.array([None if i % 5 == 0 else i * 1.25 for i in rows], pyarrow.float64()),
            "n": pyarrow.array([None if i % 3 == 0 else (-1) ** i * i * 10**15 for i in rows], pyarrow.int64()),
            "s": pyarrow.array([f"text {i % 7}" for i in rows]),
            "b": pyarrow.array([i % 2 == 0 for i in rows]),
            "f": pyarrow.array([i / 8 for i in rows], pyarrow.float32()),
            "u": pyarrow.array([i * 4000000 for i in rows], pyarrow.uint32()),
        }
    )


def write(folder):
    ways = itertools.product(["none", "snappy", "zstd"], ["1.0", "2.0"], [True, False])
    for codec, version, dictionary in ways:
        path = f"{folder}/{codec}-{version}-{dictionary}.parquet"
        pyarrow.parquet.write_table(
            table(), path, compression=codec, data_page_version=version, use_dictionary=dictionary,
            row_group_size=300, data_page_size=500,
        )


if sys.argv[1] == "read":
    read(sys.argv[2], sys.argv[3:])
else:
    write(sys.argv[2])
