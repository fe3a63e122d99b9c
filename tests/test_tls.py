# SPDX-License-Identifier: Apache-2.0
"""A gateway beyond loopback, as clients that nobody here wrote see it: openssl, curl and Python's ssl."""

import http.client
import json
import pathlib
import re
import shlex
import signal
import socket
import ssl
import subprocess
import time

import capture
import plant
import pytest
from test_sparkplug import Pump

WORD = "a horse counts to eight"
NAME = "gw.test"


def openssl(*arguments, **more):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_certificate(folder, name, subject, *more, days=5, names=f"DNS:{NAME},IP:127.0.0.1", ca=None, usage="serverAuth"):
    """name.crt and name.key, signed by the authority `ca` or by itself. Written beside and renamed, as a renewal should be."""
    key, request, part = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.part"
    if not key.exists():
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        key.chmod(0o600)
    (folder / "ext").write_text(f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage={usage}\n")
    openssl("req", "-new", "-key", key, "-subj", f"/CN={subject}", "-out", request)
    signer = ["-CA", folder / f"{ca}.crt", "-CAkey", folder / f"{ca}.key", "-CAcreateserial"] if ca else ["-signkey", key]
    openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", folder / "ext", "-out", part, *more)
    part.rename(folder / f"{name}.crt")


class House(plant.Gateway):
    """A gateway whose console is at every address; gw.crt and gw.key lie in its folder."""

    def __init__(self, folder, options=f"cert: gw.crt, key: gw.key, names: {NAME}", **environment):
        self.port = plant.free_port()
        (folder / "isthmus.yaml").write_text(
            f"""gateway: {{name: tls-test}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 1s}}
tags:
  - {{path: area/level, device: plc, address: "holding:0"}}
services:
  - {{name: console, module: http, listen: "0.0.0.0:{self.port}", tls: true, access: signed_in, zone: plant, {options}}}
"""
        )
        super().__init__(folder, **environment)

    def trust(self, **more):
        root = self.state / "pki/root.crt"
        context = ssl.create_default_context(cafile=root if root.exists() else self.folder / "gw.crt")
        for name, value in more.items():
            setattr(context, name, value)
        return context

    def connect(self, context=None, name=NAME):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return (context or self.trust()).wrap_socket(plain, server_hostname=name)

    def subject(self):
        """Whose certificate a new connection is shown."""
        text = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}"], capture_output=True, text=True, timeout=20, input="").stdout
        return re.search(r"^subject=CN = (.*)$", text, re.M)[1]

    def ask(self, method, path, body=None, cert=None, **headers):
        """(status, headers, answer) over TLS; `cert`: a file's name without .crt and .key."""
        context = self.trust()
        if cert:
            context.load_cert_chain(f"{cert}.crt", f"{cert}.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        try:
            text = json.dumps(body) if body is not None else "" if method == "POST" else None
            connection.request(method, path, text, {"Host": f"{NAME}:{self.port}", **headers})
            reply = connection.getresponse()
            data = reply.read()
            return reply.status, reply.headers, json.loads(data) if data.startswith(b"{") else data
        finally:
            connection.close()

    def local(self, method, path, body):
        connection = plant.UnixConnection(self.socket, 20)
        try:
            connection.request(method, path, json.dumps(body))
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            assert reply.status == 200, answer
            return answer
        finally:
            connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder, "gw", "first")
    house = House(folder)
    yield house
    house.stop()


def test_only_tls_1_2_and_newer_is_spoken(house):
    for version, wanted in (("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")):
        only = getattr(ssl.TLSVersion, version)
        with house.connect(house.trust(minimum_version=only, maximum_version=only)) as connection:
            assert connection.version() == wanted and connection.selected_alpn_protocol() is None
    for old in ("-tls1", "-tls1_1"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{house.port}", old, "-cipher", "ALL:@SECLEVEL=0"],
            capture_output=True, text=True, timeout=20, input="",
        )  # fmt: skip
        assert "alert protocol version" in done.stderr, done
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        try:
            said = plain.recv(4096)
        except ConnectionError:
            said = b""
        assert b"HTTP/" not in said and b"html" not in said


