# SPDX-License-Identifier: Apache-2.0
"""The gateway where a layer of its protection is not to be had: it works, and says what is missing."""

import ctypes
import json
import os
import pathlib
import pwd
import shutil
import struct
import subprocess
import tempfile

import plant
import pytest

LANDLOCK_CALLS = (444, 445, 446)  # the same on all architectures
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ENOSYS = 0x7FFF0000, 0x00050000 | 38


def hide_landlock():
    """From now on this process and its children have a kernel without Landlock. Runs between fork and exec."""

    def line(code, true, false, value):
        return struct.pack("=HBBI", code, true, false, value)

    lines = [line(0x20, 0, 0, 0)]  # the call's number
    lines += [line(0x15, len(LANDLOCK_CALLS) - i, 0, call) for i, call in enumerate(LANDLOCK_CALLS)]
    lines += [line(0x06, 0, 0, ALLOW), line(0x06, 0, 0, ENOSYS)]
    program = ctypes.create_string_buffer(b"".join(lines))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header), 0, 0) == 0, ctypes.get_errno()


def kernel_has_landlock():
    """Whether it tells the version of its interface."""
    return ctypes.CDLL(None).syscall(LANDLOCK_CALLS[0], None, 0, 1) > 0


def become_ordinary():
    """If we are root: nobody in particular."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


@pytest.fixture
def folder():
    """A plant and the program where any user can read them."""
    with tempfile.TemporaryDirectory(prefix="isthmus-layers-") as name:
        folder = pathlib.Path(name)
        shutil.copy(plant.ISTHMUS, folder)
        for module in ("south/modbus/modbus.so", "north/http/http.so", "cli/client/client.so"):
            shutil.copy(plant.BUILD / "src" / module, folder)
        (folder / "state").mkdir()
        if os.geteuid() == 0:
            for path in (folder, folder / "state"):
                path.chmod(0o755)
                shutil.chown(path, "nobody")
        yield folder


def assert_missing(folder, started, restrict, of_boxes, of_middle):
    """A gateway under restrict() reads a device, and `isthmus status` names these missing layers of its processes."""
    device = plant.free_port()
    started(plant.modbus_units(folder, device))
    (folder / "isthmus.yaml").write_text(
        f"""gateway: {{name: layers}}
devices:
  - {{name: plc, driver: modbus, address: "127.0.0.1:{device}", period: 50ms}}
tags:
  - {{path: plc/a, device: plc, address: "holding:0"}}
services:
  - {{name: console, module: http, listen: "127.0.0.1:{plant.free_port()}"}}
"""
    )
    (folder / "isthmus.yaml").chmod(0o644)
    environment = {**os.environ, "ISTHMUS_STATE": str(folder / "state"), "ISTHMUS_MODULES": str(folder)}
    gateway = started(
        plant.Process([folder / "isthmus", "run", folder], folder / "gateway.log", env=environment, preexec_fn=restrict)
    )

    def ask(*arguments):
        assert gateway.child.poll() is None, gateway.text()
        return subprocess.run(
            [folder / "isthmus", *arguments], capture_output=True, text=True, env=environment, preexec_fn=become_ordinary
        )

    plant.wait_for(lambda: " Good " in ask("get", "plc/a").stdout, "a value")
    expected = {"engine": of_middle, "reader": of_middle, "modbus": of_boxes, "console": of_boxes}

    def missing():
        processes = json.loads(ask("status", "--json").stdout)["processes"]
        return {p["name"]: set(p["layers_missing"]) for p in processes if p["name"] in expected}

    plant.wait_for(lambda: missing() == expected, f"{expected} are missing, not {missing()}")
    table = ask("status").stdout
    for name, layers in expected.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"{name} ")]
        assert all(layer in row for layer in layers or {"none"})
    assert gateway.stop() == 0


def test_an_ordinary_user_lacks_only_the_network_namespace(folder, started):
    always = set() if kernel_has_landlock() else {"landlock"}
    assert_missing(folder, started, become_ordinary, always, always | {"network-namespace"})


def test_without_landlock_each_process_says_so(folder, started):
    def restrict():
        become_ordinary()
        hide_landlock()

    assert_missing(folder, started, restrict, {"landlock"}, {"landlock", "network-namespace"})
