# SPDX-License-Identifier: Apache-2.0
"""People sign in by a provider (npm oidc-provider), as a browser does it, step by step; and all the ways in which that must not go."""

import html
import http.client
import json
import os
import re
import ssl
import subprocess
import urllib.parse

import plant
import pytest
from browser import User

pytestmark = pytest.mark.sanitizer

WORD = "a horse counts to eight"
SECRET = "a secret that only provider and gateway know"
PEER = ["node", plant.ROOT / "tests/peers/oidc_provider.mjs"]
PEOPLE = {
    "ada": {"groups": ["everybody", "plant operators"]},
    "bob": {"groups": ["plant-engineers", "plant operators"]},
    "eve": {"groups": ["everybody"]},
    "joe": {"email": "joe@example.com"},
    "a very odd / name": {"groups": ["plant operators"]},
}


class Provider:
    """The peer; it may be stopped and started anew, with other keys then."""

    def __init__(self, folder, redirects, tls=None):
        self.folder, self.port = folder, plant.free_port()
        self.issuer = f"{'https' if tls else 'http'}://localhost:{self.port}"
        client = {"grant_types": ["authorization_code"], "response_types": ["code"], "redirect_uris": redirects}
        clients = [
            {**client, "client_id": "isthmus", "client_secret": SECRET, "id_token_signed_response_alg": "ES256"},
            {**client, "client_id": "public", "token_endpoint_auth_method": "none"},
            {**client, "client_id": "stranger", "client_secret": "another secret of another client"},
        ]
        self.file = folder / "provider.json"
        self.file.write_text(json.dumps({"issuer": self.issuer, "port": self.port, "clients": clients, "people": PEOPLE, "tls": tls}))
        self.process = None
        self.start()

    def start(self):
        self.process = plant.Process([*PEER, self.file], self.folder / "provider.log")
        plant.wait_for(lambda: plant.port_listens(self.port), f"the provider listens\n{self.process.text()}", 60)

    def stop(self):
        self.process.stop()


