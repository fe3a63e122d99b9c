# SPDX-License-Identifier: Apache-2.0
"""Zones and conduits: what a caller in one zone may know of another, over each way there is; and why, as `isthmus access` tells."""

import datetime
import http.client
import json
import subprocess

import plant
import pytest

WORD = "a long enough password"
ONE, TWO = "plant/line1/level", "plant/line2/level"

CONFIG = """
gateway: {{name: zones-test}}
zones:
  - {{name: line-1}}
  - {{name: line-2}}
  - {{name: office}}
  - {{name: oem}}
conduits:
  - {{name: office-looks, from: office, to: line-1, read: true}}
  - {{name: office-sets, from: office, to: line-1, command: true, tags: ["plant/*/level"]}}
  - {{name: oem-for-now, from: oem, to: line-2, read: true, command: true, until: "{until}"}}
  - {{name: all, from: line-1, to: line-2, read: true, command: true}}
devices:
  - {{name: plc1, driver: modbus, address: "127.0.0.1:{plc}", box: a, period: 50ms, zone: line-1}}
  - {{name: plc2, driver: modbus, address: "127.0.0.1:{plc}", box: b, period: 50ms, zone: line-2}}
tags:
  - {{path: plant/line1/level, device: plc1, address: "holding:0:int16", range: [0, 600]}}
  - {{path: plant/line1/other, device: plc1, address: "holding:30:int16", range: [0, 600]}}
  - {{path: plant/line2/level, device: plc2, address: "holding:2:int16", range: [0, 600]}}
services:
  - {{name: office, module: http, listen: "127.0.0.1:{office}", zone: office}}
  - {{name: oem, module: http, listen: "127.0.0.1:{oem}", zone: oem}}
  - {{name: closed, module: http, listen: "127.0.0.1:{closed}", zone: line-1, access: signed_in}}
writes:
  - name: levels
    tags: ["plant/*/level", "plant/line1/other"]
    owner: operations
    callers: ["service:office", "service:oem", "role:operator"]
"""


