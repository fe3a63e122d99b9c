# SPDX-License-Identifier: Apache-2.0
"""The audit by syslog: rsyslog, which nobody here wrote, receives it over TLS with a certificate of the plant's own authority."""

import json
import os
import re
import signal
import socket
import subprocess
import threading

import plant
import pytest
from test_tls import PASSPHRASE, enrol, pki

NAME = "siem.test"
MESSAGE = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) - (?P<kind>[!-~]{1,32}) "
    r'\[audit@32473(?P<parameters>(?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*)\] \ufeff(?P<text>[^\x00-\x1f]*)'
)


class Collector(plant.Process):
    """rsyslogd on `port`; each message as it came is a line of messages.log."""

    def __init__(self, folder, port, tls=True):
        self.folder = folder
        self.messages = folder / "messages.log"
        conf, work = folder / "rsyslog.conf", folder / "work"
        work.mkdir(exist_ok=True)
        files = f"""defaultNetstreamDriverCAFile="{folder}/root/root.crt" defaultNetstreamDriverCertFile="{folder}/siem/gateway.crt"
    defaultNetstreamDriverKeyFile="{folder}/siem/gateway.key" """
        conf.write_text(f"""global(workDirectory="{work}" parser.escapeControlCharactersOnReceive="off" {files if tls else ""})
module(load="imtcp" {'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"' if tls else ""})
template(name="asis" type="string" string="%rawmsg%\\n")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{self.messages}" template="asis")
""")
        modules = next((p for p in plant.PEERS.parent.glob("root/usr/lib/*/rsyslog")), None)
        where = ["-M", modules] if modules else []
        super().__init__([plant.PEERS / "rsyslogd", "-n", "-f", conf, "-i", folder / "rsyslog.pid", *where], folder / "rsyslog.log")
        plant.wait_for(lambda: plant.port_listens(port), f"the collector listens\n{self.text()}")

    def kill(self):
        super().kill()
        (self.folder / "rsyslog.pid").unlink(missing_ok=True)

    def lines(self):
        return self.messages.read_text().splitlines() if self.messages.exists() else []


def parse(line):
    found = MESSAGE.fullmatch(line)
    assert found, line
    parameters = re.findall(r' ([a-z]+)="((?:[^"\\]|\\.)*)"', found["parameters"])
    return {**found.groupdict(), **{k: re.sub(r'\\(["\\\]])', r"\1", v) for k, v in parameters}}


def parsed(lines):
    return [parse(line) for line in lines]


