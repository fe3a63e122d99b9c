# SPDX-License-Identifier: Apache-2.0
"""Who may sign in, for how long, and who may not, as a whole program: people, tokens, and the first administrator's link."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import time

import plant
import pytest
from browser import User
from test_http import DOCUMENT, faults

pytestmark = pytest.mark.sanitizer

WORD = "a horse counts to eight"


class House(plant.Gateway):
    """A gateway with a console that answers reads, and one that wants a session for them."""

    source = "127.0.1.1"  # from where it is asked

    def __init__(self, folder, **environment):
        self.ports = {"console": plant.free_port(), "closed": plant.free_port()}
        (folder / "isthmus.yaml").write_text(
            f"""gateway: {{name: identity-test}}
zones:
  - {{name: line-1}}
  - {{name: line-2}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 1s, zone: line-1}}
tags:
  - {{path: area/level, device: plc, address: "holding:0"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{self.ports['console']}"}}
  - {{name: closed, module: http, listen: "127.0.0.1:{self.ports['closed']}", access: signed_in}}
"""
        )
        super().__init__(folder, **environment)

    def ask(self, method, path, body=None, port="console", **headers):
        """(status, headers, answer) over TCP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=20, source_address=(self.source, 0))
        try:
            text = json.dumps(body) if body is not None else "" if method == "POST" else None
            connection.request(method, path, text, {k.replace("_", "-"): v for k, v in headers.items()})
            reply = connection.getresponse()
            data = reply.read()
            return reply.status, reply.headers, json.loads(data)
        finally:
            connection.close()

    def local(self, method, path, body=None):
        """(status, answer) over the local socket."""
        connection = plant.UnixConnection(self.socket, 20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else "" if method == "POST" else None)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def link(self):
        """The newest link on the gateway's log."""
        return plant.wait_for(lambda: re.findall(r"/#enrol/([0-9a-f]{32})$", self.process.text(), re.M), "a link")[-1]

    def add(self, name, role, **more):
        status, answer = self.local("POST", "/api/v1/accounts", {"name": name, "role": role, "password": WORD, **more})
        assert status == 200, answer
        return answer


class Person:
    """Somebody with a browser: cookie and csrf."""

    def __init__(self, house, name, port="console", password=WORD, **more):
        self.house, self.port = house, port
        status, headers, self.facts = house.ask("POST", "/api/v1/session", {"name": name, "password": password, **more}, port)
        assert status == 200, self.facts
        self.set_cookie = headers["set-cookie"]
        self.cookie = self.set_cookie.partition(";")[0]
        self.csrf = self.facts["csrf"]

    def ask(self, method, path, body=None, csrf=True, **headers):
        more = {"X_Isthmus_CSRF": self.csrf} if csrf and method != "GET" else {}
        return self.house.ask(method, path, body, self.port, Cookie=self.cookie, **more, **headers)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("identity"))
    house.first_link = house.link()
    yield house
    house.stop()


@pytest.fixture(autouse=True)
def another_caller(house):
    """Each test calls from an address of its own, lest the failures of one slow the next."""
    network, _, number = house.source.rpartition(".")
    house.source = f"{network}.{int(number) + 1}"


def test_the_first_administrator_enrols_by_the_link_and_nobody_after(house):
    enrol = {"link": house.first_link, "name": "root", "password": WORD}
    assert house.ask("POST", "/api/v1/enrol", {**enrol, "link": "0" * 32})[0] == 403
    assert house.ask("POST", "/api/v1/enrol", {**enrol, "password": "short"})[0] == 422
    status, headers, facts = house.ask("POST", "/api/v1/enrol", enrol)
    assert status == 200 and facts["name"] == "root" and facts["role"] == "administrator" and "set-cookie" in headers
    assert house.ask("POST", "/api/v1/enrol", {**enrol, "name": "second"})[0] == 403
    assert house.local("POST", "/api/v1/enrol/link")[0] == 422
    assert Person(house, "root").facts["rights"]
    file = house.state / "identity" / "accounts"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert WORD.encode() not in file.read_bytes() and b"$argon2id$v=19$m=19456,t=2,p=1$" in file.read_bytes()


