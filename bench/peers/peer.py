# SPDX-License-Identifier: Apache-2.0
"""What all that store the same data have in common."""

import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import plant  # noqa: E402

QUERIES = 5  # the median counts


class Missing(Exception):
    """This peer is not to be had here."""


def program(name):
    """Where ./run has put it."""
    path = plant.PEERS / name
    if not path.exists():
        raise Missing(f"{name} is not there")
    return path


def size_of(*folders):
    """Bytes of all files in them; what is only reserved does not count."""
    files = [f.stat() for folder in folders for f in pathlib.Path(folder).rglob("*") if f.is_file()]
    return sum(min(s.st_size, s.st_blocks * 512) for s in files)


def request(port, method, target, body=None, timeout=600):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, target, body)
        reply = connection.getresponse()
        text = reply.read()
    finally:
        connection.close()
    if reply.status // 100 != 2:
        raise RuntimeError(f"{target[:100]}: {reply.status} {text[:300]!r}")
    return text


def answers(port, target):
    try:
        request(port, "GET", target, timeout=5)
        return True
    except (OSError, http.client.HTTPException, RuntimeError):
        return False


def form(**arguments):
    return urllib.parse.urlencode(arguments)


def run(*command, **more):
    """What a command that ends well says."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-500:]}")
    return done.stdout


def timed(action):
    """Median ms of a few, and what the last one gave."""
    spans = []
    for _ in range(QUERIES):
        begun = time.perf_counter()
        result = action()
        spans.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(spans), result


class Peer:
    """One who stores. `data` is a list of bench.peers.data.Tag. The order of calls: start, load, settle, bytes, read, means,
    stop."""

    name = ""
    note = ""  # how it keeps the data

    def __init__(self, folder):
        self.folder = folder
        self.process = None

    def start(self, data):
        pass

    def load(self, data):
        raise NotImplementedError

    def settle(self):
        """Its own flush and compaction, until all is on disk and nothing more happens."""

    def bytes(self):
        raise NotImplementedError

    def read(self, data):
        """Yields (tag number, times in ms, values) as stored."""
        raise NotImplementedError

    def means(self, data):
        """(ms, {tag number: mean}) of all tags from data.begin to data.end."""
        raise NotImplementedError

    def stop(self):
        if self.process:
            self.process.stop(30)
            self.process = None


def sorted_rows(rows):
    """(tag, ms, value) rows, sorted by tag and time, as read() yields them."""
    tag, times, values = None, [], []
    for number, ms, value in rows:
        if number != tag:
            if tag is not None:
                yield tag, times, values
            tag, times, values = number, [], []
        times.append(ms)
        values.append(value)
    if tag is not None:
        yield tag, times, values


__all__ = [n for n in dir() if not n.startswith("_")] + ["json", "os"]
