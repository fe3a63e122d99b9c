# SPDX-License-Identifier: Apache-2.0
"""The island: one command cuts every connection to the north, and nothing else; a broker that nobody here wrote watches."""

import http.client
import json
import os
import re
import signal
import subprocess
import time

import plant
import pytest
from test_sparkplug import Observer, publish, samples

LEVEL = "works/level"


class Works:
    def __init__(self, folder, started):
        self.folder = folder
        device, self.broker_port, self.local = (plant.free_port() for _ in range(3))
        started(plant.modbus_units(folder, device, "--size", "20", "--set", "0:1"))
        self.broker = started(plant.mosquitto(folder, self.broker_port))
        (folder / "isthmus.yaml").write_text(f"""
gateway: {{name: works}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{device}", period: 50ms}}
tags:
  - {{path: {LEVEL}, device: plc, address: "holding:0"}}
services:
  - {{name: cloud, module: sparkplug, address: "127.0.0.1:{self.broker_port}", group: plant, node: line}}
  - {{name: console, module: http, listen: "127.0.0.1:{self.local}"}}
contracts:
  - {{name: levels, service: cloud, tags: ["{LEVEL}"], owner: operations, custodian: it, purpose: trial}}
""")
        self.observer = started(Observer(folder, self.broker_port))
        self.gateway = started(plant.Gateway(folder))

    def island(self, *arguments):
        environment = {"PATH": "/usr/bin:/bin", "ISTHMUS_SOCKET": str(self.gateway.socket)}
        command = [plant.ISTHMUS, "island", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    def state(self, name):
        reply = self.gateway.try_get("/api/v1/processes")
        return next((p["state"] for p in reply["processes"] if p["name"] == name), None) if reply else None

    def arrived(self):
        return set(samples(self.observer.messages()).get(LEVEL, {}))

    def http(self, method, path, body=None, headers=None, local=False):
        connection = plant.UnixConnection(self.gateway.socket) if local else http.client.HTTPConnection("127.0.0.1", self.local, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, json.loads(reply.read())
        finally:
            connection.close()

    def settled(self):
        """What has arrived when all that the broker took before is with the observer."""
        probe = f"probe/settled{time.monotonic_ns()}"
        publish(self.broker_port, probe, b"x")
        plant.wait_for(lambda: f"{probe} " in self.observer.raw.read_text(), "the observer is up to date")
        return self.arrived()

    def connections(self):
        """How often the broker took the gateway's node, and how often it saw it go."""
        log = (self.folder / "mosquitto.log").read_text()
        came = re.findall(r"New client connected .* as (isthmus\S*)", log)
        return len(came), sum(len(re.findall(rf"Client {re.escape(c)} (?:closed|disconnected)", log)) for c in set(came))

    def journaled(self):
        return self.gateway.get("/api/v1/ledger")["total"]["journaled"]

    def feed(self):
        (feed,) = self.gateway.get("/api/v1/feeds")["feeds"]
        return feed

    def audited(self):
        done = subprocess.run(
            [plant.ISTHMUS, "audit", "list", self.gateway.state / "audit", "--json"], capture_output=True, text=True, timeout=30, check=True
        )
        return [e for e in json.loads(done.stdout) if e["kind"].startswith("island")]


@pytest.fixture
def works(tmp_path, started):
    return Works(tmp_path, started)


def test_one_command_cuts_the_north_and_nothing_else(works):
    plant.wait_for(works.arrived, "values arrive")
    assert works.connections() == (1, 0) and works.island()[1]["services_outside"] == 1
    status, told = works.island("on", "--reason", "incident 4711")
    assert status == 0 and told["island"] is True and told["services_outside"] == 0 and "incident 4711" in told["reason"]
    plant.wait_for(lambda: works.connections() == (1, 1), "the broker sees it go")
    plant.wait_for(lambda: works.state("cloud") == "cut" and works.state("console") == "running", "only that is cut")
    before, taken = works.journaled(), works.settled()
    plant.wait_for(lambda: works.journaled() > before + 20, "collection goes on")
    assert works.settled() == taken and works.connections() == (1, 1)

    assert works.gateway.stop() == 0
    works.gateway.start()
    plant.wait_for(lambda: works.state("cloud") == "cut", "a restart keeps it")
    before = works.journaled()
    plant.wait_for(lambda: works.journaled() > before + 20, "collection goes on")
    assert works.settled() == taken and works.connections() == (1, 1)

    assert works.island("off")[0] == 0
    plant.wait_for(lambda: works.connections()[0] == 2, "it comes back")

    cut = works.journaled()
    feed = plant.wait_for(lambda: (f := works.feed())["delivered"] >= cut and f, "what was journaled on the island is delivered", 60)
    assert feed["balanced"] and feed["gaps"] == 0 and works.gateway.get("/api/v1/ledger")["total"]["balanced"]
    plant.wait_for(lambda: len(works.arrived()) >= feed["delivered"], "all of it has arrived")
    who = [(e["kind"], e["who"].partition(":")[0], e.get("text", "")) for e in works.audited()]
    assert who == [("island set", "local", "incident 4711"), ("island cleared", "local", "")]


def test_a_file_does_it_too_and_the_north_ends_neither(works):
    plant.wait_for(works.arrived, "values arrive")
    (works.gateway.state / "island").touch()
    plant.wait_for(lambda: works.state("cloud") == "cut", "the file cuts")
    plant.wait_for(lambda: "the file 'island'" in works.island()[1]["reason"], "it is told why")
    status, told = works.island("off")
    assert status == 0 and told["island"] is True, "a command does not take the file away"
    (works.gateway.state / "island").unlink()
    plant.wait_for(lambda: works.connections()[0] == 2, "it comes back")


def test_who_may_inhibit_sets_it_from_anywhere_and_ends_it_nowhere_else(works):
    plant.wait_for(works.arrived, "values arrive")
    word = "a long enough word of hers"
    assert works.http("POST", "/api/v1/accounts", {"name": "ada", "role": "operator", "password": word}, local=True)[0] == 200
    assert works.http("POST", "/api/v1/island", {"island": True})[0] == 401
    status, headers, facts = works.http("POST", "/api/v1/session", {"name": "ada", "password": word})
    ada = {"Cookie": headers["set-cookie"].partition(";")[0], "X-Isthmus-CSRF": facts["csrf"]}
    assert works.http("POST", "/api/v1/island", {"island": True, "reason": "odd traffic"}, ada)[2]["island"] is True
    plant.wait_for(lambda: works.connections() == (1, 1), "the broker sees it go")
    status, _, said = works.http("POST", "/api/v1/island", {"island": False}, ada)
    assert status == 403 and "isthmus island off" in said["detail"]
    status, _, said = works.http("GET", "/api/v1/island")
    assert status == 200 and said["island"] is True and "user:ada: odd traffic" in said["reason"]
    assert works.island("off")[0] == 0
    plant.wait_for(lambda: works.connections()[0] == 2, "it comes back")


def test_what_nobody_knows_is_cut(works):
    plant.wait_for(works.arrived, "values arrive")
    assert works.gateway.stop() == 0
    (works.gateway.state / "keys/audit.pem").chmod(0o644)
    works.gateway.start()
    plant.wait_for(lambda: works.state("cloud") == "cut", "it is not known whether it was set")
    before = works.journaled()
    plant.wait_for(lambda: works.journaled() > before + 20, "collection goes on")
    assert "the audit can't be read" in works.island()[1]["reason"] and works.island("off")[0] == 1
    assert works.gateway.stop() == 0
    (works.gateway.state / "keys/audit.pem").chmod(0o600)
    works.gateway.start()
    plant.wait_for(lambda: works.connections()[0] == 2, "it comes back")


def test_a_hanging_engine_does_not_stop_the_cut(works):
    plant.wait_for(works.arrived, "values arrive")
    engine = works.gateway.pids()["engine"]
    os.kill(engine, signal.SIGSTOP)
    (works.gateway.state / "island").touch()
    plant.wait_for(lambda: works.connections() == (1, 1), "the broker sees it go")
    os.kill(engine, signal.SIGCONT)
