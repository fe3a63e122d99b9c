# SPDX-License-Identifier: Apache-2.0
"""Commands from end to end: write contracts, the guard, the device and its own account of what was written, the audit."""

import collections
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import uuid

import plant
import pytest
from wire import Wire

LEVEL = "waterworks/line1/storage/set-point"
SPEED = "waterworks/line1/controller/manual-speed"
KILLS = int(os.environ.get("ISTHMUS_KILLS", "12"))


CONFIG = """
gateway: {{name: waterworks}}
devices:
  - {{name: plc1, driver: modbus, address: "127.0.0.1:{plc1}", period: 50ms, timeout: 300ms}}
  - {{name: plc2, driver: modbus, address: "127.0.0.1:{plc2}", period: 50ms, timeout: 300ms}}
tags:
  - {{path: {level}, device: plc2, address: "holding:0:int16", unit: m, range: [0, 6], scale: 0.01}}
  - {{path: waterworks/line1/valve/target, device: plc2, address: "holding:1:int16", unit: "%", range: [0, 100], scale: 0.1}}
  - {{path: {speed}, device: plc1, address: "holding:30:float32", unit: "%", range: [0, 100]}}
  - {{path: waterworks/line1/pump1/running, device: plc1, address: "coil:0"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{http}"}}
  - {{name: second, module: http, listen: "127.0.0.1:{second}"}}
writes:
  - name: levels
    tags: ["{level}"]
    owner: operations
    callers: ["service:console", local]
    range: [1, 5]
    step: 1
    readback: 2s
    when: "good({{waterworks/line1/pump1/running}}) and {{{speed}}} < 80"
  - {{name: valves, tags: ["waterworks/*/valve/target"], owner: operations, callers: [local]}}
  - name: speeds
    tags: ["{speed}"]
    owner: operations
    callers: ["service:console", local]
    approvers: ["service:second"]
    approval: 10s
    lease: 2s
    revert: 10
    readback: 2s
"""


class Plant:
    def __init__(self, folder, started, second=True):
        self.sim = started(plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json"], folder / "sim.log"))
        plant.wait_for(lambda: self.sim.text().endswith("\n"), "the simulator says what it started")
        said = json.loads(self.sim.text())
        self.ports = [said["plc1"], said["plc2"]]
        self.wires = [Wire(port) for port in self.ports]
        self.http, self.second = plant.free_port(), plant.free_port()
        text = CONFIG.format(
            plc1=self.wires[0].port, plc2=self.wires[1].port, http=self.http, second=self.second, level=LEVEL, speed=SPEED
        )
        if not second:
            text = "".join(line for line in text.splitlines(True) if "second" not in line)
        (folder / "isthmus.yaml").write_text(text)
        self.gateway = started(plant.Gateway(folder))
        self.good(LEVEL)
        self.good(SPEED)

    def good(self, tag):
        def value():
            (v,) = self.gateway.get(f"/api/v1/now?tags={tag}")["values"]
            return v if v["status"] == "Good" else None

        return plant.wait_for(value, f"{tag} is good")["value"]

    def post(self, path, body, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http, timeout=30)
        try:
            connection.request("POST", path, json.dumps(body))
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def set(self, tag, value, **more):
        return self.post("/api/v1/commands", {"tag": tag, "value": value, **more})

    def receipt(self, id):
        return self.gateway.get(f"/api/v1/commands/{id}")

    def device(self, plc, at, count=1):
        """The registers as another client of the device reads them."""
        with socket.create_connection(("127.0.0.1", self.ports[plc - 1]), timeout=10) as s:
            s.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, at, count))
            reply = b""
            while len(reply) < 9 + 2 * count:
                reply += s.recv(260)
            return struct.unpack(f">{count}H", reply[9:])

    def write_device(self, plc, at, value):
        """As an operator at the machine does."""
        with socket.create_connection(("127.0.0.1", self.ports[plc - 1]), timeout=10) as s:
            s.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, at, value))
            s.recv(260)

    def writes(self):
        return [w for wire in self.wires for w in wire.writes]


@pytest.fixture
def works(tmp_path, started):
    w = Plant(tmp_path, started)
    yield w
    for wire in w.wires:
        wire.close()


