# SPDX-License-Identifier: Apache-2.0
"""The HTTP service against its description (docs/openapi.yaml), and against clients that mean harm."""

import base64
import http.client
import json
import os
import re
import resource
import socket
import stat
import subprocess
import time
import uuid

import plant
import pytest
import yaml

pytestmark = pytest.mark.sanitizer

DOCUMENT = yaml.safe_load((plant.ROOT / "docs" / "openapi.yaml").read_text())


def resolve(schema):
    while "$ref" in schema:
        node = DOCUMENT
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def faults(value, schema, where="answer"):
    """What of `value` is not as the schema says: the part of JSON Schema that the document uses."""
    schema = resolve(schema)
    if "oneOf" in schema:
        fits = [s for s in schema["oneOf"] if not faults(value, s)]
        return [] if len(fits) == 1 else [f"{where}: fits {len(fits)} of oneOf: {value}"]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{where}: {value!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{where}: {value!r}"]
    kinds = schema.get("type", list(KINDS))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, KINDS[k]) and (k == "boolean" or not isinstance(value, bool)) for k in kinds):
        return [f"{where}: {value!r} is no {kinds}"]
    found = []
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{where}: lacks {k}" for k in schema.get("required", []) if k not in value]
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            properties = {**dict.fromkeys(value, others), **properties}
        found += [f"{where}: {k} is not described" for k in value if k not in properties]
        for k in value.keys() & properties.keys():
            found += faults(value[k], properties[k], f"{where}.{k}")
    if isinstance(value, list):
        for i, item in enumerate(value):
            found += faults(item, schema["items"], f"{where}[{i}]")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if schema.get("format") == "date-time" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", value):
        found.append(f"{where}: {value!r} is no time with nine digits")
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway whose one device does not answer: its tags are bad, and there are events."""
    folder = tmp_path_factory.mktemp("http")
    port = plant.free_port()
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: http-test}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{plant.free_port()}", period: 100ms}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{port}"}}
"""
    )
    (folder / "tags.csv").write_text(
        "path,device,address,low,high\n"
        "area/count,plc,holding:0:uint32,,\narea/level,plc,holding:2:float32,0,10\narea/small,plc,holding:4:int16,,\n"
        "area/total,plc,holding:6:uint64,,\narea/on,plc,coil:0,,\narea/name,plc,holding:10:text8,,\n"
    )
    g = plant.Gateway(folder)
    g.port = port
    yield g
    g.stop()