def test_a_session_knows_who_it_is_until_it_is_signed_out(house):
    house.add("ada", "operator", zones="line-1")
    ada = Person(house, "ada")
    assert re.search(r"^isthmus-\d+=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Strict$", ada.set_cookie)
    status, _, facts = ada.ask("GET", "/api/v1/session")
    assert status == 200 and facts["csrf"] == ada.csrf
    assert (facts["name"], facts["kind"], facts["role"], facts["zones"]) == ("ada", "person", "operator", ["line-1"])
    assert facts["rights"] == ["read", "command", "inhibit"] and facts["idle_s"] == 1800 and 43000 < facts["ends_in_s"] <= 43200
    assert house.ask("GET", "/api/v1/session")[0] == 401
    assert ada.ask("GET", "/api/v1/session", Host=f"127.0.0.1:{house.ports['console']}")[0] == 200
    status, headers, _ = ada.ask("DELETE", "/api/v1/session")
    assert status == 200 and "Max-Age=0" in headers["set-cookie"]
    assert ada.ask("GET", "/api/v1/session")[0] == 401


def test_answers_are_as_described(house):
    root = Person(house, "root")
    status, made = house.local("POST", "/api/v1/tokens", {"name": "described", "role": "viewer", "expires": soon(60)})
    schemas = DOCUMENT["components"]["schemas"]
    assert status == 200 and not faults(made, schemas["Made"]) and not faults(house.add("dot", "viewer", totp=True), schemas["Made"])
    for path, schema in (("session", "Session"), ("accounts", "Accounts"), ("tokens", "Tokens")):
        for answer in (root.ask("GET", f"/api/v1/{path}")[2], house.local("GET", f"/api/v1/{path}")[1]):
            assert not faults(answer, schemas[schema])
    for wrong in ({}, [], {"name": "x"}, {"name": 1, "password": "x"}, {"name": "x" * 64, "password": "x"}, {"name": "x", "password": "x", "y": "z"}):
        status, _, problem = house.ask("POST", "/api/v1/session", wrong)
        assert status == 400 and not faults(problem, schemas["Problem"])


def test_what_is_wrong_is_never_told(house):
    house.add("bea", "viewer")
    answers = [house.ask("POST", "/api/v1/session", {"name": name, "password": "x" + WORD}) for name in ("bea", "nobody")]
    assert answers[0][0] == 401 and answers[0][2] == answers[1][2]
    assert "set-cookie" not in answers[0][1] and answers[0][1]["www-authenticate"] == "Bearer"


def test_guessing_is_slowed(house):
    house.add("cid", "viewer")
    replies = [house.ask("POST", "/api/v1/session", {"name": "cid", "password": f"guess number {i}"}) for i in range(6)]
    assert [r[0] for r in replies] == [401] * 5 + [429]
    assert int(replies[-1][1]["retry-after"]) >= 1
    assert house.ask("POST", "/api/v1/session", {"name": "cid", "password": WORD})[0] == 429, "though it is right"
    assert Person(house, "root"), "others are not kept waiting"
    plant.wait_for(lambda: house.ask("POST", "/api/v1/session", {"name": "cid", "password": WORD})[0] == 200, "its turn comes")


def test_a_planted_session_is_worth_nothing(house):
    """Session fixation: the id is new with each sign-in, whatever the browser had before."""
    planted = f"isthmus-{house.ports['console']}=" + "5" * 32
    status, headers, _ = house.ask("POST", "/api/v1/session", {"name": "root", "password": WORD}, Cookie=planted)
    assert status == 200 and headers["set-cookie"].partition(";")[0] != planted
    assert house.ask("GET", "/api/v1/session", Cookie=planted)[0] == 401
    first, second = Person(house, "root"), Person(house, "root")
    assert first.cookie != second.cookie and first.csrf != second.csrf
    again = house.ask("POST", "/api/v1/session", {"name": "root", "password": WORD}, Cookie=first.cookie)
    assert again[1]["set-cookie"].partition(";")[0] not in (first.cookie, second.cookie)