class Works:
    def __init__(self, folder, started, options):
        self.folder, self.port = folder, plant.free_port()
        (folder / "isthmus.yaml").write_text(f"""
gateway: {{name: press-7}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 1s}}
tags:
  - {{path: area/level, device: plc, address: "holding:0"}}
services:
  - {{name: siem, module: syslog, address: "127.0.0.1:{self.port}", audit: all, reconnect_max: 500ms, {options}}}
""")
        self.gateway = started(plant.Gateway(folder))

    def act(self, reason):
        """Two entries of the audit."""
        for body in ({"inhibit": True, "reason": reason}, {"inhibit": False}):
            plant.wait_for(lambda body=body: self.post(body) != 503, "it is not too busy")

    def post(self, body):
        connection = plant.UnixConnection(self.gateway.socket, 30)
        try:
            connection.request("POST", "/api/v1/inhibit", json.dumps(body))
            reply = connection.getresponse()
            assert reply.status in (200, 503), reply.read()
            return reply.status
        finally:
            connection.close()

    def kill(self, name):
        os.kill(plant.wait_for(lambda: self.gateway.pids().get(name), f"{name} runs"), signal.SIGKILL)

    def entries(self):
        command = [plant.ISTHMUS, "audit", "list", self.gateway.state / "audit", "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)

    def wait_for_all(self, collector, what):
        """Until all that stands in the audit now has arrived; the messages, by number."""
        wanted = {str(e["number"]) for e in self.entries()}
        assert wanted == {str(n) for n in range(1, len(wanted) + 1)}

        def arrived():
            got = {m["number"]: m for m in parsed(collector.lines()) if "number" in m}
            return got if wanted <= got.keys() else None

        return plant.wait_for(arrived, f"{what}\n{self.gateway.process.text()}", 60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A root, and the collector's certificate."""
    folder = tmp_path_factory.mktemp("authority")
    pki(folder, "init", "root", "--name", "Works", typed=PASSPHRASE + "\n")
    enrol(folder, "siem", "gateway", "siem", "--names", NAME)
    return folder


def test_each_entry_is_a_message(authority, tmp_path, started):
    works = Works(tmp_path, started, f"tls_name: {NAME}, ca: {authority}/root/root.crt")
    collector = started(Collector(authority, works.port))
    works.act('grün "]\\ = x')
    got = works.wait_for_all(collector, "the collector has the whole audit")
    for e in (e for e in works.entries() if str(e["number"]) in got):
        m = got[str(e["number"])]
        assert (m["host"], m["app"], m["kind"]) == ("press-7", "isthmus", e["kind"].replace(" ", "-")), m
        assert m["time"] == e["time"][:26] + "Z", (m, e)
        for name in ("who", "where", "subject", "before", "after", "id"):
            assert m.get(name, "") == e.get(name, ""), (name, m, e)
        assert e.get("text", "") in m["text"]
    (told,) = [m for m in got.values() if m["kind"] == "inhibit-set"]
    assert told["pri"] == str(13 * 8 + 4) and 'grün "]\\ = x' in told["text"]
    plant.wait_for(lambda: "the audit reaches" in works.gateway.process.text(), "the collector says that it has read all")


def test_whoever_is_killed_loses_nothing(authority, tmp_path, started):
    works = Works(tmp_path, started, f"tls_name: {NAME}, ca: {authority}/root/root.crt, timeout: 2s")
    collector = started(Collector(authority, works.port))
    stop = threading.Event()
    failed = []

    def operate():
        n = 0
        while not stop.wait(0.01):
            n += 1
            try:
                works.act(f"round {n}")
            except Exception as e:  # noqa: BLE001
                failed.append(e)
                return

    def grows(collector):
        before = len(collector.lines())
        plant.wait_for(lambda: len(collector.lines()) > before, f"more arrives\n{works.gateway.process.text()}", 60)

    def goes_on():
        """A collector that takes nothing delays nothing."""
        before = len(works.entries())
        plant.wait_for(lambda: failed or len(works.entries()) > before + 40, "the gateway goes on", 60)
        assert not failed, failed

    thread = threading.Thread(target=operate)
    thread.start()
    try:
        for box_too in (True, True, False):
            grows(collector)
            os.kill(collector.pid, signal.SIGSTOP)
            goes_on()
            collector.kill()  # with what it had not read yet
            collector = started(Collector(authority, works.port))
            grows(collector)
            if box_too:
                works.kill("siem")
        grows(collector)
        os.kill(collector.pid, signal.SIGSTOP)
        goes_on()
        os.kill(collector.pid, signal.SIGCONT)
        grows(collector)
        works.kill("reader")
        grows(collector)
    finally:
        stop.set()
        thread.join()
    assert not failed, failed
    works.wait_for_all(collector, "each number has arrived")
    assert works.gateway.stop() == 0
    works.gateway.start()
    works.wait_for_all(collector, "those of the restart, too")
    assert not [m for m in parsed(collector.lines()) if m["kind"] == "audit-missing"]


def test_a_collector_that_is_not_trusted_gets_nothing(authority, tmp_path, started):
    other = tmp_path / "other"
    other.mkdir()
    pki(other, "init", "root", "--name", "Others", typed=PASSPHRASE + "\n")
    ca = tmp_path / "ca.crt"
    ca.write_bytes((other / "root/root.crt").read_bytes())
    works = Works(tmp_path, started, f"tls_name: {NAME}, ca: {ca}")
    before = authority / "messages.log"
    before.unlink(missing_ok=True)
    collector = started(Collector(authority, works.port))
    plant.wait_for(lambda: "name its root certificate" in works.gateway.process.text(), "the log says what to do")
    assert collector.lines() == []
    part = tmp_path / "part"
    part.write_bytes((authority / "root/root.crt").read_bytes())
    part.rename(ca)
    works.wait_for_all(collector, "it is trusted now")
    plant.wait_for(lambda: "the audit reaches" in works.gateway.process.text(), "the log says that it works")


def test_plain_tcp_is_for_loopback(tmp_path, started):
    works = Works(tmp_path, started, "tls: false")
    collector = started(Collector(tmp_path, works.port, tls=False))
    works.act("no TLS")
    works.wait_for_all(collector, "it arrives without TLS")
    text = (tmp_path / "isthmus.yaml").read_text()
    beyond = tmp_path / "beyond"
    beyond.mkdir()
    (beyond / "isthmus.yaml").write_text(text.replace(f"127.0.0.1:{works.port}", "192.0.2.1:6514"))
    done = subprocess.run([plant.ISTHMUS, "check", beyond], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "take tls: false away" in done.stdout, done
    (beyond / "isthmus.yaml").write_text(text.replace("audit: all, ", ""))
    done = subprocess.run([plant.ISTHMUS, "check", beyond], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "audit" in done.stdout, "nobody gives it away without saying so"


def test_a_collector_that_talks_without_end_is_left(tmp_path, started):
    """It has nothing to say; the service drops the connection, says why, and lives on."""
    works = Works(tmp_path, started, "tls: false")
    flooded, done = [], threading.Event()

    def flood(connection):
        try:
            while not done.is_set():
                connection.sendall(b"x" * 1_000_000)
        except OSError:
            flooded.append(connection)

    def serve(listener):
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=flood, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", works.port)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        pid = works.gateway.pids()["siem"]
        plant.wait_for(lambda: len(flooded) > 1, "it is left, and tried again", 60)
        plant.wait_for(lambda: "Message too long" in works.gateway.process.text(), "it says why")
        done.set()
        assert works.gateway.pids()["siem"] == pid
