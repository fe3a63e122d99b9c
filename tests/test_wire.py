# SPDX-License-Identifier: Apache-2.0
"""What we put on the wire, judged by Wireshark's dissectors: no malformed packet and no error in any of it."""

import inspect
import json
import subprocess

import capture
import plant
import pytest

REBIRTH = bytes.fromhex("121a0a144e6f646520436f6e74726f6c2f52656269727468200b7001")


def write_plant(folder, device_port, broker_port, mode="both"):
    """All tables of three units, one unit that is not there, addresses that are not there, a service."""
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: wire}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{device_port}", period: 50ms, timeout: 200ms, backoff_max: 500ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
  - {{name: cloud, module: sparkplug, address: "127.0.0.1:{broker_port}", group: plant, mode: {mode}, reconnect_max: 500ms}}
contracts:
  - {{name: everything, service: cloud, tags: ["plc/**"]}}
"""
    )
    rows = ["path,device,address"]
    for unit in (1, 2, 7, 9):
        rows += [f"plc/{unit}/{table}{i},plc,{unit}/{table}:{i}" for table in ("coil", "discrete") for i in (0, 7, 40)]
        rows += [f"plc/{unit}/{table}{i},plc,{unit}/{table}:{i}" for table in ("input", "holding") for i in (0, 50, 500)]
    rows += ["plc/1/text,plc,1/holding:60:text8", "plc/1/float,plc,1/holding:70:float64:cdab"]
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")


def good(gateway, tag):
    reply = gateway.try_get(f"/api/v1/now?tags={tag}")
    return bool(reply and reply["values"] and reply["values"][0]["status"] == "Good")


@pytest.fixture
def line(tmp_path, started):
    """units ⇄ proxy ⇄ gateway ⇄ proxy ⇄ broker"""
    device_port, broker_port = plant.free_port(), plant.free_port()
    started(plant.modbus_units(tmp_path, device_port, "--units", "1,2,7"))
    started(plant.mosquitto(tmp_path, broker_port))
    south = started(capture.Proxy(tmp_path / "modbus.pcap", device_port, capture.MODBUS))
    north = started(capture.Proxy(tmp_path / "mqtt.pcap", broker_port, capture.MQTT))
    write_plant(tmp_path, south.port, north.port)
    gateway = started(plant.Gateway(tmp_path))
    return gateway, south, north, broker_port


def test_wireshark_finds_no_fault_in_our_modbus_and_mqtt(line, tmp_path, started):
    gateway, south, north, broker_port = line
    seen = started(
        plant.Process(["mosquitto_sub", "-p", broker_port, "-t", "spBv1.0/#", "-t", "wire/#", "-F", "%t"], tmp_path / "seen.txt")
    )
    plant.wait_for(lambda: good(gateway, "plc/7/holding50"), "unit 7 is read")
    plant.wait_for(lambda: "wire/plc/1/coil0" in seen.text(), "values arrive")
    births = seen.text().count("NBIRTH")
    subprocess.run(
        ["mosquitto_pub", "-p", str(broker_port), "-t", "spBv1.0/plant/NCMD/wire", "-q", "1", "-s"], input=REBIRTH, check=True
    )
    plant.wait_for(lambda: seen.text().count("NBIRTH") > births, "a rebirth")
    connections = south.connections, north.connections
    south.cut()
    north.cut()
    plant.wait_for(lambda: south.connections > connections[0] and north.connections > connections[1], "both connect again")
    plant.wait_for(lambda: good(gateway, "plc/7/holding50"), "unit 7 is read again")
    plant.wait_for(lambda: "NDEATH" in seen.text() and seen.text().count("NBIRTH") > births + 1, "the will, and births again")
    assert gateway.stop() == 0
    south.stop()
    north.stop()

    capture.assert_clean(south.path, "mbtcp")
    assert {int(f, 0) for f in capture.fields(south.path, "modbus.func_code")} >= {1, 2, 3, 4}
    assert {int(u, 0) for u in capture.fields(south.path, "mbtcp.unit_id")} >= {1, 2, 7, 9}
    assert "2" in capture.fields(south.path, "modbus.exception_code")
    capture.assert_clean(north.path, "mqtt")
    topics = capture.fields(north.path, "mqtt.topic")
    kinds = {topic.split("/")[2] for topic in topics if topic.startswith("spBv1.0/plant/")}
    assert kinds >= {"NBIRTH", "DBIRTH", "DDATA", "NCMD", "NDEATH"}, kinds
    assert {"wire/plc/1/coil0", "isthmus/plant/wire/marker"} <= set(topics)


def read_and_write(client):
    """Reads 3 registers from 0 after writing 2 from 1; the argument's name changed with pymodbus 3.8."""
    where = {"read_address": 0, "read_count": 3, "write_address": 1}
    name = "values" if "values" in inspect.signature(client.readwrite_registers).parameters else "write_registers"
    return client.readwrite_registers(**where, **{name: [8, 9]})


