# SPDX-License-Identifier: Apache-2.0
"""The console in a real browser, against a real gateway with the simulated waterworks and a broker."""

import re
import subprocess

import plant
import pytest
from browser import User

HOSTILE = '<img src=x onerror="alert(1)">'
FLOW, LEVEL, ODD = "waterworks/line1/pump1/flow", "waterworks/line1/storage/level", "waterworks/line1/odd"
PAGES = ["plant", "devices", "boxes", "feeds", "contracts", "commands", "zones", "trust", "ledger", "sql", "audit"]
STOPS = ["Skip to content", "Plant", "Devices", "Boxes", "Feeds", "Contracts", "Commands", "Zones", "Trust", "Ledger", "SQL", "Audit", "Sign in", "Search tags"]


class Waterworks:
    """Simulator, broker and gateway, each of which can be ended and started again."""

    def __init__(self, folder, tags):
        self.folder, self.tags = folder, tags
        self.plcs = [plant.free_port(), plant.free_port()]
        self.port = plant.free_port()
        broker = plant.free_port()
        write = ["sim", "waterworks", "--ports", self.ports, "--tags", str(tags), "--write-config", folder]
        subprocess.run([plant.ISTHMUS, *write], check=True, capture_output=True)
        file = folder / "isthmus.yaml"
        file.write_text(file.read_text().replace(":8480", f":{self.port}").replace(":11883", f":{broker}"))
        with open(folder / "tags.csv", "a") as rows:
            quoted = HOSTILE.replace('"', '""')
            rows.write(f'{ODD},plc1,holding:2:float32,%,0,100,,"{quoted}"\n')
        self.broker = plant.mosquitto(folder, broker)
        self.start_simulator()
        self.gateway = plant.Gateway(folder)

    @property
    def ports(self):
        return ",".join(map(str, self.plcs))

    def start_simulator(self):
        argv = [plant.ISTHMUS, "sim", "waterworks", "--ports", self.ports, "--tags", str(self.tags)]
        self.simulator = plant.Process(argv, self.folder / "simulator.log")
        plant.wait_for(lambda: all(map(plant.port_listens, self.plcs)), "the PLCs listen")

    def stop(self):
        for process in (self.gateway, self.simulator, self.broker):
            process.stop()


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    w = Waterworks(tmp_path_factory.mktemp("console"), 300)
    yield w
    w.stop()


@pytest.fixture(scope="module")
def browser(works):
    u = User(works.port, works.folder)
    yield u
    u.end()


@pytest.fixture
def user(browser):
    """A fresh window; at its end the browser must have had nothing to complain about."""
    browser.open(1440, 900, "light")
    yield browser
    assert browser.complaints() == []


def test_tree_and_search(user):
    assert user.search("line3 PUMP2 flow") == ["waterworks/line3/pump2/flow"]
    assert user.search("town draws line2") == ["waterworks/line2/storage/demand"]
    assert user.search("no such thing") == []
    user.text("No tag matches")
    assert FLOW in user.search(""), "without a search the first branch is open"


def test_live_values_have_unit_status_and_age(user):
    told = user.values(FLOW, 6)
    assert len(set(told["seen"])) >= 3 and told["seconds"] < 12, "from the stream, not from looking every 5 s"
    row = user.row(FLOW, {"state": "Good"})
    assert row["unit"] == "m³/h" and row["age"].endswith(" s") and row["mark"] == ""
    assert user.row(LEVEL)["unit"] == "m"


def test_an_island_is_told_on_every_page(works, user):
    def island(*arguments):
        environment = {"PATH": "/usr/bin:/bin", "ISTHMUS_SOCKET": str(works.gateway.socket)}
        subprocess.run([plant.ISTHMUS, "island", *arguments], check=True, capture_output=True, env=environment)

    island("on", "--reason", "incident 4711")
    try:
        for page in ("plant", "feeds"):
            user.page(page)
            user.text("The gateway is an island: cut off by local:")
    finally:
        island("off")
    plant.wait_for(lambda: all(p["state"] == "running" for p in works.gateway.get("/api/v1/processes")["processes"]), "all run again", 60)


def test_text_from_outside_is_never_markup(user):
    assert HOSTILE in user.row(ODD)["name"]
    assert user.measure()["images"] == 0


def test_trend_of_two_tags_redraws_on_resize(user):
    user.choose(FLOW, LEVEL)
    user.drawn("--s0", 20)
    user.drawn("--s1", 20)
    wide = user.resize(1440, 900)
    narrow = user.resize(900, 900)
    assert len(wide) == len(narrow) == 2 and wide != narrow, "one lane a unit, as wide as the window lets it"
    user.drawn("--s0", 20)


