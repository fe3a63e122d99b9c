# SPDX-License-Identifier: Apache-2.0
"""gateway.rest_pss: memory (sum of the PSS of all processes) of a gateway on the demo plant (300 tags, console, Sparkplug),
after it has collected for ten seconds.  journal.bytes_per_day: bytes that the journal writes in a day for 1,000 tags that change
once a second, extrapolated from half a minute."""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import plant  # noqa: E402


def prepared(folder, tags):
    """A simulator and its gateway's folder, on free ports, without a broker."""
    ports = f"{plant.free_port()},{plant.free_port()}"
    more = ["--tags", str(tags)]
    subprocess.run([plant.ISTHMUS, "sim", "waterworks", "--write-config", folder, "--ports", ports, *more], check=True)
    text = (folder / "isthmus.yaml").read_text()
    text = re.sub(r"127\.0\.0\.1:8480", f"127.0.0.1:{plant.free_port()}", text).replace("500ms", "1s")
    text = re.sub(r"127\.0\.0\.1:11883", f"127.0.0.1:{plant.free_port()}", text)
    (folder / "isthmus.yaml").write_text(text)
    sim = plant.Process([plant.ISTHMUS, "sim", "waterworks", "--ports", ports, *more], folder / "sim.log")
    plant.wait_for(lambda: plant.port_listens(int(ports.split(",")[1])), "the simulator listens")
    return sim


def rest_pss(folder):
    sim = prepared(folder, 300)
    gateway = plant.Gateway(folder)
    time.sleep(12)  # the supervisor measures memory every 5 s
    pss = sum(p["pss_bytes"] for p in gateway.get("/api/v1/processes")["processes"])
    gateway.stop()
    sim.stop()
    print(f"gateway.rest_pss {pss / 1e6:.2f} MB")


def bytes_per_day(folder):
    sim = prepared(folder, 1000)
    gateway = plant.Gateway(folder)
    time.sleep(3)

    def now():
        j = gateway.get("/api/v1/journal")["journal"][0]
        return j["bytes_written"], int(j["written_seq"]), time.monotonic()

    before = now()
    time.sleep(30)
    after = now()
    gateway.stop()
    sim.stop()
    per_record = (after[0] - before[0]) / (after[1] - before[1])
    print(f"{(after[1] - before[1]) / (after[2] - before[2]):.0f} records/s, {per_record:.1f} bytes each", file=sys.stderr)
    print(f"journal.bytes_per_day {per_record * 1000 * 86400 / 1e9:.3f} GB")


MEASURES = {"gateway.rest_pss": rest_pss, "journal.bytes_per_day": bytes_per_day}

if sys.argv[1:] == ["--list"]:
    print("\n".join(MEASURES))
else:
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            MEASURES[name](pathlib.Path(folder))