class Works:
    def __init__(self, folder, started):
        self.folder = folder
        sim = started(plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json"], folder / "sim.log"))
        plant.wait_for(lambda: sim.text().endswith("\n"), "the simulator says what it started")
        self.ports = {name: plant.free_port() for name in ("office", "oem", "closed")}
        # long enough for the tests before: they are asked in their order
        self.until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=20)
        until = self.until.strftime("%Y-%m-%dT%H:%M:%SZ")
        (folder / "isthmus.yaml").write_text(CONFIG.format(plc=json.loads(sim.text())["plc2"], until=until, **self.ports))
        self.gateway = started(plant.Gateway(folder))
        plant.wait_for(self.all_good, "all tags are read")

    def all_good(self):
        reply = self.gateway.try_get("/api/v1/now")
        return reply and [v["status"] for v in reply["values"]] == ["Good"] * 3

    def ask(self, port, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            reply = connection.getresponse()
            data = reply.read()
            return reply.status, json.loads(data), reply.headers
        finally:
            connection.close()

    def local(self, method, path, body=None):
        connection = plant.UnixConnection(self.gateway.socket, 20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else "")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def access(self, who, tag, *more):
        done = subprocess.run(
            [plant.ISTHMUS, "access", who, tag, "--dir", self.folder, "--json", *more],
            capture_output=True, text=True, timeout=20, env=self.gateway.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {(a["service"], a["act"]): a for a in json.loads(done.stdout)["answers"]}


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    things = []

    def started(thing):
        things.append(thing)
        return thing

    yield Works(tmp_path_factory.mktemp("zones"), started)
    for thing in reversed(things):
        thing.stop()


def seen(works, port, **headers):
    """The tags that a caller learns of, over each way of reading."""

    def get(path):
        status, answer, _ = works.ask(port, "GET", path, **headers)
        assert status == 200, (path, answer)
        return answer

    status, rows, _ = works.ask(port, "POST", "/api/v1/sql", {"sql": "SELECT DISTINCT tag FROM history UNION SELECT tag FROM latest UNION SELECT tag FROM tags"}, **headers)
    ways = {
        "tags": {t["path"] for t in get("/api/v1/tags")["tags"]},
        "now": {v["tag"] for v in get("/api/v1/now")["values"]},
        "samples": {r["tag"] for r in get("/api/v1/samples?limit=1000")["records"] if "tag" in r},
        "ledger": {t["tag"] for t in get("/api/v1/ledger")["tags"]},
        "prometheus": {s["tag"] for s in get("/prometheus/api/v1/series?match[]=%7Btag%3D~%22.%2B%22%7D")["data"]},
    }
    if status == 200:
        ways["sql"] = {r[0] for r in rows["rows"]}
    assert len({frozenset(w) for w in ways.values()}) == 1, ways
    return ways["tags"]


def test_a_service_shows_only_what_conduits_lead_to(works):
    assert seen(works, "office") == {ONE, "plant/line1/other"}
    assert seen(works, "oem") == {TWO}
    for path in (f"/api/v1/now/{TWO}", f"/api/v1/history?tag={TWO}", f"/api/v1/gaps?tag={TWO}"):
        assert works.ask("office", "GET", path)[0] == 404, path
    assert [d["name"] for d in works.ask("office", "GET", "/api/v1/devices")[1]["devices"]] == ["plc1"]
    assert works.ask("office", "GET", "/api/v1/browse?device=plc2")[0] == 404


def test_commands_go_only_where_a_conduit_leads(works):
    for port, tag, status in (("office", ONE, 200), ("office", "plant/line1/other", 403), ("office", TWO, 404), ("oem", TWO, 200)):
        got, answer, _ = works.ask(port, "POST", "/api/v1/commands", {"tag": tag, "value": 300})
        assert got == status, (port, tag, answer)
        if status == 403:
            assert "no conduit lets callers in the zone office command this in line-1" in answer["detail"]
    audit = subprocess.run([plant.ISTHMUS, "audit", "list", works.gateway.state / "audit", "--json"], capture_output=True, text=True)
    told = [e for e in json.loads(audit.stdout) if "no conduit" in json.dumps(e)]
    assert told and all("service:office" in json.dumps(e) for e in told), told


def test_a_session_sees_only_its_zones(works):
    for name, zones in (("one", "line-1"), ("two", "line-2"), ("both", "")):
        body = {"name": name, "role": "operator", "password": WORD, **({"zones": zones} if zones else {})}
        assert works.local("POST", "/api/v1/accounts", body)
    assert works.ask("closed", "GET", "/api/v1/tags")[0] == 401
    for name, tags in (("one", {ONE, "plant/line1/other"}), ("two", {TWO}), ("both", {ONE, TWO, "plant/line1/other"})):
        status, facts, headers = works.ask("closed", "POST", "/api/v1/session", {"name": name, "password": WORD})
        assert status == 200, facts
        cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
        assert seen(works, "closed", **cookie) == tags, name
        for tag in (ONE, TWO):
            status, answer, _ = works.ask("closed", "POST", "/api/v1/commands", {"tag": tag, "value": 300}, **cookie, **{"X-Isthmus-CSRF": facts["csrf"]})
            assert status == (200 if tag in tags else 404), (name, tag, answer)


def test_access_explains_what_the_gateway_does(works):
    office = works.access("service:office", ONE)
    assert office["office", "read"]["allowed"] and office["office", "command"]["allowed"]
    assert "conduit" in office["office", "read"]["why"] and office["office", "read"]["place"].startswith("isthmus.yaml:")
    assert not works.access("service:office", TWO)["office", "read"]["allowed"]
    assert not works.access("service:office", "plant/line1/other")["office", "command"]["allowed"]
    two = works.access("user:two", ONE, "--service", "closed")
    assert not two["closed", "read"]["allowed"] and "does not reach into the zone line-1" in two["closed", "read"]["why"]
    assert works.access("user:two", TWO, "--service", "closed")["closed", "command"]["allowed"]
    assert works.access("local", TWO)["local", "read"]["allowed"]
    assert not works.access("role:viewer", ONE)["closed", "command"]["allowed"]
    for wrong in (["user:nobody", ONE], ["service:plc1x", ONE], ["local", "plant/nothing"], ["role:king", ONE]):
        done = subprocess.run([plant.ISTHMUS, "access", *wrong, "--dir", works.folder], capture_output=True, text=True, timeout=20, env=works.gateway.environment)
        assert done.returncode == 1 and done.stderr.startswith("isthmus access: "), done


def test_a_conduit_closes_at_its_time_and_nothing_goes_through_it_any_more(works):
    def closed():
        return works.ask("oem", "GET", "/api/v1/now")[1]["values"] == []

    plant.wait_for(closed, "the conduit is closed", 40)
    assert datetime.datetime.now(datetime.timezone.utc) >= works.until
    assert works.ask("oem", "GET", f"/api/v1/history?tag={TWO}")[0] != 200
    status, answer, _ = works.ask("oem", "POST", "/api/v1/commands", {"tag": TWO, "value": 200})
    assert status == 403 and "no conduit" in answer["detail"], answer
    assert not works.access("service:oem", TWO)["oem", "read"]["allowed"]


def flow(picture, service, zone):
    (found,) = [f for f in picture["flows"] if (f["service"], f["to"]) == (service, zone)] or [None]
    return found


def test_the_picture_shows_what_really_flowed(works):
    def picture():
        return works.local("GET", "/api/v1/zones")

    figures = ("values", "reads_refused", "commands_allowed", "commands_refused")
    before = flow(picture(), "office", "line-1")
    for _ in range(3):
        assert len(works.ask("office", "GET", "/api/v1/now")[1]["values"]) == 2
    assert works.ask("office", "POST", "/api/v1/commands", {"tag": ONE, "value": 310})[0] == 200
    assert works.ask("office", "POST", "/api/v1/commands", {"tag": "plant/line1/other", "value": 310})[0] == 403

    def grown():
        now = flow(picture(), "office", "line-1")
        more = [now[k] - (before[k] if before else 0) for k in figures]
        return now if more == [6, 0, 1, 1] else None

    now = plant.wait_for(grown, "six values, one command let through, one refused")
    assert now["from"] == "office" and sum(h["values"] for h in now["hours"]) == now["values"]
    assert all(flow(picture(), "oem", zone) is None for zone in ("line-1", "office", "oem"))

    done = subprocess.run([plant.ISTHMUS, "zones", "--json"], capture_output=True, text=True, timeout=20, env=works.gateway.environment)
    shown = json.loads(done.stdout)
    assert {z["zone"]: (z["tags"], z["devices"], z["services"]) for z in shown["zones"]} == {
        "line-1": (2, ["plc1"], ["closed"]), "line-2": (1, ["plc2"], []), "office": (0, [], ["office"]), "oem": (0, [], ["oem"]),
    }  # fmt: skip
    assert [(c["conduit"], c["from"], c["to"], c["tags"]) for c in shown["conduits"]][1] == ("office-sets", "office", "line-1", ["plant/*/level"])
    theirs = works.ask("oem", "GET", "/api/v1/zones")[1]
    assert [c["tags"] for c in theirs["conduits"] if c["conduit"] == "office-sets"] == [[]], "what others may set is not told"
    assert "plant/" not in json.dumps(theirs)

    assert works.gateway.stop() == 0
    works.gateway.start()
    kept = plant.wait_for(lambda: flow(picture(), "office", "line-1"), "it is kept over a restart")
    assert [kept[k] for k in figures] == [now[k] for k in figures]