def test_a_set_point_goes_to_the_device_and_comes_back(works):
    status, receipt = works.set(LEVEL, 3.25, reason="more water")
    assert (status, receipt["state"]) == (200, "confirmed"), receipt
    assert receipt["before"] == pytest.approx(4.2) and receipt["after"] == pytest.approx(3.25)
    assert works.device(2, 0) == (325,)
    assert works.writes() == [struct.pack(">BHH", 6, 0, 325)]
    assert works.receipt(receipt["id"])["state"] == "confirmed"


def test_what_the_contract_does_not_allow_never_reaches_the_device(works):
    for tag, value, reason in (
        (LEVEL, 5.5, "range"), (LEVEL, 0.5, "range"), (LEVEL, 3.0, "largest step"),
        ("waterworks/line1/pump1/running", True, "no write contract"),
    ):  # fmt: skip
        status, receipt = works.set(tag, value)
        assert (status, receipt["state"]) == (403, "refused") and reason in receipt["detail"], receipt
    status, receipt = works.post("/api/v1/commands", {"tag": LEVEL, "value": 3.5}, works.second)
    assert status == 403 and "service:second" in receipt["detail"]
    status, receipt = works.set(LEVEL, 3.5, dry_run=True)
    assert (status, receipt["state"]) == (200, "checked")
    assert works.writes() == []


def test_a_permissive_is_asked_of_the_live_plant(works):
    works.write_device(1, 30, 0x42AA)  # 85 %
    plant.wait_for(lambda: works.good(SPEED) == 85, "the gateway sees it")
    status, receipt = works.set(LEVEL, 3.5)
    assert status == 403 and f"{{{SPEED}}} < 80 does not hold (85)" in receipt["detail"], receipt
    works.write_device(1, 30, 0x4220)  # 40 %
    plant.wait_for(lambda: works.good(SPEED) == 40, "the gateway sees it")
    works.wires[0].deaf = True  # nobody knows any more
    plant.wait_for(lambda: works.gateway.get(f"/api/v1/now?tags={SPEED}")["values"][0]["status"] != "Good", "it is bad")
    status, receipt = works.set(LEVEL, 3.5)
    assert status == 403 and "(bad)" in receipt["detail"], receipt
    works.wires[0].deaf = False
    works.good(SPEED)
    plant.wait_for(lambda: works.set(LEVEL, 3.5)[0] == 200, "it is let through again")
    assert len(works.writes()) == 1


def test_the_same_id_is_the_same_command(works):
    id = str(uuid.uuid4())
    answers = [works.set(LEVEL, 3.5, id=id) for _ in range(3)]
    assert {a[1]["state"] for a in answers} == {"confirmed"} and {a[1]["asked"] for a in answers} == {answers[0][1]["asked"]}
    status, receipt = works.set(SPEED, 20, id=id)
    assert status == 403 and "another command's" in receipt["detail"]
    assert len(works.writes()) == 1


def test_two_persons_and_a_lease(works):
    status, receipt = works.set(SPEED, 40)
    assert (status, receipt["state"]) == (202, "waiting"), receipt
    path = f"/api/v1/commands/{receipt['id']}"
    status, denied = works.post(f"{path}/approve", {})
    assert status == 403 and "second person" in denied["detail"]
    assert works.writes() == []
    status, _ = works.post(f"{path}/approve", {"reason": "seen"}, works.second)
    assert status in (200, 202)
    plant.wait_for(lambda: works.receipt(receipt["id"])["state"] == "confirmed", "it is confirmed")
    assert struct.unpack(">f", struct.pack(">2H", *works.device(1, 30, 2))) == (40,)
    assert works.post(f"{path}/renew", {})[0] == 200
    plant.wait_for(lambda: works.receipt(receipt["id"])["lease"] == "reverted", "the lease ends")
    assert struct.unpack(">f", struct.pack(">2H", *works.device(1, 30, 2))) == (10,)
    assert len(works.writes()) == 2 and all(w[0] == 16 and w[1:5] == struct.pack(">HH", 30, 2) for w in works.writes())


