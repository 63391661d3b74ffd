"""Every system, on every board that runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from userland import SUITES, Userland

ROOT = Path(__file__).parents[2]
Guest = Callable[[str], Userland]

SHORT = ("bookworm", "pi4")  # what continuous integration runs
SYSTEMS = [
    pytest.param(name, marks=[pytest.mark.short] * (name == SHORT[0]), id=name) for name in SUITES
]
PLACES = [
    pytest.param(
        name, board, marks=[pytest.mark.short] * ((name, board) == SHORT), id=f"{name}-{board}"
    )
    for name, suite in SUITES.items()
    for board in suite.boards
]