def ask(gateway, target, method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.getheader("content-type"), reply.read()
    finally:
        connection.close()


def check_problem(reply, status):
    assert reply[0] == status and reply[1] == "application/problem+json", reply
    problem = json.loads(reply[2])
    assert not faults(problem, DOCUMENT["components"]["schemas"]["Problem"]) and problem["status"] == status
    assert problem["title"] and problem["detail"]


NOT_JSON = ("/api/v1/stream", "/api/v1/ws", "/api/v1/openapi.json", "/api/v1/browse", "/metrics", "/prometheus/federate")
NEEDED = {
    "/api/v1/history": "?tag=area/level",
    "/prometheus/api/v1/query": "?query=sum(plant_level)",
    "/prometheus/api/v1/query_range": "?query=3&start=0&end=60&step=1m",
    "/prometheus/api/v1/series": "?match[]={device=%22plc%22}",
}
PLAIN = [
    p
    for p, item in DOCUMENT["paths"].items()
    if "get" in item and "{" not in p and p not in NOT_JSON and "security" not in item["get"]
]


@pytest.mark.parametrize("path", PLAIN)
def test_answers_are_as_described(gateway, path):
    target = path + NEEDED.get(path, "")
    status, kind, body = ask(gateway, target)
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert (status, kind) == (200, "application/json"), body
    assert not faults(json.loads(body), schema)


def test_a_device_that_does_not_answer_can_not_be_browsed(gateway):
    check_problem(ask(gateway, "/api/v1/browse"), 400)
    check_problem(ask(gateway, "/api/v1/browse?device=nobody"), 404)
    check_problem(ask(gateway, "/api/v1/browse?device=plc"), 502)


def test_every_route_is_described():
    source = (plant.ROOT / "src" / "north" / "http" / "api.c").read_text()
    routes = set(re.findall(r'^    \{"(/[^"]*)", METHOD_(\w+), ', source, re.M))
    described = {
        (re.sub(r"\{\w+\}.*", "*", p), m.upper()) for p, item in DOCUMENT["paths"].items() for m in item if m != "parameters"
    }
    assert routes and described == routes | {("/api/v1/ws", "GET"), ("/api/v1/openapi.json", "GET")}


def test_the_document_says_which_routes_need_a_session():
    source = (plant.ROOT / "src" / "north" / "http" / "api.c").read_text()
    signed = set(re.findall(r'^    \{"(/[^"]*)", METHOD_(\w+), ACCESS_SIGNED, ', source, re.M))
    described = {
        (re.sub(r"\{\w+\}.*", "*", p), m.upper()) for p, item in DOCUMENT["paths"].items() for m in item if "security" in item[m]
    }
    assert signed and described == signed


def test_one_value_and_the_account(gateway):
    status, _, body = ask(gateway, "/api/v1/now/area/level")
    assert status == 200 and [v["tag"] for v in json.loads(body)["values"]] in (["area/level"], [])
    records = json.loads(ask(gateway, "/api/v1/samples")[2])["records"]
    assert any("event" in r for r in records)
    numbers = [int(r["seq"]) for r in records]
    assert numbers == sorted(set(numbers))


def test_metrics_please_prometheus(gateway):
    status, kind, body = ask(gateway, "/metrics")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4")
    names = [re.match(rb"\w+", row)[0] for row in body.splitlines() if not row.startswith(b"#")]
    grouped = [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]
    assert len(grouped) == len(set(grouped)) >= 14, "a family's lines are together"
    check = subprocess.run([plant.PEERS / "promtool", "check", "metrics"], input=body, capture_output=True)
    assert check.returncode == 0, (check.stdout, check.stderr, body)


def test_document_is_served(gateway):
    status, kind, body = ask(gateway, "/openapi.yaml")
    assert (status, kind) == (200, "application/yaml") and yaml.safe_load(body) == DOCUMENT
    status, kind, body = ask(gateway, "/api/v1/openapi.json")
    assert (status, kind) == (200, "application/json") and json.loads(body) == DOCUMENT


def test_what_the_caller_has_is_not_sent_again(gateway):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)

    def get(path, **headers):
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.getheader("etag"), reply.getheader("cache-control"), reply.read()

    tags = set()
    for path in ("/", "/console.js", "/console.css", "/api/v1/openapi.json"):
        status, tag, caching, body = get(path)
        assert status == 200 and re.fullmatch('"[0-9a-f]{32}"', tag) and caching == "no-cache" and body
        tags.add(tag)
        for same in (tag, f'"other", W/{tag}', "*"):
            assert get(path, **{"If-None-Match": same}) == (304, tag, "no-cache", b"")
        assert get(path, **{"If-None-Match": '"other"'})[0] == 200
    assert len(tags) == 4
    assert get("/api/v1/gateway")[1:3] == (None, "no-store")
    connection.close()


def test_pages_of_the_console(gateway):
    index = ask(gateway, "/")
    assert index[0] == 200 and index[1].startswith("text/html")
    for page in ("/plant", "/devices/plc"):
        assert ask(gateway, page) == index
    for none in ("/missing.js", "/api/plant", "/api/v1/devices/plc"):
        check_problem(ask(gateway, none), 404)


def test_wrong_questions_get_problems(gateway):
    check_problem(ask(gateway, "/api/v1/nothing"), 404)
    check_problem(ask(gateway, "/api/v1/now/no/such/tag"), 404)
    check_problem(ask(gateway, "/api/v1/history"), 400)
    check_problem(ask(gateway, "/api/v1/history?tag=area/level&format=rows"), 400)
    check_problem(ask(gateway, "/api/v1/samples?limit=-1"), 400)
    check_problem(ask(gateway, "/api/v1/samples?after=99999999999999999999999"), 400)
    check_problem(ask(gateway, "/api/v1/gaps?from=yesterday"), 400)
    check_problem(ask(gateway, "/api/v1/stream?mode=all"), 400)
    check_problem(ask(gateway, "/api/v1/gateway", "DELETE"), 405)
    check_problem(ask(gateway, "/api/v1/enrol"), 405)


