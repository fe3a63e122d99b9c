# SPDX-License-Identifier: Apache-2.0
"""Searches in the audit over the API: who may, what is found, page after page, and whether the audit is proven whole."""

import json
import re
import subprocess
import urllib.parse

import plant
import pytest
from test_zones import ONE, TWO, WORD, Works


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    things = []

    def started(thing):
        things.append(thing)
        return thing

    w = Works(tmp_path_factory.mktemp("search"), started)
    plant.wait_for(lambda: all(map(plant.port_listens, w.ports.values())), "all services listen")
    for name, role, zones in (("sue", "security", None), ("ann", "security", "line-2"), ("vic", "viewer", None)):
        more = {"zones": zones} if zones else {}
        assert w.local("POST", "/api/v1/accounts", {"name": name, "role": role, "password": WORD, **more})["name"] == name
    assert w.ask("office", "POST", "/api/v1/commands", {"tag": ONE, "value": 310})[0] == 200
    assert w.ask("office", "POST", "/api/v1/commands", {"tag": "plant/line1/other", "value": 310})[0] == 403
    assert w.ask("oem", "POST", "/api/v1/commands", {"tag": TWO, "value": 200})[0] == 200
    assert w.ask("closed", "POST", "/api/v1/session", {"name": "vic", "password": "not " + WORD})[0] == 401
    yield w
    for thing in reversed(things):
        thing.stop()


def search(works, **more):
    return works.local("GET", "/api/v1/audit?" + urllib.parse.urlencode(more))


def signed_in(works, name):
    status, _, headers = works.ask("closed", "POST", "/api/v1/session", {"name": name, "password": WORD})
    assert status == 200
    return {"Cookie": headers["set-cookie"].partition(";")[0]}


def test_what_is_looked_for_is_found_newest_first(works):
    def kinds(**more):
        return {e["kind"] for e in search(works, **more)["entries"]}

    plant.wait_for(lambda: search(works, kind="command confirmed", about=TWO)["entries"], "the last command is in the audit")
    everything = search(works, limit=10000)["entries"]
    numbers = [e["number"] for e in everything]
    assert numbers == sorted(numbers, reverse=True) and numbers[-1] == 1 and len(numbers) == numbers[0]
    (refused,) = search(works, kind="command denied")["entries"]
    assert (refused["subject"], refused["who"], refused["where"]) == ("plant/line1/other", "service:office", "office")
    assert "no conduit" in refused["text"] and search(works, text="NO CONDUIT")["entries"] == [refused]
    assert {e["subject"] for e in search(works, kind="command", about="plant/*/level")["entries"]} == {ONE, TWO}
    assert {e["who"] for e in search(works, who="oem", kind="command")["entries"]} == {"service:oem"}
    assert kinds(kind="sign-in failed") == {"sign-in failed"} and kinds(kind="nothing") == set()
    assert search(works, to="2020-01-01T00:00:00Z")["entries"] == [] and len(search(works, **{"from": "2020-01-01T00:00:00Z"})["entries"]) > 5

    pages, before = [], {}
    while True:
        page = search(works, limit=3, to=everything[0]["time"], **before)
        pages += page["entries"]
        if not page["more"]:
            break
        before = {"before": page["before"]}
    assert [e["number"] for e in pages] == [e["number"] for e in everything if e["time"] < everything[0]["time"]]


def test_export_as_lines(works):
    connection = plant.UnixConnection(works.gateway.socket, 20)
    connection.request("GET", "/api/v1/audit?format=lines&kind=command&limit=10000")
    reply = connection.getresponse()
    lines = [json.loads(line) for line in reply.read().decode().splitlines()]
    connection.close()
    assert reply.headers["content-type"] == "application/x-ndjson" and lines == search(works, kind="command", limit=10000)["entries"][-len(lines) :]
    assert all(e["kind"].startswith("command") for e in lines) and len(lines) > 5


def test_who_may(works):
    assert works.ask("office", "GET", "/api/v1/audit")[0] == 401 and works.ask("office", "GET", "/api/v1/audit/proof")[0] == 401
    assert works.ask("closed", "GET", "/api/v1/audit", **signed_in(works, "vic"))[0] == 403
    status, seen, _ = works.ask("closed", "GET", "/api/v1/audit?limit=10000", **signed_in(works, "sue"))
    assert status == 200 and {e["subject"] for e in seen["entries"] if e["kind"].startswith("command")} == {ONE, "plant/line1/other", TWO}
    assert any(e["kind"] == "sign-in failed" for e in seen["entries"])
    status, seen, _ = works.ask("closed", "GET", "/api/v1/audit?limit=10000", **signed_in(works, "ann"))
    assert status == 200 and {e.get("subject") for e in seen["entries"]} == {TWO}, "who is limited to a zone reads of that zone"


def test_the_proof(works):
    def proof():
        found = works.local("GET", "/api/v1/audit/proof")
        return found if "checked" in found else None

    found = plant.wait_for(proof, "the audit is proven", 60)
    assert found["sound"] is True and found["entries"] == found["last"] >= 5 and found["first"] == 1 and len(found["key"]) == 64


def test_a_change_is_found(works):
    assert works.gateway.stop() == 0
    (file,) = sorted((works.gateway.state / "audit").glob("*.audit"))[:1]
    data = bytearray(file.read_bytes())
    data[512 * 3 + 160] ^= 1  # in the third entry
    file.write_bytes(data)
    works.gateway.start()

    def proof():
        found = works.local("GET", "/api/v1/audit/proof")
        return found if "checked" in found else None

    found = plant.wait_for(proof, "the audit is looked at", 60)
    assert found["sound"] is False and found["damaged"] == 3 and "changed" in found["reason"], found
    assert 3 not in {e["number"] for e in search(works, limit=10000)["entries"]}, "what is not whole is not shown as if it were"


def test_the_trust_report_is_one_file(works):
    def report(*arguments):
        done = subprocess.run([plant.ISTHMUS, "trust-report", *arguments], capture_output=True, text=True, timeout=30, env=works.gateway.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = json.loads(report("--json"))
    assert len(told["evidence"]) > 40 and {e["state"] for e in told["evidence"]} <= {"met", "partly", "not yet"}
    assert {e["subject"] for e in told["used"]} == {ONE, TWO} and told["island"]["island"] is False
    assert any(e["kind"] == "sign-in failed" for e in told["failed_sign_ins"])
    page = report("--html")
    assert page.startswith("<!DOCTYPE html>") and not re.search(r"<script|<link|src=|href=", page)
    assert "zones-test: trust report" in page and "CR 1.1" in page and "levels" in page
    assert "| CR 1.1" in report("--markdown")
