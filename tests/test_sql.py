# SPDX-License-Identifier: Apache-2.0
"""SQL over the gateway's data: what the tables hold, who sees what, and that no statement, however hostile, does more than read,
takes more than its share, or leaves anything behind."""

import collections
import contextlib
import csv
import http.client
import io
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.parse

import plant
import pytest

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
LONG = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3000000) SELECT x, 'row ' || x AS t FROM c"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """The waterworks, in small segments, so that part of its history is sealed; its console sees all, `partner` pump 1."""
    folder = tmp_path_factory.mktemp("sql")
    ports = [plant.free_port(), plant.free_port()]
    console, partner = plant.free_port(), plant.free_port()
    arguments = ["--ports", f"{ports[0]},{ports[1]}", "--tags", "41"]
    subprocess.run([plant.ISTHMUS, "sim", "waterworks", *arguments, "--write-config", folder], check=True, capture_output=True)
    written = (folder / "isthmus.yaml").read_text()
    devices = written[written.index("devices:") : written.index("services:")]
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: sql-test}}
journal: {{segment: 1MiB}}
{devices.replace("500ms", "20ms").replace("period: 1s", "period: 20ms")}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{console}"}}
  - {{name: partner, module: http, listen: "127.0.0.1:{partner}", scope: feeds}}
contracts:
  - {{name: pump, service: partner, tags: ["waterworks/line1/pump1/**"], purpose: service, owner: o, custodian: c, freshness: 5s}}
"""
    )
    sim = plant.Process([plant.ISTHMUS, "sim", "waterworks", *arguments], folder / "sim.log")
    plant.wait_for(lambda: plant.port_listens(ports[0]) and plant.port_listens(ports[1]), "the plant listens")
    g = plant.Gateway(folder)
    g.port, g.partner = console, partner
    plant.wait_for(lambda: list((g.state / "journal").glob("*.col")), "a segment is sealed", 60)
    yield g
    g.stop()
    sim.stop()


def post(port, text, timeout=60, **arguments):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("POST", "/api/v1/sql?" + urllib.parse.urlencode(arguments), body=text.encode())
        reply = connection.getresponse()
        return reply.status, reply.read()


def rows(gateway, text, port=None, **arguments):
    status, body = post(port or gateway.port, text, **arguments)
    assert status == 200, body
    return json.loads(body)["rows"]


