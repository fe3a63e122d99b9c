# SPDX-License-Identifier: Apache-2.0
"""The main job on real input: a recorded pump, served by pymodbus, through the whole gateway to an observer at the HTTP API
that keeps its own account. What the device logged as served must arrive once, in order, bit for bit, or be covered by a gap
with a cause, whatever is killed meanwhile."""

import calendar
import json
import os
import signal
import struct
import subprocess
import time

import pytest

import plant

SENSORS = ["acc1", "acc2", "current", "pressure", "temperature", "thermocouple", "voltage", "flow"]


def write_plant(folder, device_port):
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: recorded-pump}}
devices:
  - {{name: pump, driver: modbus, address: "127.0.0.1:{device_port}", period: 20ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    rows = ["path,device,address", "pump/row,pump,holding:0:uint32"]
    rows += [f"pump/{name},pump,holding:{2 + 2 * i}:float32" for i, name in enumerate(SENSORS)]
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")


class Account:
    """What an observer of the API has seen: every record once, by (epoch, sequence)."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.after = None
        self.records = {}

    def read(self):
        """Reads on until there is nothing more, or the API can't answer now; the count of records so far."""
        while True:
            target = "/api/v1/samples?limit=5000" + (f"&after={self.after}" if self.after else "")
            reply = self.gateway.try_get(target)
            if reply is None:
                return len(self.records)
            for record in reply["records"]:
                key = (int(record["epoch"]), int(record["seq"]))
                assert key not in self.records or self.records[key] == record, f"{key} changed its meaning"
                self.records[key] = record
            self.after = reply.get("next_after", self.after)
            if not reply["records"]:
                return len(self.records)

    def good(self, tag):
        ordered = [self.records[k] for k in sorted(self.records, key=lambda k: k[1])]
        return [r for r in ordered if r.get("tag") == tag and r.get("status") == "Good"]

    def gaps(self):
        return [r for r in self.records.values() if "gap" in r]


class Pump:
    def __init__(self, folder, data, port):
        self.folder, self.data, self.port = folder, data, port
        self.log = folder / "served.jsonl"
        self.process = None
        self.start()

    def start(self):
        self.process = plant.Process(
            [plant.PYTHON, plant.ROOT / "tests/peers/skab_device.py", "--port", self.port, "--csv",
             self.data / "skab/other/1.csv", "--log", self.log],
            self.folder / "pump.log",
        )
        plant.wait_for(lambda: plant.port_listens(self.port), "the pump listens")

    def stop(self):
        return self.process.stop()

    def served(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def line(tmp_path, data, started):
    port = plant.free_port()
    pump = started(Pump(tmp_path, data, port))
    write_plant(tmp_path, port)
    gateway = started(plant.Gateway(tmp_path))
    return pump, gateway, Account(gateway)


def rows_seen(account):
    return [r["value"] for r in account.good("pump/row")]


def wait_for_rows(account, more):
    """Until the observer has seen `more` further rows."""
    goal = len(rows_seen(account)) + more
    plant.wait_for(lambda: account.read() and len(rows_seen(account)) >= goal, f"{more} more rows arrive", 30)


def settle(pump, gateway, account):
    """The pump stops; everything that it served and that was taken arrives."""
    pump.stop()
    plant.wait_for(
        lambda: any(r.get("event") == "device down" for r in gateway.get("/api/v1/gaps")["records"][-3:])
        or gateway.get("/api/v1/devices")["devices"][0]["state"] == "down",
        "the gateway notices that the pump is gone",
    )
    account.read()


def bits_of(value):
    return struct.unpack(">I", struct.pack(">f", float(value)))[0]


def compare(pump, account):
    """Every row that arrived is one that was served, in order, once, bit for bit. The rows that did not arrive."""
    served = {entry["row"]: entry for entry in pump.served()}
    seen = rows_seen(account)
    assert seen == sorted(set(seen)), "rows arrive once and in order"
    assert set(seen) <= set(served), "nothing arrives that was not served"
    for i, name in enumerate(SENSORS):
        by_time = {r["time"]: r["value"] for r in account.good(f"pump/{name}")}
        for r in account.good("pump/row"):
            assert bits_of(by_time[r["time"]]) == served[r["value"]]["bits"][i], (name, r)
    return [served[row] for row in sorted(set(served) - set(seen))]


def nanoseconds(text):
    seconds, fraction = text[:-1].split(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction)


def assert_explained(missing, account):
    """Each served row that never arrived lies within a gap record (one poll's tolerance at both ends)."""
    slack = 200 * 10**6
    spans = [(nanoseconds(g["from"]) - slack, nanoseconds(g["to"]) + slack, g["gap"]) for g in account.gaps()]
    for entry in missing:
        assert any(low <= entry["ns"] <= high for low, high, _ in spans), (entry, spans)


def assert_balanced(gateway):
    """Tags, feeds, and both against each other: a feed that began with the journal has in its account what its tags have."""

    def ledger():
        done = subprocess.run([plant.ISTHMUS, "ledger", "--json", "--socket", gateway.socket], capture_output=True, text=True)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def agree():
        told = ledger()
        assert told["balanced"] and told["unexplained"] == 0, told
        for feed in told["feeds"]:
            assert feed["journaled"] == feed["delivered"] + feed["pending"] + feed["gaps"], feed
        taken = sum(tag["journaled"] for tag in told["tags"])  # every contract here is for all tags
        return all(feed["journaled"] == taken for feed in told["feeds"]) and told

    told = plant.wait_for(agree, f"feeds and tags agree: {ledger()}")
    for tag in told["tags"]:
        assert tag["produced"] == tag["journaled"] + tag["suppressed"] + tag["rejected"] + tag["gaps"], tag


def test_every_row_arrives_once_in_order_bit_for_bit(line):
    pump, gateway, account = line
    wait_for_rows(account, 200)
    settle(pump, gateway, account)
    missing = compare(pump, account)
    assert len(missing) <= 1, "only the reply that was under way when the pump stopped may be missing"
    assert_explained(missing, account)
    assert_balanced(gateway)


@pytest.mark.parametrize("victim", ["supervisor", "engine", "reader", "modbus", "console"])
def test_a_killed_process_loses_nothing_silently(line, victim):
    pump, gateway, account = line
    wait_for_rows(account, 50)
    before = gateway.pids()[victim]
    os.kill(before, signal.SIGKILL)
    plant.wait_for(
        lambda: gateway.pids().get(victim) not in (None, 0, before), f"{victim} is back", 30
    )
    wait_for_rows(account, 50)
    settle(pump, gateway, account)
    assert_explained(compare(pump, account), account)
    assert_balanced(gateway)


def test_a_restarted_device_is_a_gap(line):
    pump, gateway, account = line
    wait_for_rows(account, 50)
    pump.stop()
    plant.wait_for(lambda: gateway.get("/api/v1/devices")["devices"][0]["state"] == "down", "the pump is down")
    pump.start()
    wait_for_rows(account, 50)
    settle(pump, gateway, account)
    assert_explained(compare(pump, account), account)
    assert any(g["gap"] == "device down" for g in account.gaps())
    assert_balanced(gateway)


def test_polls_that_could_not_be_made_are_told(line):
    """A device that takes half a second for an answer, at a period of 20 ms: some 25 polls are not made."""
    pump, gateway, account = line
    wait_for_rows(account, 50)
    os.kill(pump.process.pid, signal.SIGSTOP)
    held = time.monotonic()
    plant.wait_for(lambda: time.monotonic() > held + 0.5, "half a second is over")
    os.kill(pump.process.pid, signal.SIGCONT)

    def late():
        return [c for c in gateway.get("/api/v1/ledger/causes")["causes"] if c["cause"] == "poll late"]

    (cause,) = plant.wait_for(late, "late polls are told")
    assert cause["device"] == "pump" and cause["produced"] == 0
    assert cause["missed"] % 9 == 0 and 15 <= cause["missed"] / 9 <= 60, cause
    settle(pump, gateway, account)
    assert_explained(compare(pump, account), account)
    assert_balanced(gateway)


def test_an_outage_is_told_while_it_lasts(line):
    """So that hardly more than half of it is unknown when the box dies as well."""
    pump, gateway, account = line
    wait_for_rows(account, 50)
    pump.stop()
    stopped = time.time_ns()

    def told():
        gaps = [r for r in gateway.get("/api/v1/gaps")["records"] if r.get("gap") == "device down"]
        return sorted((nanoseconds(g["from"]), nanoseconds(g["to"])) for g in gaps if nanoseconds(g["to"]) > stopped)

    parts = plant.wait_for(lambda: len(told()) >= 3 and told(), "three parts")
    assert all(a[1] == b[0] for a, b in zip(parts, parts[1:])), "one after the other, without a hole"
    pump.start()
    wait_for_rows(account, 50)
    assert_balanced(gateway)


def test_the_gateway_stops_in_order_and_goes_on_later(line):
    pump, gateway, account = line
    wait_for_rows(account, 50)
    assert gateway.stop() == 0
    gateway.start()
    wait_for_rows(account, 50)
    settle(pump, gateway, account)
    assert_explained(compare(pump, account), account)
    assert any(g["gap"] == "gateway down" for g in account.gaps())
    assert_balanced(gateway)


def test_a_second_gateway_on_the_same_state_is_refused(line, tmp_path):
    _, gateway, _ = line
    second = plant.Process([plant.ISTHMUS, "run", tmp_path], tmp_path / "second.log", env=gateway.environment)
    assert second.child.wait(10) == 1
    assert "another gateway" in second.text()


def test_every_command_is_refused(line):
    _, gateway, account = line
    wait_for_rows(account, 5)
    connection = plant.UnixConnection(gateway.socket)
    connection.request("POST", "/api/v1/commands", json.dumps({"tag": "pump/acc1", "value": 1}))
    reply = connection.getresponse()
    assert reply.status == 403 and b"no write contract" in reply.read()
    connection.close()


def test_a_connection_without_a_request_harms_nobody(line):
    import socket

    pump, gateway, account = line
    before = gateway.pids()["console"]
    for _ in range(20):
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(str(gateway.socket))
        silent.close()
        rude = socket.socket(socket.AF_UNIX)
        rude.connect(str(gateway.socket))
        rude.sendall(b"\x00\xffnonsense\r\n\r\n")
        rude.close()
    wait_for_rows(account, 5)
    assert gateway.pids()["console"] == before
