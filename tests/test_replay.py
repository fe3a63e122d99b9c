# SPDX-License-Identifier: Apache-2.0
"""History that plays back as live devices: the same samples again, byte for byte, and nothing beyond the gateway's own console."""

import json
import os
import subprocess
import time

import plant
import pytest
from test_history import history

FLOW = "waterworks/line1/pump1/flow"


def isthmus(*arguments, **environment):
    return subprocess.run(
        [plant.ISTHMUS, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        env={**{k: v for k, v in os.environ.items() if k != "ISTHMUS_STATE"}, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A waterworks that ran for a while, sealed and raw, with an outage; its folder, and the stretch."""
    folder = tmp_path_factory.mktemp("replay")
    ports = [plant.free_port(), plant.free_port()]
    argv = [plant.ISTHMUS, "sim", "waterworks", "--ports", ",".join(map(str, ports)), "--tags", "300"]
    subprocess.run([*argv, "--write-config", folder], check=True, capture_output=True)
    text = (folder / "isthmus.yaml").read_text().replace(":8480", f":{plant.free_port()}").replace("500ms", "20ms")
    text = text.replace("period: 1s", "period: 20ms").replace(":11883", f":{plant.free_port()}")
    (folder / "isthmus.yaml").write_text(text + "journal: {segment: 1MiB}\n")
    sim = plant.Process(argv, folder / "sim.log")
    plant.wait_for(lambda: all(map(plant.port_listens, ports)), "the PLCs listen")
    gateway = plant.Gateway(folder)
    plant.wait_for(lambda: list((gateway.state / "journal").glob("*.col")), "a segment is sealed", 60)
    sim.stop()
    time.sleep(1)
    gateway.stop()
    os.rename(folder / "state", folder / ".state")
    out = tmp_path_factory.mktemp("out")
    lines = exported(folder, out / "whole.csv").read_text().splitlines()
    times = sorted(line.split(",")[1] for line in lines[1:])
    return folder, times[len(times) // 5], times[-1]


def exported(folder, file, *more, **environment):
    done = isthmus("export", folder, file, *more, **environment)
    assert done.returncode == 0, done.stderr
    return file


def replay(recorded, state, *more):
    folder, begin, end = recorded
    listen = f"127.0.0.1:{plant.free_port()}"
    return isthmus("replay", folder, "--from", begin, "--to", end, "--state", state, "--listen", listen, "--json", *more)


def test_the_same_comes_out_byte_for_byte(recorded, tmp_path):
    folder, begin, end = recorded
    before = exported(folder, tmp_path / "before.csv").read_bytes()
    original = exported(folder, tmp_path / "original.csv", "--from", begin, "--to", end).read_bytes()
    for name in ("once", "twice"):
        done = replay(recorded, tmp_path / name, "--speed", "max")
        assert done.returncode == 0, done
        told = json.loads(done.stdout)
        assert told["complete"] and told["samples"] == original.count(b"\n") - 1
        again = exported(folder, tmp_path / f"{name}.csv", "--from", begin, "--to", end, ISTHMUS_STATE=str(tmp_path / name))
        assert again.read_bytes() == original
    assert exported(folder, tmp_path / "after.csv").read_bytes() == before, "the source is untouched"


def test_it_is_live_at_the_speed_that_is_wanted(recorded, tmp_path):
    folder, begin, end = recorded
    listen = plant.free_port()
    argv = [plant.ISTHMUS, "replay", folder, "--from", begin, "--to", end, "--state", tmp_path / "live", "--speed", "1",
            "--listen", f"127.0.0.1:{listen}"]  # fmt: skip
    process = plant.Process(argv, tmp_path / "replay.log")
    gateway = plant.Gateway.__new__(plant.Gateway)
    gateway.state, gateway.process = tmp_path / "live", process
    try:
        plant.wait_for(gateway.answers, "the gateway answers")
        plant.wait_for(lambda: len(history(gateway, FLOW)) > 20, "samples come")
        first = history(gateway, FLOW)
        plant.wait_for(lambda: len(history(gateway, FLOW)) > len(first), "and more")
        assert first[0][0] >= begin
        names = set(gateway.pids())
        assert "replay" in names and "cloud" not in names and "modbus" not in names
        refused = json.loads(gateway.get("/api/v1/devices", check=False)[1])
        assert {d["state"] for d in refused["devices"]} == {"up"}
    finally:
        assert process.stop() == 1, "ended before all was played"
    assert "before it was ended" in process.text()


def test_wrong_input_is_told(recorded, tmp_path):
    folder, begin, end = recorded
    for arguments in (
        [folder], [folder, "--from", begin], [folder, "--from", end, "--to", begin], [folder, "--from", begin, "--to", "x"],
        [folder, "--from", begin, "--to", end, "--speed", "-1"], [folder, "--from", begin, "--to", end, "--speed", "fast"],
    ):  # fmt: skip
        assert isthmus("replay", *arguments).returncode == 2, arguments
    stretch = ["--from", begin, "--to", end]
    done = isthmus("replay", folder, *stretch, "--source", tmp_path / "none", "--state", tmp_path / "a")
    assert done.returncode == 1 and "there is no history" in done.stderr
    (tmp_path / "used/journal").mkdir(parents=True)
    done = isthmus("replay", folder, *stretch, "--state", tmp_path / "used")
    assert done.returncode == 1 and "holds a journal already" in done.stderr
    empty = replay((folder, "2001-01-01T00:00:00Z", "2001-01-02T00:00:00Z"), tmp_path / "empty", "--speed", "max")
    assert empty.returncode == 0 and json.loads(empty.stdout)["samples"] == 0
