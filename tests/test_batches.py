# SPDX-License-Identifier: Apache-2.0
"""Batches from end to end: several tags are written as one, or none of them. The device is pymodbus behind a wire that keeps every write."""

import http.client
import json
import os
import signal
import struct
import subprocess
import uuid

import plant
import pytest
from wire import Wire

CONFIG = """
gateway: {name: batches}
devices:
  - {name: plc, driver: modbus, address: "127.0.0.1:PLC", period: 50ms, timeout: 300ms}
  - {name: other, driver: modbus, address: "127.0.0.1:OTHER", period: 50ms, timeout: 300ms}
tags:
  - {path: works/a, device: plc, address: "holding:0:int16", range: [0, 1000]}
  - {path: works/b, device: plc, address: "holding:1:float32"}
  - {path: works/c, device: plc, address: "holding:3:int16", scale: 0.1}
  - {path: works/apart, device: plc, address: "holding:20:int16"}
  - {path: works/beside, device: plc, address: "holding:29:int16"}
  - {path: works/fixed, device: plc, address: "holding:30:int16"}
  - {path: works/x, device: plc, address: "coil:10"}
  - {path: works/y, device: plc, address: "coil:11"}
  - {path: works/lent, device: plc, address: "holding:40:int16"}
  - {path: works/signed, device: plc, address: "holding:50:int16"}
  - {path: works/far, device: other, address: "holding:0:int16"}
  - {path: works/free, device: plc, address: "holding:60:int16"}
services:
  - {name: console, module: http, listen: "127.0.0.1:CONSOLE"}
writes:
  - {name: recipe, tags: [works/a, works/b, works/c, works/x, works/y, works/apart, works/beside, works/fixed, works/far], owner: o, callers: [local], readback: 2s}
  - {name: lent, tags: [works/lent], owner: o, callers: [local], lease: 2s, revert: 1}
  - {name: signed, tags: [works/signed], owner: o, callers: [local], approvers: ["role:engineer"], approval: 30s, readback: 2s}
"""
WORD = "a long enough password"


class Works:
    def __init__(self, folder, started):
        self.plc, other = plant.free_port(), plant.free_port()
        registers = ("--set", "0:100", "1:0", "2:0", "3:200", "20:5", "50:5")
        started(plant.modbus_units(folder, self.plc, *registers, "--read-only", "30"))
        (folder / "other").mkdir()
        started(plant.modbus_units(folder / "other", other))
        self.wire, self.far = Wire(self.plc), Wire(other)
        self.console = plant.free_port()
        text = CONFIG.replace("PLC", str(self.wire.port)).replace("OTHER", str(self.far.port)).replace("CONSOLE", str(self.console))
        (folder / "isthmus.yaml").write_text(text)
        self.gateway = started(plant.Gateway(folder))
        plant.wait_for(lambda: all(v["status"] == "Good" for v in self.values()) and self.values(), "all tags are read")

    def values(self):
        reply = self.gateway.try_get("/api/v1/now")
        return reply["values"] if reply else []

    def now(self, *tags):
        return [self.gateway.get(f"/api/v1/now/{tag}")["values"][0]["value"] for tag in tags]

    def ask(self, *pairs, **more):
        parts = [{"tag": tag, "value": value} for tag, value in pairs]
        connection = plant.UnixConnection(self.gateway.socket, 30)
        try:
            connection.request("POST", "/api/v1/commands", json.dumps({"batch": parts, **more}))
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def parts(self, batch):
        return self.gateway.get(f"/api/v1/commands?batch={batch}")["commands"]

    def told(self, id):
        done = subprocess.run([plant.ISTHMUS, "audit", "list", self.gateway.state / "audit", "--json"], capture_output=True, text=True, check=True)
        return [e["kind"] for e in json.loads(done.stdout) if e.get("id", "").replace("-", "") == id.replace("-", "")]

    def run(self, *arguments):
        return subprocess.run([plant.ISTHMUS, *arguments, "--socket", self.gateway.socket], capture_output=True, text=True, timeout=60)