def test_a_change_needs_the_sessions_word(house):
    """Cross-site request forgery: the cookie alone changes nothing."""
    root, other = Person(house, "root"), Person(house, "root")
    body = {"name": "mallory", "role": "administrator", "password": WORD}
    for headers in ({}, {"X_Isthmus_CSRF": other.csrf}, {"X_Isthmus_CSRF": root.csrf[:-1]}, {"X_Isthmus_CSRF": root.csrf + "0"}):
        status, _, problem = root.ask("POST", "/api/v1/accounts", body, csrf=False, **headers)
        assert status == 403 and "X-Isthmus-CSRF" in problem["detail"]
    assert root.ask("DELETE", "/api/v1/session", csrf=False)[0] == 403
    assert root.ask("POST", "/api/v1/accounts", body, Origin="http://evil.example")[0] == 403
    assert "mallory" not in {a["name"] for a in root.ask("GET", "/api/v1/accounts")[2]["accounts"]}
    assert root.ask("GET", "/api/v1/session")[0] == 200


def test_only_administrators_see_and_change_accounts(house):
    house.add("dan", "engineer")
    dan, root = Person(house, "dan"), Person(house, "root")
    routes = [("GET", "accounts"), ("POST", "accounts"), ("POST", "accounts/root"), ("DELETE", "accounts/root"), ("GET", "tokens"),
              ("POST", "tokens"), ("DELETE", "tokens/x"), ("POST", "enrol/link")]  # fmt: skip
    for method, route in routes:
        body = {} if method == "POST" else None
        assert dan.ask(method, f"/api/v1/{route}", body)[0] == 403
        assert house.ask(method, f"/api/v1/{route}", body)[0] == 401
    accounts = {a["name"]: a for a in root.ask("GET", "/api/v1/accounts")[2]["accounts"]}
    assert accounts["dan"]["role"] == "engineer" and accounts["dan"]["sessions"] == 1 and accounts["dan"]["open"]


def test_changes_end_sessions(house):
    house.add("eva", "viewer")
    eva, other, root = Person(house, "eva"), Person(house, "eva"), Person(house, "root")
    assert eva.ask("POST", "/api/v1/session/password", {"password": "wrong", "new_password": WORD + "!"})[0] == 401
    status, headers, facts = eva.ask("POST", "/api/v1/session/password", {"password": WORD, "new_password": WORD + "!"})
    assert status == 200 and facts["name"] == "eva"
    assert eva.ask("GET", "/api/v1/session")[0] == other.ask("GET", "/api/v1/session")[0] == 401
    eva.cookie = headers["set-cookie"].partition(";")[0]
    assert eva.ask("GET", "/api/v1/session")[0] == 200
    assert root.ask("POST", "/api/v1/accounts/eva", {"password": WORD})[0] == 200
    assert eva.ask("GET", "/api/v1/session")[0] == 401
    eva = Person(house, "eva")
    assert root.ask("DELETE", "/api/v1/accounts/eva")[0] == 200
    assert eva.ask("GET", "/api/v1/session")[0] == 401
    assert root.ask("DELETE", "/api/v1/accounts/eva")[0] == 404


def test_an_invited_person_chooses_the_password(house):
    root = Person(house, "root")
    kim = {"name": "kim", "role": "operator", "zones": "line-1"}
    for body in (kim, {**kim, "password": WORD, "invite": True}, {**kim, "invite": False}, {**kim, "invite": True, "totp": True}):
        assert root.ask("POST", "/api/v1/accounts", body)[0] == 422, body
    status, _, made = root.ask("POST", "/api/v1/accounts", {**kim, "invite": True})
    assert status == 200 and not faults(made, DOCUMENT["components"]["schemas"]["Made"])
    link = re.fullmatch(rf"http://127.0.0.1:{house.ports['console']}/#join/kim/([0-9a-f]{{32}})", made["link"])[1]
    join = {"link": link, "name": "kim", "password": WORD}
    assert house.ask("POST", "/api/v1/enrol", {**join, "name": "root"})[0] == 403, "it is another's"
    assert house.ask("POST", "/api/v1/enrol", {**join, "password": "short"})[0] == 422
    status, _, facts = house.ask("POST", "/api/v1/enrol", join)
    assert status == 200 and (facts["name"], facts["role"], facts["zones"]) == ("kim", "operator", ["line-1"])
    assert house.ask("POST", "/api/v1/enrol", join)[0] == 403, "it is good once"
    kim = Person(house, "kim")
    (row,) = [a for a in root.ask("GET", "/api/v1/accounts")[2]["accounts"] if a["name"] == "kim"]
    assert row["sessions"] == 2 and "last_sign_in" in row and not row["disabled"] and row["slowed_s"] == 0
    assert root.ask("POST", "/api/v1/accounts/kim", {"disable": True})[0] == 200
    assert kim.ask("GET", "/api/v1/session")[0] == 401
    assert house.ask("POST", "/api/v1/session", {"name": "kim", "password": WORD})[0] == 401
    (row,) = [a for a in root.ask("GET", "/api/v1/accounts")[2]["accounts"] if a["name"] == "kim"]
    assert row["disabled"] and not row["open"] and row["sessions"] == 0
    assert root.ask("POST", "/api/v1/accounts/kim", {"enable": True})[0] == 200
    assert Person(house, "kim")
    for body in ({}, {"enable": True, "disable": True}, {"invite": True, "password": WORD}):
        assert root.ask("POST", "/api/v1/accounts/kim", body)[0] == 422, body
    assert root.ask("POST", "/api/v1/accounts/kim", {"invite": True})[0] == 200
    assert house.ask("POST", "/api/v1/session", {"name": "kim", "password": WORD})[0] == 401, "nobody knows it now"