def api(gateway, path):
    """By its port: the socket in the state folder is that of whichever service came last."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def problem(gateway, text, status, **arguments):
    code, body = post(gateway.port, text, **arguments)
    assert code == status, body
    return json.loads(body)


def pids(gateway):
    return {p["name"]: p["pid"] for p in api(gateway, "/api/v1/processes")["processes"]}


def children(gateway):
    """The processes that run queries, zombies too."""
    reader = pids(gateway)["reader"]
    return [int(pid) for pid in pathlib.Path(f"/proc/{reader}/task/{reader}/children").read_text().split()]


@pytest.fixture(autouse=True)
def nothing_is_left(gateway):
    """Whatever a test does: the reader is the same process as before, has no child, and answers."""
    before = pids(gateway)["reader"]
    yield
    plant.wait_for(lambda: children(gateway) == [], "no child is left")
    assert pids(gateway)["reader"] == before
    assert rows(gateway, "SELECT 1") == [[1]]


# ---- What is there.


def test_latest_is_what_the_api_says(gateway):
    tags = {t["path"]: t for t in api(gateway, "/api/v1/tags")["tags"]}
    said = rows(gateway, "SELECT tag, id, value, unit, status, quality FROM latest")
    assert {r[0]: (r[1], r[3]) for r in said} == {p: (t["id"], t["unit"]) for p, t in tags.items()}
    assert all(r[4] == "Good" and r[5] == "good" and r[2] is not None for r in said)


def test_history_is_what_the_journal_holds(gateway):
    tag = "waterworks/line1/pump1/flow"
    last = rows(gateway, f"SELECT max(ns) FROM history WHERE tag = '{tag}'")[0][0]
    said = rows(gateway, f"SELECT time, value, status FROM history WHERE tag = '{tag}' AND ns <= {last}", limit=1000000)
    end = urllib.parse.quote(said[-1][0])
    samples = api(gateway, f"/api/v1/history?tag={tag}&from=2020-01-01T00:00:00Z&to={end}")["samples"]
    assert said == [[s["time"], s["value"], s["status"]] for s in samples] and len(said) > 300
    assert [r[0] for r in said] == sorted(r[0] for r in said)


FLOW1, FLOW2 = "waterworks/line1/pump1/flow", "waterworks/line1/pump2/flow"


def samples_of(gateway, tag, begin, end):
    return by_ns(rows(gateway, f"SELECT ns, value FROM history WHERE tag = '{tag}' AND ns >= {begin} AND ns < {end}", limit=1000000))


def by_ns(found):
    """64-bit numbers are texts in JSON."""
    return [[int(ns), *rest] for ns, *rest in found]


def test_steps_are_what_the_samples_say(gateway):
    second = 10**9
    first, last = map(int, rows(gateway, f"SELECT min(ns), max(ns) FROM history WHERE tag = '{FLOW1}'")[0])
    begin, end = first + second, last - second
    samples = samples_of(gateway, FLOW1, begin, end)
    for name, of in (("average", lambda v: sum(v) / len(v)), ("min", min), ("max", max), ("count", len),
                     ("last", lambda v: v[-1]), ("percentile 50", lambda v: sorted(v)[(len(v) + 1) // 2 - 1])):  # fmt: skip
        steps = rows(
            gateway,
            f"SELECT ns, value, good FROM sampled WHERE tag = '{FLOW1}' AND ns >= {begin} AND ns < {end} "
            f"AND step = '2s' AND aggregate = '{name}'",
        )
        assert len(steps) == -(-(end - begin) // (2 * second))
        for ns, value, good in by_ns(steps[:-1]):
            inside = [v for t, v in samples if ns <= t < ns + 2 * second]
            assert good == len(inside) and value == (pytest.approx(of(inside), rel=1e-6) if inside else value)
    texts = rows(gateway, f"SELECT count(*) FROM sampled WHERE ns >= {begin} AND ns < {end} AND step = 1 AND tag LIKE '%/state'")
    assert texts is not None


def test_as_of_joins(gateway):
    """The last value of another tag at the times of one, also when both are read at once and over sealed and raw."""
    begin, end = map(int, rows(gateway, f"SELECT min(ns) + 1000000000, max(ns) - 1000000000 FROM history WHERE tag = '{FLOW1}'")[0])
    others = samples_of(gateway, FLOW2, 0, end)
    joined = rows(
        gateway, f"SELECT ns, asof('{FLOW2}', ns) FROM history WHERE tag = '{FLOW1}' AND ns >= {begin} AND ns < {end}", limit=1000000
    )
    joined = by_ns(joined)
    at, expected = 0, []
    for ns, _ in joined:
        while at < len(others) and others[at][0] <= ns:
            at += 1
        expected.append([ns, others[at - 1][1]])
    assert joined == expected and len({v for _, v in joined}) > 5
    backwards = rows(
        gateway,
        f"SELECT ns, asof('{FLOW2}', ns) FROM history WHERE tag = '{FLOW1}' AND ns >= {begin} AND ns < {end} ORDER BY ns DESC LIMIT 50",
    )
    assert by_ns(backwards) == expected[-50:][::-1]
    both = rows(
        gateway,
        f"SELECT count(*), count(b.value) FROM history a JOIN history b ON b.ns = a.ns WHERE a.tag = '{FLOW1}' AND b.tag = '{FLOW2}' "
        f"AND a.ns >= {begin} AND a.ns < {begin + 10**9}",
    )
    times = {t for t, _ in others}
    same = sum(1 for t, _ in samples_of(gateway, FLOW1, begin, begin + 10**9) if t in times)
    assert both == [[same, same]] and same > 0
    pivot = rows(
        gateway,
        f"SELECT a.ns, a.value, b.value FROM sampled a JOIN sampled b ON b.ns = a.ns WHERE a.tag = '{FLOW1}' AND b.tag = '{FLOW2}' "
        f"AND a.step = '1s' AND b.step = '1s' AND a.aggregate = 'asof' AND b.aggregate = 'asof' "
        f"AND a.ns >= {begin} AND a.ns < {end} AND b.ns >= {begin} AND b.ns < {end}",
    )
    assert len(pivot) == -(-(end - begin) // 10**9)


def test_the_ledger_balances_and_history_has_what_was_journaled(gateway):
    assert rows(gateway, "SELECT count(*) FROM ledger WHERE NOT balanced") == [[0]]
    tag = "waterworks/line1/pump1/flow"
    before = rows(gateway, f"SELECT journaled FROM ledger WHERE tag = '{tag}'")[0][0]
    between = rows(gateway, f"SELECT count(*) FROM history WHERE tag = '{tag}'")[0][0]
    after = rows(gateway, f"SELECT journaled FROM ledger WHERE tag = '{tag}'")[0][0]
    assert before - 50 <= between <= after and between > 300


def test_types_come_through(gateway):
    kinds = {t: v for t, v in rows(gateway, "SELECT DISTINCT t.type, typeof(l.value) FROM latest l JOIN tags t ON t.id = l.id")}
    assert kinds["float32"] == "real" and kinds["uint64"] == "integer" and kinds["bool"] == "integer" and kinds["text"] == "text"
    values = {v["tag"]: v["value"] for v in api(gateway, "/api/v1/now")["values"]}
    texts = rows(gateway, "SELECT l.tag, l.value FROM latest l JOIN tags t ON t.tag = l.tag WHERE t.type = 'text'")
    assert texts and all(values[tag] == value for tag, value in texts)


def test_assets_are_the_levels_above_the_tags(gateway):
    paths = [t["path"].split("/") for t in api(gateway, "/api/v1/tags")["tags"]]
    counts = collections.Counter("/".join(p[:i]) for p in paths for i in range(1, len(p)))
    said = rows(gateway, "SELECT asset, tags, name, parent, level FROM assets")
    assert {r[0]: r[1] for r in said} == counts
    assert all("/".join(filter(None, (r[3], r[2]))) == r[0] and r[4] == r[0].count("/") + 1 for r in said)


def test_events_and_gaps_are_what_the_api_says(gateway):
    notes = api(gateway, "/api/v1/gaps?from=2020-01-01T00:00:00Z")["records"]
    assert rows(gateway, "SELECT seq, event FROM events ORDER BY seq") == [[int(n["seq"]), n["event"]] for n in notes if "event" in n]
    assert rows(gateway, "SELECT seq, cause FROM gaps ORDER BY seq") == [[int(n["seq"]), n["gap"]] for n in notes if "gap" in n]
    moment = rows(gateway, "SELECT time FROM events LIMIT 1")[0][0]
    assert rows(gateway, f"SELECT count(*) FROM events WHERE time < '{moment}'") == [[0]]


def test_columns_tells_of_all_tables(gateway):
    for table, names in rows(gateway, "SELECT tbl, group_concat(name) FROM columns GROUP BY tbl"):
        where = "WHERE step = '1s' AND time > ago('10s')" if table == "sampled" else ""
        status, body = post(gateway.port, f"SELECT {names} FROM {table} {where}", format="csv", limit=1)
        assert status == 200 and body.decode().splitlines()[0] == names


# ---- Push-down, and times.


@pytest.mark.parametrize(
    "where, plan",
    [
        ("tag = 'x' AND time >= ago('1h') ORDER BY time", "tag=? AND time>=?"),
        ("tag LIKE '%flow' AND ns BETWEEN 1 AND 2", "tag LIKE ? AND time>=? AND time<=?"),
        ("tag GLOB '*flow' AND time < now()", "tag GLOB ? AND time<?"),
        ("id = 3 ORDER BY tag, ns", "id=?"),
        ("tag IN ('x', 'y')", "tag=?"),
        ("tag LIKE 'w%' ORDER BY tag, time", "tag LIKE ? by path"),
        ("tag LIKE 'w%' ORDER BY id, ns", "tag LIKE ?"),
    ],
)
def test_conditions_are_pushed_down(gateway, where, plan):
    said = rows(gateway, f"EXPLAIN QUERY PLAN SELECT * FROM history WHERE {where}")
    assert len(said) == 1, said
    assert set(said[0][3].split(":")[1].split(" AND ")) == set(plan.split(" AND "))


def test_groups_of_tags_need_no_sorting(gateway):
    """What comes tag by tag is grouped as it comes, however much it is."""
    text = "SELECT tag, count(*), min(ns), max(ns) FROM history WHERE time < ago('1s') GROUP BY tag"
    assert len(rows(gateway, f"EXPLAIN QUERY PLAN {text}")) == 1
    said = rows(gateway, text)
    tags = [r[0] for r in said]
    assert tags == sorted(tags) and len(tags) >= 41 and sum(r[1] for r in said) > 1000
    ordered = rows(gateway, "SELECT tag, ns FROM history WHERE time > ago('3s') AND time < ago('1s') ORDER BY tag, time", limit=100000)
    assert ordered == sorted(ordered, key=lambda r: (r[0], int(r[1])))
    mixed = rows(gateway, "SELECT ns, tag FROM history WHERE time > ago('2s') AND tag LIKE '%flow' ORDER BY time, tag")
    assert mixed == sorted(mixed, key=lambda r: (int(r[0]), r[1]))


def test_order_that_is_not_there_is_made(gateway):
    said = rows(gateway, "SELECT ns FROM history WHERE tag LIKE '%flow' AND time > ago('2s') ORDER BY ns DESC")
    assert len(said) > 20 and said == sorted(said, key=lambda r: int(r[0]), reverse=True)


def test_a_condition_means_what_it_says(gateway):
    """The pushed-down condition and the same one that can't be pushed down: the same rows."""
    end = rows(gateway, "SELECT ts(max(ns)) FROM history WHERE id < 9")[0][0]
    for where in (
        "tag LIKE '%PUMP1/%'",
        "tag GLOB 'waterworks/*/flow'",
        "tag IN ('waterworks/line1/pump1/flow', 'waterworks/line1/pump2/flow', 'nix')",
        "id IN (1, 2, 2, 700)",
        "id = 1 AND tag LIKE '%a%'",
    ):
        name, rest = where.split(" ", 1)
        hidden = f"(+{name}) {rest.replace(' tag ', ' +tag ')}"
        pushed, plain = (rows(gateway, f"SELECT count(*), sum(ns % 1000) FROM history WHERE {w} AND time < '{end}'") for w in (where, hidden))
        assert pushed == plain and (pushed[0][0] > 0), where


