# SPDX-License-Identifier: Apache-2.0
"""Ten hours of 10,000 tags in the console: any trend is there at once, with what is bad and what is missing."""

import time

import long_plant
import plant
import pytest
from browser import User


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    gateway = long_plant.start(tmp_path_factory.mktemp("long"))
    yield gateway
    gateway.stop()


def test_answers_come_from_what_is_sealed(long):
    path = long_plant.tag(4711)

    def sealed():
        (row,) = long.get("/api/v1/journal")["journal"]
        return row["sealed"]["samples"]

    plant.wait_for(lambda: sealed() == long_plant.TAGS * (long_plant.SECONDS - 900), "the sealer looks at it")
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - long_plant.SECONDS))
    samples = long.get(f"/api/v1/history?tag={path}&from={begin}&points=2400")["samples"]
    assert 1000 < len(samples) <= 3000
    assert {s["status"] for s in samples[:-1]} == {"Good", "BadNoCommunication"}
    (gap,) = [g for g in long.get(f"/api/v1/gaps?tag={path}")["records"] if g["gap"] == "gateway down"][:1]
    inside = [s for s in samples if gap["from"] < s["time"] < gap["to"]]
    assert not inside, "nothing is drawn where nothing is known"


def test_any_trend_shows_ten_hours_with_bad_and_missing(long, tmp_path):
    user = User(long.port, tmp_path)
    try:
        user.open(1440, 900, "light")
        user.loading(long_plant.tag(0))
        user.loading(long_plant.tag(0), "24 h")
        times = []
        for n in (1, 77, 4711, 9999):
            path = long_plant.tag(n)
            times.append(user.loading(path))
            user.legend(path, "bad span")
            user.legend(path, "gap")
            user.drawn("--s1", 200)
            user.drawn("--bad", 10)
            user.drawn("--gap", 10)
            user.picture(f"trend-{n}")
            user.remove(path)
        print("ms until drawn:", ", ".join(f"{t:.0f}" for t in times))
        user.loading(long_plant.tag(0), "1 h")
        user.loading(long_plant.tag(0), "6 h")
        user.drawn("--s0", 200)
        assert user.complaints() == []
    finally:
        user.end()
