# SPDX-License-Identifier: Apache-2.0
"""The command line: every command's help, JSON, exit codes, man page, completion, and the schema of the configuration."""

import json
import re
import subprocess

import jsonschema
import plant
import pytest
import yaml

COMMANDS = ["run", "check", "sim", "status", "devices", "browse", "get", "watch", "ledger", "sql", "set", "command", "inhibit", "island", "zones", "user", "token", "trial-report", "trust-report", "export", "import", "verify", "audit", "access", "contract", "pki", "backup", "restore", "replay", "version", "help"]
PACKAGING = plant.ROOT / "packaging"


def isthmus(*arguments, **more):
    command = [plant.ISTHMUS, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, **more)


def options_of(command):
    """Its options, as its help tells them."""
    done = isthmus(command, "--help")
    assert done.returncode == 0 and not done.stderr and "usage: isthmus" in done.stdout, done
    assert "exit status: 0" in done.stdout
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


def completions(*words):
    script = 'source "$0" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _isthmus && printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-euc", script, PACKAGING / "isthmus.bash", plant.ISTHMUS, *words], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return set(done.stdout.split())


def test_help_lists_the_commands():
    done = isthmus("help", "--json")
    assert done.returncode == 0 and [c["name"] for c in json.loads(done.stdout)] == COMMANDS
    text = isthmus("help").stdout
    assert all(re.search(rf"^  {c} ", text, re.M) for c in COMMANDS)