def test_curl_knows_whom_it_talks_to(house):
    there = f"https://{NAME}:{house.port}/api/v1/session"
    command = ["curl", "-s", "-i", "--cacert", house.folder / "gw.crt", "--resolve", f"{NAME}:{house.port}:127.0.0.1"]
    done = subprocess.run([*command, there], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stdout.startswith("HTTP/1.1 401")
    assert "strict-transport-security: max-age=31536000" in done.stdout
    other = subprocess.run([*command[:-1], f"other.test:{house.port}:127.0.0.1", f"https://other.test:{house.port}/"], capture_output=True, timeout=20)
    assert other.returncode == 60, "the certificate is for another name"


def test_a_session_over_tls(house):
    house.local("POST", "/api/v1/accounts", {"name": "ada", "role": "viewer", "password": WORD})
    assert house.ask("GET", "/api/v1/tags")[0] == 401
    origin = f"https://{NAME}:{house.port}"
    status, headers, _ = house.ask("POST", "/api/v1/session", {"name": "ada", "password": WORD}, Origin=origin)
    assert status == 200 and re.search(r"; HttpOnly; SameSite=Strict; Secure$", headers["set-cookie"])
    cookie = headers["set-cookie"].partition(";")[0]
    assert house.ask("GET", "/api/v1/tags", Cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    "status, headers",
    [
        (200, {}),
        (200, {"Origin": "https://{name}:{port}"}),
        (200, {"Host": "127.0.0.1:{port}"}),
        (403, {"Origin": "http://{name}:{port}"}),
        (403, {"Origin": "https://{name}"}),
        (403, {"Origin": "https://elsewhere.test:{port}"}),
        (403, {"Host": "elsewhere.test:{port}"}),
        (403, {"Host": "{name}"}),
        (403, {"Host": "{name}:{port}.elsewhere.test"}),
    ],
)
def test_only_requests_that_mean_this_gateway_are_answered(house, status, headers):
    headers = {k: v.format(name=NAME, port=house.port) for k, v in headers.items()}
    assert house.ask("GET", "/api/v1/health/ready", **headers)[0] == status


def test_a_renewed_certificate_is_taken_up_and_what_is_open_lives_on(house):
    with house.connect() as old:
        kept = http.client.HTTPConnection(NAME, house.port)
        kept.sock = old

        def ask():
            kept.request("GET", "/api/v1/health/ready")
            reply = kept.getresponse()
            reply.read()
            return reply.status == 200 and kept.sock is old

        assert ask() and house.subject() == "first"
        pid = house.pids()["console"]
        make_certificate(house.folder, "gw", "second")
        plant.wait_for(lambda: house.subject() == "second", "the new certificate")
        assert ask(), "the connection was there before"
        (house.folder / "gw.key").chmod(0o644)
        plant.wait_for(lambda: "others may use" in house.process.text(), "the log says why it is not taken up")
        assert house.subject() == "second" and ask()
        (house.folder / "gw.key").chmod(0o600)
        make_certificate(house.folder, "gw", "third", names="DNS:elsewhere.test")
        plant.wait_for(lambda: f"does not hold the name {NAME}" in house.process.text(), "the log says why")
        assert house.subject() == "second"
        make_certificate(house.folder, "gw", "fourth")
        plant.wait_for(lambda: house.subject() == "fourth", "the right certificate")
        assert house.pids()["console"] == pid and ask()


def test_the_end_of_certificates_is_foretold(house):
    make_certificate(house.folder, "gw", "fifth", days=20)
    plant.wait_for(lambda: house.subject() == "fifth", "the new certificate")
    command = [plant.ISTHMUS, "status", "--socket", house.socket]

    def told():
        said = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
        return re.search(r"^certificates of console: good for (19|20) days, until 20\d\d-\d\d-\d\d; renew them", said, re.M)

    plant.wait_for(told, "status tells")
    ends = {p["name"]: p.get("certificate_ends") for p in house.get("/api/v1/processes")["processes"]}
    assert ends["console"] and not ends["local"] and not ends["engine"]


def test_a_listener_whose_files_are_wrong_says_so_and_comes_up_when_they_are_right(tmp_path, started):
    make_certificate(tmp_path, "gw", "first")
    (tmp_path / "gw.key").chmod(0o640)
    gateway = started(House(tmp_path))
    state = plant.wait_for(lambda: [p for p in gateway.get("/api/v1/processes")["processes"] if p["name"] == "console" and "others may use" in p["reason"]], "it says why")
    assert state[0]["state"] != "running" and not plant.port_listens(gateway.port)
    done = subprocess.run([plant.ISTHMUS, "check", tmp_path], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "chmod 600 it" in done.stdout + done.stderr
    (tmp_path / "gw.key").chmod(0o600)
    plant.wait_for(lambda: plant.port_listens(gateway.port), "it listens")
    assert gateway.subject() == "first"


# ---- The plant's own authority ----

PASSPHRASE = "correct horse battery"


def pki(folder, *words, typed="", fails=None):
    done = subprocess.run([plant.ISTHMUS, "pki", *map(str, words)], capture_output=True, text=True, timeout=60, cwd=folder, input=typed)
    assert done.returncode == (1 if fails else 0), done
    assert not fails or fails in done.stderr, done.stderr
    return done.stdout


def test_pki_as_documented(tmp_path):
    """Each command of docs/tls.md, in its order; files travel as they would."""
    text = (plant.ROOT / "docs/tls.md").read_text()
    lines = re.findall(r"^isthmus pki .*$", text, re.M)
    assert len(lines) == 14
    (tmp_path / "STATE").mkdir()
    token = ""
    for line in lines:
        words = shlex.split(line)[2:]
        if words[0] == "sign":
            (tmp_path / "gateway.request").write_bytes((tmp_path / "STATE/pki/gateway.request").read_bytes())
        said = pki(tmp_path, *words, typed=f"{PASSPHRASE}\n{token}\n")
        if words[0] == "enrol" and "gateway" in words:
            token = said.splitlines()[0]
    folder = tmp_path / "STATE/pki"
    assert sorted(f.name for f in folder.iterdir()) == ["gateway.crt", "gateway.key", "root.crl", "root.crt"]
    for secret in [folder / "gateway.key", tmp_path / "ROOT/root.key", tmp_path / "ada/ada.key", tmp_path / "mes/mes.new.key"]:
        assert secret.stat().st_mode & 0o777 == 0o600, secret
    assert "ENCRYPTED" in (tmp_path / "ROOT/root.key").read_text()
    trust = ["-CAfile", folder / "root.crt", "-CRLfile", folder / "root.crl", "-crl_check"]
    openssl("verify", *trust, "-purpose", "sslserver", "-verify_hostname", "press-7.plant.example", folder / "gateway.crt")
    revoked = subprocess.run(["openssl", "verify", *map(str, trust), tmp_path / "ada/ada.crt"], capture_output=True, text=True)
    assert "certificate revoked" in revoked.stderr
    listed = json.loads(pki(tmp_path, "list", "ROOT", "--json"))
    assert [(c["name"], c["revoked"]) for c in listed if c["kind"] in ("gateway", "service", "user")] == [("press-7", False), ("ada", True), ("press-7", False)]
    assert any(c["kind"] == "root" and c["name"] == "Example Works" for c in listed)


def test_pki_refuses(tmp_path):
    pki(tmp_path, "init", "root", "--name", "Works", typed="short\n", fails="12 letters at least")
    pki(tmp_path, "init", "root", "--name", "Works", typed=PASSPHRASE + "\n")
    pki(tmp_path, "init", "root", "--name", "Works", typed=PASSPHRASE + "\n", fails="a root lies there already")
    token = pki(tmp_path, "enrol", "gw", "gateway", "press-7", "--names", NAME).splitlines()[0]
    sign = ["sign", "root", "gw/gateway.request", "answer"]
    pki(tmp_path, *sign, typed=f"another {PASSPHRASE}\n{token}\n", fails="passphrase does not open")
    pki(tmp_path, *sign, typed=f"{PASSPHRASE}\n{token[:-1]}{'A' if token[-1] != 'A' else 'B'}\n", fails="the token is not that of the request")
    pki(tmp_path, *sign, typed=f"{PASSPHRASE}\n{token}\n")
    pki(tmp_path, *sign, typed=f"{PASSPHRASE}\n{token}\n", fails="used already")
    pki(tmp_path, "enrol", "other", "gateway", "press-8", "--names", NAME)
    pki(tmp_path, "accept", "other", "answer", fails="to another request")
    pki(tmp_path, "accept", "gw", "answer")
    pki(tmp_path, "renew", "gw")
    pki(tmp_path, "revoke", "root", "press-7", typed=PASSPHRASE + "\n")
    pki(tmp_path, *sign, typed=PASSPHRASE + "\n", fails="was revoked")
    pki(tmp_path, "revoke", "root", "press-7", typed=PASSPHRASE + "\n", fails="no certificate with this name")
    (tmp_path / "old.crl").write_bytes((tmp_path / "root/root.crl").read_bytes())
    pki(tmp_path, "accept", "gw", "root/root.crl")
    (tmp_path / "root/root.key").chmod(0o640)
    pki(tmp_path, "crl", "root", typed=PASSPHRASE + "\n", fails="others may use")


# ---- Client certificates ----


def enrol(folder, where, kind, name, *more):
    """A certificate of the root in `folder`, by token."""
    token = pki(folder, "enrol", where, kind, name, *more).splitlines()[0]
    stem = "gateway" if kind == "gateway" else name
    sign(folder, f"{where}/{stem}.request", token)
    pki(folder, "accept", where, "answer", *([] if stem == "gateway" else [stem]))


def sign(folder, request, token=""):
    pki(folder, "sign", "root", request, "answer", typed=f"{PASSPHRASE}\n{token}\n")


def with_dates(folder, name, begin, end):
    """A certificate of the root that is good at another time than now: isthmus makes none."""
    (folder / "ca.cnf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=db\nserial=serial\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\n[p]\ncommonName=supplied\n[x]\nextendedKeyUsage=clientAuth\n")
    (folder / "db").write_text("")
    (folder / "serial").write_text("0A\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key", "-subj", f"/CN={name}", "-out", folder / "csr")
    openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-extensions", "x", "-cert", "root/root.crt", "-keyfile", "root/root.key", "-passin", f"pass:{PASSPHRASE}",
            "-startdate", begin, "-enddate", end, "-in", "csr", "-out", f"{name}.crt", cwd=folder)  # fmt: skip


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """A gateway with an authority of its own, and machines and people with certificates of it."""
    folder = tmp_path_factory.mktemp("works")
    pki(folder, "init", "root", "--name", "Works", typed=PASSPHRASE + "\n")
    (folder / "state").mkdir()
    enrol(folder, "state/pki", "gateway", "press-7", "--names", f"{NAME},127.0.0.1")
    for name, kind in (("mes", "service"), ("scada", "service"), ("ada", "user"), ("gone", "service")):
        enrol(folder, "others", kind, name)
    works = House(folder, f"names: {NAME}, client_certs: optional")
    yield works
    works.stop()


def test_a_certificate_is_a_machines_identity(works):
    others, state = works.folder / "others", works.state
    add = [plant.ISTHMUS, "token", "add", "mes", "--role", "viewer", "--until", "2036-01-01T00:00:00Z", "--cert", others / "mes.crt", "--socket", works.socket]
    assert works.ask("GET", "/api/v1/tags")[0] == 401
    status, _, answer = works.ask("GET", "/api/v1/tags", cert=others / "mes")
    assert status == 401 and "isthmus token add NAME --cert FILE" in answer["detail"]
    assert subprocess.run(add, capture_output=True, timeout=20).returncode == 0
    assert works.ask("GET", "/api/v1/tags", cert=others / "mes")[0] == 200
    assert works.ask("GET", "/api/v1/tags", cert=others / "scada")[0] == 401
    facts = works.ask("GET", "/api/v1/session", cert=others / "mes")[2]
    assert (facts["name"], facts["kind"], facts["role"]) == ("mes", "token", "viewer")
    # a page in a browser that has the certificate can change nothing without the session's word
    origin = {"Origin": f"https://{NAME}:{works.port}"}
    assert works.ask("DELETE", "/api/v1/session", cert=others / "mes", **origin)[0] == 403
    assert works.ask("DELETE", "/api/v1/session", cert=others / "mes", **origin, **{"X-Isthmus-CSRF": facts["csrf"]})[0] == 200
    # what only a certificate's key says is no token
    for secret in (facts["csrf"], openssl("x509", "-in", others / "mes.crt", "-noout", "-fingerprint", "-sha256").partition("=")[2].replace(":", "").strip().lower()):
        assert works.ask("GET", "/api/v1/tags", Authorization=f"Bearer isthmus_{secret}")[0] == 401
    # renewed with the same key it is the same machine, whose old certificate stays good
    before = (others / "mes.crt").read_text()
    pki(works.folder, "renew", "others", "mes", "--same-key")
    sign(works.folder, "others/mes.request")
    pki(works.folder, "accept", "others", "answer", "mes")
    assert (others / "mes.crt").read_text() != before and works.ask("GET", "/api/v1/tags", cert=others / "mes")[0] == 200
    assert (state / "pki/root.crt").read_text() == (others / "root.crt").read_text()


@pytest.mark.parametrize(
    "what, advice",
    [
        ("expired", "has expired: renew it"),
        ("early", "not valid yet: check the clocks"),
        ("server", "issued for another use"),
        ("self", "signed by itself: have the plant's authority issue one"),
        ("stranger", "no trusted authority has issued"),
        ("gone", "was revoked"),
    ],
)
def test_a_certificate_that_is_not_good_is_refused_and_told_why(works, what, advice):
    folder = works.folder
    if what == "expired":
        with_dates(folder, what, "20200101000000Z", "20210101000000Z")
    elif what == "early":
        with_dates(folder, what, "20400101000000Z", "20410101000000Z")
    elif what == "server":
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", folder / "server.key")
        openssl("req", "-new", "-key", folder / "server.key", "-subj", "/CN=server", "-out", folder / "csr")
        (folder / "ext").write_text("extendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", folder / "csr", "-CA", folder / "root/root.crt", "-CAkey", folder / "root/root.key", "-passin", f"pass:{PASSPHRASE}",
                "-set_serial", "99", "-extfile", folder / "ext", "-out", folder / "server.crt")  # fmt: skip
    elif what == "self":
        make_certificate(folder, what, "self", usage="clientAuth")
    elif what == "stranger":
        make_certificate(folder, "elsewhere", "Elsewhere")
        make_certificate(folder, what, "stranger", ca="elsewhere", usage="clientAuth")
    else:
        pki(folder, "revoke", "root", "gone", typed=PASSPHRASE + "\n")
        (folder / "gone.crt").write_bytes((folder / "others/gone.crt").read_bytes())
        (folder / "gone.key").write_bytes((folder / "others/gone.key").read_bytes())
        pki(folder, "accept", "state/pki", "root/root.crl")
        plant.wait_for(lambda: "new certificate files are taken up" in works.process.text(), "the list is taken up")

    def refused():
        try:
            works.ask("GET", "/api/v1/health/ready", cert=folder / what)
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return True
        return False

    assert refused()
    plant.wait_for(lambda: re.search(rf"refused the client certificate '{what}': .*{re.escape(advice)}", works.process.text()), works.process.text())
    assert works.ask("GET", "/api/v1/health/ready")[0] == 200, "who shows none may ask"


# ---- Renewal under load ----


def tls_broker(folder, port):
    """A broker that wants certificates of the plant's root."""
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\nrequire_certificate true\n"
        f"cafile {folder}/others/root.crt\ncertfile {folder}/others/broker.crt\nkeyfile {folder}/others/broker.key\n"
    )
    broker = plant.Process([plant.PEERS / "mosquitto", "-c", folder / "mosquitto.conf"], folder / "mosquitto.log")
    plant.wait_for(lambda: plant.port_listens(port), f"the broker listens\n{broker.text()}")
    return broker