def test_the_operators_hand_wins(works):
    _, receipt = works.set(SPEED, 40)
    works.post(f"/api/v1/commands/{receipt['id']}/approve", {}, works.second)
    plant.wait_for(lambda: works.receipt(receipt["id"])["state"] == "confirmed", "it is confirmed")
    works.write_device(1, 30, 0x4270)  # 60 %
    plant.wait_for(lambda: works.good(SPEED) == 60, "the gateway sees it")
    plant.wait_for(lambda: works.receipt(receipt["id"])["lease"] == "left", "the lease ends")
    assert works.device(1, 30)[0] == 0x4270 and len(works.writes()) == 1


def test_without_an_answer_what_is_read_back_tells(works):
    """A poll may be under way when the device falls silent: then the write behind it is never sent, which is said, and it is tried again."""
    for _ in range(5):
        works.wires[1].deaf = True
        answer = {}
        thread = threading.Thread(target=lambda: answer.update(zip(("status", "receipt"), works.set(LEVEL, 3.75))))
        thread.start()
        plant.wait_for(lambda: works.writes() or not thread.is_alive(), "the write is on the wire, or has ended")
        works.wires[1].deaf = False
        thread.join(30)
        if works.writes():
            break
        assert answer["receipt"]["state"] in ("refused", "failed", "unknown"), answer
        works.good(LEVEL)
    assert answer["receipt"]["state"] in ("confirmed", "unknown"), answer
    assert len(works.writes()) == 1, "nothing is sent twice"


def test_a_killed_engine_sends_nothing_again(works):
    for n in range(6):
        before = len(works.writes())
        id = str(uuid.uuid4())
        thread = threading.Thread(target=lambda: works.set(LEVEL, 4 + n % 2 * 0.5, id=id))
        thread.start()
        if n % 2:
            plant.wait_for(lambda: len(works.writes()) > before, "the write is on the wire")
        os.kill(works.gateway.pids()["engine"], signal.SIGKILL)
        thread.join(30)

        def ended():
            reply = works.gateway.try_get(f"/api/v1/commands/{id}")
            return reply if reply and reply["state"] in ("confirmed", "unknown", "refused", "failed") else None

        if len(works.writes()) > before:
            receipt = plant.wait_for(ended, "it has an end")
            assert receipt["state"] in ("confirmed", "unknown"), receipt
        assert len(works.writes()) - before <= 1
        plant.wait_for(lambda: works.gateway.try_get(f"/api/v1/now?tags={LEVEL}"), "the engine is back")
        works.good(LEVEL)


def test_commands_as_documented(tmp_path, started):
    works = Plant(tmp_path, started, second=False)
    text = (plant.ROOT / "docs/commands.md").read_text()
    typed = [re.split(r"  +", line)[0] for line in text.splitlines() if line.startswith("isthmus ")]
    assert len(typed) == 12
    environment = {**os.environ, "ISTHMUS_SOCKET": str(works.gateway.socket)}
    id = None
    for line in typed:
        command = line.replace("isthmus", str(plant.ISTHMUS), 1)
        command = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", lambda m: id or m[0], command)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, env=environment)
        if line.endswith("approve"):
            assert done.returncode == 1 and "has ended" in done.stdout
            continue
        assert done.returncode == 0, (line, done)
        if " inhibit" in line:
            assert done.stdout.startswith("inhibited: " if " on " in line else "free: ")
            continue
        if " island" in line:
            assert done.stdout.startswith("island: " if " on " in line else "joined: ")
            continue
        if line == "isthmus command":
            assert "CHANGED" in done.stdout and id in done.stdout
            continue
        state = "checked" if "--dry-run" in line else "confirmed"
        assert done.stdout.startswith(state)
        (id,) = re.findall(r"^  id +(\S+)$", done.stdout, re.M)
    assert works.device(2, 0, 2) == (350, 600)


def test_check_finds_contracts_that_contradict(works, tmp_path):
    config = pathlib.Path(works.gateway.folder / "isthmus.yaml")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "isthmus.yaml").write_text(config.read_text().replace("range: [1, 5]", "range: [1, 7]").replace("revert: 10", "revert: 101"))
    done = subprocess.run([plant.ISTHMUS, "check", bad], capture_output=True, text=True)
    assert done.returncode == 1
    assert "more than the range of its tags" in done.stdout and "would not allow this value" in done.stdout
    assert "lost gateway" in done.stdout  # the lease has no heartbeat: a warning


