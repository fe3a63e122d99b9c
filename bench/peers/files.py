# SPDX-License-Identifier: Apache-2.0
"""Ourselves, and peers that are libraries on a file: DuckDB, SQLite."""

import array
import csv
import datetime
import json
import os
import sqlite3

import plant

from .peer import Missing, Peer, ROOT, request, run, size_of, sorted_rows, timed


class Isthmus(Peer):
    name = "Isthmus"
    note = "as imported: sealed files"

    def version(self):
        return run(plant.ISTHMUS, "--version").split()[-1]

    def start(self, data):
        self.port = plant.free_port()
        (self.folder / "plant").mkdir()
        (self.folder / "plant" / "isthmus.yaml").write_text(
            f"""gateway: {{name: peers}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:1", period: 1s}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{self.port}"}}
"""
        )
        rows = [f"t/{t.number},plc,holding:{t.number % 60000}:{'int64' if t.whole else 'float64'}\n" for t in data]
        (self.folder / "plant" / "tags.csv").write_text("path,device,address\n" + "".join(rows))
        self.process = plant.Gateway(self.folder / "plant")

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def load(self, data):
        epoch = datetime.datetime(1970, 1, 1)
        with open(self.folder / "data.csv", "w") as file:
            file.write("tag,time,value\n")
            for t in data:
                numbers = map(int, t.values) if t.whole else t.values
                file.writelines(
                    f"t/{t.number},{(epoch + datetime.timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')}Z,{v!r}\n"
                    for ms, v in zip(t.times, numbers)
                )
        run(plant.ISTHMUS, "import", self.folder / "plant", self.folder / "data.csv", env=self.process.environment)

    def bytes(self):
        return sum(f.stat().st_size for f in (self.process.state / "journal").glob("import-*.col"))

    def sql(self, text, kind):
        return request(self.port, "POST", f"/api/v1/sql?format={kind}&limit=10000000&seconds=300", text)

    def read(self, data):
        last = max(t.times[-1] for t in data)  # what comes later is that the device does not answer
        text = self.sql(f"SELECT tag, ns, value FROM history WHERE ns <= {last * 1000000}", "csv").decode()
        kinds = {f"t/{t.number}": int if t.whole else float for t in data}
        rows = csv.reader(text.splitlines()[1:])
        yield from sorted_rows((int(tag[2:]), int(ns) // 1000000, kinds[tag](v)) for tag, ns, v in rows)

    def means(self, data):
        span = f"ns >= {data.begin * 1000000} AND ns < {data.end * 1000000} AND step = {(data.end - data.begin) // 1000}"
        ms, text = timed(lambda: self.sql(f"SELECT tag, value FROM sampled WHERE {span} AND aggregate = 'average'", "json"))
        return ms, {int(tag[2:]): mean for tag, mean in json.loads(text)["rows"]}


class SQLite(Peer):
    name = "SQLite"
    note = "a table (tag, ms, value) without rowid, its primary key (tag, ms); after VACUUM"

    def version(self):
        return sqlite3.sqlite_version

    def start(self, data):
        self.file = self.folder / "data.sqlite"
        self.db = sqlite3.connect(self.file)
        self.db.execute("CREATE TABLE s (tag INTEGER, ms INTEGER, value, PRIMARY KEY (tag, ms)) WITHOUT ROWID")

    def stop(self):
        self.db.close()

    def load(self, data):
        for t in data:
            numbers = map(int, t.values) if t.whole else t.values
            self.db.executemany(f"INSERT INTO s VALUES ({t.number}, ?, ?)", zip(t.times, numbers))
        self.db.commit()

    def settle(self):
        self.db.execute("VACUUM")

    def bytes(self):
        return self.file.stat().st_size

    def read(self, data):
        yield from sorted_rows(self.db.execute("SELECT tag, ms, value FROM s ORDER BY tag, ms"))

    def means(self, data):
        text = "SELECT tag, avg(value) FROM s WHERE ms >= ? AND ms < ? GROUP BY tag"
        ms, rows = timed(lambda: self.db.execute(text, (data.begin, data.end)).fetchall())
        return ms, dict(rows)


class DuckDB(Peer):
    name = "DuckDB"
    note = "tables (tag, ms, value) of BIGINT and of DOUBLE in order, newest storage version; after CHECKPOINT"

    def script(self, *arguments):
        if not (ROOT / "tests/peers/node_modules/@duckdb").is_dir():
            raise Missing("@duckdb/node-api is not there")
        return run("node", ROOT / "tests/peers/duckdb.mjs", self.folder / "data.duckdb", *arguments)

    def version(self):
        return json.loads(self.script("SELECT version()"))["rows"][0][0]

    def load(self, data):
        loads = []
        for table, kind, whole in (("i", "BIGINT", True), ("f", "DOUBLE", False)):
            path = self.folder / f"{table}.csv"
            with open(path, "w") as file:
                for t in data:
                    if t.whole == whole:
                        numbers = map(int, t.values) if whole else t.values
                        file.writelines(f"{t.number},{ms},{v!r}\n" for ms, v in zip(t.times, numbers))
            loads += [f"CREATE TABLE {table} (tag INTEGER, ms BIGINT, value {kind})", f"COPY {table} FROM '{path}' (HEADER false, AUTO_DETECT false)"]
        self.script(*loads, "CHECKPOINT")

    def bytes(self):
        return size_of(self.folder) - sum(f.stat().st_size for f in self.folder.glob("*.csv"))

    def read(self, data):
        for table, kind in (("i", int), ("f", float)):
            path = self.folder / f"{table}.csv"
            self.script(f"COPY (SELECT tag, ms, value FROM {table} ORDER BY tag, ms) TO '{path}' (HEADER false)")
            with open(path) as file:
                yield from sorted_rows((int(a), int(b), kind(c)) for a, b, c in csv.reader(file))

    def means(self, data):
        span = f"WHERE ms >= {data.begin} AND ms < {data.end} GROUP BY tag"
        text = f"SELECT tag, avg(value) FROM i {span} UNION ALL SELECT tag, avg(value) FROM f {span}"
        said = json.loads(self.script(*[text] * 5))
        return sorted(said["ms"])[2], {int(tag): float(mean) for tag, mean in said["rows"]}