def test_times_may_be_written_in_many_ways(gateway):
    at = rows(gateway, "SELECT substr(ts(ns(ago('3s'))), 1, 19) || 'Z'")[0][0]
    count = "SELECT count(*) FROM history WHERE id = 1 AND"
    end = rows(gateway, "SELECT ts(max(ns)) FROM history WHERE id = 1")[0][0]
    ways = [f"time >= '{at}'", f"time >= '{at[:-1]}'", f"ns >= ns('{at}')", f"time >= ts('{at}')", f"time >= '{at[:-1]}.000+00:00'", f"ns >= '{at.replace('T', ' ')}'"]
    counts = {rows(gateway, f"{count} {way} AND time <= '{end}'")[0][0] for way in ways}
    assert len(counts) == 1 and counts != {0}
    assert rows(gateway, "SELECT ns('2026-11-23'), ns('2026-11-23T10:00+01:00'), ts(1)") == [
        ["1795392000000000000", "1795424400000000000", "1970-01-01T00:00:00.000000001Z"]
    ]
    assert "is no time" in problem(gateway, f"{count} time > 'tomorrow'", 400)["detail"]
    assert "duration" in problem(gateway, "SELECT ago('soon')", 400)["detail"]
    assert rows(gateway, f"{count} time > NULL") == [[0]]


