# SPDX-License-Identifier: Apache-2.0
"""The Prometheus-compatible API: judged by a real Prometheus that holds the same samples, by promtool, by what Grafana asks, and
by a Prometheus that federates."""

import contextlib
import http.client
import json
import math
import random
import subprocess
import time
import urllib.parse

import plant
import pytest

TAGS = {
    "works/hall1/pump/flow": ("holding:0:float64", "m3/h"),
    "works/hall2/pump/flow": ("holding:50:float64", "m3/h"),
    "works/hall2/spare-pump/flow": ("holding:54:float64", "m3/h"),
    "works/hall1/pump/energy": ("holding:10:uint32", "kW.h"),
    "works/hall2/pump/energy": ("holding:12:uint32", "kW.h"),
    "works/hall1/pump/on": ("coil:0", ""),
    "works/hall1/pump/temp-°C": ("holding:20:float64", "Cel"),
    "works/hall1/pump/name": ("holding:30:text8", ""),
    "works/hall1/pump/faulty": ("holding:40:float64", ""),
}
METRICS = [t for t in TAGS if not t.endswith(("name", "faulty"))]


def labels_of(tag):
    asset, _, leaf = tag.rpartition("/")
    name = "plant_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in leaf)
    found = {"__name__": name, "asset": asset, "device": "plc", "tag": tag, "unit": TAGS[tag][1]}
    return {k: v for k, v in found.items() if v}


def recorded(begin):
    """Three hours: tag → [(ms, value)]. No sample on the half second, on which is asked; a hole of twenty minutes."""
    rng = random.Random(3)
    data = {}
    for tag in METRICS:
        samples, value, ms = [], rng.uniform(10, 90), begin * 1000
        while ms < (begin + 3 * 3600) * 1000:
            second, within = divmod(ms, 1000)
            hole = 4000 < second - begin < 5200 and "hall2" in tag
            if tag.endswith("energy"):
                value = 0 if rng.random() < 0.002 else int(value) + rng.randrange(5)
            elif tag.endswith("on"):
                value = rng.random() < 0.7
            else:
                value = round(value + rng.gauss(0, 1), 2)
            if not hole:
                samples.append((second * 1000 + within % 499, value))
            ms = (second + rng.choice((1, 2, 5))) * 1000 + rng.randrange(499)
        data[tag] = samples
    return data


