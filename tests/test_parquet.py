# SPDX-License-Identifier: Apache-2.0
"""Our Parquet against programs that nobody here wrote, both ways: DuckDB and hyparquet (npm), and pyarrow where ./run test
could get it from PyPI. The program under test is build/src/table/table_convert, which turns CSV into Parquet and back."""

import base64
import datetime
import json
import os
import pathlib
import random
import struct
import subprocess

import plant
import pytest

CONVERT = pathlib.Path(os.environ["ISTHMUS_BUILD"]) / "src/table/table_convert"
NODE = ["node", plant.ROOT / "tests/peers/parquet.mjs"]
PYTHON = plant.ROOT / "build/python/bin/python"
PYARROW = [PYTHON, plant.ROOT / "tests/peers/parquet_pyarrow.py"]
READERS = {"duckdb": [*NODE, "duckdb"], "hyparquet": [*NODE, "hyparquet"]}
if PYTHON.exists():
    READERS["pyarrow"] = [*PYARROW, "read"]
KINDS = {
    "time": "time", "tag": "text", "value": "double?", "status": "uint32", "number": "int64?",
    "count": "uint64?", "flag": "bool?", "raw": "bytes?", "serial": "text?",
}
START = 1767225600 * 10**9


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, timeout=120).stdout


def time_text(ns):
    moment = datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09}Z"


def make_rows(count):
    """Rows as dictionaries of Python values: extremes, nulls, few and many different values."""
    rng = random.Random(7)
    doubles = [0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7e308, 0.1]
    for i in range(count):
        yield {
            "time": START + i * 1000003 + rng.randrange(1000),
            "tag": rng.choice(["site/a/flow", 'quoted "x", y', "höhe/µm", "", "line\nend"]),
            "value": rng.choice([None, rng.random(), round(rng.random() * 100, 2), rng.choice(doubles)]),
            "status": rng.choice([0, 0, 0, 0x80000000, 0xFFFFFFFF, 0x40000000]),
            "number": rng.choice([None, i, -i, -(2**63), 2**63 - 1]),
            "count": rng.choice([None, i, 2**64 - 1, 2**63]),
            "flag": rng.choice([None, True, False]),
            "raw": rng.choice([None, b"", b"\x00\xff", bytes(rng.randrange(256) for _ in range(9))]),
            "serial": None if i % 1000 > 900 else f"serial {i}",
        }


def exact(value, kind):
    """A value as the peers print it."""
    if value is None:
        return None
    if kind == "double":
        return "NaN" if value != value else struct.pack(">d", value).hex()
    if kind == "bytes":
        return value.hex()
    return str(value).lower() if kind == "bool" else str(value)


