# SPDX-License-Identifier: Apache-2.0
"""The data that bench/peers_data.c writes."""

import array
import math
import struct


class Tag:
    def __init__(self, number, whole, times, values):
        self.number, self.whole, self.times, self.values = number, whole, times, values


class Data(list):
    """Tags; `begin`, `end`: whole seconds in ms around all their times."""

    def __init__(self, path):
        super().__init__()
        with open(path, "rb") as file:
            for number in range(struct.unpack("<I", file.read(4))[0]):
                whole, count = struct.unpack("<II", file.read(8))
                times, values = array.array("q"), array.array("d")
                times.fromfile(file, count)
                values.fromfile(file, count)
                self.append(Tag(number, bool(whole), times, values))
        self.samples = sum(len(t.times) for t in self)
        first, last = min(t.times[0] for t in self), max(t.times[-1] for t in self)
        self.begin, self.end = first // 1000 * 1000 - 1000, (last // 1000 + 1) * 1000

    def same(self, read):
        """How many of the samples that were read are the same to the bit, of those that there are."""
        good = 0
        for number, times, values in read:
            t, times = self[number], array.array("q", times)
            got = array.array("d", map(float, values))
            if times == t.times and got.tobytes() == t.values.tobytes():
                good += len(t.times)
            else:
                known = dict(zip(t.times, t.values))
                pairs = zip(times, got)
                good += sum(ms in known and struct.pack("d", known[ms]) == struct.pack("d", v) for ms, v in pairs)
        return good

    def wrong_mean(self, means):
        """A tag whose mean is not right to six digits (a peer that keeps twelve has them), in words; None: all are."""
        expected = {}
        for t in self:
            expected[t.number] = math.fsum(t.values) / len(t.values)
        for n in expected.keys() | means.keys():
            a, b = expected.get(n), means.get(n)
            if a is None or b is None or not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9):
                return f"tag {n}: {b} instead of {a}"
        return None
