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

    plant.wait_for(lambda: sealed() >= long_plant.TAGS * (long_plant.SECONDS - 900), "the sealer looks at it")
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - long_plant.SECONDS))
    samples = long.get(f"/api/v1/history?tag={path}&from={begin}&points=2400")["samples"]
    assert 1000 < len(samples) <= 3000
    assert {s["status"] for s in samples[:-1]} == {"Good", "BadNoCommunication"}
    (gap,) = [g for g in long.get(f"/api/v1/gaps?tag={path}")["records"] if g["gap"] == "gateway down"][:1]
    inside = [s for s in samples if gap["from"] < s["time"] < gap["to"]]
    assert not inside, "nothing is drawn where nothing is known"


def at(seconds_ago):
    return time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(time.time() - seconds_ago))


def test_steps_are_what_the_samples_say(long):
    path, begin, end = long_plant.tag(1234), at(5 * 3600), at(2 * 3600)
    ask = f"/api/v1/history?tag={path}&from={begin}&to={end}"
    samples = [s for s in long.get(ask)["samples"] if s["time"] < end]
    minutes = {}
    for s in samples:
        minutes.setdefault(s["time"][:16], []).append(s["value"])
    for name, of in {
        "average": lambda v: sum(v) / len(v),
        "time_average": lambda v: sum(v) / len(v),  # once a second
        "min": min,
        "max": max,
        "count": len,
        "last": lambda v: v[-1],
        "asof": lambda v: v[0],
        "interpolated": lambda v: v[0],
        "integral": sum,
        "percentile&percent=50": lambda v: sorted(v)[29],
        "duration&state=0": lambda v: v.count(0),
    }.items():
        steps = long.get(f"{ask}&step=1min&aggregate={name}")["steps"]
        assert len(steps) == 180
        for step in steps:
            values = minutes.get(step["time"][:16], [])
            if len(values) == 60:  # a value holds over what is missing, so the others differ
                assert step["value"] == pytest.approx(of(values), rel=1e-9, abs=1e-9), (name, step)
        if name == "average":
            empty = [s for s in steps if s["status"] == "BadNoData"]
            assert {s["time"][:16] for s in empty}.isdisjoint(minutes) and len(empty) in (14, 15)
            assert all(s["value"] is None for s in empty)


def test_wrong_steps_are_told(long):
    path = long_plant.tag(0)
    for more in ("step=x", "step=0s", "step=1min&aggregate=mean", "step=1min&aggregate=percentile", "step=1ms",
                 "step=1min&aggregate=percentile&percent=101", "step=1min&aggregate=duration"):  # fmt: skip
        status, body = long.get(f"/api/v1/history?tag={path}&from={at(7200)}&{more}", check=False)
        assert status == 400 and b"Wrong argument" in body, (more, body)


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