def test_wireshark_finds_no_fault_in_our_simulator(tmp_path, started):
    """Every function code that it knows, its exceptions, a lost connection, asked by pymodbus."""
    from pymodbus.client import ModbusTcpClient

    sim = started(plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json"], tmp_path / "sim.log"))
    ports = json.loads(plant.wait_for(lambda: sim.text().partition("\n")[0], "the simulator's ports"))
    proxy = started(capture.Proxy(tmp_path / "sim.pcap", ports["plc2"], capture.MODBUS))
    for _ in range(2):
        client = ModbusTcpClient("127.0.0.1", port=proxy.port)
        assert client.connect()
        read = [client.read_coils, client.read_discrete_inputs, client.read_holding_registers, client.read_input_registers]
        for ask in read:
            assert not ask(0, count=9 if ask in read[:2] else 100).isError()
            assert ask(65530, count=100).isError(), "beyond the last address"
        assert not client.write_coil(0, True).isError() and not client.write_register(0, 7).isError()
        assert not client.write_coils(0, [True] * 8).isError() and not client.write_registers(0, [1, 2, 3]).isError()
        assert not client.mask_write_register(address=0, and_mask=0xFF00, or_mask=0x0012).isError()
        assert read_and_write(client).registers == [0x12, 8, 9]
        proxy.cut()
        client.close()
    proxy.stop()
    capture.assert_clean(proxy.path, "mbtcp")
    codes = {int(f, 0) for f in capture.fields(proxy.path, "modbus.func_code")}
    assert codes >= {1, 2, 3, 4, 5, 6, 15, 16, 22, 23}


MODBUS = b"\0\1\0\0\0\x06\1\3\0\0\0\2", b"\0\1\0\0\0\x07\1\3\4\0\1\0\2"
CONNECT = b"\x10\x0e\0\4MQTT\4\2\0\x3c\0\2id"
SAID = {
    "good-modbus": (capture.MODBUS, *MODBUS, False),
    "a-request-without-its-count": (capture.MODBUS, b"\0\1\0\0\0\x04\1\3\0\0", MODBUS[1], True),
    "a-reply-with-half-a-register": (capture.MODBUS, MODBUS[0], b"\0\1\0\0\0\x06\1\3\3\0\1\0", True),
    "good-mqtt": (capture.MQTT, CONNECT, b"\x20\2\0\0", False),
    "a-topic-longer-than-its-packet": (capture.MQTT, CONNECT + b"\x30\4\0\x20ab", b"\x20\2\0\0", True),
}


@pytest.mark.parametrize("name", SAID)
def test_the_judge_condemns_what_is_broken(name, tmp_path):
    port, request, reply, broken = SAID[name]
    path = tmp_path / "said.pcap"
    conversation = capture.Conversation(capture.Pcap(path), 40000, port)
    conversation.accepted()
    conversation.data(0, request)
    conversation.data(1, reply)
    conversation.send(0, capture.FIN)
    conversation.send(1, capture.FIN)
    assert bool(capture.tshark(path, capture.BROKEN)) == broken