def test_time_range(user):
    user.choose(FLOW)
    user.drawn("--s0", 20)
    user.button("5 min", "true")
    user.button("Earlier")
    user.button("Live", "true")
    end = user.drag()
    assert end, "a stretch that was dragged over is shown alone, and stays"
    user.button("Earlier")
    assert user.until_is_not(end) < end
    user.button("Live", "true")
    assert user.until_is_not(end) is None
    user.drawn("--s0", 20)


def test_bad_values_and_gaps_can_be_seen(works, user):
    user.choose(FLOW)
    user.drawn("--s0", 20)
    works.simulator.stop()
    row = user.row(FLOW, {"state": "Bad"})
    assert (row["value"], row["mark"]) == ("–", "Bad"), "by shape and word, not by colour alone"
    user.legend(FLOW, "bad span")
    user.drawn("--bad", 10)
    user.text("Devices  2")
    user.page("devices")
    user.text("Bad: down")
    works.start_simulator()
    user.text("all answer")
    user.page("plant")
    user.row(FLOW, {"state": "Good"})
    user.legend(FLOW, "gap")
    user.drawn("--gap", 10)
    user.open(1440, 900, "light")
    user.choose(FLOW)
    user.legend(FLOW, "bad span")
    user.legend(FLOW, "gap")
    user.page("feeds")
    user.text("Gap: device down")


def test_devices_boxes_and_feeds(works, user):
    user.page("devices")
    devices = {d["Device"].split()[0]: d for d in user.table("Devices")}
    assert set(devices) == {"plc1", "plc2"}
    assert devices["plc1"]["State"] == "up" and devices["plc1"]["Latency"].endswith(" ms")
    user.page("boxes")
    plant.wait_for(lambda: all("%" in b["CPU"] for b in user.table("Boxes")), "the second look tells the load")
    boxes = {b["Process"]: b for b in user.table("Boxes")}
    processes = works.gateway.get("/api/v1/processes")["processes"]
    assert set(boxes) == {p["name"] for p in processes}
    for p in processes:
        shown = boxes[p["name"]]
        assert shown["State"] == "running" and shown["Memory"].endswith("B")
        assert all(layer in shown["Missing layers"] for layer in p["layers_missing"] or ["none"])
    user.page("feeds")
    (feed,) = user.table("Feeds")
    assert feed["Contract"] == "pumps-and-tanks" and feed["Tags"] == "301" and feed["State"] == "up to date"


def test_a_contract_is_shown_as_a_handshake(works, user):
    user.page("contracts")
    user.text("A trial: nobody has signed it")
    user.text("need not sign a trial")
    day, week = user.table("Promised and delivered of pumps-and-tanks")
    assert (day["Time"], week["Time"]) == ("24 h", "7 days") and day["Fresh within"] == "5000 ms" and day["Promise"] == "kept"
    user.button("Terms and gaps")
    user.text("show the plant in the cloud")
    tags = user.table("Tags of pumps-and-tanks")
    assert len(tags) == 100 and all(t["Delivered"] == "yes" for t in tags)
    user.picture("contracts")


def test_sql_shows_plots_and_saves(works, user):
    user.page("sql")
    (row,) = user.sql(f"SELECT tag, unit FROM tags WHERE tag = '{FLOW}'")["rows"]
    assert row == [FLOW, "m3/h"]
    said = user.sql(f"SELECT time, value FROM history WHERE tag = '{FLOW}' ORDER BY time")["rows"]
    assert len(said) > 5
    user.drawn("--s0", 20)
    saved = user.download("Download CSV").splitlines()
    assert saved[0] == "time,value" and saved[1].split(",")[0] == said[0][0]
    user.picture("sql")
    assert user.sql("SELECT 1\nFORM tags")["wrong"].startswith("Line 2, column ")
    user.complaints()  # the browser logs the 400
    assert user.sql(f"SELECT '{HOSTILE}' AS x".replace('"', ""))["rows"] and user.measure()["images"] == 0


