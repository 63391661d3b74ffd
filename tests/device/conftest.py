"""Emulated boards: built once, kept in $EMO_LAB or the user's cache; see docs/device-tests.md."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emo_edge.errors import UsageError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "device_lab"))

from debian import UnreachableError
from installing import build
from userland import default_folder, require_tools

if TYPE_CHECKING:
    from userland import Userland

    from device.places import Guest

from device.machine import Machine, assemble, fetch_kernel, missing_tools
from device.scenes import draw_scene

LAB = default_folder()


@pytest.fixture(scope="session")
def guest() -> Guest:
    """Return `guest(suite)`: this working tree installed in a userland; skips where none can be."""

    @functools.cache
    def make(suite: str) -> Userland:
        try:
            require_tools()
            return build(LAB, suite)
        except (UsageError, UnreachableError) as error:
            pytest.skip(str(error))

    return make


@pytest.fixture(scope="session")
def machine(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Return a whole emulated machine with Bookworm's kernel and userland."""
    if missing := missing_tools():
        pytest.skip(f"this host lacks tools; on Debian run: sudo apt-get install {missing}")
    userland, work = guest("bookworm"), tmp_path_factory.mktemp("machine")
    draw_scene(work / "pictures")
    if yunet := os.environ.get("EMO_YUNET"):
        shutil.copyfile(yunet, work / "pictures" / "yunet.onnx")
    try:
        kernel = fetch_kernel(LAB / "bookworm", "bookworm")
    except UnreachableError as error:
        pytest.skip(str(error))
    return assemble(work, userland, kernel, work / "pictures")