def test_the_page_of_accounts(house):
    """An administrator makes an account; whose it is comes by the link and chooses the password; the administrator shuts it again."""
    root, lou = User(house.ports["closed"], house.folder), User(house.ports["closed"], house.folder)
    try:
        root.open(1440, 900, "light", "sign-in")
        assert root.form({"name": "root", "password": WORD}) == "root administrator"
        root.page("accounts")
        root.fill("Name", "lou")
        root.fill("Zones", "line-1")
        root.button("Make the account")
        root.text("it is shown this once")
        link = root.read(".told code")
        root.picture("accounts")
        assert root.measure()["overflow"] <= 0
        lou.open(390, 844, "dark", link.partition("#")[2])
        assert lou.form({"password": WORD, "again": WORD}) == "lou viewer, line-1"
        lou.page("plant")
        assert "Accounts" not in lou.read("nav")
        lou.open(390, 844, "dark", "accounts")
        root.table_has("Accounts", ["lou", "viewer", "line-1", "open"])
        root.button("Disable lou")
        root.button("Really: Disable lou")
        root.text("lou: disabled, and signed out.")
        root.table_has("Accounts", ["lou", "disabled"])
        assert house.ask("POST", "/api/v1/session", {"name": "lou", "password": WORD}, "closed")[0] == 401
        root.button("Remove lou")
        root.button("Really: Remove lou")
        root.text("lou: removed, and signed out.")
        root.resize(390, 844)
        root.picture("accounts-narrow")
        assert root.measure()["overflow"] <= 0
        assert all("401" in c or "WebSocket" in c for c in root.complaints())
    finally:
        root.end()
        lou.end()


def code(secret, at):
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(at) // 30), hashlib.sha1).digest()
    return f"{(struct.unpack('>I', digest[digest[19] & 15:][:4])[0] & 0x7FFFFFFF) % 1000000:06}"


def test_a_second_factor(house):
    secret = house.add("fay", "viewer", totp=True)["totp_secret"]
    body = {"name": "fay", "password": WORD}
    assert house.ask("POST", "/api/v1/session", body)[0] == 401
    good = code(secret, time.time())
    assert house.ask("POST", "/api/v1/session", {**body, "totp": f"{(int(good) + 1) % 1000000:06}"})[0] == 401
    assert house.ask("POST", "/api/v1/session", {**body, "totp": good})[0] == 200
    assert house.ask("POST", "/api/v1/session", {**body, "totp": good})[0] == 401, "a code counts once"


