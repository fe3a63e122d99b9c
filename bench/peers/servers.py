# SPDX-License-Identifier: Apache-2.0
"""Peers that are servers: VictoriaMetrics, InfluxDB, PostgreSQL. Each listens on loopback only."""

import csv
import io
import json
import os
import pathlib
import shutil
import time

import plant

from .peer import Missing, Peer, answers, form, program, request, run, size_of, sorted_rows, timed


def quiet(busy, seconds=5):
    """Returns when nothing has been busy for so long."""
    since = time.monotonic()
    while time.monotonic() - since < seconds:
        since = time.monotonic() if busy() else since
        time.sleep(0.2)


class VictoriaMetrics(Peer):
    name = "VictoriaMetrics"
    note = "one series for each tag; after force_merge; its cache not counted"

    def version(self):
        """Debian's program does not say it; its package does."""
        lines = run("apt-cache", "policy", "victoria-metrics").splitlines()
        return next((line.split()[1].split("+")[0] for line in lines if "Candidate:" in line), "?")

    def serve(self):
        self.port = plant.free_port()
        store = self.folder / "store"
        options = [f"-storageDataPath={store}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y"]
        options += ["-loggerLevel=ERROR", "-search.maxUniqueTimeseries=100000"]
        self.process = plant.Process([program("victoria-metrics"), *options], self.folder / "log")
        plant.wait_for(lambda: answers(self.port, "/health"), "VictoriaMetrics listens", 60)

    def start(self, data):
        self.serve()

    def load(self, data):
        for first in range(0, len(data), 50):
            lines = [
                json.dumps({"metric": {"__name__": "s", "tag": str(t.number)}, "values": list(t.values), "timestamps": list(t.times)})
                for t in data[first : first + 50]
            ]
            request(self.port, "POST", "/api/v1/import", "\n".join(lines))

    def settle(self):
        request(self.port, "GET", "/internal/force_flush")
        request(self.port, "GET", "/internal/force_merge")

        def merging():
            lines = request(self.port, "GET", "/metrics").decode().splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith(("vm_active_merges", "vm_active_force_merges")))

        quiet(merging)
        self.stop()  # it writes what it has in memory
        self.serve()

    def bytes(self):
        return size_of(self.folder / "store" / "data", self.folder / "store" / "indexdb")

    def read(self, data):
        for line in request(self.port, "GET", "/api/v1/export?" + form(**{"match[]": "s"})).splitlines():
            series = json.loads(line, parse_int=float)  # -0 is a number of its own
            yield int(series["metric"]["tag"]), map(int, series["timestamps"]), series["values"]

    def means(self, data):
        seconds = (data.end - data.begin) // 1000
        query = form(query=f"avg_over_time(s[{seconds}s])", time=data.end // 1000, nocache=1)
        ms, text = timed(lambda: request(self.port, "GET", "/api/v1/query?" + query))
        result = json.loads(text)["data"]["result"]
        return ms, {int(s["metric"]["tag"]): float(s["value"][1]) for s in result}


class InfluxDB(Peer):
    name = "InfluxDB"
    note = "one series for each tag, whole numbers as integers; TSM files after full compaction, and the WAL"

    def version(self):
        return run(program("influxd"), "version").split()[1]

    def serve(self):
        self.port = plant.free_port()
        config = self.folder / "influxdb.conf"
        config.write_text(
            f"""reporting-disabled = true
bind-address = "127.0.0.1:{plant.free_port()}"
[meta]
  dir = "{self.folder}/meta"
[data]
  dir = "{self.folder}/data"
  wal-dir = "{self.folder}/wal"
  cache-snapshot-write-cold-duration = "1s"
  compact-full-write-cold-duration = "1s"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{self.port}"
  log-enabled = false
"""
        )
        self.process = plant.Process([program("influxd"), "-config", config], self.folder / "log")
        plant.wait_for(lambda: answers(self.port, "/ping"), "InfluxDB listens", 60)

    def start(self, data):
        self.serve()
        request(self.port, "POST", "/query?" + form(q="CREATE DATABASE d WITH DURATION INF SHARD DURATION 520w"))

    def load(self, data):
        lines = []
        for t in data:
            field, end = ("i", "i") if t.whole else ("f", "")
            numbers = map(int, t.values) if t.whole else t.values
            lines += [f"s,tag={t.number} {field}={v!r}{end} {ms}" for ms, v in zip(t.times, numbers)]
            if len(lines) > 50000:
                request(self.port, "POST", "/write?db=d&precision=ms", "\n".join(lines))
                lines = []
        request(self.port, "POST", "/write?db=d&precision=ms", "\n".join(lines))

    def settle(self):
        def files():
            found = [f for kind in ("*.tsm", "*.tmp", "*.wal") for f in self.folder.rglob(kind)]
            return sorted((str(f), f.stat().st_size) for f in found if f.exists())

        last = []

        def changing():  # or the WAL is not empty yet
            before, last[:] = list(last), files()
            return last != before or any(name.endswith(".wal") and size for name, size in last)

        quiet(changing, 8)
        self.stop()
        self.serve()

    def bytes(self):
        return size_of(self.folder / "data", self.folder / "wal")

    def ask(self, text):
        return request(self.port, "GET", "/query?" + form(db="d", epoch="ms", q=text))

    def series(self, text):
        for result in json.loads(self.ask(text), parse_int=float)["results"]:  # -0 is a number of its own
            for s in result.get("series", ()):
                yield int(s["tags"]["tag"]), s["values"]

    def read(self, data):
        for t in data:
            for number, rows in self.series(f'SELECT {"i" if t.whole else "f"} FROM s WHERE "tag"=\'{t.number}\' GROUP BY "tag"'):
                yield number, [int(r[0]) for r in rows], [r[1] for r in rows]

    def means(self, data):
        text = f'SELECT mean(i), mean(f) FROM s WHERE time >= {data.begin}ms AND time < {data.end}ms GROUP BY "tag"'
        ms, _ = timed(lambda: self.ask(text))
        return ms, {number: next(v for v in rows[0][1:] if v is not None) for number, rows in self.series(text)}


class PostgreSQL(Peer):
    name = "PostgreSQL"
    note = "tables (tag, ms, value) of bigint and of double precision, in order, each with a primary key; after VACUUM FULL"

    def version(self):
        return run(program("postgres"), "--version").split()[2]

    def as_user(self):
        """It refuses to run as root."""
        return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}

    def start(self, data):
        self.port = plant.free_port()
        if self.as_user():
            shutil.chown(self.folder, "nobody", "nogroup")
        cluster = self.folder / "cluster"
        real = next(l.split("'")[1] for l in program("initdb").read_text().splitlines() if l.startswith("exec"))
        if self.as_user() and run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", f"test -x {real} && echo yes || true") != "yes\n":
            raise Missing("PostgreSQL refuses to run as root, and another user can't reach it")
        run(program("initdb"), "-D", cluster, "-U", "peer", "-A", "trust", "-E", "UTF8", "--no-sync", cwd="/", **self.as_user())
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", f"port={self.port}"]
        options += ["-c", "shared_buffers=512MB", "-c", "jit=off"]
        log = self.folder / "log"
        self.process = plant.Process([program("postgres"), "-D", cluster, *options], log, cwd="/", **self.as_user())
        plant.wait_for(lambda: (pathlib.Path(self.folder) / f".s.PGSQL.{self.port}").exists(), "PostgreSQL listens", 60)

        def ready():
            try:
                return self.sql("SELECT 1")
            except RuntimeError:
                return False

        plant.wait_for(ready, "PostgreSQL answers", 60)

    def sql(self, *texts, **more):
        commands = [part for text in texts for part in ("-c", text)]
        return run(program("psql"), "-h", self.folder, "-p", self.port, "-U", "peer", "-d", "postgres", "-XqAt", "-F", ",", *commands, **more)

    def load(self, data):
        for table, kind, whole in (("i", "bigint", True), ("f", "double precision", False)):
            rows = io.StringIO()
            for t in data:
                if t.whole == whole:
                    numbers = map(int, t.values) if whole else t.values
                    rows.writelines(f"{t.number},{ms},{v!r}\n" for ms, v in zip(t.times, numbers))
            self.sql(f"CREATE TABLE {table} (ms bigint, value {kind}, tag integer)")
            self.sql(f"COPY {table} (tag, ms, value) FROM STDIN WITH CSV", input=rows.getvalue())
            self.sql(f"ALTER TABLE {table} ADD PRIMARY KEY (tag, ms)")

    def settle(self):
        self.sql("VACUUM (FULL, ANALYZE) i", "VACUUM (FULL, ANALYZE) f", "CHECKPOINT")

    def bytes(self):
        return int(self.sql("SELECT pg_total_relation_size('i') + pg_total_relation_size('f')"))

    def read(self, data):
        for table, kind in (("i", int), ("f", float)):
            text = self.sql(f"COPY (SELECT tag, ms, value FROM {table} ORDER BY tag, ms) TO STDOUT WITH CSV")
            yield from sorted_rows((int(a), int(b), kind(c)) for a, b, c in csv.reader(io.StringIO(text)))

    def means(self, data):
        span = f"WHERE ms >= {data.begin} AND ms < {data.end} GROUP BY tag"
        text = f"SELECT tag, avg(value)::float8 FROM i {span} UNION ALL SELECT tag, avg(value) FROM f {span}"
        rows = self.sql(text).splitlines()
        spans = self.sql("\\timing on", *[text] * 5).splitlines()
        spans = sorted(float(line.split()[1]) for line in spans if line.startswith("Time:"))
        return spans[len(spans) // 2], {int(a): float(b) for a, b in (row.split(",") for row in rows)}
