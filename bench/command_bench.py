# SPDX-License-Identifier: Apache-2.0
"""command.wire_p50, command.wire_p99: from the request at HTTP to the first byte of the frame at a Modbus device, while 100,000 tags/s
are polled from ten others, the durable intent included.  command.wire_mqtt_p50, command.wire_mqtt_p99: the same for a Sparkplug command."""

import http.client
import json
import pathlib
import random
import socket
import struct
import sys
import tempfile
import threading
import time

import path_bench
from path_bench import DEVICES, Load, consecutive_ports, plant

COMMANDS = 300
PAUSE_S = 0.03  # at most: so that requests fall anywhere between polls and flushes


class Target(threading.Thread):
    """A Modbus device with one register; notes when a write arrives."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.value, self.arrived, self.wrote = 0, {}, threading.Condition()
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        while data := client.recv(260):
            now = time.monotonic_ns()
            head, pdu = data[:7], data[7:]
            if pdu[0] == 6:
                self.value = struct.unpack(">H", pdu[3:5])[0]
                with self.wrote:
                    self.arrived[self.value] = now
                    self.wrote.notify_all()
                reply = pdu
            elif pdu[0] == 3:
                count = struct.unpack(">H", pdu[3:5])[0]
                reply = struct.pack(">BB", 3, 2 * count) + struct.pack(f">{count}H", *[self.value] * count)
            else:
                reply = bytes([pdu[0] | 0x80, 1])
            client.sendall(head[:4] + struct.pack(">H", len(reply) + 1) + head[6:7] + reply)

    def wait(self, value):
        with self.wrote:
            assert self.wrote.wait_for(lambda: value in self.arrived, 10), "the write did not arrive"
        return self.arrived[value]


def configure(folder, broker, first_port, target):
    path_bench.configuration(folder, broker, first_port, 1000)
    config = folder / "isthmus.yaml"
    text = config.read_text().replace(
        "services:", f'  - {{name: target, driver: modbus, address: "127.0.0.1:{target}", box: target, period: 20ms}}\nservices:'
    )
    text += 'writes:\n  - {name: bench, tags: ["bench/target"], owner: bench, callers: ["service:console", "service:cloud"]}\n'
    config.write_text(text)
    with open(folder / "tags.csv", "a") as rows:
        rows.write("bench/target,target,holding:0\n")


def over_http(gateway_port, target, first):
    """One connection; a request's bytes are made before its time begins."""
    times = []
    with socket.create_connection(("127.0.0.1", gateway_port), timeout=30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for value in range(first, first + COMMANDS):
            body = json.dumps({"tag": "bench/target", "value": value})
            head = f"POST /api/v1/commands HTTP/1.1\r\nHost: 127.0.0.1:{gateway_port}\r\nContent-Length: {len(body)}\r\n\r\n"
            time.sleep(random.uniform(0, PAUSE_S))
            start = time.monotonic_ns()
            s.sendall((head + body).encode())
            reply = http.client.HTTPResponse(s)
            reply.begin()
            receipt = json.loads(reply.read())
            assert receipt["state"] == "confirmed", receipt
            times.append((target.wait(value) - start) / 1e6)
    return times


def text(data):
    return struct.pack(">H", len(data)) + data


def packet(kind, body):
    size, n = b"", len(body)
    while True:
        size += bytes([n % 128 | (0x80 if n >= 128 else 0)])
        n //= 128
        if not n:
            return bytes([kind]) + size + body


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def over_mqtt(broker, target, gateway, first):
    """A host application that knows nothing of us but the names (Sparkplug B 3.0, 6.4.22: DCMD). The next command waits until the last
    one is read back: a tag takes one at a time."""
    with socket.create_connection(("127.0.0.1", broker)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 60]) + text(b"bench-host")))
        s.recv(4)
        times = []
        for value in range(first, first + COMMANDS):
            name = b"bench/target"
            metric = b"\x0a" + varint(len(name)) + name + b"\x20" + varint(6) + b"\x50" + varint(value)
            payload = b"\x12" + varint(len(metric)) + metric
            time.sleep(random.uniform(0, PAUSE_S))
            start = time.monotonic_ns()
            s.sendall(packet(0x30, text(b"spBv1.0/bench/DCMD/gateway/target") + payload))
            times.append((target.wait(value) - start) / 1e6)
            plant.wait_for(lambda: gateway.get("/api/v1/now?tags=bench/target")["values"][0]["value"] == value, "the value is read back")
    return times


def measure(names):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        broker_port, first_port = plant.free_port(), consecutive_ports(DEVICES)
        broker = plant.mosquitto(folder, broker_port)
        load, target = Load(broker_port, first_port, 1000), Target()
        configure(folder, broker_port, first_port, target.port)
        port = int((folder / "isthmus.yaml").read_text().split('listen: "127.0.0.1:')[1].split('"')[0])
        gateway = plant.Gateway(folder)
        try:
            plant.wait_for(lambda: gateway.get("/api/v1/now?tags=bench/target")["values"][0]["status"] == "Good", "the target is read")
            time.sleep(3)
            for label, times in (
                ("wire", over_http(port, target, 1) if {"command.wire_p50", "command.wire_p99"} & names else None),
                ("wire_mqtt", over_mqtt(broker_port, target, gateway, 1001) if {"command.wire_mqtt_p50", "command.wire_mqtt_p99"} & names else None),
            ):  # fmt: skip
                if times:
                    times.sort()
                    print(f"command.{label}_p50 {times[len(times) // 2]:.3f} ms")
                    print(f"command.{label}_p99 {times[len(times) * 99 // 100]:.3f} ms")
        finally:
            gateway.stop()
            load.stop()
            broker.stop()
            target.listener.close()


if "--list" in sys.argv:
    print("command.wire_p50\ncommand.wire_p99\ncommand.wire_mqtt_p50\ncommand.wire_mqtt_p99")
else:
    measure(set(sys.argv[1:]))