def test_an_argument_is_never_ignored(gateway):
    check_problem(ask(gateway, "/api/v1/tags?glob=" + "x" * 600), 414)
    check_problem(ask(gateway, "/api/v1/tags?" + "&".join(f"a{i}=1" for i in range(17))), 414)
    check_problem(ask(gateway, "/api/v1/now/" + "x" * 600), 414)


def test_other_hosts_and_origins_are_refused(gateway):
    own = f"127.0.0.1:{gateway.port}"
    assert ask(gateway, "/api/v1/gateway", headers={"Origin": f"http://{own}"})[0] == 200
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"127.0.0.1.evil.example:{gateway.port}"},
        {"Host": "x" * 300},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://" + "e" * 400 + ".example"},
        {"Origin": f"http://{own}.evil.example"},
    ):
        check_problem(ask(gateway, "/api/v1/gateway", headers=headers), 403)


def upgrade(gateway, path="/api/v1/ws", origin=None, host=None):
    s = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{gateway.port}'}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    lines += [f"Origin: {origin}"] if origin else []
    s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return s, s.recv(4096)


def test_websocket_only_for_ourselves(gateway):
    s, reply = upgrade(gateway)
    s.close()
    assert b" 101 " in reply
    wrong_host = {"host": f"evil.example:{gateway.port}"}
    for more in ({"origin": "http://evil.example"}, {"origin": "http://" + "e" * 400}, {"path": "/api/v1/other"}, wrong_host):
        s, reply = upgrade(gateway, **more)
        s.close()
        assert b" 101 " not in reply, more


def command(gateway, body):
    return ask(gateway, "/api/v1/commands", "POST", body if isinstance(body, str) else json.dumps(body))


GOOD = {
    "area/level": [0, 10, 1.5, 1e-300],
    "area/count": [0, 4294967295, "7"],
    "area/small": [-32768, 32767, "-5"],
    "area/total": [1, "18446744073709551615"],
    "area/on": [True, False],
}
UNFIT = {
    "area/level": ["1", True, None, [], {}, 1e39],
    "area/count": [-1, 4294967296, 1.5, "x", "", "1 ", "-1", "0x1", True],
    "area/small": [-32769, 32768, "99999999999999999999", "-"],
    "area/total": ["18446744073709551616", "-1", -1],
    "area/on": [0, 1, "true"],
    "area/name": ["x", 1],
}


@pytest.mark.parametrize("tag,value", [(t, v) for t, values in GOOD.items() for v in values])
def test_each_command_gets_its_one_receipt(gateway, tag, value):
    """From the engine, which refuses each: no write contract speaks for these tags."""
    ids = [str(uuid.uuid4()), uuid.uuid4().hex.upper(), None]
    for id in ids:
        status, kind, body = command(gateway, {"tag": tag, "value": value, **({"id": id} if id else {})})
        receipt = json.loads(body)
        assert (status, kind) == (403, "application/problem+json")
        assert not faults(receipt, DOCUMENT["components"]["schemas"]["Receipt"])
        assert (receipt["tag"], receipt["state"]) == (tag, "refused") and "no write contract" in receipt["detail"]
        assert not id or receipt["id"].replace("-", "") == id.replace("-", "").lower()


@pytest.mark.parametrize("tag,value", [(t, v) for t, values in UNFIT.items() for v in values])
def test_a_value_that_does_not_fit_never_reaches_the_engine(gateway, tag, value):
    check_problem(command(gateway, {"tag": tag, "value": value}), 422)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '"x"', '{"value": 1}', '{"tag": "area/level"}', '{"tag": 1, "value": 1}', '{"tag": "area/level", "value": NaN}',
     '{"tag": "area/level", "tag": "area/count", "value": 1}', '{"tag": "area/level", "value": 1, "when": "now"}',
     '{"tag": "area/total", "value": 18446744073709551615}', "[" * 10000,
     *(json.dumps({"tag": "area/level", "value": 1, "id": i})
       for i in (5, "", "0" * 31, "0" * 33, "g" * 32, "00112233-4455-6677-8899aabbccddeeff0", "0" * 36, "é" * 16))],
)  # fmt: skip
def test_wrong_commands_are_told(gateway, body):
    check_problem(command(gateway, body), 400)


