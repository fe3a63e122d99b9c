# SPDX-License-Identifier: Apache-2.0
"""Attempts to get round the guard, as a table: each ends as specified, none moves the device, and the audit has each that reached the
guard. The device is pymodbus behind a wire on which every write is kept."""

import datetime
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import uuid

import plant
import pytest
from wire import Wire

WORD = "a long enough password"
LEVEL, SPEED, NEXT = "works/level", "works/speed", "works/next"
TODAY = datetime.date.today().weekday()
OTHER_DAY = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][(TODAY + 3) % 7]

CONFIG = f"""
gateway: {{name: attempts, inhibit: works/key}}
zones: [{{name: works}}, {{name: other}}, {{name: office}}]
conduits: [{{name: office-looks, from: office, to: works, read: true}}]
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:PLC", period: 50ms, timeout: 300ms}}
  - {{name: far, driver: modbus, address: "127.0.0.1:FAR", period: 50ms, timeout: 300ms, box: far, zone: other}}
tags:
  - {{path: {LEVEL}, device: plc, address: "holding:0:int16", unit: m, range: [0, 6], scale: 0.01}}
  - {{path: {SPEED}, device: plc, address: "holding:1:int16", unit: "%", range: [0, 100]}}
  - {{path: works/rated, device: plc, address: "holding:2:int16"}}
  - {{path: works/worn, device: plc, address: "holding:3:int16"}}
  - {{path: works/timed, device: plc, address: "holding:4:int16"}}
  - {{path: works/gated, device: plc, address: "holding:5:int16"}}
  - {{path: works/blind, device: plc, address: "holding:6:int16"}}
  - {{path: works/manned, device: plc, address: "holding:7:int16"}}
  - {{path: works/free, device: plc, address: "holding:8:int16"}}
  - {{path: works/key, device: plc, address: "coil:1"}}
  - {{path: works/badge, device: plc, address: "coil:2"}}
  - {{path: {NEXT}, device: plc, address: "holding:20.3"}}
  - {{path: other/far, device: far, address: "holding:0:int16"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:CONSOLE", zone: works}}
  - {{name: closed, module: http, listen: "127.0.0.1:CLOSED", zone: works, access: signed_in}}
  - {{name: office, module: http, listen: "127.0.0.1:OFFICE", zone: office}}
writes:
  - {{name: level, tags: ["{LEVEL}"], owner: o, callers: ["service:console", "service:office", "role:operator", local], range: [1, 5], step: 1}}
  - {{name: speed, tags: ["{SPEED}"], owner: o, callers: ["role:operator", "user:eva"], approvers: ["role:engineer"], approval: 2s, lease: 1500ms, revert: 10}}
  - {{name: rated, tags: [works/rated], owner: o, callers: ["role:operator"], rate: 1/10min}}
  - {{name: worn, tags: [works/worn], owner: o, callers: ["role:operator"], lifetime: 1}}
  - {{name: timed, tags: [works/timed], owner: o, callers: ["role:operator"], times: ["{OTHER_DAY} 10:00-11:00"]}}
  - {{name: gated, tags: [works/gated], owner: o, callers: ["role:operator"], when: "{{{LEVEL}}} > 5.5"}}
  - {{name: blind, tags: [works/blind], owner: o, callers: ["role:operator"], when: "{{other/far}} == 0"}}
  - {{name: manned, tags: [works/manned], owner: o, callers: ["role:operator"], presence: works/badge}}
  - {{name: bits, tags: [{NEXT}], owner: o, callers: ["role:operator"]}}
"""