def renew(folder, where, name=None):
    stem = name or "gateway"
    pki(folder, "renew", where, *([name] if name else []))
    sign(folder, f"{where}/{stem}.request")
    pki(folder, "accept", where, "answer", *([name] if name else []))


def test_renewal_under_load_costs_no_sample_and_no_session(tmp_path, data, started):
    """Certificates of gateway and broker are renewed while values flow over TLS to a broker and a page reads over TLS."""
    folder, port, device_port = tmp_path, plant.free_port(), plant.free_port()
    pki(folder, "init", "root", "--name", "Works", typed=PASSPHRASE + "\n")
    (folder / "state").mkdir()
    enrol(folder, "state/pki", "gateway", "press-7", "--names", NAME)
    enrol(folder, "others", "service", "broker", "--names", "localhost,127.0.0.1")
    enrol(folder, "others", "service", "listener")
    started(Pump(folder, data, device_port))
    broker = started(tls_broker(folder, port))
    way = started(capture.Proxy(folder / "mqtt.pcap", port, capture.MQTT))  # of the gateway to the broker
    listen = ["mosquitto_sub", "-h", "localhost", "-p", port, "--cafile", folder / "others/root.crt", "--cert", folder / "others/listener.crt", "--key", folder / "others/listener.key",
              "-q", "1", "-i", "listener", "-c", "-t", "pump/pump/row", "-F", "%p"]  # fmt: skip
    seen = started(plant.Process(listen, folder / "seen.txt"))
    pki_dir, https = folder / "state/pki", plant.free_port()
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: pump}}
devices:
  - {{name: pump, driver: modbus, address: "127.0.0.1:{device_port}", period: 20ms}}
