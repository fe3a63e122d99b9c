# SPDX-License-Identifier: Apache-2.0
"""What the documents tell people to type is typed here: README's first device word for word, every other command, the demo."""

import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
import termios

import plant
import pytest

README = plant.ROOT / "README.md"
DOCUMENTS = [README, *sorted((plant.ROOT / "docs").glob("*.md"))]


def blocks(document, *languages):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.M | re.S)
    return [text for language, text in found if language in languages]


def commands(document):
    """The commands in a document's blocks, without what is said about them."""
    lines = [line for block in blocks(document, "", "sh", "console") for line in block.splitlines()]
    plain = [re.split(r"  +|\s+#", line.removeprefix("$ "))[0].strip() for line in lines]
    return [line for line in plain if re.match(r"(build/)?isthmus |\./run ", line)]


@pytest.fixture
def folder(tmp_path):
    """A folder in which the commands mean what they say: build/isthmus, and README's plant with ports that nobody has."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/isthmus").symlink_to(plant.ISTHMUS)
    (tmp_path / "plant").mkdir()
    (config,) = [b for b in blocks(README, "yaml") if b.startswith("# plant/isthmus.yaml")]
    ports = {502: plant.free_port(), 1883: plant.free_port(), 8480: plant.free_port()}
    config = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{ports[int(m[1])]}", config)
    (tmp_path / "plant/isthmus.yaml").write_text(config)
    return tmp_path, ports


def start(folder, command, **environment):
    """A command that goes on until it is told to stop."""
    path = f"{folder}/build:{os.environ['PATH']}"
    log = folder / f"{re.sub(r'[^a-z]+', '-', command)}.log"
    return plant.Process(["bash", "-c", f"exec {command}"], log, cwd=folder, env={**os.environ, "PATH": path, **environment})


def said(folder, command, **environment):
    """What a command says that ends well; None if it does not."""
    path = f"{folder}/build:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PATH": path, **environment},
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else None


def test_the_first_device_of_the_readme(folder, started):
    folder, ports = folder
    power, energy = struct.unpack(">2H", struct.pack(">f", 123.5)), (1, 34464)  # 123.5, 100000
    values = [f"{100 + i}:{power[i]}" for i in (0, 1)] + [f"{110 + i}:{energy[i]}" for i in (0, 1)]
    started(plant.modbus_units(folder, ports[502], "--size", "200", "--set", *values))
    started(plant.mosquitto(folder, ports[1883]))
    seen = started(plant.Process(["mosquitto_sub", "-p", ports[1883], "-t", "spBv1.0/#", "-F", "%t"], folder / "seen.txt"))
    check, run, status, devices, get, watch = [c for c in commands(README) if "isthmus" in c]
    assert "1 devices, 2 tags, 2 services, 1 contracts: 0 errors" in said(folder, check)
    gateway = started(start(folder, run))
    (setting,) = re.findall(r"with `ISTHMUS_SOCKET=([^`]+)`", README.read_text())
    there = {"ISTHMUS_SOCKET": setting}
    plant.wait_for((folder / setting).exists, "the gateway's socket")
    plant.wait_for(lambda: re.search(r"^meter +up ", said(folder, devices, **there) or "", re.M), "the meter is up")
    plant.wait_for(lambda: re.search(r"^plant/hall/meter/power +123\.5 +kW +Good", said(folder, get, **there) or "", re.M), "the power")
    assert re.search(r"^plant/hall/meter/energy +10000(\.0)? +kW\.h +Good", said(folder, get, **there), re.M)
    wanted = {"supervisor", "engine", "reader", "modbus", "console", "cloud"}
    plant.wait_for(lambda: wanted <= set(re.findall(r"^([\w-]+) +running", said(folder, status, **there) or "", re.M)), "all processes run")
    watching = started(start(folder, watch, **there))
    plant.wait_for(lambda: re.search(r"plant/hall/meter/power +123\.5", watching.text()), "the power as it comes")
    plant.wait_for(lambda: "spBv1.0/my-plant/DDATA/my-plant/meter" in seen.text(), "data at the broker")
    assert gateway.stop() == 0


HISTORY = plant.ROOT / "docs/history.md"
SQL = plant.ROOT / "docs/sql.md"
IDENTITY = plant.ROOT / "docs/identity.md"  # see test_identity.py
TLS = plant.ROOT / "docs/tls.md"  # see test_tls.py
REPLAY = plant.ROOT / "docs/replay.md"
WRITING = plant.ROOT / "docs/commands.md"
AUDIT = plant.ROOT / "docs/audit-format.md"
CONTRACTS = plant.ROOT / "docs/contracts.md"
OF_A_GATEWAY = {"isthmus zones"}  # that runs: see test_zones.py
OTHERS = [(d.name, c) for d in DOCUMENTS for c in commands(d) if c not in OF_A_GATEWAY and d not in (HISTORY, SQL, REPLAY, WRITING, AUDIT, IDENTITY, TLS, CONTRACTS) and (d != README or c.startswith("./run"))]


@pytest.mark.parametrize("document, command", OTHERS, ids=[f"{d}: {c}" for d, c in OTHERS])
def test_every_other_command_of_the_documents(document, command, folder):
    folder, _ = folder
    words = command.split()
    if words[0] == "./run":  # to run its command here would not end
        assert f"  ./run {words[1]} " in said(plant.ROOT, "./run")
        assert f"usage: ./run {words[1]}" in said(plant.ROOT, f"./run {words[1]} --help")
        return
    shutil.copytree(folder / "plant", folder / "DIR")
    shutil.copytree(plant.ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    command = re.sub(r"--ports \d+,\d+", "--ports 0,0", command)
    goes_on = words[1] == "run" or (words[1] == "sim" and "--write-config" not in words)
    if not goes_on:
        assert said(folder, command) is not None
        return
    process = start(folder, command)
    try:
        begun = "^isthmus: " if words[1] == "run" else "."  # what `check` would say comes before a gateway can be stopped in order
        plant.wait_for(lambda: re.search(begun, process.text(), re.M) or process.child.poll() is not None, "it says something")
        assert process.child.poll() is None, process.text()
    finally:
        assert process.stop() == 0


def test_sql_as_documented(folder, started):
    folder, ports = folder
    started(plant.modbus_units(folder, ports[502], "--size", "200"))
    started(start(folder, "isthmus run plant"))
    there = {"ISTHMUS_SOCKET": "plant/.state/isthmus.sock"}
    plant.wait_for(lambda: re.search(r"/power .* Good", said(folder, "isthmus get '**'", **there) or ""), "a value")
    typed = commands(SQL)
    assert len(typed) == 5
    for command in typed:
        shown = said(folder, command, **there)
        assert shown is not None, command
        assert "journaled" in command or "plant/hall/meter/power" not in command or len(shown.splitlines()) > 1, shown


def test_contracts_as_documented(folder):
    """Both sides make their keys and sign the contract that the document shows, command by command."""
    folder, _ = folder
    shutil.copytree(folder / "plant", folder / "DIR")
    (shown,) = [b for b in blocks(CONTRACTS, "yaml") if b.startswith("contracts:")]
    config = folder / "DIR/isthmus.yaml"
    config.write_text(config.read_text().partition("contracts:")[0] + shown)
    typed = commands(CONTRACTS)
    assert [c.split()[2] for c in typed[:-1]] == ["keygen", "keygen", "show", "sign", "sign", "diff"]
    for command in typed:
        answer = said(folder, command)
        assert answer is not None, command
    assert "warning" not in answer and "1 contracts: 0 errors" in answer


def test_replay_as_documented(folder, started):
    """Its commands with the last minute, which a gateway has just recorded."""
    folder, ports = folder
    started(plant.modbus_units(folder, ports[502], "--size", "200"))
    shutil.copytree(folder / "plant", folder / "DIR")
    shutil.copytree(plant.ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    gateway = started(start(folder, "isthmus run DIR"))
    there = {"ISTHMUS_SOCKET": "DIR/.state/isthmus.sock"}
    plant.wait_for(lambda: re.search(r"/power .* Good", said(folder, "isthmus get '**'", **there) or ""), "a value")
    assert gateway.stop() == 0
    now = time.time()
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (now - 60, now + 1))
    for command in commands(REPLAY):
        command = command.replace("2026-11-22T10:00:00Z", begin).replace("2026-11-22T11:00:00Z", end)
        command = command.replace("8481", str(plant.free_port()))
        shown = said(folder, command if "--speed" in command else f"{command} --speed 30")
        assert shown and re.match(r"[1-9]\d* samples played; journaled in", shown), shown


def test_the_care_of_history(folder, started):
    """docs/history.md from its first command to its last, with the README's plant; restoring needs a gateway that is stopped."""
    folder, ports = folder
    started(plant.modbus_units(folder, ports[502], "--size", "200"))
    shutil.copytree(folder / "plant", folder / "DIR")
    shutil.copytree(plant.ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    gateway = started(start(folder, "isthmus run DIR"))
    there = {"ISTHMUS_SOCKET": "DIR/.state/isthmus.sock"}
    plant.wait_for(lambda: re.search(r"/power .* Good", said(folder, "isthmus get '**'", **there) or ""), "a value")
    typed = commands(HISTORY)
    assert {c.split()[1] for c in typed} == {"export", "import", "verify", "backup", "restore"}
    for command in typed:
        if command == "isthmus restore DIR BACKUP":
            assert gateway.stop() == 0
            shutil.move(folder / "DIR/.state", folder / "lost")
        assert said(folder, command) is not None, command


def descendants(pid):
    """All processes below pid, with their start times: (pid, start) names a process for good."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    rest = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)] = (int(rest[1]), rest[19])
    found, before = {pid}, set()
    while found != before:
        before, found = found, found | {p for p, (parent, _) in parents.items() if parent in found}
    return {(p, parents[p][1]) for p in found if p in parents}


def answer(port, target):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", target)
        reply = connection.getresponse()
        return reply.status, reply.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


@pytest.fixture
def terminal():
    """A terminal: what it shows is read from its end, what is typed is written to it."""
    user, program = os.openpty()
    yield user, program
    os.close(user)
    os.close(program)


def take_terminal():
    """In the child: standard input is its terminal, whose Ctrl-C it heeds even where ours is ignored."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_the_demo_starts_shows_values_and_leaves_nothing_running(tmp_path, terminal):
    """As a person sees it, at a terminal, until Ctrl-C."""
    user, program = terminal
    log = tmp_path / "demo.log"
    with open(log, "wb") as output:
        demo = subprocess.Popen(
            [plant.ROOT / "run", "demo"],
            stdin=program, stdout=output, stderr=output, start_new_session=True,
            preexec_fn=take_terminal,
        )  # fmt: skip
    running = set()
    try:

        def welcome():
            assert demo.poll() is None, log.read_text()
            return re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())

        port = int(plant.wait_for(welcome, "the demo says where its console is", 300)[1])
        assert b"<html" in answer(port, "/")[1]

        def live():
            status, body = answer(port, "/api/v1/now?tags=**/level")
            return status == 200 and any(v["status"] == "Good" for v in json.loads(body)["values"])

        plant.wait_for(live, "a live value")
        running = descendants(demo.pid)
        assert len(running) > 8, "broker, simulator and the gateway's processes"
        os.write(user, b"\x03")
        assert demo.wait(30) == 130
    finally:
        if demo.poll() is None:
            demo.send_signal(signal.SIGTERM)
            demo.wait(30)
    plant.wait_for(lambda: not {p for p, start in running if (p, start) in descendants(p)}, "nothing is left running")