def test_the_inhibit_stops_all_writes(works):
    environment = {**os.environ, "ISTHMUS_SOCKET": str(works.gateway.socket)}

    def inhibit(*arguments):
        done = subprocess.run([plant.ISTHMUS, "inhibit", *arguments], capture_output=True, text=True, timeout=30, env=environment)
        return done.returncode, done.stdout + done.stderr

    status, _ = works.post("/api/v1/inhibit", {"inhibit": True})
    assert status == 401, "nobody is signed in"
    assert inhibit("on", "--reason", "work on pump 3")[0] == 0
    status, receipt = works.set(LEVEL, 3.5)
    assert status == 403 and "work on pump 3" in receipt["detail"]
    assert works.gateway.stop() == 0
    works.gateway.start()
    works.good(LEVEL)
    works.good(SPEED)
    assert works.set(LEVEL, 3.5)[0] == 403, "it survives a restart"
    assert inhibit("off")[0] == 0
    plant.wait_for(lambda: "free" in inhibit()[1], "it is lifted")
    (works.gateway.state / "inhibit").touch()

    def held():
        status, receipt = works.set(LEVEL, 3.5)
        return status == 403 and "the file 'inhibit'" in receipt["detail"]

    plant.wait_for(held, "the file inhibits")
    (works.gateway.state / "inhibit").unlink()
    assert works.writes() == []
    plant.wait_for(lambda: works.set(LEVEL, 3.5)[0] == 200, "it is free again")


def test_random_kills_under_a_stream_of_commands(works):
    """Each command ends once; what the device got, what receipts say and what the audit says agree."""
    dice = random.Random(4)
    asked, stop = {}, threading.Event()

    def ask():
        level = 400
        while not stop.is_set():
            level = 400 + (level + 1) % 90
            id = str(uuid.uuid4())
            asked[id] = level
            try:
                works.set(LEVEL, level / 100, id=id)
                stop.wait(0.01)
            except (OSError, http.client.HTTPException, ValueError):
                stop.wait(0.05)  # its box was killed: the id gives the receipt later

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(KILLS):
            seen = len(works.writes())
            plant.wait_for(lambda: len(works.writes()) > seen, "commands go on", 120)
            pids = plant.wait_for(works.gateway.pids, "it tells its processes")
            name = dice.choice([n for n in ("engine", "modbus", "console", "reader", "identity") if pids.get(n)])
            stop.wait(dice.random() * 0.05)
            try:
                os.kill(pids[name], signal.SIGKILL)
            except ProcessLookupError:
                pass
    finally:
        stop.set()
        thread.join(60)
    plant.wait_for(lambda: works.gateway.try_get(f"/api/v1/now?tags={LEVEL}"), "it answers")
    works.good(LEVEL)

    def receipt(id):
        status, body = works.gateway.get(f"/api/v1/commands/{id}", check=False)
        reply = json.loads(body)
        return reply if status == 404 or reply["state"] in ("confirmed", "refused", "failed", "unknown") else None

    receipts = {id: plant.wait_for(lambda: receipt(id), f"{id} has ended") for id in asked}
    done = subprocess.run([plant.ISTHMUS, "audit", "list", works.gateway.state / "audit", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = {}
    for entry in json.loads(done.stdout):
        if entry["kind"].startswith("command ") and "id" in entry:
            told.setdefault(entry["id"], []).append(entry["kind"].removeprefix("command "))
    ends = ("confirmed", "refused", "failed", "unknown")
    written = collections.Counter(struct.unpack(">H", w[3:5])[0] for w in works.writes())
    allowed = collections.Counter()
    for id, reply in receipts.items():
        kinds = told.get(id.replace("-", ""), [])
        if reply["state"] == "never heard":
            assert kinds in ([], ["refused"]), "what nobody heard of, or was refused so long ago that its receipt is gone, did nothing"
            continue
        assert [k for k in kinds if k in ends] == [reply["state"]], (id, kinds, reply)
        if reply["state"] == "refused":
            assert "sent" not in kinds
        else:
            allowed[asked[id]] += 1
    assert all(written[value] <= allowed[value] for value in written), "nothing was sent twice, nothing without an intent"
    confirmed = sum(r["state"] == "confirmed" for r in receipts.values())
    assert confirmed > KILLS and sum(written.values()) >= confirmed