class Browser:
    """Follows redirects and fills in the provider's forms, with a cookie jar for each host and port. Each calls from an address of
    its own, lest the failures of one slow the next."""

    count = 0

    def __init__(self, context=None):
        Browser.count += 1
        self.jars, self.context, self.source = {}, context, (f"127.0.2.{Browser.count}", 0)

    def ask(self, method, url, body=None, headers=None):
        """(status, headers, text)"""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=30, source_address=self.source, context=self.context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30, source_address=self.source)
        jar = self.jars.setdefault(parts.netloc, {})
        cookies = {"Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())} if jar else {}
        try:
            connection.request(method, (parts.path or "/") + ("?" + parts.query if parts.query else ""), body, {**cookies, **(headers or {})})
            reply = connection.getresponse()
            text = reply.read().decode()
        finally:
            connection.close()
        for cookie in reply.headers.get_all("set-cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            jar[name] = value
        return reply.status, reply.headers, text

    def post(self, url, body, **headers):
        status, more, text = self.ask("POST", url, json.dumps(body), {"Content-Type": "application/json", **headers})
        return status, more, json.loads(text)

    def walk(self, url, name, home):
        """Signs in at the provider as `name`; the query with which it sends us back to `home`."""
        status, headers, text = self.ask("GET", url)
        for _ in range(20):
            if status in (302, 303):
                url = urllib.parse.urljoin(url, headers["location"])
                if url.startswith(home):
                    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                status, headers, text = self.ask("GET", url)
            else:
                assert status == 200, (status, url, text)
                form = re.search(r'<form[^>]*action="([^"]+)"', text)
                fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', text))
                fields |= {"login": name, "password": "any"} if 'name="login"' in text else {}
                url = urllib.parse.urljoin(url, html.unescape(form.group(1)))
                status, headers, text = self.ask("POST", url, urllib.parse.urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})
        raise AssertionError("the provider's pages do not end")


class House(plant.Gateway):
    def __init__(self, folder, providers, more="", port=None, console=""):
        self.port = port or plant.free_port()
        self.home = f"http://127.0.0.1:{self.port}"
        (folder / "secret").write_text(SECRET + "\n")
        os.chmod(folder / "secret", 0o600)
        services = "".join(f"  - {{name: {name}, module: oidc, {text}}}\n" for name, text in providers.items())
        (folder / "isthmus.yaml").write_text(f"""gateway: {{name: oidc-test}}
zones: [{{name: line-1}}, {{name: line-2}}]
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 1s, zone: line-1}}
tags:
  - {{path: area/level, device: plc, address: "holding:0"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{self.port}", access: signed_in}}
{console}{services}people:
  - {{provider: sso, group: plant-engineers, role: engineer}}
  - {{provider: sso, group: plant operators, role: operator, zones: [line-1]}}
{more}""")
        super().__init__(folder)

    def wait_for_providers(self):
        plant.wait_for(lambda: all(p["state"] == "running" for p in self.get("/api/v1/processes")["processes"]), "all boxes run", 60)

    def begin(self, browser, provider="sso"):
        return browser.post(f"{self.home}/api/v1/session/begin", {"provider": provider})

    def finish(self, browser, back, **headers):
        return browser.post(f"{self.home}/api/v1/session/finish", {"state": back["state"], "code": back["code"]}, **headers)

    def sign_in(self, name, provider="sso", browser=None):
        """(browser, status, answer) of a whole sign-in."""
        browser = browser or Browser()
        status, _, begun = self.begin(browser, provider)
        assert status == 200, begun
        status, headers, facts = self.finish(browser, browser.walk(begun["url"], name, self.home))
        return browser, status, facts

    def local(self, method, path, body=None):
        connection = plant.UnixConnection(self.socket, 20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else "" if method == "POST" else None)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def audit(self):
        command = [plant.ISTHMUS, "audit", "list", self.folder, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=self.environment).stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A provider, and a gateway that knows it as a client with a secret (sso) and without (open)."""
    folder = tmp_path_factory.mktemp("oidc")
    port = plant.free_port()
    provider = Provider(folder, [f"http://127.0.0.1:{port}/oidc"])
    at = f'issuer: "{provider.issuer}", address: "127.0.0.1:{provider.port}"'
    house = House(
        folder,
        {
            "sso": f"{at}, client_id: isthmus, secret_file: secret, label: Example AG",
            "open": f"{at}, client_id: public, name_claim: email, groups_claim: sub",
        },
        '  - {provider: open, group: joe, role: viewer}\n',
        port=port,
    )
    house.wait_for_providers()
    house.local("POST", "/api/v1/accounts", {"name": "ada", "role": "viewer", "password": WORD})
    yield house, provider
    house.stop()
    provider.stop()


def test_providers_are_shown_to_whoever_wants_to_sign_in(place):
    house, _ = place
    status, _, text = Browser().ask("GET", f"{house.home}/api/v1/providers")
    assert status == 200
    assert json.loads(text) == {"providers": [{"name": "sso", "label": "Example AG"}, {"name": "open", "label": "open"}]}


def test_signing_in(place):
    house, provider = place
    browser = Browser()
    status, headers, begun = house.begin(browser)
    assert status == 200 and re.search(r"-begun=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Strict; Max-Age=600$", headers["set-cookie"])
    url = urllib.parse.urlsplit(begun["url"])
    asked = dict(urllib.parse.parse_qsl(url.query))
    assert begun["url"].startswith(provider.issuer + "/auth?") and asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{house.home}/oidc" and len(asked["code_challenge"]) == 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    back = browser.walk(begun["url"], "ada", house.home)
    assert back["state"] == asked["state"]
    status, headers, facts = house.finish(browser, back)
    assert status == 200, facts
    assert re.search(r"^isthmus-\d+=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Strict$", headers["set-cookie"])
    assert (facts["name"], facts["kind"], facts["role"], facts["zones"]) == ("sso/ada", "vouched", "operator", ["line-1"])
    assert facts["idle_s"] == 1800
    status, _, text = browser.ask("GET", f"{house.home}/api/v1/now")
    assert status == 200 and json.loads(text)["values"]
    assert browser.ask("GET", f"{house.home}/api/v1/accounts")[0] == 403
    # a change needs the session's word, as everybody's does
    csrf = {"X-Isthmus-CSRF": facts["csrf"]}
    assert browser.ask("DELETE", f"{house.home}/api/v1/session")[0] == 403
    word = {"password": "x", "new_password": WORD}
    status, _, problem = browser.post(f"{house.home}/api/v1/session/password", word, **csrf)
    assert status == 422 and "account here" in problem["detail"]
    assert browser.ask("DELETE", f"{house.home}/api/v1/session", headers=csrf)[0] == 200
    assert browser.ask("GET", f"{house.home}/api/v1/session")[0] == 401


def test_the_first_group_that_has_a_role_counts(place):
    house, _ = place
    _, status, facts = house.sign_in("bob")
    assert status == 200 and facts["role"] == "engineer" and "zones" not in facts


def test_a_client_without_a_secret_and_other_claims(place):
    house, _ = place
    _, status, facts = house.sign_in("joe", "open")
    assert status == 200 and (facts["name"], facts["role"]) == ("open/joe@example.com", "viewer")


def test_access_is_explained_for_a_group(place):
    house, _ = place

    def explain(who):
        return subprocess.run([plant.ISTHMUS, "access", who, "area/level", "--dir", house.folder], capture_output=True, text=True, timeout=30, env=house.environment)

    done = explain("group:sso/plant operators")
    assert done.returncode == 0 and re.search("read +yes", done.stdout), done
    assert explain("group:sso/everybody").returncode == explain("group:nobody/x").returncode == explain("group:x").returncode == 1
    assert "group:PROVIDER/GROUP" in explain("user:sso/ada").stderr


def test_who_has_no_role_is_told_so(place):
    house, _ = place
    _, status, problem = house.sign_in("eve")
    assert status == 403 and "none of your groups" in problem["detail"] and "sso knows you as eve" in problem["detail"]
    _, status, problem = house.sign_in("a very odd / name")
    assert status == 403 and "name_claim" in problem["detail"]


def test_a_session_of_ones_own_and_nobody_elses(place):
    """ada of the gateway and ada of the provider are two; an administrator ends the sessions of the one."""
    house, _ = place
    browser, status, facts = house.sign_in("ada")
    other = Browser()
    assert other.post(f"{house.home}/api/v1/session", {"name": "ada", "password": WORD})[2]["name"] == "ada"
    assert house.local("POST", "/api/v1/accounts", {"name": "sso/ada", "role": "viewer", "password": WORD})[0] == 422
    planted = browser.jars[f"127.0.0.1:{house.port}"][f"isthmus-{house.port}"]
    _, _, again = house.sign_in("ada", browser=browser)
    assert browser.jars[f"127.0.0.1:{house.port}"][f"isthmus-{house.port}"] != planted and again["csrf"] != facts["csrf"]
    remove = [plant.ISTHMUS, "user", "remove", "sso/ada", "--socket", house.socket]
    assert subprocess.run(remove, capture_output=True, timeout=30).returncode == 0
    assert browser.ask("GET", f"{house.home}/api/v1/session")[0] == 401
    assert other.ask("GET", f"{house.home}/api/v1/session")[0] == 200
    assert house.local("DELETE", "/api/v1/accounts/sso/ada")[0] == 404


def away_and_back(house, name="ada"):
    browser = Browser()
    _, _, begun = house.begin(browser)
    return browser, browser.walk(begun["url"], name, house.home)


def test_a_sign_in_belongs_to_the_browser_that_began_it(place):
    """Login CSRF: whoever is given somebody else's state and code signs nobody in, and neither does a wrong state."""
    house, _ = place
    browser, back = away_and_back(house)
    assert house.finish(Browser(), back)[0] == 401
    stranger = Browser()
    house.begin(stranger)
    assert house.finish(stranger, back)[0] == 401
    for state in ("", "0" * 32, back["state"][:-1], back["state"] + "0"):
        status, headers, problem = house.finish(browser, {**back, "state": state})
        assert status == 401 and "begin again" in problem["detail"] and "set-cookie" not in headers
    assert house.finish(browser, back, Origin="http://evil.example")[0] == 403
    assert house.finish(browser, back)[0] == 200
    assert house.finish(browser, back)[0] == 401, "a state is good once"


def test_a_code_is_good_once_and_for_its_own_sign_in(place):
    house, _ = place
    browser, back = away_and_back(house)
    assert house.finish(browser, back)[0] == 200
    other, begun = Browser(), None
    _, _, begun = house.begin(other)
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun["url"]).query))["state"]
    status, headers, problem = house.finish(other, {"state": state, "code": back["code"]})
    assert status == 403 and "invalid_grant" in problem["detail"] and "set-cookie" not in headers
    # one that is fresh, but was made for another challenge: it needs the verifier, which never left the gateway
    browser, back = away_and_back(house)
    other = Browser()
    _, _, begun = house.begin(other)
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun["url"]).query))["state"]
    assert house.finish(other, {"state": state, "code": back["code"]})[0] == 403


