# SPDX-License-Identifier: Apache-2.0
"""What whole-program tests share: free ports, processes that end with the test, waiting for a condition with a deadline, a
gateway and its API over its Unix socket."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("ISTHMUS_BUILD", ROOT / "build"))
ISTHMUS = BUILD / "isthmus"
PEERS = ROOT / "build" / "peers" / "bin"
PYTHON = "/usr/bin/python3"


def data_folder():
    """The recorded plant data, or None where a user does not have them. In CI their absence is a failure."""
    folder = pathlib.Path(os.environ.get("ISTHMUS_DATA", ROOT.parent / "shared" / "data"))
    if folder.is_dir():
        return folder
    assert os.environ.get("CI") != "true", f"no recorded plant data in {folder}"
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, seconds=20):
    """Waits until condition() is true and returns its value; fails with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def port_listens(port):
    with contextlib.closing(socket.socket()) as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def terminal_text(user):
    """All that is written to a pseudo-terminal until its other end is closed; closes this one."""
    shown = b""
    with contextlib.suppress(OSError), open(user, "rb", buffering=0) as terminal:
        while data := terminal.read(4096):
            shown += data
    return shown.decode()


class Process:
    """A child that is ended by its own pid, with its output in a file."""

    def __init__(self, argv, log, **more):
        self.log = pathlib.Path(log)
        self.file = open(self.log, "ab")
        self.child = subprocess.Popen(
            [str(a) for a in argv], stdout=self.file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more
        )

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self, seconds=10):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self.file.close()
        return self.child.returncode

    def text(self):
        return self.log.read_text(errors="replace")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gateway:
    """`isthmus run FOLDER` with its state below it."""

    def __init__(self, folder, **environment):
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.environment = {**os.environ, "ISTHMUS_STATE": str(self.state), **environment}
        self.process = None
        self.start()

    @property
    def socket(self):
        return self.state / "isthmus.sock"

    def start(self):
        self.process = Process([ISTHMUS, "run", self.folder], self.folder / "gateway.log", env=self.environment)
        try:
            wait_for(self.answers, f"the gateway answers\n{self.process.text()}")
        except BaseException:
            self.process.stop()
            raise

    def answers(self):
        """Over its own socket; and every other box has had its chance to listen."""
        assert self.process.child.poll() is None, f"the gateway ended\n{self.process.text()}"
        try:
            ready = self.get("/api/v1/health/ready", check=False)[0] == 200
        except (OSError, http.client.HTTPException):
            return False
        reply = self.try_get("/api/v1/processes") if ready else None
        return reply and all(p["state"] != "starting" for p in reply["processes"])

    def get(self, path, check=True):
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        if check:
            assert reply.status == 200, (path, reply.status, body)
            return json.loads(body)
        return reply.status, body

    def try_get(self, path):
        """The reply, or None while the API can't answer (its processes may be restarting)."""
        try:
            status, body = self.get(path, check=False)
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(body) if status == 200 else None

    def pids(self):
        """Process name → pid, as the gateway itself says."""
        reply = self.try_get("/api/v1/processes")
        return {p["name"]: p["pid"] for p in reply["processes"]} if reply else {}

    def stop(self):
        return self.process.stop()


def modbus_units(folder, port, *arguments):
    """Modbus units that pymodbus serves (peers/modbus_units.py)."""
    command = [PYTHON, ROOT / "tests/peers/modbus_units.py", "--port", port, *arguments]
    units = Process(command, pathlib.Path(folder) / "units.log")
    wait_for(lambda: port_listens(port), f"the units listen\n{units.text()}")
    return units


def mosquitto(folder, port):
    """A real broker on loopback."""
    conf = pathlib.Path(folder) / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    broker = Process([PEERS / "mosquitto", "-c", conf], pathlib.Path(folder) / "mosquitto.log")
    wait_for(lambda: port_listens(port), "the broker listens")
    return broker