def csv_field(value, kind):
    if value is None:
        return ""
    if kind == "time":
        return time_text(value)
    if kind == "double":
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), repr(value))
    if kind == "bytes":
        return base64.b64encode(value).decode() or '""'
    if kind == "text":
        return '"' + value.replace('"', '""') + '"'
    return exact(value, kind)


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(",".join(KINDS) + "\r\n")
        for row in rows:
            out.write(",".join(csv_field(row[c], k.rstrip("?")) for c, k in KINDS.items()) + "\r\n")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A Parquet file of ours in several row groups, and what is in it."""
    folder = tmp_path_factory.mktemp("parquet")
    rows = list(make_rows(12345))
    write_csv(folder / "rows.csv", rows)
    kinds = [f"{c}:{k}" for c, k in KINDS.items()]
    run(CONVERT, "--rows", 5000, folder / "rows.csv", folder / "rows.parquet", *kinds)
    return folder / "rows.parquet", rows


@pytest.mark.parametrize("reader", READERS)
def test_peers_read_what_we_write(ours, reader):
    path, rows = ours
    kinds = [k.rstrip("?") for k in KINDS.values()]
    lines = run(*READERS[reader], path, *kinds).splitlines()
    assert len(lines) == len(rows)
    tick = 1000 if reader == "duckdb" else 1
    for row, line in zip(rows, lines):
        wanted = [exact(row[c], k) for c, k in zip(KINDS, kinds)]
        wanted[0] = str(row["time"] // tick * tick)
        assert json.loads(line) == wanted


def test_statistics_let_duckdb_skip_and_never_miss(ours):
    """DuckDB skips row groups by their minimum and maximum: what it finds must be what is there."""
    path, rows = ours
    table = f"from read_parquet('{path}')"
    cut = [rows[i]["time"] // 1000 for i in (100, 6000, 12000)]
    queries, wanted = [], []
    for us in cut:
        queries.append(f"select count(*) {table} where time >= make_timestamptz({us}::bigint)")
        wanted.append(sum(r["time"] // 1000 >= us for r in rows))
    for column, value in (("status", 0xFFFFFFFF), ("number", -(2**63)), ("number", 2**63 - 1), ("count", 2**64 - 1)):
        queries.append(f"select count(*) {table} where {column} = {value}")
        wanted.append(sum(r[column] == value for r in rows))
    for serial in ("serial 0", "serial 12000"):
        queries.append(f"select count(*) {table} where serial = '{serial}'")
        wanted.append(1)
    queries.append(f"select count(*) {table} where value = 'infinity'::double")
    wanted.append(sum(r["value"] == float("inf") for r in rows))
    queries.append(f"select count(*) {table} where value is null")
    wanted.append(sum(r["value"] is None for r in rows))
    assert [json.loads(line)[0][0] for line in run(*NODE, "sql", *queries).splitlines()] == [str(w) for w in wanted]


def test_metadata_is_as_duckdb_expects_it(ours):
    path, rows = ours
    groups, columns = run(
        *NODE, "sql",
        f"select num_rows, num_row_groups, created_by from parquet_file_metadata('{path}')",
        f"""select path_in_schema, compression, stats_null_count, stats_min_value, stats_max_value
            from parquet_metadata('{path}') where row_group_id = 0 order by column_id""",
    ).splitlines()
    assert json.loads(groups)[0][:2] == [str(len(rows)), "3"]
    assert json.loads(groups)[0][2].startswith("isthmus version ")
    first = {c[0]: c[1:] for c in json.loads(columns)}
    assert list(first) == list(KINDS)
    assert {c[0] for c in first.values()} == {"ZSTD"}
    assert first["status"][1:] == ["0", "0", "4294967295"]
    assert first["number"][2:] == [str(-(2**63)), str(2**63 - 1)]
    for column in KINDS:
        assert first[column][1] == str(sum(r[column] is None for r in rows[:5000]))


WAYS = {
    f"{codec}-{version}": f"compression {codec}, parquet_version {version}, row_group_size 2048"
    for codec in ("uncompressed", "snappy", "zstd")
    for version in ("v1", "v2")
}


def foreign_csv(count, unsigned):
    """The table that the peers write, as our CSV."""
    lines = ["t,x,n,s,b,f,u"]
    for i in range(count):
        lines.append(",".join([
            time_text(START + i * 10**6),
            "" if i % 5 == 0 else f"{i * 1.25:.15g}",
            "" if i % 3 == 0 else str((-1) ** i * i * 10**15),
            f"text {i % 7}",
            "true" if i % 2 == 0 else "false",
            f"{i / 8:.15g}",
            str(i * unsigned),
        ]))
    return "".join(line + "\r\n" for line in lines)


@pytest.mark.parametrize("way", WAYS)
def test_we_read_what_duckdb_writes(tmp_path, way):
    path = tmp_path / "duckdb.parquet"
    select = """select timestamptz '2026-01-01 00:00:00Z' + interval (i) millisecond t,
        case when i % 5 = 0 then null else i * 1.25::double end::double x,
        case when i % 3 = 0 then null else (case when i % 2 = 0 then i else -i end) * 1000000000000000 end::bigint n,
        'text ' || (i % 7) s, i % 2 = 0 b, (i / 8)::float f, (i * 400000)::uinteger u from range(9000) r(i)"""
    run(*NODE, "sql", f"copy ({select}) to '{path}' (format parquet, {WAYS[way]})")
    run(CONVERT, path, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().decode() == foreign_csv(9000, 400000)


if PYTHON.exists():

    @pytest.fixture(scope="module")
    def pyarrow_files(tmp_path_factory):
        folder = tmp_path_factory.mktemp("pyarrow")
        run(*PYARROW, "write", folder)
        return sorted(folder.iterdir())

    def test_we_read_what_pyarrow_writes(pyarrow_files, tmp_path):
        """All codecs, both versions of data pages, with and without dictionary."""
        assert len(pyarrow_files) == 12
        for path in pyarrow_files:
            run(CONVERT, path, tmp_path / "out.csv")
            assert (tmp_path / "out.csv").read_bytes().decode() == foreign_csv(1000, 4000000), path.name


def test_foreign_columns_are_named(tmp_path):
    """What we can't read is refused by name; the columns beside it are read."""
    path = tmp_path / "odd.parquet"
    select = "select 1.5::decimal(9,2) price, [1, 2] list, uuid() id, time '10:00:00' clock, 7::bigint fine"
    run(*NODE, "sql", f"copy ({select}) to '{path}' (format parquet)")
    columns = dict(line.split(" ", 1) for line in run(CONVERT, "--columns", path).splitlines())
    assert "DECIMAL" in columns["price"]
    assert "nested" in columns["element"]
    assert "FIXED_LEN_BYTE_ARRAY" in columns["id"]
    assert "TIME" in columns["clock"]
    assert columns["fine"] == "int64"
    failed = subprocess.run([CONVERT, path, tmp_path / "out.csv"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "column 'price'" in failed.stderr
    run(CONVERT, path, tmp_path / "out.csv", "fine")
    assert (tmp_path / "out.csv").read_bytes() == b"fine\r\n7\r\n"
