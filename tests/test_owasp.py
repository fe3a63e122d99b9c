# SPDX-License-Identifier: Apache-2.0
"""OWASP's API Top 10, as far as it can be asked of every route: who has not signed in, each role, a cookie without its word. The routes
are those of the program's own table; test_http.py holds that table and docs/openapi.yaml together. Object level: test_zones.py."""

import http.client
import json
import re

import plant
import pytest

WORD = "a long enough password"
TABLE = re.compile(r'\{"(/[^"]*)", METHOD_(\w+), ACCESS_(\w+),\s*(RIGHT_\w+|0),')
ROUTES = TABLE.findall((plant.ROOT / "src/north/http/api.c").read_text())

# docs/identity.md, said once more: what each role may.
RIGHTS = {
    "viewer": "READ", "vendor": "READ", "operator": "READ COMMAND INHIBIT", "engineer": "READ COMMAND APPROVE BROWSE SQL INHIBIT OWN_OT",
    "custodian": "READ SQL OWN_IT", "security": "READ AUDIT INHIBIT",
    "administrator": "READ COMMAND APPROVE BROWSE SQL AUDIT ACCOUNTS INHIBIT OWN_OT OWN_IT",
}  # fmt: skip


class House:
    def __init__(self, folder):
        self.port = plant.free_port()
        (folder / "isthmus.yaml").write_text(f"""gateway: {{name: owasp}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}"}}
tags:
  - {{path: area/level, device: plc, address: "holding:0"}}
services:
  - {{name: closed, module: http, listen: "127.0.0.1:{self.port}", access: signed_in}}
""")
        self.gateway = plant.Gateway(folder)
        self.people = {}
        for role in RIGHTS:
            more = {"zones": "plant", "expires": "2099-01-01T00:00:00Z"} if role == "vendor" else {}
            connection = plant.UnixConnection(self.gateway.socket, 30)
            connection.request("POST", "/api/v1/accounts", json.dumps({"name": role, "role": role, "password": WORD, **more}))
            assert connection.getresponse().status == 200
            connection.close()
            self.sign_in(role)

    def sign_in(self, role):
        status, headers, body = self.ask("POST", "/api/v1/session", {"name": role, "password": WORD})
        assert status == 200, body
        self.people[role] = {"Cookie": headers["set-cookie"].partition(";")[0], "X-Isthmus-CSRF": json.loads(body)["csrf"]}

    def ask(self, method, path, body=None, headers=None):
        """The answer's beginning: a stream has no end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = json.dumps(body) if body is not None else "{}" if method == "POST" else None
            connection.request(method, path.replace("*", "nothing"), text, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, b"" if "stream" in path and reply.status == 200 else reply.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    h = House(tmp_path_factory.mktemp("owasp"))
    yield h
    h.gateway.stop()


def test_the_table_is_read_whole():
    assert len(ROUTES) >= 45 and {r[1] for r in ROUTES} == {"GET", "POST", "DELETE"}


@pytest.mark.parametrize("path, method, access, right", ROUTES, ids=[f"{r[1]} {r[0]}" for r in ROUTES])
def test_function_level_authorisation(house, path, method, access, right):
    status, _, body = house.ask(method, path)
    assert (status == 401) == (access in ("OPEN", "SIGNED") or (path == "/api/v1/session" and method == "POST" and status == 401)), body
    for role, rights in RIGHTS.items():
        if access == "FREE":
            continue
        status, _, body = house.ask(method, path, headers=house.people[role])
        allowed = right == "0" or right.removeprefix("RIGHT_") in rights.split()
        refused = status == 403 and b"Your role may not do this" in body
        assert status != 401 and refused != allowed, (role, status, body)
        if (path, method) == ("/api/v1/session", "DELETE"):
            house.sign_in(role)
    if method != "GET" and access == "SIGNED":  # a cookie comes along whoever made the browser send it
        cookie = {"Cookie": house.people["administrator"]["Cookie"]}
        assert house.ask(method, path, headers=cookie)[0] == 403


@pytest.mark.parametrize("path", ["/", "/console.js", "/openapi.yaml", "/api/v1/gateway", "/no/such/page"])
def test_every_answer_says_what_a_browser_may_do_with_it(house, path):
    _, headers, _ = house.ask("GET", path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe-inline" not in policy and "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] or "frame-ancestors 'none'" in policy
