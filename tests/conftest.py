# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the whole-program tests."""

import pytest

import plant


@pytest.fixture
def started(request):
    """started(process): stopped at the test's end, in reverse order."""
    running = []

    def start(process):
        running.append(process)
        return process

    yield start
    for process in reversed(running):
        process.stop()


@pytest.fixture(scope="session")
def data():
    folder = plant.data_folder()
    if folder is None:
        pytest.skip("no recorded plant data: put it into ../shared/data or name it with ISTHMUS_DATA")
    return folder
