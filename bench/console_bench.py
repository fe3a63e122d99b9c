# SPDX-License-Identifier: Apache-2.0
"""console.trend: ms from the click on a tag until ten hours of it are drawn, in a real browser, median of 40 tags of 10,000 with
36,000 samples each.  console.trend_worst: the slowest of them.  console.zoom: the same from the click on another range."""

import pathlib
import random
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import long_plant  # noqa: E402
from browser import User  # noqa: E402


def main():
    if "--list" in sys.argv:
        print("console.trend\nconsole.trend_worst\nconsole.zoom")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        gateway = long_plant.start(folder)
        user = User(gateway.port, folder)
        try:
            user.open(1440, 900, "light")
            user.loading(long_plant.tag(1))
            user.loading(long_plant.tag(1), "24 h")
            opened, zoomed = [], []
            for n in random.Random(7).sample(range(2, long_plant.TAGS), 40):
                opened.append(user.loading(long_plant.tag(n)))
                user.remove(long_plant.tag(n))
            for text in ["6 h", "1 h", "24 h"] * 10:
                zoomed.append(user.loading(long_plant.tag(1), text))
        finally:
            user.end()
            gateway.stop()
    print(f"console.trend {statistics.median(opened):.1f} ms")
    print(f"console.trend_worst {max(opened):.1f} ms")
    print(f"console.zoom {statistics.median(zoomed):.1f} ms")


main()
