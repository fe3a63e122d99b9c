# SPDX-License-Identifier: Apache-2.0
"""The console's page for commands, with two people at two browsers: request, approval, lease, refusal, inhibit."""

import json

import plant
import pytest
from browser import User

WORD = "a long enough password"
SPEED = "waterworks/line1/controller/manual-speed"
LEVEL = "waterworks/line1/storage/set-point"

CONFIG = """
gateway: {{name: waterworks, description: The simulated waterworks}}
devices:
  - {{name: plc1, driver: modbus, address: "127.0.0.1:{plc1}", period: 200ms}}
  - {{name: plc2, driver: modbus, address: "127.0.0.1:{plc2}", period: 200ms}}
tags:
  - {{path: {level}, device: plc2, address: "holding:0:int16", unit: m, range: [0, 6], scale: 0.01}}
  - {{path: {speed}, device: plc1, address: "holding:30:float32", unit: "%", range: [0, 100]}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{http}"}}
writes:
  - {{name: storage-levels, tags: ["{level}"], owner: operations, callers: [role:operator], range: [1, 5], step: 1}}
  - name: pumps-by-hand
    tags: ["{speed}"]
    owner: operations
    callers: [role:operator]
    approvers: [role:engineer]
    approval: 5min
    lease: 2min
    revert: 0
"""


class Desk:
    def __init__(self, folder, started):
        sim = started(plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json"], folder / "sim.log"))
        plant.wait_for(lambda: sim.text().endswith("\n"), "the simulator says what it started")
        ports = json.loads(sim.text())
        self.folder, self.http = folder, plant.free_port()
        (folder / "isthmus.yaml").write_text(CONFIG.format(plc1=ports["plc1"], plc2=ports["plc2"], http=self.http, level=LEVEL, speed=SPEED))
        self.gateway = started(plant.Gateway(folder))
        plant.wait_for(self.all_good, "all tags are read")
        for name, role in (("ada", "operator"), ("eva", "engineer"), ("vic", "viewer")):
            connection = plant.UnixConnection(self.gateway.socket, 20)
            connection.request("POST", "/api/v1/accounts", json.dumps({"name": name, "role": role, "password": WORD}))
            assert connection.getresponse().status == 200
            connection.close()

    def all_good(self):
        reply = self.gateway.try_get("/api/v1/now")
        return reply and [v["status"] for v in reply["values"]] == ["Good"] * 2

    def listed(self, **wanted):
        found = [c for c in self.gateway.get("/api/v1/commands")["commands"] if all(c.get(k) == v for k, v in wanted.items())]
        return found[-1] if found else None


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    things = []

    def started(thing):
        things.append(thing)
        return thing

    yield Desk(tmp_path_factory.mktemp("desk"), started)
    for thing in reversed(things):
        thing.stop()


@pytest.fixture
def sit(desk):
    """sit(name): somebody signs in with a browser of his own and opens the page."""
    users = []

    def sit(name, width=1440, scheme="light"):
        user = User(desk.http, desk.folder)
        users.append(user)
        user.open(width, 900, scheme, "sign-in")
        assert user.form({"name": name, "password": WORD}).startswith(name)
        user.page("commands")
        return user

    yield sit
    for user in users:
        complaints = user.complaints()
        user.end()
        assert all("status of 4" in c for c in complaints), complaints  # the browser notes what was refused


def request(user, tag, value, why):
    user.fill("What", tag)
    user.fill(f"To be ({'m' if tag == LEVEL else '%'})", str(value))
    user.fill("Why", why)
    user.button("Request")


def test_a_second_person_approves_and_the_lease_is_ended(desk, sit):
    ada, eva = sit("ada"), sit("eva")
    request(ada, SPEED, 42, "flush the line")
    eva.text("1 command waits for a second person")
    eva.text("flush the line")
    eva.text(" left")
    ada.text("somebody else has to approve")
    ada.picture("operator-waits")
    eva.picture("engineer-approves")
    eva.button("Approve")
    done = plant.wait_for(lambda: desk.listed(state="confirmed"), "it is confirmed")
    assert (done["who"], done["approver"], done["value"], done["after"], done["reason"]) == ("user:ada", "user:eva", 42.0, 42.0, "flush the line")
    ada.text("confirmed: read back")
    (row,) = ada.table("Commands under way")
    assert row["State"].startswith("confirmed: read back") and "user:eva" in row["State"] and " left" in row["Lease"], row
    ada.picture("operator-lease")
    ada.button("End now")
    plant.wait_for(lambda: desk.listed(lease="reverted"), "the value went back")
    ada.text("lease over: value went back")


def test_a_refusal_says_why_and_trying_sends_nothing(desk, sit):
    ada, vic = sit("ada", 390, "dark"), sit("vic")
    ada.fill("What", LEVEL)
    ada.fill("To be (m)", "9")
    ada.button("Try (nothing is sent)")
    ada.text("range")
    ada.fill("To be (m)", "1.5")
    before = desk.gateway.get(f"/api/v1/now/{LEVEL}")["values"][0]["value"]
    request(ada, LEVEL, round(before + 0.5 if before < 4 else before - 0.5, 2), "a little more")
    ada.text("read back")
    assert plant.wait_for(lambda: desk.listed(tag=LEVEL, state="confirmed"), "it is confirmed")
    assert ada.measure()["overflow"] <= 0
    ada.picture("operator-narrow")
    vic.fill("To be (m)", "2")
    vic.button("Request")
    vic.text("Your role may not do this")
    assert vic.measure()["overflow"] <= 0


def test_all_writes_are_stopped_and_everybody_sees_it(desk, sit):
    ada, eva = sit("ada"), sit("eva")
    eva.button("Stop all writes")
    ada.text("All writes are stopped")
    request(ada, LEVEL, 2, "in vain")
    ada.text("inhibit")
    refused = plant.wait_for(lambda: desk.listed(reason="in vain"), "it is listed")
    assert refused["state"] == "refused" and "inhibit" in refused["detail"]
    ada.picture("operator-inhibited")