tags:
  - {{path: pump/row, device: pump, address: "holding:0:uint32"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{https}", tls: true, access: signed_in, names: {NAME}}}
  - {{name: cloud, module: sparkplug, address: "127.0.0.1:{way.port}", mode: json, tls: true, reconnect_max: 500ms,
     ca: {pki_dir}/root.crt, cert: {pki_dir}/gateway.crt, key: {pki_dir}/gateway.key}}
contracts:
  - {{name: pumps, service: cloud, tags: ["pump/**"]}}
"""
    )
    gateway = started(plant.Gateway(folder))

    def rows():
        lines = [json.loads(line) for line in seen.text().splitlines() if line.endswith("}")]
        return {(v["epoch"], int(v["seq"])): v for v in lines}

    def more(count):
        have = len(rows())
        plant.wait_for(lambda: len(rows()) >= have + count, f"values arrive\n{gateway.process.text()}\n{seen.text()[-500:]}")

    def serial(of):
        shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{of}"], capture_output=True, text=True, timeout=20, input="").stdout
        return openssl("x509", "-noout", "-serial", input=shown)

    more(20)
    token = json.loads(subprocess.run([plant.ISTHMUS, "token", "add", "page", "--role", "viewer", "--until", "2036-01-01T00:00:00Z", "--json", "--socket", gateway.socket],
                                      capture_output=True, text=True, timeout=20).stdout)["token"]  # fmt: skip
    context = ssl.create_default_context(cafile=pki_dir / "root.crt")
    stream = socket.create_connection(("127.0.0.1", https), timeout=10)
    stream = context.wrap_socket(stream, server_hostname=NAME)
    stream.sendall(f"GET /api/v1/stream?tags=pump/row HTTP/1.1\r\nHost: {NAME}:{https}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    pids, before = gateway.pids(), {of: serial(of) for of in (https, port)}
    renew(folder, "state/pki")
    plant.wait_for(lambda: serial(https) != before[https], "the listener shows the new certificate")
    more(20)
    renew(folder, "others", "broker")
    broker.child.send_signal(signal.SIGHUP)
    plant.wait_for(lambda: serial(port) != before[port], "the broker shows the new certificate")
    connections = way.connections
    way.cut()  # the gateway comes back with its renewed certificate, to one that is renewed
    plant.wait_for(lambda: way.connections > connections, "it connects again")
    more(50)
    assert gateway.pids() == pids and "not taken up" not in gateway.process.text()
    end = time.monotonic() + 10
    kept = b""
    while kept.count(b'"tag"') < 20:  # what came meanwhile waits in the socket
        assert time.monotonic() < end
        kept = kept[-65536:] + stream.recv(65536)
    stream.close()
    # every sample that the gateway recorded up to here arrived
    query = [plant.ISTHMUS, "sql", "SELECT time FROM history WHERE tag = 'pump/row'", "--csv", "--socket", gateway.socket]
    recorded = set(subprocess.run(query, capture_output=True, text=True, timeout=30).stdout.split()[1:])
    assert len(recorded) > 90
    plant.wait_for(lambda: recorded <= {v["time"] for v in rows().values()}, "every sample arrives")


def test_a_secret_is_taken_from_a_strict_file_and_shown_nowhere(tmp_path, started):
    secret = b"a secret that nobody sees"
    credentials, port = tmp_path / "credentials", plant.free_port()
    credentials.mkdir()
    (credentials / "broker").write_bytes(secret + b"\n")
    (credentials / "broker").chmod(0o640)
    (tmp_path / "isthmus.yaml").write_text(
        f"""gateway: {{name: secrets}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 1s}}
tags:
  - {{path: area/level, device: plc, address: "holding:0"}}
services:
  - {{name: cloud, module: sparkplug, address: "127.0.0.1:{port}", username: press-7, password_file: "credential:broker", reconnect_max: 500ms}}
contracts:
  - {{name: all, service: cloud, tags: ["**"]}}
"""
    )
    started(plant.mosquitto(tmp_path, port))
    gateway = started(plant.Gateway(tmp_path, CREDENTIALS_DIRECTORY=str(credentials)))
    plant.wait_for(lambda: "others may use" in gateway.process.text() and "chmod 600" in gateway.process.text(), "it is refused")
    (credentials / "broker").chmod(0o400)
    plant.wait_for(lambda: gateway.get("/api/v1/feeds")["feeds"][0]["connected"], f"it connects\n{gateway.process.text()}")
    assert secret not in gateway.process.log.read_bytes()
    for path in ("gateway", "processes", "feeds", "samples", "now"):
        assert secret not in gateway.get(f"/api/v1/{path}", check=False)[1]
    for pid in gateway.pids().values():
        proc = pathlib.Path("/proc") / str(pid)
        assert secret not in (proc / "cmdline").read_bytes() and secret not in (proc / "environ").read_bytes()
        assert re.search(r"^Max core file size +0 +0 ", (proc / "limits").read_text(), re.M)
    assert not [f for f in gateway.state.rglob("*") if f.is_file() and secret in f.read_bytes()]