def soon(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_a_vendor_is_a_guest(house):
    vendor = {"name": "oem", "role": "vendor", "password": WORD}
    for more in ({}, {"zones": "line-1"}, {"expires": soon(60)}, {"zones": "line-3", "expires": soon(60)}, {"zones": "line-1", "expires": soon(-60)}):
        assert house.local("POST", "/api/v1/accounts", {**vendor, **more})[0] == 422
    house.local("POST", "/api/v1/accounts", {**vendor, "zones": "line-1", "expires": soon(4)})
    oem = Person(house, "oem")
    assert oem.facts["ends_in_s"] <= 4
    plant.wait_for(lambda: oem.ask("GET", "/api/v1/session")[0] == 401, "the guest's time is over")
    assert house.ask("POST", "/api/v1/session", {"name": "oem", "password": WORD})[0] == 401


def test_tokens(house):
    status, made = house.local("POST", "/api/v1/tokens", {"name": "mes", "role": "viewer", "expires": soon(3600), "from": "127.0.0.0/8"})
    assert status == 200 and re.fullmatch(r"isthmus_[0-9a-f]{64}", made["token"])
    bearer = {"Authorization": f"Bearer {made['token']}"}
    status, headers, facts = house.ask("GET", "/api/v1/session", **bearer)
    assert status == 200 and (facts["name"], facts["kind"], facts["role"]) == ("mes", "token", "viewer")
    assert house.ask("GET", "/api/v1/now", port="closed", **bearer)[0] == 200
    assert house.ask("GET", "/api/v1/now", port="closed", Authorization=f"Bearer {made['token'][:-1]}x")[0] == 401
    assert house.ask("GET", "/api/v1/accounts", **bearer)[0] == 403
    assert made["token"].encode() not in (house.state / "identity" / "accounts").read_bytes()
    assert bytes.fromhex(made["token"][8:]) not in (house.state / "identity" / "accounts").read_bytes()
    (listed,) = [t for t in house.local("GET", "/api/v1/tokens")[1]["tokens"] if t["name"] == "mes"]
    assert listed["from"] == "127.0.0.0/8" and listed["maker"] == f"local:{os.getuid()}" and "token" not in listed
    far = house.local("POST", "/api/v1/tokens", {"name": "far", "role": "viewer", "expires": soon(3600), "from": "10.0.0.0/8"})[1]
    assert house.ask("GET", "/api/v1/session", Authorization=f"Bearer {far['token']}")[0] == 401
    assert house.local("DELETE", "/api/v1/tokens/mes")[0] == 200
    assert house.ask("GET", "/api/v1/session", **bearer)[0] == 401


def test_a_service_may_want_a_session_for_reading(house):
    for path in ("now", "tags", "devices", "history?tag=area/level", "stream", "journal"):
        status, _, problem = house.ask("GET", f"/api/v1/{path}", port="closed")
        assert status == 401 and problem["detail"], path
    assert house.ask("POST", "/api/v1/sql", {"sql": "SELECT 1"}, port="closed")[0] == 401
    assert house.ask("GET", "/api/v1/health/live", port="closed")[0] == 200
    root = Person(house, "root", "closed")
    assert root.ask("GET", "/api/v1/now")[0] == root.ask("GET", "/api/v1/tags")[0] == 200
    assert house.ask("GET", "/api/v1/now", Cookie=root.cookie, port="console")[0] == 200, "an open one looks at no cookie"
    elsewhere = root.cookie.replace(str(house.ports["closed"]), str(house.ports["console"]))
    assert house.ask("GET", "/api/v1/session", Cookie=elsewhere)[0] == 401, "a session belongs to the box that it began in"
    house.add("gus", "viewer")
    gus = Person(house, "gus", "closed")
    assert gus.ask("GET", "/api/v1/tags")[0] == 200 and gus.ask("GET", "/api/v1/browse?device=plc")[0] == 403


def cli(house, *words, typed=None):
    return subprocess.run(
        [plant.ISTHMUS, *words, "--socket", house.socket], capture_output=True, text=True, input=typed, timeout=30,
        stdin=subprocess.DEVNULL if typed is None else None,
    )  # fmt: skip


def test_accounts_from_the_command_line(house):
    assert cli(house, "user", "enrol").returncode == 1, "there is an administrator"
    made = cli(house, "user", "add", "hal", "--role", "operator", "--zones", "line-2", typed=f"{WORD}\n")
    assert made.returncode == 0 and made.stdout == "'hal' is there\n", made.stderr
    row = re.search(r"^hal +operator +line-2 +open +- +no$", cli(house, "user", "list").stdout, re.M)
    assert row and "hal" in {a["name"] for a in json.loads(cli(house, "user", "list", "--json").stdout)["accounts"]}
    assert Person(house, "hal").facts["zones"] == ["line-2"]
    again = cli(house, "user", "add", "hal", "--role", "operator", typed=f"{WORD}\n")
    assert again.returncode == 1 and again.stderr
    changed = cli(house, "user", "password", "hal", "--totp", "--json", typed=f"{WORD}?\n")
    secret = json.loads(changed.stdout)["totp_secret"]
    assert house.ask("POST", "/api/v1/session", {"name": "hal", "password": WORD + "?"})[0] == 401
    assert Person(house, "hal", password=WORD + "?", totp=code(secret, time.time()))
    assert cli(house, "user", "remove", "hal").returncode == 0 and cli(house, "user", "remove", "hal").returncode == 1
    for wrong in ((), ("add",), ("add", "x"), ("list", "x"), ("nonsense",), ("remove",), ("remove", "x", "--totp"), ("add", "x", "y", "z")):
        assert cli(house, "user", *wrong).returncode == 2, wrong
    assert cli(house, "user", "add", "x", "--role", "viewer").returncode == 1, "no password"
    assert cli(house, "user", "add", "x", "--role", "king", typed=f"{WORD}\n").returncode == 1


def test_tokens_from_the_command_line(house):
    made = cli(house, "token", "add", "scada", "--role", "viewer", "--until", soon(600), "--from", "127.0.0.0/8")
    assert made.returncode == 0 and re.fullmatch(r"isthmus_[0-9a-f]{64}\n", made.stdout), made.stderr
    assert house.ask("GET", "/api/v1/session", Authorization=f"Bearer {made.stdout.strip()}")[0] == 200
    assert re.search(r"^scada +viewer +all +open +\S+Z +127\.0\.0\.0/8$", cli(house, "token", "list").stdout, re.M)
    assert cli(house, "token", "revoke", "scada").returncode == 0 and cli(house, "token", "revoke", "scada").returncode == 1
    for wrong in ((), ("add", "x", "--role", "viewer"), ("add", "x", "--until", "x"), ("revoke",), ("list", "--totp")):
        assert cli(house, "token", *wrong).returncode == 2, wrong


def test_a_stream_ends_with_its_session(house):
    root = Person(house, "root", "closed")
    with socket.create_connection(("127.0.0.1", house.ports["closed"]), timeout=20) as s:
        head = f"GET /api/v1/stream?mode=latest HTTP/1.1\r\nHost: 127.0.0.1:{house.ports['closed']}\r\nCookie: {root.cookie}\r\n\r\n"
        s.sendall(head.encode())
        assert s.recv(12) == b"HTTP/1.1 200"
        assert root.ask("DELETE", "/api/v1/session")[0] == 200
        while s.recv(65536):
            pass  # until the gateway hangs up; a stream would wait for ever


def test_the_audit_has_it_all(house):
    house.add("jon", "viewer")
    jon = Person(house, "jon")
    assert house.ask("POST", "/api/v1/session", {"name": "jon", "password": "not the password"})[0] == 401
    jon.ask("DELETE", "/api/v1/session")

    def told():
        command = [plant.ISTHMUS, "audit", "list", house.folder, "--json"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, env=house.environment)
        entries = [e for e in json.loads(listed.stdout) if "jon" in e.get("who", "") + e.get("subject", "")]
        return [(e["kind"], e.get("who", "")) for e in entries] == [
            ("account changed", f"local:{os.getuid()}"), ("sign-in", "user:jon"), ("sign-in failed", ""), ("session ended", "user:jon")]  # fmt: skip

    plant.wait_for(told, "the audit tells")


def test_signing_in_with_a_browser(house):
    """The first administrator by the link, sign-out, sign-in with a code; a console that shows nothing before."""
    house.add("ina", "engineer", zones="line-1")
    for port in ("closed", "console"):
        user = User(house.ports[port], house.folder)
        try:
            user.open(1200, 800, "light", "plant" if port == "closed" else "sign-in")
            if port == "closed":
                user.text("only to who has signed in")
                assert not user.measure()["overflow"] > 0
            assert "wrong" in user.form({"name": "ina", "password": "a wrong password"})
            assert user.form({"name": "ina", "password": WORD}) == "ina engineer, line-1"
            user.search("level")
            cookie, = user.cookies()
            assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
            user.page("sql")
            assert user.sql("SELECT count(*) FROM tags")["rows"] == [["1"]]
            user.reload()
            assert user.who(True).startswith("ina engineer")
            user.button("Sign out")
            assert user.who(False) == "Sign in"
            user.text("only to who has signed in" if port == "closed" else "Ctrl+Enter runs it")
            # the browser notes what is refused; nothing else
            assert all("401" in c or "WebSocket" in c for c in user.complaints())
        finally:
            user.end()


def test_identity_as_documented(house):
    text = (plant.ROOT / "docs/identity.md").read_text()
    typed = [re.split(r"  +", line)[0] for line in text.splitlines() if line.startswith("isthmus ")]
    assert len(typed) == 8
    for name in ("ada", "oem"):
        cli(house, "user", "remove", name)
    for line in typed:
        words = re.sub(r"2027-\d\d-\d\dT00:00:00Z", soon(600), line).split()[1:]
        done = cli(house, *words, typed=f"{WORD}\n")
        assert done.returncode == 0, (line, done)


def test_the_local_socket_is_an_administrator(house):
    status, facts = house.local("GET", "/api/v1/session")
    assert status == 200 and (facts["name"], facts["kind"], facts["role"]) == (f"local:{os.getuid()}", "local", "administrator")


def restarted(house, name, before):
    return house.pids().get(name) not in (None, before) and house.try_get("/api/v1/health/ready")


def test_sessions_survive_their_boxes(house):
    """The table is shared memory: neither a killed service nor a killed identity or engine signs anybody out."""
    root = Person(house, "root")
    for name in ("console", "identity", "engine"):
        before = house.pids()[name]
        os.kill(before, signal.SIGKILL)
        plant.wait_for(lambda: restarted(house, name, before), f"{name} is back")

        def known():
            try:
                return root.ask("GET", "/api/v1/session")[0] == 200
            except OSError:
                return False

        plant.wait_for(known, f"the session after {name} was killed")
    assert not re.search(r"nobody can sign in yet", house.process.text().split("console and API")[-1])


def test_a_restart_of_the_gateway_ends_all_sessions_and_keeps_the_accounts(house):
    root = Person(house, "root")
    assert house.stop() == 0
    house.start()
    assert root.ask("GET", "/api/v1/session")[0] == 401
    assert Person(house, "root").ask("GET", "/api/v1/session")[0] == 200
    assert "#enrol/" not in house.process.text().partition(house.first_link)[2].partition("\n")[2].rpartition(house.first_link)[2]


def test_a_damaged_file_is_named_and_never_taken_for_an_empty_one(tmp_path):
    house = House(tmp_path)
    try:
        user = User(house.ports["console"], tmp_path)
        try:
            user.open(390, 844, "dark", f"enrol/{house.link()}")
            assert "differ" in user.form({"name": "nora", "password": WORD, "again": WORD + "x"})
            user.picture("enrol")
            assert user.form({"name": "nora", "password": WORD, "again": WORD}) == "nora administrator"
            user.search("level")
            assert user.complaints() == []
        finally:
            user.end()
        assert cli(house, "user", "remove", "nora").returncode == 0
        link = cli(house, "user", "enrol")
        assert re.fullmatch(rf"http://127\.0\.0\.1:{house.ports['console']}/#enrol/[0-9a-f]{{32}}\n", link.stdout)
        assert house.ask("POST", "/api/v1/enrol", {"link": house.link(), "name": "root", "password": WORD})[0] == 403, "an older link"
        body = {"link": link.stdout.strip().rpartition("/")[2], "name": "root", "password": WORD}
        assert house.ask("POST", "/api/v1/enrol", body)[0] == 200
        assert house.stop() == 0
        file = house.state / "identity" / "accounts"
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        links = house.process.text().count("#enrol/")
        house.start()
        plant.wait_for(lambda: f"{file}: checksum does not match" in house.process.text(), "the file is named")
        status, _, problem = house.ask("POST", "/api/v1/session", {"name": "root", "password": WORD})
        assert status == 503 and "identity/accounts" in problem["detail"]
        assert house.local("POST", "/api/v1/accounts", {"name": "eve", "role": "administrator", "password": WORD})[0] == 503
        assert house.local("POST", "/api/v1/enrol/link")[0] == 503
        assert house.process.text().count("#enrol/") == links, "no new administrator for a damaged file"
        assert file.read_bytes() == data
        assert house.get("/api/v1/tags")["tags"], "all else goes on"
    finally:
        house.stop()
