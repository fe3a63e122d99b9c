# SPDX-License-Identifier: Apache-2.0
"""A gateway with much behind it: ten hours of 10,000 tags, once a second, as sealed history. Its device is away."""

import subprocess
import time

import plant

TAGS = 10_000
SECONDS = 36_000


def tag(n):
    return f"plant/area{n // 100:02}/unit{n // 10 % 10}/tag{n % 10}"


def start(folder, tags=TAGS, seconds=SECONDS):
    """The gateway, with .port of its console."""
    port = plant.free_port()
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: long-plant}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 10s}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{port}"}}
"""
    )
    rows = "".join(f"{tag(n)},plc,holding:{n * 4}:float64,bar\n" for n in range(tags))
    (folder / "tags.csv").write_text("path,device,address,unit\n" + rows)
    gateway = plant.Gateway(folder)  # gives the ids
    gateway.stop()
    ids = [line.split(",") for line in (gateway.state / "ids.txt").read_text().splitlines()]
    assert [int(line[0]) for line in ids] == list(range(1, tags + 1)) and ids[0][3] == tag(0)
    fill = [plant.BUILD / "bench/plant_history", gateway.state / "journal", tags, seconds, int(time.time())]
    subprocess.run([str(a) for a in fill], check=True)
    gateway.start()
    gateway.port = port
    return gateway
