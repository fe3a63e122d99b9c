# SPDX-License-Identifier: Apache-2.0
"""A captured north box: a service of the tests' own (captive/captive.c) looks with all that it has for what lies outside of its contract:
its memory, descriptors, files, other processes, networks, each kind of ask, SQL, commands, browsing, sign-ins."""

import json
import os
import re
import socket
import struct

import plant
import pytest

CONFIG = """
gateway: {name: prison}
zones: [{name: works}, {name: office}]
conduits: [{name: look, from: office, to: works, read: true, tags: [works/open]}]
devices:
  - {name: plc, driver: modbus, address: "127.0.0.1:DEVICE", period: 50ms}
  - {name: other, driver: modbus, address: "127.0.0.1:DEVICE", period: 50ms, box: other}
tags:
  - {path: works/open, device: plc, address: "holding:0:int16"}
  - {path: works/verborgen/recipe, device: plc, address: "holding:10:text20", description: "verborgen, too"}
  - {path: works/verborgen/level, device: plc, address: "holding:1:int16", unit: m}
  - {path: works/other, device: other, address: "holding:2:int16"}
services:
  - {name: captive, module: captive, zone: office, state: "STATE", device: DEVICE}
  - {name: console, module: http, zone: works, listen: "127.0.0.1:CONSOLE"}
contracts:
  - {name: all, service: captive, tags: [works/open], purpose: test, owner: o, custodian: c, freshness: 5s}
writes:
  - {name: hidden, tags: ["works/verborgen/level", works/other], owner: verborgen, callers: ["service:console"], range: [0, 20000]}
"""
SECRET = b"KANARI-7f3a"
WORD = "sesam-4711 and more of it"


def registers(text):
    padded = text + b"\0" * (40 - len(text))
    return [f"{10 + i}:{v}" for i, v in enumerate(struct.unpack(">20H", padded))]


def post(gateway, path, body):
    connection = plant.UnixConnection(gateway.socket, 30)
    try:
        connection.request("POST", path, json.dumps(body))
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.skipif(not (plant.BUILD / "tests/captive/captive.so").exists(), reason="the tests' own modules are not built")
def test_a_captured_north_box_sees_nothing_but_its_own(tmp_path, started):
    device, console = plant.free_port(), plant.free_port()
    units = started(plant.modbus_units(tmp_path, device, "--set", "0:1", *registers(SECRET)))
    text = CONFIG.replace("STATE", str(tmp_path / "state")).replace("DEVICE", str(device)).replace("CONSOLE", str(console))
    (tmp_path / "isthmus.yaml").write_text(text)
    environment = {"ISTHMUS_MODULES": str(plant.BUILD / "tests/captive")}
    gateway = started(plant.Gateway(tmp_path, **environment))
    recipe = "works/verborgen/recipe"

    def read():
        reply = gateway.try_get("/api/v1/now")
        return reply and {v["tag"]: v["value"] for v in reply["values"] if v["status"] == "Good"}

    plant.wait_for(lambda: (read() or {}).get(recipe) == SECRET.decode(), "the hidden value is there for who may see it")
    assert post(gateway, "/api/v1/accounts", {"name": "ada", "role": "operator", "password": WORD})[0] == 200
    assert post(gateway, "/api/v1/session", {"name": "ada", "password": WORD})[0] in (200, 403)
    post(gateway, "/api/v1/commands", {"tag": "works/verborgen/level", "value": 5})
    captive = gateway.pids()["captive"]
    with socket.create_connection(("127.0.0.1", device), timeout=10) as s:  # the sign for it to begin
        s.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, 0, 4711))
        s.recv(260)
    log = plant.wait_for(lambda: re.search(r"done: (\d+) tries, (\d+) breaches, (\d+) records", gateway.process.text()), "it has tried all", 120)
    breaches = sorted(set(re.findall(r"breach: .*", gateway.process.text())))
    assert not breaches, breaches
    tries, _, own = map(int, log.groups())
    assert tries > 3000 and own > 10
    assert gateway.process.text().count("control: found") == 2  # what lies in its memory it would have seen
    assert gateway.pids()["captive"] == captive and units.child.poll() is None
    os.kill(captive, 0)
