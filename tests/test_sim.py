# SPDX-License-Identifier: Apache-2.0
"""`isthmus sim waterworks` as a whole: its ports, its bounds, its end, and the configuration it writes."""

import filecmp
import json
import os
import signal
import socket
import struct
import subprocess
import time

import plant
import pytest

pytestmark = pytest.mark.sanitizer


def simulate(folder, *more):
    """A running simulator, and what it says of itself."""
    folder.mkdir(exist_ok=True)
    sim = plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json", *more], folder / "sim.log")
    plant.wait_for(lambda: sim.text().endswith("\n"), "the simulator says what it started")
    return sim, json.loads(sim.text())


class Plc:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def ask(self, pdu, unit=1):
        self.socket.sendall(struct.pack(">HHHB", 1, 0, len(pdu) + 1, unit) + pdu)
        head = self.take(7)
        return self.take(struct.unpack(">HHHB", head)[2] - 1)

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            assert part, "the connection was closed"
            data += part
        return data

    def register(self, function, at, unit=1):
        return struct.unpack(">H", self.ask(struct.pack(">BHH", function, at, 1), unit)[2:])[0]


def is_closed(s, seconds):
    s.settimeout(seconds)
    try:
        return s.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_commands_move_the_plant(started, tmp_path):
    sim, said = simulate(tmp_path, "--speed", "10")
    started(sim)
    tanks = Plc(said["plc2"])
    assert tanks.register(4, 8) // 10 in range(79, 82)  # the valve: input register 8, in tenths of a percent
    assert tanks.ask(bytes([6, 0, 1, 0, 0])) == bytes([6, 0, 1, 0, 0])
    plant.wait_for(lambda: tanks.register(4, 8) < 10 or tanks.register(4, 8) > 65500, "the valve closes")
    assert tanks.ask(bytes([6, 0, 9, 0, 0])) != bytes([0x86, 2])  # another line's
    pumps = Plc(said["plc1"])
    assert pumps.ask(bytes([6, 0, 0, 0, 0])) == bytes([0x86, 2])  # a measurement


def test_the_end_is_quick_and_leaves_nothing(started, tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        sim, said = simulate(tmp_path / str(number), "--tags", "5000", "--leak", "30@2")
        started(sim)
        clients = [Plc(said[plc]) for plc in ("plc1", "plc2") for _ in range(5)]
        assert all(c.ask(bytes([3, 0, 0, 0, 1]))[0] == 3 for c in clients)
        clients[0].socket.sendall(b"\0\1\0\0")  # half a request
        begin = time.monotonic()
        sim.child.send_signal(number)
        assert sim.child.wait(10) == 0, sim.text()
        assert time.monotonic() - begin < (5 if "ASAN_OPTIONS" in os.environ else 1)  # which looks for leaks
        assert len(sim.text().splitlines()) == 1, sim.text()
        assert all(is_closed(c.socket, 5) for c in clients)


def test_silent_and_too_many_connections_end(started, tmp_path):
    sim, said = simulate(tmp_path, "--idle", "2")
    started(sim)
    silent, dribbling, busy = (Plc(said["plc1"]) for _ in range(3))
    dribbling.socket.sendall(b"\0\1\0\0\0\xfa")  # a long request, of which a byte comes now and then

    def both_ended():
        busy.ask(bytes([3, 0, 0, 0, 1]))
        try:
            dribbling.socket.send(b"\1")
        except OSError:
            pass  # closed
        return is_closed(silent.socket, 0.01) and is_closed(dribbling.socket, 0.01)

    plant.wait_for(both_ended, "the silent and the dribbling connection are closed")
    crowd = [socket.create_connection(("127.0.0.1", said["plc1"])) for _ in range(70)]

    def crowd_is_cut():
        assert busy.ask(bytes([3, 0, 0, 0, 1]))[0] == 3
        return sum(is_closed(s, 0.001) for s in crowd) >= 7

    plant.wait_for(crowd_is_cut, "those beyond 64 are closed at once")
    assert busy.ask(bytes([3, 0, 0, 0, 1]))[0] == 3


def test_the_gateway_reads_every_tag(started, tmp_path):
    sim, said = simulate(tmp_path)
    started(sim)
    write_config(tmp_path, "--ports", f"{said['plc1']},{said['plc2']}")
    yaml = (tmp_path / "isthmus.yaml").read_text()
    (tmp_path / "isthmus.yaml").write_text(
        yaml.replace("127.0.0.1:8480", f"127.0.0.1:{plant.free_port()}").replace("11883", str(plant.free_port()))
    )
    gateway = plant.Gateway(tmp_path)
    started(gateway)

    def all_good():
        reply = gateway.try_get("/api/v1/now")
        values = {v["tag"]: v for v in reply["values"]} if reply else {}
        return len(values) == said["tags"] and all(v["status"] == "Good" for v in values.values()) and values

    values = plant.wait_for(all_good, "all tags are good", 60)
    assert values["waterworks/plc1/unit1/name-plate"]["value"] == "Pump station, unit 1"
    assert values["waterworks/line1/storage/set-point"]["value"] == 4.2
    assert values["waterworks/line8/controller/automatic"]["value"] is True


def test_a_taken_port_is_said(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        ports = f"0,{s.getsockname()[1]}"
        run = subprocess.run([plant.ISTHMUS, "sim", "waterworks", "--ports", ports], capture_output=True, timeout=20)
    assert run.returncode == 1 and b"choose others with --ports" in run.stderr, run.stderr


@pytest.mark.parametrize("wrong", (["--tags", "40"], ["--tags", "100001"], ["--leak", "1@9"], ["--speed"], ["--x"]))
def test_wrong_options_are_said(wrong):
    run = subprocess.run([plant.ISTHMUS, "sim", "waterworks", *wrong], capture_output=True, timeout=20)
    assert run.returncode == 2 and wrong[0].encode() in run.stderr, run.stderr


def write_config(folder, *more):
    subprocess.run([plant.ISTHMUS, "sim", "waterworks", "--write-config", folder, *more], check=True, timeout=20)
    return folder


def test_the_example_is_what_it_writes(tmp_path):
    example = plant.ROOT / "examples" / "waterworks"
    names = sorted(os.listdir(example))
    same, differing, missing = filecmp.cmpfiles(write_config(tmp_path), example, names, shallow=False)
    assert not differing and not missing, "make it again: build/isthmus sim waterworks --write-config examples/waterworks"


def test_the_largest_plant_is_a_good_configuration(tmp_path):
    write_config(tmp_path, "--tags", "100000")
    rows = (tmp_path / "tags.csv").read_text().splitlines()
    assert 99960 <= len(rows) - 1 <= 100000
    assert any(",3/holding:" in row for row in rows)
    subprocess.run([plant.ISTHMUS, "check", tmp_path], check=True, timeout=120, stdout=subprocess.DEVNULL)