class Works:
    def __init__(self, folder, started):
        self.folder = folder
        port = plant.free_port()
        started(plant.modbus_units(folder, port, "--set", "0:300", "1:50"))
        self.plc, self.wire = port, Wire(port)
        self.ports = {name: plant.free_port() for name in ("console", "closed", "office")}
        text = CONFIG.replace("PLC", str(self.wire.port)).replace("FAR", str(plant.free_port()))
        for name, number in self.ports.items():
            text = text.replace(name.upper(), str(number))
        (folder / "isthmus.yaml").write_text(text)
        self.write_bit(1, False)
        self.gateway = started(plant.Gateway(folder))
        plant.wait_for(self.read, "the tags are read")
        self.people = {}
        for name, role, more in (("ada", "operator", {}), ("bob", "operator", {}), ("eva", "engineer", {}), ("vic", "viewer", {}), ("cus", "custodian", {}),
                                 ("sec", "security", {}), ("far", "operator", {"zones": "other"}),
                                 ("oem", "vendor", {"zones": "works", "until": "2099-01-01T00:00:00Z"})):  # fmt: skip
            more = {"expires": more["until"], "zones": more["zones"]} if "until" in more else more
            status, answer = self.local("POST", "/api/v1/accounts", {"name": name, "role": role, "password": WORD, **more})
            assert status == 200, answer
            self.people[name] = self.sign_in("closed", name)
        status, answer = self.local("POST", "/api/v1/tokens", {"name": "look", "role": "viewer", "expires": "2099-01-01T00:00:00Z"})
        assert status == 200, answer
        self.token = answer["token"]
        status, answer = self.local("POST", "/api/v1/tokens", {"name": "away", "role": "operator", "expires": "2099-01-01T00:00:00Z", "from": "10.0.0.0/8"})
        self.away = answer["token"]

    def read(self):
        reply = self.gateway.try_get("/api/v1/now")
        return reply and all(v["status"] == "Good" for v in reply["values"] if v["tag"].startswith("works"))

    def exchange(self, connection, method, path, body, headers):
        try:
            text = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
            connection.request(method, path, text, headers)
            reply = connection.getresponse()
            data = reply.read()
            return reply.status, json.loads(data or b"{}"), reply.headers
        finally:
            connection.close()

    def ask(self, port, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=30)
        return self.exchange(connection, method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})[:2]

    def local(self, method, path, body=None):
        return self.exchange(plant.UnixConnection(self.gateway.socket, 30), method, path, body if body is not None else "", {})[:2]

    def sign_in(self, port, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=30)
        status, facts, headers = self.exchange(connection, "POST", "/api/v1/session", {"name": name, "password": WORD}, {})
        assert status == 200, facts
        return {"Cookie": headers["set-cookie"].partition(";")[0], "X_Isthmus_CSRF": facts["csrf"]}

    def post(self, way, path, body):
        """`way`: a service, a service and who has signed in to it ("closed:ada"), or "local"."""
        if way == "local":
            return self.local("POST", path, body)
        port, _, who = way.partition(":")
        return self.ask(port, "POST", path, body, **(self.people[who] if who else {}))

    def set(self, way, tag, value, **more):
        return self.post(way, "/api/v1/commands", {"tag": tag, "value": value, "id": str(uuid.uuid4()), **more})

    def raw(self, pdu):
        with socket.create_connection(("127.0.0.1", self.plc), timeout=10) as s:
            s.sendall(struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu)
            return s.recv(260)[7:]

    def write_bit(self, at, on):
        """As somebody at the machine does."""
        self.raw(struct.pack(">BHH", 5, at, 0xFF00 if on else 0))

    def register(self, at):
        return struct.unpack(">H", self.raw(struct.pack(">BHH", 3, at, 1))[2:])[0]

    def now(self, tag):
        return self.gateway.get(f"/api/v1/now/{tag}")["values"][0]["value"]

    def audit(self):
        done = subprocess.run([plant.ISTHMUS, "audit", "list", self.gateway.state / "audit", "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def told(self, id):
        """What the audit has of a command. A refusal is written with the next group, so it may come a moment after its answer."""
        return [e for e in self.audit() if e.get("id", "").replace("-", "") == id.replace("-", "")]

    def waiting(self, who="ada", value=40):
        """The id of a command that waits for its approval."""
        status, receipt = self.set(f"closed:{who}", SPEED, value)
        assert (status, receipt["state"]) == (202, "waiting"), receipt
        return receipt["id"]

    def ended(self, id):
        def look():
            status, receipt = self.local("GET", f"/api/v1/commands/{id}")
            return receipt if receipt.get("state") in ("confirmed", "refused", "expired", "failed", "unknown") and receipt.get("lease") != "held" else None

        return plant.wait_for(look, "it has an end")


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    things = []

    def started(thing):
        things.append(thing)
        return thing

    w = Works(tmp_path_factory.mktemp("attempts"), started)
    yield w
    for thing in reversed(things):
        thing.stop()
    w.wire.close()


GUARD, FORM = 403, (400, 404, 411, 413, 422)
WAYS = ["console", "closed:ada", "local"]

# A value that must not reach the device: (what, tag, value, status, words of the reason).
VALUES = [
    ("below the range", LEVEL, 0.99, GUARD, "range"),
    ("above the range", LEVEL, 5.01, GUARD, "range"),
    ("outside of the tag's own range", LEVEL, 6.5, GUARD, "range"),
    ("far outside", LEVEL, 1e300, GUARD, "range"),
    ("negative", LEVEL, -3, GUARD, "range"),
    ("a larger step", LEVEL, 4.5, GUARD, "largest step"),
    ("no contract", "works/free", 1, GUARD, "no write contract"),
    ("the key switch itself", "works/key", False, GUARD, "no write contract"),
    ("a tag that is not there", "works/nothing", 1, FORM, "tag"),
    ("not a number", LEVEL, "NaN", FORM, "type"),
    ("infinity", LEVEL, "Infinity", FORM, "type"),
    ("a text", LEVEL, "3", FORM, "type"),
    ("a truth value", LEVEL, True, FORM, "type"),
    ("nothing", LEVEL, None, FORM, ""),
    ("a list", LEVEL, [3], FORM, "type"),
    ("a map", LEVEL, {"value": 3}, FORM, "type"),
]

# A good value by somebody who may not: (what, way, tag, value, status, words).
CALLERS = [
    ("a viewer", "closed:vic", LEVEL, 3.5, 403, "role"),
    ("a custodian", "closed:cus", LEVEL, 3.5, 403, "role"),
    ("security", "closed:sec", LEVEL, 3.5, 403, "role"),
    ("a vendor", "closed:oem", LEVEL, 3.5, 403, "role"),
    ("an engineer whom the contract does not name", "closed:eva", LEVEL, 3.5, 403, "names neither"),
    ("an operator of another zone", "closed:far", LEVEL, 3.5, 404, "tag"),
    ("nobody, where one has to sign in", "closed", LEVEL, 3.5, (401, 403), ""),
    ("a service without a conduit", "office", LEVEL, 3.5, 403, "no conduit"),
    ("a service into a zone that it can't even read", "office", "other/far", 1, 404, "tag"),
    ("a service that the contract does not name", "console", SPEED, 20, 403, "names neither"),
    ("the gateway's own user, whom the contract does not name", "local", SPEED, 20, 403, "names neither"),
    ("outside of the times", "closed:ada", "works/timed", 1, 403, "times"),
    ("a permissive that does not hold", "closed:ada", "works/gated", 1, 403, "permissive"),
    ("a permissive over a device that does not answer", "closed:ada", "works/blind", 0, 403, "permissive"),
    ("nobody at the machine", "closed:ada", "works/manned", 1, 403, "present"),
]

# A body that is none.
BODIES = [
    ("no JSON", b"level=3"), ("nothing", b""), ("cut off", b'{"tag": "works/level", "value": 3.5'),
    ("the same key twice", b'{"tag": "works/level", "value": 9, "value": 3.5}'), ("a key too many", b'{"tag": "works/level", "value": 3.5, "force": true}'),
    ("too deep", b"[" * 8000), ("too long", b'{"tag": "works/level", "value": 3.5, "reason": "' + b"x" * 20000 + b'"}'),
    ("not UTF-8", b'{"tag": "works/level", "value": 3.5, "reason": "\xff\xfe"}'), ("something behind", b'{"tag": "works/level", "value": 3.5} {}'),
    ("a long reason", b'{"tag": "works/level", "value": 3.5, "reason": "' + b"x" * 96 + b'"}'), ("an id that is none", b'{"tag": "works/level", "value": 3.5, "id": "1"}'),
    ("a huge number", b'{"tag": "works/level", "value": 1e999}'), ("a batch of nothing", b'{"batch": []}'), ("a batch and a tag", b'{"batch": [{"tag": "works/level", "value": 3.5}], "tag": "works/level", "value": 3.5}'),
    ("a batch within", b'{"batch": [{"batch": []}]}'), ("a part with more", b'{"batch": [{"tag": "works/level", "value": 3.5, "reason": "x"}]}'),
]  # fmt: skip

ATTEMPTS = len(VALUES) * (len(WAYS) + 2) + 2 * len(CALLERS) + len(BODIES)


def fails(works, got, status, words):
    code, answer = got
    assert code in (status if isinstance(status, tuple) else (status,)), answer
    assert words in json.dumps(answer), answer
    if code == GUARD and "id" in answer:
        told = plant.wait_for(lambda: works.told(answer["id"]), f"the audit tells of {answer}")
        assert told[-1]["kind"] in ("command refused", "command denied", "batch ended"), (answer, told)


@pytest.fixture(autouse=True)
def unmoved(works):
    """Nothing is written but what a test says is let through."""
    works.allowed = 0
    before = len(works.wire.writes)
    yield
    assert len(works.wire.writes) - before == works.allowed, works.wire.writes[before:]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what, tag, value, status, words", VALUES, ids=[v[0] for v in VALUES])
def test_values(works, way, what, tag, value, status, words):
    fails(works, works.set(way, tag, value), status, words)


@pytest.mark.parametrize("what, way, tag, value, status, words", CALLERS, ids=[c[0] for c in CALLERS])
def test_callers(works, what, way, tag, value, status, words):
    fails(works, works.set(way, tag, value), status, words)


@pytest.mark.parametrize("what, tag, value, status, words", VALUES, ids=[v[0] for v in VALUES])
def test_values_in_a_batch(works, what, tag, value, status, words):
    """The other part, which alone would be let through, is not written either."""
    good, bad = {"tag": NEXT, "value": True}, {"tag": tag, "value": value}
    for batch in ([good, bad], [bad, good]):
        fails(works, works.post("closed:ada", "/api/v1/commands", {"batch": batch, "id": str(uuid.uuid4())}), status, words)


@pytest.mark.parametrize("what, way, tag, value, status, words", CALLERS, ids=[c[0] for c in CALLERS])
def test_callers_in_a_batch(works, what, way, tag, value, status, words):
    fails(works, works.post(way, "/api/v1/commands", {"batch": [{"tag": tag, "value": value}], "id": str(uuid.uuid4())}), status, words)


@pytest.mark.parametrize("what, body", BODIES, ids=[b[0] for b in BODIES])
def test_bodies(works, what, body):
    code, answer = works.ask("closed", "POST", "/api/v1/commands", body, **works.people["ada"])
    assert code in FORM, answer


def test_tokens_and_cookies(works):
    """Wrong secrets, wrong places, no word of the session's own, sessions that are over or another service's."""
    body = {"tag": LEVEL, "value": 3.5}
    for headers, status in (
        ({"Authorization": "Bearer " + "0" * 64}, 401), ({"Authorization": "Bearer " + works.token}, 403), ({"Authorization": "Bearer " + works.away}, 401),
        ({"Cookie": works.people["ada"]["Cookie"]}, 403), ({"Cookie": works.people["ada"]["Cookie"], "X_Isthmus_CSRF": works.people["bob"]["X_Isthmus_CSRF"]}, 403),
        ({"Cookie": works.people["ada"]["Cookie"][:-1] + ("0" if works.people["ada"]["Cookie"][-1] != "0" else "1"), "X_Isthmus_CSRF": works.people["ada"]["X_Isthmus_CSRF"]}, 401),
    ):  # fmt: skip
        assert works.ask("closed", "POST", "/api/v1/commands", body, **headers)[0] == status, headers
    gone = works.sign_in("closed", "bob")
    assert works.ask("closed", "DELETE", "/api/v1/session", None, **gone)[0] == 200
    assert works.ask("closed", "POST", "/api/v1/commands", body, **gone)[0] == 401
    moved = dict(works.people["ada"], Cookie=works.people["ada"]["Cookie"].replace(str(works.ports["closed"]), str(works.ports["office"])))
    assert works.ask("office", "POST", "/api/v1/commands", body, **moved)[0] in (401, 403)


def test_rates_and_lifetimes(works):
    works.allowed = 2
    for tag, words in (("works/rated", "rate is used up"), ("works/worn", "lifetime")):
        first = works.register(2 if tag == "works/rated" else 3)
        status, receipt = works.set("closed:ada", tag, first + 1)
        assert (status, receipt["state"]) == (200, "confirmed"), receipt
        for way in ("closed:ada", "closed:bob"):
            fails(works, works.set(way, tag, first + 2), GUARD, words)


def test_ids(works):
    """One id is one command: again it gives the receipt, for another tag, caller or way it is refused."""
    works.allowed = 1
    id = str(uuid.uuid4())
    assert works.set("closed:ada", LEVEL, 3.5, id=id)[1]["state"] == "confirmed"
    again = works.set("closed:ada", LEVEL, 3.5, id=id.replace("-", ""))
    assert again[0] == 200 and again[1]["state"] == "confirmed"
    for way, tag in (("closed:bob", LEVEL), ("console", LEVEL), ("local", LEVEL), ("closed:ada", SPEED)):
        fails(works, works.set(way, tag, 3 if tag == LEVEL else 30, id=id), GUARD, "another command's")
    raced = str(uuid.uuid4())
    answers = []
    racers = [threading.Thread(target=lambda w=way: answers.append(works.set(w, LEVEL, 3.5, id=raced, dry_run=True))) for way in ("console", "closed:bob")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert all(status in (200, 403) for status, _ in answers), answers


def test_approvals(works):
    id = works.waiting()
    path = f"/api/v1/commands/{id}"
    for way, words in (("closed:ada", "role"), ("closed:bob", "role"), ("closed:vic", "role"), ("console", "approver"), ("local", "approver")):
        fails(works, works.post(way, f"{path}/approve", {}), GUARD, words)
    for way in ("closed:vic", "closed:bob"):
        assert works.post(way, f"{path}/reject", {})[0] == GUARD
    own = works.waiting("eva")
    works.people["eva again"] = works.sign_in("closed", "eva")
    for way in ("closed:eva", "closed:eva again"):
        fails(works, works.post(way, f"/api/v1/commands/{own}/approve", {}), GUARD, "second person")
    assert works.ended(id)["state"] == works.ended(own)["state"] == "expired"
    fails(works, works.post("closed:eva", f"{path}/approve", {}), GUARD, "ended")  # too late
    assert works.post("closed:eva", f"/api/v1/commands/{uuid.uuid4()}/approve", {})[0] == 404
    id = works.waiting()
    assert works.post("closed:eva", f"/api/v1/commands/{id}/reject", {})[1]["state"] == "refused"
    fails(works, works.post("closed:eva", f"/api/v1/commands/{id}/approve", {}), GUARD, "ended")


def test_leases(works):
    works.allowed = 2
    id = works.waiting(value=42)
    assert works.post("closed:eva", f"/api/v1/commands/{id}/approve", {})[0] in (200, 202)
    plant.wait_for(lambda: works.local("GET", f"/api/v1/commands/{id}")[1].get("lease") == "held", "the lease runs")
    for way in ("closed:bob", "closed:vic", "console"):
        assert works.post(way, f"/api/v1/commands/{id}/renew", {})[0] == GUARD, way
    assert works.ended(id)["lease"] == "reverted" and works.register(1) == 10
    assert works.post("closed:ada", f"/api/v1/commands/{id}/renew", {})[0] == GUARD


def test_an_operators_hand_wins(works):
    works.allowed = 1
    id = works.waiting(value=43)
    works.post("closed:eva", f"/api/v1/commands/{id}/approve", {})
    plant.wait_for(lambda: works.local("GET", f"/api/v1/commands/{id}")[1].get("lease") == "held", "the lease runs")
    works.raw(struct.pack(">BHH", 6, 1, 77))
    assert works.ended(id)["lease"] == "left" and works.register(1) == 77


def test_neighbouring_bits_are_never_lost(works):
    """A second master toggles the other bits of the word all the while; what ours writes are single bits, by the device's own means."""
    stop = threading.Event()
    seen = []

    def master():
        for n in range(10_000):
            if stop.is_set():
                return
            works.raw(struct.pack(">BHHH", 22, 20, 0xFFFF ^ 0xFF00, (n & 0xFF) << 8))
            seen.append((works.register(20) >> 8) == n & 0xFF)

    toggling = threading.Thread(target=master)
    toggling.start()
    for n in range(12):
        status, receipt = works.set("closed:ada", NEXT, n % 2 == 0)
        assert receipt["state"] in ("confirmed", "failed"), receipt  # the register may be read back before
        works.allowed += 1
    stop.set()
    toggling.join(30)
    assert len(seen) > 12 and all(seen)
    assert all(w[0] == 22 for w in works.wire.writes[-12:])


def test_inhibits(works):
    """Set over HTTP, by the file, by the key: everything is refused, what waits too; the north can't lift it."""
    assert works.ask("closed", "POST", "/api/v1/inhibit", {"inhibit": True}, **works.people["vic"])[0] == 403
    id = works.waiting()
    assert works.post("closed:ada", "/api/v1/inhibit", {"inhibit": True, "reason": "stop"})[0] == 200
    fails(works, works.set("closed:ada", LEVEL, 3.6), GUARD, "inhibit")
    works.post("closed:eva", f"/api/v1/commands/{id}/approve", {})
    assert works.ended(id)["state"] == "refused"
    for way in ("closed:ada", "closed:eva", "closed:sec"):
        assert works.post(way, "/api/v1/inhibit", {"inhibit": False})[0] == 403, way
    assert works.local("POST", "/api/v1/inhibit", {"inhibit": False})[0] == 200
    file = works.gateway.state / "inhibit"
    file.write_text("")
    fails(works, works.set("console", LEVEL, 3.6), GUARD, "inhibit")
    file.unlink()
    works.write_bit(1, True)
    plant.wait_for(lambda: works.now("works/key") is True, "the key is read")
    fails(works, works.set("local", LEVEL, 3.6), GUARD, "key")
    works.write_bit(1, False)
    plant.wait_for(lambda: works.now("works/key") is False, "the key is read")


def test_the_gateways_power_is_cut_in_the_middle_of_a_lease(works):
    """Every process is gone at once; the next start ends the lease, and sends the command itself no second time."""
    works.allowed = 2
    id = works.waiting(value=44)
    works.post("closed:eva", f"/api/v1/commands/{id}/approve", {})
    plant.wait_for(lambda: works.local("GET", f"/api/v1/commands/{id}")[1].get("lease") == "held", "the lease runs")
    for pid in [works.gateway.process.child.pid, *works.gateway.pids().values()]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it died with another
    works.gateway.process.child.wait(20)
    works.gateway.start()
    plant.wait_for(works.read, "the tags are read")
    plant.wait_for(lambda: works.register(1) == 10, "the value has gone back")
    plant.wait_for(lambda: works.told(id)[-1]["kind"] == "lease reverted", "the audit tells")
    assert [e["kind"] for e in works.told(id)].count("command sent") == 1


def test_the_table_is_as_long_as_it_should_be_and_the_audit_is_sound(works):
    assert ATTEMPTS >= 70  # and those above that are told one by one
    done = subprocess.run([plant.ISTHMUS, "audit", "verify", works.gateway.state / "audit"], capture_output=True, text=True)
    assert done.returncode == 0, done
