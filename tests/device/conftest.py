"""Emulated boards: built once, kept in $EMO_LAB or the user's cache; see docs/device-tests.md."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emo_edge.errors import UsageError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "device_lab"))

from debian import UnreachableError
from userland import Userland, build, default_folder, require_tools

LAB = default_folder()


@pytest.fixture(scope="session")
def guest() -> Callable[[str], Userland]:
    """Return `guest(suite)`: this working tree installed in a userland; skips where none can be."""

    @functools.cache
    def make(suite: str) -> Userland:
        try:
            require_tools()
            return build(LAB, suite)
        except (UsageError, UnreachableError) as error:
            pytest.skip(str(error))

    return make