def changed(url, **query):
    parts = urllib.parse.urlsplit(url)
    return parts._replace(query=urllib.parse.urlencode({**dict(urllib.parse.parse_qsl(parts.query)), **query})).geturl()


def test_a_token_of_another_sign_in_or_of_another_client_is_refused(place):
    house, _ = place
    browser = Browser()
    _, _, begun = house.begin(browser)
    back = browser.walk(changed(begun["url"], nonce="another"), "ada", house.home)
    status, headers, problem = house.finish(browser, back)
    assert status == 403 and "another sign-in" in problem["detail"] and "set-cookie" not in headers
    for client in ("stranger", "public"):
        browser = Browser()
        _, _, begun = house.begin(browser)
        back = browser.walk(changed(begun["url"], client_id=client), "ada", house.home)
        status, headers, problem = house.finish(browser, back)
        assert status == 403 and "invalid_grant" in problem["detail"] and "set-cookie" not in headers


def test_what_is_wrong_with_a_body_is_told(place):
    house, _ = place
    browser = Browser()
    for path, bodies in (("begin", ({}, {"provider": 1}, {"provider": "x" * 64}, [])), ("finish", ({}, {"state": "x"}, {"state": "x", "code": "c" * 1281}))):
        for body in bodies:
            assert browser.post(f"{house.home}/api/v1/session/{path}", body)[0] == 400, body
    assert house.begin(browser, "console")[0] == house.begin(browser, "nobody")[0] == 404


