# SPDX-License-Identifier: Apache-2.0
"""Care of the history: `isthmus verify`, on a gateway that runs, is killed, and whose files are damaged."""

import json
import os
import pathlib
import pty
import struct
import subprocess

import plant
import pytest

TAGS = 40


def isthmus(gateway, *arguments):
    command = [str(a) for a in (plant.ISTHMUS, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=gateway.environment)


def told(gateway, *arguments, status=0):
    done = isthmus(gateway, *arguments, "--json")
    assert done.returncode == status, done
    return json.loads(done.stdout)


def write_folder(path, port):
    path.mkdir()
    tags = "\n".join(f'  - {{path: works/t{i}, device: plc, address: "holding:{i}:int16"}}' for i in range(TAGS))
    (path / "isthmus.yaml").write_text(
        f"""gateway: {{name: care}}
journal: {{segment: 1MiB, limit: 64MiB}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{port}", period: 20ms}}
tags:
{tags}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    return path


def names(folder, ending=""):
    return sorted(p.name for p in folder.iterdir() if p.name.endswith(ending))


def grow(gateway, sealed):
    """Starts the engine anew, which begins a new segment and lets the ones before be sealed, until so many are."""
    journal = gateway.state / "journal"
    while len(names(journal, ".col")) < sealed:
        before = plant.wait_for(lambda: gateway.pids().get("engine"), "the engine runs")
        segments = names(journal, ".seg")
        size = (journal / segments[-1]).stat().st_size
        plant.wait_for(lambda: (journal / segments[-1]).stat().st_size > size + 20000, "samples come")
        os.kill(before, 9)
        plant.wait_for(lambda: names(journal, ".seg")[-1] > segments[-1], "a new segment")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("care")
    port = plant.free_port()
    units = plant.modbus_units(folder, port, "--size", "200")
    g = plant.Gateway(write_folder(folder / "gateway", port))
    try:
        grow(g, 3)
        yield g
    finally:
        g.stop()
        units.stop()


@pytest.fixture
def copy(gateway, tmp_path):
    """What the gateway has on disk, for damage. Its newest segment may end in the middle of a write."""
    folder = tmp_path / "journal"
    subprocess.run(["cp", "-r", gateway.state / "journal", folder], check=True)
    return folder


def test_a_running_gateway_is_sound(gateway):
    """Though its processes were killed; every sample that its ledger counts is there."""
    reply = told(gateway, "verify", gateway.folder)
    assert reply["sound"] and not reply["findings"] and reply["samples"] > 1000 and reply["blocks"] > TAGS, reply
    ledger = reply["ledger"]
    assert ledger["compared_with_history"] and ledger["tags"] == TAGS
    assert ledger["journaled"] == reply["samples"]
    assert ledger["produced"] == ledger["journaled"] + ledger["suppressed"] + ledger["rejected"] + ledger["gaps"]
    text = isthmus(gateway, "verify", gateway.folder).stdout
    assert "all is sound" in text and "every journaled sample is there" in text


def test_a_gateway_that_never_ran_is_sound(gateway, tmp_path):
    folder = write_folder(tmp_path / "new", 1)
    done = subprocess.run([plant.ISTHMUS, "verify", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "0 files" in done.stdout, done


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.99])
def test_a_flipped_bit_is_found_and_named(gateway, copy, place):
    victim = copy / names(copy, ".col")[0]
    data = bytearray(victim.read_bytes())
    at = int(place * len(data))
    data[at] ^= 0x04
    victim.write_bytes(data)
    reply = told(gateway, "verify", copy, status=1)
    assert {f["file"] for f in reply["findings"]} == {victim.name}, reply
    assert all(f["kind"] == "damaged" and f["offset"] <= at and f["reason"] and "restore" in f["do"] for f in reply["findings"])
    text = isthmus(gateway, "verify", copy).stdout
    assert victim.name in text and "What to do" in text


def test_a_flipped_bit_in_a_raw_segment(gateway, copy):
    (copy / names(copy, ".col")[-1]).unlink()
    first = copy / names(copy, ".seg")[0]
    data = bytearray(first.read_bytes())
    data[-50] ^= 1
    first.write_bytes(data)
    reply = told(gateway, "verify", copy, status=1)
    assert [(f["file"], f["kind"]) for f in reply["findings"] if f["kind"] == "damaged"] == [(first.name, "damaged")], reply


def test_a_missing_file_is_found(gateway, copy):
    files = names(copy, ".col")
    (copy / files[1]).unlink()
    reply = told(gateway, "verify", copy, status=1)
    (finding,) = reply["findings"]
    assert finding["kind"] == "missing" and finding["file"] == files[2], reply
    assert not reply["ledger"]["compared_with_history"]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frames(data):
    """(offset, length, kind) of each frame of a segment (docs/journal-format.md)."""
    at = 96
    while at + 96 <= len(data) and data[at : at + 4] == b"FRM1":
        _, length, kind = struct.unpack_from("<III", data, at + 4)
        yield at, length, kind
        at += length


def forge(path, kind, change):
    """Changes the first frame of a kind, with a checksum that is right."""
    data = bytearray(path.read_bytes())
    at, length = next((at, length) for at, length, k in frames(data) if k == kind)
    change(data, at + 96)
    struct.pack_into("<I", data, at + 4, crc32c(data[at + 8 : at + length]))
    path.write_bytes(data)


def test_an_account_that_does_not_balance_is_found(gateway, copy):
    """Each account: id, zero, produced, journaled, suppressed, rejected, gaps."""

    def add_one(data, at):
        (journaled,) = struct.unpack_from("<Q", data, at + 16)
        struct.pack_into("<Q", data, at + 16, journaled + 1)

    newest = copy / names(copy, ".seg")[-1]
    forge(newest, 3, add_one)
    reply = told(gateway, "verify", copy, status=1)
    assert {(f["kind"], f["file"]) for f in reply["findings"]} == {("unbalanced", newest.name)}, reply
    for older in names(copy, ".seg")[:-1]:
        (copy / older).unlink()
    reply = told(gateway, "verify", copy, status=1)
    (finding,) = [f for f in reply["findings"] if f["kind"] == "unbalanced"]
    assert "produced" in finding["reason"], reply


def test_progress_is_shown_on_a_terminal(gateway):
    user, program = pty.openpty()
    command = [plant.ISTHMUS, "verify", gateway.folder]
    child = subprocess.Popen(command, stdin=program, stdout=subprocess.DEVNULL, stderr=program, env=gateway.environment)
    os.close(program)
    shown = b""
    try:
        while data := os.read(user, 4096):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.close(user)
    assert child.wait(60) == 0
    assert b"verify [" in shown and b"MB" in shown, shown


def test_wrong_usage(gateway):
    assert isthmus(gateway, "verify").returncode == 2
    assert isthmus(gateway, "verify", gateway.folder, "more").returncode == 2
    assert isthmus(gateway, "verify", pathlib.Path("/nowhere")).returncode == 1