def test_man_page_renders_without_a_warning():
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-z", PACKAGING / "isthmus.1"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_manual_and_completion_know_every_option(command):
    options = options_of(command)
    manual = (PACKAGING / "isthmus.1").read_text().replace("\\-", "-")
    commands = manual[manual.index(".SH COMMANDS") :]
    assert re.search(rf"\b{command}\b", commands)
    assert not {o for o in options if o not in commands}
    assert command in completions("")
    assert options <= completions(command, "--")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway and the simulated waterworks, as the simulator itself configures it."""
    folder = tmp_path_factory.mktemp("cli")
    sim = plant.Process([plant.ISTHMUS, "sim", "waterworks", "--json"], folder / "sim.log")
    ports = json.loads(plant.wait_for(lambda: sim.text().partition("\n")[0], "the simulator says its ports"))
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: cli}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{ports["plc1"]}", period: 100ms}}
tags:
  - {{path: works/first, device: plc, address: "holding:0"}}
  - {{path: works/second, device: plc, address: "holding:1"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    g = plant.Gateway(folder)
    yield g
    g.stop()
    sim.stop()


def ask(gateway, *arguments):
    return isthmus(*arguments, "--socket", gateway.socket)


def test_each_command_speaks_json(gateway, started):
    plant.wait_for(lambda: '"Good"' in ask(gateway, "get", "works/first", "--json").stdout, "a value")
    assert json.loads(isthmus("version", "--json").stdout)["version"]
    assert json.loads(isthmus("check", gateway.folder, "--json").stdout)["ok"] is True
    status = json.loads(ask(gateway, "status", "--json").stdout)
    assert {"gateway", "journal", "processes", "feeds"} <= status.keys()
    assert [d["name"] for d in json.loads(ask(gateway, "devices", "--json").stdout)] == ["plc"]
    offered = json.loads(ask(gateway, "browse", "plc", "--json").stdout)
    assert offered["lost"] == 0 and {"VendorName", "ProductCode"} <= {i["name"] for i in offered["items"]}
    assert [v["tag"] for v in json.loads(ask(gateway, "get", "works/*", "--json").stdout)] == ["works/first", "works/second"]
    log = gateway.folder / "watch.txt"
    watch = started(plant.Process([plant.ISTHMUS, "watch", "works/**", "--json", "--socket", gateway.socket], log))
    records = plant.wait_for(lambda: [json.loads(x) for x in watch.text().split("\n")[:-1] if '"tag"' in x], "a value")
    assert {r["tag"] for r in records} <= {"works/first", "works/second"}


def test_sql(gateway):
    def sql(*arguments):
        return isthmus("sql", *arguments, "--socket", gateway.socket)

    done = sql("SELECT tag, id FROM tags ORDER BY id")
    assert done.returncode == 0 and done.stdout.split() == ["tag", "id", "works/first", "1", "works/second", "2"]
    assert json.loads(sql("SELECT tag FROM tags ORDER BY id", "--json").stdout)["rows"] == [["works/first"], ["works/second"]]
    assert sql("SELECT tag, NULL FROM tags ORDER BY id", "--csv").stdout.splitlines()[1:] == ["works/first,", "works/second,"]
    cut = sql("SELECT tag FROM tags ORDER BY id", "--limit", "1")
    assert cut.returncode == 0 and "only the first 1 rows" in cut.stderr
    wrong = sql("SELECT tag\n FORM tags")
    assert wrong.returncode == 1 and wrong.stderr.startswith("isthmus: line 2, column ") and not wrong.stdout
    assert "may not be modified" in sql("DELETE FROM tags").stderr and sql("DELETE FROM tags", "--csv").returncode == 1
    assert sql("SELECT 1", "--csv", "--json").returncode == 2 and sql("SELECT 1", "--limit", "x").returncode == 2
    piped = subprocess.run([plant.ISTHMUS, "sql", "-", "--socket", gateway.socket], input="SELECT 42 AS n", capture_output=True, text=True)
    assert piped.stdout.split() == ["n", "42"]


def test_the_ledger_balances_and_says_so(gateway):
    plant.wait_for(lambda: json.loads(ask(gateway, "ledger", "--json").stdout)["total"]["journaled"] > 10, "some samples")
    done = ask(gateway, "ledger", "works/f*", "--json")
    ledger = json.loads(done.stdout)
    assert (done.returncode, ledger["balanced"], ledger["unexplained"]) == (0, True, 0)
    (tag,) = ledger["tags"]
    assert tag["tag"] == "works/first" and {**tag, "tag": 0} == {**ledger["total"], "tag": 0}
    assert tag["produced"] == sum(tag[k] for k in ("journaled", "suppressed", "rejected", "gaps")) > 0
    text = ask(gateway, "ledger").stdout
    assert re.search(r"^since 20\d\d-", text) and re.search(r"^2 tags +\d+ +\d+ +0 +0 +0 +yes$", text, re.M)
    assert "balances: every sample is accounted for" in text
    assert ask(gateway, "ledger", "no/such/tag").returncode == 1
    assert ask(gateway, "ledger", "--feed", "nobody").returncode == 1
    assert ask(gateway, "ledger", "one", "two").returncode == 2


def test_run_says_in_json_what_it_runs_and_why_it_does_not(gateway, tmp_path, started):
    (tmp_path / "isthmus.yaml").write_text((gateway.folder / "isthmus.yaml").read_text().replace("device: plc,", "device: nobody,"))
    done = isthmus("run", tmp_path, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 1 and not said["ok"] and said["problems"][0]["line"] > 0
    good = re.sub(r"listen: .*\"", f'listen: "127.0.0.1:{plant.free_port()}"', (gateway.folder / "isthmus.yaml").read_text())
    (tmp_path / "isthmus.yaml").write_text(good)
    process = started(plant.Process([plant.ISTHMUS, "run", tmp_path, "--json"], tmp_path / "run.log"))
    line = plant.wait_for(lambda: process.text().partition("\n")[0], "the first line")
    assert json.loads(line)["devices"] == 1
    plant.wait_for((tmp_path / ".state/isthmus.sock").exists, "the gateway runs")
    assert process.stop() == 0


def test_exit_codes(gateway, tmp_path):
    nobody = tmp_path / "nobody.sock"
    assert ask(gateway, "get", "works/first").returncode == 0
    assert ask(gateway, "get", "no/such/tag").returncode == 1
    assert "quote patterns" in ask(gateway, "get", "no/such/tag").stderr
    assert ask(gateway, "watch", "no/such/tag").returncode == 1
    assert "No device has that name" in ask(gateway, "browse", "nobody").stderr
    assert ask(gateway, "browse", "nobody").returncode == 1
    assert isthmus("check", tmp_path / "nowhere").returncode == 1
    for command in ("check", "run"):
        done = isthmus(command, gateway.folder / "isthmus.yaml")
        assert done.returncode == 1 and "is a file; name the folder" in done.stderr, done
    for command in COMMANDS[:-1]:
        done = isthmus(command, "--no-such-option")
        assert done.returncode == 2 and done.stderr and not done.stdout, (command, done)
    assert isthmus("nonsense").returncode == isthmus().returncode == isthmus("help", "nonsense").returncode == 2
    for command in (["status"], ["devices"], ["browse", "x"], ["get", "x"], ["watch", "x"], ["ledger"]):
        done = isthmus(*command, "--socket", nobody)
        assert done.returncode == 3 and str(nobody) in done.stderr, done


def test_tags_are_completed_from_the_gateway(gateway, monkeypatch):
    monkeypatch.setenv("ISTHMUS_SOCKET", str(gateway.socket))
    assert completions("get", "works/f") == {"works/first"}


@pytest.fixture(scope="module")
def schema():
    done = isthmus("check", "--schema")
    assert done.returncode == 0
    schema = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("folder", ["examples/waterworks", "examples/first-device"])
def test_schema_takes_what_check_takes(schema, folder):
    schema.validate(yaml.safe_load((plant.ROOT / folder / "isthmus.yaml").read_text()))


DEVICE = {"name": "plc", "driver": "modbus", "address": "127.0.0.1:502"}
SERVICE = {"name": "cloud", "module": "sparkplug", "address": "127.0.0.1:1883"}


@pytest.mark.parametrize(
    "good, document",
    [
        (True, {"devices": [DEVICE], "services": [SERVICE, {"name": "console", "module": "http"}]}),
        (True, {"devices": [{**DEVICE, "unit": 7, "period": "50ms", "order": "cdab"}]}),
        (True, {"devices": [{**DEVICE, "unit": "${UNIT}", "period": "${PERIOD:-1s}", "order": "${ORDER}"}]}),
        (False, {"devices": [{**DEVICE, "unit": 256}]}),
        (False, {"devices": [{**DEVICE, "period": "soon"}]}),
        (False, {"devices": [{**DEVICE, "order": "abdc"}]}),
        (False, {"devices": [{**DEVICE, "colour": "blue"}]}),
        (False, {"devices": [{"name": "plc", "driver": "modbus"}]}),
        (False, {"devices": [{**DEVICE, "driver": "sparkplug"}]}),
        (False, {"services": [{**SERVICE, "mode": "loud"}]}),
        (False, {"services": [{**SERVICE, "tls": "maybe"}]}),
        (False, {"gateways": {}}),
    ],
)
def test_schema_knows_the_options_of_every_module(schema, good, document):
    assert schema.is_valid(document) == good