def test_signing_in_with_a_browser(place):
    house, _ = place
    user = User(house.port, house.folder)
    try:
        user.open(1200, 800, "light", "sign-in")
        user.picture("sign-in-by-a-provider")
        assert user.provider("Sign in with Example AG", "bob") == "sso/bob engineer"
        assert user.location() == f"{house.home}/#plant"
        user.search("level")
        user.button("Sign out")
        user.open(390, 844, "dark", "sign-in")
        assert "none of your groups" in user.provider("Sign in with Example AG", "eve")
        assert user.measure()["overflow"] <= 0
        complaints = user.complaints()  # what was refused, or is missing of the provider's pages; nothing of ours
        assert all(re.search("Failed to load resource|WebSocket", c) for c in complaints), complaints
    finally:
        user.end()


def test_the_audit_has_it_all(place):
    house, _ = place
    _, status, _ = house.sign_in("bob")
    assert status == 200
    house.sign_in("eve")

    def told():
        entries = [(e["kind"], e.get("who", ""), e.get("subject", ""), e.get("text", "")) for e in house.audit()]
        came = [e for e in entries if e[0] == "sign-in" and e[1] == "user:sso/bob"]
        refused = [e for e in entries if e[0] == "sign-in failed" and e[2] == "sso/eve"]
        return came and "by its provider" in came[-1][3] and refused and "none of your groups" in refused[-1][3]

    plant.wait_for(told, "the audit tells")
    text = json.dumps(house.audit())
    assert SECRET not in text and SECRET not in house.process.text()