# ---- Formats.


def test_values_as_json_and_csv(gateway):
    text = "SELECT 'a,\"b\"\n' AS \"x,y\", x'00ff', NULL, 9e999, 9007199254740993, '', 0.1, -1"
    status, body = post(gateway.port, text)
    said = json.loads(body)
    assert said["columns"][0] == "x,y" and not said["more"]
    assert said["rows"] == [['a,"b"\n', "AP8=", None, "Infinity", "9007199254740993", "", 0.1, -1]]
    lines = list(csv.reader(io.StringIO(post(gateway.port, text, format="csv")[1].decode(), newline="")))
    assert lines[0][0] == "x,y" and lines[1] == ['a,"b"\n', "AP8=", "", "Infinity", "9007199254740993", "", "0.1", "-1"]


def test_rows_are_cut_off_and_it_is_said(gateway):
    assert json.loads(post(gateway.port, LONG)[1])["more"] is True
    said = json.loads(post(gateway.port, LONG, limit=3)[1])
    assert said["more"] is True and [r[0] for r in said["rows"]] == [1, 2, 3]
    assert len(post(gateway.port, LONG, limit=3, format="csv")[1].splitlines()) == 4


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_long_result_is_streamed_whole(gateway, kind):
    status, body = post(gateway.port, LONG, limit=300000, format=kind)
    assert status == 200 and len(body) > 4_000_000
    said = [r[0] for r in json.loads(body)["rows"]] if kind == "json" else [int(line.split(b",")[0]) for line in body.splitlines()[1:]]
    assert said == list(range(1, 300001))


