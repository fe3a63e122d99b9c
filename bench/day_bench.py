# SPDX-License-Identifier: Apache-2.0
"""history.day_json: ms from the request to the last byte for one day of one tag, once a second, as columns of JSON over the HTTP API of a
gateway with 10,000 such tags; median of 40 tags, each asked for the first time on a kept connection.
history.query_memory: greatest memory (PSS, looked at every 5 ms) of the sealer while it seals and merges segments of 16 MiB of 8,000
tags, or of the reader with its queries' children meanwhile, whichever is more; both go to stderr."""

import http.client
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import long_plant  # noqa: E402
import plant  # noqa: E402

DAY = 86_400
AGES = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"


def day_json(folder):
    gateway = long_plant.start(folder, seconds=DAY)
    line = http.client.HTTPConnection("127.0.0.1", gateway.port)
    took, sizes = [], []
    for n in [0, *random.Random(7).sample(range(1, long_plant.TAGS), 40)]:
        start = time.perf_counter()
        line.request("GET", f"/api/v1/history?tag={long_plant.tag(n)}&format=columns&{AGES}")
        body = line.getresponse().read()
        took.append((time.perf_counter() - start) * 1e3)
        sizes.append(len(body))
        assert len(json.loads(body)["values"]) >= DAY - 900, "a quarter of an hour is missing in these data, and no more"
    gateway.stop()
    print(f"history.day_json {statistics.median(took[1:]):.2f} ms")
    print(f"day: {statistics.median(sizes) / 1e6:.2f} MB; the slowest took {max(took[1:]):.1f} ms", file=sys.stderr)


def pss(pid):
    """Of a process and its children, MB."""
    total = 0.0
    for each in [pid, *pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]:
        try:
            lines = pathlib.Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:  # a query's child that has ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6
    return total


class Watch(threading.Thread):
    """The greatest memory of some processes, until it is stopped."""

    def __init__(self, pids):
        super().__init__()
        self.most = {name: 0.0 for name in pids}
        self.pids, self.over = pids, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.005):
            for name, pid in self.pids.items():
                self.most[name] = max(self.most[name], pss(pid))

    def stop(self):
        self.over.set()
        self.join()
        return self.most


def query_memory(folder):
    ports = [plant.free_port(), plant.free_port()]
    argv = [plant.ISTHMUS, "sim", "waterworks", "--ports", ",".join(map(str, ports)), "--tags", "8000"]
    subprocess.run([*argv, "--write-config", folder], check=True)
    sim = plant.Process(argv, folder / "sim.log")
    plant.wait_for(lambda: all(map(plant.port_listens, ports)), "the PLCs listen")
    devices = "".join(f'  - {{name: plc{i + 1}, driver: modbus, address: "127.0.0.1:{p}", period: 100ms}}\n' for i, p in enumerate(ports))
    (folder / "isthmus.yaml").write_text(
        f"gateway: {{name: memory}}\njournal: {{segment: 16MiB}}\ndevices:\n{devices}"
        f'services:\n  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}\n'
    )
    gateway = plant.Gateway(folder)

    def sealed():
        return gateway.get("/api/v1/journal")["journal"][0]["sealed"]["files"]

    watch = Watch({name: pid for name, pid in gateway.pids().items() if name in ("sealer", "reader")})
    tag = "waterworks/line1/pump1/flow"
    questions = [f"&{more}" for more in ("format=columns", "points=2000", "step=1s", "step=1min&aggregate=percentile&percent=90")]
    sql = "SELECT tag, count(*), avg(value) FROM history WHERE tag LIKE 'waterworks/line1/%' AND time > ago('1h') GROUP BY tag"

    def ask():
        for more in questions:
            gateway.get(f"/api/v1/history?tag={tag}{more}")
        subprocess.run([plant.ISTHMUS, "sql", sql, "--json", "--socket", gateway.socket], check=True, stdout=subprocess.DEVNULL)
        return sealed() >= 3

    plant.wait_for(ask, "three segments are sealed", 180)
    most = watch.stop()
    gateway.stop()
    sim.stop()
    print(f"memory: sealer {most['sealer']:.1f} MB, reader with its queries {most['reader']:.1f} MB", file=sys.stderr)
    print(f"history.query_memory {max(most.values()):.1f} MB")


MEASURES = {"history.day_json": day_json, "history.query_memory": query_memory}

if sys.argv[1:] == ["--list"]:
    print("\n".join(MEASURES))
else:
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            MEASURES[name](pathlib.Path(folder))