@pytest.fixture
def works(tmp_path, started):
    w = Works(tmp_path, started)
    yield w
    w.wire.close()
    w.far.close()


def test_side_by_side_goes_in_one_transaction(works):
    id = str(uuid.uuid4())
    status, receipt = works.ask(("works/c", 42.5), ("works/a", 7), ("works/b", 1.5), id=id, reason="recipe 7")
    assert (status, receipt["state"], receipt["id"]) == (200, "confirmed", id), receipt
    assert "in one transaction of the device" in receipt["detail"] and "tag" not in receipt
    assert works.wire.writes == [struct.pack(">BHHBhfh", 16, 0, 4, 8, 7, 1.5, 425)]
    parts = works.parts(id)
    assert [(p["tag"], p["value"], p["state"], p["batch"]) for p in parts] == [
        ("works/c", 42.5, "confirmed", id), ("works/a", 7, "confirmed", id), ("works/b", 1.5, "confirmed", id)]  # fmt: skip
    assert int(parts[2]["id"].replace("-", ""), 16) == int(id.replace("-", ""), 16) + 3
    assert works.ask(("works/c", 42.5), ("works/a", 7), ("works/b", 1.5), id=id)[1]["state"] == "confirmed"
    assert works.ask(("works/c", 42.5), ("works/a", 8), ("works/b", 1.5), id=id)[0] == 403
    assert len(works.wire.writes) == 1
    plant.wait_for(lambda: works.told(id) == ["batch requested", "batch ended", "command denied"], "the audit has the batch")
    assert works.told(parts[0]["id"]) == ["command requested", "command sent", "command accepted", "command confirmed"]
    status, receipt = works.ask(("works/x", False), ("works/y", True))
    assert receipt["state"] == "confirmed" and works.wire.writes[1] == struct.pack(">BHHBB", 15, 10, 2, 1, 2)


def test_else_one_after_another(works):
    status, receipt = works.ask(("works/a", 7), ("works/apart", 8), ("works/far", 9))
    assert (status, receipt["state"]) == (200, "confirmed") and "one after another" in receipt["detail"]
    assert works.wire.writes == [struct.pack(">BHH", 6, 0, 7), struct.pack(">BHH", 6, 20, 8)]
    assert works.far.writes == [struct.pack(">BHH", 6, 0, 9)]


def test_what_was_written_is_put_back(works):
    status, receipt = works.ask(("works/a", 7), ("works/apart", 8), ("works/fixed", 9), ("works/far", 9))
    assert (status, receipt["state"]) == (502, "failed")
    assert "2 of 2 that were written before are put back; part 3 of 4: illegal data address" in receipt["detail"]
    plant.wait_for(lambda: works.now("works/a", "works/apart") == [100, 5], "all is as it was")
    assert works.far.writes == [] and works.wire.writes[-2:] == [struct.pack(">BHH", 6, 20, 5), struct.pack(">BHH", 6, 0, 100)]
    states = {p["tag"]: p["state"] for p in works.parts(receipt["id"]) if p["reason"] == ""}
    assert states == {"works/a": "confirmed", "works/apart": "confirmed", "works/fixed": "failed", "works/far": "refused"}


def test_a_transaction_that_the_device_refuses_changes_nothing(works):
    before = works.now("works/beside", "works/fixed")
    status, receipt = works.ask(("works/beside", 55), ("works/fixed", 9))
    assert (status, receipt["state"]) == (502, "failed") and "part 1 of 2: illegal data address" in receipt["detail"]
    assert len(works.wire.writes) == 1 and works.now("works/beside", "works/fixed") == before


def test_a_device_that_falls_silent_leaves_nothing_half_done_unsaid(works):
    works.far.deaf = True
    status, receipt = works.ask(("works/a", 7), ("works/far", 9))
    assert (status, receipt["state"]) in ((504, "unknown"), (403, "refused")), receipt
    works.far.deaf = False
    plant.wait_for(lambda: works.now("works/a") == [100], "the part that was written is put back")
    assert len(works.far.writes) <= 1