def rfc3339(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z"


class Server:
    """Whoever answers Prometheus' API."""

    def __init__(self, port, prefix=""):
        self.port, self.prefix = port, prefix

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def ask(self, path, method="GET", **arguments):
        form = urllib.parse.urlencode(arguments, doseq=True)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            if method == "GET":
                connection.request("GET", f"{self.prefix}{path}?{form}")
            else:
                connection.request("POST", self.prefix + path, form, {"Content-Type": "application/x-www-form-urlencoded"})
            reply = connection.getresponse()
            return reply.status, reply.read()

    def data(self, path, method="POST", **arguments):
        status, body = self.ask(path, method, **arguments)
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", (arguments, body[:2000])
        return answer["data"]

    def error(self, status, path, **arguments):
        got, body = self.ask(path, "POST", **arguments)
        answer = json.loads(body)
        assert got == status and answer["status"] == "error", (arguments, body[:2000])
        return answer["errorType"], answer["error"]


def start_prometheus(folder, config="scrape_configs: []\n"):
    port = plant.free_port()
    (folder / "prometheus.yml").write_text(config)
    command = [plant.PEERS / "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    process = plant.Process([*command, f"--web.listen-address=127.0.0.1:{port}"], folder / "prometheus.log")
    server = Server(port)

    def ready():
        assert process.child.poll() is None, process.text()
        with contextlib.suppress(OSError):
            return server.ask("/-/ready")[0] == 200

    plant.wait_for(ready, "Prometheus is ready")
    return process, server


@pytest.fixture(scope="module")
def begin():
    return int(time.time()) - 4 * 3600


@pytest.fixture(scope="module")
def ours(tmp_path_factory, begin):
    """A gateway whose device does not answer, with an imported past."""
    folder = tmp_path_factory.mktemp("prometheus") / "plant"
    folder.mkdir()
    port = plant.free_port()
    tags = "\n".join(
        f'  - {{path: {tag}, device: {"other" if tag.endswith("faulty") else "plc"}, address: "{address}", unit: "{unit}", description: "what {tag} is"}}'
        for tag, (address, unit) in TAGS.items()
    )
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: prometheus}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:1", period: 1s}}
  - {{name: other, driver: modbus, address: "127.0.0.1:1", period: 1s}}
tags:
{tags}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{port}"}}
"""
    )
    rows = ["tag,time,value,status"]
    for tag, samples in recorded(begin).items():
        rows += [f"{tag},{rfc3339(ms)},{str(v).lower()},0" for ms, v in samples]
    for i in range(60):
        status = "Bad" if i % 20 >= 10 else "Uncertain" if i % 20 == 9 else "Good"
        rows.append(f"works/hall1/pump/faulty,{rfc3339((begin + i) * 1000)},{i},{status}")
    (folder.parent / "past.csv").write_text("\n".join(rows) + "\n")
    g = plant.Gateway(folder)
    command = [plant.ISTHMUS, "import", folder, folder.parent / "past.csv"]
    result = subprocess.run([str(c) for c in command], capture_output=True, env=g.environment)
    assert result.returncode == 0, result
    server = Server(port, "/prometheus")
    plant.wait_for(lambda: value(server, "count(plant_flow)", begin + 60), "the past is there")
    yield server
    g.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory, begin):
    """A real Prometheus with the same samples."""
    folder = tmp_path_factory.mktemp("real")
    names = {}
    for tag, samples in recorded(begin).items():
        names.setdefault(labels_of(tag)["__name__"], []).append((labels_of(tag), samples))
    with open(folder / "data.om", "w") as file:
        for name, series in names.items():
            file.write(f"# TYPE {name} gauge\n")
            for labels, samples in series:
                text = ",".join(f'{k}="{v}"' for k, v in labels.items() if k != "__name__")
                file.writelines(f"{name}{{{text}}} {float(v)!r} {ms // 1000}.{ms % 1000:03}\n" for ms, v in samples)
        file.write("# EOF\n")
    command = [plant.PEERS / "promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "data.om", folder / "tsdb"]
    made = subprocess.run([str(c) for c in command], capture_output=True)
    assert made.returncode == 0, made
    process, server = start_prometheus(folder)
    yield server
    process.stop()


def value(server, query, at):
    result = server.data("/api/v1/query", query=query, time=at)["result"]
    return float(result[0]["value"][1]) if result else None


# ---- The same questions to both.

EXPRESSIONS = [
    "plant_flow",
    '{__name__="plant_flow", asset=~"works/hall[12]/pump"}',
    '{__name__=~"plant_(flow|energy)", tag!~".*hall2.*"}',
    'plant_flow{asset!="works/hall1/pump"}',
    'plant_flow{nothing=""}',
    'plant_flow{nothing="x"}',
    "plant_flow{tag=~'(?i)WORKS/HALL\\\\d/.{4}/flow'}",
    "plant_flow offset 10m",
    "plant_flow offset -5m",
    "plant_flow @ start()",
    "rate(plant_energy[2m] @ end())",
    *(f"{f}_over_time(plant_flow[3m])" for f in ("avg", "min", "max", "sum", "count", "last")),
    "sum_over_time(plant_flow[1m])",
    "max(avg_over_time(plant_temp__C[40m])) by (unit)",
    "quantile_over_time(0.9, plant_flow[10m])",
    "quantile_over_time(1/3, plant_on[5m])",
    "quantile_over_time(-1, plant_flow[5m])",
    "rate(plant_energy[5m])",
    "increase(plant_energy[1h])",
    "delta(plant_temp__C[10m])",
    "sum(plant_flow)",
    "sum by (asset) ({__name__=~'plant_.*', unit!=''})",
    "avg without (tag, asset) (plant_flow)",
    "min(plant_flow) by (device, unit)",
    "max by (__name__) ({device='plc'})",
    "count(plant_flow > 50)",
    "count by (unit) (count by (unit, asset) ({device='plc'}))",
    "plant_flow * 2 + 1",
    "100 - plant_flow",
    "-plant_flow",
    "plant_flow % 7 ^ 2",
    "-2 ^ 2 * plant_on",
    "plant_flow > 50",
    "50 < plant_flow",
    "plant_flow >= bool 50",
    "plant_flow / 0",
    "sum(rate(plant_energy[10m])) by (asset) * 3600 / (1 + 1) > 0",
    "1 + 2 * 3 - 4 / 8 % 3",
    "1 > bool 2",
    "2 ^ 3 ^ 2",
    "NaN",
    "-Inf * plant_on",
    "sum by (nothing) (plant_flow)",
    "plant_no_such_metric",
]


def same(a, b):
    a, b = float(a), float(b)
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def points(answer):
    """Labels → points, whatever the type."""
    if answer["resultType"] == "scalar":
        return {(): [answer["result"]]}
    return {tuple(sorted(s["metric"].items())): s["values"] if "values" in s else [s["value"]] for s in answer["result"]}


def compare(mine, theirs, what):
    assert mine["resultType"] == theirs["resultType"], what
    a, b = points(mine), points(theirs)
    assert a.keys() == b.keys(), what
    for labels in a:
        assert [t for t, _ in a[labels]] == [t for t, _ in b[labels]], (what, labels)
        wrong = [(x, y) for x, y in zip(a[labels], b[labels]) if not same(x[1], y[1])]
        assert not wrong, (what, labels, wrong[:5])
    return sum(len(p) for p in a.values())


@pytest.mark.parametrize("query", EXPRESSIONS)
def test_answers_are_prometheus_own(ours, real, begin, query):
    found = 0
    for at in (begin + 0.5, begin + 100.5, begin + 4900.5, begin + 10700.5, begin + 10800.5 + 299):
        arguments = {"query": query, "time": at}
        found += compare(ours.data("/api/v1/query", **arguments), real.data("/api/v1/query", **arguments), arguments)
    for first, last, step in ((-100, 11500, 60), (3900, 5400, 7), (3600, 3700, 1), (0, 10800, "40m"), (-3600, 20000, "2h")):
        arguments = {"query": query, "start": begin + first + 0.5, "end": begin + last + 0.5, "step": step}
        found += compare(ours.data("/api/v1/query_range", **arguments), real.data("/api/v1/query_range", **arguments), arguments)
    assert found or "no_such" in query or "nothing=" in query


def test_ranges_are_their_samples(ours, real, begin):
    arguments = {"query": "plant_flow[2m]", "time": begin + 1000.5}
    assert compare(ours.data("/api/v1/query", **arguments), real.data("/api/v1/query", **arguments), arguments) > 20


def test_names_are_prometheus_own(ours, real, begin):
    time_span = {"start": begin, "end": begin + 10800}
    metrics = {"match[]": '{device="plc",tag!~".*faulty"}'}
    for match in ({}, {"match[]": ["plant_flow", 'plant_energy{asset="works/hall2/pump"}']}):
        assert ours.data("/api/v1/labels", **match) == real.data("/api/v1/labels", **match, **time_span)
        for label in ("__name__", "asset", "unit", "tag", "nothing"):
            mine = ours.data(f"/api/v1/label/{label}/values", "GET", **(match or metrics))
            assert mine == real.data(f"/api/v1/label/{label}/values", "GET", **match, **time_span), label
    match = {"match[]": ['{__name__=~"plant_.*", unit="m3/h"}', "plant_on"]}
    by_tag = {"key": lambda s: s["tag"]}
    mine, theirs = ours.data("/api/v1/series", **match), real.data("/api/v1/series", **match, **time_span)
    assert sorted(mine, **by_tag) == sorted(theirs, **by_tag) and len(mine) == 4


# ---- What is ours alone.


def test_a_bad_sample_ends_the_series_until_the_next_good_one(ours, begin):
    assert [value(ours, "plant_faulty", begin + i) for i in (5, 9, 10, 19, 20, 29, 30)] == [5, 9, None, None, 20, 29, None]
    assert value(ours, "count_over_time(plant_faulty[1m])", begin + 59) == 30
    assert value(ours, "last_over_time(plant_faulty[1m])", begin + 59) == 49


def test_a_range_begins_behind_its_begin(ours, begin):
    assert value(ours, "count_over_time(plant_faulty[5s])", begin + 5) == 5
    assert value(ours, "min_over_time(plant_faulty[5s])", begin + 5) == 1


def test_lookback_is_five_minutes_unless_told(ours, begin):
    assert value(ours, "plant_faulty", begin + 49 + 299) is None  # ended by a bad sample
    last = recorded(begin)["works/hall1/pump/flow"][-1][0] / 1000
    query = {"query": 'plant_flow{asset="works/hall1/pump"}'}
    for after, there, more in ((299, 1, {}), (300, 0, {}), (300, 1, {"lookback_delta": "10m"}), (30, 0, {"lookback_delta": "30s"})):
        assert len(ours.data("/api/v1/query", time=last + after, **query, **more)["result"]) == there, (after, more)


def test_texts_are_no_metrics(ours):
    assert ours.data("/api/v1/series", **{"match[]": '{tag=~".*name"}'}) == []


def test_what_grafana_asks(ours):
    """Save & test, then the query builder."""
    info = ours.data("/api/v1/status/buildinfo", "GET")
    assert info["version"].startswith("2.") and info["revision"].startswith("isthmus")
    for method in ("GET", "POST"):
        answer = ours.data("/api/v1/query", method, query="1+1", time=1700000000)
        assert answer == {"resultType": "scalar", "result": [1700000000, "2"]}
    metadata = ours.data("/api/v1/metadata", "GET")
    assert metadata["plant_flow"] == [{"type": "gauge", "help": f"what {METRICS[0]} is", "unit": "m3/h"}]
    assert list(ours.data("/api/v1/metadata", "GET", limit=1)) == ["plant_energy"]
    assert list(ours.data("/api/v1/metadata", "GET", metric="plant_on")) == ["plant_on"]
    assert ours.data("/api/v1/rules", "GET") == {"groups": []}


@pytest.mark.parametrize(
    "query, words",
    [
        ("plant_flow +", "unexpected end"),
        ("plant_flow / plant_energy", "no operations between two vectors"),
        ("plant_flow and plant_flow", "and is not supported"),
        ("histogram_quantile(0.9, plant_flow)", "supported: "),
        ("max_over_time(rate(plant_flow[5m])[1h:1m])", "subqueries are not supported"),
        ("rate(plant_flow)", "wants a range"),
        ("plant_flow[5m] + 1", "range needs a function"),
        ("topk(5, plant_flow)", "topk"),
        ("{}", "non-empty matcher"),
        ('{unit=~".*"}', "non-empty matcher"),
        ('plant_flow{tag=~"(a"}', "not a regular expression"),
        ('plant_flow{tag=~"\\\\p{Greek}"}', "not supported"),
        ("1 > 2", "BOOL"),
        ("plant_flow[5]", ""),
        ("plant_flow[0s]", "duration"),
        ("plant_flow offset 50y", "40 years"),
        ("((((" * 30 + "1", "deeply"),
        ("", ""),
        ("plant_flow{tag='\x01}", "without its end"),
    ],
)
def test_what_is_not_supported_is_told(ours, query, words):
    if query == "plant_flow[5]":
        ours.data("/api/v1/query", query=query)  # seconds, as Prometheus 3 has it
        return
    kind, text = ours.error(400, "/api/v1/query", query=query)
    assert kind == "bad_data" and "parse error" in text and words in text, text


def test_wrong_arguments_are_told(ours, begin):
    span = {"query": "plant_flow", "start": begin, "end": begin + 11001, "step": 1}
    assert "11,000 points" in ours.error(400, "/api/v1/query_range", **span)[1]
    assert len(ours.data("/api/v1/query_range", **{**span, "end": begin + 11000, "query": "1"})["result"][0]["values"]) == 11001
    for wrong in ({"step": 0}, {"step": "x"}, {"start": "yesterday"}, {"end": begin - 1}, {"end": "1e300"}, {"lookback_delta": "-1s"}):
        assert ours.error(400, "/api/v1/query_range", **{**span, "end": begin + 10, **wrong})[0] == "bad_data", wrong
    del span["step"]
    assert "step" in ours.error(400, "/api/v1/query_range", **span)[1]
    assert ours.error(400, "/api/v1/query_range", **{**span, "step": 60, "query": "plant_flow[5m]"})[0] == "bad_data"
    assert "match[]" in ours.error(400, "/api/v1/series")[1]
    assert ours.error(400, "/api/v1/series", **{"match[]": "sum(x)"})[0] == "bad_data"
    assert ours.ask("/api/v1/label/unit/other")[0] == 404


def test_bounds_end_what_is_too_much(ours, begin):
    long = {"start": begin, "end": begin + 10800, "step": 1}
    kind, text = ours.error(422, "/api/v1/query_range", query="quantile_over_time(0.5, {device='plc'}[3h])", **long)
    assert kind == "execution" and "100,000,000 samples" in text
    kind, text = ours.error(503, "/api/v1/query_range", query="sum_over_time({device='plc'}[1h])", timeout="1ms", **long)
    assert kind == "timeout"
    assert ours.data("/api/v1/query", query="1")["result"][1] == "1"


def test_promtool_asks(ours, begin):
    def promtool(*arguments):
        command = [plant.PEERS / "promtool", "query", *arguments]
        result = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result
        return result.stdout

    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + 600))
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + 1200))
    assert promtool("instant", f"--time={at}", ours.url, "sum by (unit) (plant_flow)").startswith('{unit="m3/h"} => ')
    assert promtool("range", f"--start={at}", f"--end={end}", "--step=60s", ours.url, "plant_on").count("@[") == 11
    assert promtool("series", "--match=plant_energy", ours.url).count('__name__="plant_energy"') == 2
    assert promtool("labels", ours.url, "unit").split() == ["Cel", "kW.h", "m3/h"]


# ---- Federation.


def test_a_prometheus_federates(tmp_path, started):
    """The simulated waterworks: what a Prometheus has taken from us is what we answer ourselves, at the same times."""
    ports = [plant.free_port(), plant.free_port()]
    port = plant.free_port()
    folder = tmp_path / "plant"
    arguments = ["--ports", f"{ports[0]},{ports[1]}", "--tags", "41"]
    command = [plant.ISTHMUS, "sim", "waterworks", *arguments]
    subprocess.run([*command, "--write-config", folder], check=True, capture_output=True)
    written = (folder / "isthmus.yaml").read_text()
    devices = written[written.index("devices:") : written.index("services:")]
    services = f'services:\n  - {{name: console, module: http, listen: "127.0.0.1:{port}"}}\n'
    (folder / "isthmus.yaml").write_text("gateway: {name: federated}\n" + devices + services)
    started(plant.Process(command, tmp_path / "sim.log"))
    plant.wait_for(lambda: plant.port_listens(ports[0]) and plant.port_listens(ports[1]), "the plant listens")
    started(plant.Gateway(folder))
    ours = Server(port, "/prometheus")
    status, body = ours.ask("/federate", **{"match[]": '{__name__=~"plant_.*"}'})
    assert status == 200
    check = subprocess.run([plant.PEERS / "promtool", "check", "metrics"], input=body, capture_output=True)
    assert check.returncode in (0, 3) and b"error while linting" not in check.stderr, check
    config = f"""global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: plant
    honor_labels: true
    metrics_path: /prometheus/federate
    params: {{'match[]': ['{{__name__=~"plant_.*"}}']}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
    process, theirs = start_prometheus(tmp_path, config)
    started(process)
    everything = '{__name__=~"plant_.*"}[1m]'
    metrics = ours.data("/api/v1/series", **{"match[]": '{__name__=~"plant_.*"}'})
    assert len(metrics) > 30

    def taken():
        got = theirs.data("/api/v1/query", query=everything)["result"]
        return got if len(got) == len(metrics) and min(len(s["values"]) for s in got) >= 3 else None

    series = plant.wait_for(taken, "Prometheus has taken three samples of each tag", 60)
    mine = {s["metric"]["tag"]: s for s in ours.data("/api/v1/query", query=everything.replace("1m", "2m"))["result"]}
    for s in series:
        own = mine[s["metric"]["tag"]]
        assert own["metric"].items() <= s["metric"].items()
        assert {(t, float(v)) for t, v in s["values"]} <= {(t, float(v)) for t, v in own["values"]}
