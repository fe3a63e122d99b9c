# SPDX-License-Identifier: Apache-2.0
"""Our Modbus against stacks that nobody here wrote, both ways: modbus-serial (npm) and mbpoll (libmodbus)."""

import json
import re
import struct
import subprocess

import plant
import pytest

NODE = ["node", plant.ROOT / "tests/peers/modbus_serial.js"]
ORDERS = {"abcd": (0, 1, 2, 3), "cdab": (2, 3, 0, 1), "badc": (1, 0, 3, 2), "dcba": (3, 2, 1, 0)}


def register(address):
    return (0x1234 + 0x1111 * address) & 0xFFFF


def number(address, code, order="abcd"):
    """What a value of struct's type `code` at `address` is, when its words and bytes travel in that order."""
    size = struct.calcsize(code)
    raw = b"".join(struct.pack(">H", register(address + i)) for i in range(size // 2))
    if order in ("cdab", "dcba"):
        raw = b"".join(raw[i : i + 2] for i in range(size - 2, -2, -2))
    if order in ("badc", "dcba"):
        raw = b"".join(raw[i : i + 2][::-1] for i in range(0, size, 2))
    return struct.unpack(">" + code, raw)[0]


@pytest.fixture
def values(tmp_path, started):
    """Every table, type and order, of two units, read from modbus-serial: address → (what was read, what it should be)."""
    port = plant.free_port()
    server = started(plant.Process([*NODE, "serve", port], tmp_path / "server.log"))
    plant.wait_for(lambda: "serving" in server.text(), "modbus-serial serves")
    wanted = {f"{u}/{t}:{i}": i % 3 == 0 for u in (1, 3) for t in ("coil", "discrete") for i in (0, 1, 2, 30)}
    wanted |= {f"{u}/{t}:{i}": register(i) for u in (1, 3) for t in ("input", "holding") for i in (0, 5, 99)}
    wanted |= {f"1/holding:{i}.{i % 16}": bool(register(i) >> i % 16 & 1) for i in range(40, 56)}
    kinds = {"int16": "h", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d"}
    for at, (kind, code) in enumerate(kinds.items()):
        for order in ORDERS if kind != "int16" else ["abcd"]:
            wanted[f"1/input:{200 + 4 * at}:{kind}:{order}"] = number(200 + 4 * at, code, order)
    (tmp_path / "isthmus.yaml").write_text(
        f"""gateway: {{name: peers}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{port}", period: 100ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    rows = ["path,device,address", *(f"t/{i},plc,{address}" for i, address in enumerate(wanted))]
    (tmp_path / "tags.csv").write_text("\n".join(rows) + "\n")
    gateway = started(plant.Gateway(tmp_path))

    def all_good():
        read = gateway.get("/api/v1/now")["values"]
        return read if len(read) == len(wanted) and all(v["status"] == "Good" for v in read) else None

    read = {v["tag"]: v["value"] for v in plant.wait_for(all_good, "all values are good")}
    return {address: (read[f"t/{i}"], value) for i, (address, value) in enumerate(wanted.items())}


def same(address, read, value):
    """Equal bit for bit; numbers of 64 bits travel as texts."""
    if isinstance(value, bool):
        return read is value
    code = ">f" if "float32" in address else ">d" if "float64" in address else None
    return struct.pack(code, float(read)) == struct.pack(code, value) if code else int(read) == value


def test_every_table_type_and_order_of_modbus_serial(values):
    assert not {address: pair for address, pair in values.items() if not same(address, *pair)}


@pytest.fixture
def tanks(tmp_path, started):
    """The port of the simulated PLC whose holding registers 0 … are set points."""
    sim = started(plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json"], tmp_path / "sim.log"))
    return json.loads(plant.wait_for(lambda: sim.text().partition("\n")[0], "the simulator's ports"))["plc2"]


def test_modbus_serial_reads_and_writes_our_simulator(tanks):
    done = subprocess.run([*NODE, "read", str(tanks)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    said = dict(json.loads(line) for line in done.stdout.splitlines())
    assert said["coils"] == 8 and said["inputs"] == 4 and said["beyond"] == 2 and said["vendor"] == "Isthmus", said
    assert (said["written"], said["restored"]) == (10, 0)


def test_mbpoll_reads_and_writes_our_simulator(tanks):
    def mbpoll(*arguments):
        command = ["mbpoll", "-m", "tcp", "-p", str(tanks), "-0", "-1", "-q", "-t", "4", *arguments[:-1], "127.0.0.1", arguments[-1]]
        return subprocess.run([c for c in command if c], capture_output=True, text=True, timeout=30)

    def registers(first, count):
        found = re.findall(r"^\[(\d+)\]:\s+(\d+)", mbpoll("-r", str(first), "-c", str(count), "").stdout, re.M)
        return {int(at): int(value) for at, value in found}

    assert set(registers(0, 4)) == {0, 1, 2, 3}
    assert mbpoll("-r", "0", "345").returncode == 0
    assert registers(0, 1) == {0: 345}
    assert mbpoll("-r", "0", "60000").returncode != 0, "a set point beyond its range"
    assert registers(0, 1) == {0: 345}
