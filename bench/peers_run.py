#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same data into Isthmus and into others that keep time series, in the same run: bytes a sample on disk after each one's own
flush and compaction, whether it is lossless (all is read back and compared to the bit), and how long the mean of each tag over
all of it takes (median of five, as its client sees it, all warm). Called by ./run bench peers. One peer runs at a time."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from peers.peer import Missing, ROOT  # noqa: E402
from peers.data import Data  # noqa: E402
from peers.files import DuckDB, Isthmus, SQLite  # noqa: E402
from peers.servers import InfluxDB, PostgreSQL, VictoriaMetrics  # noqa: E402

BUILD = pathlib.Path(os.environ.get("ISTHMUS_BUILD", ROOT / "build"))
PEERS = (Isthmus, VictoriaMetrics, InfluxDB, DuckDB, SQLite, PostgreSQL)
FAILURES = []
SETS = {
    "regular": "1,000 tags of mixed signals, 1 h at 1 Hz",
    "jitter": "the same, each sample 0 to 50 ms late",
    "waterworks": "the simulated waterworks, 999 tags, 1 h at 1 Hz",
    "skab": "SKAB, a water circulation testbed at 1 Hz, each tag 10 times",
    "nab": "NAB, machine and ambient temperature, each tag 40 times",
}


def say(text):
    print(f"    {text}", file=sys.stderr, flush=True)


def measure(peer, data):
    begun = time.monotonic()
    peer.start(data)
    peer.load(data)
    peer.settle()
    loaded = time.monotonic()
    size = peer.bytes()
    same = data.same(peer.read(data))
    ms, means = peer.means(data)
    wrong = data.wrong_mean(means)
    if wrong:
        raise RuntimeError(f"{peer.name}: its means are wrong: {wrong}")
    return {
        "version": peer.version(),
        "bytes": size,
        "bytes_per_sample": size / data.samples,
        "lossless": same == data.samples,
        "same_to_the_bit": same / data.samples,
        "mean_all_ms": ms,
        "load_s": loaded - begun,
    }


def one(kind, data, folder):
    peer = kind(folder)
    try:
        return measure(peer, data)
    except Missing as why:
        say(f"left out: {kind.name}: {why}")
        return None
    except (AssertionError, OSError, RuntimeError) as why:
        say(f"FAILED: {kind.name}: {why}")
        FAILURES.append(kind.name)
        return None
    finally:
        peer.stop()


def print_table(results):
    for name, result in results.items():
        print(f"\n{name}: {SETS[name]}; {result['tags']:,} tags, {result['samples']:,} samples")
        print(f"  {'':<16} {'version':<14} {'bytes a sample':>14}  {'lossless':<24} {'mean of all tags':>16}")
        for peer, row in result["peers"].items():
            kept = "yes, to the bit" if row["lossless"] else f"no: {row['same_to_the_bit']:.1%} the same"
            print(f"  {peer:<16} {row['version'][:14]:<14} {row['bytes_per_sample']:>14.3f}  {kept:<24} {row['mean_all_ms']:>13.1f} ms")
    print("\n" + "\n".join(f"{kind.name}: {kind.note}." for kind in PEERS))


def main():
    parser = argparse.ArgumentParser(prog="./run bench peers", description=__doc__)
    parser.add_argument("set", nargs="*", help=f"of {', '.join(SETS)} (default: all)")
    parser.add_argument("--peer", action="append", help="only this one; may be given again")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    unknown = [s for s in options.set if s not in SETS]
    unknown += [p for p in options.peer or () if p not in [kind.name for kind in PEERS]]
    if unknown:
        parser.error(f"there is no {unknown[0]}; sets: {', '.join(SETS)}; peers: {', '.join(kind.name for kind in PEERS)}")
    results = {}
    for name in options.set or SETS:
        with tempfile.TemporaryDirectory(prefix="isthmus-peers-") as place:
            os.chmod(place, 0o755)
            place = pathlib.Path(place)
            if subprocess.run([BUILD / "bench" / "peers_data", name, place / "data"]).returncode:
                say(f"left out: {name}")
                continue
            data = Data(place / "data")
            results[name] = {"tags": len(data), "samples": data.samples, "peers": {}}
            for kind in PEERS:
                if options.peer and kind.name not in options.peer:
                    continue
                say(f"{name}: {kind.name}")
                folder = place / kind.__name__
                folder.mkdir()
                result = one(kind, data, folder)
                if result:
                    results[name]["peers"][kind.name] = result
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print_table(results)
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
