# SPDX-License-Identifier: Apache-2.0
"""A recorded pump through the gateway to a broker, seen by an observer with an independent codec: every row that the device
served arrives at least once, the same each time, equal bit for bit after de-duplication by (epoch, seq), or a gap with a
cause covers its time; with the broker away, each process killed, the device restarted."""

import collections
import json
import os
import signal
import subprocess
import time

import pytest

import plant
from test_first_light import SENSORS, Account, Pump, assert_balanced, bits_of, nanoseconds

HOST = "scada"
NODE = "plant/{}/recorded-pump"


def write_plant(folder, device_port, broker_port):
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: recorded-pump}}
devices:
  - {{name: pump, driver: modbus, address: "127.0.0.1:{device_port}", period: 20ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
  - {{name: cloud, module: sparkplug, address: "127.0.0.1:{broker_port}", group: plant, primary_host: {HOST}, reconnect_max: 500ms}}
contracts:
  - {{name: pumps, service: cloud, tags: ["pump/**"]}}
"""
    )
    rows = ["path,device,address", "pump/row,pump,holding:0:uint32"]
    rows += [f"pump/{name},pump,holding:{2 + 2 * i}:float32" for i, name in enumerate(SENSORS)]
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")


def publish(port, topic, payload, *more):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-t", topic, "-q", "1", *more, "-s"], input=payload, check=True)


class Observer:
    """mosquitto_sub into a file; decoded by sparkplug-payload. While it is not there the host is offline."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.raw = folder / "observed.txt"
        self.process, self.lives, self.size = None, 0, -1
        self.start()

    def start(self):
        self.lives += 1
        probe = f"probe/{self.lives}"
        self.process = plant.Process(
            ["mosquitto_sub", "-p", self.port, "-t", "spBv1.0/#", "-t", "isthmus/#", "-t", "probe/#", "-F", "%t %x"], self.raw
        )

        def subscribed():
            publish(self.port, probe, b"x")
            return f"{probe} " in self.raw.read_text()

        plant.wait_for(subscribed, "the observer is subscribed")
        self.say(True)

    def say(self, online):
        state = {"online": online, "timestamp": int(time.time() * 1000)}
        publish(self.port, f"spBv1.0/STATE/{HOST}", json.dumps(state).encode(), "-r")

    def stop(self):
        return self.process.stop()

    def messages(self):
        """All complete lines so far, decoded."""
        text = self.raw.read_text()
        text = text[: text.rfind("\n") + 1]
        done = subprocess.run(
            ["node", plant.ROOT / "tests/peers/sparkplug_log.js"], input=text, capture_output=True, text=True, check=True
        )
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        ours = [m for m in messages if not m["topic"].startswith("probe/") and "CMD/" not in m["topic"]]
        assert not [m for m in ours if "error" in m]
        return ours

    def kinds(self):
        return [m["topic"].split("/")[2] for m in self.messages() if m["topic"].startswith("spBv1.0/plant")]


def samples(messages):
    """Path → {(epoch, seq): metric}; proves that repetitions are equal and that live data are in order."""
    names, seen, last_live = {}, {}, {}
    for m in messages:
        if "payload" not in m:
            continue
        kind = m["topic"].split("/")[2]
        for metric in m["payload"].get("metrics", []):
            if kind == "DBIRTH":
                names[metric["alias"]] = metric["name"]
            elif kind == "DDATA":
                assert "name" not in metric, "data go by alias"
                path = names[metric["alias"]]
                properties = {k: int(v["value"]) for k, v in metric["properties"].items()}
                key = (properties["epoch"], properties["seq"])
                sample = (int(metric["timestamp"]) * 10**6 + properties["ns"], metric["value"], properties.get("Status", 0))
                assert seen.setdefault(path, {}).setdefault(key, sample) == sample, f"{path} {key} changed"
                if not metric.get("isHistorical"):
                    assert key >= last_live.get(path, key), f"{path}: live data go back"
                    last_live[path] = key
    return seen


def times_sent(messages, path):
    """How often each sample of a tag came, oldest first."""
    metrics = [x for m in messages if "payload" in m for x in m["payload"].get("metrics", [])]
    alias = next(x["alias"] for x in metrics if x.get("name") == path)
    data = [x for x in metrics if x.get("alias") == alias and "name" not in x]
    times = collections.Counter(tuple(int(x["properties"][k]["value"]) for k in ("epoch", "seq")) for x in data)
    return [times[key] for key in sorted(times)]


def assert_sequences(messages):
    """seq counts from 0 with each NBIRTH, without a hole; bdSeq of will and birth agree and rise."""
    expected, births, deaths = None, [], []
    for m in messages:
        kind = m["topic"].split("/")[2]
        if not m["topic"].startswith("spBv1.0/plant/") or kind.endswith("CMD"):
            continue
        if kind in ("NBIRTH", "NDEATH"):
            bdseq = int(next(x["value"] for x in m["payload"]["metrics"] if x.get("name") == "bdSeq"))
            (births if kind == "NBIRTH" else deaths).append(bdseq)
        if kind == "NDEATH":
            assert "seq" not in m["payload"]
            expected = None
            continue
        seq = int(m["payload"]["seq"])
        if kind == "NBIRTH":
            assert seq == 0
        else:
            assert seq == expected, (kind, seq, expected)
        expected = (seq + 1) % 256
    assert births == sorted(births), births
    assert set(deaths) <= set(births)
    return births, deaths


@pytest.fixture
def line(tmp_path, data, started):
    device_port, broker_port = plant.free_port(), plant.free_port()
    pump = started(Pump(tmp_path, data, device_port))
    broker = started(plant.mosquitto(tmp_path, broker_port))
    write_plant(tmp_path, device_port, broker_port)
    gateway = started(plant.Gateway(tmp_path))
    return pump, broker, broker_port, gateway


def rows(observer):
    return {s[1] for s in samples(observer.messages()).get("pump/row", {}).values() if s[1] is not None}


def wait_for_served(pump, observer, seconds=30):
    """Until the observer has everything that the device has served by now, but what it served while nobody was connected."""
    goal = pump.served()[-1]["row"]
    plant.wait_for(lambda: max(rows(observer), default=-1) >= goal, f"row {goal} arrives", seconds)


def taken_rows(messages):
    """The rows that arrived, by the time that they were taken."""
    return {time_ns: value for time_ns, value, status in samples(messages)["pump/row"].values() if status == 0}


def unexplained(pump, messages, gaps):
    """Served rows between the first and the last that arrived, which did not, and in whose time no gap is."""
    arrived = set(taken_rows(messages).values())
    slack = 200 * 10**6  # a poll is served before it is taken
    spans = [(nanoseconds(g["from"]) - slack, nanoseconds(g["to"]) + slack) for g in gaps]
    missing = [e for e in pump.served() if min(arrived) < e["row"] < max(arrived) and e["row"] not in arrived]
    return [e for e in missing if not any(low <= e["ns"] <= high for low, high in spans)]


def gaps_told(messages):
    gaps = [json.loads(m["text"]) for m in messages if m["topic"].endswith("/gap")]
    assert all(g["cause"] for g in gaps), gaps
    return gaps


def compare(pump, observer, gateway):
    """All that arrived is right, bit for bit; all that did not is told of, at the broker and at the API; the ledger balances."""

    def told():
        messages = observer.messages()
        return messages if not unexplained(pump, messages, gaps_told(messages)) else None

    messages = plant.wait_for(told, "a gap for each row that is missing")
    account = Account(gateway)
    account.read()
    assert not unexplained(pump, messages, account.gaps())
    assert_balanced(gateway)
    seen = samples(messages)
    served = {entry["row"]: entry for entry in pump.served()}
    taken = taken_rows(messages)
    ordered = [v for _, v in sorted(taken.items())]
    assert ordered == sorted(set(ordered)), "each row once, in the order of time"
    assert set(ordered) <= set(served)
    for i, name in enumerate(SENSORS):
        by_time = {t: v for t, v, status in seen[f"pump/{name}"].values() if status == 0}
        for t, row in taken.items():
            assert bits_of(by_time[t]) == served[row]["bits"][i], (name, row)
    return messages


def test_nothing_is_said_before_the_primary_host_is_online(line, tmp_path, started):
    pump, _, port, gateway = line
    watcher = started(plant.Process(["mosquitto_sub", "-p", port, "-t", "spBv1.0/#", "-F", "%t"], tmp_path / "watch.txt"))
    plant.wait_for(lambda: (tmp_path / "mosquitto.log").read_text().count("isthmus-plant") > 0, "the gateway connects")
    plant.wait_for(lambda: len(pump.served()) > 50, "the pump is read")
    assert "NBIRTH" not in watcher.text()
    observer = started(Observer(tmp_path, port))
    plant.wait_for(lambda: "DDATA" in observer.kinds(), "data arrive")
    observer.say(False)
    plant.wait_for(lambda: "NDEATH" in observer.kinds(), "the node leaves")
    observer.say(True)
    plant.wait_for(lambda: observer.kinds().count("NBIRTH") == 2, "the node is back")
    wait_for_served(pump, observer)
    assert_sequences(compare(pump, observer, gateway))


VICTIMS = ["supervisor", "engine", "reader", "modbus", "console", "cloud"]


def kill_and_await(gateway, victim):
    before = plant.wait_for(lambda: gateway.pids().get(victim), f"{victim} runs", 30)
    os.kill(before, signal.SIGKILL)
    plant.wait_for(lambda: gateway.pids().get(victim) not in (None, 0, before), f"{victim} is back", 30)


def restart(pump, gateway):
    pump.stop()
    plant.wait_for(lambda: gateway.get("/api/v1/devices")["devices"][0]["state"] == "down", "the pump is down")
    pump.start()


def wait_for_row(observer, row):
    plant.wait_for(lambda: max(rows(observer), default=-1) > row, f"rows beyond {row} arrive", 30)


def test_whatever_is_killed_nothing_is_lost_silently(line, tmp_path, started):
    pump, _, port, gateway = line
    observer = started(Observer(tmp_path, port))
    wait_for_row(observer, 50)
    for victim in VICTIMS:
        kill_and_await(gateway, victim)
        wait_for_row(observer, pump.served()[-1]["row"])
    restart(pump, gateway)
    wait_for_row(observer, pump.served()[-1]["row"])
    messages = compare(pump, observer, gateway)
    births, deaths = assert_sequences(messages)
    assert len(set(births)) >= 3, "a bdSeq for each connection"
    assert deaths, "the broker published the will of the killed service"
    assert "device down" in {g["cause"] for g in gaps_told(messages)}
    assert set(times_sent(messages, "pump/row")[:20]) == {1}, "what was confirmed is not sent again"


def test_with_the_broker_away_for_30_s_nothing_is_lost_silently(line, tmp_path, started):
    """Away for 30 s, in which everything else goes wrong too."""
    pump, broker, port, gateway = line
    observer = started(Observer(tmp_path, port))
    wait_for_row(observer, 50)
    broker.stop()
    observer.stop()
    away = time.monotonic()
    for victim in VICTIMS:
        kill_and_await(gateway, victim)
        served = len(pump.served())
        plant.wait_for(lambda: len(pump.served()) > served + 50, "the pump is read on")
    restart(pump, gateway)
    plant.wait_for(lambda: time.monotonic() > away + 30, "30 s are over", 40)
    started(plant.mosquitto(tmp_path, port))
    observer.start()
    wait_for_served(pump, observer)
    messages = compare(pump, observer, gateway)
    assert_sequences(messages)
    assert any(x.get("isHistorical") for m in messages if "payload" in m for x in m["payload"].get("metrics", []))


def test_rebirth_is_obeyed_and_nothing_else(line, tmp_path, started):
    pump, _, port, gateway = line
    observer = started(Observer(tmp_path, port))
    plant.wait_for(lambda: len(rows(observer)) > 60, "rows arrive")
    time_of_birth = observer.kinds().count("DBIRTH")
    assert time_of_birth == 1
    rebirth = bytes.fromhex("121a0a144e6f646520436f6e74726f6c2f52656269727468200b7001")
    corpus = plant.ROOT / "fuzz/corpus/sparkplug_payload"
    publish(port, "spBv1.0/" + NODE.format("DCMD") + "/pump", (corpus / "ddata").read_bytes())
    publish(port, "spBv1.0/" + NODE.format("NCMD"), b"\xff" * 5000)
    publish(port, "spBv1.0/" + NODE.format("NCMD"), b"\x12")
    publish(port, f"spBv1.0/STATE/{HOST}", b"{" * 2000)
    publish(port, "spBv1.0/" + NODE.format("NCMD"), rebirth)
    plant.wait_for(lambda: observer.kinds().count("NBIRTH") == 2, "births again")
    wait_for_served(pump, observer)
    births, deaths = assert_sequences(compare(pump, observer, gateway))
    assert births[0] == births[1] and not deaths, "a rebirth is no new connection"
    assert "refused" in (tmp_path / "gateway.log").read_text()


def certificate(folder, name, issuer, *extensions):
    """NAME.pem and NAME.key, signed by issuer (None: by itself)."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    signed = ["-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key"] if issuer else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-keyout", key, "-out", pem, *signed, *extensions],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o644 if name == "broker" else 0o600)  # the broker drops its privileges before it reads


def tls_broker(folder, port):
    conf = folder / "tls.conf"
    conf.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\n"
        f"keyfile {folder}/broker.key\nrequire_certificate true\nuser root\n"
    )
    broker = plant.Process([plant.PEERS / "mosquitto", "-c", conf], folder / "tls.log")
    plant.wait_for(lambda: plant.port_listens(port), f"the broker listens\n{broker.text()}")
    return broker


def subscribe_tls(folder, port, out):
    return plant.Process(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, "--cafile", folder / "ca.pem", "--cert", folder / "client.pem",
         "--key", folder / "client.key", "--insecure", "-t", "#", "-v"], out,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["broker.example", "other.example"])
def test_tls_with_a_client_certificate_and_plain_json(name, tmp_path, data, started):
    certificate(tmp_path, "ca", None)
    certificate(tmp_path, "broker", "ca", "-addext", "subjectAltName=DNS:broker.example")
    certificate(tmp_path, "client", "ca")
    device_port, port = plant.free_port(), plant.free_port()
    started(Pump(tmp_path, data, device_port))
    started(tls_broker(tmp_path, port))
    seen = started(subscribe_tls(tmp_path, port, tmp_path / "seen.txt"))
    write_plant(tmp_path, device_port, port)
    config = tmp_path / "isthmus.yaml"
    config.write_text(
        config.read_text().replace(
            f"primary_host: {HOST}",
            f"mode: json, tls: true, tls_name: {name}, ca: {tmp_path}/ca.pem, cert: {tmp_path}/client.pem, "
            f"key: {tmp_path}/client.key",
        )
    )
    gateway = started(plant.Gateway(tmp_path))
    if name == "other.example":
        plant.wait_for(lambda: "does not hold the name" in gateway.process.text(), "the certificate is refused, with the reason")
        assert "recorded-pump/" not in seen.text()
        return
    plant.wait_for(lambda: seen.text().count("recorded-pump/pump/row ") > 20, "values arrive")
    line = next(x for x in seen.text().splitlines() if x.startswith("recorded-pump/pump/flow "))
    value = json.loads(line.split(" ", 1)[1])
    assert value["status"] == "Good" and value["seq"] > 0 and value["time"].endswith("Z")
    assert "isthmus/plant/recorded-pump/online" in seen.text()
