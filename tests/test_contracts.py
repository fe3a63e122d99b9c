# SPDX-License-Identifier: Apache-2.0
"""Data contracts: what leaves the plant leaves it under terms that both sides have signed, and not otherwise; seen by a
broker that nobody here wrote, and by files that were tampered with."""

import json
import os
import re
import shutil
import subprocess

import plant
import pytest

SIDES = {"owner": "operations", "custodian": "data team"}
TAGS = {"a": "m", "b": "m", "c": "kW"}


def isthmus(*arguments):
    return subprocess.run([plant.ISTHMUS, *map(str, arguments)], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def said(*arguments):
    done = isthmus(*arguments, "--json")
    assert done.returncode in (0, 1) and done.stdout, done
    return json.loads(done.stdout)


class Works:
    """A folder with a device, a broker's address and one contract; keys and signatures as a test makes them."""

    def __init__(self, folder, device=1502, broker="127.0.0.1:1883"):
        self.folder, self.device, self.broker = folder, device, broker
        self.keys, self.terms, self.tags, self.listen = [], {}, dict(TAGS), plant.free_port()
        self.write()

    def write(self):
        terms = {"purpose": "energy report", "classification": "internal", "completeness": "99.5%", **self.terms}
        (self.folder / "isthmus.yaml").write_text(
            json.dumps(
                {
                    "gateway": {"name": "works"},
                    "devices": [{"name": "plc", "driver": "modbus", "address": f"127.0.0.1:{self.device}", "period": "50ms"}],
                    "services": [
                        {"name": "console", "module": "http", "listen": f"127.0.0.1:{self.listen}"},
                        {"name": "cloud", "module": "sparkplug", "address": self.broker, "group": "plant", "reconnect_max": "500ms"},
                    ],
                    "contracts": [{"name": "pumps", "service": "cloud", "tags": ["works/**"], "owner": SIDES["owner"], "custodian": SIDES["custodian"], **terms}],
                    **({"keys": self.keys} if self.keys is not None else {}),
                }
            )
        )
        rows = [f"works/{t},plc,holding:{i}:uint16,{unit},0,1000" for i, (t, unit) in enumerate(self.tags.items())]
        (self.folder / "tags.csv").write_text("\n".join(["path,device,address,unit,low,high", *rows]) + "\n")

    def key(self, side, *more, name=None):
        file = self.folder / f"{side}.key"
        made = said("contract", "keygen", file, "--name", name or SIDES[side], "--as", side, *more)
        self.keys.append({k: made[k] for k in ("name", "role", "public", "throw_away") if k in made})
        self.write()

    def sign(self, side):
        done = isthmus("contract", "sign", self.folder, "pumps", "--key", self.folder / f"{side}.key", "--as", side)
        assert done.returncode == 0, done
        return done.stdout

    def sign_both(self, *more):
        for side in SIDES:
            self.key(side, *more)
        for side in SIDES:
            self.sign(side)

    def check(self):
        done = isthmus("check", self.folder, "--json")
        return json.loads(done.stdout)

    def warnings(self):
        return [p["text"] + ". " + p["proposal"] for p in self.check()["problems"] if p["severity"] == "warning"]

    def show(self):
        return said("contract", "show", self.folder, "pumps")

    def delivered(self):
        return [t["tag"].removeprefix("works/") for t in self.show()["tags"] if t["delivered"]]


@pytest.fixture
def works(tmp_path):
    return Works(tmp_path)


def test_both_sides_sign_and_it_takes_effect(works):
    for side in SIDES:
        works.key(side)
    assert works.show()["effect"] == "unsigned" and works.delivered() == []
    first = works.warnings()
    assert len(first) == 2
    for side in SIDES:
        (warning,) = [w for w in first if f"its {side} '{SIDES[side]}' has not signed it" in w]
        assert "delivers nothing" in warning and f"isthmus contract sign {works.folder} pumps --key FILE --as {side}" in warning
    assert "custodian 'data team' has not signed" in works.sign("owner")
    half = works.show()
    assert (half["owner"]["signed"], half["custodian"]["signed"], half["effect"]) == (True, False, "unsigned")
    assert "isthmus contract sign DIR pumps" in half["missing"], "our folder's place is nobody's business"
    assert "takes effect" in works.sign("custodian")
    shown = works.show()
    assert shown["effect"] == "signed" and works.delivered() == ["a", "b", "c"] and works.warnings() == []
    assert shown["owner"] == {**shown["owner"], "name": "operations", "signed": True, "throw_away": False}
    text = isthmus("contract", "show", works.folder, "pumps").stdout
    assert "in effect, signed by both sides" in text
    assert re.search(r"^works/c +uint16 +kW +0 +1000 +yes$", text, re.M) and re.search(r"^works/c +INTEGER +kW +BETWEEN 0 AND 1000$", text, re.M)


def test_any_other_term_is_unsigned_until_both_agree(works):
    works.sign_both()
    for change in ({"purpose": "something else"}, {"freshness": "6s"}, {"completeness": "90%"}, {"classification": "public"}, {"retention": "30d"}, {"returns": "a report"}, {"live_first": "false"}):
        works.terms = change
        works.write()
        assert works.show()["effect"] == "unsigned" and works.delivered() == [], change
        assert any("has signed other terms than these" in w for w in works.warnings())
        done = isthmus("contract", "diff", works.folder, "pumps")
        assert done.returncode == 1 and f"changed {next(iter(change)).replace('_', '-')}" in done.stdout
    works.terms = {}
    works.write()
    assert works.show()["effect"] == "signed" and isthmus("contract", "diff", works.folder, "pumps").returncode == 0
    works.broker = "127.0.0.1:1884"
    works.write()
    assert works.show()["effect"] == "unsigned", "it would go to somebody else"


def test_a_tag_with_a_new_meaning_waits_and_all_others_go_on(works):
    works.sign_both()
    works.tags = {"a": "cm", "b": "m", "d": "kW"}
    works.write()
    assert works.show()["effect"] == "partly" and works.delivered() == ["b"]
    assert any("holds back the tags that have changed" in w for w in works.warnings())
    changes = {c["tag"]: c for c in said("contract", "diff", works.folder, "pumps")["owner"]["changes"]}
    assert {t: c["change"] for t, c in changes.items()} == {"works/a": "changed", "works/c": "removed", "works/d": "added"}
    assert "\tm\t" in changes["works/a"]["signed"] and "\tcm\t" in changes["works/a"]["now"]
    works.sign("owner")  # and until the other side signs as well, what both had signed goes on
    assert works.show()["effect"] == "partly" and works.delivered() == ["b"]
    works.sign("custodian")
    assert works.show()["effect"] == "signed" and works.delivered() == ["a", "b", "d"]


def test_signatures_that_do_not_count(works):
    works.sign_both()
    folder = works.folder / "signatures"
    owner, custodian = folder / "pumps.owner.sig", folder / "pumps.custodian.sig"
    good = owner.read_text()

    def refused(text, why):
        owner.write_text(text)
        found = works.warnings()
        owner.write_text(good)
        assert any(why in w for w in found), (why, found)

    refused(custodian.read_text(), "is a signature under something else")
    refused(good.replace("as: owner", "as: custodian"), "is a signature under something else")
    refused(re.sub(r"^at: 20..", "at: 2001", good, flags=re.M), "does not hold for any key")
    refused(good.replace("purpose: energy", "purpose: gambling"), "checksum does not match")
    refused(good[: len(good) // 2], "malformed")
    refused("", "malformed")
    assert works.show()["effect"] == "signed"
    other = works.keys[0]["name"]
    works.keys[0]["name"] = "somebody"
    works.write()
    assert any("keys: has no key of the owner" in w for w in works.warnings())
    works.keys[0]["name"] = other
    (removed,) = [k for k in works.keys if k["role"] == "owner"]
    works.keys = [k for k in works.keys if k["role"] != "owner"]
    works.write()
    assert works.show()["effect"] == "unsigned", "a key that was taken away signs no more"
    works.keys = [{**k, "public": removed["public"]} for k in works.keys] + [removed]
    works.write()
    assert not works.check()["ok"], "nobody signs for both sides"


def test_who_may_not_sign(works):
    for side in SIDES:
        works.key(side)

    def refused(*arguments):
        done = isthmus("contract", "sign", works.folder, *arguments)
        assert done.returncode == 1 and done.stderr and not (works.folder / "signatures").exists()
        return done.stderr

    assert "is of the custodian 'data team'" in refused("pumps", "--key", works.folder / "custodian.key", "--as", "owner")
    assert "has no contract 'nothing'; it has: pumps" in refused("nothing", "--key", works.folder / "owner.key", "--as", "owner")
    works.keys = works.keys[1:]
    works.write()
    assert "nobody has this key; add it" in refused("pumps", "--key", works.folder / "owner.key", "--as", "owner")
    (works.folder / "owner.key").chmod(0o644)
    assert "chmod 600" in refused("pumps", "--key", works.folder / "owner.key", "--as", "owner")
    assert isthmus("contract", "keygen", works.folder / "owner.key", "--name", "x", "--as", "owner").returncode == 1


def test_without_keys_it_is_a_trial_on_this_machine_only(works):
    works.keys = None
    works.write()
    assert works.show()["effect"] == "trial" and works.delivered() == ["a", "b", "c"]
    assert any("delivers as a trial: nobody has signed it" in w for w in works.warnings())
    works.broker = "192.0.2.1:1883"
    works.write()
    assert works.show()["effect"] == "unsigned" and works.delivered() == []
    assert any("delivers nothing: nobody has signed it, and its service reaches 192.0.2.1:1883" in w for w in works.warnings())


def test_throw_away_keys_are_refused_beyond_this_machine(works):
    works.sign_both("--throw-away")
    shown = works.show()
    assert shown["effect"] == "signed" and shown["owner"]["throw_away"] is True
    assert any("'pumps' is signed with throw-away keys" in w for w in works.warnings())
    works.broker = "192.0.2.1:1883"
    works.write()
    said = works.check()
    assert not said["ok"] and all("throw-away key" in p["text"] for p in said["problems"] if p["severity"] == "error")
    for key in works.keys:  # that the configuration no longer says so makes no lasting key of it
        del key["throw_away"]
    works.write()
    for side in SIDES:
        works.sign(side)
    assert works.show()["effect"] == "unsigned" and any("is by a throw-away key" in w for w in works.warnings())


@pytest.fixture
def line(tmp_path, started):
    device, broker = plant.free_port(), plant.free_port()
    units = started(plant.modbus_units(tmp_path, device, "--size", "200", "--set", "0:1", "1:2", "2:3"))
    started(plant.mosquitto(tmp_path, broker))
    seen = started(plant.Process(["mosquitto_sub", "-p", broker, "-t", "spBv1.0/#", "-F", "%t %x"], tmp_path / "seen.txt"))
    works = Works(tmp_path, device, f"127.0.0.1:{broker}")
    works.units = units
    return works, seen


def born(seen):
    """The names of tags in all births so far."""
    found = set()
    for name in re.findall(r"/DBIRTH/\S+ ([0-9a-f]+)", seen.text()):
        found |= {t.decode() for t in re.findall(rb"works/[a-z]", bytes.fromhex(name))}
    return found


def test_the_broker_sees_what_was_signed_and_nothing_else(line, started):
    works, seen = line
    for side in SIDES:
        works.key(side)
    gateway = started(plant.Gateway(works.folder))
    plant.wait_for(lambda: "/NBIRTH/" in seen.text(), "the node is born")
    plant.wait_for(lambda: gateway.get("/api/v1/ledger")["total"]["journaled"] > 5, "some samples")
    assert born(seen) == set() and "/DDATA/" not in seen.text(), "nobody has signed"
    assert gateway.stop() == 0
    for side in SIDES:
        works.sign(side)
    gateway.start()
    plant.wait_for(lambda: born(seen) == {f"works/{t}" for t in TAGS}, "the signed tags are born")
    assert gateway.stop() == 0
    size = len(seen.text())
    works.tags = {"a": "cm", "b": "m", "c": "kW"}
    works.write()
    gateway.start()

    def new_births():
        text = seen.text()[size:]
        return set().union(*({t.decode() for t in re.findall(rb"works/[a-z]", bytes.fromhex(x))} for x in re.findall(r"/DBIRTH/\S+ ([0-9a-f]+)", text)))

    plant.wait_for(lambda: new_births() == {"works/b", "works/c"}, "all but the tag with the new meaning")
    assert gateway.stop() == 0


def test_the_audit_tells_what_takes_effect_and_what_ends(works, started):
    """Once each, however often it is started; with what was before."""
    gateway = started(plant.Gateway(works.folder))
    state = {"env": {**os.environ, "ISTHMUS_STATE": str(gateway.state)}}

    def told():
        done = subprocess.run([plant.ISTHMUS, "audit", "list", works.folder, "--json"], capture_output=True, text=True, **state)
        assert done.returncode == 0, done
        return [e for e in json.loads(done.stdout) if e["kind"].startswith("contract")]

    def restart(change=lambda: None):
        before = len(told())
        assert gateway.stop() == 0
        change()
        works.write()
        gateway.start()
        return told()[before:]

    assert told() == [], "it was never in effect"
    for side in SIDES:
        works.key(side)

    def sign():
        for side in SIDES:
            works.sign(side)

    (first,) = restart(sign)
    terms, key = works.show()["digest"][:32], works.show()["owner"]["key"]
    assert (first["kind"], first["subject"], first["who"]) == ("contract in effect", "pumps", "operations, data team")
    assert first["text"].startswith(f"signed {terms} by {key},") and first["text"].endswith("; before nothing")
    assert restart() == []
    gateway.process.kill()
    gateway.start()
    assert told() == [first]
    (partly,) = restart(lambda: works.tags.update(a="cm"))
    assert partly["kind"] == "contract in effect" and partly["text"].startswith("partly ") and f"before signed {terms}" in partly["text"]
    (ended,) = restart(lambda: works.terms.update(purpose="another"))
    assert ended["kind"] == "contract ended" and ended["text"].startswith("unsigned ") and "before partly" in ended["text"]
    (again,) = restart(sign)
    assert again["kind"] == "contract in effect" and "before unsigned" in again["text"]
    (gone,) = restart(lambda: works.terms.update(name="other"))
    assert (gone["kind"], gone["subject"]) == ("contract ended", "pumps") and gone["text"].startswith("no such contract any more; before signed")


def test_a_signed_folder_can_be_moved(works, tmp_path_factory):
    works.sign_both()
    copy = tmp_path_factory.mktemp("elsewhere") / "plant"
    shutil.copytree(works.folder, copy)
    assert said("contract", "show", copy, "pumps")["effect"] == "signed"


def report(gateway, *arguments):
    done = subprocess.run([plant.ISTHMUS, *arguments, "--socket", gateway.socket], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    return done.stdout


def test_both_sides_read_the_same_report(line, started):
    """Promised and delivered, and what is missing: counted by the reader, and by the observer at the broker."""
    works, seen = line
    works.sign_both("--throw-away")
    gateway = started(plant.Gateway(works.folder))
    plant.wait_for(lambda: "/DDATA/" in seen.text(), "data")

    def contract(name="pumps"):
        return gateway.get(f"/api/v1/contracts/{name}")

    def delivered():
        found = contract()
        return found if found["day"]["delivered"] >= 3 else None

    found = plant.wait_for(delivered, "some samples were delivered")
    assert found["effect"] == "signed" and found["missing"] == "" and found["digest"] == works.show()["digest"]
    assert found["owner"]["throw_away"] and [t["tag"] for t in found["tag_list"]] == ["works/a", "works/b", "works/c"]
    for time in ("day", "week"):
        told = found[time]
        # polls before the first connection are missed too
        assert told["missing"] == sum(c["missing"] for c in told["causes"]) and {c["cause"] for c in told["causes"]} <= {"device down"}
        assert abs(told["completeness"] - 100 * told["delivered"] / (told["delivered"] + told["missing"])) < 0.001
        assert 0 <= told["p50_ms"] <= told["p99_ms"] < 5000 and told["in_time"] == 100
    (listed,) = gateway.get("/api/v1/contracts")["contracts"]
    assert listed["contract"] == "pumps" and listed["day"]["delivered"] >= found["day"]["delivered"]
    assert gateway.get("/api/v1/contracts/nothing", check=False)[0] == 404
    works.units.kill()
    missing = found["day"]["missing"]
    missed = plant.wait_for(lambda: (c := contract())["day"]["missing"] > missing + 2 and c, "the device is missed")
    assert missed["day"]["completeness"] < 100 and "device down" in {c["cause"] for c in missed["day"]["causes"]}
    assert sum(c["missing"] for c in missed["week"]["causes"]) == missed["week"]["missing"]
    assert re.search(r"^pumps +24 h +5000 ms +\d+ ms +\d+ ms +[\d.]+ % +99.5 % +[\d.]+ % +\d+ +NO$", report(gateway, "contract", "report"), re.M)
    assert re.search(r"^device down +plc +\d+ ", report(gateway, "contract", "report", "pumps"), re.M)
    before = missed["week"]["delivered"]
    assert gateway.stop() == 0
    gateway.start()
    plant.wait_for(lambda: contract()["week"]["delivered"] >= before, "what was delivered before is told after a restart")


def test_the_report_of_a_trial(line, started):
    works, _ = line
    works.keys = None
    works.write()
    gateway = started(plant.Gateway(works.folder))

    def asked():
        days = gateway.get("/api/v1/trial")["days"]
        return days if days and days[-1]["seconds"] > 1 and days[-1]["requests"] > 10 else None

    day = plant.wait_for(asked, "the device was asked for two seconds, and more than ten times")[-1]
    assert day["device"] == "plc" and day["failures"] == 0 and 0 < day["before_us"] <= day["worst_us"]
    requests = gateway.get("/api/v1/devices")["devices"][0]["requests"]
    assert day["requests"] <= requests
    assert gateway.stop() == 0
    gateway.start()
    plant.wait_for(lambda: (d := asked()) and sum(x["requests"] for x in d) > day["requests"], "the count goes on after a restart")
    text = report(gateway, "trial-report")
    assert re.search(r"^plc +20\S+ +[12] +\d+ +[\d.]+ +0 +\d+ +[\d.]+ +[\d.]+ +[\d.]+$", text, re.M) and "a trial: unsigned" in text
    assert "The account balances" in text
    assert "contract pumps: nobody has signed it: a trial" in report(gateway, "status")
    html, markdown = report(gateway, "trial-report", "--html"), report(gateway, "trial-report", "--markdown")
    assert html.startswith("<!DOCTYPE html>") and "<td>plc</td>" in html and html.rstrip().endswith("</html>")
    assert markdown.startswith("# works: report of the trial") and "| plc |" in markdown
    assert json.loads(report(gateway, "trial-report", "--json"))["days"][0]["device"] == "plc"