def numbers(text):
    return [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", text)]


def test_ledger_in_plain_words_and_down_to_the_single_gap(works, user):
    user.page("feeds")
    user.text("Gap: device down")  # an outage of before
    user.page("ledger")
    sentence = user.sentence("every value is accounted for")
    told = re.match(r"Of ([\d,]+) values the plant produced since [-\d: ]+, [\d.]+ % reached the journal; none is missing", sentence)
    assert told and numbers(told[1])[0] > 0, sentence
    assert "could not be read at all" in sentence
    devices = user.shares("where-title")
    assert set(devices) == {"plc1", "plc2"} and all(re.match(r"[\d,]+ kept in the journal", d) for d in devices.values())
    (feed,) = user.shares("delivered-title").items()
    assert feed[0] == "pumps-and-tanks to cloud" and re.match(r"[\d,]+ delivered", feed[1])
    causes = user.table("Causes")
    (down,) = [c for c in causes if c["Concerns"] == "device plc1" and "did not answer" in c["Why"]]
    assert down["Lost"] == "0" and down["Never read"].startswith("about ")
    user.button("Records: The device did not answer, device plc1")
    records = user.table("Gap records")
    assert numbers(down["Records"])[0] >= len(records) > 0
    user.button("plc1", "true")
    tags = user.table("Tags")
    assert len(tags) == 50 and all(t["Balances"] == "yes" for t in tags)
    assert not [c for c in user.table("Causes") if c["Concerns"] == "device plc2"]
    user.button("plc1", "false")


def test_by_keyboard_alone(user):
    for what in STOPS:
        user.press(["Tab"], {"what": what, "visible": True})
    user.press(["Tab"], {"visible": True})
    user.press(["Tab"], {"what": "Plant", "row": "waterworks", "visible": True})
    user.press(["ArrowDown"], {"row": "waterworks/line1", "visible": True})
    user.press(["ArrowLeft"], {"open": "false"})
    user.press(["ArrowDown"], {"row": "waterworks/line2"})
    user.press(["ArrowUp", "ArrowRight"], {"row": "waterworks/line1", "open": "true"})
    user.press(["ArrowRight"], {"row": "waterworks/line1/pump1"})
    user.press(["ArrowDown"], {"row": "waterworks/line1/pump1/speed"})
    user.press(["Enter"])
    user.legend("waterworks/line1/pump1/speed", "%")
    user.press(["End"], {"row": "waterworks/plc2"})
    user.press(["Home"], {"row": "waterworks"})
    user.press(["Tab"], {"what": "5 min", "visible": True})
    user.press(["Enter"], {"pressed": "true"})
    user.press(["Shift+Tab"] * 3, {"what": "Search tags"})
    user.type("line2 volume")
    user.press(["Tab", "Tab"], {"row": "waterworks"})
    user.press(["End", "Enter"])
    user.legend("waterworks/line2/volume", "m³")
    user.press(["Shift+Tab"] * 6, {"what": "Ledger"})
    user.press(["Enter"])
    user.text("every value is accounted for")
    user.press(["Tab"], {"what": "SQL"})
    user.press(["Tab"], {"what": "Audit"})
    user.press(["Tab"], {"what": "Sign in"})
    user.press(["Tab"], {"what": "plc1", "visible": True})
    user.press(["Enter"], {"pressed": "true"})
    user.text("Tags of plc1")


@pytest.mark.parametrize("width,height", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_the_screen_in_light_and_dark(user, width, height, scheme):
    user.open(width, height, scheme)
    user.choose(FLOW, "waterworks/line1/pump2/flow", LEVEL)
    for name in PAGES:
        user.page(name)
        if name == "sql":
            assert user.sql("SELECT tag, time, value, unit FROM latest ORDER BY tag")["rows"]
        elif name == "commands":
            user.text("Writes are let through")
        elif name == "audit":
            user.text("for the roles security and administrator")
        elif name != "plant":
            user.table({"devices": "Devices", "boxes": "Boxes", "feeds": "Gaps and events", "zones": "Ways", "trust": "Evidence", "contracts": "Promised and delivered of pumps-and-tanks", "ledger": "Causes"}[name])
        seen = user.measure()
        user.picture(f"{name}-{width}-{scheme}")
        assert seen["overflow"] <= 0, (name, seen)
        assert seen["brightness"] > 200 if scheme == "light" else seen["brightness"] < 50


def test_gateway_away_and_back(works, user):
    user.choose(FLOW)
    user.banner(False)
    works.gateway.stop()
    user.banner(True)
    user.text("The gateway is away since")
    works.gateway.start()
    user.banner(False)
    user.values(FLOW, 3)
    user.legend(FLOW, "gap")
    assert all("ERR_" in c or "WebSocket" in c for c in user.complaints()), "only of the connection"


def test_ten_thousand_tags(tmp_path, started):
    w = started(Waterworks(tmp_path, 10000))
    u = User(w.port, tmp_path)
    try:
        u.open(1440, 900, "light")
        u.text("9,995 tags")
        u.press(["Tab"] * len(STOPS), {"what": "Search tags"})
        u.type("waterworks")
        u.press(["Tab", "Tab", "End"], {"row": "waterworks/plc2/unit1/firmware", "visible": True})
        assert u.measure()["elements"] < 1000, "the document stays small"
        u.press(["PageUp"])
        u.press(["Home"], {"row": "waterworks", "visible": True})
        u.values("waterworks/line270/pump1/flow", 3)
    finally:
        u.end()
