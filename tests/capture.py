# SPDX-License-Identifier: Apache-2.0
"""Captures what two peers say to each other, without the right to capture: a TCP proxy between them writes the stream into a
pcap file, in frames of its own making (Ethernet, IPv4, TCP with correct lengths, sequence numbers and checksums), for tshark
to judge. Only what is inside the TCP stream is evidence; retransmissions and the like are not to be seen."""

import contextlib
import ipaddress
import selectors
import socket
import struct
import subprocess
import threading
import time

import plant

# As on a loopback device, a segment holds what one call wrote: tshark's MQTT takes a packet for malformed when a segment
# ends within its length.
SEGMENT = 65000
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
MODBUS, MQTT = 502, 1883  # the ports that tshark knows
BROKEN = '_ws.malformed || _ws.expert.severity == error || _ws.expert.message contains "Cannot classify"'


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Pcap:
    """A capture file of TCP connections between two made-up hosts."""

    HOSTS = [ipaddress.IPv4Address(f"192.0.2.{i}").packed for i in (1, 2)]

    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        self.lock = threading.Lock()

    def frame(self, side, ports, seq, ack, flags, data=b""):
        """One segment from side 0 (the client) or 1."""
        source, target = self.HOSTS[side], self.HOSTS[1 - side]
        tcp = struct.pack(">HHIIBBHHH", ports[side], ports[1 - side], seq, ack, 5 << 4, flags, 65535, 0, 0) + data
        pseudo = source + target + struct.pack(">BBH", 0, 6, len(tcp))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, target)
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        whole = bytes([2, 0, 0, 0, 0, 2 - side, 2, 0, 0, 0, 0, 1 + side, 8, 0]) + ip + tcp
        now = time.time_ns()
        with self.lock:
            self.file.write(struct.pack("<IIII", now // 10**9, now // 1000 % 10**6, len(whole), len(whole)) + whole)
            self.file.flush()


class Conversation:
    """One TCP connection in a capture: keeps the numbers."""

    def __init__(self, pcap, client_port, server_port):
        self.pcap, self.ports, self.next = pcap, (client_port, server_port), [1000, 5000]
        self.send(0, SYN, ack=False)

    def send(self, side, flags, data=b"", ack=True):
        number = self.next[1 - side] if ack else 0
        self.pcap.frame(side, self.ports, self.next[side], number, flags | (ACK if ack else 0), data)
        self.next[side] = (self.next[side] + len(data) + (1 if flags & (SYN | FIN) else 0)) % 2**32

    def accepted(self):
        self.send(1, SYN)
        self.send(0, 0)

    def data(self, side, data):
        self.send(side, PSH, data)
        self.send(1 - side, 0)


class Proxy:
    """Listens on `port`, relays to `target`, writes `path`, where the server has the port `known`: dissectors tell requests
    from replies by it. cut() loses all connections, as a pulled plug does: in the capture they end with a reset, for a message
    may have been under way, whose first half is no fault of its sender."""

    def __init__(self, path, target, known):
        self.path, self.target, self.known, self.pcap = path, target, known, Pcap(path)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open, self.severed, self.connections = set(), set(), 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, (_, port) = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.relay, args=(client, port), daemon=True).start()

    def relay(self, client, client_port):
        conversation = Conversation(self.pcap, client_port, self.known)
        with client, socket.socket() as server:
            self.open |= {client, server}
            try:
                server.connect(("127.0.0.1", self.target))
                conversation.accepted()
                self.exchange(conversation, (client, server))
            except OSError:
                conversation.send(1, RST)
            finally:
                self.open -= {client, server}
                self.severed -= {client, server}

    def exchange(self, conversation, ends):
        with selectors.DefaultSelector() as selector:
            for side in (0, 1):
                selector.register(ends[side], selectors.EVENT_READ, side)
            while True:
                for key, _ in selector.select():
                    data = ends[key.data].recv(SEGMENT)
                    if not data and ends[key.data] in self.severed:
                        conversation.send(key.data, RST)
                        return
                    if not data:
                        for side in (key.data, 1 - key.data):
                            conversation.send(side, FIN)
                        return
                    conversation.data(key.data, data)
                    ends[1 - key.data].sendall(data)

    def cut(self):
        self.severed |= self.open
        for end in list(self.open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        plant.wait_for(lambda: not self.open, "the proxy's connections end")


def tshark(path, wanted, *more):
    """The lines that tshark prints for the packets of a capture that the filter `wanted` takes."""
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    done = subprocess.run(
        ["tshark", "-n", "-r", path, *checks, "-Y", wanted, *more], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.splitlines()


def fields(path, field):
    """All values of one field in a capture."""
    return {value for line in tshark(path, field, "-T", "fields", "-e", field) for value in line.split(",")}


def assert_clean(path, protocol):
    assert tshark(path, protocol), f"the capture holds no {protocol}"
    assert not tshark(path, BROKEN)
