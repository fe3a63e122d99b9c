# SPDX-License-Identifier: Apache-2.0
"""`isthmus export` and `isthmus import`: history as CSV and Parquet, of a gateway that runs or not."""

import json
import os
import pty
import random
import subprocess
import time

import plant
import pytest

NODE = ["node", plant.ROOT / "tests/peers/parquet.mjs"]
HEADER = "tag,time,value,status"
TAGS = {
    "works/flow": "holding:0:float32",
    "works/level": "holding:2:float64",
    "works/count": "holding:6:uint64",
    "works/total": "holding:10:int64",
    "works/small": "holding:14:int16",
    "works/on": "coil:0",
    "works/name": "holding:20:text16",
    "works/raw": "holding:40:bytes8",
}


def isthmus(*arguments, **more):
    command = [str(a) for a in (plant.ISTHMUS, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more)


def done(*arguments, **more):
    result = isthmus(*arguments, **more)
    assert result.returncode == 0, result
    return result.stdout


def make_folder(path, port=1, **journal):
    """A gateway's folder; nobody answers at port 1."""
    path.mkdir()
    tags = "\n".join(f'  - {{path: {tag}, device: plc, address: "{address}"}}' for tag, address in TAGS.items())
    (path / "isthmus.yaml").write_text(
        f"""gateway: {{name: history}}
{"journal: " + json.dumps(journal) if journal else ""}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{port}", period: 100ms}}
tags:
{tags}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    return path


def moment(i):
    return f"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}.{i:09}Z"


def make_csv(count):
    """Rows as `export` gives them: tag after tag, times ascending, extremes of each type."""
    rng = random.Random(3)
    values = {
        "works/flow": lambda i: rng.choice(["0.1", "-0", "NaN", "Infinity", "3.4028235e+38", str(i)]),
        "works/level": lambda i: rng.choice(["0.1", repr(rng.random()), "1.7976931348623157e+308", "-Infinity"]),
        "works/count": lambda i: rng.choice(["0", "18446744073709551615", "9007199254740993"]),
        "works/total": lambda i: rng.choice(["-9223372036854775808", "9223372036854775807", str(-i)]),
        "works/small": lambda i: rng.choice(["-32768", "32767", "0"]),
        "works/on": lambda i: rng.choice(["true", "false"]),
        "works/name": lambda i: rng.choice(['"a ""quoted"", text"', "höhe", '""', f"name {i}"]),
        "works/raw": lambda i: rng.choice(["AAH/", '""', "AQIDBAUGBwg="]),
    }
    rows = [HEADER]
    for tag in TAGS:
        for i in range(count):
            rows.append(f"{tag},{moment(i)},{values[tag](i)},{rng.choice([0, 0, 2148139008, 1083179008])}")
    return "".join(row + "\r\n" for row in rows)


def shuffled(text):
    head, *rows = text.splitlines(keepends=True)
    random.Random(4).shuffle(rows)
    return head + "".join(rows)


def journal_files(folder):
    return sorted(p.name for p in (folder / ".state/journal").iterdir())


def test_history_goes_there_and_back(tmp_path):
    """CSV in any order → history → Parquet → another gateway's history → CSV: the same to the last digit."""
    first, second = make_folder(tmp_path / "first"), make_folder(tmp_path / "second")
    text = make_csv(500)
    (tmp_path / "in.csv").write_text(shuffled(text), newline="")
    told = json.loads(done("import", first, tmp_path / "in.csv", "--json"))
    assert (told["samples"], told["skipped"], told["files"], told["imported"]) == (500 * len(TAGS), 0, 1, True)
    assert told["from"] == moment(0) and told["to"] == moment(499)
    assert [name[:7] for name in journal_files(first)] == ["import-"]
    assert done("export", first, "-") == text.replace("\r\n", "\n")  # as text mode reads it
    done("export", first, tmp_path / "all.parquet")
    done("import", second, tmp_path / "all.parquet")
    done("export", second, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == text.encode()
    one = json.loads(done("export", second, tmp_path / "one.csv", "works/l*", "--from", moment(10), "--to", moment(19), "--json"))
    assert (one["tags"], one["samples"]) == (1, 10)
    rows = [row for row in text.splitlines() if row.startswith("works/level,")][10:20]
    assert (tmp_path / "one.csv").read_text().splitlines() == [HEADER, *rows]


def test_duckdb_reads_an_export(tmp_path):
    folder = make_folder(tmp_path / "gateway")
    (tmp_path / "in.csv").write_text(make_csv(300), newline="")
    done("import", folder, tmp_path / "in.csv")
    done("export", folder, tmp_path / "all.parquet")
    query = f"""select tag, count(*), count(value), count(text) from '{tmp_path}/all.parquet' group by tag order by tag"""
    reply = subprocess.run([*map(str, NODE), "sql", query], capture_output=True, text=True, check=True, timeout=60)
    rows = {row[0]: row[1:] for row in json.loads(reply.stdout)}
    assert set(rows) == set(TAGS) and all(row[0] == "300" for row in rows.values())
    assert rows["works/name"] == ["300", "0", "300"] and rows["works/on"] == ["300", "300", "0"]
    done("export", folder, tmp_path / "on.parquet", "works/on")
    kinds = f"select distinct typeof(value), typeof(time), typeof(status) from '{tmp_path}/on.parquet'"
    reply = subprocess.run([*map(str, NODE), "sql", kinds], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(reply.stdout) == [["BOOLEAN", "TIMESTAMP WITH TIME ZONE", "UINTEGER"]]


def test_a_column_per_tag(tmp_path):
    folder = make_folder(tmp_path / "gateway")
    (tmp_path / "wide.csv").write_text(
        f"time,works/flow,works/name,elsewhere\n{moment(1)},1.5,,7\n{moment(2)},,two,\n{moment(3)},3,three,9\n"
    )
    refused = isthmus("import", folder, tmp_path / "wide.csv")
    assert refused.returncode == 1 and "'elsewhere'" in refused.stderr and "nothing was imported" in refused.stderr
    told = json.loads(done("import", folder, tmp_path / "wide.csv", "--skip-unknown", "--json"))
    assert (told["samples"], told["skipped"]) == (4, 1)
    assert done("export", folder, "-").splitlines()[1:] == [
        f"works/flow,{moment(1)},1.5,0",
        f"works/flow,{moment(3)},3,0",
        f"works/name,{moment(2)},two,0",
        f"works/name,{moment(3)},three,0",
    ]


MISTAKES = {
    "row 2: its value is no int16": f"works/small,{moment(0)},1,0\nworks/small,{moment(0)},1.5,0",
    "out of range of int16": f"works/small,{moment(0)},40000,0",
    "is no bool": f"works/on,{moment(0)},yes,0",
    "no value": f"works/flow,{moment(0)},,0",
    "status": f"works/flow,{moment(0)},1,Fine",
    "line 2, column 'time'": "works/flow,yesterday,1,0",
    "row 1: it has no time": "works/flow,,1,0",
    "no tag works/nothing": f"works/nothing,{moment(0)},1,0",
    "1,000 bytes": f"works/name,{moment(0)},{'x' * 1001},0",
    "4 fields": f"works/flow,{moment(0)},1,0,5".replace(",5", "") + "\nworks/flow,1",
}


@pytest.mark.parametrize("why", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_imported(tmp_path, why):
    folder = make_folder(tmp_path / "gateway")
    good = "".join(f"works/flow,{moment(i)},{i},Good\n" for i in range(3))
    (tmp_path / "good.csv").write_text(f"{HEADER}\n{good}")
    done("import", folder, tmp_path / "good.csv")
    before = journal_files(folder)
    (tmp_path / "bad.csv").write_text(f"{HEADER}\n{MISTAKES[why]}\n")
    for arguments in ([], ["--check"]):
        refused = isthmus("import", folder, tmp_path / "bad.csv", *arguments)
        said = refused.stderr.replace("1000 bytes", "1,000 bytes").replace("2 fields, but the header names 4", "4 fields")
        assert refused.returncode == 1 and why in said and "nothing was imported" in said, refused
    assert journal_files(folder) == before


def test_times_without_a_zone_are_refused(tmp_path):
    folder = make_folder(tmp_path / "gateway")
    query = f"copy (select 'works/flow' tag, timestamp '2026-01-01 00:00:01' as time, 1.5::float as value) to '{tmp_path}/naive.parquet'"
    subprocess.run([*map(str, NODE), "sql", query], check=True, timeout=60, stdout=subprocess.DEVNULL)
    refused = isthmus("import", folder, tmp_path / "naive.parquet")
    assert refused.returncode == 1 and "--utc" in refused.stderr
    done("import", folder, tmp_path / "naive.parquet", "--utc")
    assert done("export", folder, "-").splitlines()[1:] == ["works/flow,2026-01-01T00:00:01.000000000Z,1.5,0"]


def test_check_writes_nothing(tmp_path):
    folder = make_folder(tmp_path / "gateway")
    (tmp_path / "in.csv").write_text(f"{HEADER}\nworks/flow,{moment(0)},1,0\n")
    assert "nothing was written" in done("import", folder, tmp_path / "in.csv", "--check")
    assert not (folder / ".state").exists()


def test_an_import_leaves_the_journal_room(tmp_path):
    """What would fill the journal up to its limit is taken back."""
    folder = make_folder(tmp_path / "gateway", limit="16MiB", segment="4MiB")
    (tmp_path / "in.csv").write_text(f"{HEADER}\nworks/flow,{moment(0)},1,0\n")
    refused = isthmus("import", folder, tmp_path / "in.csv")
    assert refused.returncode == 1 and "limit" in refused.stderr
    assert journal_files(folder) == []


def test_an_export_is_no_list_of_tags(tmp_path):
    """A .csv in the configuration folder would be one: the gateway would not start again."""
    folder = make_folder(tmp_path / "gateway")
    (tmp_path / "in.csv").write_text(f"{HEADER}\nworks/flow,{moment(0)},1,0\n")
    done("import", folder, tmp_path / "in.csv")
    refused = isthmus("export", folder, folder / "out.csv")
    assert refused.returncode == 2 and "list of tags" in refused.stderr
    assert isthmus("export", ".", "out.csv", cwd=folder).returncode == 2
    assert not (folder / "out.csv").exists()
    for wrong in (["x.txt"], [], ["x.csv", "--from", "yesterday"], ["x.csv", "--nothing"]):
        assert isthmus("export", folder, *wrong).returncode == 2
    assert isthmus("export", folder, tmp_path / "x.csv", "no/such/tag").returncode == 1
    assert isthmus("export", folder, tmp_path / "nowhere/x.csv").returncode == 1
    assert isthmus("import", folder, tmp_path / "nothing.csv").returncode == 1
    assert not (tmp_path / "x.csv").exists()


def test_a_terminal_sees_progress(tmp_path):
    folder = make_folder(tmp_path / "gateway")
    rows = "".join(f"works/flow,{moment(i)},{i},0\n" for i in range(30000))
    (tmp_path / "in.csv").write_text(f"{HEADER}\n{rows}")
    main, terminal = pty.openpty()
    with subprocess.Popen(
        [plant.ISTHMUS, "import", folder, tmp_path / "in.csv"], stderr=terminal, stdout=subprocess.PIPE, text=True
    ) as child:
        os.close(terminal)
        told = child.stdout.read()
    assert child.returncode == 0 and told.startswith(f"{tmp_path}/in.csv: 30000 samples")
    shown = plant.terminal_text(main)
    assert "check" in shown and "%" in shown and "samples" in shown and shown.endswith("\r\x1b[K")


def test_a_running_gateway_knows_it_at_once(tmp_path, started):
    """Imported into a running gateway, it is there for who asks over HTTP; its own samples are exported beside it."""
    port = plant.free_port()
    started(plant.modbus_units(tmp_path, port))
    folder = make_folder(tmp_path / "gateway", port)
    gateway = started(plant.Gateway(folder))
    plant.wait_for(lambda: gateway.get("/api/v1/ledger")["total"]["journaled"] > 20, "some samples")
    began = time.time()
    (tmp_path / "in.csv").write_text(f"{HEADER}\n" + "".join(f"works/small,{moment(i)},{i},Good\n" for i in range(100)))
    environment = {**os.environ, "ISTHMUS_STATE": str(gateway.state)}
    done("import", folder, tmp_path / "in.csv", env=environment)
    path = f"/api/v1/history?tag=works/small&from={moment(0)}&to={moment(99)}"

    def values():
        return [s["value"] for s in gateway.get(path)["samples"]]

    assert plant.wait_for(lambda: values() if len(values()) == 100 else None, "the imported samples") == list(range(100))
    done("export", folder, tmp_path / "all.csv", env=environment)
    rows = [row.split(",") for row in (tmp_path / "all.csv").read_text().splitlines()[1:]]
    old = [row for row in rows if row[1] < "2026-02"]
    assert len(old) == 100 and {row[0] for row in old} == {"works/small"}
    assert len(rows) - len(old) > 20
    for tag in TAGS:
        times = [row[1] for row in rows if row[0] == tag]
        assert times == sorted(times)
    ledger = gateway.get("/api/v1/ledger")["total"]
    assert ledger["produced"] == sum(ledger[k] for k in ("journaled", "suppressed", "rejected", "gaps"))
    assert time.time() - began < 60