# ---- Hostile texts.

REFUSED = [
    "ATTACH 'x.db' AS x",
    "PRAGMA journal_mode",
    "PRAGMA temp_store = FILE",
    "SELECT * FROM pragma_database_list",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT fts3_tokenizer('simple')",
    "CREATE TABLE x(y)",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "INSERT INTO history VALUES (1)",
    "BEGIN",
    "VACUUM INTO '/tmp/x'",
    "SELECT * FROM sqlite_master",
    "SELECT sql FROM sqlite_temp_master",
]
WRONG = [
    "",
    " -- nothing\n",
    "SELECT 1; SELECT 2",
    "SELECT 'open",
    "SELECT \"no such column\"",
    "SELECT * FROM nix",
    "SELECT * FROM sampled",
    "SELECT * FROM sampled WHERE step = '1min'",
    "SELECT * FROM sampled WHERE step = '1min' AND time > ago('1h') AND aggregate = 'mean'",
    "SELECT * FROM sampled WHERE step = '1min' AND time > ago('1h') AND aggregate = 'percentile'",
    "SELECT * FROM sampled WHERE step = '1ms' AND time > ago('30d')",
    "SELECT asof('no/such/tag', now())",
    "SELECT asof(tag, 'yesterday') FROM tags",
    "DELETE FROM history",
    "UPDATE latest SET value = 1",
    "SELECT 1\0; ATTACH 'x' AS x",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT 1" + " UNION SELECT 1" * 1000,
    "\xff\xfe'\"`[",
    "SELECT " + ", ".join("1" * 1 for _ in range(300)),
]
COSTLY = [
    ENDLESS,
    "SELECT count(*) FROM history a, history b, history c",
    "SELECT randomblob(2000000000)",
    "SELECT zeroblob(2000000000)",
    "SELECT hex(zeroblob(3000000))",
    "SELECT replace(hex(zeroblob(1000000)), '0', printf('%1000000d', 1))",
    "WITH RECURSIVE c(x) AS (SELECT printf('%100000d', 1) UNION ALL SELECT x || x FROM c) SELECT count(*) FROM c",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c ORDER BY random()",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x + 1 FROM c) SELECT max(x) FROM c",
    "SELECT group_concat(a.tag) FROM tags a, tags b, tags c, tags d",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_does_more_than_read_is_refused(gateway, text):
    assert problem(gateway, text, 403)["detail"]


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said(gateway, text):
    assert problem(gateway, text, 400)["detail"]


def test_the_place_of_a_mistake_is_told(gateway):
    said = problem(gateway, "SELECT 1,\n  nix FROM tags", 400)
    assert (said["offset"], said["line"], said["column"]) == (12, 2, 3) and "nix" in said["detail"]


@pytest.mark.parametrize("text", COSTLY, ids=range(len(COSTLY)))
def test_what_costs_too_much_is_ended(gateway, text):
    begun = time.monotonic()
    assert problem(gateway, text, 422, seconds=1)["title"].startswith(("The query takes too long", "The query needs too much memory"))
    assert time.monotonic() - begun < 20


def test_too_long_a_text_is_not_taken(gateway):
    assert post(gateway.port, "SELECT '" + "x" * 17000 + "'")[0] == 413
    assert rows(gateway, "SELECT length('" + "x" * 16000 + "')") == [[16000]]


# ---- The child.


def begin(gateway, text, **arguments):
    """A query that is under way, and its child."""
    before = set(children(gateway))
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("POST", "/api/v1/sql?" + urllib.parse.urlencode(arguments), body=text.encode())
    child = plant.wait_for(lambda: set(children(gateway)) - before, "a child runs").pop()
    plant.wait_for(lambda: pathlib.Path(f"/proc/{child}/comm").read_text() == "ist:query\n", "it has locked itself in")
    return connection, child


def test_a_child_has_next_to_nothing(gateway):
    connection, child = begin(gateway, ENDLESS)
    folder = pathlib.Path(f"/proc/{child}")
    plant.wait_for(lambda: "Seccomp:\t2" in (folder / "status").read_text(), "it is locked in")
    plant.wait_for(lambda: len(os.listdir(folder / "fd")) <= 2, "it has two descriptors")
    kinds = sorted(os.readlink(folder / "fd" / fd).split(":")[0] for fd in os.listdir(folder / "fd"))
    assert kinds == [str(gateway.state / "journal"), "pipe"]
    shared = [line for line in (folder / "maps").read_text().splitlines() if line.split()[1].startswith("rw") and line.split()[1].endswith("s")]
    assert shared == []

    def limit(name):
        return next(l for l in (folder / "limits").read_text().splitlines() if l.startswith(name)).split()[3]

    plant.wait_for(lambda: "unlimited" not in (limit("Max data size"), limit("Max cpu time")), "it has limits")
    assert int(limit("Max data size")) < 500 << 20 and int(limit("Max cpu time")) <= 32
    assert os.getpriority(os.PRIO_PROCESS, child) >= 10
    connection.close()


def test_who_hangs_up_cancels(gateway):
    connection, child = begin(gateway, ENDLESS, seconds=300)
    connection.close()
    plant.wait_for(lambda: child not in children(gateway), "the child is gone", 5)


def test_a_killed_child_is_a_clear_error(gateway):
    connection, child = begin(gateway, ENDLESS)
    os.kill(child, signal.SIGKILL)
    reply = connection.getresponse()
    said = json.loads(reply.read())
    assert reply.status == 500 and "was ended" in said["title"]
    connection.close()


def test_a_child_killed_in_mid_stream_cuts_the_answer_off(gateway):
    connection, child = begin(gateway, LONG, limit=3000000)
    reply = connection.getresponse()
    assert reply.status == 200 and reply.read(1000)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(http.client.IncompleteRead):
        reply.read()
    connection.close()


def test_an_error_in_mid_stream_is_told(gateway):
    text = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT CASE WHEN x < 100000 THEN x ELSE ago('x') END FROM c"
    status, body = post(gateway.port, text, limit=1000000)
    said = json.loads(body)
    assert status == 200 and said["more"] and "duration" in said["error"] and len(said["rows"]) == 99999
    with pytest.raises(http.client.IncompleteRead):
        post(gateway.port, text, format="csv")


def test_a_slow_client_holds_up_its_own_query_only(gateway):
    connection, child = begin(gateway, LONG, limit=3000000, seconds=2)
    reply = connection.getresponse()
    reply.read(1000)
    state = pathlib.Path(f"/proc/{child}/stat")

    def waits():
        fields = state.read_text().rsplit(")", 1)[1].split()
        return fields[0] == "S"

    plant.wait_for(waits, "the child waits for its pipe")
    pss = {p["name"]: p["pss_bytes"] for p in api(gateway, "/api/v1/processes")["processes"]}
    assert rows(gateway, "SELECT count(*) FROM tags")[0][0] == 41
    assert pss["console"] < 100 << 20
    begun = time.monotonic()
    plant.wait_for(lambda: time.monotonic() > begun + 4.5, "more time is over than it may work and be late: waiting is not work")
    assert len(reply.read().splitlines()) == 1 and child not in children(gateway)
    connection.close()


def test_a_few_at_a_time_the_others_are_told(gateway):
    running = [begin(gateway, ENDLESS, seconds=20)[0] for _ in range(3)]
    assert problem(gateway, "SELECT 1", 503)["title"] == "Busy"
    assert api(gateway, "/api/v1/now")["values"]
    for connection in running:
        connection.close()
    plant.wait_for(lambda: post(gateway.port, "SELECT 1")[0] == 200, "there is room again")


# ---- Who sees what.


@pytest.mark.parametrize("table", ["tags", "latest", "ledger", "history"])
def test_a_service_sees_its_contracts_tags_only(gateway, table):
    seen = {r[0] for r in rows(gateway, f"SELECT DISTINCT tag FROM {table}", port=gateway.partner)}
    everything = {t["path"] for t in api(gateway, "/api/v1/tags")["tags"]}
    assert seen == {t for t in everything if t.startswith("waterworks/line1/pump1/")}
    for where in ("tag = 'waterworks/line1/pump2/flow'", "tag LIKE '%pump2%'", "id NOT IN (SELECT id FROM tags)", "+tag LIKE '%pump2%'"):
        assert rows(gateway, f"SELECT count(*) FROM {table} WHERE {where}", port=gateway.partner) == [[0]]
    hidden = rows(gateway, "SELECT id FROM tags WHERE tag LIKE '%pump2/flow'")[0][0]
    assert rows(gateway, f"SELECT count(*) FROM {table} WHERE id = {hidden}", port=gateway.partner) == [[0]]


def test_a_service_sees_what_concerns_it_only(gateway):
    assert rows(gateway, "SELECT asset FROM assets ORDER BY level", port=gateway.partner) == [
        ["waterworks"], ["waterworks/line1"], ["waterworks/line1/pump1"]
    ]
    devices = {d["name"] for d in api(gateway, "/api/v1/devices")["devices"]}
    mine = {r[0] for r in rows(gateway, "SELECT DISTINCT device FROM tags", port=gateway.partner)}
    seen = {r[0] for r in rows(gateway, "SELECT DISTINCT device FROM events WHERE device IS NOT NULL", port=gateway.partner)}
    assert seen <= mine < devices
    assert {r[0] for r in rows(gateway, "SELECT DISTINCT device FROM events WHERE device IS NOT NULL")} == devices
