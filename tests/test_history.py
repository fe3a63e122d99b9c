# SPDX-License-Identifier: Apache-2.0
"""History as it grows: full segments are sealed while the gateway runs, whoever is killed, and go by the owner's retention."""

import contextlib
import datetime
import json
import os
import random
import signal
import subprocess
import time

import plant
import pytest

MIB = 1 << 20
FLOW = "waterworks/line1/pump1/flow"
TANK = "waterworks/line1/storage/level"


@pytest.fixture
def waterworks(tmp_path):
    """Starts 8,000 tags ten times a second, of which a third changes: a segment of 1 MiB is full within two seconds."""
    ports = [plant.free_port(), plant.free_port()]
    argv = [plant.ISTHMUS, "sim", "waterworks", "--ports", ",".join(map(str, ports)), "--tags", "8000"]
    subprocess.run([*argv, "--write-config", tmp_path], check=True)
    running = [plant.Process(argv, tmp_path / "sim.log")]
    plant.wait_for(lambda: all(map(plant.port_listens, ports)), "the PLCs listen")

    def start(journal, retention="[]"):
        (tmp_path / "isthmus.yaml").write_text(
            f"""gateway: {{name: history-test}}
journal: {{segment: 1MiB, {journal}}}
retention: {retention}
devices:
  - {{name: plc1, driver: modbus, address: "127.0.0.1:{ports[0]}", period: 100ms}}
  - {{name: plc2, driver: modbus, address: "127.0.0.1:{ports[1]}", period: 100ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
        )
        running.append(plant.Gateway(tmp_path))
        return running[-1]

    yield start
    for process in reversed(running):
        process.stop()


def journal(gateway):
    (row,) = gateway.get("/api/v1/journal")["journal"]
    return row


def history(gateway, tag, start="2020-01-01T00:00:00Z", end="2100-01-01T00:00:00Z"):
    answer = gateway.get(f"/api/v1/history?tag={tag}&from={start}&to={end}")
    return [(r["time"], r["status"], r.get("value")) for r in answer["samples"]]


def nanoseconds(text):
    seconds = datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    return int(seconds) * 10**9 + int(text[20:29])


def sealed_files(gateway):
    return sorted((gateway.state / "journal").glob("*.col"))


def grown(gateway, files, seconds=60):
    """Waits until so many segments were sealed since the gateway's start."""
    plant.wait_for(lambda: journal(gateway)["sealed"]["files"] >= files, f"{files} sealed files", seconds)


def retired(gateway, tag):
    records = gateway.get(f"/api/v1/gaps?tag={tag}")["records"]
    return [r for r in records if r.get("gap") == "retired"]


def verdict(gateway):
    done = subprocess.run([plant.ISTHMUS, "ledger", "--json", "--socket", gateway.socket], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_columns_hold_what_records_hold(waterworks):
    gateway = waterworks("limit: 64MiB")
    plant.wait_for(lambda: len(history(gateway, FLOW)) > 20, "samples")
    samples = gateway.get(f"/api/v1/history?tag={FLOW}&from=2020-01-01T00:00:00Z")["samples"]
    span = f"from=2020-01-01T00:00:00Z&to={samples[-1]['time']}"
    columns = gateway.get(f"/api/v1/history?tag={FLOW}&format=columns&{span}")
    assert (columns["tag"], columns["start"], columns["more"]) == (FLOW, samples[0]["time"], False)
    assert columns["values"] == [s["value"] for s in samples] and columns["statuses"][0] == [0, samples[0]["code"]]
    start = nanoseconds(columns["start"])
    assert [start + round(ms * 1e6) for ms in columns["times"]] == [nanoseconds(s["time"]) for s in samples]
    codes = [next(code for first, code in reversed(columns["statuses"]) if first <= i) for i in range(len(samples))]
    assert codes == [s["code"] for s in samples]
    empty = gateway.get(f"/api/v1/history?tag={FLOW}&format=columns&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z")
    assert "start" not in empty and empty["times"] == empty["values"] == empty["statuses"] == []


def test_sealing_changes_no_answer(waterworks):
    gateway = waterworks("limit: 64MiB")
    plant.wait_for(lambda: len(history(gateway, FLOW)) > 20, "samples")
    early = history(gateway, FLOW)
    until = early[-1][0]
    for name in ("sealer", "engine", "sealer", "reader"):
        files = len(sealed_files(gateway))
        plant.wait_for(lambda: len(sealed_files(gateway)) > files, "another sealed file", 60)
        os.kill(gateway.pids()[name], signal.SIGKILL)
        plant.wait_for(lambda: gateway.try_get("/api/v1/journal"), "the gateway answers again")
    raw = [int(f.stem) for f in (gateway.state / "journal").glob("*.seg")]
    first = plant.wait_for(lambda: journal(gateway)["sealed"]["samples"], "sealed samples")
    assert first > 10_000 and min(raw) > 1, "the first raw segment was taken away"
    assert history(gateway, FLOW, end=until) == early
    whole = history(gateway, FLOW)
    assert whole[: len(early)] == early and len({time for time, _, _ in whole}) == len(whole)
    gateway.stop()
    gateway.start()
    assert history(gateway, FLOW)[: len(whole)] == whole
    plant.wait_for(lambda: verdict(gateway)[0] == 0, f"the ledger balances: {verdict(gateway)[1][:500]}")


def test_retention_by_age(waterworks):
    gateway = waterworks(
        "limit: 64MiB",
        '[{tags: ["waterworks/*/pump1/**"], raw: 8s, summaries: 1h}, {tags: ["waterworks/*/storage/**"], raw: 8s}]',
    )
    plant.wait_for(lambda: len(history(gateway, FLOW)) > 20 and len(history(gateway, TANK)) > 5, "samples")
    begin = history(gateway, "waterworks/line1/pump2/flow")[0]
    flow, tank = history(gateway, FLOW)[1], history(gateway, TANK)[1]
    plant.wait_for(lambda: tank not in history(gateway, TANK), "old samples go", 60)
    plant.wait_for(lambda: flow not in history(gateway, FLOW), "samples are thinned out, but for one of each block", 60)
    assert history(gateway, "waterworks/line1/pump2/flow")[0] == begin, "a tag of no class keeps all"
    assert any(r.get("tag") == TANK and r["missed"] > 0 for r in retired(gateway, TANK))
    assert not any(r.get("tag") == FLOW for r in retired(gateway, FLOW)), "its summaries are still there"
    events = gateway.get("/api/v1/gaps")["records"]
    assert any("thinned out" in r.get("text", "") for r in events if "event" in r)
    times = [time for time, _, _ in history(gateway, FLOW)]
    assert times[0] < flow[0], "the trend still shows what is thinned"
    trend = gateway.get(f"/api/v1/history?tag={FLOW}&from={times[0]}&to={times[1]}&points=1000")["samples"]
    assert len(trend) > 2, "with its extremes"


@pytest.mark.parametrize("policy", ["drop_oldest", "thin"])
def test_the_limit_is_kept_and_nothing_new_is_lost(waterworks, policy):
    gateway = waterworks(f"limit: 16MiB, when_full: {policy}")
    begin = plant.wait_for(lambda: history(gateway, FLOW)[1:2], "two samples")
    most = []

    def dropped():
        row = journal(gateway)
        most.append(row["disk_bytes"])
        assert not row["full"], row
        return begin[0] not in history(gateway, FLOW)

    plant.wait_for(dropped, "the oldest samples go", 100)
    assert max(most) <= 16 * MIB
    gaps = [r for r in gateway.get("/api/v1/gaps")["records"] if "gap" in r]
    assert not [g for g in gaps if g["gap"].startswith("journal")], gaps
    assert verdict(gateway)[0] == 0


def test_stop_takes_nothing_new(waterworks):
    gateway = waterworks("limit: 16MiB, when_full: stop")
    begin = plant.wait_for(lambda: history(gateway, FLOW)[:1], "a sample")
    plant.wait_for(lambda: journal(gateway)["full"], "the journal is full", 200)
    assert history(gateway, FLOW)[:1] == begin
    plant.wait_for(
        lambda: any(r.get("gap") == "journal full" for r in gateway.get("/api/v1/gaps")["records"]), "a gap says so"
    )
    assert not retired(gateway, FLOW)


def test_the_ledger_balances_whoever_is_killed(waterworks):
    """Processes die at random while segments are sealed, merged and dropped; then the whole gateway dies."""
    gateway = waterworks("limit: 16MiB")
    dice = random.Random(11)
    begin = plant.wait_for(lambda: history(gateway, FLOW)[1:2], "two samples")
    for round in range(12):
        name = dice.choice(["engine", "sealer", "reader", "modbus", "engine", "sealer"])
        pid = plant.wait_for(lambda: gateway.pids().get(name), f"{name} runs")
        assert pid > 1
        os.kill(pid, signal.SIGKILL)
        plant.wait_for(lambda: gateway.pids().get(name, pid) != pid, f"another {name}")
        time.sleep(dice.random())  # dies at any moment of its work
    plant.wait_for(lambda: begin[0] not in history(gateway, FLOW), "the oldest went", 60)
    plant.wait_for(lambda: verdict(gateway)[0] == 0, "the ledger balances", 30)
    for pid in filter(None, gateway.pids().values()):  # 0: it is just being restarted
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    gateway.process.kill()
    gateway.start()
    plant.wait_for(lambda: verdict(gateway)[0] == 0, "and still does", 30)
    told = json.loads(verdict(gateway)[1])
    assert told["unexplained"] == 0 and told["balanced"], told
    times = [sample[0] for sample in history(gateway, FLOW)]
    assert times == sorted(set(times)), "in order, each once"
