# SPDX-License-Identifier: Apache-2.0
"""Care of the history: `isthmus verify`, `backup` and `restore`, on a gateway that runs, is killed, and whose files are damaged."""

import json
import os
import pathlib
import pty
import random
import shutil
import struct
import subprocess

import plant
import pytest

TAGS = 40


def isthmus(gateway, *arguments, **environment):
    command = [str(a) for a in (plant.ISTHMUS, *arguments)]
    environment = {**gateway.environment, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=environment)


def told(gateway, *arguments, status=0, **environment):
    done = isthmus(gateway, *arguments, "--json", **environment)
    assert done.returncode == status, done
    return json.loads(done.stdout)


def write_folder(path, port):
    path.mkdir()
    tags = "\n".join(f'  - {{path: works/t{i}, device: plc, address: "holding:{i}:int16"}}' for i in range(TAGS))
    (path / "isthmus.yaml").write_text(
        f"""gateway: {{name: care}}
journal: {{segment: 1MiB, limit: 64MiB}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{port}", period: 50ms}}
tags:
{tags}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    return path


def names(folder, ending=""):
    return sorted(p.name for p in folder.iterdir() if p.name.endswith(ending))


def files_of_segments(journal):
    """Sealed files, but for imports."""
    return [name for name in names(journal, ".col") if not name.startswith("import")]


def grow(gateway, sealed):
    """Starts the gateway anew, which begins a new segment and lets the ones before be sealed, until so many are."""
    journal = gateway.state / "journal"
    while len(files_of_segments(journal)) < sealed:
        plant.wait_for(lambda: (journal / names(journal, ".seg")[-1]).stat().st_size > 20000, "samples come")
        newest = int(names(journal, ".seg")[-1][:16])
        gateway.stop()
        gateway.start()
        plant.wait_for(lambda: any(int(n[17:33]) >= newest for n in files_of_segments(journal)), "it is sealed")


def kill_engine(gateway):
    os.kill(plant.wait_for(lambda: gateway.pids().get("engine"), "the engine runs"), 9)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("care")
    port = plant.free_port()
    units = plant.modbus_units(folder, port, "--size", "200")
    g = plant.Gateway(write_folder(folder / "gateway", port))
    try:
        grow(g, 2)
        kill_engine(g)
        grow(g, 4)
        yield g
    finally:
        g.stop()
        units.stop()


@pytest.fixture
def backup(gateway, tmp_path):
    folder = tmp_path / "backup"
    reply = told(gateway, "backup", gateway.folder, folder)
    assert not reply["findings"] and reply["copied_files"] == reply["files"] > 3, reply
    return folder


@pytest.fixture
def copy(gateway, backup, tmp_path):
    """What the gateway has on disk, for damage."""
    told(gateway, "restore", gateway.folder, backup, ISTHMUS_STATE=str(tmp_path / "copy"))
    return tmp_path / "copy/journal"


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
    shown = plant.terminal_text(user)
    assert child.wait(60) == 0
    assert "verify [" in shown and "MB" in shown, shown


def exported(gateway, **environment):
    """All samples as text, tag by tag."""
    done = isthmus(gateway, "export", gateway.folder, "-", **environment)
    assert done.returncode == 0, done
    rows = {}
    for row in done.stdout.splitlines()[1:]:
        rows.setdefault(row.partition(",")[0], []).append(row)
    return rows


def test_a_gateway_goes_on_from_what_was_restored(gateway, backup, tmp_path):
    """Every sample that the backup has, in its place; the ledger goes on and balances."""
    assert told(gateway, "verify", backup)["sound"]
    folder = tmp_path / "other"
    state = folder / "state"
    folder.mkdir()
    config = (gateway.folder / "isthmus.yaml").read_text()
    listen = config[config.index("listen:") :].split('"')[1]
    (folder / "isthmus.yaml").write_text(config.replace(listen, f"127.0.0.1:{plant.free_port()}"))
    reply = told(gateway, "restore", folder, backup, ISTHMUS_STATE=str(state))
    assert reply["gateway"] == "care" and reply["restored_files"] > 3 and not reply["findings"], reply
    assert sorted(p.name for p in state.iterdir()) == ["ids.txt", "journal", "lock"]
    then = told(gateway, "verify", state / "journal")
    assert then["sound"] and then["ledger"]["compared_with_history"], then
    assert then["ledger"]["journaled"] == then["samples"] > 1000
    restored, now = exported(gateway, ISTHMUS_STATE=str(state)), exported(gateway)
    assert set(restored) == set(now) and len(now) == TAGS
    assert all(rows == now[tag][: len(rows)] for tag, rows in restored.items())
    other = plant.Gateway(folder)
    try:
        more = lambda: (other.try_get("/api/v1/ledger") or {"total": {"journaled": 0}})["total"]["journaled"]
        plant.wait_for(lambda: more() > then["samples"] + 100, "the restored gateway goes on")
    finally:
        other.stop()
    after = told(gateway, "verify", state / "journal")
    assert after["sound"] and after["ledger"]["compared_with_history"] and after["samples"] > then["samples"], after


def test_a_second_backup_copies_only_what_is_new(gateway, backup):
    before = {p.name: p.stat().st_ino for p in backup.iterdir() if ".col." in p.name}
    grow(gateway, len(files_of_segments(gateway.state / "journal")) + 1)
    reply = told(gateway, "backup", gateway.folder, backup)
    assert 0 < reply["copied_files"] < reply["files"], reply
    after = {p.name: p.stat().st_ino for p in backup.iterdir()}
    assert all(after[name] == inode for name, inode in before.items() if name in after)
    assert len(after) == reply["files"] + 1
    assert told(gateway, "verify", backup)["sound"]


def import_noise(gateway, tmp_path, samples):
    """A file that takes a while to copy."""
    rng = random.Random(samples)
    table = tmp_path / "noise.csv"
    rows = (f"works/t{i % TAGS},2020-01-01T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z,{rng.randrange(-32768, 32768)}" for i in range(samples))
    table.write_text("tag,time,value\n" + "\n".join(rows) + "\n")
    assert isthmus(gateway, "import", gateway.folder, table).returncode == 0


def test_a_backup_that_is_killed_leaves_the_former_one(gateway, backup, tmp_path):
    """kill -9 as soon as a copy is begun, again and again; what is missing is copied by the next one."""
    manifest = (backup / "manifest").read_bytes()
    killed = 0
    for i in range(30):
        import_noise(gateway, tmp_path, 20000 + i)
        child = subprocess.Popen([plant.ISTHMUS, "backup", gateway.folder, backup], stdout=subprocess.DEVNULL, env=gateway.environment)
        while child.poll() is None and not (backup / "copy.part").exists():
            os.sched_yield()
        child.kill()
        child.wait()
        now = (backup / "manifest").read_bytes()
        killed += now == manifest
        manifest = now
        assert told(gateway, "verify", backup)["sound"]
        if killed == 3:
            break
    assert killed == 3, "no backup was killed before its end"
    reply = told(gateway, "backup", gateway.folder, backup)
    assert len(list(backup.iterdir())) == reply["files"] + 1
    state = tmp_path / "state"
    told(gateway, "restore", gateway.folder, backup, ISTHMUS_STATE=str(state))
    restored, now = exported(gateway, ISTHMUS_STATE=str(state)), exported(gateway)
    assert all(rows == now[tag][: len(rows)] for tag, rows in restored.items())


def test_restore_does_no_harm(gateway, backup, tmp_path):
    """Not to a gateway that runs, nor to history that is there, unless told so; nor out of a damaged backup."""
    done = isthmus(gateway, "restore", gateway.folder, backup)
    assert done.returncode == 1 and "runs" in done.stderr, done
    state = tmp_path / "state"
    told(gateway, "restore", gateway.folder, backup, ISTHMUS_STATE=str(state))
    done = isthmus(gateway, "restore", gateway.folder, backup, ISTHMUS_STATE=str(state))
    assert done.returncode == 1 and "--replace" in done.stderr, done
    victim = next(p for p in sorted(backup.iterdir()) if ".col." in p.name)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    before = exported(gateway, ISTHMUS_STATE=str(state))
    done = isthmus(gateway, "restore", gateway.folder, backup, "--replace", ISTHMUS_STATE=str(state))
    assert done.returncode == 1 and victim.name in done.stdout and "nothing was changed" in done.stderr, done
    reply = told(gateway, "verify", backup, status=1)
    (finding,) = [f for f in reply["findings"] if f["kind"] == "in the backup"]
    assert finding["file"] == victim.name and "--skip-damaged" in finding["do"]
    assert "--skip-damaged" in done.stdout
    assert exported(gateway, ISTHMUS_STATE=str(state)) == before
    assert sorted(p.name for p in state.iterdir()) == ["ids.txt", "journal", "lock"]
    arguments = ("restore", gateway.folder, backup, "--replace", "--skip-damaged")
    reply = told(gateway, *arguments, ISTHMUS_STATE=str(state), status=1)
    assert [f["file"] for f in reply["findings"]] == [victim.name], reply
    assert (state / reply["kept_aside"]).is_dir() and reply["kept_aside"].startswith("journal.replaced-")
    after = exported(gateway, ISTHMUS_STATE=str(state))
    assert 0 < sum(map(len, after.values())) < sum(map(len, before.values()))


def test_backups_while_files_are_sealed(gateway, backup):
    """Each is the folder at one moment: nothing is missing in it, whatever the sealer does meanwhile."""
    journal = gateway.state / "journal"
    before = files_of_segments(journal)
    kill_engine(gateway)

    def is_sealed():
        told(gateway, "backup", gateway.folder, backup)
        reply = told(gateway, "verify", backup)
        assert reply["sound"] and reply["ledger"]["journaled"] > 0, reply
        return files_of_segments(journal) != before

    plant.wait_for(is_sealed, "the segment is sealed")


@pytest.mark.parametrize("how", ["flipped", "removed", "set aside"])
def test_repair_of_a_running_gateway(gateway, backup, how):
    journal = gateway.state / "journal"
    grow(gateway, 3)
    told(gateway, "backup", gateway.folder, backup)
    before = exported(gateway)
    victim = journal / files_of_segments(journal)[1]
    if how == "flipped":
        data = bytearray(victim.read_bytes())
        data[-len(data) // 4] ^= 8
        victim.write_bytes(data)
    elif how == "removed":
        victim.unlink()
    else:
        victim.rename(journal / (victim.name + ".damaged"))
    assert not told(gateway, "verify", gateway.folder, status=1)["sound"]
    reply = told(gateway, "restore", gateway.folder, backup, "--repair")
    assert reply["restored_files"] == 1 and reply["removed_files"] == (how != "removed") and not reply["findings"], reply
    assert told(gateway, "verify", gateway.folder)["sound"]
    after = exported(gateway)
    assert all(rows == after[tag][: len(rows)] for tag, rows in before.items())


def test_a_backup_of_another_gateway_is_not_written_over(gateway, backup, tmp_path):
    other = write_folder(tmp_path / "other", 1)
    text = (other / "isthmus.yaml").read_text().replace("name: care", "name: stranger")
    (other / "isthmus.yaml").write_text(text)
    done = isthmus(gateway, "backup", other, backup)
    assert done.returncode == 1 and "'care'" in done.stderr, done
    assert told(gateway, "verify", backup)["sound"]
    assert isthmus(gateway, "restore", gateway.folder, tmp_path).returncode == 1  # no backup there


def test_wrong_usage(gateway):
    assert isthmus(gateway, "verify").returncode == 2
    assert isthmus(gateway, "backup", gateway.folder).returncode == 2
    assert isthmus(gateway, "restore", gateway.folder, "x", "--repair", "--replace").returncode == 2
    assert isthmus(gateway, "backup", gateway.folder, gateway.state / "journal").returncode == 1
    assert isthmus(gateway, "verify", gateway.folder, "more").returncode == 2
    assert isthmus(gateway, "verify", pathlib.Path("/nowhere")).returncode == 1