def test_commands_may_be_left(gateway):
    body = json.dumps({"tag": "area/level", "value": 1})
    check_problem(command(gateway, {"tag": "no/such", "value": 1}), 404)
    head = f"POST /api/v1/commands HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nContent-Length: {len(body)}\r\n\r\n"
    before = gateway.pids()
    for _ in range(50):  # gone before the receipt comes
        with socket.create_connection(("127.0.0.1", gateway.port)) as s:
            s.sendall((head + body).encode())
    assert command(gateway, body)[0] == 403
    assert gateway.pids() == before


def test_garbage_and_streams_that_stop_reading(gateway):
    before = gateway.pids()
    streams = []
    for i in range(110):
        s = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
        s.sendall(f"GET /api/v1/stream?after=0&mode=every HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n".encode())
        streams.append((s, s.recv(64)))
    assert sum(b" 200 " in head for _, head in streams) == 100
    assert ask(gateway, "/api/v1/health/ready")[0] == 200
    for s, _ in streams:
        s.close()
    for garbage in (b"\x00" * 4096, b"GET " + b"/" * 100000, b"GET / HTTP/1.1\r\nA: " + b"b" * 100000, os.urandom(8192)):
        with socket.create_connection(("127.0.0.1", gateway.port)) as s:
            try:
                s.sendall(garbage)
            except OSError:
                pass  # cut off, as it may be
    plant.wait_for(lambda: ask(gateway, "/api/v1/stream?mode=x")[0] == 400, "streams are free again")
    assert gateway.pids() == before


def raw(gateway, *lines, body=b""):
    """A connection that has sent a request as it is given."""
    s = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    head = "\r\n".join([*lines, f"Host: 127.0.0.1:{gateway.port}", "", ""])
    s.sendall(head.encode() + body)
    return s


def all_of(s):
    """What comes until the other side closes."""
    data = b""
    with s:
        while part := s.recv(65536):
            data += part
    return data


@pytest.mark.parametrize(
    "header,status",
    [("Transfer-Encoding: chunked", 411), ("Accept: */*", 411), ("Content-Length: -1", 411), ("Content-Length: x", 411),
     ("Content-Length: 16385", 413), ("Content-Length: 99999999999999999999999999", 411), ("Content-Length: 9999999999999", 413)],
)  # fmt: skip
def test_a_body_is_small_and_told_beforehand(gateway, header, status):
    for body in (b"", b"5\r\nhello\r\n0\r\n\r\n", b"x" * 20000):
        reply = all_of(raw(gateway, "POST /api/v1/commands HTTP/1.1", header, body=body))
        if header == "Content-Length: x" and not reply:
            continue  # libwebsockets 4.3 (Debian 13) itself hangs up on what is no number
        assert reply.startswith(f"HTTP/1.1 {status} ".encode()) and reply.endswith(b"}"), reply
        assert reply.count(b"HTTP/1.1") == 1, "what follows is no second request"


def test_slow_requests_end(gateway):
    """A head or a body that comes a byte at a time ends within seconds, and keeps nobody waiting."""
    heads = [raw(gateway, "GET / HTTP/1.1") for _ in range(3)]
    assert all(h.recv(12) == b"HTTP/1.1 200" for h in heads)
    slow = [socket.create_connection(("127.0.0.1", gateway.port), timeout=30) for _ in range(60)]
    slow.append(raw(gateway, "POST /api/v1/commands HTTP/1.1", "Content-Length: 16000"))
    for s in slow[:-1]:
        s.sendall(b"GET / HTTP/1.1\r\nX: ")
    begin, asked = time.monotonic(), 0.0

    def all_closed():
        nonlocal asked
        before = time.monotonic()
        assert ask(gateway, "/api/v1/health/live")[0] == 200
        asked = max(asked, time.monotonic() - before)
        for s in list(slow):
            s.settimeout(0.001)
            try:
                s.send(b" ")
                closed = s.recv(4096) == b""
            except TimeoutError:
                closed = False
            except OSError:
                closed = True
            if closed:
                s.close()
                slow.remove(s)
        return not slow

    plant.wait_for(all_closed, "slow requests are ended", 40)
    assert time.monotonic() - begin > 2 and asked < 5
    for h in heads:
        h.close()