def test_new_keys_of_the_provider_are_fetched(place):
    house, provider = place
    assert house.sign_in("bob")[1] == 200
    provider.stop()
    provider.start()

    def again():
        return house.sign_in("bob")[1] == 200

    plant.wait_for(again, "its new keys are known", 30)


def test_without_the_provider_accounts_of_the_gateway_work(place):
    house, provider = place
    provider.stop()
    try:
        browser, status, facts = Browser(), *house.begin(Browser())[::2]
        if status == 200:  # what the provider is, is still known: then the code finds nobody
            url = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(facts["url"]).query))
            _, _, begun = house.begin(browser)
            url = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun["url"]).query))
            status, _, facts = house.finish(browser, {"state": url["state"], "code": "x"})
        assert status == 502 and "can't be asked" in facts["title"], facts
        assert browser.post(f"{house.home}/api/v1/session", {"name": "ada", "password": WORD})[0] == 200
    finally:
        provider.start()


def test_a_killed_box_of_the_provider_is_started_anew(place):
    house, _ = place
    before = house.pids()["sso"]
    os.kill(before, 9)
    plant.wait_for(lambda: house.pids().get("sso") not in (None, before), "it is back")
    house.wait_for_providers()

    def again():
        browser = Browser()
        status, _, begun = house.begin(browser)
        return status == 200 and house.finish(browser, browser.walk(begun["url"], "bob", house.home))[0] == 200

    plant.wait_for(again, "it vouches again", 60)


def test_nothing_is_needed_to_start(tmp_path, monkeypatch):
    """No name service, no provider, no secret: the gateway starts, says so, and its accounts work. `check` finds it all."""
    monkeypatch.setenv("RES_OPTIONS", "timeout:1 attempts:1")  # where there is a resolver, and it does not answer
    house = House(tmp_path, {"sso": 'issuer: "https://login.invalid", address: "login.invalid:443", client_id: x, secret_file: nowhere'})
    try:
        house.local("POST", "/api/v1/accounts", {"name": "ada", "role": "viewer", "password": WORD})
        browser = Browser()
        assert browser.post(f"{house.home}/api/v1/session", {"name": "ada", "password": WORD})[0] == 200
        checked = subprocess.run([plant.ISTHMUS, "check", tmp_path, "--json"], capture_output=True, text=True, timeout=60, env=house.environment)
        told = checked.stdout
        assert checked.returncode == 1 and "login.invalid" in told and "nowhere" in told
    finally:
        house.stop()


MISTAKES = [
    ('issuer: "login.example"', 5, "is no issuer"),
    ('issuer: "http://10.0.0.9", address: "10.0.0.9:80"', 5, "needs TLS"),
    ('issuer: "https://login.example/?a=b"', 5, "neither query nor fragment"),
    ("password: x", 5, "secrets never stand in the configuration"),
    ("secret_file: loose", 5, "loose"),
    ("leeway: 1h", 5, "leeway"),
    ("people: {provider: nobody}", 7, "no provider of sign-ins is called 'nobody'"),
    ("people: {provider: console}", 7, "no provider of sign-ins is called 'console'"),
    ("people: {role: king}", 7, "no role is called 'king'"),
    ("people: {role: vendor}", 7, "a vendor is a guest"),
    ("people: {zones: [line-9]}", 7, "line-9"),
    ("people: {zones: []}", 7, "these are no zones"),
    ("people: {group: ''}", 7, "a group has a name"),
    ("people: {group: [a]}", 7, "must be a single value"),
    ("people: {groups: a}", 7, "has no key 'groups'"),
    ("people: {group: null}", 7, "lacks 'group'"),
]


