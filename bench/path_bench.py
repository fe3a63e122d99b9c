# SPDX-License-Identifier: Apache-2.0
"""The whole path, Modbus TCP → Sparkplug B at a real broker, with devices and subscriber in one process (path_load.c).

path.modbus_mqtt_cpu: CPU a value, all our processes together, 10 devices × 1,000 float tags every 100 ms.
path.modbus_mqtt_p50: from the device's answer to the message at the subscriber, same load, default placement;
path.modbus_mqtt_pinned_p50: the same with everything on one core.
path.overload: share delivered of 1,000,000 values/s offered (10 devices × 10,000 tags); memory and ledger on stderr."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import plant  # noqa: E402

DEVICES = 10
SETTLE_S = 5
MEASURE_S = 10


def configuration(folder, broker, first_port, tags):
    devices = "\n".join(
        f'  - {{name: d{d}, driver: modbus, address: "127.0.0.1:{first_port + d}", period: 100ms}}' for d in range(DEVICES)
    )
    (folder / "isthmus.yaml").write_text(f"""\
gateway: {{name: bench}}
devices:
{devices}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
  - {{name: cloud, module: sparkplug, address: "127.0.0.1:{broker}", group: bench, node: gateway}}
contracts:
  - name: all
    service: cloud
    tags: ["bench/**"]
    purpose: benchmark
    owner: bench
    custodian: bench
    freshness: 5s
""")
    rows = (f"bench/d{d}/t{i},d{d},holding:{2 * i}:float32" for d in range(DEVICES) for i in range(tags))
    (folder / "tags.csv").write_text("path,device,address\n" + "\n".join(rows) + "\n")


def cpu_seconds(pids):
    """Time on a core, of all threads."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def consecutive_ports(count):
    """`count` free ports in a row."""
    while True:
        first = plant.free_port()
        if first + count < 65536 and not any(plant.port_listens(first + i) for i in range(count)):
            return first


class Load:
    def __init__(self, broker, first_port, tags):
        argv = [plant.BUILD / "bench" / "path_load", broker, first_port, DEVICES, tags, 100]
        self.child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout.readline() == "ready\n"

    def report(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def stop(self):
        self.child.stdin.close()
        self.child.wait()


def ledger_text(gateway):
    sums = {"produced": 0, "journaled": 0, "suppressed": 0, "rejected": 0, "gaps": 0}
    for row in gateway.get("/api/v1/ledger")["tags"]:
        for key in sums:
            sums[key] += int(row[key])
    exact = sums["produced"] == sums["journaled"] + sums["suppressed"] + sums["rejected"] + sums["gaps"]
    return f"ledger {'exact' if exact else 'NOT EXACT'}: {sums}"


def run(folder, tags):
    """One run at DEVICES × tags every 100 ms: its figures, on stderr what else is worth knowing."""
    broker_port, first_port = plant.free_port(), consecutive_ports(DEVICES)
    broker = plant.mosquitto(folder, broker_port)
    load = Load(broker_port, first_port, tags)
    configuration(folder, broker_port, first_port, tags)
    gateway = plant.Gateway(folder)
    try:
        time.sleep(SETTLE_S)
        pids = gateway.pids()
        load.report()
        before = {name: cpu_seconds([pid]) for name, pid in pids.items()}
        start = time.monotonic()
        time.sleep(MEASURE_S)
        figures = load.report()
        figures["seconds"] = time.monotonic() - start
        cpu = {name: cpu_seconds([pid]) - before[name] for name, pid in pids.items()}
        figures["cpu"] = sum(cpu.values())
        figures["pss_mb"] = sum(p["pss_bytes"] for p in gateway.get("/api/v1/processes")["processes"]) / 1e6
        received = figures["received"] or 1
        parts = ", ".join(f"{name} {seconds / received * 1e6:.3f}" for name, seconds in cpu.items())
        print(f"{figures}\nµs a value: {parts}\n{ledger_text(gateway)}", file=sys.stderr)
        return figures
    finally:
        gateway.stop()
        load.stop()
        broker.stop()


def measure(names):
    with tempfile.TemporaryDirectory() as folder:
        if {"path.modbus_mqtt_cpu", "path.modbus_mqtt_p50"} & names:
            figures = run(pathlib.Path(folder), 1000)
            if "path.modbus_mqtt_cpu" in names:
                print(f"path.modbus_mqtt_cpu {figures['cpu'] / figures['received'] * 1e6:.3f} µs")
            if "path.modbus_mqtt_p50" in names:
                print(f"path.modbus_mqtt_p50 {figures['p50_ms']:.2f} ms")
    with tempfile.TemporaryDirectory() as folder:
        if "path.modbus_mqtt_pinned_p50" in names:
            everywhere = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {max(everywhere)})
            figures = run(pathlib.Path(folder), 1000)
            os.sched_setaffinity(0, everywhere)
            print(f"path.modbus_mqtt_pinned_p50 {figures['p50_ms']:.2f} ms")
    with tempfile.TemporaryDirectory() as folder:
        if "path.overload" in names:
            figures = run(pathlib.Path(folder), 10000)
            offered = DEVICES * 10000 * 10 * figures["seconds"]
            print(f"path.overload {figures['received'] / offered * 100:.1f} %")


NAMES = ["path.modbus_mqtt_cpu", "path.modbus_mqtt_p50", "path.modbus_mqtt_pinned_p50", "path.overload"]

if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(NAMES))
    else:
        measure(set(sys.argv[1:]))