def test_connections_are_bounded_and_the_local_socket_is_kept_free(gateway):
    before = gateway.pids()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))  # ours; the gateway runs already
    crowd = [socket.create_connection(("127.0.0.1", gateway.port), timeout=10) for _ in range(1000)]
    assert ask(gateway, "/api/v1/health/live")[0] == 200  # a thousand that do nothing are in nobody's way
    crowd += [socket.create_connection(("127.0.0.1", gateway.port), timeout=10) for _ in range(300)]

    def is_served(s):
        try:
            s.sendall(f"GET /api/v1/health/live HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n".encode())
            return s.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False

    assert 1190 <= sum(map(is_served, crowd)) <= 1200
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(gateway, "/api/v1/health/live")
    assert gateway.get("/api/v1/health/live") == {"live": True}
    for s in crowd:
        s.close()

    def answers():
        try:
            return ask(gateway, "/api/v1/health/live")[0] == 200
        except (http.client.HTTPException, OSError):
            return False

    plant.wait_for(answers, "there is room again")
    assert gateway.pids() == before


ANOTHER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode())
sys.stdout.buffer.write(s.recv(4096))
"""
UPGRADE = [
    "GET /api/v1/ws HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]  # fmt: skip


def test_the_local_socket_knows_who_calls(gateway):
    assert stat.S_IMODE(os.stat(gateway.socket).st_mode) & 0o077 == 0
    if os.getuid() != 0:
        return  # only root can be another
    folders = [f for f in gateway.socket.parents if f != f.parent]
    modes = {f: stat.S_IMODE(os.stat(f).st_mode) for f in [gateway.socket, *folders]}
    try:
        for f, mode in modes.items():
            os.chmod(f, mode | (0o666 if f == gateway.socket else 0o011))
        for request, own, others in (
            (["GET /api/v1/gateway HTTP/1.1", "Host: localhost"], b"HTTP/1.1 200", b"HTTP/1.1 403"),
            (UPGRADE, b"HTTP/1.1 101", b""),
        ):
            text = "\r\n".join([*request, "", ""])
            reply = subprocess.run([plant.PYTHON, "-c", ANOTHER, gateway.socket, text], capture_output=True, check=True).stdout
            assert reply.startswith(others) and b" 101 " not in reply, reply
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(str(gateway.socket))
                s.sendall(text.encode())
                assert s.recv(4096).startswith(own)
    finally:
        for f, mode in modes.items():
            os.chmod(f, mode)


def test_a_stream_lives_longer_than_a_request_may(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=25) as s:
        s.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n".encode())
        assert b" 200 " in s.recv(64)
        end = time.monotonic() + 20
        s.settimeout(1)
        while time.monotonic() < end:
            try:
                assert s.recv(65536) != b"", "the stream was closed"
            except TimeoutError:
                pass


@pytest.mark.parametrize("mode", ["every", "latest"])
def test_stream_goes_on_behind_after(gateway, mode):
    """The journal behind its record 0, each line as described and as the account says."""
    records = json.loads(ask(gateway, "/api/v1/samples?after=0")[2])["records"]
    account = {r["seq"]: r for r in records if "event" in r}
    seen = {}
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as s:
        s.sendall(f"GET /api/v1/stream?after=0&mode={mode} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n".encode())
        with s.makefile("rb") as lines:
            while lines.readline().strip():
                pass
            while not account.keys() <= seen.keys():
                record = json.loads(lines.readline())
                assert not faults(record, DOCUMENT["components"]["schemas"]["Record"])
                assert record["seq"] not in seen
                seen[record["seq"]] = record
    assert account and all(seen[seq] == record for seq, record in account.items())