@pytest.mark.parametrize(("pairs", "status", "word"), [
    ([("works/a", 7), ("works/a", 8)], 403, "twice"),
    ([("works/a", 7), ("works/b", 1), ("works/a", 1001)], 403, "part 3 of 3"),
    ([("works/a", 7), ("works/free", 1)], 403, "read-only"),
    ([("works/a", 7), ("works/lent", 9)], 403, "lease"),
    ([("works/a", 7), ("works/nothing", 9)], 404, "tags"),
    ([("works/a", 7), ("works/b", "x")], 422, "works/b"),
    ([], 400, "batch"),
    ([("works/a", n) for n in range(65)], 400, "batch"),
])  # fmt: skip
def test_one_that_is_refused_refuses_all(works, pairs, status, word):
    got, problem = works.ask(*pairs)
    assert got == status and word in problem["detail"], problem
    assert works.wire.writes == []


def test_a_second_person_approves_the_whole(works):
    local = plant.UnixConnection(works.gateway.socket, 30)
    local.request("POST", "/api/v1/tokens", json.dumps({"name": "boss", "role": "engineer", "expires": "2099-01-01T00:00:00Z"}))
    token = json.loads(local.getresponse().read())["token"]
    status, receipt = works.ask(("works/a", 7), ("works/signed", 9))
    assert (status, receipt["state"]) == (202, "waiting")
    assert works.wire.writes == []
    done = works.run("command", receipt["id"], "approve")
    assert done.returncode == 1 and "second person" in done.stdout + done.stderr
    console = http.client.HTTPConnection("127.0.0.1", works.console, timeout=30)
    console.request("POST", f"/api/v1/commands/{receipt['id']}/approve", "", {"Authorization": f"Bearer {token}"})
    assert json.loads(console.getresponse().read())["id"] == receipt["id"]
    console.close()
    plant.wait_for(lambda: works.gateway.get(f"/api/v1/commands/{receipt['id']}")["state"] == "confirmed", "it is written")
    assert works.now("works/a", "works/signed") == [7, 9]


def test_from_the_command_line(works):
    done = works.run("set", "works/a", "7", "works/b", "2.5", "--dry-run")
    assert done.returncode == 0 and "all 2 parts" in done.stdout and works.wire.writes == []
    done = works.run("set", "works/a", "7", "works/b", "2.5", "--reason", "recipe 7")
    assert done.returncode == 0 and "one transaction" in done.stdout and "works/b" in done.stdout, done
    assert works.run("set", "works/a").returncode == 2 and works.run("set", "works/a", "7", "works/b").returncode == 2
    said = json.loads(works.run("set", "works/a", "8", "works/apart", "2", "--json").stdout)
    shown = works.run("command", said["id"])
    assert shown.returncode == 0 and "one after another" in shown.stdout and "works/apart" in shown.stdout


def test_an_engine_that_is_killed_sends_nothing_more(works):
    """The second device does not answer, so the batch is in its middle."""
    works.far.deaf = True
    id = str(uuid.uuid4())
    asked = subprocess.Popen(
        [plant.ISTHMUS, "set", "works/a", "7", "works/far", "9", "--id", id, "--socket", works.gateway.socket],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    plant.wait_for(lambda: works.wire.writes, "the first part is written")
    os.kill(works.gateway.pids()["engine"], signal.SIGKILL)
    asked.communicate(timeout=60)
    works.far.deaf = False
    receipt = plant.wait_for(lambda: works.gateway.try_get(f"/api/v1/commands/{id}"), "the engine is back")
    assert receipt["state"] == "unknown" and "parts tell" in receipt["detail"]
    plant.wait_for(lambda: works.values() and all(v["status"] == "Good" for v in works.values()), "all tags are read again")
    assert len(works.wire.writes) == 1 and len(works.far.writes) <= 1
