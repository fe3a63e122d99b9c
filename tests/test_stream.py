# SPDX-License-Identifier: Apache-2.0
"""Streams whose client is slow: it is told what it does not get, and costs no memory."""

import json
import socket
import subprocess
import time

import plant
import pytest
import websocket
from test_http import DOCUMENT, faults

STREAMED = DOCUMENT["components"]["schemas"]["Streamed"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """3,000 changing values ten times a second, in a journal of small segments."""
    folder = tmp_path_factory.mktemp("stream")
    plcs = [plant.free_port(), plant.free_port()]
    argv = [plant.ISTHMUS, "sim", "waterworks", "--ports", ",".join(map(str, plcs)), "--tags", "3000"]
    subprocess.run([*argv, "--write-config", folder], check=True)
    port = plant.free_port()
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: stream-test}}
journal: {{segment: 1MiB}}
devices:
  - {{name: plc1, driver: modbus, address: "127.0.0.1:{plcs[0]}", period: 100ms}}
  - {{name: plc2, driver: modbus, address: "127.0.0.1:{plcs[1]}", period: 100ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{port}"}}
"""
    )
    sim = plant.Process(argv, folder / "sim.log")
    plant.wait_for(lambda: all(map(plant.port_listens, plcs)), "the PLCs listen")
    g = plant.Gateway(folder)
    g.port = port
    yield g
    g.stop()
    sim.stop()


def journal(gateway):
    (row,) = gateway.get("/api/v1/journal")["journal"]
    return {k: int(row[k]) for k in ("written_seq", "first_segment", "segment")}


def memory(gateway):
    return next(p["pss_bytes"] for p in gateway.get("/api/v1/processes")["processes"] if p["name"] == "console")


class Lines:
    """/api/v1/stream of a client whose buffers are small."""

    def __init__(self, gateway, query):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", gateway.port))
        head = f"GET /api/v1/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.file = self.socket.makefile("rb", buffering=65536)
        assert b" 200 " in self.file.readline()
        while self.file.readline().strip():
            pass

    def take(self):
        return [json.loads(self.file.readline())]

    def close(self):
        self.file.close()
        self.socket.close()


class Messages:
    """The same over WebSocket."""

    def __init__(self, gateway, wish):
        option = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{gateway.port}/api/v1/ws", timeout=20, sockopt=option, suppress_origin=True
        )
        self.socket.send(json.dumps({"subscribe": wish}))

    def take(self):
        return json.loads(self.socket.recv())

    def close(self):
        self.socket.close()


def until_skipped(client, seconds=30):
    """Takes records until one says what was skipped: that, and what came before it."""
    deadline = time.monotonic() + seconds
    before = []
    while time.monotonic() < deadline:
        for record in client.take():
            if "skipped" in record:
                assert not faults(record, STREAMED), faults(record, STREAMED)
                return {**record, "from_seq": int(record["from_seq"]), "to_seq": int(record["to_seq"])}, before
            before.append(record)
    raise AssertionError(f"nothing skipped in {seconds} s")


@pytest.mark.parametrize("kind", [Lines, Messages])
def test_a_client_that_stops_reading_is_told_what_it_missed(gateway, kind):
    client = kind(gateway, "mode=latest" if kind is Lines else {"mode": "latest"})
    for _ in range(3):
        assert not any(faults(r, STREAMED) for r in client.take()), "a client that keeps up gets all there is"
    begin, before = journal(gateway)["written_seq"], memory(gateway)
    plant.wait_for(lambda: journal(gateway)["written_seq"] > begin + 70000, "it does not read", 60)
    assert memory(gateway) < before + 8 * 2**20
    records, skipped = [], {"to_seq": 0}
    while skipped["to_seq"] < begin + 30000:  # a busy machine may have made it late before
        skipped, more = until_skipped(client)
        records += more
        assert skipped["skipped"] == "slow client"
        assert 1 <= skipped["records"] <= skipped["to_seq"] - skipped["from_seq"] + 1
    records += [r for _ in range(50) for r in client.take() if "tag" in r]
    newest = {}
    for r in records:
        assert int(r["seq"]) > newest.get(r.get("tag"), -1), "each tag's values in order"
        newest[r.get("tag")] = int(r["seq"])
    assert max(newest.values()) > skipped["to_seq"], "it goes on"
    client.close()


def test_far_behind_it_jumps_to_the_values_of_now(gateway):
    plant.wait_for(lambda: journal(gateway)["written_seq"] > 60000, "a long journal")
    client = Lines(gateway, "mode=latest&from=0")
    skipped, before = until_skipped(client)
    assert not before and skipped["from_seq"] == 0 and skipped["records"] == skipped["to_seq"] + 1
    tags = {t["path"] for t in gateway.get("/api/v1/tags")["tags"]}
    seen, deadline = {}, time.monotonic() + 20
    while not tags <= seen.keys() and time.monotonic() < deadline:
        for r in client.take():
            seen[r.get("tag")] = r
    assert tags <= seen.keys(), tags - seen.keys()
    texts = sorted(r["value"] for t, r in seen.items() if t and t.endswith("name-plate"))
    assert texts == ["Pump station, unit 1", "Tanks and valves, unit 1"]
    client.close()


@pytest.mark.parametrize("place", [{"from": 1}, {"after": "0"}, {"from": "x"}, {"from": -1}, {"from": "1", "after": "1"}])
def test_a_place_to_begin_is_a_sequence(gateway, place):
    client = Messages(gateway, {"mode": "every", **place})
    try:
        if len(place) == 1 and "x" not in place.values() and -1 not in place.values():
            assert client.take()
        else:
            with pytest.raises((websocket.WebSocketException, OSError)):
                client.take()
    finally:
        client.close()


@pytest.mark.parametrize("kind", [Lines, Messages])
def test_what_the_journal_has_lost_is_told(gateway, kind):
    plant.wait_for(lambda: journal(gateway)["segment"] > journal(gateway)["first_segment"] + 1, "some segments", 60)
    gateway.stop()
    sorted((gateway.state / "journal").glob("*.seg"))[0].unlink()
    gateway.start()
    client = kind(gateway, "mode=every&from=1" if kind is Lines else {"mode": "every", "from": 1})
    skipped, before = until_skipped(client)
    numbers = [int(r["seq"]) for r in before]
    assert skipped["skipped"] == "no longer in the journal" and skipped["from_seq"] == 1
    assert skipped["records"] == numbers[0] - 1 > 1000 and skipped["to_seq"] == numbers[-1]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    client.close()