@pytest.mark.parametrize("change, line, words", MISTAKES, ids=[m[0] for m in MISTAKES])
def test_check_names_each_mistake_with_its_line(tmp_path, change, line, words):
    def items(fields):
        return ", ".join(f"{k}: {v}" for k, v in fields.items() if v != "null")

    service = {"name": "sso", "module": "oidc", "issuer": '"http://127.0.0.1:8"', "address": '"127.0.0.1:8"', "client_id": "x"}
    person = {"provider": "sso", "group": "ops", "role": "viewer"}
    (tmp_path / "loose").write_text("secret")
    os.chmod(tmp_path / "loose", 0o644)
    for of, fields in ((person, re.match(r"people: \{(.*)\}", change)), (service, None if change.startswith("people") else re.match("(.*)", change))):
        of.update(re.findall(r'(\w+): ("[^"]*"|\[[^]]*\]|[^,]+)', fields[1]) if fields else {})
    (tmp_path / "isthmus.yaml").write_text(f"""gateway: {{name: g}}
zones: [{{name: line-1}}]
services:
  - {{name: console, module: http, listen: "127.0.0.1:8480"}}
  - {{{items(service)}}}
people:
  - {{{items(person)}}}
""")
    checked = subprocess.run([plant.ISTHMUS, "check", tmp_path], capture_output=True, text=True, timeout=30)
    told = checked.stdout + checked.stderr
    assert checked.returncode == 1 and re.search(rf"^isthmus.yaml:{line}:\d+: error: .*{re.escape(words)}", told, re.M), told


def certificate(folder, name):
    """PEM files of a self-signed one for localhost."""
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    more = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key, "-out", cert, *more], check=True, capture_output=True)
    return {"key": str(key), "cert": str(cert)}


def test_a_provider_is_known_by_its_certificate(tmp_path):
    """Over TLS, with the authority of the configuration: with another one, with none of the system's, and under another name it is refused."""
    tls = certificate(tmp_path, "provider")
    certificate(tmp_path, "other")
    os.chmod(tls["key"], 0o600)
    port, beyond = plant.free_port(), plant.free_port()
    provider = Provider(tmp_path, [f"http://127.0.0.1:{port}/oidc", f"https://localhost:{beyond}/oidc"], tls)
    at = f'address: "127.0.0.1:{provider.port}", client_id: isthmus, secret_file: secret'
    house = House(
        tmp_path,
        {
            "sso": f'issuer: "{provider.issuer}", {at}, ca: provider.crt',
            "false": f'issuer: "{provider.issuer}", {at}, ca: other.crt',
            "system": f'issuer: "{provider.issuer}", {at}',
            "named": f'issuer: "{provider.issuer.replace("localhost", "127.0.0.1")}", {at}, ca: provider.crt',
            "called": f'issuer: "{provider.issuer}/", {at}, ca: provider.crt',
        },
        port=port,
        console=f'  - {{name: beyond, module: http, listen: "0.0.0.0:{beyond}", tls: true, access: signed_in, zone: line-1, cert: provider.crt, key: provider.key, names: localhost}}\n',
    )
    try:
        house.wait_for_providers()
        context = ssl.create_default_context(cafile=tls["cert"])
        _, status, facts = house.sign_in("ada", browser=Browser(context))
        assert status == 200 and facts["name"] == "sso/ada", facts
        for name, words in (("false", "certificate"), ("system", "certificate"), ("named", "target host name"), ("called", "letter by letter")):
            status, headers, problem = house.begin(Browser(), name)
            assert status == 502 and words in problem["detail"] and "set-cookie" not in headers, problem
        house.home = f"https://localhost:{beyond}"  # a console beyond loopback is come back to under its first name
        browser = Browser(context)
        _, headers, begun = house.begin(browser)
        assert headers["set-cookie"].endswith("; Secure; Max-Age=600")
        status, headers, facts = house.finish(browser, browser.walk(begun["url"], "bob", house.home))
        assert status == 200 and facts["role"] == "engineer" and headers["set-cookie"].endswith("; SameSite=Strict; Secure"), facts
    finally:
        house.stop()
        provider.stop()

