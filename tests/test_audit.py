# SPDX-License-Identifier: Apache-2.0
"""The audit of a real gateway: what stands in it, and that whoever touches it is found out."""

import csv
import io
import json
import re
import subprocess

import plant
import pytest
from test_commands import LEVEL, Plant

pytestmark = pytest.mark.sanitizer


def audit(*arguments):
    done = subprocess.run([plant.ISTHMUS, "audit", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def entries(folder, *filters):
    status, out, _ = audit("list", folder, "--json", *filters)
    assert status == 0
    return json.loads(out)


@pytest.fixture
def works(tmp_path, started):
    w = Plant(tmp_path, started)
    yield w
    for wire in w.wires:
        wire.close()


def test_each_act_stands_in_the_audit(works):
    folder = works.gateway.state / "audit"
    _, receipt = works.set(LEVEL, 3.5, reason="=more water")
    works.set(LEVEL, 9)  # out of the tag's own range, too
    works.set(LEVEL, 5.5)
    kinds = [e["kind"] for e in entries(folder, "--id", receipt["id"])]
    assert kinds == ["command requested", "command sent", "command accepted", "command confirmed"]
    plant.wait_for(lambda: len(entries(folder, "--kind", "command refused")) == 2, "the audit has both refusals")
    for refused, value in zip(entries(folder, "--kind", "command refused"), ("9", "5.5")):
        assert refused["subject"] == LEVEL and refused["after"] == value and "range" in refused["text"]
    assert {e["who"] for e in entries(folder, "--tag", "waterworks/**")} == {"service:console"}
    assert entries(folder, "--tag", "other/**") == [] == entries(folder, "--who", "user:nobody")
    assert entries(folder, "--since", "2100-01-01T00:00:00Z") == []
    status, out, _ = audit("export", folder, "--tag", LEVEL)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0 and [r["kind"] for r in rows] == [*kinds, "command refused", "command refused"]
    assert rows[0]["text"] == "'=more water", "no spreadsheet takes it for a formula"
    status, out, _ = audit("list", folder)
    assert "gateway start" in out and f"{LEVEL} 4.2 → 3.5" in out
    status, out, _ = audit("verify", folder)
    assert status == 0 and "The audit is whole." in out
    assert works.gateway.stop() == 0
    status, out, _ = audit("verify", folder, "--json")
    found = json.loads(out)
    assert found["sound"] and found["proven"] == found["last"] == found["entries"]
    assert audit("verify", folder, "--key", found["key"])[0] == 0
    status, out, _ = audit("verify", folder, "--key", "00" * 32)
    assert status == 1 and "another key" in out
    document = (plant.ROOT / "docs/audit-format.md").read_text()
    typed = [re.split(r"  +", line)[0] for line in document.splitlines() if line.startswith("isthmus ")]
    assert len(typed) == 4
    for line in typed:
        line = line.replace("isthmus", str(plant.ISTHMUS), 1).replace("DIR", str(folder)).replace("HEX", found["key"])
        assert subprocess.run(["bash", "-c", line], capture_output=True, timeout=60).returncode == 0, line
    key = works.gateway.state / "keys" / "audit.pem"
    assert key.stat().st_mode & 0o777 == 0o600 and b"PRIVATE" in key.read_bytes()


def test_whoever_touches_it_is_found_out(works):
    folder = works.gateway.state / "audit"
    for value in (3.5, 3.6, 3.7):
        assert works.set(LEVEL, value)[0] == 200
    assert works.gateway.stop() == 0
    (file,) = sorted((works.gateway.state / "audit").glob("*.audit"))
    good = file.read_bytes()

    def expect(data, damaged, word):
        file.write_bytes(data)
        status, out, _ = audit("verify", folder, "--json")
        found = json.loads(out)
        assert status == 1 and (found["damaged"], found["file"]) == (damaged, file.name) and word in found["reason"], found

    def at(n):
        return 512 * n

    expect(good[: at(3) + 100] + bytes([good[at(3) + 100] ^ 4]) + good[at(3) + 101 :], 3, "changed")
    expect(good[: at(3)] + good[at(4) :], 3, "later")
    expect(good[: at(3)] + good[at(4) : at(5)] + good[at(3) : at(4)] + good[at(5) :], 3, "later")
    expect(good[: at(4)] + good[at(3) :], 4, "earlier")
    file.write_bytes(good)
    assert audit("verify", folder)[0] == 0


def test_a_damaged_audit_does_not_stop_the_plant(works):
    """It is told, kept, and goes on in a new file; the damage stays to be found."""
    folder = works.gateway.state / "audit"
    for value in (3.5, 3.6):
        assert works.set(LEVEL, value)[0] == 200
    assert works.gateway.stop() == 0
    (file,) = (works.gateway.state / "audit").glob("*.audit")
    data = bytearray(file.read_bytes())
    data[512 * 4 + 300] ^= 1
    file.write_bytes(data)
    works.gateway.start()
    works.good(LEVEL)
    assert works.set(LEVEL, 3.7)[0] == 200
    status, out, err = audit("list", folder, "--json", "--kind", "recovered")
    (told,) = json.loads(out)
    assert status == 1 and "not proven from entry 4 on" in err and "entry 4 is damaged" in told["text"]
    assert works.gateway.stop() == 0
    status, out, _ = audit("verify", folder, "--json")
    found = json.loads(out)
    assert status == 1 and found["damaged"] == 4 and found["file"] == file.name and found["last"] > told["number"]


def test_without_its_key_nothing_is_commanded(works):
    assert works.gateway.stop() == 0
    key = works.gateway.state / "keys" / "audit.pem"
    key.chmod(0o644)
    works.gateway.start()
    works.good(LEVEL)
    status, receipt = works.set(LEVEL, 3.5)
    assert status == 403 and "audit" in receipt["detail"]
    assert "chmod 600" in works.gateway.process.text()
    assert works.writes() == []


@pytest.mark.parametrize("arguments", [(), ("verify",), ("shred", "x"), ("verify", "x", "--key", "12"), ("list", "x", "--since", "now"), ("list", "x", "--id")])
def test_wrong_usage_is_told(arguments):
    status, out, err = audit(*arguments)
    assert status == 2 and "usage:" in err and not out
